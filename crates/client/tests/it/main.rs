//! The client against the real service over real sockets on loopback: what is written offline, restarts, kills, networks.

#![cfg(test)]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing among many")]

mod blobs;
mod harness;
mod kill;
mod network;
mod offline;
mod sync;
