//! What a seed decides before anything happens: who there is, how bad the weather is, how small the limits are.

use convene_im_core::outbox::Limits;
use convene_proto::im;
use rand::{RngExt as _, rngs::StdRng};

use crate::net::{Millis, Weather};

/// More than any group of a run has.
pub(crate) const MANY_MEMBERS: usize = 100;

/// A mistake built in on purpose: the simulator has to find each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The server acknowledges before it commits.
    AckBeforeCommit,
    /// The server takes every retry for something new.
    NoDedupe,
    /// Fan-out knows no floors, and nobody who has left.
    NoFloors,
    /// A device's database is not atomic: it keeps which parts are known, and loses the events.
    TornWrites,
    /// A sync leaves out a conversation that changed.
    PartialSync,
    /// An outbox takes whatever comes.
    NoLimits,
    /// The server says that nothing was stored, and has stored it.
    RefusedButKept,
    /// A replayed flight of early data takes over from the device's session.
    ReplayTakesOver,
    /// A device takes nothing in that the user log says.
    DeafToUserLog,
    /// A sync answers with as little as it may, whatever the budget.
    StingySync,
    /// A sync counts one message too many.
    Miscounts,
    /// The server confirms read cursors, and keeps the first event only.
    LosesReads,
    /// A device's database keeps the first version of each event, though it was erased since.
    KeepsErased,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Devices of each user.
    pub(crate) devices: Vec<usize>,
    /// Things that users do.
    pub(crate) actions: u32,
    /// Time between two of them, at most.
    pub(crate) pause_ms: Millis,
    pub(crate) weather: Weather,
    /// Chance of a fault with each action, in percent.
    pub(crate) faults: u8,
    /// Chance of a crash at each point where one is looked for, in a thousand.
    pub(crate) crashes: u32,
    /// Outboxes of the server.
    pub(crate) limits: Limits,
    /// Time between two writes of a slow session; 0: none is slow.
    pub(crate) slow_ms: Millis,
    /// Bytes of one repair.
    pub(crate) repair_bytes: usize,
    /// Groups with more members get head bumps.
    pub(crate) push_members: usize,
    /// What devices ask of a sync: top, per_conv, budget.
    pub(crate) sync: im::Sync,
    /// The store is a file.
    pub(crate) file: bool,
    /// One device stops reading while somebody writes much.
    pub(crate) flood: bool,
}

impl Plan {
    pub(crate) fn of(rng: &mut StdRng) -> Self {
        let users = rng.random_range(2..=4_usize);
        let devices = (0..users).map(|_| rng.random_range(1..=3)).collect();
        let rough = rng.random_bool(0.5);
        let most = rng.random_range(20..300);
        let weather = Weather {
            loss: rng.random_range(0..20),
            duplicates: if rough { rng.random_range(0..15) } else { 0 },
            delay_ms: (1, most),
            streams: !rough,
        };
        Self {
            devices,
            actions: rng.random_range(40..140),
            pause_ms: rng.random_range(20..400),
            weather,
            faults: rng.random_range(0..25),
            crashes: if rng.random_bool(0.7) { rng.random_range(1..25) } else { 0 },
            limits: limits(rng),
            slow_ms: if rng.random_bool(0.5) { rng.random_range(20..500) } else { 0 },
            repair_bytes: if rng.random_bool(0.5) { rng.random_range(1..2000) } else { 48 * 1024 },
            push_members: if rng.random_bool(0.2) { 2 } else { MANY_MEMBERS },
            sync: sync(rng),
            file: rng.random_range(0..8) == 0,
            flood: rng.random_range(0..5) == 0,
        }
    }
}

/// Half of the runs have outboxes that are always full.
fn limits(rng: &mut StdRng) -> Limits {
    let control_bytes = 1024 * 1024;
    if rng.random_bool(0.5) {
        return Limits { control_bytes, ..Limits::default() };
    }
    Limits {
        control_bytes,
        event_bytes: rng.random_range(100..4000),
        user_bytes: rng.random_range(50..500),
        // Of replies, too: fewer than a device asks for at once would have it sent away for ever.
        frames: rng.random_range(40..80),
        hints: rng.random_range(1..4),
        dirty: rng.random_range(1..5),
    }
}

/// Half of the runs catch up in small bites.
fn sync(rng: &mut StdRng) -> im::Sync {
    if rng.random_bool(0.5) {
        return im::Sync::default();
    }
    im::Sync {
        top: rng.random_range(0..4),
        per_conv: rng.random_range(0..6),
        budget: rng.random_range(0..4000),
        ..im::Sync::default()
    }
}
