//! What has changed about people in organisations, told to whoever keeps something open for them: chat connections, seats
//! in rooms, lists of members. A hint that comes within a moment of the commit; the store is the truth.

use convene_accounts::Refusal;
use convene_accounts::role::Role;
use convene_store::orgs::{self, Op, Outcome};
use convene_types::{AccountId, OrgId, UserId};
use tokio::sync::broadcast;

use crate::Inner;

/// Changes that one listener may be behind with. A department of this size that is moved is told in one go.
const MAX_BEHIND: usize = 4_096;

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
}

pub(crate) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(MAX_BEHIND).0)
    }
}

impl Changes {
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, change: Change) {
        // An error says that nobody listens.
        let _ = self.0.send(change);
    }
}

impl Inner {
    /// Changes something about an organisation, and tells of it.
    pub(crate) async fn change(&self, op: Op) -> Result<Outcome, Refusal> {
        let org = op.org;
        let (mut removed, mut role, mut edited) = (None, None, None);
        if let orgs::Change::Remove { account } = &op.change {
            removed = Some(*account);
        } else if let orgs::Change::SetRole { account, .. } = &op.change {
            role = Some(*account);
        } else if let orgs::Change::SetPlaces { account, .. } = &op.change {
            edited = Some(*account);
        }
        let outcome = self.store.org(op).await?;
        if let Outcome::Joined { org, user, account } = outcome {
            self.changes.tell(Change::Joined { org, account, user });
        }
        if let (Outcome::Removed(user), Some(account)) = (&outcome, removed) {
            self.changes.tell(Change::Removed { org, account, user: *user });
        }
        if let Some(account) = role.or(edited) {
            // Gone again by now: that was told.
            if let Some(seat) = self.store.ask(move |reader| reader.seat(org, account)).await? {
                let user = seat.user;
                self.changes.tell(match role {
                    Some(_) => Change::Role { org, account, user, role: seat.role },
                    None => Change::Profile { org, account, user },
                });
            }
        }
        Ok(outcome)
    }
}
