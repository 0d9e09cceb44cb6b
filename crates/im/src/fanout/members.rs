//! Member lists of the conversations a shard works on, with each member's floor: loaded from the store once, kept right by
//! the events, dropped when there are too many.

use std::sync::Arc;

use convene_types::{ConvId, Seq, UserId};
use rustc_hash::FxHashMap;

/// Members of all lists of all shards together: 16 bytes each.
const MAX_CACHED_MEMBERS: usize = 2_000_000;
/// What a list costs besides its members, in members.
const LIST_COST: usize = 8;

/// A list in ascending order of users.
pub(super) type List = Arc<Vec<(UserId, Seq)>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Lists {
    lists: FxHashMap<ConvId, Entry>,
    cost: usize,
    max_cost: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    list: List,
    used: u64,
}

impl Lists {
    /// For one of so many shards.
    pub(super) fn new(shards: usize) -> Self {
        let max_cost = MAX_CACHED_MEMBERS / shards.max(1);
        Self { lists: FxHashMap::default(), cost: 0, max_cost, clock: 0 }
    }

    /// The list of a conversation, if it is here.
    pub(super) fn get(&mut self, conv: ConvId) -> Option<List> {
        self.clock += 1;
        let entry = self.lists.get_mut(&conv)?;
        entry.used = self.clock;
        Some(Arc::clone(&entry.list))
    }

    /// As the store has it.
    pub(super) fn put(&mut self, conv: ConvId, mut members: Vec<(UserId, Seq)>) {
        members.sort_unstable();
        self.clock += 1;
        let entry = Entry { list: Arc::new(members), used: self.clock };
        self.cost += cost(&entry);
        if let Some(before) = self.lists.insert(conv, entry) {
            self.cost -= cost(&before);
        }
        if self.cost > self.max_cost {
            self.shrink(conv);
        }
    }

    /// What an event says of joins. Said again it changes nothing: a list that was loaded later knows it already.
    pub(super) fn add(&mut self, conv: ConvId, added: &[(UserId, Seq)]) {
        let Some(entry) = self.lists.get_mut(&conv).filter(|_| !added.is_empty()) else { return };
        self.cost -= cost(entry);
        let list = Arc::make_mut(&mut entry.list);
        for (user, floor) in added {
            match list.binary_search_by_key(user, |(user, _)| *user) {
                Ok(at) => list.get_mut(at).into_iter().for_each(|member| member.1 = *floor),
                Err(at) => list.insert(at, (*user, *floor)),
            }
        }
        self.cost += cost(entry);
    }

    /// What an event says of leaves.
    pub(super) fn remove(&mut self, conv: ConvId, removed: &[UserId]) {
        let Some(entry) = self.lists.get_mut(&conv).filter(|_| !removed.is_empty()) else { return };
        self.cost -= cost(entry);
        Arc::make_mut(&mut entry.list).retain(|(user, _)| !removed.contains(user));
        self.cost += cost(entry);
    }

    /// Drops the lists that were not used for longest, down to three quarters, but never the one that has just come.
    fn shrink(&mut self, keep: ConvId) {
        let mut by_use: Vec<_> = self.lists.iter().map(|(conv, entry)| (entry.used, *conv)).collect();
        by_use.sort_unstable();
        for (_, conv) in by_use.into_iter().filter(|(_, conv)| *conv != keep) {
            if self.cost <= self.max_cost / 4 * 3 {
                break;
            }
            if let Some(entry) = self.lists.remove(&conv) {
                self.cost -= cost(&entry);
            }
        }
    }
}

fn cost(entry: &Entry) -> usize {
    entry.list.len() + LIST_COST
}

/// The floor of a user, if they are on the list.
pub(super) fn floor(list: &[(UserId, Seq)], user: UserId) -> Option<Seq> {
    let at = list.binary_search_by_key(&user, |(user, _)| *user).ok()?;
    list.get(at).map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u64, floor: u64) -> (UserId, Seq) {
        (UserId(id), Seq(floor))
    }

    #[test]
    fn events_keep_a_list_right() {
        let (mut lists, conv) = (Lists::new(1), ConvId(7));
        lists.add(conv, &[user(1, 0)]);
        assert_eq!(lists.get(conv), None, "what is not loaded is not begun");
        lists.put(conv, vec![user(3, 0), user(1, 0)]);
        lists.add(conv, &[user(2, 9), user(3, 9)]);
        assert_eq!(*lists.get(conv).unwrap(), [user(1, 0), user(2, 9), user(3, 9)]);
        lists.remove(conv, &[UserId(3), UserId(8)]);
        assert_eq!(*lists.get(conv).unwrap(), [user(1, 0), user(2, 9)]);
        assert_eq!(floor(&lists.get(conv).unwrap(), UserId(2)), Some(Seq(9)));
        assert_eq!(floor(&lists.get(conv).unwrap(), UserId(3)), None);
    }

    #[test]
    fn the_least_used_go_first_and_the_count_stays_right() {
        let mut lists = Lists::new(MAX_CACHED_MEMBERS / 100);
        for conv in 1..=5 {
            lists.put(ConvId(conv), vec![user(1, 0), user(2, 0)]);
            lists.get(ConvId(1)).unwrap();
        }
        for conv in 6..=20 {
            lists.put(ConvId(conv), vec![user(1, 0), user(2, 0)]);
            lists.get(ConvId(1)).unwrap();
        }
        assert!(lists.get(ConvId(1)).is_some() && lists.get(ConvId(20)).is_some() && lists.get(ConvId(2)).is_none());
        assert_eq!(lists.cost, lists.lists.len() * (2 + LIST_COST));
        assert!(lists.cost <= lists.max_cost);
    }
}
