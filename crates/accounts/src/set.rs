//! Small sets of named things, kept as a byte: what administrators and API keys are for, what webhooks are told of.

use std::marker::PhantomData;

/// What a set may have in it.
pub trait Named: Copy + Eq + 'static {
    /// Their names in requests, at most eight. The n-th is the n-th bit of the stored form: more of them go to the end.
    const NAMES: &'static [&'static str];
}

/// A set. The default is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Set<T>(u8, PhantomData<T>);

impl<T: Named> Set<T> {
    /// With the n-th in it.
    pub(crate) const fn nth(n: u32) -> Self {
        Self::from_bits(1 << n)
    }

    /// All there are.
    #[must_use]
    pub const fn all() -> Self {
        Self::from_bits(u8::MAX)
    }

    /// From its stored form. Unknown bits fall away: they give nothing.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        let known = match T::NAMES.len() {
            0 => 0,
            len => u8::MAX >> (8 - len),
        };
        Self(bits & known, PhantomData)
    }

    /// As stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0, PhantomData)
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Each that is in it alone, with its name.
    pub fn each(self) -> impl Iterator<Item = (Self, &'static str)> {
        (0..).zip(T::NAMES).map(|(n, name)| (Self::nth(n), *name)).filter(move |(one, _)| self.has(*one))
    }

    /// Names of what is in it.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        self.each().map(|(_, name)| name).collect()
    }

    /// What these names say; `None`: one of them is unknown.
    #[must_use]
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let find = |name| Self::all().each().find(|(_, known)| *known == name);
        let empty = Self(0, PhantomData);
        names.into_iter().try_fold(empty, |sum, name| find(name).map(|(one, _)| sum.and(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    struct Three;

    impl Named for Three {
        const NAMES: &'static [&'static str] = &["a", "b", "c"];
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    struct Eight;

    impl Named for Eight {
        const NAMES: &'static [&'static str] = &["a", "b", "c", "d", "e", "f", "g", "h"];
    }

    #[test]
    fn names_and_bits_read_back_and_unknown_ones_give_nothing() {
        for bits in 0..8 {
            let set = Set::<Three>::from_bits(bits);
            assert_eq!((set.bits(), Set::parse(set.names())), (bits, Some(set)));
            assert_eq!(Set::from_bits(bits | 0xf8), set);
        }
        assert_eq!(Set::<Three>::all().names(), ["a", "b", "c"]);
        assert_eq!(Set::<Three>::parse(["a", "d"]), None);
        assert_eq!(Set::<Three>::parse([]), Some(Set::default()));
        assert_eq!((Set::<Eight>::all().bits(), Set::<Eight>::nth(7).names()), (255, vec!["h"]));
    }

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let both = Set::<Three>::nth(0).and(Set::nth(2));
        assert!(both.has(Set::nth(0)) && both.has(Set::nth(2)) && both.has(Set::default()));
        assert!(!both.has(Set::nth(1)) && !both.has(Set::all()));
    }
}
