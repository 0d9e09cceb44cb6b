//! The HTTP API over a real store, through its router: what each route answers, to whom, and what attacks meet.

#![cfg(test)]

mod accesses;
mod attacks;
mod common;
mod described;
mod directory;
mod entering;
mod export;
mod integrations;
mod matrix;
mod oneself;
mod organisations;
mod pictures;
