//! What whoever runs the server may do: the commands of `convene admin`, for the first minute of a deployment and for the
//! day on which nobody else can help. The caller has shown that they are the operator by reading the data directory.
//!
//! Commands and answers are data, so that the command line says the same to a server that runs (over its socket) and to a
//! store that it has opened itself.

use std::fmt;

use convene_accounts::apikey::{KeyId, KeyScopes};
use convene_accounts::password::Password;
use convene_accounts::receipt::Erased;
use convene_accounts::session::End;
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Account, Op, Outcome, State};
use convene_store::orgs::{Change, Outcome as OrgOutcome};
use convene_types::{AccountId, OrgId};
use serde::{Deserialize, Serialize};

use crate::Api;

/// Rows of a list at a time.
const MAX_ROWS: u32 = 1_000;

/// What is asked for. Accounts are named by number (`+8613800138000`) or id (`17` or `a17`), organisations by name.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// An account, before its holder has come.
    CreateUser {
        /// The number.
        phone: String,
        /// As others see it.
        name: String,
        /// To sign in without a code.
        password: Option<String>,
    },
    /// An organisation.
    CreateOrganisation {
        /// As in tokens.
        name: String,
        /// As shown.
        title: String,
        /// Its first member.
        owner: String,
    },
    /// An API key of an organisation.
    CreateKey {
        /// Whose.
        organisation: String,
        /// What people call it.
        title: String,
        /// What for.
        scopes: Vec<String>,
    },
    /// An API key is good no more.
    RevokeKey {
        /// Whose.
        organisation: String,
        /// Which.
        id: String,
    },
    /// Accounts behind this id.
    ListUsers {
        /// 0: from the first.
        after: u64,
    },
    /// Organisations behind this id.
    ListOrganisations {
        /// 0: from the first.
        after: u64,
    },
    /// API keys of an organisation.
    ListKeys {
        /// Whose.
        organisation: String,
    },
    /// Blocks an account, or lets it in again.
    Disable {
        /// Whom.
        who: String,
        /// Blocked or not.
        disabled: bool,
    },
    /// Ends an account for good.
    Erase {
        /// Whose.
        who: String,
    },
    /// Whether a receipt of erasure is one of this server's.
    CheckReceipt {
        /// As its holder was given it.
        receipt: String,
    },
    /// Sets another password; all sessions end.
    ResetPassword {
        /// Whose.
        who: String,
        /// From now on.
        password: String,
    },
}

/// Numbers and passwords are in there.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Command {
    /// For the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "create_user",
            Self::CreateOrganisation { .. } => "create_organisation",
            Self::CreateKey { .. } => "create_key",
            Self::RevokeKey { .. } => "revoke_key",
            Self::ListUsers { .. } => "list_users",
            Self::ListOrganisations { .. } => "list_organisations",
            Self::ListKeys { .. } => "list_keys",
            Self::Disable { .. } => "disable",
            Self::Erase { .. } => "erase",
            Self::CheckReceipt { .. } => "check_receipt",
            Self::ResetPassword { .. } => "reset_password",
        }
    }
}

/// What was done, or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Of `CreateUser`.
    User {
        /// Its id.
        id: u64,
    },
    /// Of `CreateOrganisation`.
    Organisation {
        /// Its id.
        id: u64,
    },
    /// Of `CreateKey`: the only time that the secret is shown.
    Key {
        /// What LiveKit's SDKs call the API key.
        id: String,
        /// And its secret.
        secret: String,
        /// What the names of all rooms that it is good for begin with.
        room_prefix: String,
    },
    /// Of `ListUsers`.
    Users {
        /// By id.
        users: Vec<User>,
        /// There may be more behind the last one.
        more: bool,
    },
    /// Of `ListOrganisations`.
    Organisations {
        /// By id.
        organisations: Vec<Organisation>,
        /// There may be more behind the last one.
        more: bool,
    },
    /// Of `ListKeys`.
    Keys {
        /// The latest first.
        keys: Vec<Key>,
    },
    /// Of what ends sessions.
    Ended {
        /// How many.
        sessions: usize,
    },
    /// Of `Erase`.
    Erased {
        /// For whom the account was.
        receipt: String,
    },
    /// Of `CheckReceipt`: it is true.
    Receipt {
        /// Which account has ended.
        account: u64,
        /// Seconds since 1970.
        at_s: u64,
    },
    /// Nothing more to say.
    Done,
    /// It was not done.
    Refused {
        /// Stable.
        code: String,
        /// For a person.
        text: String,
    },
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: u64,
    /// `active`, `disabled`, `erased`.
    pub state: String,
    /// As others see it.
    pub name: String,
    /// Its number, as far as it is shown.
    pub phone: String,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Its id.
    pub id: u64,
    /// As in tokens.
    pub name: String,
    /// As shown.
    pub title: String,
    /// How many.
    pub members: u64,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What for.
    pub scopes: Vec<String>,
    /// Not revoked.
    pub good: bool,
}

