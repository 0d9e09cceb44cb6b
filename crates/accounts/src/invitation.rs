//! How people come into an organisation: an administrator who has their number invites it, or gives out a link, or says yes
//! to who asks. The store keeps the rows and asks here inside its transactions.
//!
//! Invariant: an invitation makes a plain member. Who may do more is named afterwards, by an owner.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use convene_types::{AccountId, DeptId, InviteId, OrgId};

use crate::error::{Code, Refusal};
use crate::role::{Act, Role};
use crate::vault::Lookup;

/// How long an invitation is good, unless said otherwise: a week.
pub const VALID_FOR_S: u64 = 7 * 24 * 60 * 60;
/// Longest that can be said: 90 days. A link that is forgotten must not stay open.
pub const MAX_VALID_FOR_S: u64 = 90 * 24 * 60 * 60;
/// People one link lets in at most.
pub const MAX_USES: u32 = 10_000;
/// Open invitations and requests of one organisation.
pub const MAX_OPEN: u64 = 100_000;

const PREFIX: &str = "cvi_";

/// Whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Whoever holds this number.
    Number(Lookup),
    /// Whoever has the link.
    Link {
        /// Of its secret.
        hash: LinkHash,
        /// How many more it lets in.
        left: u32,
    },
}

/// What is kept of a link's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkHash(pub [u8; 32]);

impl fmt::Debug for LinkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkHash(..)")
    }
}

/// The secret part of a link. `random` has to be.
#[must_use]
pub fn link_token(random: &[u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// What a link is found by. The secret is as long as a key, so a plain hash of it is enough.
pub fn link_hash(token: &str) -> Result<LinkHash, Refusal> {
    let coded = token.strip_prefix(PREFIX).filter(|coded| coded.len() == 43).ok_or(Code::InvitationEnded)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, coded.as_bytes()).as_ref());
    Ok(LinkHash(hash))
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InviteId,
    /// Into this organisation.
    pub org: OrgId,
    /// Whom it is for.
    pub whom: Whom,
    /// Where they will stand.
    pub dept: DeptId,
    /// Who comes by it has to be approved.
    pub ask: bool,
    /// Seconds since 1970 from which it is good no more.
    pub expires_s: u64,
    /// Taken back, or used up.
    pub ended: bool,
}

/// Who comes.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Of their number, which they have proved.
    pub lookup: Lookup,
    /// They are in the organisation.
    pub is_member: bool,
}

/// What coming leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// They are in. Write the invitation.
    In(Invitation),
    /// Somebody has to say yes. Write the invitation, and a request.
    Asked(Invitation),
}

/// Whether an invitation of these terms can be made.
pub fn check_terms(actor: Role, valid_for_s: u64, uses: u32) -> Result<(), Refusal> {
    actor.require(Act::ManageMembers)?;
    let good = (1..=MAX_VALID_FOR_S).contains(&valid_for_s) && (1..=MAX_USES).contains(&uses);
    if good { Ok(()) } else { Err(Code::BadValue.into()) }
}

/// Somebody comes by an invitation.
pub fn accept(invitation: &Invitation, guest: Guest, now_s: u64) -> Result<Entry, Refusal> {
    let good = !invitation.ended && now_s < invitation.expires_s;
    let next = match invitation.whom {
        Whom::Number(lookup) if good && lookup == guest.lookup => Invitation { ended: true, ..invitation.clone() },
        Whom::Link { hash, left } if good && left > 0 => {
            let left = left.saturating_sub(1);
            Invitation { whom: Whom::Link { hash, left }, ended: left == 0, ..invitation.clone() }
        }
        Whom::Number(_) | Whom::Link { .. } => return Err(Code::InvitationEnded.into()),
    };
    // Said only to who holds a good invitation.
    if guest.is_member {
        return Err(Code::AlreadyMember.into());
    }
    Ok(if invitation.ask { Entry::Asked(next) } else { Entry::In(next) })
}

/// How a request to be let in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has said anything.
    Open,
    /// In.
    Approved,
    /// Not in.
    Declined,
    /// Who asked has taken it back.
    Withdrawn,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Open, Self::Approved, Self::Declined, Self::Withdrawn];

    /// As stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Approved => 2,
            Self::Declined => 3,
            Self::Withdrawn => 4,
        }
    }

    /// The other way round.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// A row: somebody asks to be let in, or for a change of their profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub account: AccountId,
    /// How it stands.
    pub state: State,
}

/// Who says what to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// An administrator lets them.
    Yes(Role),
    /// An administrator does not.
    No(Role),
    /// Who asked does not want any more.
    Withdraw(AccountId),
}

