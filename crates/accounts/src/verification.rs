//! Verification codes: six digits that go to a phone and come back. The store keeps one [`Challenge`] a number and purpose
//! and asks [`check`] inside its transaction, so that attempts are counted one by one whoever else asks.
//!
//! A code is sent whether the number has an account or not; what it is good for is said only after it came back
//! (`error`). How often one may ask and try is `limits`.
//!
//! Invariant: the code itself is never stored, only its tag under a key that the store does not have: a million codes are
//! tried in a second by whoever has tag and key.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};

use crate::vault::Lookup;

/// How long a code is good, in seconds.
pub const VALID_FOR_S: u64 = 300;
/// How often it may be entered. Each attempt guesses right once in 200,000 codes: raise the digits before this.
pub const MAX_ATTEMPTS: u32 = 5;
/// Digits of a code.
pub const DIGITS: usize = 6;

const CODES: u64 = 1_000_000;
const CONTEXT: &[u8] = b"convene code 1";

/// What a code was asked for. It is good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A new account.
    Register,
    /// Signing in without a password.
    SignIn,
    /// Setting a password that was forgotten.
    Reset,
    /// Moving the account to this number.
    Rebind,
    /// Ending the account.
    Cancel,
}

impl Purpose {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Register, Self::SignIn, Self::Reset, Self::Rebind, Self::Cancel];

    /// As stored and as in requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign_in",
            Self::Reset => "reset",
            Self::Rebind => "rebind",
            Self::Cancel => "cancel",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }
}

/// A code on its way out. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationCode(String);

impl VerificationCode {
    /// From 64 random bits: the remainder favours no code by more than one part in 10^13.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{:06}", bits % CODES))
    }

    /// For the message.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationCode(..)")
    }
}

/// What is kept in the place of a code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub [u8; 32]);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(..)")
    }
}

/// The key of tags.
pub struct CodeKey(hmac::Key);

impl fmt::Debug for CodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeKey(..)")
    }
}

impl CodeKey {
    /// Takes the secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The tag of what somebody typed: bound to number and purpose. What is no code has a tag that matches none.
    #[must_use]
    pub fn tag(&self, lookup: Lookup, purpose: Purpose, typed: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(CONTEXT);
        context.update(&lookup.0);
        // Fixed lengths before, a separator behind: no two inputs read as one.
        context.update(purpose.name().as_bytes());
        context.update(b"\n");
        context.update(typed.trim().as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        Tag(bytes)
    }
}

/// A code that was sent. A later one for the same number and purpose takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Of the code.
    pub tag: Tag,
    /// Seconds since 1970 from which it is good no more.
    pub expires_s: u64,
    /// How often it was entered wrong.
    pub attempts: u32,
}

impl Challenge {
    /// The row to write when a code goes out.
    #[must_use]
    pub const fn sent(tag: Tag, now_s: u64) -> Self {
        Self { tag, expires_s: now_s.saturating_add(VALID_FOR_S), attempts: 0 }
    }
}

/// What becomes of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the code: take the row away, it is good once.
    Right,
    /// It is not: write this row.
    Wrong(Challenge),
    /// There is none, it has expired, or was tried too often: take the row away.
    Dead,
}

