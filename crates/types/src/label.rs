//! Short ASCII labels of SDP: MID (RFC 5888, RFC 8843) and RID (RFC 8851).
//!
//! Both travel in RTP header extensions, so they are kept inline: comparing two costs no pointer chase.

use std::fmt;
use std::str::FromStr;

/// An ASCII token of 1..=16 bytes, stored inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    len: u8,
    bytes: [u8; Label::MAX_LEN],
}

/// MID: names one media section of a session.
pub type Mid = Label;
/// RID: names one simulcast layer of a media section.
pub type Rid = Label;

/// Why some bytes are no [`Label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// No byte at all.
    #[error("label is empty")]
    Empty,
    /// More than [`Label::MAX_LEN`] bytes.
    #[error("label is longer than 16 bytes")]
    TooLong,
    /// A byte outside the printable ASCII range without space.
    #[error("label has a byte outside printable ASCII")]
    NotPrintable,
}

impl Label {
    /// RFC 8285 §4.2: a one-byte header extension carries at most 16 bytes, so a longer label cannot be sent by browsers.
    pub const MAX_LEN: usize = 16;

    /// Reads a label from untrusted bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, LabelError> {
        if bytes.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut label = Self { len: 0, bytes: [0; Self::MAX_LEN] };
        let Some(target) = label.bytes.get_mut(..bytes.len()) else {
            return Err(LabelError::TooLong);
        };
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(LabelError::NotPrintable);
        }
        target.copy_from_slice(bytes);
        label.len = bytes.len() as u8; // at most MAX_LEN, checked by get_mut
        Ok(label)
    }

    /// The bytes as they stand on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The label as text; it is ASCII by construction.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::new(text.as_bytes())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_and_refuses() {
        let rows: [(&[u8], Result<&str, LabelError>); 6] = [
            (b"0", Ok("0")),
            (b"abcdefghijklmnop", Ok("abcdefghijklmnop")),
            (b"", Err(LabelError::Empty)),
            (b"abcdefghijklmnopq", Err(LabelError::TooLong)),
            (b"a b", Err(LabelError::NotPrintable)),
            (&[0xff], Err(LabelError::NotPrintable)),
        ];
        for (bytes, want) in rows {
            let got = Label::new(bytes);
            assert_eq!(got.as_ref().map(Label::as_str).map_err(|e| *e), want, "{bytes:?}");
        }
    }
}
