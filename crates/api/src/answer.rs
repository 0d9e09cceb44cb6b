//! Shapes that several routes read and write.

use std::time::{SystemTime, UNIX_EPOCH};

use convene_accounts::phone::Phone;
use convene_accounts::session::Session;
use convene_accounts::token::ACCESS_TTL_S;
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Account, Device, Entry};
use convene_types::{DeviceId, SessionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Inner;
use crate::client::Client;

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// 16 bytes as 32 hex digits.
pub(crate) fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The other way round.
pub(crate) fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}

/// The device that signs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct DeviceFields {
    /// 32 hex digits: made at random when the app is installed, and kept.
    #[schema(example = "0af1c7e2b4d94c3e8f0011223344aabb", pattern = "^[0-9a-fA-F]{32}$")]
    pub(crate) id: String,
    /// What it is.
    #[serde(default)]
    #[schema(example = "Pixel 9", max_length = 512)]
    pub(crate) model: String,
    /// What runs on it.
    #[serde(default)]
    #[schema(example = "Android 16", max_length = 512)]
    pub(crate) system: String,
    /// Where pushes go; empty: nowhere.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub(crate) push_token: String,
}

pub(crate) fn device_id(text: &str) -> Result<DeviceId, Refusal> {
    let wrong = || Refusal::saying(Code::Malformed, "A device id is 32 hex digits, made once and kept.");
    unhex(text).map(DeviceId).ok_or_else(wrong)
}

impl DeviceFields {
    /// A session that is to begin here.
    pub(crate) fn entry(self, client: Client) -> Result<Entry, Refusal> {
        let Self { id, model, system, push_token } = self;
        let device = Device { id: device_id(&id)?, model, system, push_token, address: client.0.to_string() };
        Ok(Entry { device, session: SessionId(rand::random()), seed: rand::random() })
    }
}

/// What a session is used with. Keep the refresh token as a password; it changes each time it is used.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// For `Authorization: Bearer`.
    access_token: String,
    /// Seconds until the access token expires.
    #[schema(example = 600)]
    expires_in_s: u64,
    /// For `POST /v1/auth/refresh`, once.
    refresh_token: String,
    /// Which sign-in this is.
    session_id: String,
}

/// Somebody is in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    tokens: Tokens,
    account: Me,
}

/// An account, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// Which account.
    id: u64,
    /// As others see it.
    display_name: String,
    /// Where the picture is, for some hours: path and query on this server, which need no token. None: there is no picture.
    picture: Option<String>,
    /// The number, E.164.
    #[schema(example = "+8613800138000")]
    phone: String,
    /// Whether one can sign in by password.
    has_password: bool,
    /// The policy of use has a version that was not agreed to: ask, then `PUT /v1/me/consent`.
    consent_needed: bool,
    /// The version to agree to.
    policy_version: String,
}

impl Me {
    pub(crate) fn phone(&self) -> &str {
        &self.phone
    }
}

/// The end of a number: no password has it. People who make one of their number leave the country code out.
pub(crate) fn digits(e164: &str) -> &str {
    e164.get(e164.len().saturating_sub(8)..).unwrap_or(e164)
}

impl Inner {
    /// The number in a request.
    pub(crate) fn phone(&self, text: &str) -> Result<Phone, Refusal> {
        Phone::parse(text, self.region).map_err(|_| Code::BadPhone.into())
    }

    /// Refuses to let anybody in who has not agreed to the policy as it is.
    pub(crate) fn check_consent(&self, version: &str) -> Result<(), Refusal> {
        if version == self.policy_version {
            return Ok(());
        }
        let text = format!("Agree to the policy of use, version {}, first.", self.policy_version);
        Err(Refusal::saying(Code::ConsentNeeded, text))
    }

    pub(crate) fn me(&self, account: Account) -> Result<Me, Refusal> {
        // Damaged, or sealed with another secret: an operator can do something about it, the person cannot.
        let open = |(lookup, sealed): (_, Vec<u8>)| {
            self.keys.vault.open(lookup, &sealed).map_err(|error| {
                tracing::error!(%error, account = account.id.0, "a number cannot be read: is the secret of accounts the right one?");
                Refusal::from(Code::Internal)
            })
        };
        let phone = account.phone.map(open).transpose()?;
        Ok(Me {
            id: account.id.0,
            display_name: account.display_name,
            picture: self.keys.pictures.path(account.id, &account.picture, now_s()),
            phone: phone.map(|phone| phone.e164().to_owned()).unwrap_or_default(),
            has_password: account.password.is_some(),
            consent_needed: account.consent != self.policy_version,
            policy_version: self.policy_version.clone(),
        })
    }

    pub(crate) fn tokens(&self, session: &Session, display_name: &str) -> Result<Tokens, Refusal> {
        Ok(Tokens {
            access_token: self.authenticator.token(session, display_name, now_s())?,
            expires_in_s: ACCESS_TTL_S,
            refresh_token: self.keys.refresh.token(session),
            session_id: hex(&session.id.0),
        })
    }

    /// The answer to a sign-in.
    pub(crate) async fn signed_in(&self, session: &Session) -> Result<SignedIn, Refusal> {
        crate::access::seen(session.account);
        let account = self.account(session.account).await?;
        let tokens = self.tokens(session, &account.display_name)?;
        Ok(SignedIn { tokens, account: self.me(account)? })
    }

    /// The account of somebody who is signed in.
    pub(crate) async fn account(&self, id: convene_types::AccountId) -> Result<Account, Refusal> {
        self.store.ask(move |reader| reader.account(id)).await?.ok_or_else(|| Code::SessionEnded.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255];
        assert_eq!(unhex(&hex(&id)), Some(id));
        for wrong in ["", "0", "+0000000000000000000000000000000", "0x000000000000000000000000000000", &"0".repeat(33)]
        {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
