//! What `admin` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) const HELP: &str =
    "Works beside a running server, which it asks over a socket in the data directory, and without one. Accounts are
named by number or id, organisations by name.

Examples:
  convene admin create-user +8613800138000 \"Zhang Wei\"
  convene admin create-organisation acme \"Acme Ltd.\" --owner +8613800138000
  convene admin create-key acme backend --scope rooms
  convene admin reset-password +8613800138000
  convene admin --config /etc/convene.toml list users";

/// What `admin` takes.
#[derive(Args, Debug)]
pub(crate) struct AdminArgs {
    /// Configuration file, TOML. Also: CONVENE_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the server keeps its state [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Answer in JSON, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum AdminCommand {
    /// Make an account; its holder signs in with a code, or with the password.
    CreateUser {
        /// With country code, unless accounts.region says where.
        phone: String,
        /// As others see it.
        name: String,
        /// Read a password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make an organisation.
    CreateOrganisation {
        /// As in tokens; unlike that of any other.
        name: String,
        /// As shown.
        title: String,
        /// Number or id of the account that owns it.
        #[arg(long, value_name = "WHO")]
        owner: String,
    },
    /// Make an API key for an organisation's programs. The secret is shown once.
    CreateKey {
        /// Whose.
        organisation: String,
        /// What people call it.
        title: String,
        /// What for: rooms, directory, audit. May be given more than once.
        #[arg(long, value_name = "SCOPE", required = true)]
        scope: Vec<String>,
    },
    /// Revoke an API key. What is signed with it is refused at once.
    RevokeKey {
        /// Whose.
        organisation: String,
        /// As `list keys` shows it.
        id: String,
    },
    /// List what there is.
    List {
        #[command(subcommand)]
        what: ListCommand,
    },
    /// Block an account. It is signed out everywhere.
    Disable {
        /// Number or id.
        who: String,
    },
    /// Let a blocked account in again.
    Enable {
        /// Number or id.
        who: String,
    },
    /// End an account for good: its number, names, password, devices and sessions go.
    Erase {
        /// Number or id.
        who: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Say whether a receipt of erasure is one of this server's.
    CheckReceipt {
        /// As its holder was given it.
        receipt: String,
    },
    /// Set another password: one that is made up and shown, unless it comes on standard input. Ends all sessions.
    ResetPassword {
        /// Number or id.
        who: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ListCommand {
    /// Accounts, a thousand at a time.
    Users {
        /// Those behind this id.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
    /// Organisations, a thousand at a time.
    Organisations {
        /// Those behind this id.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: u64,
    },
    /// API keys of an organisation.
    Keys {
        /// Whose.
        organisation: String,
    },
}
