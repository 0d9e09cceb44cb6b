//! Whom somebody means by a name: with an account, colleagues as the directory shows them; with tokens of a development
//! server, users by their one name.

use anyhow::{Context as _, Result, bail};
use convene_client::{Account, Client};

use super::sign_in;

/// Where names are looked up.
#[derive(Debug)]
pub(super) enum People {
    /// Names of users.
    ByName,
    /// The directory of the organisation.
    Directory(Account),
}

impl People {
    /// The direct conversation with somebody: made, or found again.
    pub(super) async fn direct(&self, client: &Client, name: &str) -> Result<u64> {
        match self {
            Self::ByName => Ok(client.create_direct(name).await?),
            Self::Directory(account) => {
                speak(account).await?;
                Ok(client.create_direct_with(find(account, name).await?).await?)
            }
        }
    }

    /// A group of these people.
    pub(super) async fn group(&self, client: &Client, title: &str, names: &[&str]) -> Result<u64> {
        let Self::Directory(account) = self else { return Ok(client.create_group(title, names).await?) };
        speak(account).await?;
        let mut users = Vec::new();
        for name in names {
            users.push(find(account, name).await?);
        }
        Ok(client.create_group_with(title, users).await?)
    }
}

/// Has the profile speak for an organisation: whoever signed in before they were in any has none.
async fn speak(account: &Account) -> Result<()> {
    sign_in::choose(account, None).await?.map(drop).map_err(anyhow::Error::msg)
}

/// The colleague of this name, or the only one whom the directory finds by it: it knows pinyin, initials and numbers.
async fn find(account: &Account, name: &str) -> Result<u64> {
    let found = account.find(name).await.context("looking into the directory")?;
    let names: Vec<_> = found.iter().map(|one| one.display_name.as_str()).collect();
    match pick(name, &names)? {
        Some(at) => Ok(found.get(at).context("nobody")?.user),
        None => bail!("nobody in your organisation is called {name:?}, as far as you may see"),
    }
}

/// Which of those that were found is meant.
fn pick(name: &str, found: &[&str]) -> Result<Option<usize>> {
    let same: Vec<_> = (0..found.len()).filter(|at| found.get(*at) == Some(&name)).collect();
    match (same.as_slice(), found) {
        ([only], _) => Ok(Some(*only)),
        ([], [_only]) => Ok(Some(0)),
        ([], []) => Ok(None),
        ([], _several) => bail!("{name:?} may be {}: say more of the name", found.join(", ")),
        (_several, _) => bail!("several people are called {name:?}: say the phone number"),
    }
}

#[cfg(test)]
mod tests {
    use super::pick;

    /// A name, who is found by it, and which of them is meant or what is answered.
    type Row<'a> = (&'a str, &'a [&'a str], Result<Option<usize>, &'a str>);

    #[test]
    fn who_is_meant_is_told_apart_or_asked_for() {
        let rows: [Row<'_>; 6] = [
            ("Bo", &["Bo", "Bob"], Ok(Some(0))),
            ("Bob", &["Bo", "Bob"], Ok(Some(1))),
            ("zw", &["Zhang Wei"], Ok(Some(0))),
            ("zw", &[], Ok(None)),
            ("zw", &["Zhang Wei", "Zhao Wen"], Err("Zhang Wei, Zhao Wen")),
            ("Bo", &["Bo", "Bo"], Err("phone number")),
        ];
        for (name, found, want) in rows {
            match (pick(name, found), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{name} of {found:?}"),
                (Err(error), Err(word)) => assert!(error.to_string().contains(word), "{error}"),
                (got, want) => panic!("{name} of {found:?}: {got:?}, not {want:?}"),
            }
        }
    }
}
