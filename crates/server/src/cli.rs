//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use toml::Value;

use crate::config::{LogFormat, Sources};

/// One self-hosted server for calls, meetings and chat.
#[derive(Parser, Debug)]
#[command(name = "convene", version, about, long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const LONG_ABOUT: &str = "One self-hosted server for calls, meetings and chat.

People join with the web client it serves, with LiveKit client SDKs (it speaks their protocol; not affiliated), or with
WHIP and WHEP. Media is relayed, never mixed: each client gets the others' streams at the quality it can take.
Chat travels over QUIC, WebTransport or WebSocket; an acknowledged message is on disk.";

const EXAMPLES: &str = "Examples:
  convene serve --dev
      Try it: open http://localhost:7880 in two tabs. API key devkey, secret secret.
  CONVENE_KEYS=backend:$(openssl rand -hex 32) convene serve --config configs/single.toml
      One server for real, behind a TLS proxy for the HTTP port.
  convene token --dev --room standup --identity ana
      A token that lets ana into the room standup for six hours.
  convene token --dev --chat-user ana
      A token that lets ana's devices chat, on a server in development mode.
  convene check-config --config my.toml
      Says what is wrong, or what would be served where.

Settings: a file (--config), then CONVENE_* variables, then flags; later ones win.
`convene check-config --print-reference` prints every key with its default and its variable.";

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Mint a room token or a chat token and print it.
    #[command(after_help = TOKEN_HELP)]
    Token(TokenArgs),
    /// Chat from a terminal.
    #[command(after_help = crate::chat::HELP)]
    Chat(Box<crate::chat::ChatArgs>),
    /// Make, list, block and end accounts, organisations and their API keys.
    #[command(after_help = crate::admin::HELP)]
    Admin(crate::admin::AdminArgs),
    /// Check and copy the database.
    #[command(after_help = STORE_HELP)]
    Store(StoreArgs),
    /// Check the configuration and say what it means, without starting anything.
    CheckConfig(CheckArgs),
}

const SERVE_HELP: &str = "Ports, N being --port-base; open all but N+3 in the firewall:
  N       TCP  web client, signaling (/rtc, /rtc/v1), REST (/v1), server API (/twirp), /history, WHIP (/whip/ROOM),
               WHEP (/whep/ROOM), chat over WebSocket and files (/im)
  N+1     TCP  media for clients without UDP
  N+2     UDP  chat over QUIC and WebTransport
  N+3     TCP  /metrics, /healthz, /readyz; loopback only unless --ops-bind says otherwise
  N+10+i  UDP  media, one port a worker

SIGTERM and Ctrl-C stop it gracefully: participants and chat clients are told to reconnect, then it exits with 0. A second one ends it at
once.

Examples:
  convene serve --dev --port-base 9000
  convene serve --config configs/single.toml --node-ip 203.0.113.7
  CONVENE_MEDIA_WORKERS=4 convene serve --config configs/single.toml --log info,convene_sfu=debug";

const STORE_HELP: &str = "Both work while the server runs, and read --data-dir or the configuration's.

Examples:
  convene store check --data-dir ./data
  convene store backup --config configs/single.toml /backup/chat-2026-01-31.db";

const TOKEN_HELP: &str =
    "Without --api-key and --api-secret, the key is the first of the configuration (--config, CONVENE_KEYS);
with --dev it is devkey.

Examples:
  convene token --dev --room standup --identity ana
  convene token --config my.toml --room standup --identity camera-1 --no-subscribe --valid-for 30d
  convene token --dev --room standup --identity ops --admin --create --list --no-join
  convene token --dev --chat-user ana --name \"Ana B.\" --valid-for 30d";

