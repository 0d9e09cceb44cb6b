//! Signing in with an account, and staying signed in: for servers that people use. The sign-in is a file in a directory,
//! from which each client's [`TokenSource`] has its access tokens.
//!
//! ```text
//! Account --sign in, out--> rest --HTTP--> /v1        Turn --> file: sign-in.json, a lock beside it
//!    +--config()--> Client --asks for tokens--> Keeper --+---> rest: /v1/auth/refresh
//! ```
//!
//! Not here: making an account, and whatever else one does with it; `/v1` has it all.

#[cfg(test)]
pub(crate) mod fake;
mod file;
mod keeper;
mod kept;
mod rest;
#[cfg(test)]
mod tests;
mod turn;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use crate::config::{Config, TokenSource};
use crate::db::meta::Key;
use crate::device::{self, DeviceId};
use crate::error::Error;
use crate::net::address::ServerUrl;
use crate::net::tls::Tls;
pub(crate) use keeper::Keeper;
use kept::Kept;
pub use kept::{Organisation, Person};
use rest::Rest;

/// Members that a search answers at most.
const MAX_FOUND: usize = 20;

/// What shows that a number is one's own.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// What came to the phone after [`Account::ask_for_code`].
    Code(String),
    /// The password of the account.
    Password(String),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof")
    }
}

/// Somebody in one's organisation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Colleague {
    /// Who it is in chat.
    pub user: u64,
    /// As others see it.
    pub display_name: String,
}

/// Where a sign-in is kept, and the server it is of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Account(Arc<Keeper>);

impl Account {
    /// Of a server, in a directory, which is that of the clients as well. Nothing is read or asked yet.
    pub fn new(server: ServerUrl, data_dir: PathBuf) -> Result<Self, Error> {
        Self::open(server, data_dir, Vec::new(), false)
    }

    /// The same with certificates to accept beside the platform's, or over `http://` to another machine: see [`Config`].
    pub fn open(
        server: ServerUrl,
        data_dir: PathBuf,
        roots: Vec<CertificateDer<'static>>,
        allow_insecure: bool,
    ) -> Result<Self, Error> {
        server.check(allow_insecure)?;
        let rest = Rest { tls: Tls::new(roots.clone()), server };
        Ok(Self(Arc::new(Keeper::new(rest, data_dir, roots, allow_insecure))))
    }

    /// Has a code sent to a phone.
    pub async fn ask_for_code(&self, phone: &str) -> Result<(), Error> {
        let device = self.device().await?.0;
        self.0.rest.ask_for_code(phone, device).await
    }

    /// Signs in, and keeps it. A directory of another account is refused, and its sign-in stays as it is.
    pub async fn sign_in(&self, phone: &str, proof: Proof) -> Result<Person, Error> {
        let (device, owner) = self.device().await?;
        let mut turn = self.0.turn().await?;
        let earlier = turn.read().await?;
        let entered = self.0.rest.sign_in(phone, &proof, device).await?;
        let kept = Kept::begin(&self.0.rest.server, device, entered, kept::now_ms());
        if owner.is_some_and(|owner| owner != kept.account.id) {
            let _ = self.0.rest.sign_out(&kept.access_token).await; // where the server does not hear of it, it ends by itself
            return Err(foreign());
        }
        self.remember(kept.account.id).await?;
        let kept = kept.for_organisation(earlier.as_ref().and_then(|earlier| earlier.organisation.clone()));
        turn.write(kept.clone()).await?;
        if let Some(earlier) = earlier.filter(|earlier| earlier.session_id != kept.session_id) {
            let _ = self.0.rest.sign_out(&earlier.access_token).await; // the same
        }
        Ok(kept.account)
    }

    /// Who is signed in, as far as this machine knows.
    pub async fn person(&self) -> Result<Option<Person>, Error> {
        Ok(self.0.read().await?.map(|kept| kept.account))
    }

