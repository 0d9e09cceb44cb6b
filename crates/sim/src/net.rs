//! A network that is as bad as its seed says: it loses, duplicates, delays, reorders and partitions.
//!
//! Two kinds of it. With streams it is like QUIC: what is lost comes later, the order of a stream is kept, one stream
//! overtakes another. Without, it is worse on purpose: what survives that survives whatever a transport does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use rand::{RngExt as _, rngs::StdRng};

/// Milliseconds since the simulation began.
pub type Millis = u64;

/// A process on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// How bad it is. Chances are in percent.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Messages that never arrive.
    pub loss: u8,
    /// Messages that arrive twice.
    pub duplicates: u8,
    /// Least and most time under way. A spread reorders.
    pub delay_ms: (Millis, Millis),
    /// What is lost is repeated, and streams keep their order.
    pub streams: bool,
}

/// How long it takes to see that something was lost, and to repeat it.
const REPEAT_MS: Millis = 250;

/// Messages under way.
#[derive(Debug)]
pub struct Net<M> {
    weather: Weather,
    queue: BinaryHeap<Reverse<Flight<M>>>,
    cut: HashSet<NodeId>,
    sent: u64,
    /// When the last message of each stream arrives.
    streams: BTreeMap<(NodeId, NodeId, u64), Millis>,
}

#[derive(Debug)]
struct Flight<M> {
    at: Millis,
    order: u64,
    from: NodeId,
    to: NodeId,
    message: M,
}

impl<M: Clone> Net<M> {
    /// An empty one.
    #[must_use]
    pub fn new(weather: Weather) -> Self {
        Self { weather, queue: BinaryHeap::new(), cut: HashSet::new(), sent: 0, streams: BTreeMap::new() }
    }

    /// Lets the weather change.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Takes a node off the network, or puts it back. What is under way to it is lost.
    pub fn set_cut(&mut self, node: NodeId, cut: bool) {
        if cut {
            self.cut.insert(node);
        } else {
            self.cut.remove(&node);
        }
    }

    /// Sends, or does not.
    pub fn send(&mut self, now: Millis, from: NodeId, to: NodeId, message: &M, rng: &mut StdRng) {
        if self.cut.contains(&from) {
            return;
        }
        let copies = usize::from(rng.random_range(0..100) >= self.weather.loss)
            + usize::from(rng.random_range(0..100) < self.weather.duplicates);
        for _ in 0..copies {
            let at = now + self.delay(rng);
            self.put(at, from, to, message);
        }
    }

    /// Sends on a stream: later than everything sent on it before, and for sure, unless an end is cut off.
    pub fn send_in_order(&mut self, now: Millis, ends: (NodeId, NodeId), stream: u64, message: &M, rng: &mut StdRng) {
        let (from, to) = ends;
        if self.cut.contains(&from) {
            return;
        }
        let lost = rng.random_range(0..100) < self.weather.loss;
        let at = now + self.delay(rng) + if lost { REPEAT_MS } else { 0 };
        let last = self.streams.entry((from, to, stream)).or_default();
        *last = at.max(*last);
        let at = *last;
        self.put(at, from, to, message);
    }

    /// Nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn delay(&self, rng: &mut StdRng) -> Millis {
        let (least, most) = self.weather.delay_ms;
        rng.random_range(least..=most)
    }

    fn put(&mut self, at: Millis, from: NodeId, to: NodeId, message: &M) {
        self.sent += 1;
        self.queue.push(Reverse(Flight { at, order: self.sent, from, to, message: message.clone() }));
    }

    /// When the next message arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Millis> {
        self.queue.peek().map(|Reverse(flight)| flight.at)
    }

    /// What has arrived by now: from, to, message.
    pub fn arrived(&mut self, now: Millis) -> Option<(NodeId, NodeId, M)> {
        while self.next_at().is_some_and(|at| at <= now) {
            let Reverse(Flight { from, to, message, .. }) = self.queue.pop()?;
            if !self.cut.contains(&to) && !self.cut.contains(&from) {
                return Some((from, to, message));
            }
        }
        None
    }
}

impl<M> PartialEq for Flight<M> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<M> Eq for Flight<M> {}

impl<M> PartialOrd for Flight<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> Ord for Flight<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn run(weather: Weather) -> Vec<(Millis, u32)> {
        let (mut net, mut rng) = (Net::new(weather), StdRng::seed_from_u64(7));
        for n in 0..1000 {
            net.send(0, NodeId(0), NodeId(1), &n, &mut rng);
        }
        let mut out = Vec::new();
        while let Some(at) = net.next_at() {
            while let Some((_, _, message)) = net.arrived(at) {
                out.push((at, message));
            }
        }
        out
    }

    #[test]
    fn it_loses_doubles_and_reorders_and_a_seed_repeats() {
        let weather = Weather { loss: 20, duplicates: 10, delay_ms: (5, 80), streams: false };
        let first = run(weather);
        assert_eq!(first, run(weather));
        let mut seen: Vec<_> = first.iter().map(|(_, message)| *message).collect();
        assert!(!seen.is_sorted());
        assert!(first.iter().all(|(at, _)| (5..=80).contains(at)));
        let arrived = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert!((700..900).contains(&seen.len()) && arrived > seen.len(), "{arrived} {}", seen.len());
        let calm = run(Weather { loss: 0, duplicates: 0, delay_ms: (1, 1), streams: false });
        assert!(calm.len() == 1000 && calm.iter().map(|(_, message)| message).is_sorted());
    }

    #[test]
    fn a_stream_loses_nothing_and_keeps_its_order() {
        let weather = Weather { loss: 30, duplicates: 0, delay_ms: (5, 80), streams: true };
        let (mut net, mut rng) = (Net::new(weather), StdRng::seed_from_u64(7));
        for n in 0..200_u64 {
            net.send_in_order(n, (NodeId(0), NodeId(1)), n % 2, &n, &mut rng);
        }
        let mut seen = Vec::new();
        while let Some((_, _, n)) = net.arrived(Millis::MAX) {
            seen.push(n);
        }
        assert!(seen.len() == 200 && !seen.is_sorted(), "streams overtake each other");
        for stream in 0..2 {
            assert!(seen.iter().filter(|n| **n % 2 == stream).is_sorted());
        }
    }

    #[test]
    fn a_cut_node_hears_nothing_and_says_nothing() {
        let (mut net, mut rng) =
            (Net::new(Weather { loss: 0, duplicates: 0, delay_ms: (1, 1), streams: false }), StdRng::seed_from_u64(1));
        net.send(0, NodeId(0), NodeId(1), &1, &mut rng);
        net.set_cut(NodeId(1), true);
        net.send(0, NodeId(1), NodeId(0), &2, &mut rng);
        assert_eq!(net.arrived(10), None);
        net.set_cut(NodeId(1), false);
        net.send(10, NodeId(0), NodeId(1), &3, &mut rng);
        assert_eq!(net.arrived(11), Some((NodeId(0), NodeId(1), 3)));
    }
}
