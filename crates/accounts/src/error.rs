//! What is answered when something is not done: a stable code, an HTTP status, a sentence that says what to do next. Every
//! module here refuses with it; `signaling` turns it into problem+json.
//!
//! Invariant: nobody learns from a refusal whether a number has an account, unless they have just proved that the number is
//! theirs ([`Code::AFTER_PROOF`]).

use std::borrow::Cow;
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $text:literal;)*) => {
        /// Why something is not done. Names are stable: programs compare them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it stands in an answer.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What HTTP says.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// A sentence for whoever reads the answer. Callers may say more; never less.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

codes! {
    /// The request itself: a field is missing, or not what it has to be.
    Malformed = "malformed", 400, "The request is malformed.";
    /// No phone number, or none that takes messages.
    BadPhone = "bad_phone", 422, "This is no mobile number: write it with its country code, as +8613800138000.";
    /// A name is empty, too long or has control characters.
    BadName = "bad_name", 422, "The name is empty, too long, or has characters that cannot be shown.";
    /// A field of a profile or a policy has a value out of range.
    BadValue = "bad_value", 422, "A value is out of range.";
    /// Of a kind that is not shown, or too large.
    BadPicture = "bad_picture", 422, "This is no picture that can be shown: PNG, JPEG, GIF or WebP, at most 512 KiB.";
    /// Too short, too long, or among the first that are tried.
    WeakPassword = "weak_password", 422, "Choose another password: 8 to 128 characters, and no common one.";
    /// Wrong, expired, used, tried too often, or never sent: these are not told apart.
    BadCode = "bad_code", 422, "The code is wrong or has expired: check it, or ask for another one.";
    /// The number has no account, its account has no password, or the password is wrong: these are not told apart.
    BadCredentials = "bad_credentials", 401, "The number or the password is wrong.";
    /// What is asked for takes more than being signed in.
    ProofNeeded = "proof_needed", 403, "Give your password, or the code that came to the number so far.";
    /// No token, or none of ours.
    Unauthenticated = "unauthenticated", 401, "Sign in first: the token is missing or not valid.";
    /// Its time is over.
    TokenExpired = "token_expired", 401, "The access token has expired: refresh it.";
    /// Signed out, revoked or expired.
    SessionEnded = "session_ended", 401, "This session has ended: sign in again.";
    /// A refresh token came a second time, so somebody has a copy of it.
    SessionStolen = "session_stolen", 401, "A copy of this session was used elsewhere, so it was ended: sign in again.";
    /// Blocked by an operator.
    AccountDisabled = "account_disabled", 403, "This account is disabled: ask your administrator.";
    /// After the code was right: nobody has this number.
    NoAccount = "no_account", 404, "This number has no account yet: register.";
    /// After the code was right: somebody has this number.
    AccountExists = "account_exists", 409, "This number has an account already: sign in.";
    /// The policy of use has a version that the person has not agreed to.
    ConsentNeeded = "consent_needed", 403, "Agree to the current policy of use first.";
    /// More than a number, device, address or key may.
    TooManyRequests = "too_many_requests", 429, "Too many attempts: wait, then try again.";
    /// No such thing, or not one this person may see: the two are not told apart.
    NotFound = "not_found", 404, "There is no such thing, or you may not see it.";
    /// The role does not allow it.
    Forbidden = "forbidden", 403, "Your role does not allow this.";
    /// An API key where a person is asked for, or one without the scope that it takes.
    KeyNotAllowed = "key_not_allowed", 403, "This API key is not good for this: it takes another scope, or a person.";
    /// The organisation does not let members edit this field.
    FieldLocked = "field_locked", 403, "Your organisation does not let members change this field: ask an administrator.";
    /// The organisation would have no owner.
    LastOwner = "last_owner", 409, "The last owner cannot leave or step down: name another owner first.";
    /// It changed since it was read.
    Stale = "stale", 412, "This has changed in the meantime: read it again.";
    /// The same idempotency key with another request.
    Conflict = "conflict", 409, "The same key was used for another request.";
    /// A sibling has this name.
    NameTaken = "name_taken", 409, "This name is taken here: choose another one.";
    /// It would stand below itself.
    DepartmentCycle = "department_cycle", 409, "A department cannot stand below itself.";
    /// More levels than allowed.
    DepartmentTooDeep = "department_too_deep", 422, "The tree of departments would become too deep.";
    /// It has departments or members.
    DepartmentNotEmpty = "department_not_empty", 409, "The department is not empty: move its departments and members first.";
    /// A list or an organisation is full.
    TooMany = "too_many", 422, "There are too many of these.";
    /// Used up, withdrawn, expired, or for somebody else.
    InvitationEnded = "invitation_ended", 410, "This invitation is no longer good: ask for another one.";
    /// They are in the organisation.
    AlreadyMember = "already_member", 409, "This person is a member already.";
    /// Somebody else has decided it.
    AlreadyDecided = "already_decided", 409, "This request was decided already.";
    /// It has ended, or never was.
    CallOver = "call_over", 410, "This call is over.";
    /// Another device of theirs answered first.
    AnsweredElsewhere = "answered_elsewhere", 409, "This call was answered on another device.";
    /// One call at a time.
    InAnotherCall = "in_another_call", 409, "You are in another call: hang up first.";
    /// There is nothing to decline, to cancel or to hang up, or it is too late to answer.
    CallNotNow = "call_not_now", 409, "This cannot be done while the call stands like this: read it again.";
    /// The group is no more.
    Dissolved = "dissolved", 409, "This group was dissolved: it can be read, not changed.";
    /// No provider took the message.
    SmsUnavailable = "sms_unavailable", 503, "The code could not be sent: try again in a few minutes.";
    /// The store cannot take it at this time.
    Unavailable = "unavailable", 503, "The server cannot do this at the moment: try again.";
    /// A mistake of the server.
    Internal = "internal", 500, "Something went wrong on the server.";
}

impl Code {
    /// Codes that tell whether a number has an account. They are given only after its holder has entered a right code.
    pub const AFTER_PROOF: &'static [Self] = &[Self::NoAccount, Self::AccountExists];
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something asked for is not done. Nothing of it has happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refusal {
    /// Stable, for programs.
    pub code: Code,
    /// For people. It never quotes what somebody wrote.
    pub text: Cow<'static, str>,
    /// Seconds to wait before the next attempt; 0: waiting does not help.
    pub retry_after_s: u64,
}

impl Refusal {
    /// A refusal that waiting does not mend.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self { code, text: Cow::Borrowed(code.text()), retry_after_s: 0 }
    }

    /// The same, saying more.
    #[must_use]
    pub fn saying(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), retry_after_s: 0 }
    }

    /// A refusal to repeat after a while.
    #[must_use]
    pub fn later(code: Code, retry_after_s: u64) -> Self {
        Self { retry_after_s: retry_after_s.max(1), ..Self::new(code) }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_statuses_are_errors() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert!(code.name().chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code}");
            assert!(code.text().ends_with('.') && code.text().len() > 10, "{code}");
        }
    }

    #[test]
    fn only_proof_of_a_number_tells_whether_it_has_an_account() {
        for code in Code::ALL.iter().filter(|code| !Code::AFTER_PROOF.contains(code)) {
            let text = code.text().to_lowercase();
            let telling = ["has an account", "no account", "registered", "not exist", "unknown number"];
            assert!(!telling.iter().any(|words| text.contains(words)), "{code}: {text}");
        }
    }

    #[test]
    fn a_refusal_to_repeat_never_says_at_once() {
        assert_eq!(Refusal::later(Code::TooManyRequests, 0).retry_after_s, 1);
        assert_eq!(Refusal::from(Code::Forbidden).retry_after_s, 0);
    }
}