    /// The organisation that was chosen.
    pub async fn organisation(&self) -> Result<Option<Organisation>, Error> {
        Ok(self.0.read().await?.and_then(|kept| kept.organisation))
    }

    /// Organisations in which the account has a seat, as the server says.
    pub async fn organisations(&self) -> Result<Vec<Organisation>, Error> {
        #[derive(Deserialize)]
        struct Reply {
            organisations: Vec<Organisation>,
        }
        let reply: Reply = self.get("/v1/organisations").await?;
        Ok(reply.organisations)
    }

    /// Has all clients of this sign-in chat in the name of this organisation.
    pub async fn choose(&self, organisation: Organisation) -> Result<(), Error> {
        let mut turn = self.0.turn().await?;
        let kept = turn.read().await?.ok_or_else(keeper::nobody)?;
        turn.write(kept.for_organisation(Some(organisation))).await
    }

    /// Colleagues in the chosen organisation: by the beginning of a name, by pinyin, initials, or a whole number.
    pub async fn find(&self, question: &str) -> Result<Vec<Colleague>, Error> {
        #[derive(Deserialize)]
        struct Reply {
            members: Vec<Colleague>,
        }
        let org = self.organisation().await?;
        let org = org.ok_or_else(|| Error::Unknown("organisation: choose one first".to_owned()))?.id;
        let question = rest::escaped(question);
        let reply: Reply =
            self.get(&format!("/v1/organisations/{org}/directory?limit={MAX_FOUND}&q={question}")).await?;
        Ok(reply.members)
    }

    /// What to open a client with: this server, this directory, this sign-in.
    pub async fn config(&self) -> Result<Config, Error> {
        let kept = self.0.read().await?.ok_or_else(keeper::nobody)?;
        let server = self.0.rest.server.clone();
        let mut config = Config::new(server, self.token_source(), self.0.dir().to_path_buf());
        config.device = Some(kept.device()?);
        config.organisation = kept.organisation.map(|organisation| organisation.name).unwrap_or_default();
        config.roots.clone_from(&self.0.roots);
        config.allow_insecure = self.0.allow_insecure;
        Ok(config)
    }

    /// Access tokens of this sign-in, renewed in time.
    #[must_use]
    pub fn token_source(&self) -> TokenSource {
        TokenSource::of(self.0.clone())
    }

    /// Signs out: forgets the sign-in here, and then ends it at the server. Where the server cannot be reached, that is the
    /// error, and the sign-in ends there when nobody has used it for 30 days. What was received stays in the directory.
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.0.turn().await?.sign_out().await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let token = self.0.token(None).await?;
        match self.0.rest.get(path, &token).await {
            // The clock was changed, or the server forgot.
            Err(Error::Account { code, .. }) if matches!(code.as_str(), "token_expired" | "unauthenticated") => {
                self.0.rest.get(path, &self.0.token(Some(token)).await?).await
            }
            answer => answer,
        }
    }

    /// The device of the directory, and the account that it belongs to.
    async fn device(&self) -> Result<(DeviceId, Option<u64>), Error> {
        let dir = self.0.dir().to_path_buf();
        let kept = self.0.read().await?;
        let known = kept.map(|kept| kept.device()).transpose()?;
        file::blocking(move || {
            let db = device::open(&dir)?;
            device::claim(&db, known, "")?;
            let number = |text: Vec<u8>| String::from_utf8(text).ok()?.parse::<u64>().ok();
            let owner = db.value(Key::Account)?.and_then(number);
            if owner.is_none() && db.value(Key::Me)?.is_some() {
                return Err(foreign()); // somebody with a token of another kind
            }
            Ok((DeviceId::of(&db)?, owner))
        })
        .await
    }

    async fn remember(&self, account: u64) -> Result<(), Error> {
        let dir = self.0.dir().to_path_buf();
        file::blocking(move || device::open(&dir)?.set_value(Key::Account, account.to_string().as_bytes())).await
    }
}

fn foreign() -> Error {
    Error::Foreign("this data directory belongs to somebody else: take another one".to_owned())
}
