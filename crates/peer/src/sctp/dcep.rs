//! Data Channel Establishment Protocol messages (RFC 8832 §5): the bytes, nothing of who may send them when.
//!
//! Own code and not `rtc-datachannel`'s, whose parser also takes two message types that are private to it from the wire.

/// Longest label or protocol taken from a peer. LiveKit's are under 20 bytes; RFC 8832 would allow 65,535, which each of
/// [`MAX_CHANNELS`](super::MAX_CHANNELS) could pin in memory.
pub(super) const MAX_LABEL_BYTES: usize = 256;

// RFC 8832 §8.2.1
const TYPE_ACK: u8 = 0x02;
const TYPE_OPEN: u8 = 0x03;
// RFC 8832 §8.2.2
const CHANNEL_RELIABLE: u8 = 0x00;
const CHANNEL_REXMIT: u8 = 0x01;
const CHANNEL_TIMED: u8 = 0x02;
const CHANNEL_UNORDERED: u8 = 0x80;
/// RFC 8832 §6.4: 256 is "normal".
const PRIORITY_NORMAL: u16 = 256;

/// How hard SCTP tries to deliver a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Until it arrives.
    None,
    /// At most so many retransmissions.
    Retransmits(u32),
    /// For at most so many milliseconds.
    LifetimeMs(u32),
}

/// Delivery of one channel, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reliability {
    pub(super) ordered: bool,
    pub(super) limit: Limit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Open { reliability: Reliability, label: String },
    Ack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("message ends early or has bytes left over")]
    Length,
    #[error("message type {0} is unknown")]
    MessageType(u8),
    #[error("channel type {0} is unknown")]
    ChannelType(u8),
    #[error("label or protocol is too long")]
    TooLong,
    #[error("label is not UTF-8")]
    Label,
}

impl Message {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (&message_type, rest) = bytes.split_first().ok_or(ParseError::Length)?;
        match message_type {
            TYPE_ACK => Ok(Self::Ack),
            TYPE_OPEN => parse_open(rest),
            other => Err(ParseError::MessageType(other)),
        }
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Ack => vec![TYPE_ACK],
            Self::Open { reliability, label } => open_to_vec(*reliability, label),
        }
    }
}

/// RFC 8832 §5.1, everything behind the message type.
fn parse_open(bytes: &[u8]) -> Result<Message, ParseError> {
    let (fixed, text) = bytes.split_first_chunk::<11>().ok_or(ParseError::Length)?;
    let [channel_type, _, _, r0, r1, r2, r3, l0, l1, p0, p1] = *fixed;
    let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
    let label_len = usize::from(u16::from_be_bytes([l0, l1]));
    let protocol_len = usize::from(u16::from_be_bytes([p0, p1]));
    if label_len > MAX_LABEL_BYTES || protocol_len > MAX_LABEL_BYTES {
        return Err(ParseError::TooLong);
    }
    let limit = match channel_type & !CHANNEL_UNORDERED {
        CHANNEL_RELIABLE => Limit::None, // §5.1: the parameter is ignored
        CHANNEL_REXMIT => Limit::Retransmits(parameter),
        CHANNEL_TIMED => Limit::LifetimeMs(parameter),
        _ => return Err(ParseError::ChannelType(channel_type)),
    };
    let (label, protocol) = text.split_at_checked(label_len).ok_or(ParseError::Length)?;
    if protocol.len() != protocol_len {
        return Err(ParseError::Length);
    }
    let label = std::str::from_utf8(label).map_err(|_| ParseError::Label)?.to_owned();
    Ok(Message::Open { reliability: Reliability { ordered: channel_type & CHANNEL_UNORDERED == 0, limit }, label })
}

fn open_to_vec(reliability: Reliability, label: &str) -> Vec<u8> {
    let (kind, parameter) = match reliability.limit {
        Limit::None => (CHANNEL_RELIABLE, 0),
        Limit::Retransmits(count) => (CHANNEL_REXMIT, count),
        Limit::LifetimeMs(lifetime) => (CHANNEL_TIMED, lifetime),
    };
    let channel_type = if reliability.ordered { kind } else { kind | CHANNEL_UNORDERED };
    let label = label.as_bytes();
    let label_len = u16::try_from(label.len()).unwrap_or(u16::MAX); // `Channels::open` refuses longer ones
    let mut out = Vec::with_capacity(label.len().saturating_add(12));
    out.extend_from_slice(&[TYPE_OPEN, channel_type]);
    out.extend_from_slice(&PRIORITY_NORMAL.to_be_bytes());
    out.extend_from_slice(&parameter.to_be_bytes());
    out.extend_from_slice(&label_len.to_be_bytes());
    out.extend_from_slice(&0u16.to_be_bytes()); // no sub-protocol
    out.extend_from_slice(label);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let rows = [
            (true, Limit::None, ""),
            (true, Limit::None, "_reliable"),
            (false, Limit::Retransmits(0), "_lossy"),
            (true, Limit::Retransmits(u32::MAX), "x"),
            (false, Limit::LifetimeMs(500), "ümlaut"),
        ];
        for (ordered, limit, label) in rows {
            let message = Message::Open { reliability: Reliability { ordered, limit }, label: label.to_owned() };
            assert_eq!(Message::parse(&message.to_vec()), Ok(message));
        }
        assert_eq!(Message::parse(&Message::Ack.to_vec()), Ok(Message::Ack));
    }

    #[test]
    fn wire_form_of_a_chromium_open() {
        // createDataChannel("_lossy", { ordered: false, maxRetransmits: 0 }), priority left at its default of 256
        let wire = b"\x03\x81\x01\x00\x00\x00\x00\x00\x00\x06\x00\x00_lossy";
        let reliability = Reliability { ordered: false, limit: Limit::Retransmits(0) };
        let message = Message::Open { reliability, label: "_lossy".to_owned() };
        assert_eq!(Message::parse(wire), Ok(message.clone()));
        assert_eq!(message.to_vec(), wire);
    }

    #[test]
    fn bad_messages_are_refused() {
        let rows: [(&[u8], ParseError); 9] = [
            (b"", ParseError::Length),
            (b"\x00", ParseError::MessageType(0)),
            (b"\xff", ParseError::MessageType(255)),
            (b"\x03", ParseError::Length),
            (b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00", ParseError::Length),
            (b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00!", ParseError::Length),
            (b"\x03\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00", ParseError::TooLong),
            (b"\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ParseError::ChannelType(3)),
            (b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff", ParseError::Label),
        ];
        for (bytes, error) in rows {
            assert_eq!(Message::parse(bytes), Err(error), "{bytes:02x?}");
        }
    }
}
