//! How often one may ask for codes, enter them, and try passwords: per number, per device, per network address; and how often
//! an account may ring others. The store loads one [`Usage`] for each, asks [`take`] inside its transaction, and writes what it answers.
//!
//! Counting goes before the work and is undone by nothing: a failed delivery counts too, since it costs as much. Only a
//! right password forgives what was counted against its number ([`Act::forgiven`]).
//!
//! Invariant: a refusal is the same whether the number has an account or not, since rows are made for either.

use std::net::IpAddr;

use crate::error::{Code, Refusal};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Sending a code: costs money, and somebody's peace.
    Send,
    /// Entering a code.
    Enter,
    /// Trying a password.
    Password,
    /// Ringing: costs somebody's peace.
    Call,
    /// Asking for all that is known of oneself: much is read for it.
    Export,
    /// Another picture of oneself: each is stored, and told to everybody.
    Picture,
}

/// Whom it is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The phone number, whoever asks.
    Number,
    /// The device that asks, by the id it made up: honest clients have one.
    Device,
    /// The network address that asks. Whole offices share one.
    Address,
    /// The account that asks, of those who are signed in.
    Account,
}

impl Act {
    /// All there are.
    pub const ALL: [Self; 6] = [Self::Send, Self::Enter, Self::Password, Self::Call, Self::Export, Self::Picture];

    /// As stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Send => 1,
            Self::Enter => 2,
            Self::Password => 3,
            Self::Call => 4,
            Self::Export => 5,
            Self::Picture => 6,
        }
    }

    /// Success takes away what was counted against this subject: people who know their password are not slowed down by
    /// those who do not. Codes are not forgiven, or an attacker with a phone of his own could try others without end.
    #[must_use]
    pub const fn forgiven(self, subject: Subject) -> bool {
        matches!((self, subject), (Self::Password, Subject::Number))
    }
}

impl Subject {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Number, Self::Device, Self::Address, Self::Account];

    /// As stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Number => 1,
            Self::Device => 2,
            Self::Address => 3,
            Self::Account => 4,
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Length of a window, in seconds.
    pub window_s: u64,
    /// Acts in a window.
    pub max: u32,
    /// Acts of a window that may follow each other at once.
    pub free: u32,
    /// Seconds between acts after those; doubles with each.
    pub gap_s: u64,
    /// The gap grows no longer than this.
    pub max_gap_s: u64,
}

/// The limit of an act against a subject. Numbers are tight, since they are what is attacked; addresses are wide, since
/// many people share one.
#[must_use]
pub const fn limit(act: Act, subject: Subject) -> Limit {
    let no_gap = Limit { window_s: HOUR, max: 0, free: u32::MAX, gap_s: 0, max_gap_s: 0 };
    match (act, subject) {
        // Ten messages a day make 50 guesses: one number falls once in 55 years of trying.
        (Act::Send, Subject::Number) => Limit { window_s: DAY, max: 10, free: 1, gap_s: MINUTE, max_gap_s: HOUR },
        (Act::Send, Subject::Device) => Limit { window_s: DAY, max: 20, free: 3, gap_s: MINUTE, max_gap_s: HOUR },
        (Act::Send, Subject::Address) => Limit { max: 100, ..no_gap },
        (Act::Enter, Subject::Number) => Limit { max: 30, ..no_gap },
        (Act::Enter, Subject::Device) => Limit { max: 60, ..no_gap },
        (Act::Enter, Subject::Address) => Limit { max: 600, ..no_gap },
        // Slows down and never locks out: locking would let anybody shut anybody out.
        (Act::Password, Subject::Number) => {
            Limit { window_s: DAY, max: 100, free: 5, gap_s: 2, max_gap_s: 15 * MINUTE }
        }
        (Act::Password, Subject::Device) => Limit { max: 60, ..no_gap },
        (Act::Password, Subject::Address) => Limit { max: 600, ..no_gap },
        // Nobody rings twenty others in a row for a good reason; whoever works by phone gets along with one in half a minute.
        (Act::Call, _) => Limit { max: 120, free: 20, gap_s: 2, max_gap_s: 30, ..no_gap },
        // Who is signed in is known by their number as well.
        (Act::Send | Act::Enter | Act::Password, Subject::Account) => limit(act, Subject::Number),
        // Counted against the number only: one person, whatever they ask with.
        (Act::Export, _) => Limit { window_s: DAY, max: 5, ..no_gap },
        (Act::Picture, _) => Limit { max: 30, ..no_gap },
    }
}

/// A row: what was counted in the window that began at `since_s`. The default is an empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Seconds since 1970.
    pub since_s: u64,
    /// Acts since then.
    pub count: u32,
    /// Seconds since 1970 of the latest act.
    pub last_s: u64,
}

impl Usage {
    /// From when on the row says nothing any more and may be deleted.
    #[must_use]
    pub const fn ends_s(&self, act: Act, subject: Subject) -> u64 {
        self.since_s.saturating_add(limit(act, subject).window_s)
    }

    /// Seconds to wait before one more; 0: now.
    fn wait_s(&self, limit: &Limit, now_s: u64) -> u64 {
        let left = self.since_s.saturating_add(limit.window_s).saturating_sub(now_s);
        if left == 0 {
            return 0;
        }
        if self.count >= limit.max {
            return left;
        }
        let Some(over) = self.count.checked_sub(limit.free) else { return 0 };
        let gap = limit.gap_s.saturating_mul(1_u64.checked_shl(over.min(32)).unwrap_or(u64::MAX)).min(limit.max_gap_s);
        self.last_s.saturating_add(gap).saturating_sub(now_s)
    }

