//! What lets a restarted server tell the clients of the one before that it knows nothing of them (RFC 9000 §10.3): a key
//! that outlives the process. Without it a client hears nothing until its idle timeout, minutes later.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig};

/// Length of our connection ids: enough that two open connections never draw the same.
const ID_BYTES: usize = 8;
/// Least time between two resets. After a restart thousands of clients wait for theirs; quinn's 20 ms would keep 5,000 of
/// them for 100 s. Resets are smaller than what they answer, so they are of no use to an attacker.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// The endpoint's settings from a secret that the store keeps.
pub(crate) fn endpoint_config(secret: &[u8]) -> EndpointConfig {
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"stateless resets").as_ref());
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL);
    config
}

/// Random connection ids. quinn's own carry a mark of the process, by which the next one would take them for forged, and
/// would not answer.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&rand::random::<[u8; ID_BYTES]>())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