impl Api {
    /// Does what the operator asks for.
    pub async fn admin(&self, command: Command) -> Answer {
        let name = command.name();
        match self.run(command).await {
            Ok(answer) => {
                tracing::info!(command = name, "the operator's command was carried out");
                answer
            }
            Err(Refusal { code, text, .. }) => {
                tracing::info!(command = name, code = code.name(), "the operator's command was refused");
                Answer::Refused { code: code.name().to_owned(), text: text.into_owned() }
            }
        }
    }

    async fn run(&self, command: Command) -> Result<Answer, Refusal> {
        match command {
            Command::CreateUser { phone, name, password } => self.create_user(&phone, name, password).await,
            Command::CreateOrganisation { name, title, owner } => {
                let owner = self.who(&owner).await?.id;
                let outcome = self.operate(OrgId(0), Change::Found { name, title, owner }).await?;
                let OrgOutcome::Joined { org, .. } = outcome else { return Err(Code::Internal.into()) };
                Ok(Answer::Organisation { id: org.0 })
            }
            Command::CreateKey { organisation, title, scopes } => self.create_key(&organisation, title, &scopes).await,
            Command::RevokeKey { organisation, id } => {
                let (org, id) = (self.organisation(organisation).await?, KeyId::parse(&id).ok_or(Code::NotFound)?);
                self.operate(org, Change::EndKey { id }).await?;
                Ok(Answer::Done)
            }
            Command::ListUsers { after } => self.list_users(AccountId(after)).await,
            Command::ListOrganisations { after } => self.list_organisations(OrgId(after)).await,
            Command::ListKeys { organisation } => self.list_keys(organisation).await,
            Command::Disable { who, disabled } => {
                let account = self.who(&who).await?.id;
                self.ended(Op::Disable { account, disabled }, End::Disabled).await
            }
            Command::Erase { who } => self.erase(&who).await,
            Command::CheckReceipt { receipt } => {
                let none = || Refusal::saying(Code::BadValue, "This is no receipt of this server.");
                let Erased { account, at_s } = self.inner.keys.receipts.check(&receipt).ok_or_else(none)?;
                Ok(Answer::Receipt { account: account.0, at_s })
            }
            Command::ResetPassword { who, password } => {
                let account = self.who(&who).await?;
                let chosen = Password::chosen(&password, &[account.display_name.as_str()])?;
                let hash = self.inner.hashing.hash(chosen).await?;
                self.ended(Op::SetPassword { account: account.id, hash, keep: None }, End::PasswordChanged).await
            }
        }
    }

    async fn create_user(&self, phone: &str, name: String, password: Option<String>) -> Result<Answer, Refusal> {
        let inner = &self.inner;
        let phone = inner.phone(phone)?;
        let password = match password {
            Some(text) => {
                let personal = [name.as_str(), phone.e164().trim_start_matches('+')];
                Some(inner.hashing.hash(Password::chosen(&text, &personal)?).await?)
            }
            None => None,
        };
        let lookup = inner.keys.vault.lookup(&phone);
        let sealed = inner.keys.vault.seal(&phone, rand::random()).map_err(|_| Code::Internal)?;
        let outcome = inner.store.account(Op::Create { lookup, sealed, display_name: name, password }).await?;
        let Outcome::Created(AccountId(id)) = outcome else { return Err(Code::Internal.into()) };
        Ok(Answer::User { id })
    }

    async fn erase(&self, who: &str) -> Result<Answer, Refusal> {
        let account = self.who(who).await?.id;
        let seats = self.inner.store.ask(move |reader| reader.seats_of(account)).await?;
        let outcome = self.inner.store.account(Op::Erase { account }).await?;
        let Outcome::Ended(sessions) = outcome else { return Err(Code::Internal.into()) };
        Ok(Answer::Erased { receipt: self.inner.erased(account, &sessions, seats) })
    }

