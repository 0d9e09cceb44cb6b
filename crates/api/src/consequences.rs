//! What follows from a change of an organisation that is stored: which API keys are good, and what is told to whoever keeps
//! something open. [`crate::changes`] carries it out. Not here: what may happen, and what is stored.
//!
//! Invariant: every change, every outcome and every subject is named, none is "all others". Whoever adds one cannot compile
//! before saying what follows: where the end of a seat is not told, its chat and its calls stay open.

use convene_accounts::apikey::{ApiKey, KeyId};
use convene_store::orgs::{Change as Stored, Op, Outcome, Seat};
use convene_types::{AccountId, OrgId, UserId};

use crate::changes::Change;

/// What becomes of the keys that are known in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Nothing.
    Same,
    /// One more is good.
    Insert(ApiKey),
    /// One is good no more.
    Remove(KeyId),
    /// None of the organisation's is.
    RemoveAll,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// Nothing.
    Nothing,
    /// This.
    Now(Change),
    /// What the seat of this member has become, which is read for it.
    OfSeat(AccountId, Part),
}

/// Of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What somebody may do.
    Role,
    /// What others see.
    Profile,
}

impl Part {
    /// What is told of it.
    pub(crate) const fn told(self, seat: &Seat) -> Change {
        let Seat { org, account, user, role, depts: _ } = *seat;
        match self {
            Self::Role => Change::Role { org, account, user, role },
            Self::Profile => Change::Profile { org, account, user },
        }
    }
}

/// What a change is about, as far as its outcome does not say it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    /// Whose seat is taken.
    Removed(AccountId),
    /// Who may do something else.
    Role(AccountId),
    /// Who is seen as something else.
    Edited(AccountId),
    /// The key, if it is the one that is made.
    KeyMade(ApiKey),
    /// Which key.
    KeyEnded(KeyId),
    /// The tree.
    Departments,
    /// Nothing more: what follows is in the outcome, or nothing does.
    Outcome,
}

impl About {
    /// Of what is about to be stored.
    pub(crate) const fn of(op: &Op) -> Self {
        match &op.change {
            Stored::Remove { account } => Self::Removed(*account),
            Stored::SetRole { account, role: _ } => Self::Role(*account),
            Stored::Edit { account, edit: _ } => Self::Edited(*account),
            Stored::MakeKey { id, scopes, title: _ } => Self::KeyMade(ApiKey { id: *id, org: op.org, scopes: *scopes }),
            Stored::EndKey { id } => Self::KeyEnded(*id),
            Stored::ChangeDepartment { .. } => Self::Departments,
            // The outcome says who, or that it is the whole organisation.
            Stored::Found { .. } | Stored::Join(_) | Stored::Decide { .. } | Stored::DecideEdit { .. } => Self::Outcome,
            Stored::Dissolve | Stored::SetPolicy { .. } => Self::Outcome,
            // Nobody keeps open what hangs on these.
            Stored::Rename { .. } | Stored::Invite { .. } | Stored::Withdraw { .. } => Self::Outcome,
            Stored::AddDepartment { .. } | Stored::RemoveDepartment { .. } => Self::Outcome,
            Stored::AddPosition { .. } | Stored::ChangePosition { .. } | Stored::RemovePosition { .. } => Self::Outcome,
            Stored::MakeWebhook { .. } | Stored::EndWebhook { .. } | Stored::ReadAccesses { .. } => Self::Outcome,
        }
    }
}

/// What follows in `org` from a change about this with this outcome.
pub(crate) fn consequences(org: OrgId, about: About, outcome: Outcome) -> (Keys, Tell) {
    match outcome {
        Outcome::Joined { org, account, user } => now(Change::Joined { org, account, user }),
        Outcome::Removed(user) => removed(org, about, user),
        Outcome::Changed(account) => (Keys::Same, Tell::OfSeat(account, Part::Profile)),
        Outcome::Edited(_) => edited(about),
        Outcome::Dissolved => (Keys::RemoveAll, Tell::Now(Change::Dissolved { org })),
        Outcome::Policy(_) => now(Change::Policy { org }),
        Outcome::Key(id) => (made(about, id), Tell::Nothing),
        Outcome::Done => done(org, about),
        Outcome::Asked(_) | Outcome::Invited(_) | Outcome::Department(_) | Outcome::Position(_) => NOTHING,
        Outcome::Webhook(_) => NOTHING,
    }
}

