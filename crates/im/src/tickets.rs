//! Sessions that clients may resume, by their tickets. `rustls` asks; [`crate::endpoint`] sets it up.
//!
//! Not rustls's own cache: that one looks through all tickets each time one is taken, which with thousands of them takes
//! longer than a handshake.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;
use rustls::server::StoresServerSessions;

/// A bounded number of tickets, each of which serves once. When there are too many the older half goes.
pub(crate) struct Tickets {
    halves: Mutex<Halves>,
    /// Tickets of one half.
    most: usize,
}

#[derive(Default)]
struct Halves {
    young: Half,
    old: Half,
}

/// Keys are random and ours, so nobody can choose them to collide; the standard hasher does not mind either way.
type Half = HashMap<Box<[u8]>, Box<[u8]>>;

impl Tickets {
    /// Keeps at least the last `least`, and at most twice as many.
    pub(crate) fn new(least: usize) -> Self {
        Self { halves: Mutex::default(), most: least.max(1) }
    }
}

impl StoresServerSessions for Tickets {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let gone = {
            let mut halves = self.halves.lock();
            let full = halves.young.len() >= self.most;
            let gone = full.then(|| {
                let young = std::mem::take(&mut halves.young);
                std::mem::replace(&mut halves.old, young)
            });
            halves.young.insert(key.into(), value.into());
            gone
        };
        drop(gone); // thousands at once, and nobody waits for the lock meanwhile
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let halves = self.halves.lock();
        halves.young.get(key).or_else(|| halves.old.get(key)).map(|value| value.to_vec())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut halves = self.halves.lock();
        let value = halves.young.remove(key).or_else(|| halves.old.remove(key));
        value.map(<[u8]>::into_vec)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets") // secrets stay out of logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    #[test]
    fn a_ticket_serves_once() {
        let tickets = Tickets::new(2);
        assert!(tickets.put(key(1), vec![10]));
        assert_eq!(tickets.get(&key(1)), Some(vec![10]));
        assert_eq!(tickets.take(&key(1)), Some(vec![10]));
        assert_eq!((tickets.get(&key(1)), tickets.take(&key(1))), (None, None));
    }

    #[test]
    fn the_last_ones_are_kept_and_the_number_is_bounded() {
        const LEAST: u32 = 10;
        let tickets = Tickets::new(LEAST as usize);
        for number in 0..100 {
            tickets.put(key(number), key(number));
            let kept = (0..=number).filter(|number| tickets.get(&key(*number)).is_some()).count();
            assert!(kept <= 2 * LEAST as usize, "{kept} after {number}");
            for last in number.saturating_sub(LEAST - 1)..=number {
                assert_eq!(tickets.get(&key(last)), Some(key(last)), "{last} after {number}");
            }
        }
        assert_eq!(tickets.take(&key(99)), Some(key(99)));
        assert_eq!(tickets.take(&key(0)), None);
    }
}
