//! Two [`Channels`] against each other over a seeded network with a fake clock, and one against an attacker.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::link::{Link, Ppid};
use super::{
    ChannelId, Channels, Event, MAX_BUFFERED_BYTES, MAX_CHANNELS, MAX_MESSAGE_BYTES, MAX_WAIT, OpenError, SendError,
};

const DELAY: Duration = Duration::from_millis(20);
const SEED: u64 = 0x5eed;

/// SplitMix64: enough for which packet is lost.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// `ends[0]` is ours (waits, odd ids), `ends[1]` the client (sends INIT, even ids).
struct Net {
    now: Instant,
    start: Instant,
    ends: [Channels; 2],
    events: [Vec<Event>; 2],
    /// Due time, receiver, packet.
    wire: Vec<(Instant, usize, Bytes)>,
    /// Every packet by sender, for replay.
    sent: [Vec<Bytes>; 2],
    rng: Rng,
    loss_percent: u64,
    /// Packets of one direction overtake each other by up to 20 ms.
    reorder: bool,
}

impl Net {
    fn new(loss_percent: u64) -> Self {
        let start = Instant::now();
        let ends = [Channels::new(start), Channels::with_link(Link::initiating(), 0)];
        let mut net = Self {
            now: start,
            start,
            ends,
            events: [Vec::new(), Vec::new()],
            wire: Vec::new(),
            sent: [Vec::new(), Vec::new()],
            rng: Rng(SEED + loss_percent),
            loss_percent,
            reorder: false,
        };
        net.ends[1].settle(start);
        net.collect();
        net
    }

    fn up(loss_percent: u64) -> Self {
        let mut net = Self::new(loss_percent);
        net.run("association", |net| net.ends[0].is_up() && net.ends[1].is_up());
        net
    }

    /// A channel that the client opened, as (ours, theirs).
    fn client_channel(&mut self, label: &str, ordered: bool, max_retransmits: Option<u16>) -> (ChannelId, ChannelId) {
        let theirs = self.ends[1].open(self.now, label, ordered, max_retransmits).unwrap();
        self.collect();
        self.run("channel", |net| net.opened(0, theirs) && net.opened(1, theirs));
        (theirs, theirs)
    }

    fn opened(&self, end: usize, wanted: ChannelId) -> bool {
        self.events[end].iter().any(|e| matches!(e, Event::Opened { id, .. } if *id == wanted))
    }

    fn closed(&self, end: usize, wanted: ChannelId) -> bool {
        self.events[end].contains(&Event::Closed { id: wanted })
    }

    fn messages(&self, end: usize) -> Vec<(bool, Bytes)> {
        let message = |event: &Event| match event {
            Event::Message { text, payload, .. } => Some((*text, payload.clone())),
            Event::Opened { .. } | Event::Closed { .. } | Event::Failed => None,
        };
        self.events[end].iter().filter_map(message).collect()
    }

    fn collect(&mut self) {
        for from in 0..2 {
            while let Some(packet) = self.ends[from].poll_packet() {
                self.sent[from].push(packet.clone());
                if self.rng.below(100) >= self.loss_percent {
                    let extra = if self.reorder { Duration::from_millis(self.rng.below(20)) } else { Duration::ZERO };
                    let due = self.now + DELAY + extra;
                    self.wire.push((due, 1 - from, packet));
                }
            }
            while let Some(event) = self.ends[from].poll_event() {
                self.events[from].push(event);
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let timers = self.ends.iter().filter_map(Channels::poll_timeout).min();
        let arrival = self.wire.iter().map(|(due, ..)| *due).min();
        timers.into_iter().chain(arrival).min()
    }

    /// Goes on to the next thing that happens. False if nothing ever will.
    fn step(&mut self) -> bool {
        let Some(next) = self.next() else { return false };
        self.now = self.now.max(next);
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|due| due <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        self.wire.sort_by_key(|(due, ..)| *due);
        let later = self.wire.partition_point(|(due, ..)| *due <= self.now);
        for (_, to, packet) in self.wire.drain(..later).collect::<Vec<_>>() {
            self.ends[to].handle_packet(self.now, &packet);
        }
        self.collect();
        true
    }

    /// Runs until `done`, at most two simulated minutes.
    fn run(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(120);
        while !done(self) {
            let late = self.now > deadline;
            assert!(self.step() && !late, "{what} never came at {} % loss, seed {SEED:#x}", self.loss_percent);
        }
    }

    fn run_for(&mut self, time: Duration) {
        let deadline = self.now + time;
        while self.next().is_some_and(|next| next <= deadline) && self.step() {}
        self.now = deadline;
    }

    fn feed(&mut self, to: usize, packet: &[u8]) {
        self.ends[to].handle_packet(self.now, packet);
        self.collect();
    }
}

fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31).wrapping_add(salt)) as u8).collect()
}

