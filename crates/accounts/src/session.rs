//! Login sessions: one sign-in on one device. A short access token (`token`) shows it; a refresh token makes the next one
//! and changes each time it is used. The store keeps a [`Session`] and runs [`advance`] inside its transaction.
//!
//! A refresh token is id, generation and a tag under the server's key and the session's own seed: neither the database nor
//! the configuration alone makes one. The tag is checked before anything else, so that nobody ends a session by guessing.
//!
//! A token of the generation before is taken once more within [`GRACE_S`], and answered with the *same* current token: the
//! client may have lost the answer, or asked twice at a time. Any later or older one is a copy (RFC 9700 §4.14.2): the
//! session ends, for the thief and for the owner.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use convene_types::{AccountId, DeviceId, SessionId};

use crate::error::{Code, Refusal};

/// How long the token before the current one is taken once more. Longer gives a thief more time to pass for a retry.
pub const GRACE_S: u64 = 60;
/// A session nobody refreshes ends after this: 30 days.
pub const IDLE_S: u64 = 30 * 24 * 60 * 60;
/// A session ends after this, however busy: half a year.
pub const MAX_AGE_S: u64 = 180 * 24 * 60 * 60;
/// Sessions of one account. Past that, the one unused for longest ends.
pub const MAX_SESSIONS: usize = 32;

const PREFIX: &str = "cvr_";
const CONTEXT: &[u8] = b"convene refresh 1";
const ID: usize = 16;
const GENERATION: usize = 4;
const TAG: usize = 32;

/// A row.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub device: DeviceId,
    /// Random, never changes, goes nowhere.
    pub seed: [u8; 16],
    /// Of the current refresh token.
    pub generation: u32,
    /// Seconds since 1970 of the sign-in.
    pub began_s: u64,
    /// Seconds since 1970 of the latest change of token.
    pub rotated_s: u64,
    /// Why it is over.
    pub ended: Option<End>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, account, generation, ended, .. } = self; // the seed stays out of logs
        write!(f, "Session({:02x?} of {account}, generation {generation}, {ended:?})", id.0)
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Its owner signed out.
    SignedOut,
    /// A refresh token was used twice.
    Stolen,
    /// Its owner ended it from elsewhere, or unbound the device.
    Revoked,
    /// The password was changed or reset.
    PasswordChanged,
    /// An administrator blocked the account.
    Disabled,
    /// The account is no more.
    Erased,
    /// There were too many of them.
    Crowded,
}

impl End {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::SignedOut,
        Self::Stolen,
        Self::Revoked,
        Self::PasswordChanged,
        Self::Disabled,
        Self::Erased,
        Self::Crowded,
    ];

    /// As stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::SignedOut => 1,
            Self::Stolen => 2,
            Self::Revoked => 3,
            Self::PasswordChanged => 4,
            Self::Disabled => 5,
            Self::Erased => 6,
            Self::Crowded => 7,
        }
    }

    /// The other way round.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.number() == number)
    }
}

/// A session that begins.
#[must_use]
pub const fn begin(id: SessionId, account: AccountId, device: DeviceId, seed: [u8; 16], now_s: u64) -> Session {
    Session { id, account, device, seed, generation: 0, began_s: now_s, rotated_s: now_s, ended: None }
}

impl Session {
    /// Seconds since 1970 from which it is over, if it is not refreshed before.
    #[must_use]
    pub fn expires_s(&self) -> u64 {
        self.rotated_s.saturating_add(IDLE_S).min(self.began_s.saturating_add(MAX_AGE_S))
    }

    /// Neither ended nor expired.
    #[must_use]
    pub fn is_open(&self, now_s: u64) -> bool {
        self.ended.is_none() && now_s < self.expires_s()
    }
}

/// What a refresh token says about itself, before anything of it is believed.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// Of this session.
    pub id: SessionId,
    /// Of this generation.
    pub generation: u32,
    tag: [u8; TAG],
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({:02x?}, generation {})", self.id.0, self.generation)
    }
}