/// What `serve` takes; each flag overrides one key of the configuration.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Configuration file, TOML. Also: CONVENE_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Development mode: API key devkey with secret secret, tokens for anybody at /dev/token, loopback media.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Moves every port [default: 7880].
    #[arg(long, value_name = "N")]
    pub(crate) port_base: Option<u16>,
    /// Where durable state is kept [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the HTTP port [default: 0.0.0.0].
    #[arg(long, value_name = "IP")]
    pub(crate) http_bind: Option<IpAddr>,
    /// Address of the media ports [default: 0.0.0.0].
    #[arg(long, value_name = "IP")]
    pub(crate) media_bind: Option<IpAddr>,
    /// Address clients send media to; may be given more than once [default: those of the network interfaces].
    #[arg(long, value_name = "IP")]
    pub(crate) node_ip: Vec<IpAddr>,
    /// Media worker threads [default: one a core].
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u16>,
    /// Address of the ops port [default: 127.0.0.1].
    #[arg(long, value_name = "IP")]
    pub(crate) ops_bind: Option<IpAddr>,
    /// Which events are logged [default: info].
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How they look [default: text].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

impl ServeArgs {
    /// Where this run's configuration comes from.
    pub(crate) fn sources(&self) -> Sources {
        let ip = |ip: IpAddr| Value::String(ip.to_string());
        let number = |number: u16| Value::Integer(number.into());
        let list = |ips: &[IpAddr]| Value::Array(ips.iter().copied().map(ip).collect());
        let format = |format: LogFormat| match format {
            LogFormat::Text => Value::String("text".to_owned()),
            LogFormat::Json => Value::String("json".to_owned()),
        };
        let given = [
            ("dev", self.dev.then_some(Value::Boolean(true))),
            ("port_base", self.port_base.map(number)),
            ("data_dir", self.data_dir.as_ref().map(|dir| Value::String(dir.to_string_lossy().into_owned()))),
            ("http.bind", self.http_bind.map(ip)),
            ("media.bind", self.media_bind.map(ip)),
            ("media.node_ip", (!self.node_ip.is_empty()).then(|| list(&self.node_ip))),
            ("media.workers", self.workers.map(number)),
            ("ops.bind", self.ops_bind.map(ip)),
            ("log.filter", self.log.clone().map(Value::String)),
            ("log.format", self.log_format.map(format)),
        ];
        let flags = given.into_iter().filter_map(|(path, value)| Some((path, value?))).collect();
        Sources { file: self.config.clone(), variables: variables(), flags }
    }
}

/// The process's variables. Ours are ASCII; one that is not UTF-8 can be none of ours.
fn variables() -> Vec<(String, String)> {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Print every key with its default and what it does, and check nothing.
    #[arg(long)]
    pub(crate) print_reference: bool,
}

/// What `token` takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct TokenArgs {
    /// Makes a chat token for this user instead of a room token. Servers take it in development mode only: else people sign in.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["room", "identity"])]
    pub(crate) chat_user: Option<String>,
    /// Organisation of the user [default: the server's one].
    #[arg(long, value_name = "NAME", requires = "chat_user")]
    pub(crate) org: Option<String>,
    /// The room it is for.
    #[arg(long, required_unless_present_any = ["no_join", "chat_user"])]
    pub(crate) room: Option<String>,
    /// Who it is for; unique in the room: a second join with it replaces the first.
    #[arg(long, required_unless_present = "chat_user")]
    pub(crate) identity: Option<String>,
    /// Display name.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// Text that travels with the participant.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) metadata: String,
    /// Attribute of the participant; may be given more than once.
    #[arg(long, value_name = "KEY=VALUE", value_parser = attribute)]
    pub(crate) attribute: Vec<(String, String)>,
    /// How long it may be used to join: 90s, 15m, 6h, 30d.
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = duration)]
    pub(crate) valid_for: Duration,

    /// Key to sign with.
    #[arg(long, requires = "api_secret", value_name = "KEY")]
    pub(crate) api_key: Option<String>,
    /// Its secret. Other users of this machine can see it in the process list: prefer CONVENE_KEYS or --config.
    #[arg(long, requires = "api_key", value_name = "SECRET")]
    pub(crate) api_secret: Option<String>,
    /// Configuration file whose first key signs.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sign with the key of development mode.
    #[arg(long, conflicts_with_all = ["api_key", "config"])]
    pub(crate) dev: bool,

    /// May not join (for tokens that only administrate).
    #[arg(long)]
    pub(crate) no_join: bool,
    /// May not publish tracks.
    #[arg(long)]
    pub(crate) no_publish: bool,
    /// May not subscribe to tracks.
    #[arg(long)]
    pub(crate) no_subscribe: bool,
    /// May not send data.
    #[arg(long)]
    pub(crate) no_data: bool,
    /// May publish this source only: camera, microphone, screen_share, screen_share_audio. May be given more than once.
    #[arg(long, value_name = "SOURCE", conflicts_with = "no_publish")]
    pub(crate) source: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[arg(long)]
    pub(crate) update_own_metadata: bool,
    /// Invisible to the others.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// May administrate the room.
    #[arg(long)]
    pub(crate) admin: bool,
    /// May create and delete rooms.
    #[arg(long)]
    pub(crate) create: bool,
    /// May list rooms.
    #[arg(long)]
    pub(crate) list: bool,
}

