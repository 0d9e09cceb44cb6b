//! What a run answers: how much happened in it, or which invariant does not hold.

use std::fmt;

/// The invariants of the chat design, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the design names them")]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
    I13,
    I14,
    I15,
    I16,
    I17,
    /// The store failed where nothing made it fail, or a log is not what its own events say.
    Store,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// Of which run.
    pub seed: u64,
    /// After so many steps of it.
    pub step: u64,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, seed, step, detail } = self;
        writeln!(f, "{invariant} does not hold in seed {seed} at step {step}: {detail}")?;
        write!(
            f,
            "repeat it with: CONVENE_TEST_TRACE=1 CONVENE_TEST_SEED={seed} \
             cargo test --release -p convene-sim --test seeds one_seed -- --nocapture"
        )
    }
}

impl std::error::Error for Violation {}

/// How much happened in a run that went well. Equal for equal seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps of the simulation.
    pub steps: u64,
    /// Events in all logs.
    pub events: u64,
    /// Batches that the store took, and those it was made to fail.
    pub commits: u64,
    /// See `commits`.
    pub failures: u64,
    /// Crashes of the server.
    pub server_crashes: u64,
    /// Crashes of devices.
    pub device_crashes: u64,
    /// Repairs of outboxes that were full.
    pub repairs: u64,
    /// Sessions that were sent away because they were too slow.
    pub too_slow: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Pages fetched.
    pub fetches: u64,
    /// Sends that were refused for good.
    pub refused: u64,
    /// Flights of early data that were replayed.
    pub replays: u64,
    /// Bodies that were erased.
    pub erased: u64,
    /// Texts that were erased and are still in the file, in space that is not in use: see `verdict`.
    pub leftovers: u64,
    /// A hash over all logs, as every device has them at the end.
    pub digest: u64,
}

/// A check that failed, before it is known where.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) detail: String,
}

/// What a check answers.
pub(crate) type Check<T = ()> = Result<T, Broken>;

/// Answers a [`Broken`] unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $invariant:ident, $($detail:tt)+) => {
        if !$holds {
            return Err($crate::report::Broken {
                invariant: $crate::report::Invariant::$invariant,
                detail: format!($($detail)+),
            });
        }
    };
}
pub(crate) use ensure;

impl From<convene_store::StoreError> for Broken {
    fn from(error: convene_store::StoreError) -> Self {
        Self { invariant: Invariant::Store, detail: error.to_string() }
    }
}

impl From<convene_im_core::model::Refusal> for Broken {
    fn from(refusal: convene_im_core::model::Refusal) -> Self {
        Self { invariant: Invariant::Store, detail: format!("refused: {refusal}") }
    }
}