#[test]
fn a_thousand_messages_arrive_in_order_within_the_time_they_may_take() {
    // 1 MB each way at once over 40 ms of round trip. rtc-sctp's 1 s floor takes 3-7 s at 5 %.
    let rows = [(0, Duration::from_secs(3)), (5, Duration::from_secs(15)), (20, Duration::from_secs(110))];
    for (loss, limit) in rows {
        let mut net = Net::up(loss);
        let (ours, theirs) = net.client_channel("_reliable", true, None);
        let begin = net.now;
        for i in 0..1000 {
            net.ends[0].send(net.now, ours, false, &pattern(1000, i)).unwrap();
            net.ends[1].send(net.now, theirs, false, &pattern(1000, i + 7)).unwrap();
        }
        net.collect();
        net.run("1000 messages", |net| net.messages(0).len() == 1000 && net.messages(1).len() == 1000);
        for i in 0..1000 {
            assert_eq!(net.messages(1)[i], (false, pattern(1000, i).into()));
            assert_eq!(net.messages(0)[i], (false, pattern(1000, i + 7).into()));
        }
        let took = net.now - begin;
        println!("loss {loss} %: {took:?}");
        assert!(took < limit, "{took:?} at {loss} %");
    }
}

#[test]
fn the_largest_message_arrives_and_a_larger_one_is_refused() {
    for loss in [0, 5, 20] {
        let mut net = Net::up(loss);
        let (ours, theirs) = net.client_channel("big", true, None);
        let big = pattern(MAX_MESSAGE_BYTES, 3);
        net.ends[0].send(net.now, ours, false, &big).unwrap();
        net.ends[1].send(net.now, theirs, true, &big).unwrap();
        net.collect();
        net.run("256 KiB", |net| !net.messages(0).is_empty() && !net.messages(1).is_empty());
        assert_eq!(net.messages(1)[0], (false, big.clone().into()));
        assert_eq!(net.messages(0)[0], (true, big.into()));
        let too_big = vec![0; MAX_MESSAGE_BYTES + 1];
        assert_eq!(net.ends[0].send(net.now, ours, false, &too_big), Err(SendError::TooLarge));
        net.ends[0].set_peer_max_message_bytes(65_536);
        assert_eq!(net.ends[0].send(net.now, ours, false, &too_big[..65_537]), Err(SendError::TooLarge));
        assert_eq!(net.ends[0].send(net.now, ours, false, &too_big[..65_536]), Ok(()));
    }
}

#[test]
fn message_kinds_and_empty_messages_keep_their_kind() {
    let mut net = Net::up(0);
    let (ours, theirs) = net.client_channel("kinds", true, None);
    let rows: [(bool, &[u8]); 4] = [(true, b"text"), (true, b""), (false, b"\x00"), (false, b"")];
    for (text, payload) in rows {
        net.ends[0].send(net.now, ours, text, payload).unwrap();
        net.ends[1].send(net.now, theirs, text, payload).unwrap();
    }
    net.collect();
    net.run("4 messages", |net| net.messages(0).len() == 4 && net.messages(1).len() == 4);
    let expected = rows.map(|(text, payload)| (text, Bytes::from_static(payload)));
    assert_eq!(net.messages(0), expected);
    assert_eq!(net.messages(1), expected);
}

