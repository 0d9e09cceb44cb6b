//! Walks the elements of a header extension block, RFC 8285 §4.2 (one-byte form) and §4.3 (two-byte form).

use std::ops::Range;

/// RFC 8285 §4.2: the profile word of one-byte elements.
pub(super) const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// RFC 8285 §4.3: the profile word of two-byte elements; its low four bits ("appbits") are free.
pub(super) const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xFFF0;

/// RFC 8285 §4.2: the id 15 is reserved in the one-byte form; a receiver stops there.
const RESERVED_ONE_BYTE_ID: u8 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

/// Iterator over (id, where the value lies in the block's data).
#[derive(Clone, Copy, Debug)]
pub(super) struct Elements<'a> {
    data: &'a [u8],
    at: usize,
    form: Form,
}

impl<'a> Elements<'a> {
    /// No extension block.
    pub(super) const EMPTY: Self = Self { data: &[], at: 0, form: Form::OneByte };

    /// `data` is the block without its four-byte head. An unknown profile yields no elements.
    pub(super) const fn new(profile: u16, data: &'a [u8]) -> Self {
        if profile == ONE_BYTE_PROFILE {
            Self { data, at: 0, form: Form::OneByte }
        } else if profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE {
            Self { data, at: 0, form: Form::TwoByte }
        } else {
            Self::EMPTY
        }
    }

    pub(super) const fn data(&self) -> &'a [u8] {
        self.data
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    /// Id and length of the next element, padding skipped.
    fn head(&mut self) -> Option<(u8, usize)> {
        loop {
            let first = self.byte()?;
            match self.form {
                _ if first == 0 => {} // one byte of padding in both forms
                Form::OneByte => {
                    let id = first >> 4;
                    // RFC 8285 §4.2: id 0 with a length, and id 15, end the block.
                    let ends = id == 0 || id == RESERVED_ONE_BYTE_ID;
                    return (!ends).then_some((id, usize::from(first & 0x0f).saturating_add(1)));
                }
                Form::TwoByte => return Some((first, usize::from(self.byte()?))),
            }
        }
    }
}

impl Iterator for Elements<'_> {
    type Item = (u8, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.head().and_then(|(id, len)| {
            let end = self.at.checked_add(len).filter(|end| *end <= self.data.len())?;
            Some((id, self.at..end))
        });
        // Nothing after a broken or final element is looked at.
        self.at = element.as_ref().map_or(self.data.len(), |(_, range)| range.end);
        element
    }
}
