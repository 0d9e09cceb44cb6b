//! Sends our last flight again when the client shows that it did not arrive (RFC 6347 §4.2.4).
//!
//! rtc-dtls forgets its timer at any repeated ClientHello and then never repeats ServerHello..ServerHelloDone, so one
//! lost datagram would hang the handshake; and once the handshake is over it must not see handshake records at all,
//! because it would store them for ever. The copies here are sent verbatim: records that did arrive are dropped by the
//! client's replay window, those that did not are what it waits for.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::record::{
    CHANGE_CIPHER_SPEC, CLIENT_HELLO, Fragment, HANDSHAKE, HELLO_VERIFY_REQUEST, SERVER_HELLO, records,
};

/// Between two resends. Clients repeat after 50 ms at the earliest; a repeat of several datagrams is one repeat.
const MIN_INTERVAL: Duration = Duration::from_millis(20);

/// Resends per association: a client backs off from 50 ms to 60 s in a dozen steps. With the interval this bounds what
/// a forged hello can make us send.
const MAX_RESENDS: u32 = 24;

/// Datagrams of one flight that are kept. Ours has one, of 700 bytes.
const MAX_DATAGRAMS: usize = 8;

/// Copies of what the client may have lost.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// ServerHello..ServerHelloDone.
    hello: Vec<Bytes>,
    /// ChangeCipherSpec and Finished.
    finished: Vec<Bytes>,
    last: Option<Instant>,
    resends: u32,
}

/// What a datagram from the client says about our last flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Hello,
    Finished,
}

impl Flight {
    /// Keeps a copy of a datagram on its way out, if it belongs to a flight that may need repeating.
    pub(super) fn record(&mut self, datagram: &Bytes) {
        let Some(record) = records(datagram).next() else { return };
        let flight = match (record.content_type, Fragment::parse(record).map(|fragment| fragment.kind)) {
            (HANDSHAKE, Some(HELLO_VERIFY_REQUEST)) => return,
            (HANDSHAKE, Some(SERVER_HELLO)) => {
                self.hello.clear();
                &mut self.hello
            }
            (HANDSHAKE, Some(_)) => &mut self.hello,
            (CHANGE_CIPHER_SPEC, _) => {
                self.finished.clear();
                &mut self.finished
            }
            (HANDSHAKE, None) => &mut self.finished,
            _ => return,
        };
        if flight.len() < MAX_DATAGRAMS {
            flight.push(datagram.clone());
        }
    }

    /// Whether ServerHello has gone out.
    pub(super) fn has_hello(&self) -> bool {
        !self.hello.is_empty()
    }

    /// The flight to send again, or nothing.
    pub(super) fn resend(&mut self, now: Instant, lost: Lost) -> &[Bytes] {
        let early = self.last.is_some_and(|last| now.duration_since(last) < MIN_INTERVAL);
        if early || self.resends >= MAX_RESENDS {
            return &[];
        }
        let flight = match lost {
            Lost::Hello => &self.hello,
            Lost::Finished => &self.finished,
        };
        if !flight.is_empty() {
            self.last = Some(now);
            self.resends += 1;
        }
        flight
    }
}

/// Whether the datagram begins a ClientHello.
pub(super) fn begins_hello(datagram: &[u8]) -> bool {
    records(datagram).filter_map(Fragment::parse).any(|fragment| fragment.kind == CLIENT_HELLO && fragment.offset == 0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use super::{Flight, Lost, MAX_RESENDS, MIN_INTERVAL};

    fn datagram(content_type: u8, epoch: u8, kind: u8) -> Bytes {
        let mut bytes = vec![content_type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0, 0, 13];
        bytes.extend_from_slice(&[kind, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 42]);
        Bytes::from(bytes)
    }

    #[test]
    fn keeps_the_right_flight() {
        let now = Instant::now();
        let mut flight = Flight::default();
        assert!(flight.resend(now, Lost::Hello).is_empty());
        flight.record(&datagram(22, 0, 3));
        assert!(flight.resend(now, Lost::Hello).is_empty(), "HelloVerifyRequest is the stack's own");
        for kind in [2, 11, 14] {
            flight.record(&datagram(22, 0, kind));
        }
        assert_eq!(flight.resend(now, Lost::Hello).len(), 3);
        flight.record(&datagram(22, 0, 2));
        assert_eq!(flight.resend(now + MIN_INTERVAL, Lost::Hello).len(), 1, "a repeat by the stack replaces it");
        flight.record(&datagram(20, 0, 1));
        flight.record(&datagram(22, 1, 99));
        flight.record(&datagram(21, 1, 1));
        flight.record(&datagram(23, 1, 1));
        assert_eq!(flight.resend(now + 2 * MIN_INTERVAL, Lost::Finished).len(), 2);
    }

    #[test]
    fn resends_are_rate_limited_and_bounded() {
        let mut now = Instant::now();
        let mut flight = Flight::default();
        flight.record(&datagram(22, 0, 2));
        let mut sent = 0;
        for _ in 0..10_000 {
            sent += flight.resend(now, Lost::Hello).len();
            now += Duration::from_millis(1);
        }
        assert_eq!(sent, MAX_RESENDS as usize);
    }
}