impl Presented {
    /// Reads a refresh token.
    pub fn parse(token: &str) -> Result<Self, Refusal> {
        Self::read(token).ok_or_else(|| Code::SessionEnded.into())
    }

    fn read(token: &str) -> Option<Self> {
        let text = token.strip_prefix(PREFIX)?;
        let mut bytes = [0; ID + GENERATION + TAG];
        // Checked before decoding: a long text costs nothing.
        let exact = text.len() == (bytes.len() * 8).div_ceil(6);
        let read = URL_SAFE_NO_PAD.decode_slice(if exact { text } else { "" }, &mut bytes).ok()?;
        if read != bytes.len() {
            return None;
        }
        let (id, rest) = bytes.split_first_chunk::<ID>()?;
        let (generation, tag) = rest.split_first_chunk::<GENERATION>()?;
        Some(Self { id: SessionId(*id), generation: u32::from_be_bytes(*generation), tag: tag.try_into().ok()? })
    }
}

/// The key of refresh tokens.
pub struct RefreshKey(hmac::Key);

impl fmt::Debug for RefreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshKey(..)")
    }
}

impl RefreshKey {
    /// Takes the secret. Another one ends all sessions.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The current refresh token of a session.
    #[must_use]
    pub fn token(&self, session: &Session) -> String {
        let tag = hmac::sign(&self.0, &signed(session.id, &session.seed, session.generation));
        let bytes = [&session.id.0[..], &session.generation.to_be_bytes(), tag.as_ref()].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whether this token was ever ours, of this session. In constant time.
    pub fn verify(&self, presented: &Presented, session: Option<&Session>) -> Result<(), Refusal> {
        let seed = session.map_or([0; 16], |session| session.seed);
        let good = hmac::verify(&self.0, &signed(presented.id, &seed, presented.generation), &presented.tag).is_ok();
        let same = session.is_some_and(|session| session.id == presented.id);
        if good && same { Ok(()) } else { Err(Code::SessionEnded.into()) }
    }
}

fn signed(id: SessionId, seed: &[u8; 16], generation: u32) -> Vec<u8> {
    [CONTEXT, &id.0, seed, &generation.to_be_bytes()].concat()
}

/// What becomes of a session when a token of it, already verified, is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Write this row, and answer with its token.
    Rotated(Session),
    /// A retry: nothing to write, answer with the token of the row as it is.
    Again,
    /// A copy: write this row, close its connections, and refuse.
    Stolen(Session),
    /// It is over: refuse.
    Over,
}

