//! Phone numbers: what people type becomes E.164, or is refused. `signaling` reads them, `sms` writes to them.
//!
//! Not here: how they are kept (`vault`), whether somebody has one. Types of the phone-number library stay in this module.
//!
//! Invariant: a number is never shown whole by `Debug`; only [`Phone::e164`] gives it away.

use std::fmt;

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, Type, country};

/// Longest text that is looked at: a number with country code, and a separator behind every digit.
pub const MAX_PHONE_BYTES: usize = 96;
/// ITU-T E.164 §6.2.1: country code and national number.
pub const MAX_DIGITS: usize = 15;
/// Digits that are handed to the library: the longest number behind the longest prefix that dials abroad.
const MAX_DIALLED_DIGITS: usize = 20;

/// A mobile number in E.164, `+8613800138000`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// Where a number without country code is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(country::Id);

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// Letters, a second plus, too long, or empty.
    #[error("this is no phone number")]
    Malformed,
    /// No country gives out such a number.
    #[error("no country gives out such a number")]
    Invalid,
    /// A land line, or a number that bills whoever writes to it.
    #[error("this number takes no messages")]
    NotMobile,
}

impl Region {
    /// ISO 3166-1 alpha-2: `CN`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 2).then(|| text.to_ascii_uppercase().parse().ok().map(Self)).flatten()
    }
}

impl Phone {
    /// Reads a number as people write it. Without country code it is one of `region`; without region it is refused.
    pub fn parse(text: &str, region: Option<Region>) -> Result<Self, PhoneError> {
        let dialled = dialled(text)?;
        let region = if dialled.starts_with('+') { None } else { Some(region.ok_or(PhoneError::Malformed)?.0) };
        let number = phonenumber::parse(region, &dialled).map_err(|_| PhoneError::Invalid)?;
        if !number.is_valid() {
            return Err(PhoneError::Invalid);
        }
        if !takes_messages(number.number_type(&DATABASE)) {
            return Err(PhoneError::NotMobile);
        }
        Self::from_e164(&number.format().mode(Mode::E164).to_string()).ok_or(PhoneError::Invalid)
    }

    /// A number that was parsed before: from the store. Checks its shape alone.
    #[must_use]
    pub fn from_e164(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let good = (4..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (good && !digits.starts_with('0')).then(|| Self(text.to_owned()))
    }

    /// The whole number. For sending and sealing; not for logs.
    #[must_use]
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// What may be shown: the first three digits and the last two.
    #[must_use]
    pub fn masked(&self) -> String {
        let last = self.0.len().saturating_sub(2);
        let mask = |(at, c): (usize, char)| if at < 4 || at >= last { c } else { '*' };
        self.0.chars().enumerate().map(mask).collect()
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phone({})", self.masked())
    }
}

/// Digits, behind a plus if there was one. Nothing else reaches the library.
fn dialled(text: &str) -> Result<String, PhoneError> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_PHONE_BYTES {
        return Err(PhoneError::Malformed);
    }
    let mut dialled = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => dialled.push(c),
            // Full-width forms, as input methods for Chinese write them.
            '\u{ff10}'..='\u{ff19}' => dialled.extend(char::from_digit(u32::from(c).wrapping_sub(0xff10), 10)),
            '+' | '\u{ff0b}' if dialled.is_empty() => dialled.push('+'),
            ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}' | '\u{2010}'..='\u{2013}' | '\u{3000}' => {}
            _ => return Err(PhoneError::Malformed),
        }
    }
    let digits = dialled.trim_start_matches('+').len();
    if (3..=MAX_DIALLED_DIGITS).contains(&digits) { Ok(dialled) } else { Err(PhoneError::Malformed) }
}

/// Numbers that bill the caller are how the operator's account for messages is drained.
fn takes_messages(kind: Type) -> bool {
    match kind {
        Type::Mobile | Type::FixedLineOrMobile | Type::PersonalNumber | Type::Voip => true,
        Type::FixedLine
        | Type::TollFree
        | Type::PremiumRate
        | Type::SharedCost
        | Type::Pager
        | Type::Uan
        | Type::Emergency
        | Type::Voicemail
        | Type::ShortCode
        | Type::StandardRate
        | Type::Carrier
        | Type::NoInternational
        | Type::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str, region: &str) -> Result<String, PhoneError> {
        Phone::parse(text, Region::parse(region)).map(|phone| phone.e164().to_owned())
    }

    #[test]
    fn numbers_as_people_write_them() {
        let rows = [
            ("+8613800138000", "", "+8613800138000"),
            ("138 0013 8000", "CN", "+8613800138000"),
            ("138-0013-8000", "cn", "+8613800138000"),
            ("0086 13800138000", "CN", "+8613800138000"),
            ("\u{ff0b}\u{ff18}\u{ff16} \u{ff11}38 0013 8000", "", "+8613800138000"),
            ("+44 (0)7911 123456", "", "+447911123456"),
            ("07911 123456", "GB", "+447911123456"),
            ("(201) 555-0123", "US", "+12015550123"),
            ("+39 312 345 6789", "", "+393123456789"),
            ("+852 5123 4567", "CN", "+85251234567"),
        ];
        for (text, region, want) in rows {
            assert_eq!(parse(text, region).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_mobile_number_is_refused() {
        let rows = [
            ("", "CN", PhoneError::Malformed),
            ("+", "CN", PhoneError::Malformed),
            ("13800138000", "", PhoneError::Malformed),
            ("1380013800a", "CN", PhoneError::Malformed),
            ("86+13800138000", "CN", PhoneError::Malformed),
            ("+8613800138000;ext=1", "", PhoneError::Malformed),
            ("123456789012345678901", "CN", PhoneError::Malformed),
            ("+861380013800", "", PhoneError::Invalid),
            ("+86138001380000", "", PhoneError::Invalid),
            ("+999123456789", "", PhoneError::Invalid),
            ("+86 10 6552 9988", "", PhoneError::NotMobile),
            ("+1 900 234 5678", "", PhoneError::NotMobile),
            ("+44 909 012 3456", "", PhoneError::NotMobile),
        ];
        for (text, region, want) in rows {
            assert_eq!(parse(text, region), Err(want), "{text}");
        }
        assert_eq!((Region::parse("C"), Region::parse("XQ"), Region::parse("\u{e9}")), (None, None, None));
    }

    #[test]
    fn a_number_is_not_shown() {
        let phone = Phone::parse("+8613800138000", None).unwrap();
        assert_eq!(phone.masked(), "+861********00");
        assert_eq!(format!("{phone:?}"), "Phone(+861********00)");
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_what_is_accepted_is_e164(
            text in "[+0-9 ()x;=\u{ff10}-\u{ff19}\\-]{0,30}|\\PC{0,40}",
            region in prop::option::of(prop::sample::select(vec!["CN", "US", "GB", "IT", "BR"])),
        ) {
            if let Ok(phone) = Phone::parse(&text, region.and_then(Region::parse)) {
                prop_assert_eq!(Phone::from_e164(phone.e164()), Some(phone.clone()));
                // E.164 reads as itself, wherever it is dialled.
                prop_assert_eq!(Phone::parse(phone.e164(), Region::parse("CN")), Ok(phone));
            }
        }
    }
}
