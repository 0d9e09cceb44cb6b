//! Whether there is room for another upload, and which of the user's make some: those that were given up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use convene_im_core::model::Refusal;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::OwnedMutexGuard;

use super::{Content, Entries, Entry, Id, Staged, Underway, ending};
use crate::ops::NewUpload;

/// What is under way without the content that is asked about.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::blobs) struct Announced {
    /// Uploads of the user.
    pub(in crate::blobs) uploads: usize,
    /// Their bytes.
    pub(in crate::blobs) own: u64,
    /// Bytes of all users.
    pub(in crate::blobs) all: u64,
}

impl Entry {
    /// Whether it counts against an upload of this content: it is of another one, and has not ended.
    fn is_beside(&self, new: Content) -> bool {
        self.content != new && !self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.has_ended())
    }
}

/// One that is being taken up has a place beside its entry until its row is written: it counts once.
fn announced(open: &Entries, new: Content) -> Announced {
    let mut sizes = FxHashMap::default();
    for entry in open.values().filter(|entry| entry.is_beside(new)) {
        let size: &mut u64 = sizes.entry(entry.content).or_default();
        *size = entry.size.max(*size);
    }
    let mut announced = Announced::default();
    for (content, size) in sizes {
        announced.all = announced.all.saturating_add(size);
        if content.user == new.user {
            announced.own = announced.own.saturating_add(size);
            announced.uploads += 1;
        }
    }
    announced
}

impl Announced {
    /// Without one of the user's.
    fn without(self, size: u64) -> Self {
        let (own, all) = (self.own.saturating_sub(size), self.all.saturating_sub(size));
        Self { uploads: self.uploads.saturating_sub(1), own, all }
    }
}

/// Ends as many of the user's uploads as `admit` asks for, those first that rest the longest; none, if all of them would not
/// do. None is ended that somebody works on, takes up, or has worked on in the last `idle`. One of this very content that has
/// ended has to be gone first: its row would be found, and taken away.
pub(super) fn make(
    open: &Entries,
    new: &NewUpload,
    idle: Duration,
    admit: impl Fn(Announced) -> Result<(), Refusal>,
) -> Result<Vec<Id>, Refusal> {
    let content = Content::of(new);
    if open.values().any(|entry| entry.content == content && entry.has_ended()) {
        return Err(ending());
    }
    let mut left = announced(open, content);
    let Err(refusal) = admit(left) else { return Ok(Vec::new()) };
    let own = open.iter().filter(|(_, entry)| entry.content.user == new.user && entry.is_beside(content));
    let taken_up: FxHashSet<_> =
        open.values().filter(|entry| entry.slot.is_none()).map(|entry| entry.content).collect();
    let own = own.filter(|(_, entry)| !taken_up.contains(&entry.content));
    // None of them is taken up before it is known which end.
    let mut resting: Vec<_> =
        own.filter_map(|(id, entry)| Some((entry.slot.as_ref()?.resting(idle)?, *id, entry.size))).collect();
    resting.sort_unstable_by_key(|(resting, id, _)| (resting.staged.touched, *id));
    let enough = resting.iter().position(|(_, _, size)| {
        left = left.without(*size);
        admit(left).is_ok()
    });
    resting.truncate(enough.map_or(0, |last| last + 1));
    if resting.is_empty() {
        return Err(refusal);
    }
    Ok(resting.into_iter().map(|(resting, id, _)| resting.end(id)).collect())
}

/// An upload that nobody works on, and nobody can while this is there.
struct Resting<'a> {
    slot: &'a Underway,
    staged: OwnedMutexGuard<Staged>,
    _turn: OwnedMutexGuard<()>,
}

impl Resting<'_> {
    fn end(self, id: Id) -> Id {
        self.slot.ended.store(true, Ordering::Release);
        id
    }
}

impl Underway {
    /// `None`: somebody works on it, or has in the last `idle`.
    fn resting(&self, idle: Duration) -> Option<Resting<'_>> {
        let staged =
            Arc::clone(&self.staged).try_lock_owned().ok().filter(|staged| staged.touched.elapsed() >= idle)?;
        Some(Resting { slot: self, staged, _turn: self.turn()? })
    }
}
