//! Chat under a fake clock: several users with several devices each, a server, a network that loses, doubles, delays,
//! reorders and parts, and processes that crash between any two writes. All of it is decided by one seed, and checked
//! against the invariants I1 to I17 of the chat design: some at every step, the others when everything has come to rest.
//!
//! What is tested is real: rules, outbox and replica of `im-core`, engine and reader of `store` on SQLite. What is not: the
//! shells around them (`im`, `client`), whose order of things is repeated here by hand.
//!
//! Invariant: equal seeds make equal runs.

#![allow(clippy::wildcard_enum_match_arm, reason = "of all frames and bodies of the wire a run has to do with a few")]

mod db;
mod device;
mod fanout;
pub mod net;
mod oracle;
mod place;
mod plan;
mod report;
mod server;
mod session;
mod verdict;
mod workload;
mod world;

pub use plan::Mutation;
pub use report::{Invariant, Report, Violation};

use report::{Check, ensure};
use world::World;

/// Runs a seed.
pub fn run(seed: u64) -> Result<Report, Violation> {
    run_with(seed, None)
}

/// Runs a seed with a mistake built in, which it has to find, sooner or later.
pub fn run_with(seed: u64, mutation: Option<Mutation>) -> Result<Report, Violation> {
    run_world(seed, mutation, 0)
}

/// Runs a seed with a store whose readers are busy a third of the time: syncs, pages and repairs are refused or wait.
pub fn run_busy(seed: u64) -> Result<Report, Violation> {
    run_world(seed, None, 33)
}

fn run_world(seed: u64, mutation: Option<Mutation>, busy_readers: u8) -> Result<Report, Violation> {
    let at =
        |step, broken: report::Broken| Violation { invariant: broken.invariant, seed, step, detail: broken.detail };
    let mut world = World::new(seed, mutation).map_err(|broken| at(0, broken))?;
    world.server.busy_readers = busy_readers;
    live(&mut world).map_err(|broken| at(world.step, broken))?;
    Ok(world.server.report)
}

fn live(world: &mut World) -> Check {
    world.work()?;
    if world.devices.iter().any(|device| device.frozen) {
        // The others finish, whatever one of them does not read (I17).
        world.heal()?;
        world.rest(Invariant::I17)?;
    }
    world.thaw()?;
    world.heal()?;
    world.rest(Invariant::I16)?;
    if world.plan.push_members < plan::MANY_MEMBERS {
        // A head bump is a hint: the last one may be lost, and the next sync tells.
        world.heal()?;
        world.rest(Invariant::I7)?;
    }
    world.page_all()?;
    ensure!(world.devices.iter().all(device::Device::is_quiet), I7, "a device is not through");
    world.judge()
}