/// What `store` takes.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum StoreCommand {
    /// Check the whole database and say what is wrong.
    Check {
        #[command(flatten)]
        place: StorePlace,
    },
    /// Copy the database as it stands to a new file.
    Backup {
        #[command(flatten)]
        place: StorePlace,
        /// The file to write. It must not be there.
        to: PathBuf,
    },
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub(crate) struct StorePlace {
    /// Configuration file, TOML. Also: CONVENE_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where durable state is kept [default: ./data].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a number with s, m, h or d, as in 90s or 6h, got {text:?}");
    let (number, unit_s) = match text.char_indices().next_back().ok_or_else(wrong)? {
        (at, 's') => (text.get(..at), 1),
        (at, 'm') => (text.get(..at), 60),
        (at, 'h') => (text.get(..at), 3600),
        (at, 'd') => (text.get(..at), 86_400),
        _ => return Err(wrong()),
    };
    let count: u64 = number.and_then(|number| number.parse().ok()).filter(|count| *count > 0).ok_or_else(wrong)?;
    count.checked_mul(unit_s).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_keys() {
        let line = "convene serve --dev --port-base 9000 --data-dir /d --node-ip 192.0.2.1 --node-ip ::1 --workers 2 \
                    --log debug --log-format json --http-bind ::1 --media-bind ::1 --ops-bind ::1";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Serve(args) = cli.command else { panic!("serve") };
        let sources = Sources { variables: Vec::new(), ..args.sources() };
        let config = crate::config::load(&sources).unwrap();
        assert!(config.dev);
        assert_eq!((config.port_base, config.media.workers, config.media.node_ip.len()), (9000, 2, 2));
        assert_eq!((config.log.filter.as_str(), config.log.format), ("debug", LogFormat::Json));
        assert!(config.http.bind.is_loopback() && config.media.bind.is_loopback() && config.ops.bind.is_loopback());
    }

    #[test]
    fn a_misspelt_flag_names_the_nearest() {
        let error = Cli::try_parse_from(["convene", "serve", "--port-bas", "1"]).unwrap_err().to_string();
        assert!(error.contains("--port-base"), "{error}");
    }

    #[test]
    fn durations_have_units() {
        let rows = [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("6h", Some(21_600)),
            ("30d", Some(2_592_000)),
            ("6", None),
            ("0h", None),
            ("-1h", None),
            ("h", None),
            ("", None),
            ("6é", None),
            ("18446744073709551615d", None),
        ];
        for (text, want) in rows {
            assert_eq!(duration(text).ok(), want.map(Duration::from_secs), "{text}");
        }
    }
}