    fn counted(self, limit: &Limit, now_s: u64) -> Self {
        let over = self.since_s.saturating_add(limit.window_s) <= now_s;
        let before = if over { Self { since_s: now_s, count: 0, last_s: 0 } } else { self };
        Self { count: before.count.saturating_add(1), last_s: now_s, ..before }
    }
}

/// Counts one act against all its subjects, or against none when one of them has to wait. Answers the rows to write, in
/// the order given.
pub fn take(act: Act, rows: &[(Subject, Usage)], now_s: u64) -> Result<Vec<Usage>, Refusal> {
    let waits = rows.iter().map(|(subject, usage)| usage.wait_s(&limit(act, *subject), now_s));
    match waits.max().unwrap_or(0) {
        0 => Ok(rows.iter().map(|(subject, usage)| usage.counted(&limit(act, *subject), now_s)).collect()),
        wait_s => Err(Refusal::later(Code::TooManyRequests, wait_s)),
    }
}

/// What an address is counted under: IPv4 whole, IPv6 by its /64, which one customer has to himself (RFC 6177 §2).
#[must_use]
pub fn address_key(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => (u128::from(v6) >> 64 << 64).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn one(usage: Usage, now_s: u64) -> Result<Usage, u64> {
        take(Act::Send, &[(Subject::Number, usage)], now_s).map(|rows| rows[0]).map_err(|refused| refused.retry_after_s)
    }

    #[test]
    fn codes_to_a_number_come_slower_and_slower() {
        let (mut usage, mut now, mut gaps) = (Usage::default(), NOW, Vec::new());
        while let Ok(next) = one(usage, now) {
            usage = next;
            let gap = one(usage, now).unwrap_err();
            assert_eq!(one(usage, now + gap - 1), Err(1));
            gaps.push(gap);
            if usage.count == 10 {
                break;
            }
            now += gap;
        }
        let spent: u64 = gaps[..9].iter().sum();
        assert_eq!(gaps[..9], [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert_eq!(gaps[9], DAY - spent);
        // The window is over: as at first.
        assert_eq!(one(usage, NOW + DAY), Ok(Usage { since_s: NOW + DAY, count: 1, last_s: NOW + DAY }));
    }

    #[test]
    fn one_that_has_to_wait_counts_for_nobody() {
        let full = Usage { since_s: NOW, count: 100, last_s: NOW };
        let rows = [(Subject::Number, Usage::default()), (Subject::Address, full)];
        let refused = take(Act::Send, &rows, NOW + 10).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_s), (Code::TooManyRequests, HOUR - 10));
    }

    #[test]
    fn passwords_of_a_number_are_slowed_down_not_locked() {
        let (mut usage, mut now) = (Usage::default(), NOW);
        for _ in 0..50 {
            let rows = [(Subject::Number, usage)];
            usage = match take(Act::Password, &rows, now) {
                Ok(rows) => rows[0],
                Err(refused) => {
                    assert!(refused.retry_after_s <= 15 * MINUTE);
                    now += refused.retry_after_s;
                    take(Act::Password, &rows, now).unwrap()[0]
                }
            };
        }
        assert!(Act::Password.forgiven(Subject::Number) && !Act::Enter.forgiven(Subject::Number));
    }

    #[test]
    fn who_rings_many_is_slowed_down() {
        let (mut usage, mut waited) = (Usage::default(), Vec::new());
        for _ in 0..25 {
            let now = NOW + waited.iter().sum::<u64>();
            let rows = [(Subject::Account, usage)];
            usage = take(Act::Call, &rows, now).map(|rows| rows[0]).unwrap_or_else(|refused| {
                waited.push(refused.retry_after_s);
                take(Act::Call, &rows, now + refused.retry_after_s).unwrap()[0]
            });
        }
        assert_eq!(waited, [2, 4, 8, 16, 30]);
    }

    #[test]
    fn addresses_are_counted_as_networks_are_given_out() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    proptest! {
        /// However requests are spaced, no window ever holds more than its limit, and waiting as told always helps.
        #[test]
        fn no_window_holds_more_than_its_limit(
            steps in prop::collection::vec(0_u64..2_000, 1..300),
            act in prop::sample::select(Act::ALL.to_vec()),
            subject in prop::sample::select(Subject::ALL.to_vec()),
        ) {
            let limit = limit(act, subject);
            let (mut now, mut usage, mut granted) = (NOW, Usage::default(), Vec::new());
            for step in steps {
                now += step;
                match take(act, &[(subject, usage)], now) {
                    Ok(rows) => {
                        usage = rows[0];
                        granted.push(now);
                    }
                    Err(refused) => {
                        let told = take(act, &[(subject, usage)], now + refused.retry_after_s);
                        prop_assert!(told.is_ok());
                    }
                }
                // Two windows may meet, so any stretch of one window's length holds at most two of them.
                let recent = granted.iter().filter(|at| **at + limit.window_s > now).count();
                prop_assert!(recent <= 2 * usize::try_from(limit.max).unwrap());
                prop_assert!(usage.count <= limit.max);
            }
        }
    }
}
