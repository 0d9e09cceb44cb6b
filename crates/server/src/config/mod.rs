//! What an operator can set, with its defaults: one struct a shell.
//!
//! Layers, later ones win: defaults, `--config FILE`, `CONVENE_*` variables, flags ([`load`]). What the values mean
//! together is checked in [`check`]; their documentation is the table in [`keys`], from which `configs/reference.toml`
//! is generated.

mod check;
mod keys;
mod load;
mod reference;
mod sms;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use check::{DEV_KEY, Settings};
pub(crate) use load::{Sources, load};
pub(crate) use reference::reference;
pub(crate) use sms::Sms;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) dev: bool,
    pub(crate) port_base: u16,
    pub(crate) data_dir: PathBuf,
    pub(crate) keys: Keys,
    pub(crate) http: Http,
    pub(crate) media: Media,
    pub(crate) turn: Turn,
    pub(crate) rooms: Rooms,
    pub(crate) im: Im,
    pub(crate) accounts: Accounts,
    pub(crate) sms: Sms,
    pub(crate) webhooks: Webhooks,
    pub(crate) ops: Ops,
    pub(crate) log: Log,
}

/// API keys and their secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Keys(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish() // secrets stay out of logs and errors
    }
}

/// The port for browsers, SDKs and WHIP/WHEP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) bind: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<String>,
}

/// The media workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Media {
    pub(crate) bind: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_port: Option<u16>,
    pub(crate) workers: u16,
    pub(crate) node_ip: Vec<IpAddr>,
    pub(crate) loudest: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcp_port: Option<u16>,
    pub(crate) spread: bool,
    pub(crate) max_load: u8,
}

/// The TURN server beside this one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Turn {
    pub(crate) urls: Vec<String>,
    pub(crate) secret: String,
    pub(crate) ttl_s: u32,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("urls", &self.urls).field("ttl_s", &self.ttl_s).finish_non_exhaustive()
    }
}

/// How rooms behave, and how much a node takes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rooms {
    pub(crate) auto_create: bool,
    pub(crate) empty_timeout_s: u32,
    pub(crate) departure_timeout_s: u32,
    pub(crate) max_rooms: u32,
    pub(crate) max_participants: u32,
    pub(crate) max_tracks: u32,
}

/// Chat: its port, and how much is too much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Im {
    pub(crate) bind: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
    pub(crate) max_sessions: u32,
    pub(crate) max_members: u32,
    pub(crate) max_blob_mib: u32,
    pub(crate) max_voice_s: u32,
    pub(crate) edit_window_s: u32,
    pub(crate) recall_window_s: u32,
    pub(crate) device_sends_per_s: u32,
    pub(crate) conversation_sends_per_s: u32,
    pub(crate) device_requests_per_s: u32,
    pub(crate) push_members: u32,
    pub(crate) push_deliveries_per_s: u32,
    pub(crate) idle_timeout_s: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_endpoint: Option<String>,
    pub(crate) s3_region: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) s3_secret: Option<Secret>,
}

/// Something that stays out of logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Accounts of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Accounts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) region: String,
    pub(crate) policy_version: String,
    pub(crate) access_log_days: u32,
}

/// Who is told of what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhooks {
    pub(crate) urls: Vec<String>,
    pub(crate) key: String,
    pub(crate) allow_private: bool,
}

/// The port for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ops {
    pub(crate) bind: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dev: false,
            port_base: 7880,
            data_dir: PathBuf::from("./data"),
            keys: Keys::default(),
            http: Http::default(),
            media: Media::default(),
            turn: Turn::default(),
            rooms: Rooms::default(),
            im: Im::default(),
            accounts: Accounts::default(),
            sms: Sms::default(),
            webhooks: Webhooks::default(),
            ops: Ops::default(),
            log: Log::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: None,
            certificate: None,
            certificate_key: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            first_port: None,
            workers: 0,
            node_ip: Vec::new(),
            tcp_port: None,
            spread: false,
            max_load: 90,
            loudest: 0,
        }
    }
}

impl Default for Turn {
    fn default() -> Self {
        // A call longer than this keeps its relay; only a new one needs new credentials, which a reconnect brings.
        Self { urls: Vec::new(), secret: String::new(), ttl_s: 86_400 }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            auto_create: true,
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_rooms: 20_000,
            max_participants: 5_000,
            max_tracks: 64,
        }
    }
}

impl Default for Im {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: None,
            certificate: None,
            certificate_key: None,
            max_sessions: 50_000,
            max_members: 100_000,
            max_blob_mib: 100,
            max_voice_s: 600,
            edit_window_s: 86_400,
            recall_window_s: 86_400,
            device_sends_per_s: 50,
            conversation_sends_per_s: 500,
            device_requests_per_s: 100,
            push_members: 20_000,
            push_deliveries_per_s: 50_000,
            idle_timeout_s: 300,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_bucket: None,
            s3_key_id: None,
            s3_secret: None,
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self { secret_file: None, region: String::new(), policy_version: "1".to_owned(), access_log_days: 90 }
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self { bind: Ipv4Addr::LOCALHOST.into(), port: None } // metrics and health are not for the world
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}
