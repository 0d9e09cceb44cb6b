//! Who a request speaks for. No database is read: a signature, a list in memory of what has ended early, and one of the API
//! keys that are good.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use convene_accounts::apikey::{ApiKey, Keyring};
use convene_accounts::revocation::{List, Subject};
use convene_accounts::session::{End, Session};
use convene_accounts::token::{ACCESS_TTL_S, Access, Authority, Identity, TokenError};
use convene_accounts::{Code, Refusal};
use convene_store::Store;
use convene_types::{AccountId, DeviceId, SessionId};
use parking_lot::RwLock;
use tokio::sync::broadcast;

use crate::Api;
use crate::access;
use crate::answer::now_s;
use crate::error::Error;
use crate::keys::{ISSUER, Keys};

/// Ends that one listener may be behind with.
const MAX_BEHIND: usize = 1_024;

/// Somebody signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub account: AccountId,
    /// By which sign-in.
    pub session: SessionId,
    /// Where.
    pub device: DeviceId,
    /// As of when the token was made.
    pub display_name: String,
}

/// Whoever asks. Routes that take a [`Caller`] are for people only; programs are told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody signed in.
    Person(Caller),
    /// A program of an organisation, by an API key. Good for its organisation and its scopes.
    Program(ApiKey),
}

impl From<Caller> for Asker {
    fn from(caller: Caller) -> Self {
        Self::Person(caller)
    }
}

impl Asker {
    fn person(self) -> Result<Caller, Refusal> {
        match self {
            Self::Person(caller) => Ok(caller),
            Self::Program(_) => Err(Code::KeyNotAllowed.into()),
        }
    }
}

/// A session has ended: what it has open is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub device: DeviceId,
    /// Which.
    pub session: SessionId,
    /// Why.
    pub why: End,
}

/// Mints access tokens and checks them.
#[derive(Debug)]
pub struct Authenticator {
    access: Authority,
    keyring: Keyring,
    ended: RwLock<List>,
    tell: broadcast::Sender<Ended>,
}

impl Authenticator {
    /// Learns what has ended while tokens of it are still about.
    pub(crate) async fn start(keys: &Keys, keyring: Keyring, store: &Store) -> Result<Self, Refusal> {
        let since_s = now_s().saturating_sub(ACCESS_TTL_S);
        let mut list = List::default();
        for (session, at_s) in store.ask(move |reader| reader.ended_since(since_s)).await? {
            list.end(Subject::Session(session.id), at_s);
        }
        let (tell, _) = broadcast::channel(MAX_BEHIND);
        Ok(Self { access: keys.access.clone(), keyring, ended: RwLock::new(list), tell })
    }

    /// Who an access token speaks for. A program is nobody who signs in.
    pub fn check(&self, token: &str, now_s: u64) -> Result<Caller, Refusal> {
        self.who(token, now_s)?.person()
    }

    /// The person or the program that a token speaks for.
    pub fn who(&self, token: &str, now_s: u64) -> Result<Asker, Refusal> {
        match self.access.check(token, now_s) {
            Ok(identity) => self.caller(identity).map(Asker::Person),
            // Not signed by us: by an API key, if by anybody.
            Err(TokenError::UnknownKey) => self.keyring.verify(token, now_s).map(Asker::Program).map_err(of_program),
            Err(TokenError::Expired) => Err(Code::TokenExpired.into()),
            Err(_) => Err(Code::Unauthenticated.into()),
        }
    }

    fn caller(&self, identity: Identity) -> Result<Caller, Refusal> {
        if self.ended.read().is_ended(&identity) {
            return Err(Code::SessionEnded.into());
        }
        let account = identity.user.strip_prefix('a').and_then(|id| id.parse().ok()).map(AccountId);
        match (account, identity.session, identity.device) {
            (Some(account), Some(session), Some(device)) => {
                Ok(Caller { account, session, device, display_name: identity.display_name })
            }
            // Signed by us, and no access token.
            _ => Err(Code::Unauthenticated.into()),
        }
    }

    /// The access token of a session.
    pub(crate) fn token(&self, session: &Session, display_name: &str, now_s: u64) -> Result<String, Refusal> {
        let user = format!("a{}", session.account);
        let (device, session) = (session.device, session.id);
        let access = Access { key: ISSUER, user: &user, org: "", display_name, device, session };
        self.access.access_token(&access, now_s).map_err(|_| Code::Internal.into())
    }

    /// Sessions have ended: their tokens are good no more, and whoever listens is told.
    pub(crate) fn end(&self, sessions: &[Session], why: End) {
        let now_s = now_s();
        for session in sessions {
            self.ended.write().end(Subject::Session(session.id), now_s);
            let &Session { id, account, device, .. } = session;
            // An error says that nobody listens.
            let _ = self.tell.send(Ended { account, device, session: id, why: session.ended.unwrap_or(why) });
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Ended> {
        self.tell.subscribe()
    }
}

/// Whoever writes a program has to know what is wrong with its tokens.
fn of_program(error: TokenError) -> Refusal {
    if matches!(error, TokenError::UnknownKey) {
        return Code::Unauthenticated.into();
    }
    if matches!(error, TokenError::Expired) {
        return Code::TokenExpired.into();
    }
    Refusal::saying(Code::Unauthenticated, format!("This is no token of an API key for this address: {error}."))
}

impl FromRef<Api> for Arc<Authenticator> {
    fn from_ref(api: &Api) -> Self {
        Arc::clone(&api.inner.authenticator)
    }
}

/// For every state that has an [`Authenticator`].
impl<S: Send + Sync> FromRequestParts<S> for Asker
where
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, token) = value.trim().split_once(' ').unwrap_or_default();
        // RFC 9110 §11.1: names of schemes are compared without case.
        let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
        let asker = Arc::<Authenticator>::from_ref(state).who(token, now_s())?;
        if let Self::Person(caller) = &asker {
            access::seen(caller.account);
        }
        Ok(asker)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        Ok(Asker::from_request_parts(parts, state).await?.person()?)
    }
}