#[test]
fn a_lossy_channel_loses_and_never_repeats_and_a_reliable_one_beside_it_is_whole() {
    for (loss, fewest, most) in [(0, 500, 500), (5, 440, 495), (20, 330, 450)] {
        let mut net = Net::up(loss);
        let (lossy, _) = net.client_channel("_lossy", false, Some(0));
        let (reliable, _) = net.client_channel("_reliable", true, None);
        for i in 0..500_u32 {
            net.ends[0].send(net.now, lossy, false, &i.to_be_bytes()).unwrap();
            net.ends[0].send(net.now, reliable, true, &i.to_be_bytes()).unwrap();
            net.collect();
            net.run_for(Duration::from_millis(10));
        }
        let reliable_count = |net: &Net| net.messages(1).iter().filter(|(text, _)| *text).count();
        net.run("reliable half", |net| reliable_count(net) == 500);
        net.run_for(Duration::from_secs(10));
        let mut got: Vec<Bytes> = net.messages(1).into_iter().filter(|(text, _)| !text).map(|(_, p)| p).collect();
        let count = got.len();
        got.sort();
        got.dedup();
        assert_eq!(got.len(), count, "a lossy message came twice at {loss} %");
        assert!((fewest..=most).contains(&count), "{count} of 500 at {loss} %");
        assert_eq!(net.ends[0].buffered_bytes(), 0, "abandoned messages still count at {loss} %");
    }
}

#[test]
fn channels_of_both_sides_open_with_their_parity_and_label() {
    for (loss, reorder) in [(0, false), (20, false), (0, true), (10, true)] {
        let mut net = Net::new(loss);
        net.reorder = reorder;
        // before the association is up: all wait for it
        let ours: Vec<_> =
            ["_reliable", "_lossy"].iter().map(|label| net.ends[0].open(net.now, label, true, None).unwrap()).collect();
        let theirs = net.ends[1].open(net.now, "client's", false, Some(3)).unwrap();
        assert_eq!((ours[0].stream_id(), ours[1].stream_id(), theirs.stream_id()), (1, 3, 0));
        assert_eq!(net.ends[0].send(net.now, ours[0], true, b"x"), Err(SendError::NotOpen));
        net.run("all open", |net| (0..2).all(|end| net.events[end].len() == 3));
        for end in 0..2 {
            for (id, label) in [(ours[0], "_reliable"), (ours[1], "_lossy"), (theirs, "client's")] {
                assert!(net.events[end].contains(&Event::Opened { id, label: label.to_owned() }));
            }
        }
    }
}

#[test]
fn a_closed_channel_is_closed_on_both_sides_after_its_last_message_and_can_be_opened_again() {
    for loss in [0, 5, 20] {
        for closer in 0..2 {
            let mut net = Net::up(loss);
            for round in 0..3 {
                let (id, _) = net.client_channel("again", true, None);
                net.ends[closer].send(net.now, id, true, b"last words").unwrap();
                net.ends[closer].close_channel(net.now, id);
                assert_eq!(net.ends[closer].send(net.now, id, true, b"x"), Err(SendError::NoSuchChannel));
                net.collect();
                net.run("closed", |net| net.closed(0, id) && net.closed(1, id));
                assert_eq!(net.messages(1 - closer), [(true, "last words".into())], "round {round}");
                net.events = [Vec::new(), Vec::new()];
            }
        }
    }
}