/// The state that follows. What was decided stays: of two administrators who decide at a time, the first one counts.
pub fn decide(request: &Request, say: Say) -> Result<State, Refusal> {
    let next = match say {
        Say::Yes(role) => role.require(Act::ManageMembers).map(|()| State::Approved)?,
        Say::No(role) => role.require(Act::ManageMembers).map(|()| State::Declined)?,
        Say::Withdraw(account) if account == request.account => State::Withdrawn,
        Say::Withdraw(_) => return Err(Code::NotFound.into()),
    };
    match request.state {
        State::Open => Ok(next),
        State::Approved | State::Declined | State::Withdrawn => Err(Code::AlreadyDecided.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Scopes;

    const NOW: u64 = 1_700_000_000;
    const HER: Lookup = Lookup([1; 32]);
    const HIM: Lookup = Lookup([2; 32]);

    fn invitation(whom: Whom) -> Invitation {
        let (id, org, dept) = (InviteId(1), OrgId(1), DeptId(3));
        Invitation { id, org, whom, dept, ask: false, expires_s: NOW + VALID_FOR_S, ended: false }
    }

    fn come(invitation: &Invitation, lookup: Lookup, is_member: bool, now_s: u64) -> Result<Entry, Code> {
        accept(invitation, Guest { lookup, is_member }, now_s).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_number_comes_in_once_and_nobody_else() {
        let hers = invitation(Whom::Number(HER));
        let Ok(Entry::In(used)) = come(&hers, HER, false, NOW) else { panic!() };
        assert!(used.ended);
        let withdrawn = Invitation { ended: true, ..hers };
        for (row, who, member, now_s, want) in [
            (&used, HER, false, NOW, Code::InvitationEnded),
            (&withdrawn, HER, false, NOW, Code::InvitationEnded),
            (&hers, HIM, false, NOW, Code::InvitationEnded),
            // Whoever the invitation is not for does not learn that it would be good.
            (&hers, HIM, true, NOW, Code::InvitationEnded),
            (&hers, HER, false, NOW + VALID_FOR_S, Code::InvitationEnded),
            (&hers, HER, true, NOW, Code::AlreadyMember),
        ] {
            assert_eq!(come(row, who, member, now_s), Err(want), "{who:?} {member}");
        }
    }

    #[test]
    fn a_link_lets_in_as_many_as_it_says() {
        let hash = link_hash(&link_token(&[7; 32])).unwrap();
        let mut row = Invitation { ask: true, ..invitation(Whom::Link { hash, left: 3 }) };
        for _ in 0..3 {
            let Ok(Entry::Asked(next)) = come(&row, HIM, false, NOW) else { panic!() };
            row = next;
        }
        assert_eq!((come(&row, HIM, false, NOW), row.ended), (Err(Code::InvitationEnded), true));
        assert_ne!(link_hash(&link_token(&[8; 32])).unwrap(), hash);
        for token in ["", "cvi_", "cvi_short", &link_token(&[7; 32])[1..]] {
            assert_eq!(link_hash(token).map_err(|refusal| refusal.code), Err(Code::InvitationEnded));
        }
    }

    #[test]
    fn terms_are_bounded() {
        let admin = Role::Admin(Scopes::MEMBERS);
        let rows = [
            (admin, VALID_FOR_S, 1, None),
            (Role::Member, VALID_FOR_S, 1, Some(Code::Forbidden)),
            (Role::Admin(Scopes::AUDIT), VALID_FOR_S, 1, Some(Code::Forbidden)),
            (admin, MAX_VALID_FOR_S + 1, 1, Some(Code::BadValue)),
            (admin, 0, 1, Some(Code::BadValue)),
            (admin, 1, 0, Some(Code::BadValue)),
            (admin, 1, MAX_USES + 1, Some(Code::BadValue)),
        ];
        for (role, valid, uses, want) in rows {
            assert_eq!(
                check_terms(role, valid, uses).err().map(|refusal| refusal.code),
                want,
                "{role:?} {valid} {uses}"
            );
        }
    }

    #[test]
    fn a_request_is_decided_once() {
        let (admin, her) = (Role::Admin(Scopes::MEMBERS), AccountId(1));
        let rows = [
            (State::Open, Say::Yes(admin), Ok(State::Approved)),
            (State::Open, Say::No(admin), Ok(State::Declined)),
            (State::Open, Say::Withdraw(her), Ok(State::Withdrawn)),
            (State::Open, Say::Yes(Role::Member), Err(Code::Forbidden)),
            (State::Open, Say::Withdraw(AccountId(2)), Err(Code::NotFound)),
            (State::Declined, Say::Yes(admin), Err(Code::AlreadyDecided)),
            (State::Approved, Say::No(admin), Err(Code::AlreadyDecided)),
            (State::Approved, Say::Withdraw(her), Err(Code::AlreadyDecided)),
            (State::Withdrawn, Say::Yes(admin), Err(Code::AlreadyDecided)),
        ];
        for (state, say, want) in rows {
            let got = decide(&Request { account: her, state }, say).map_err(|refusal| refusal.code);
            assert_eq!(got, want, "{state:?} {say:?}");
        }
        assert!(State::ALL.into_iter().all(|state| State::from_number(state.number()) == Some(state)));
    }
}
