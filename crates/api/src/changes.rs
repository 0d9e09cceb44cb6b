//! What has changed about people in organisations, told to whoever keeps something open for them: chat connections, seats
//! in rooms, lists of members. A hint that comes within a moment of the commit; the store is the truth.

use std::collections::VecDeque;

use convene_accounts::Refusal;
use convene_accounts::apikey::KeyId;
use convene_accounts::role::Role;
use convene_store::orgs::{Op, Outcome};
use convene_types::{AccountId, OrgId, UserId};
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::Inner;
use crate::consequences::{About, Keys, Tell, consequences};
use crate::owed::Notice;

/// Changes that one listener may be behind with. A department of this size that is moved is told in one go.
const MAX_BEHIND: usize = 4_096;

/// Ends of seats that are remembered for listeners who have missed some: 3 MB. Who has missed more of them does not hear of
/// the first ones.
const MAX_ENDS: usize = 65_536;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Somebody has a seat in an organisation.
    Joined {
        /// Where.
        org: OrgId,
        /// Who.
        account: AccountId,
        /// As this user of chat.
        user: UserId,
    },
    /// Somebody has none any more: removed, left, or the account has ended. What they have open in there is to be closed.
    Removed {
        /// Where.
        org: OrgId,
        /// Who.
        account: AccountId,
        /// As this user of chat.
        user: UserId,
    },
    /// Somebody may do something else.
    Role {
        /// Where.
        org: OrgId,
        /// Who.
        account: AccountId,
        /// As this user of chat.
        user: UserId,
        /// From now on.
        role: Role,
    },
    /// What others see of somebody is another: name, departments, positions, another field.
    Profile {
        /// Where.
        org: OrgId,
        /// Who.
        account: AccountId,
        /// As this user of chat.
        user: UserId,
    },
    /// An organisation has ended: nobody has a seat in it any more.
    Dissolved {
        /// Which.
        org: OrgId,
    },
    /// Departments of an organisation stand elsewhere in its tree.
    Departments {
        /// Which.
        org: OrgId,
    },
    /// An organisation has another policy.
    Policy {
        /// Which.
        org: OrgId,
    },
    /// An API key is good no more: who came in with it is to be sent away.
    KeyEnded {
        /// Whose.
        org: OrgId,
        /// Which.
        id: KeyId,
    },
}

impl Change {
    /// Whether somebody had a seat before it and has none after it.
    const fn ends_seats(&self) -> bool {
        match self {
            Self::Removed { .. } | Self::Dissolved { .. } => true,
            Self::Joined { .. } | Self::Role { .. } | Self::Profile { .. } => false,
            // Whoever came in with a key is found by it: see `Keyring`.
            Self::Departments { .. } | Self::Policy { .. } | Self::KeyEnded { .. } => false,
        }
    }
}

pub(crate) struct Changes {
    tell: broadcast::Sender<Change>,
    /// The latest ends of seats, the last one last.
    ends: Mutex<VecDeque<Change>>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { tell: broadcast::channel(MAX_BEHIND).0, ends: Mutex::default() }
    }
}

impl Changes {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.tell.subscribe()
    }

    pub(crate) fn tell(&self, change: Change) {
        // Remembered first: who misses it looks afterwards.
        if change.ends_seats() {
            let mut ends = self.ends.lock();
            if ends.len() >= MAX_ENDS {
                ends.pop_front();
            }
            ends.push_back(change.clone());
        }
        // An error says that nobody listens.
        let _ = self.tell.send(change);
    }

    /// See [`crate::Api::latest_ends`].
    pub(crate) fn latest_ends(&self) -> Vec<Change> {
        self.ends.lock().iter().cloned().collect()
    }
}

impl Inner {
    /// Changes something about an organisation, and tells of it.
    pub(crate) async fn change(&self, op: Op) -> Result<Outcome, Refusal> {
        let (org, about) = (op.org, About::of(&op));
        let outcome = self.store.org(op).await?;
        let (keys, tell) = consequences(org, about, outcome);
        // Keys first: whoever is told of them asks whether they are good.
        self.turn(org, keys);
        match tell {
            Tell::Nothing => {}
            Tell::Now(change) => self.changes.tell(change),
            Tell::OfSeat(account, part) => {
                let notice = Notice { org, account, part };
                // The change is made: a store that is too busy to read for the notice does not turn it into a refusal.
                if self.tell_of_seat(notice).await.is_err() {
                    self.owed.put(notice);
                }
            }
        }
        Ok(outcome)
    }

    /// The keys that are good are known in memory.
    fn turn(&self, org: OrgId, keys: Keys) {
        match keys {
            Keys::Same => {}
            Keys::Insert(key) => self.keyring.insert(key),
            Keys::Remove(id) => self.keyring.remove(id),
            Keys::RemoveAll => self.keyring.remove_org(org),
        }
    }

    /// What others see of somebody is another thing in these seats.
    pub(crate) fn tell_shown(&self, account: AccountId, seats: Vec<(OrgId, UserId)>) {
        for (org, user) in seats {
            self.changes.tell(Change::Profile { org, account, user });
        }
    }

    /// What it is by now. Refused: the store is busy, and nothing was told.
    pub(crate) async fn tell_of_seat(&self, Notice { org, account, part }: Notice) -> Result<(), Refusal> {
        // None: gone again by now, which was told.
        if let Some(seat) = self.store.ask(move |reader| reader.seat(org, account)).await? {
            self.changes.tell(part.told(&seat));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_ends_are_remembered() {
        let changes = Changes::default();
        let removed = |user: usize| {
            let user = u64::try_from(user).unwrap();
            Change::Removed { org: OrgId(1), account: AccountId(user), user: UserId(user) }
        };
        for user in 0..=MAX_ENDS {
            changes.tell(removed(user));
            changes.tell(Change::Policy { org: OrgId(1) });
        }
        changes.tell(Change::Dissolved { org: OrgId(1) });
        let ends = changes.latest_ends();
        assert_eq!((ends.len(), &ends[0]), (MAX_ENDS, &removed(2)));
        assert_eq!(ends.last(), Some(&Change::Dissolved { org: OrgId(1) }));
    }
}
