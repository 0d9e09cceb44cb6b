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
    let mut config = EndpointConfig::new(Arc::new(key(secret)));
    config.cid_generator(|| Box::new(RandomIds)).min_reset_interval(RESET_INTERVAL);
    config
}

/// The key by which quinn makes the token of a connection id (RFC 9000 §10.3.2). Of its own, as the secret signs other
/// things too.
fn key(secret: &[u8]) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, b"stateless resets").as_ref())
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use quinn::crypto::HmacKey;

    use super::*;

    fn token(key: &hmac::Key, id: &[u8]) -> Vec<u8> {
        let mut token = vec![0; key.signature_len()];
        HmacKey::sign(key, id, &mut token);
        token
    }

    #[test]
    fn the_token_of_a_connection_is_the_same_after_a_restart_and_nobody_elses() {
        let known = token(&key(b"the secret of a store"), &[7; ID_BYTES]);
        let rows = [
            ("another life of the same server", token(&key(b"the secret of a store"), &[7; ID_BYTES]), true),
            ("another connection", token(&key(b"the secret of a store"), &[8; ID_BYTES]), false),
            ("another server", token(&key(b"the secret of another"), &[7; ID_BYTES]), false),
        ];
        for (what, found, same) in rows {
            assert_eq!(found == known, same, "{what}");
        }
        let plain = hmac::Key::new(hmac::HMAC_SHA256, b"the secret of a store");
        assert_ne!(token(&plain, &[7; ID_BYTES]), known, "what signs addresses of blobs would sign tokens");
    }

    #[test]
    fn ids_differ_and_a_restarted_server_takes_them_for_its_own() {
        let (mut before, after) = (RandomIds, RandomIds);
        let ids: HashSet<_> = (0..1_000).map(|_| before.generate_cid()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            assert_eq!((id.len(), after.validate(&id).is_ok()), (after.cid_len(), true));
        }
    }
}