/// Decides about a token of `generation`.
#[must_use]
pub fn advance(session: &Session, generation: u32, now_s: u64) -> Advance {
    if !session.is_open(now_s) {
        return Advance::Over;
    }
    if generation == session.generation {
        let Some(next) = generation.checked_add(1) else { return Advance::Over };
        return Advance::Rotated(Session { generation: next, rotated_s: now_s, ..session.clone() });
    }
    if generation > session.generation {
        // The database is older than the token: it was restored. Nobody did wrong.
        return Advance::Over;
    }
    let retry =
        generation.checked_add(1) == Some(session.generation) && now_s < session.rotated_s.saturating_add(GRACE_S);
    if retry { Advance::Again } else { Advance::Stolen(Session { ended: Some(End::Stolen), ..session.clone() }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn session() -> Session {
        begin(SessionId([7; 16]), AccountId(17), DeviceId([1; 16]), [9; 16], NOW)
    }

    fn key() -> RefreshKey {
        RefreshKey::new(&[3; 32])
    }

    #[test]
    fn tokens_read_back_and_nothing_else_does() {
        let token = key().token(&session());
        let presented = Presented::parse(&token).unwrap();
        assert_eq!((presented.id, presented.generation), (SessionId([7; 16]), 0));
        assert_eq!(key().verify(&presented, Some(&session())), Ok(()));
        let refused = Err(Refusal::from(Code::SessionEnded));
        let strange = Session { seed: [8; 16], ..session() };
        let other = Session { id: SessionId([8; 16]), ..session() };
        for session in [None, Some(&strange), Some(&other)] {
            assert_eq!(key().verify(&presented, session), refused);
        }
        assert_eq!(RefreshKey::new(&[4; 32]).verify(&presented, Some(&session())), refused);
        // A guess at the next generation.
        let guess = Presented { generation: 1, ..presented };
        assert_eq!(key().verify(&guess, Some(&session())), refused);
        for text in ["", "cvr_", "x", &token[1..], &token[..token.len() - 1], &format!("{token}A"), &"A".repeat(9_999)]
        {
            assert_eq!(Presented::parse(text).map(|_| ()), refused, "{text}");
        }
        // Neither row nor what was presented shows what makes a token.
        assert!(!format!("{:?}", session()).contains("9, 9"));
    }

    #[test]
    fn each_use_changes_the_token_and_a_copy_ends_the_session() {
        let Advance::Rotated(second) = advance(&session(), 0, NOW + 10) else { panic!() };
        assert_eq!((second.generation, second.rotated_s), (1, NOW + 10));
        // The answer was lost: the same token again, for a while.
        assert_eq!(advance(&second, 0, NOW + 10 + GRACE_S - 1), Advance::Again);
        let Advance::Stolen(ended) = advance(&second, 0, NOW + 10 + GRACE_S) else { panic!() };
        assert_eq!(ended.ended, Some(End::Stolen));
        assert_eq!(advance(&ended, 1, NOW + 100), Advance::Over);
        // Two generations back is a copy even within the grace.
        let Advance::Rotated(third) = advance(&second, 1, NOW + 11) else { panic!() };
        assert!(matches!(advance(&third, 0, NOW + 11), Advance::Stolen(_)));
        // A database that was restored: sign in again, nobody is accused.
        assert_eq!(advance(&session(), 5, NOW), Advance::Over);
    }

    #[test]
    fn sessions_end_by_idleness_and_by_age() {
        assert_eq!(advance(&session(), 0, NOW + IDLE_S), Advance::Over);
        let mut row = session();
        let mut now = NOW;
        while let Advance::Rotated(next) = advance(&row, row.generation, now) {
            row = next;
            now += IDLE_S - 1;
        }
        assert_eq!(row.expires_s(), NOW + MAX_AGE_S);
        assert!(now >= NOW + MAX_AGE_S);
        let last = Session { generation: u32::MAX, ..session() };
        assert_eq!(advance(&last, u32::MAX, NOW), Advance::Over);
        assert!(End::ALL.into_iter().all(|end| End::from_number(end.number()) == Some(end)));
    }

    proptest! {
        /// Owner and thief start from one token and use what they have in any order, each alone. Once both have used
        /// theirs past the grace, the session is over.
        #[test]
        fn two_holders_never_both_keep_a_session(turns in prop::collection::vec((any::<bool>(), GRACE_S..1_000_u64), 1..40)) {
            let mut row = session();
            let (mut held, mut used, mut now) = ([0_u32, 0], [0_u32, 0], NOW);
            for (thief, gap) in turns {
                now += gap;
                let who = usize::from(thief);
                match advance(&row, held[who], now) {
                    Advance::Rotated(next) => {
                        held[who] = next.generation;
                        row = next;
                    }
                    Advance::Again => held[who] = row.generation,
                    Advance::Stolen(next) => row = next,
                    Advance::Over => prop_assert_eq!(row.ended, Some(End::Stolen)),
                }
                used[who] += 1;
                if used[0] > 0 && used[1] > 0 {
                    prop_assert_eq!(row.ended, Some(End::Stolen));
                }
            }
        }
    }
}
