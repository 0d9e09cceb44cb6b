//! What ended before its access tokens did: kept in memory by every process that checks tokens, so that a check costs no
//! database read. The shells add to it what the store has committed, and after a start what the store remembers of the
//! last [`ACCESS_TTL_S`] seconds.
//!
//! Invariant: bounded. An entry is forgotten when the last token it could concern has expired; a full list answers by
//! refusing older tokens of everybody, which costs honest clients one refresh, never by forgetting.

use std::collections::{BTreeMap, HashMap};

use convene_types::{DeviceId, SessionId};

use crate::token::{ACCESS_TTL_S, Identity};

/// Entries. Each is about 100 bytes.
pub const MAX_ENTRIES: usize = 100_000;

/// Whom an end concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One login session.
    Session(SessionId),
    /// An account on a device: the device was unbound.
    Device(String, DeviceId),
    /// An account everywhere: blocked, erased, password changed. By the name in tokens.
    Account(String),
    /// An account in one organisation: the member was removed. Names of account and organisation, as in tokens.
    Member(String, String),
}

/// The list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Tokens issued up to this second are refused.
    ended: HashMap<Subject, u64>,
    /// By the second of the end.
    by_time: BTreeMap<u64, Vec<Subject>>,
    /// Tokens of everybody issued up to this second are refused.
    floor_s: Option<u64>,
}

impl List {
    /// Tokens of this subject made up to `now_s` are good no more.
    pub fn end(&mut self, subject: Subject, now_s: u64) {
        self.forget(now_s);
        if self.ended.len() >= MAX_ENTRIES {
            self.ended.clear();
            self.by_time.clear();
            self.floor_s = Some(now_s);
            return;
        }
        let at = self.ended.entry(subject.clone()).or_insert(now_s);
        *at = (*at).max(now_s);
        self.by_time.entry(now_s).or_default().push(subject);
    }

    /// Whether a token that is good by itself was ended. Tokens without a session may live longer than this list remembers:
    /// whoever lets one in asks the store about its account as well.
    #[must_use]
    pub fn is_ended(&self, token: &Identity) -> bool {
        let ended = |subject: &Subject| self.ended.get(subject).is_some_and(|at| token.issued_s <= *at);
        let (user, org) = (&token.user, &token.org);
        // A session's end is for good: it is made once.
        token.session.is_some_and(|id| self.ended.contains_key(&Subject::Session(id)))
            || token.device.is_some_and(|device| ended(&Subject::Device(user.clone(), device)))
            || ended(&Subject::Account(user.clone()))
            || ended(&Subject::Member(user.clone(), org.clone()))
            || self.floor_s.is_some_and(|at| token.issued_s <= at && token.session.is_some())
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ended.len()
    }

    /// Whether nothing is on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty()
    }

    /// Drops what concerns only tokens that have expired.
    fn forget(&mut self, now_s: u64) {
        let kept = self.by_time.split_off(&now_s.saturating_sub(ACCESS_TTL_S));
        for subject in std::mem::replace(&mut self.by_time, kept).into_values().flatten() {
            let old = self.ended.get(&subject).is_some_and(|at| at.saturating_add(ACCESS_TTL_S) < now_s);
            if old {
                self.ended.remove(&subject);
            }
        }
        self.floor_s = self.floor_s.filter(|at| at.saturating_add(ACCESS_TTL_S) >= now_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn token(user: &str, session: u8, issued_s: u64) -> Identity {
        Identity {
            org: "acme".into(),
            user: user.into(),
            display_name: user.into(),
            device: Some(DeviceId([session; 16])),
            session: Some(SessionId([session; 16])),
            issued_s,
            expires_s: issued_s + ACCESS_TTL_S,
        }
    }

    #[test]
    fn an_end_concerns_its_subject_and_what_was_made_before() {
        let rows = [
            (Subject::Session(SessionId([1; 16])), [true, true, false, false]),
            (Subject::Device("ana".into(), DeviceId([1; 16])), [true, false, false, false]),
            (Subject::Account("ana".into()), [true, false, true, false]),
            (Subject::Member("ana".into(), "acme".into()), [true, false, true, false]),
            (Subject::Member("ana".into(), "other".into()), [false; 4]),
        ];
        for (subject, want) in rows {
            let mut list = List::default();
            list.end(subject.clone(), NOW);
            let tokens = [token("ana", 1, NOW), token("ana", 1, NOW + 1), token("ana", 2, NOW), token("bob", 2, NOW)];
            assert_eq!(tokens.map(|token| list.is_ended(&token)), want, "{subject:?}");
        }
    }

    #[test]
    fn entries_outlive_the_tokens_they_concern_and_no_more() {
        let mut list = List::default();
        list.end(Subject::Account("ana".into()), NOW);
        list.end(Subject::Account("ana".into()), NOW + 100);
        list.end(Subject::Account("bob".into()), NOW + ACCESS_TTL_S + 50);
        // Ended twice: the later one counts.
        assert!(list.is_ended(&token("ana", 1, NOW + 100)));
        assert_eq!(list.len(), 2);
        list.end(Subject::Account("eve".into()), NOW + ACCESS_TTL_S + 101);
        assert_eq!(list.len(), 2);
        assert!(!list.is_ended(&token("ana", 1, NOW + 100)) && list.is_ended(&token("bob", 1, NOW)));
    }

    #[test]
    fn a_full_list_forgets_nobody() {
        let mut list = List::default();
        list.end(Subject::Account("ana".into()), NOW);
        for n in 0..MAX_ENTRIES {
            list.end(Subject::Account(format!("u{n}")), NOW);
        }
        assert!(list.len() < MAX_ENTRIES);
        assert!(list.is_ended(&token("ana", 1, NOW)) && list.is_ended(&token("stranger", 1, NOW)));
        assert!(!list.is_ended(&token("stranger", 1, NOW + 1)));
    }
}
