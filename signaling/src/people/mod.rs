//! Rooms and chat belong to people: calls, meeting rooms, conversations over HTTP, and what ends when somebody may no more.
//!
//! ```text
//!  POST /v1/calls ── Book (convene-calls) ──> states to devices (chat), records into logs, tokens for rooms
//!  /rtc, /whip ────> Judge: may this seat be taken, at this moment?
//!  sessions end, members go, groups change ──> chat sessions end, seats are judged again
//! ```
//!
//! Not here: how a call goes (`convene-calls`), who may do what in a conversation (`convene-im-core`, `convene-accounts`).
//!
//! Invariant: a room token is not a right. What it stands on is read from the store whenever it is used, so that it is worth
//! nothing once its holder is out, also after a restart.

mod answer;
mod calls;
mod conversations;
mod departments;
mod follow;
mod judge;
mod refusal;
mod ring;
mod rooms;
mod seats;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::FromRef;
use convene_api::{Api, Authenticator, Caller, Error};
use convene_calls::{Book, Device};
use convene_im::Handle;
use convene_store::Store;
use convene_store::calls::Standing;
use convene_telemetry::Metrics;
use convene_types::{ConvId, UserId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::rooms::Registry;
use crate::token::Minter;

pub(crate) use judge::{Judge, Rights, Unavailable};

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct People {
    inner: Arc<Inner>,
}

struct Inner {
    api: Api,
    chat: Handle,
    store: Store,
    rooms: Arc<Registry>,
    minter: Minter,
    judge: Judge,
    book: Arc<Mutex<Book>>,
    /// There is a call in the book: time passes for it.
    begun: Notify,
    metrics: Arc<Metrics>,
}

impl FromRef<People> for Arc<Authenticator> {
    fn from_ref(people: &People) -> Self {
        Arc::clone(people.inner.api.authenticator())
    }
}

impl People {
    /// Starts the service: goes on with the calls that a stop has interrupted, and follows what changes.
    pub(crate) async fn start(
        api: &Api,
        chat: &Handle,
        rooms: &Arc<Registry>,
        minter: Minter,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (store, book) = (chat.store().clone(), Arc::<Mutex<Book>>::default());
        let judge = Judge::new(store.clone(), Arc::clone(&book));
        let (api, chat, rooms) = (api.clone(), chat.clone(), Arc::clone(rooms));
        let begun = Notify::new();
        let people = Self { inner: Arc::new(Inner { api, chat, store, rooms, minter, judge, book, begun, metrics }) };
        people.take_up().await;
        follow::spawn(&people);
        people
    }

    /// Looks at tokens of people.
    pub(crate) fn judge(&self) -> Judge {
        self.inner.judge.clone()
    }

    /// Everything under `/v1` that is about calls and conversations.
    pub(crate) fn routes(&self) -> OpenApiRouter {
        OpenApiRouter::new()
            .routes(routes!(calls::begin))
            .routes(routes!(calls::get))
            .routes(routes!(calls::accept))
            .routes(routes!(calls::decline))
            .routes(routes!(calls::cancel))
            .routes(routes!(calls::hang_up))
            .routes(routes!(calls::join))
            .routes(routes!(rooms::join))
            .routes(routes!(conversations::list, conversations::create))
            .routes(routes!(conversations::change, conversations::dissolve))
            .routes(routes!(conversations::members, conversations::add))
            .routes(routes!(conversations::remove, conversations::set_member))
            .routes(routes!(conversations::leave))
            .routes(routes!(departments::group))
            .with_state(self.clone())
    }

    /// How the caller stands in a conversation that they are in.
    async fn standing(&self, caller: &Caller, conv: ConvId) -> Result<Standing, Error> {
        let account = caller.account;
        let found = self.inner.store.ask(move |reader| reader.standing(account, conv)).await?;
        // Whoever has left is answered as whoever never was there.
        let present = found.filter(|standing| standing.member.role.is_some());
        present.ok_or_else(|| convene_accounts::Code::NotFound.into())
    }
}

/// A participant's identity in rooms of people: the user and the device.
fn identity(by: Device) -> String {
    format!("{}:{}", by.user, hex(&by.device.0))
}

/// The other way round.
fn device_of(identity: &str) -> Option<Device> {
    let (user, device) = identity.split_once(':')?;
    Some(Device { user: UserId(user.parse().ok()?), device: convene_types::DeviceId(unhex(device)?) })
}

/// 16 bytes as 32 hex digits.
fn hex(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The other way round.
fn unhex(text: &str) -> Option<[u8; 16]> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(if digits { text } else { "" }, 16).ok()?;
    Some(number.to_be_bytes())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back() {
        let by = convene_calls::Device { user: convene_types::UserId(7), device: convene_types::DeviceId([0xab; 16]) };
        assert_eq!(device_of(&identity(by)), Some(by));
        for text in ["", "7", "7:ab", "x:00000000000000000000000000000000", "7:+0000000000000000000000000000000"] {
            assert_eq!(device_of(text), None, "{text}");
        }
    }
}
