//! The store through what it offers others: rules that any backend keeps (`conformance`, `model`), and what SQLite adds.

#![cfg(test)]
#![allow(clippy::unwrap_in_result)]

mod accounts;
mod blobs;
mod calls;
mod common;
mod conformance;
mod integrations;
mod kill;
mod model;
mod orgs;
mod retention;
mod schemas;
mod shell;
mod userlog;