#[test]
fn a_stream_id_is_usable_again_after_its_channel_was_closed() {
    for loss in [0, 5, 20] {
        let mut net = Net::up(loss);
        for round in 0..5_u8 {
            net.ends[1].next_id = 2; // a browser takes the lowest free id
            let (id, _) = net.client_channel("same id", true, None);
            assert_eq!(id.stream_id(), 2);
            net.ends[0].send(net.now, id, false, &[round]).unwrap();
            net.ends[1].send(net.now, id, false, &[round]).unwrap();
            net.collect();
            net.run("echo", |net| (0..2).all(|end| net.messages(end) == [(false, vec![round].into())]));
            net.ends[1].close_channel(net.now, id);
            net.collect();
            net.run("closed", |net| net.closed(0, id) && net.closed(1, id));
            net.events = [Vec::new(), Vec::new()];
        }
    }
}

#[test]
fn what_waits_for_a_silent_peer_is_bounded_and_flows_again_after_the_outage() {
    let mut net = Net::up(0);
    let (id, _) = net.client_channel("slow", true, None);
    net.loss_percent = 100;
    let message = pattern(100_000, 0);
    let mut taken = 0;
    let refusal = loop {
        match net.ends[0].send(net.now, id, false, &message) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        net.collect();
    };
    assert_eq!(refusal, SendError::Full);
    assert_eq!(taken, MAX_BUFFERED_BYTES / message.len());
    assert!(net.ends[0].buffered_bytes() <= MAX_BUFFERED_BYTES);
    // trap 9: five retransmissions would be over long before this
    net.run_for(Duration::from_secs(60));
    assert!(net.messages(1).is_empty());
    net.loss_percent = 0;
    let back = net.now;
    // at most RTO_MAX_MS to the next attempt, then 100 kB in slow start from one packet
    net.run("first message after the outage", |net| !net.messages(1).is_empty());
    assert!(net.now - back < Duration::from_secs(5), "{:?}", net.now - back);
    net.run("all of them", |net| net.messages(1).len() == taken);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.ends[0].buffered_bytes(), 0);
}

#[test]
fn channels_and_streams_of_a_peer_are_limited() {
    let mut net = Net::up(0);
    for _ in 0..MAX_CHANNELS {
        net.ends[1].open(net.now, "one of many", true, None).unwrap();
    }
    assert_eq!(net.ends[1].open(net.now, "one too many", true, None), Err(OpenError::TooMany));
    assert_eq!(net.ends[1].open(net.now, &"x".repeat(257), true, None), Err(OpenError::LabelTooLong));
    net.collect();
    net.run("64 channels", |net| net.events[0].len() == MAX_CHANNELS);
    // A client that does not count is refused by a reset of the stream.
    net.ends[1].channels.remove(&0);
    let extra = net.ends[1].open(net.now, "uncounted", true, None).unwrap();
    net.collect();
    net.run("refusal", |net| net.closed(1, extra));
    assert_eq!(net.events[0].len(), MAX_CHANNELS);
    // One that opens streams with neither OPEN nor complete messages loses its association.
    for id in 200..400 {
        let reliability = super::Reliability { ordered: true, limit: super::Limit::None };
        net.ends[1].link.open_stream(id, reliability);
        net.ends[1].link.write(id, Ppid::Unknown, b"no channel");
    }
    net.ends[1].settle(net.now);
    net.collect();
    net.run("failure", |net| net.events[0].contains(&Event::Failed));
}