    async fn create_key(&self, organisation: &str, title: String, scopes: &[String]) -> Result<Answer, Refusal> {
        let org = self.organisation(organisation.to_owned()).await?;
        let unknown = || Refusal::saying(Code::BadValue, "Scopes are rooms, directory and audit.");
        let scopes = KeyScopes::parse(scopes.iter().map(String::as_str)).ok_or_else(unknown)?;
        let id = KeyId(rand::random());
        self.operate(org, Change::MakeKey { id, title, scopes }).await?;
        let (secret, room_prefix) = (self.inner.keys.api.of(id, org), convene_accounts::apikey::room_prefix(org));
        Ok(Answer::Key { id: id.to_string(), secret, room_prefix })
    }

    async fn list_users(&self, after: AccountId) -> Result<Answer, Refusal> {
        let found = self.inner.store.ask(move |reader| reader.accounts_after(after, MAX_ROWS)).await?;
        let more = found.len() >= MAX_ROWS as usize;
        let users = found.into_iter().map(|account| self.user(account)).collect();
        Ok(Answer::Users { users, more })
    }

    fn user(&self, account: Account) -> User {
        let state = match account.state {
            State::Active => "active",
            State::Disabled => "disabled",
            State::Erased => "erased",
        };
        let phone = account.phone.map(|(lookup, sealed)| match self.inner.keys.vault.open(lookup, &sealed) {
            Ok(phone) => phone.masked(),
            Err(_) => "(sealed with another secret)".to_owned(),
        });
        let phone = phone.unwrap_or_default();
        User { id: account.id.0, state: state.to_owned(), name: account.display_name, phone }
    }

    async fn list_organisations(&self, after: OrgId) -> Result<Answer, Refusal> {
        let found = self.inner.store.ask(move |reader| reader.companies_after(after, MAX_ROWS)).await?;
        let more = found.len() >= MAX_ROWS as usize;
        let organisations = found.into_iter().map(|company| {
            let convene_store::Company { org: OrgId(id), name, title, members } = company;
            Organisation { id, name, title, members }
        });
        Ok(Answer::Organisations { organisations: organisations.collect(), more })
    }

    async fn list_keys(&self, organisation: String) -> Result<Answer, Refusal> {
        let org = self.organisation(organisation).await?;
        let found = self.inner.store.ask(move |reader| reader.api_keys_of(org)).await?;
        let keys = found.into_iter().map(|row| Key {
            id: row.key.id.to_string(),
            title: row.title,
            scopes: row.key.scopes.names().into_iter().map(str::to_owned).collect(),
            good: row.ended_s.is_none(),
        });
        Ok(Answer::Keys { keys: keys.collect() })
    }

    async fn who(&self, text: &str) -> Result<Account, Refusal> {
        let nobody = || Refusal::saying(Code::NotFound, "There is no such account: name its number or its id.");
        let digits = text.strip_prefix('a').unwrap_or(text);
        let found = match digits.parse() {
            Ok(id) if !text.starts_with('+') => {
                self.inner.store.ask(move |reader| reader.account(AccountId(id))).await?
            }
            _ => {
                let lookup = self.inner.keys.vault.lookup(&self.inner.phone(text)?);
                self.inner.store.ask(move |reader| reader.account_by_lookup(lookup)).await?
            }
        };
        found.ok_or_else(nobody)
    }

    async fn organisation(&self, name: String) -> Result<OrgId, Refusal> {
        let none = || Refusal::saying(Code::NotFound, "There is no organisation of this name.");
        self.inner.store.ask(move |reader| reader.company_by_name(&name)).await?.ok_or_else(none)
    }

    /// Account 0 is the command line: it may do what an owner may, and the audit log says so.
    async fn operate(&self, org: OrgId, change: Change) -> Result<OrgOutcome, Refusal> {
        let op = convene_store::orgs::Op { org, by: AccountId(0), address: String::new(), change, once: None };
        self.inner.change(op).await
    }

    async fn ended(&self, op: Op, why: End) -> Result<Answer, Refusal> {
        let Outcome::Ended(sessions) = self.inner.store.account(op).await? else { return Err(Code::Internal.into()) };
        self.inner.authenticator.end(&sessions, why);
        Ok(Answer::Ended { sessions: sessions.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_answers_survive_the_way_and_show_nothing() {
        let command = Command::ResetPassword { who: "+8613800138000".into(), password: "correct horse".into() };
        assert_eq!(format!("{command:?}"), "reset_password");
        let text = serde_json::to_string(&command).unwrap();
        let back: Command = serde_json::from_str(&text).unwrap();
        assert!(matches!(back, Command::ResetPassword { password, .. } if password == "correct horse"));
        let answer = Answer::Ended { sessions: 3 };
        assert_eq!(serde_json::from_str::<Answer>(&serde_json::to_string(&answer).unwrap()).unwrap(), answer);
    }
}
