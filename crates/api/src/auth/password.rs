//! Into an account by password.

use convene_accounts::limits::Act;
use convene_accounts::password::{Password, Verdict};
use convene_accounts::session::Session;
use convene_accounts::{Code, Refusal};
use convene_store::accounts::{Entry, Op, State};

use crate::Inner;
use crate::client::Client;

/// Signs in. Number without account, account without password and wrong password take as long and are refused alike.
pub(super) async fn enter(
    inner: &Inner,
    client: Client,
    phone: &str,
    text: &str,
    entry: Entry,
) -> Result<Session, Refusal> {
    let phone = inner.phone(phone)?;
    let lookup = inner.keys.vault.lookup(&phone);
    let subjects = client.subjects(lookup, entry.device.id);
    // Counted before it is hashed: an attempt costs the server the same whether it is right or wrong.
    inner.store.account(Op::Take { act: Act::Password, subjects }).await?;
    let account = inner.store.ask(move |reader| reader.account_by_lookup(lookup)).await?;
    let stored = account.as_ref().and_then(|account| account.password.clone());
    let verdict = inner.hashing.verify(Password::typed(text)?, stored.clone()).await?;
    let (Verdict::Right { rehash }, Some(account), Some(checked)) = (verdict, account, stored) else {
        return Err(Code::BadCredentials.into());
    };
    if account.state != State::Active {
        // They have shown that it is theirs.
        return Err(Code::AccountDisabled.into());
    }
    let rehashed = if rehash { Some(inner.hashing.hash(Password::typed(text)?).await?) } else { None };
    inner.entered(inner.store.account(Op::SignIn { account: account.id, checked, rehashed, entry }).await?)
}