/// Compares what came back with what was sent. Takes as long for a right, a wrong and a missing one.
#[must_use]
pub fn check(challenge: Option<&Challenge>, entered: Tag, now_s: u64) -> Verdict {
    let sent = challenge.map_or([0; 32], |challenge| challenge.tag.0);
    let same = constant_time::verify_slices_are_equal(&sent, &entered.0).is_ok();
    let Some(challenge) = challenge.filter(|row| now_s < row.expires_s && row.attempts < MAX_ATTEMPTS) else {
        return Verdict::Dead;
    };
    if same {
        return Verdict::Right;
    }
    let attempts = challenge.attempts.saturating_add(1);
    if attempts >= MAX_ATTEMPTS { Verdict::Dead } else { Verdict::Wrong(Challenge { attempts, ..*challenge }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn tag(typed: &str) -> Tag {
        CodeKey::new(&[1; 32]).tag(Lookup([2; 32]), Purpose::SignIn, typed)
    }

    #[test]
    fn a_code_is_good_once_within_its_time() {
        let sent = Challenge::sent(tag("012345"), NOW);
        let wrong = Verdict::Wrong(Challenge { attempts: 1, ..sent });
        let rows = [
            (Some(sent), "012345", NOW, Verdict::Right),
            (Some(sent), " 012345 ", NOW + VALID_FOR_S - 1, Verdict::Right),
            (Some(sent), "012345", NOW + VALID_FOR_S, Verdict::Dead),
            (Some(sent), "12345", NOW, wrong),
            (Some(sent), "", NOW, wrong),
            (None, "012345", NOW, Verdict::Dead),
        ];
        for (challenge, typed, now_s, want) in rows {
            assert_eq!(check(challenge.as_ref(), tag(typed), now_s), want, "{typed} {now_s}");
        }
    }

    #[test]
    fn the_sixth_attempt_finds_nothing_even_if_right() {
        let mut row = Some(Challenge::sent(tag("012345"), NOW));
        for attempt in 1..=MAX_ATTEMPTS {
            match check(row.as_ref(), tag("999999"), NOW) {
                Verdict::Wrong(next) => row = Some(next),
                Verdict::Dead => row = None,
                Verdict::Right => panic!("guessed"),
            }
            assert_eq!(row.is_none(), attempt == MAX_ATTEMPTS);
        }
        assert_eq!(check(row.as_ref(), tag("012345"), NOW), Verdict::Dead);
        // A row that was not taken away does not help either.
        let stale = Challenge { attempts: MAX_ATTEMPTS, ..Challenge::sent(tag("012345"), NOW) };
        assert_eq!(check(Some(&stale), tag("012345"), NOW), Verdict::Dead);
    }

    #[test]
    fn tags_are_of_one_number_purpose_and_key() {
        let key = CodeKey::new(&[1; 32]);
        let of = |lookup, purpose| key.tag(Lookup([lookup; 32]), purpose, "012345");
        let mut tags: Vec<_> = Purpose::ALL.into_iter().map(|purpose| of(2, purpose).0).collect();
        tags.push(of(3, Purpose::SignIn).0);
        tags.push(CodeKey::new(&[9; 32]).tag(Lookup([2; 32]), Purpose::SignIn, "012345").0);
        let count = tags.len();
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), count);
        assert!(Purpose::ALL.into_iter().all(|purpose| Purpose::parse(purpose.name()) == Some(purpose)));
        assert_eq!(Purpose::parse("other"), None);
    }

    proptest! {
        #[test]
        fn codes_have_six_digits(bits: u64) {
            let code = VerificationCode::from_random(bits);
            prop_assert!(code.digits().len() == DIGITS && code.digits().bytes().all(|byte| byte.is_ascii_digit()));
            let shown = format!("{code:?}");
            prop_assert!(!shown.contains(code.digits()));
        }

        /// Whatever is tried in whatever order, a code is found by less than six guesses or not at all.
        #[test]
        fn guessing_is_bounded(guesses in prop::collection::vec(0_u32..20, 1..40), code in 0_u32..20) {
            let mut row = Some(Challenge::sent(tag(&code.to_string()), NOW));
            let mut tried = 0;
            for guess in guesses {
                tried += 1;
                match check(row.as_ref(), tag(&guess.to_string()), NOW) {
                    Verdict::Right => {
                        prop_assert!(guess == code && tried <= MAX_ATTEMPTS);
                        break;
                    }
                    Verdict::Wrong(next) => row = Some(next),
                    Verdict::Dead => row = None,
                }
            }
        }
    }
}
