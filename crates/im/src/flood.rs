//! How often a device, and everybody in one conversation together, may ask.

use std::time::Instant;

use convene_im_core::gate::{Bucket, Buckets, Rate};
use convene_im_core::model::Refusal;
use convene_proto::im::Code;
use convene_types::ConvId;
use parking_lot::Mutex;

use crate::options::Limits;

/// Conversations with a meter of their own at once.
const MAX_METERED: usize = 100_000;
/// A device may come back from a tunnel with this many seconds' worth.
const DEVICE_BURST_S: u32 = 10;
/// A conversation may be lively for this many seconds.
const CONVERSATION_BURST_S: u32 = 2;

/// The meters of one device.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    sends: Bucket,
    requests: Bucket,
}

/// The rates, and the meters of conversations.
#[derive(Debug)]
pub(crate) struct Flood {
    sends: Option<Rate>,
    requests: Option<Rate>,
    conversations: Option<Mutex<Buckets<ConvId>>>,
}

impl Flood {
    pub(crate) fn new(limits: &Limits) -> Self {
        let conversations = rate(limits.conversation_sends_per_s, CONVERSATION_BURST_S);
        Self {
            sends: rate(limits.device_sends_per_s, DEVICE_BURST_S),
            requests: rate(limits.device_requests_per_s, DEVICE_BURST_S),
            conversations: conversations.map(|rate| Mutex::new(Buckets::new(rate, MAX_METERED))),
        }
    }

    /// May this device send into this conversation?
    pub(crate) fn send(&self, gates: &Mutex<Gates>, conv: ConvId, now: Instant) -> Result<(), Refusal> {
        if let Some(rate) = self.sends {
            gates.lock().sends.take(rate, now).map_err(flood)?;
        }
        match &self.conversations {
            Some(conversations) => conversations.lock().take(conv, now).map_err(flood),
            None => Ok(()),
        }
    }

    /// May this device ask for something else?
    pub(crate) fn request(&self, gates: &Mutex<Gates>, now: Instant) -> Result<(), Refusal> {
        match self.requests {
            Some(rate) => gates.lock().requests.take(rate, now).map_err(flood),
            None => Ok(()),
        }
    }
}

fn rate(per_second: u32, burst_s: u32) -> Option<Rate> {
    (per_second > 0).then(|| Rate { per_second, burst: per_second.saturating_mul(burst_s) })
}

fn flood(retry_after_ms: u32) -> Refusal {
    Refusal::later(Code::Flood, "too often", retry_after_ms)
}
