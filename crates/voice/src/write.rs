//! Opus packets into an Ogg Opus file (RFC 7845): for what was recorded as WebM and for [`crate::encode`].

use std::borrow::Cow;

use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::{SAMPLE_RATE, VoiceError, head};

/// The same for all: a file has one stream, and equal recordings shall make equal files, which are stored once.
const SERIAL: u32 = u32::from_be_bytes(*b"CVNE");
/// Samples on a page. One second, as RFC 7845 §6 advises: a player seeks by pages; shorter ones only add headers.
const PAGE_SAMPLES: u64 = SAMPLE_RATE as u64;

/// A file in the making.
pub(crate) struct Writer<'a> {
    pages: PacketWriter<'a, Vec<u8>>,
    /// The newest packet: whether it is the last is not known yet.
    pending: Option<Cow<'a, [u8]>>,
    /// Samples with `pending`, and those at which its page began.
    granule: u64,
    page_began: u64,
}

impl<'a> Writer<'a> {
    /// Writes the headers.
    pub(crate) fn new(head: impl Into<Cow<'a, [u8]>>) -> Result<Writer<'a>, VoiceError> {
        let pages = PacketWriter::new(Vec::new());
        let mut writer = Writer { pages, pending: None, granule: 0, page_began: 0 };
        writer.write(head.into(), PacketWriteEndInfo::EndPage, 0)?;
        writer.write(head::write_tags().into(), PacketWriteEndInfo::EndPage, 0)?;
        Ok(writer)
    }

    /// Appends a packet of so many samples.
    pub(crate) fn push(&mut self, packet: impl Into<Cow<'a, [u8]>>, samples: u64) -> Result<(), VoiceError> {
        if let Some(pending) = self.pending.take() {
            let full = self.granule.saturating_sub(self.page_began) >= PAGE_SAMPLES;
            let end = if full { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.write(pending, end, self.granule)?;
            if full {
                self.page_began = self.granule;
            }
        }
        self.pending = Some(packet.into());
        self.granule = self.granule.saturating_add(samples);
        Ok(())
    }

    /// Ends the file; the last `trim` samples shall not play (RFC 7845 §4.4).
    pub(crate) fn finish(mut self, trim: u64) -> Result<Vec<u8>, VoiceError> {
        let last = self.pending.take().ok_or(VoiceError::Empty)?;
        self.write(last, PacketWriteEndInfo::EndStream, self.granule.saturating_sub(trim))?;
        Ok(self.pages.into_inner())
    }

    fn write(&mut self, packet: Cow<'a, [u8]>, end: PacketWriteEndInfo, granule: u64) -> Result<(), VoiceError> {
        let written = self.pages.write_packet(packet, SERIAL, end, granule);
        written.map_err(|_| VoiceError::Codec("ogg writer"))
    }
}
