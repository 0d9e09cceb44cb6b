//! Why an incoming packet went no further.

/// A closed list, so that it can label a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// The track is not in this room.
    UnknownTrack,
    /// The track has no such layer.
    UnknownLayer,
    /// The payload type was not negotiated for the track.
    UnknownPt,
    /// No RTP packet.
    RtpMalformed,
    /// Above the largest packet that is forwarded.
    RtpTooLarge,
    /// So late that it cannot be told from an old lap of the sequence numbers.
    RtpTooOld,
    /// Seen before: the same packet by media and RTX, or repeated as a bandwidth probe.
    RtpDuplicate,
    /// Of another SSRC than its layer has, which had another one a moment ago, or of the one that it has left while it goes on.
    RtpOtherSsrc,
    /// RTX before the first packet of the layer it repairs.
    RepairBeforeMedia,
    /// Too many packets wait for a flush; it was kept for retransmission only.
    BatchFull,
    /// Part of an RTCP packet could not be read; the rest was handled.
    RtcpMalformed,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::UnknownTrack,
        Self::UnknownLayer,
        Self::UnknownPt,
        Self::RtpMalformed,
        Self::RtpTooLarge,
        Self::RtpTooOld,
        Self::RtpDuplicate,
        Self::RtpOtherSsrc,
        Self::RepairBeforeMedia,
        Self::BatchFull,
        Self::RtcpMalformed,
    ];

    /// The counter's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTrack => "unknown_track",
            Self::UnknownLayer => "unknown_layer",
            Self::UnknownPt => "unknown_pt",
            Self::RtpMalformed => "rtp_malformed",
            Self::RtpTooLarge => "rtp_too_large",
            Self::RtpTooOld => "rtp_too_old",
            Self::RtpDuplicate => "rtp_duplicate",
            Self::RtpOtherSsrc => "rtp_other_ssrc",
            Self::RepairBeforeMedia => "repair_before_media",
            Self::BatchFull => "batch_full",
            Self::RtcpMalformed => "rtcp_malformed",
        }
    }
}
