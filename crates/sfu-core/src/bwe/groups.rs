//! Packets sent in one burst arrive as one: only the delay between bursts tells of a queue (draft-ietf-rmcat-gcc-02 §5.2).

/// Packets sent within this time are one burst: a frame, or what one flush wrote.
const BURST_US: i64 = 5_000;
/// Packets that arrive this close together although they were sent apart waited for the same thing (a radio's slot, a
/// sleeping thread) and are one burst too, up to a length.
const MAX_BUNCH_GAP_US: i64 = 5_000;
const MAX_BUNCH_US: i64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: i64,
    sent: i64,
    first_arrival: i64,
    arrival: i64,
}

/// How much later a burst came than the one before it, as sent and as arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) sent_us: i64,
    pub(super) arrival_us: i64,
    /// When it was sent, and when it arrived by the receiver's clock.
    pub(super) sent_at_us: i64,
    pub(super) at_us: i64,
}

impl Delta {
    /// Time on the way, by two clocks that have nothing in common.
    pub(super) const fn lag_us(&self) -> i64 {
        self.at_us - self.sent_at_us
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Groups {
    previous: Option<Group>,
    current: Option<Group>,
}

impl Groups {
    /// A packet arrived; packets come in the order of sending. `Some`: a burst is complete.
    pub(super) fn add(&mut self, sent: i64, arrival: i64) -> Option<Delta> {
        let fresh = Group { first_sent: sent, sent, first_arrival: arrival, arrival };
        let Some(current) = self.current.as_mut() else {
            self.current = Some(fresh);
            return None;
        };
        if sent < current.first_sent {
            return None; // overtaken, and told late
        }
        if current.takes(sent, arrival) {
            (current.sent, current.arrival) = (current.sent.max(sent), current.arrival.max(arrival));
            return None;
        }
        let complete = *current;
        self.current = Some(fresh);
        let previous = self.previous.replace(complete)?;
        Some(Delta {
            sent_us: complete.sent - previous.sent,
            arrival_us: complete.arrival - previous.arrival,
            sent_at_us: complete.sent,
            at_us: complete.arrival,
        })
    }

    /// Something else was on the path: the next delta would tell of that.
    pub(super) fn skip(&mut self) {
        (self.previous, self.current) = (None, None);
    }
}

impl Group {
    fn takes(&self, sent: i64, arrival: i64) -> bool {
        if sent - self.first_sent <= BURST_US {
            return true;
        }
        let gap = arrival - self.arrival;
        let bunched = gap <= MAX_BUNCH_GAP_US && gap < sent - self.sent;
        bunched && arrival - self.first_arrival < MAX_BUNCH_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_delay_between_bursts() {
        // (sent ms, arrival ms, delta of sending and of arrival)
        type Row = (i64, i64, Option<(i64, i64)>);
        let rows: [Row; 9] = [
            (0, 50, None),
            (2, 53, None),
            (33, 83, None),
            (35, 86, None),
            (66, 116, Some((33, 33))),
            (64, 120, None), // overtaken
            (99, 160, Some((31, 30))),
            (105, 161, None), // sent apart, arrived together
            (132, 182, Some((39, 45))),
        ];
        let mut groups = Groups::default();
        for (sent, arrival, want) in rows {
            let got = groups.add(sent * 1_000, arrival * 1_000);
            assert_eq!(got.map(|delta| (delta.sent_us / 1_000, delta.arrival_us / 1_000)), want, "{sent}");
        }
        groups.skip();
        assert_eq!(groups.add(200_000, 300_000), None);
        assert_eq!(groups.add(220_000, 320_000), None);
    }
}
