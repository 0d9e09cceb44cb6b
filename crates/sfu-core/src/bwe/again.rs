//! What should be sent again without being asked for: feedback tells what is missing, and, by not coming, what may be.

use super::late::Late;
use super::ledger::{Ledger, Origin, Packet};
use super::silence::Silence;

/// Packets that one feedback may tell to be missing and that are looked at: more are a path that is down.
const MAX_MISSING: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// What the last feedback told to be missing.
    missing: Vec<Origin>,
    late: Late,
    silence: Silence,
}

impl Again {
    /// Feedback tells that a packet has not arrived.
    pub(super) fn missing(&mut self, packet: &Packet) {
        self.late.missing();
        if packet.origin.track().is_some() && self.missing.len() < MAX_MISSING {
            self.missing.push(packet.origin);
        }
    }

    /// One of those has.
    pub(super) fn came(&mut self) {
        self.late.came();
    }

    /// Feedback was read; the newest packet that ever arrived was sent at `newest_us`.
    pub(super) fn heard(&mut self, now_us: i64, newest_us: i64) {
        self.silence.broken(now_us, newest_us);
    }

    /// What the last feedback told to be missing, where that is likely to be lost; once.
    pub(super) fn take_missing(&mut self) -> Vec<Origin> {
        let missing = std::mem::take(&mut self.missing);
        if self.late.is_usual() { Vec::new() } else { missing }
    }

    /// What the client should have told of by now, where its feedback does not come; each packet once.
    pub(super) fn take_overdue(&self, now_us: i64, ledger: &mut Ledger) -> Vec<Origin> {
        let mut overdue = Vec::new();
        if let Some(sent_until_us) = self.silence.overdue(now_us) {
            ledger.unanswered(sent_until_us, |origin| overdue.push(origin));
        }
        overdue
    }
}