const NOTHING: (Keys, Tell) = (Keys::Same, Tell::Nothing);

const fn now(change: Change) -> (Keys, Tell) {
    (Keys::Same, Tell::Now(change))
}

fn removed(org: OrgId, about: About, user: UserId) -> (Keys, Tell) {
    match about {
        About::Removed(account) => now(Change::Removed { org, account, user }),
        // The store answers these otherwise.
        About::Role(_) | About::Edited(_) | About::Departments | About::Outcome => NOTHING,
        About::KeyMade(_) | About::KeyEnded(_) => NOTHING,
    }
}

/// Something of it may have been done, and something may wait.
const fn edited(about: About) -> (Keys, Tell) {
    match about {
        About::Edited(account) => (Keys::Same, Tell::OfSeat(account, Part::Profile)),
        // The store answers these otherwise.
        About::Removed(_) | About::Role(_) | About::Departments | About::Outcome => NOTHING,
        About::KeyMade(_) | About::KeyEnded(_) => NOTHING,
    }
}

fn made(about: About, id: KeyId) -> Keys {
    match about {
        About::KeyMade(key) if key.id == id => Keys::Insert(key),
        // Another id is that of the first request of several: that one has put it there.
        About::KeyMade(_) => Keys::Same,
        // The store answers these otherwise.
        About::Removed(_) | About::Role(_) | About::Edited(_) | About::KeyEnded(_) => Keys::Same,
        About::Departments | About::Outcome => Keys::Same,
    }
}

const fn done(org: OrgId, about: About) -> (Keys, Tell) {
    match about {
        About::Role(account) => (Keys::Same, Tell::OfSeat(account, Part::Role)),
        About::KeyEnded(id) => (Keys::Remove(id), Tell::Now(Change::KeyEnded { org, id })),
        About::Departments => now(Change::Departments { org }),
        About::Outcome => NOTHING,
        // The store answers these otherwise.
        About::Removed(_) | About::Edited(_) | About::KeyMade(_) => NOTHING,
    }
}

#[cfg(test)]
mod tests {
    use convene_accounts::apikey::KeyScopes;
    use convene_accounts::invitation::LinkHash;
    use convene_accounts::policy::Policy;
    use convene_accounts::profile::Edit;
    use convene_accounts::role::Role;
    use convene_accounts::webhook::Kinds;
    use convene_store::orgs::{Invited, JoinBy};
    use convene_types::{DeptId, InviteId, PositionId};

    use super::*;

    const ORG: OrgId = OrgId(1);
    const ACCOUNT: AccountId = AccountId(2);
    const USER: UserId = UserId(3);
    const KEY: KeyId = KeyId([4; 16]);
    const DEPT: DeptId = DeptId(5);
    const REQUEST: InviteId = InviteId(6);
    const POSITION: PositionId = PositionId(7);

    fn after(change: Stored, outcome: Outcome) -> (Keys, Tell) {
        let op = Op { org: ORG, by: AccountId(9), address: String::new(), change, once: None };
        consequences(op.org, About::of(&op), outcome)
    }

    fn make_key() -> Stored {
        Stored::MakeKey { id: KEY, title: String::new(), scopes: KeyScopes::ROOMS }
    }

    fn edit() -> Stored {
        Stored::Edit { account: ACCOUNT, edit: Edit::default() }
    }

