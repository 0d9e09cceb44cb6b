//! Where a request comes from, and whom it is counted against.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use convene_accounts::limits::{self, Subject};
use convene_accounts::vault::Lookup;
use convene_store::accounts::UsageKey;
use convene_types::DeviceId;

use crate::authenticator::Caller;

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

impl Client {
    /// What an act is counted against.
    pub(crate) fn subjects(self, number: Lookup, device: DeviceId) -> Vec<(Subject, UsageKey)> {
        vec![
            (Subject::Number, number.0),
            (Subject::Device, filled(device.0)),
            (Subject::Address, filled(limits::address_key(self.0))),
        ]
    }
}

impl Caller {
    /// What an act of somebody who is signed in is counted against.
    #[must_use]
    pub fn subject(&self) -> (Subject, UsageKey) {
        (Subject::Account, filled(u128::from(self.account.0).to_be_bytes()))
    }
}

fn filled(id: [u8; 16]) -> UsageKey {
    let mut key = [0; 32];
    let (front, _) = key.split_at_mut(id.len());
    front.copy_from_slice(&id);
    key
}
