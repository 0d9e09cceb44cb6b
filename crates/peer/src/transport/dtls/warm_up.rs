//! One handshake in memory, to pay the price of the process's first one before a client waits for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use rtc_dtls::config::ConfigBuilder;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use super::identity::{Fingerprint, Identity, IdentityError};
use super::{Output, SERVER, Server};
use crate::transport::srtp::Profile;

/// The handshake takes four exchanges: two hellos, two flights.
const MAX_EXCHANGES: usize = 8;

pub(super) fn run(identity: &Arc<Identity>, now: Instant) -> Result<(), IdentityError> {
    let failed = |error: Error| IdentityError(error.to_string());
    let mut server = Server::new(Arc::clone(identity));
    // Our own certificate stands for the client's too.
    let own = Fingerprint::parse(identity.fingerprint()).ok_or_else(|| IdentityError("bad fingerprint".to_owned()))?;
    server.set_client(now, own);
    let mut client = client(identity, now).map_err(failed)?;
    let mut complete = false;
    for _ in 0..MAX_EXCHANGES {
        while let Some(transmit) = client.poll_transmit() {
            // A drop shows as a handshake that does not complete.
            let _ = server.handle(now, &transmit.message);
        }
        while let Some(datagram) = server.poll_transmit() {
            let events = client.read(now, SERVER, None, BytesMut::from(&datagram[..])).map_err(failed)?;
            complete |= events.iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
        }
    }
    match server.poll_output() {
        Some(Output::Keys { .. }) if complete => Ok(()),
        Some(_) | None => Err(IdentityError("the handshake with ourselves did not complete".to_owned())),
    }
}

fn client(identity: &Identity, now: Instant) -> Result<Endpoint, Error> {
    let config = ConfigBuilder::default()
        .with_crypto_provider(identity.provider())
        .with_certificates(vec![identity.certificate()])
        .with_srtp_protection_profiles(vec![SrtpProtectionProfile::from(Profile::AeadAes128Gcm.code())])
        .with_insecure_skip_verify(true)
        .build(true, None::<SocketAddr>)?;
    let mut endpoint = Endpoint::new(super::CLIENT, TransportProtocol::UDP, None);
    endpoint.connect(now, SERVER, Arc::new(config), None)?;
    Ok(endpoint)
}