    #[test]
    fn what_is_told_follows_from_change_and_outcome() {
        let (org, account, user, request, yes) = (ORG, ACCOUNT, USER, REQUEST, true);
        let (name, rank) = (String::new(), 0);
        // Found and Join do not know where yet.
        let elsewhere = Outcome::Joined { org: OrgId(8), account, user };
        let came = now(Change::Joined { org: OrgId(8), account, user });
        let here = Outcome::Joined { org, account, user };
        let seen = (Keys::Same, Tell::OfSeat(account, Part::Profile));
        let found = Stored::Found { name: name.clone(), title: name.clone(), owner: account };
        let moved = Stored::ChangeDepartment { id: DEPT, parent: DEPT, name, rank };
        let policy = Stored::SetPolicy { policy: Policy::default(), version: 1 };
        let rows = [
            (found, elsewhere, came.clone()),
            (Stored::Join(JoinBy::Number(request)), elsewhere, came),
            (Stored::Join(JoinBy::Number(request)), Outcome::Asked(request), NOTHING),
            (Stored::Decide { request, yes }, here, now(Change::Joined { org, account, user })),
            (Stored::Decide { request, yes: false }, Outcome::Done, NOTHING),
            (Stored::Remove { account }, Outcome::Removed(user), now(Change::Removed { org, account, user })),
            (Stored::Dissolve, Outcome::Dissolved, (Keys::RemoveAll, Tell::Now(Change::Dissolved { org }))),
            (
                Stored::SetRole { account, role: Role::Owner },
                Outcome::Done,
                (Keys::Same, Tell::OfSeat(account, Part::Role)),
            ),
            (edit(), Outcome::Edited(None), seen.clone()),
            (edit(), Outcome::Edited(Some(request)), seen.clone()),
            (Stored::DecideEdit { request, yes }, Outcome::Changed(account), seen),
            (Stored::DecideEdit { request, yes: false }, Outcome::Done, NOTHING),
            (moved, Outcome::Done, now(Change::Departments { org })),
            (policy, Outcome::Policy(2), now(Change::Policy { org })),
        ];
        for (change, outcome, expected) in rows {
            let row = format!("{change:?} {outcome:?}");
            assert_eq!(after(change, outcome), expected, "{row}");
        }
    }

    #[test]
    fn keys_are_good_as_long_as_the_store_says() {
        let (org, id) = (ORG, KEY);
        let good = Keys::Insert(ApiKey { id, org, scopes: KeyScopes::ROOMS });
        assert_eq!(after(make_key(), Outcome::Key(id)), (good, Tell::Nothing));
        // Said again: the first request has put another one there, which may have ended since.
        assert_eq!(after(make_key(), Outcome::Key(KeyId([8; 16]))), NOTHING);
        let ended = (Keys::Remove(id), Tell::Now(Change::KeyEnded { org, id }));
        assert_eq!(after(Stored::EndKey { id }, Outcome::Done), ended);
    }

    #[test]
    fn of_the_rest_nothing_is_told() {
        let (name, rank, title) = (String::new(), 0, String::new());
        let whom = Invited::Link { hash: LinkHash([0; 32]), uses: 1 };
        let rows = [
            (Stored::Rename { title }, Outcome::Done),
            (Stored::AddDepartment { parent: DEPT, name: name.clone(), rank }, Outcome::Department(DEPT)),
            (Stored::RemoveDepartment { id: DEPT }, Outcome::Done),
            (Stored::AddPosition { name: name.clone(), rank }, Outcome::Position(POSITION)),
            (Stored::ChangePosition { id: POSITION, name, rank }, Outcome::Done),
            (Stored::RemovePosition { id: POSITION }, Outcome::Done),
            (Stored::Invite { whom, sealed: None, dept: DEPT, ask: false, valid_for_s: 1 }, Outcome::Invited(REQUEST)),
            (Stored::Withdraw { id: REQUEST }, Outcome::Done),
            (Stored::MakeWebhook { url: String::new(), key: KEY, kinds: Kinds::default() }, Outcome::Webhook(1)),
            (Stored::EndWebhook { id: 1 }, Outcome::Done),
            (Stored::ReadAccesses { account: None }, Outcome::Done),
        ];
        for (change, outcome) in rows {
            let row = format!("{change:?} {outcome:?}");
            assert_eq!(after(change, outcome), NOTHING, "{row}");
        }
    }

    #[test]
    fn an_answer_to_another_question_moves_nothing() {
        let others = [Outcome::Removed(USER), Outcome::Edited(None), Outcome::Key(KEY)];
        for outcome in others {
            assert_eq!(after(Stored::Dissolve, outcome), NOTHING);
            assert_eq!(after(Stored::SetRole { account: ACCOUNT, role: Role::Member }, outcome), NOTHING);
        }
        for change in [Stored::Remove { account: ACCOUNT }, edit(), make_key()] {
            assert_eq!(after(change, Outcome::Done), NOTHING);
        }
    }

    #[test]
    fn what_is_told_of_a_seat_is_what_it_is() {
        let (org, account, user, role) = (ORG, ACCOUNT, USER, Role::Owner);
        let seat = Seat { org, account, user, role, depts: vec![DEPT] };
        assert_eq!(Part::Role.told(&seat), Change::Role { org, account, user, role });
        assert_eq!(Part::Profile.told(&seat), Change::Profile { org, account, user });
    }
}