#[test]
fn messages_outside_a_channel_and_opens_of_our_parity_reset_the_stream() {
    let rows: [(u16, Ppid, &[u8]); 4] = [
        (10, Ppid::Text, b"negotiated out of band"),
        (11, Ppid::Control, b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00x"), // odd: ours to open
        (12, Ppid::Control, b"\x03\x00"),
        (14, Ppid::Control, b""),
    ];
    for (id, ppid, payload) in rows {
        let mut net = Net::up(0);
        let reliability = super::Reliability { ordered: true, limit: super::Limit::None };
        assert!(net.ends[1].link.open_stream(id, reliability));
        // SCTP has no empty message: one byte that is no DCEP type
        net.ends[1].link.write(id, ppid, if payload.is_empty() { b"\x09" } else { payload });
        net.ends[1].settle(net.now);
        net.collect();
        net.run_for(Duration::from_secs(2));
        assert!(net.events[0].is_empty(), "{:?}", net.events[0]);
        assert_eq!((net.ends[0].link.stream_count(), net.ends[1].link.stream_count()), (0, 0), "stream {id} lives on");
        net.client_channel("the association goes on", true, None);
    }
}

#[test]
fn a_second_open_on_a_channel_closes_it() {
    let mut net = Net::up(0);
    let (id, _) = net.client_channel("once", true, None);
    net.ends[1].link.write(id.0, Ppid::Control, b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00x");
    net.ends[1].settle(net.now);
    net.collect();
    net.run("closed", |net| net.closed(0, id) && net.closed(1, id));
}

#[test]
fn a_repeated_init_after_the_handshake_changes_nothing() {
    let mut net = Net::up(0);
    let init = net.sent[1][0].clone();
    net.feed(0, &init);
    net.client_channel("still there", true, None);
    assert!(!net.events[0].contains(&Event::Failed));
}

#[test]
fn abort_and_shutdown_of_the_peer_fail_the_association_once() {
    let mut net = Net::up(0);
    net.client_channel("a", true, None);
    let mut abort = net.sent[1].last().unwrap()[..12].to_vec();
    abort.extend_from_slice(&[6, 0, 0, 4]); // RFC 9260 §3.3.7
    seal(&mut abort);
    net.feed(0, &abort);
    net.feed(0, &abort);
    assert_eq!(net.events[0].iter().filter(|e| **e == Event::Failed).count(), 1);
    assert!(!net.ends[0].is_up() && net.ends[0].poll_timeout().is_none());
    assert_eq!(net.ends[0].open(net.now, "late", true, None), Err(OpenError::Ended));

    let mut net = Net::up(0);
    let (id, _) = net.client_channel("a", true, None);
    net.ends[1].send(net.now, id, true, b"before the end").unwrap();
    net.run_for(Duration::from_secs(1));
    net.ends[1].close(net.now);
    net.collect();
    net.run("failure", |net| net.events[0].contains(&Event::Failed));
    assert_eq!(net.messages(0), [(true, "before the end".into())]);
    assert!(!net.events[1].contains(&Event::Failed), "our own close is no failure");
}

#[test]
fn garbage_and_forged_chunks_never_panic() {
    let mut rng = Rng(SEED);
    let mut recorded = Net::up(5);
    let (ours, theirs) = recorded.client_channel("corpus", true, Some(2));
    for _ in 0..50 {
        recorded.ends[0].send(recorded.now, ours, false, &pattern(3000, 1)).unwrap();
        recorded.ends[1].send(recorded.now, theirs, false, &pattern(3000, 1)).unwrap();
    }
    recorded.ends[1].close_channel(recorded.now, theirs);
    recorded.collect();
    recorded.run("closed", |net| net.closed(0, ours));
    for _ in 0..300 {
        let mut net = Net::up(0);
        net.client_channel("victim", true, None);
        let header = net.sent[1].last().unwrap()[..12].to_vec();
        for _ in 0..60 {
            let packet = forge(&mut rng, &recorded.sent, &header);
            net.feed(0, &packet);
        }
        for _ in 0..50 {
            net.step();
        }
    }
    // and before any association
    for _ in 0..300 {
        let mut waiting = Channels::new(recorded.now);
        for _ in 0..30 {
            let packet = forge(&mut rng, &recorded.sent, &[0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0]);
            waiting.handle_packet(recorded.now, &packet);
            while waiting.poll_packet().is_some() {}
        }
        waiting.handle_timeout(recorded.now + Duration::from_secs(5));
    }
}

/// Noise, or a recorded packet with a valid tag, bytes changed or cut, and a good checksum.
fn forge(rng: &mut Rng, corpus: &[Vec<Bytes>; 2], header: &[u8]) -> Vec<u8> {
    if rng.below(8) == 0 {
        let len = rng.below(64);
        return (0..len).map(|_| rng.next() as u8).collect();
    }
    let side = &corpus[rng.below(2) as usize];
    let mut packet = side[rng.below(side.len() as u64) as usize].to_vec();
    packet[..12].copy_from_slice(header);
    if rng.below(3) == 0 {
        packet.truncate(12 + rng.below(packet.len() as u64 - 11) as usize);
    }
    for _ in 0..rng.below(6) {
        // mostly in the chunk headers and parameters at the front
        let at = if rng.below(4) == 0 { rng.below(packet.len() as u64) } else { 12 + rng.below(28) };
        if let Some(byte) = packet.get_mut(at as usize) {
            *byte = if rng.below(2) == 0 { rng.next() as u8 } else { byte.wrapping_add(1) };
        }
    }
    seal(&mut packet);
    packet
}

/// A chunk of DATA with one unordered binary message (RFC 9260 §3.3.1).
fn data(tsn: u32, stream: ChannelId, user_data: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, 7];
    chunk.extend_from_slice(&(16 + user_data.len() as u16).to_be_bytes());
    chunk.extend_from_slice(&tsn.to_be_bytes());
    chunk.extend_from_slice(&stream.stream_id().to_be_bytes());
    chunk.extend_from_slice(&[0, 0, 0, 0, 0, 53]);
    chunk.extend_from_slice(user_data);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

impl Net {
    /// A packet of the client's with these chunks.
    fn client_packet(&self, chunks: &[u8]) -> Vec<u8> {
        let mut packet = self.sent[1].last().unwrap()[..12].to_vec();
        packet.extend_from_slice(chunks);
        seal(&mut packet);
        packet
    }

    /// What our last SACK acknowledges: all up to a TSN, and the last above it (RFC 9260 §3.3.4).
    fn acknowledged(&self) -> (u32, u16) {
        let sack = self.sent[0].iter().rfind(|packet| packet[12] == 3).unwrap();
        let blocks = usize::from(u16::from_be_bytes([sack[24], sack[25]]));
        let last = if blocks == 0 { 0 } else { u16::from_be_bytes([sack[26 + 4 * blocks], sack[27 + 4 * blocks]]) };
        (u32::from_be_bytes(sack[16..20].try_into().unwrap()), last)
    }
}

#[test]
fn a_peer_that_leaves_one_out_and_goes_on_is_not_listened_to_for_ever() {
    let mut net = Net::up(0);
    let (channel, _) = net.client_channel("_lossy", false, Some(0));
    net.run_for(Duration::from_secs(1));
    let (cumulative, _) = net.acknowledged();
    for ahead in 2..20_000 {
        let packet = net.client_packet(&data(cumulative.wrapping_add(ahead), channel, b"more"));
        net.feed(0, &packet);
    }
    let taken = net.messages(0).len();
    assert_eq!(taken, 4_095, "each of them is kept until the missing one comes");
    assert_eq!(net.acknowledged(), (cumulative, 4_096));
    // It comes: all are done with, and what is sent once that is acknowledged is heard again.
    for ahead in [1, 4_097, 4_098] {
        let packet = net.client_packet(&data(cumulative.wrapping_add(ahead), channel, b"late"));
        net.feed(0, &packet);
        net.run_for(Duration::from_secs(1));
    }
    assert_eq!((net.messages(0).len(), net.acknowledged()), (taken + 3, (cumulative.wrapping_add(4_098), 0)));
}

#[test]
fn data_without_data_and_data_inside_another_chunk_are_refused() {
    let mut net = Net::up(0);
    let (channel, _) = net.client_channel("_lossy", false, Some(0));
    net.run_for(Duration::from_secs(1));
    let ((cumulative, _), sent) = (net.acknowledged(), net.sent[0].len());
    for ahead in 1..1_000 {
        let packet = net.client_packet(&data(cumulative.wrapping_add(ahead), channel, b""));
        net.feed(0, &packet);
    }
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.sent[0].len(), sent, "nothing came");
    // COOKIE ACK (RFC 9260 §3.3.12) has no value; sctp-proto goes on behind its header, whatever its length says.
    let hidden = [vec![11, 0, 0, 24], data(cumulative.wrapping_add(50_000), channel, b"more")].concat();
    let packet = net.client_packet(&hidden);
    net.feed(0, &packet);
    assert!(net.events[0].contains(&Event::Failed));
}

/// Writes the CRC32c of RFC 9260 appendix A.
fn seal(packet: &mut [u8]) {
    packet[8..12].fill(0);
    let mut crc = u32::MAX;
    for byte in packet.iter() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
}

#[test]
fn simulated_time_is_what_the_tests_measure() {
    let mut net = Net::up(0);
    net.client_channel("rtt", true, None);
    // INIT, COOKIE-ECHO and OPEN: three round trips of 40 ms
    assert!(net.now - net.start < Duration::from_millis(121), "{:?}", net.now - net.start);
}

#[test]
fn a_channel_that_never_resends_refuses_what_would_come_late() {
    let mut net = Net::up(0);
    let (lossy, _) = net.client_channel("_lossy", false, Some(0));
    let (reliable, _) = net.client_channel("_reliable", true, None);
    net.run_for(Duration::from_secs(1));
    // A peer that hears nothing for a while: what is sent meanwhile waits, and no longer than it may.
    net.loss_percent = 100;
    let went_silent = net.now;
    let refused = loop {
        let outcome = net.ends[0].send(net.now, lossy, false, &pattern(1_000, 0));
        assert_eq!(net.ends[0].send(net.now, reliable, false, b"x"), Ok(()), "one that resends takes it");
        net.collect();
        if outcome.is_err() {
            break outcome;
        }
        net.run_for(Duration::from_millis(10));
    };
    assert_eq!(refused, Err(SendError::Behind));
    assert!((MAX_WAIT..Duration::from_secs(1)).contains(&(net.now - went_silent)), "{:?}", net.now - went_silent);
    net.loss_percent = 0;
    net.run_for(Duration::from_secs(30));
    assert_eq!(net.ends[0].send(net.now, lossy, false, b"new"), Ok(()), "what waited has gone, one way or the other");
    // Sent now and then, little waits however long its acknowledgement takes.
    for _ in 0..100 {
        assert_eq!(net.ends[0].send(net.now, lossy, false, &pattern(100, 0)), Ok(()));
        net.collect();
        net.run_for(Duration::from_millis(100));
    }
}

#[test]
fn after_an_outage_lost_and_resent_messages_that_alternate_are_no_storm() {
    let mut net = Net::up(0);
    let (lossy, _) = net.client_channel("_lossy", false, Some(0));
    let (reliable, _) = net.client_channel("_reliable", true, None);
    net.run_for(Duration::from_secs(1));
    net.loss_percent = 100;
    for _ in 0..150 {
        let _ = net.ends[0].send(net.now, lossy, false, &pattern(100, 0)); // refused once too much waits
        net.ends[0].send(net.now, reliable, false, &pattern(100, 0)).unwrap();
        net.collect();
        net.run_for(Duration::from_millis(20));
    }
    net.loss_percent = 0;
    let before = net.sent.each_ref().map(Vec::len);
    net.run("what is resent", |net| net.messages(1).len() >= 150);
    net.run_for(Duration::from_secs(30));
    // SCTP steps over one of the lost with each round trip; without `link::repeats` it takes 200 packets each way.
    let sent: Vec<usize> = before.iter().zip(&net.sent).map(|(before, sent)| sent.len() - before).collect();
    assert!(sent.iter().all(|sent| *sent < 100), "{sent:?} packets");
}
