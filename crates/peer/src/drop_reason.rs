//! Why a packet from the network was thrown away.
//!
//! A bad packet is not an error that travels: the shell counts it by reason and goes on. The enum is closed so that the
//! counters' labels are closed too.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)+) => {
        /// Why a packet was dropped. Its [`as_str`](DropReason::as_str) is a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DropReason {
            $($(#[$doc])* $name,)+
        }

        impl DropReason {
            /// Every reason, to make all counters appear before the first drop.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)+];

            /// Label for metrics and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(DropReason::$name => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// Not a well-formed STUN message.
    StunMalformed => "stun_malformed",
    /// STUN, but not a binding request.
    StunNotRequest => "stun_not_request",
    /// USERNAME is missing or names none of our fragments.
    StunUnknownUser => "stun_unknown_user",
    /// MESSAGE-INTEGRITY is missing or wrong.
    StunIntegrity => "stun_integrity",
    /// FINGERPRINT is wrong.
    StunFingerprint => "stun_fingerprint",
    /// Answers wait unsent because nobody polls them.
    TransmitQueueFull => "transmit_queue_full",
    /// DTLS from an address that never passed an ICE check.
    DtlsUnknownAddress => "dtls_unknown_address",
    /// Records that do not fill the datagram, fragments that do not fit their message, or a ClientHello that contradicts itself.
    DtlsMalformed => "dtls_malformed",
    /// A record that has no place in the present state, such as a late handshake record.
    DtlsUnexpected => "dtls_unexpected",
    /// The handshake took more datagrams or fragments than any honest one.
    DtlsBudget => "dtls_budget",
    /// The association is closed or failed.
    DtlsClosed => "dtls_closed",
    /// SRTP or SRTCP before the keys.
    SrtpNoKeys => "srtp_no_keys",
    /// Not a well-formed RTP packet.
    RtpMalformed => "rtp_malformed",
    /// Not a well-formed RTCP packet, or one that is not encrypted.
    RtcpMalformed => "rtcp_malformed",
    /// The authentication tag is wrong.
    SrtpAuthentication => "srtp_authentication",
    /// This packet was received before.
    SrtpReplay => "srtp_replay",
    /// Too far behind the newest packet to tell whether it is a replay.
    SrtpTooOld => "srtp_too_old",
    /// The peer uses more SSRCs than we keep state for.
    SrtpTooManySsrcs => "srtp_too_many_ssrcs",
}

#[cfg(test)]
mod tests {
    use super::DropReason;

    #[test]
    fn labels_are_unique() {
        for (position, reason) in DropReason::ALL.iter().enumerate() {
            let first = DropReason::ALL.iter().position(|other| other.as_str() == reason.as_str());
            assert_eq!(first, Some(position), "{reason:?} shares its label");
        }
    }
}
