//! `convene admin`: from the command line to the accounts of a server, whether it runs or not.
//!
//! A database has one writer, so a running server is asked over a socket in its data directory ([`socket`]), and does it
//! itself: what ends there ends at once on every open connection. Where no server runs, the store is opened here, under
//! the server's own lock, and the same code does the same. Who may open the socket is who may read the data directory:
//! there is no password to lose.

mod args;
mod show;
pub(crate) mod socket;

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use convene_api::admin::{Answer, Command};
use convene_api::{Api, Options, Sender};
use convene_store::Store;
use convene_telemetry::Metrics;

use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::{accounts, im};
pub(crate) use args::{AdminArgs, HELP};
use args::{AdminCommand, ListCommand};

/// Characters of a password that is made up: 100 bits.
const PASSWORD_CHARS: usize = 20;
/// Without those that are taken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Does what the command says; answers what to print.
pub(crate) fn run(args: &AdminArgs) -> Result<String> {
    let serve = ServeArgs { config: args.config.clone(), data_dir: args.data_dir.clone(), ..ServeArgs::default() };
    let config = config::load(&serve.sources())?;
    let (command, made_up) = command(&args.command)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let answer = runtime.block_on(ask(&config, command))?;
    if let Answer::Refused { code, text } = &answer {
        bail!("{text} ({code})");
    }
    show::answer(&answer, made_up.as_deref(), args.json)
}

async fn ask(config: &Config, command: Command) -> Result<Answer> {
    if let Some(answer) = socket::ask(&config.data_dir, &command).await? {
        return Ok(answer);
    }
    offline(config, command).await
}

/// No server runs: does it here.
async fn offline(config: &Config, command: Command) -> Result<Answer> {
    let data_dir = &config.data_dir;
    let reads =
        matches!(command, Command::ListUsers { .. } | Command::ListOrganisations { .. } | Command::ListKeys { .. });
    // In the folder that the command happens to be given in, a new one would be a second one, beside the server's.
    let is_named = *data_dir != Config::default().data_dir;
    ensure!(
        im::database(data_dir).exists() || (is_named && !reads),
        "there is no database in {}: name another --data-dir, or start the server once",
        std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone()).display()
    );
    im::make_dir(data_dir)?;
    let _lock = im::lock(data_dir).context("no server answers on the admin socket, yet one seems to start or stop")?;
    let store = open(data_dir)?;
    let options = Options {
        store: store.clone(),
        keys: accounts::keys(&config.accounts, data_dir, &store).await?,
        sender: Sender::Nobody,
        region: config.accounts.region.clone(),
        policy_version: config.accounts.policy_version.clone(),
        access_log_days: 0,
        metrics: std::sync::Arc::new(Metrics::new()),
    };
    let api = Api::start(options).await.context("starting accounts")?;
    let answer = api.admin(command).await;
    drop(api);
    tokio::task::spawn_blocking(move || store.stop()).await.context("closing the database")?;
    Ok(answer)
}

fn open(data_dir: &Path) -> Result<Store> {
    let path = im::database(data_dir);
    let options = convene_store::Options { readers: 1, ..convene_store::Options::new(&path) };
    Store::start(options).with_context(|| format!("opening {}", path.display()))
}

