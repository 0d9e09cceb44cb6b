//! Signaling over its real router: what each address answers, to whom, and what comes of it, on a real media plane, store and
//! chat. What a module decides by itself is tested beside it.

#![cfg(test)]

mod harness;
mod history;
mod people;
mod signal;
mod twirp;
mod validate;
mod whip;
