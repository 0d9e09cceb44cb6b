//! `convene chat login` and `logout`, and the sign-in that other commands go on with.

use anyhow::{Context as _, Result, anyhow, bail};
use convene_client::account::{Organisation, Proof};
use convene_client::{Account, Config, Error};

use super::people::People;
use super::{ChatArgs, complain, data_dir, print, prompt, show};

/// Signs in, and chooses an organisation if there is nothing to choose.
pub(super) async fn login(args: &ChatArgs, phone: &str, by_password: bool) -> Result<()> {
    let account = account(args)?;
    let proof = if by_password {
        Proof::Password(prompt::secret("Password").await?)
    } else {
        account.ask_for_code(phone).await?;
        Proof::Code(prompt::line("Code from the message").await?.trim().to_owned())
    };
    let entered = account.sign_in(phone, proof).await;
    if let Err(Error::Foreign(_)) = entered {
        complain("another account takes another --profile");
    }
    let person = entered?;
    print(&format!("signed in as {}", show::plain(&person.display_name)))?;
    match choose(&account, args.organisation.as_deref()).await? {
        Ok(organisation) => print(&format!("in the name of {}", show::plain(&organisation.title)))?,
        Err(why) => complain(&why),
    }
    Ok(())
}

/// Ends the sign-in. It is forgotten here even where the server does not hear of it.
pub(super) async fn logout(args: &ChatArgs) -> Result<()> {
    let account = account(args)?;
    if account.person().await?.is_none() {
        bail!("nobody is signed in here");
    }
    let told = account.sign_out().await;
    told.context(
        "signed out here, but the server does not know: it ends the sign-in when nobody has used it for 30 days",
    )?;
    print("signed out")
}

/// What a client of the kept sign-in is opened with.
pub(super) async fn config(args: &ChatArgs) -> Result<(Config, People)> {
    let account = account(args)?;
    if account.person().await?.is_none() {
        bail!("nobody is signed in here: `convene chat login PHONE`, or with a development server --dev --user NAME");
    }
    if args.organisation.is_some() {
        choose(&account, args.organisation.as_deref()).await?.map_err(anyhow::Error::msg)?;
    }
    Ok((account.config().await?, People::Directory(account)))
}

/// What is said where a sign-in is found to be over.
pub(super) fn over(reason: &str) -> anyhow::Error {
    anyhow!("{}: `convene chat login PHONE`", show::plain(reason))
}

fn account(args: &ChatArgs) -> Result<Account> {
    Ok(Account::open(args.server.clone(), data_dir(args)?, Vec::new(), args.insecure)?)
}

/// Has the profile speak for the organisation that somebody named, or for the only one. What it speaks for stays: its copy is
/// of that one. Within: there is nothing to choose yet, or it has to be said.
pub(super) async fn choose(account: &Account, named: Option<&str>) -> Result<Result<Organisation, String>> {
    if let Some(chosen) = account.organisation().await? {
        return match named {
            Some(name) if !chosen.is_called(name) => {
                bail!("this profile speaks for {}: sign in with another --profile", show::plain(&chosen.title))
            }
            Some(_) | None => Ok(Ok(chosen)),
        };
    }
    let asked = account.organisations().await;
    if let Err(error @ Error::SignedOut(_)) = &asked {
        return Err(over(&error.to_string()));
    }
    let all = asked.context("asking for your organisations")?;
    let meant: Vec<_> = all.iter().filter(|one| named.is_none_or(|name| one.is_called(name))).collect();
    let titles = |of: &[&Organisation]| {
        let lines = of.iter().map(|one| format!("\n  {} (number {})", show::plain(&one.title), one.id));
        lines.collect::<String>()
    };
    match (meant.as_slice(), named) {
        ([only], _) => {
            account.choose((*only).clone()).await?;
            Ok(Ok((*only).clone()))
        }
        ([], None) => {
            Ok(Err("you are in no organisation yet: found one or accept an invitation in the web client".to_owned()))
        }
        ([], Some(name)) => bail!("you are in no organisation {name:?}:{}", titles(&all.iter().collect::<Vec<_>>())),
        (several, None) => Ok(Err(format!("say for which one you speak, with --organisation:{}", titles(several)))),
        (several, Some(_)) => bail!("several organisations are called so, say the number:{}", titles(several)),
    }
}
