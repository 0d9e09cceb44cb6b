//! What is not kept: of a log in which nobody looks further up only its newest part, so that a program that runs for months
//! does not hold all that it was ever told. What is let go of can be asked for again.

use convene_types::Seq;

use super::Conversation;
use crate::replica::Change;

/// Newest events of a conversation that are kept, here and in the client's database. At twice as many the others go, unless
/// somebody has asked for older ones since the start. Each takes some hundred bytes of memory.
pub const KEPT: u64 = 5_000;

impl Conversation {
    /// Lets go of all but the newest events, if there are many more.
    pub(in crate::replica) fn let_go(&mut self) {
        let window = self.newest();
        let (from, to) = (window.from, window.to);
        if !self.scrolled && to.0.saturating_sub(from.0) >= 2 * KEPT {
            // Which erasures are known stays known: a page may be under way that was read before one.
            self.forget(Seq(to.0 - KEPT));
        }
    }

    /// Forgets all events up to this one, here and in the client's database.
    pub(super) fn forget(&mut self, up_to: Seq) {
        self.events = self.events.split_off(&up_to.next());
        self.spans.trim(up_to);
        self.index.trim(up_to);
        self.changes.push(Change::Hidden(self.conv, up_to));
    }
}