/// The command, and a password that was made up for it.
fn command(command: &AdminCommand) -> Result<(Command, Option<String>)> {
    Ok(match command.clone() {
        AdminCommand::CreateUser { phone, name, password_stdin } => {
            let password = if password_stdin { Some(read_password()?) } else { None };
            (Command::CreateUser { phone, name, password }, None)
        }
        AdminCommand::CreateOrganisation { name, title, owner } => {
            (Command::CreateOrganisation { name, title, owner }, None)
        }
        AdminCommand::CreateKey { organisation, title, scope: scopes } => {
            (Command::CreateKey { organisation, title, scopes }, None)
        }
        AdminCommand::RevokeKey { organisation, id } => (Command::RevokeKey { organisation, id }, None),
        AdminCommand::List { what: ListCommand::Users { after } } => (Command::ListUsers { after }, None),
        AdminCommand::List { what: ListCommand::Organisations { after } } => {
            (Command::ListOrganisations { after }, None)
        }
        AdminCommand::List { what: ListCommand::Keys { organisation } } => (Command::ListKeys { organisation }, None),
        AdminCommand::Disable { who } => (Command::Disable { who, disabled: true }, None),
        AdminCommand::Enable { who } => (Command::Disable { who, disabled: false }, None),
        AdminCommand::Erase { who, yes } => {
            ensure!(yes, "an erased account does not come back: say --yes if you mean it");
            (Command::Erase { who }, None)
        }
        AdminCommand::CheckReceipt { receipt } => (Command::CheckReceipt { receipt }, None),
        AdminCommand::ResetPassword { who, password_stdin: true } => {
            (Command::ResetPassword { who, password: read_password()? }, None)
        }
        AdminCommand::ResetPassword { who, password_stdin: false } => {
            let password = make_up();
            (Command::ResetPassword { who, password: password.clone() }, Some(password))
        }
    })
}

fn make_up() -> String {
    let random: [u8; PASSWORD_CHARS] = rand::random();
    let letter = |byte: u8| ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied().unwrap_or(b'x');
    random.into_iter().map(|byte| char::from(letter(byte))).collect()
}

/// From standard input: arguments are for every user of the machine to read.
fn read_password() -> Result<String> {
    let _ = write!(std::io::stderr(), "password: "); // no stderr, nobody to ask
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("reading the password")?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    ensure!(!password.is_empty(), "the password on standard input is empty");
    Ok(password)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command as Line};

    fn admin(data_dir: &Path, line: &str) -> Result<String> {
        let words = ["convene", "admin", "--data-dir"].map(str::to_owned).into_iter();
        let words = words.chain([data_dir.display().to_string()]).chain(line.split_whitespace().map(str::to_owned));
        let Line::Admin(args) = Cli::try_parse_from(words)?.command else { panic!("admin") };
        run(&args)
    }

    #[test]
    fn a_deployment_begins_without_a_server() {
        let folder = std::env::temp_dir().join(format!("convene-admin-{}", std::process::id()));
        assert!(admin(&folder, "list users").unwrap_err().to_string().contains("no database"));
        assert_eq!(admin(&folder, "create-user +8613800138000 Ana").unwrap(), "account 1");
        let twice = admin(&folder, "create-user +8613800138000 Bo").unwrap_err().to_string();
        assert!(twice.contains("account_exists"), "{twice}");
        admin(&folder, "create-organisation acme Acme --owner +8613800138000").unwrap();
        let key = admin(&folder, "create-key acme backend --scope rooms").unwrap();
        let id = key.lines().find_map(|line| line.strip_prefix("key     ")).unwrap().to_owned();
        assert!(key.contains("o1:"), "{key}");
        assert!(admin(&folder, "create-key acme backend --scope all").unwrap_err().to_string().contains("rooms"));
        admin(&folder, &format!("revoke-key acme {id}")).unwrap();
        assert!(admin(&folder, &format!("revoke-key acme {id}")).is_err());
        let keys = admin(&folder, "list keys acme").unwrap();
        assert!(keys.contains("revoked") && !keys.contains("secret"), "{keys}");
        admin(&folder, "disable 1").unwrap();
        let users = admin(&folder, "list users").unwrap();
        assert!(users.contains("disabled") && users.contains("Ana") && !users.contains("13800138000"), "{users}");
        admin(&folder, "enable a1").unwrap();
        assert!(admin(&folder, "reset-password 1").unwrap().contains("password"));
        assert!(admin(&folder, "erase 1").unwrap_err().to_string().contains("--yes"));
        let last = admin(&folder, "erase 1 --yes").unwrap_err().to_string();
        assert!(last.contains("last_owner"), "{last}");
        assert!(admin(&folder, "disable 9").is_err());
        assert!(admin(&folder, "list organisations").unwrap().contains("acme"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn passwords_that_are_made_up_differ() {
        let (one, other) = (make_up(), make_up());
        assert!(one != other && one.len() == PASSWORD_CHARS && one.is_ascii());
    }
}
