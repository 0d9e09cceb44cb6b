//! An Ogg Opus file before it is decoded: its headers, and how much of it plays (RFC 7845 §4).
//!
//! The length comes from the packets' own headers, and granule positions must agree with it: else players, which read
//! granules, would show another length than we do.

use std::borrow::Cow;

use crate::head::{self, Head};
use crate::page::{NO_GRANULE, Page, Pages};
use crate::toc::{self, MAX_PACKET_SAMPLES};
use crate::{Limits, VoiceError};

/// How far a page's granule may be from the samples that were counted. Zero would refuse what was remuxed from
/// timestamps in ms, and files with a hole of one packet; more would let players show a wrong length.
const MAX_DRIFT: i64 = MAX_PACKET_SAMPLES.cast_signed();

/// A file whose headers are good.
#[derive(Clone, Debug)]
pub(crate) struct Stream<'a> {
    head: Head,
    audio: Pages<'a>,
}

/// What of the decoded samples plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Dropped at the beginning.
    pub(crate) skip: u64,
    /// Played after that; never zero.
    pub(crate) samples: u64,
}

impl<'a> Stream<'a> {
    /// Reads the headers.
    pub(crate) fn open(file: &'a [u8]) -> Result<Stream<'a>, VoiceError> {
        let mut pages = Pages::new(file);
        // RFC 7845 §3: the first page holds OpusHead only; OpusTags ends its page.
        let first = pages.next()?.ok_or(VoiceError::Empty)?;
        let head = Head::parse(first.packets.first().ok_or(VoiceError::NotOpus)?)?;
        if first.packets.len() > 1 || !first.closed {
            return Err(VoiceError::Damaged("more than OpusHead on the first page"));
        }
        head::check_tags(&tags(&mut pages)?)?;
        Ok(Stream { head, audio: pages })
    }

    /// The identification header.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The pages behind the headers.
    pub(crate) fn pages(&self) -> Pages<'a> {
        self.audio.clone()
    }

    /// Goes over all packets without decoding one.
    pub(crate) fn survey(&self, limits: &Limits) -> Result<Span, VoiceError> {
        let skip = u64::from(self.head.pre_skip);
        let most = limits.max_samples().saturating_add(skip);
        let too_long = VoiceError::TooLong { limit_ms: limits.max_duration_ms };
        let (mut count, mut pages) = (Count::default(), self.pages());
        while let Some(page) = pages.next()? {
            count.add(&page)?;
            // Only the last page can be trimmed.
            if count.before_page > most {
                return Err(too_long);
            }
        }
        let samples = count.playing.checked_sub(skip).filter(|samples| *samples > 0).ok_or(VoiceError::Empty)?;
        if count.playing > most {
            return Err(too_long);
        }
        Ok(Span { skip, samples })
    }
}

fn tags<'a>(pages: &mut Pages<'a>) -> Result<Cow<'a, [u8]>, VoiceError> {
    loop {
        let page = pages.next()?.ok_or(VoiceError::Damaged("no OpusTags"))?;
        let more = page.packets.len() > 1;
        let Some(tags) = page.packets.into_iter().next() else { continue };
        if more || !page.closed {
            return Err(VoiceError::Damaged("more than OpusTags on its page"));
        }
        return Ok(tags);
    }
}

/// Samples so far, and what the granules say of them.
#[derive(Debug, Default)]
struct Count {
    /// Decoded up to this page, and with it.
    before_page: u64,
    decoded: u64,
    /// `decoded`, but for what the last page trims.
    playing: u64,
    /// The granule position of the first sample: not 0 in what was cut out of a longer stream.
    origin: Option<i64>,
}

impl Count {
    fn add(&mut self, page: &Page<'_>) -> Result<(), VoiceError> {
        self.before_page = self.decoded;
        for packet in &page.packets {
            let samples = toc::samples(packet).ok_or(VoiceError::Damaged("an Opus packet"))?;
            self.decoded = self.decoded.saturating_add(samples);
        }
        self.playing = self.decoded;
        if page.granule == NO_GRANULE && page.packets.is_empty() {
            return Ok(());
        }
        self.check_granule(page)
    }

    fn check_granule(&mut self, page: &Page<'_>) -> Result<(), VoiceError> {
        let wrong = VoiceError::Damaged("a granule position");
        let decoded = i64::try_from(self.decoded).map_err(|_| wrong)?;
        let before = i64::try_from(self.before_page).map_err(|_| wrong)?;
        // RFC 7845 §4.5: less than the samples of the first page is allowed if that is the last page too.
        let of_first = page.granule.checked_sub(decoded).ok_or(wrong)?;
        let origin = *self.origin.get_or_insert(if page.last { of_first.max(0) } else { of_first });
        let end = page.granule.checked_sub(origin).ok_or(wrong)?;
        // RFC 7845 §4.4: end trimming, on the last page only and within it.
        let earliest = if page.last { before } else { decoded };
        let window = earliest.saturating_sub(MAX_DRIFT)..=decoded.saturating_add(MAX_DRIFT);
        if origin < 0 || page.granule < 0 || !window.contains(&end) {
            return Err(wrong);
        }
        if page.last {
            self.playing = u64::try_from(end.min(decoded)).unwrap_or(0);
        }
        Ok(())
    }
}
