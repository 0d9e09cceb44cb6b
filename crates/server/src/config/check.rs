//! What a configuration means: ports worked out, keys checked, refused with a sentence that says what to do.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use convene_outbound::Provider;
use convene_signaling::Network;

use super::{Accounts, Config, Im, Log, Rooms, Turn, Webhooks};

/// The key and secret of development mode: what LiveKit's SDKs and tools use there.
pub(crate) const DEV_KEY: (&str, &str) = ("devkey", "secret");
/// Most media workers: one a core, and no machine we run on has more. Each costs a thread and a UDP port.
const MAX_WORKERS: u16 = 256;
/// Shorter secrets than this (bytes) can be guessed offline from one token: HS256 wants a key as long as its hash
/// (RFC 7518 §3.2).
const GOOD_SECRET_BYTES: usize = 32;

/// A checked configuration, in the form the shells take it.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) dev: bool,
    pub(crate) http: SocketAddr,
    pub(crate) trusted_proxies: Vec<Network>,
    /// PEM files: chain and key. `None`: no TLS.
    pub(crate) http_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) ops: SocketAddr,
    pub(crate) media_bind: IpAddr,
    /// One a worker.
    pub(crate) media_ports: Vec<u16>,
    /// As configured; empty means "find out".
    pub(crate) node_ip: Vec<IpAddr>,
    /// Media over TCP; `None`: not at all.
    pub(crate) media_tcp_port: Option<u16>,
    /// Rooms use all workers from the beginning.
    pub(crate) media_spread: bool,
    /// Per cent of a worker's time.
    pub(crate) media_max_load: u8,
    pub(crate) turn: Turn,
    pub(crate) loudest: u16,
    pub(crate) keys: Secrets,
    pub(crate) rooms: Rooms,
    /// UDP.
    pub(crate) chat: SocketAddr,
    /// PEM files: chain and key.
    pub(crate) chat_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) im: Im,
    pub(crate) accounts: Accounts,
    /// In their order; none: codes are logged in development, and refused otherwise.
    pub(crate) sms: Vec<Provider>,
    pub(crate) webhooks: Webhooks,
    pub(crate) data_dir: PathBuf,
    pub(crate) log: Log,
    /// What works and should not stay so.
    pub(crate) warnings: Vec<String>,
}

/// API keys and their secrets, out of sight of logs.
#[derive(Clone)]
pub(crate) struct Secrets(pub(crate) HashMap<String, String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Settings {
    /// Checks a configuration.
    pub(crate) fn of(config: &Config) -> Result<Self> {
        let http_port = config.http.port.unwrap_or(config.port_base);
        let ops_port = match config.ops.port {
            Some(port) => port,
            None => above(config.port_base, 3).context("choosing the ops port")?,
        };
        ensure!(
            http_port != ops_port || http_port == 0,
            "http.port and ops.port are both {http_port}: give one of them another port"
        );
        let chat_port = match config.im.port {
            Some(port) => port,
            None => above(config.port_base, 2).context("choosing the chat port")?,
        };
        let (keys, mut warnings) = keys(config)?;
        if config.http.bind.is_loopback() && config.http.trusted_proxies.is_empty() && !config.dev {
            warnings.push("http.bind is this machine's own and http.trusted_proxies is empty: all who come through a proxy count as one client, in limits and logs".to_owned());
        }
        Ok(Self {
            dev: config.dev,
            http: SocketAddr::new(config.http.bind, http_port),
            trusted_proxies: trusted_proxies(&config.http.trusted_proxies)?,
            http_certificate: certificate("http", &config.http.certificate, &config.http.certificate_key)?,
            ops: SocketAddr::new(config.ops.bind, ops_port),
            media_bind: config.media.bind,
            media_ports: media_ports(config)?,
            node_ip: node_ip(config)?,
            media_tcp_port: media_tcp_port(config)?,
            media_spread: config.media.spread,
            media_max_load: max_load(config.media.max_load)?,
            turn: turn(&config.turn)?,
            loudest: config.media.loudest,
            rooms: rooms(&config.rooms)?,
            chat: SocketAddr::new(config.im.bind, chat_port),
            chat_certificate: certificate("im", &config.im.certificate, &config.im.certificate_key)?,
            im: im(&config.im)?,
            accounts: accounts(&config.accounts)?,
            sms: config.sms.providers()?,
            webhooks: webhooks(config, &keys)?,
            keys: Secrets(keys),
            data_dir: config.data_dir.clone(),
            log: config.log.clone(),
            warnings,
        })
    }

    /// What would be served where, for a person.
    pub(crate) fn summary(&self) -> String {
        let media = match (self.media_ports.first(), self.media_ports.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (Some(only), _) => only.to_string(),
            (None, _) => "none".to_owned(),
        };
        let media = match self.media_tcp_port {
            Some(tcp) => format!("{media} (udp), {tcp} (tcp)"),
            None => format!("{media} (udp)"),
        };
        let keys = self.keys.0.len();
        let sms = match self.sms.iter().map(Provider::name).collect::<Vec<_>>().join(", then ") {
            none if none.is_empty() && self.dev => "none: codes are written to the log".to_owned(),
            none if none.is_empty() => "none: nobody can ask for a code".to_owned(),
            names => names,
        };
        let mut text = format!(
            "configuration is good\n  http   {} (tcp{})\n  chat   {} (udp)\n  ops    {} (tcp)\n  media  {} port {media}\n  \
             data   {}\n  keys   {keys}\n  sms    {sms}",
            self.http,
            if self.http_certificate.is_some() { ", https" } else { "" },
            self.chat,
            self.ops,
            self.media_bind,
            self.data_dir.display()
        );
        for warning in &self.warnings {
            text.push_str("\n  warning: ");
            text.push_str(warning);
        }
        text
    }
}

fn above(port_base: u16, offset: u16) -> Result<u16> {
    let port = port_base.checked_add(offset);
    port.with_context(|| format!("port_base {port_base} is too high: {port_base} + {offset} is above 65535"))
}

fn media_ports(config: &Config) -> Result<Vec<u16>> {
    let workers = match config.media.workers {
        0 => cores().min(MAX_WORKERS),
        workers => workers,
    };
    ensure!(workers <= MAX_WORKERS, "media.workers is {workers}: the most is {MAX_WORKERS}");
    let first = match config.media.first_port {
        Some(port) => port,
        None => above(config.port_base, 10).context("choosing the media ports")?,
    };
    (0..workers).map(|worker| above(first, worker).context("choosing the media ports")).collect()
}

fn media_tcp_port(config: &Config) -> Result<Option<u16>> {
    match config.media.tcp_port {
        Some(0) => Ok(None),
        Some(port) => Ok(Some(port)),
        None => above(config.port_base, 1).map(Some).context("choosing the media port for TCP"),
    }
}

fn max_load(percent: u8) -> Result<u8> {
    ensure!((1..=100).contains(&percent), "media.max_load is {percent}: give a per cent of a core's time, 1 to 100");
    Ok(percent)
}

fn turn(turn: &Turn) -> Result<Turn> {
    let known = |url: &&String| !url.starts_with("turn:") && !url.starts_with("turns:");
    if let Some(url) = turn.urls.iter().find(known) {
        bail!("turn.urls names {url:?}: addresses begin with turn: or turns:");
    }
    ensure!(
        turn.urls.is_empty() || !turn.secret.is_empty(),
        "turn.urls without turn.secret: both servers need the same one"
    );
    Ok(turn.clone())
}

fn cores() -> u16 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u16::try_from(cores).unwrap_or(MAX_WORKERS)
}

fn node_ip(config: &Config) -> Result<Vec<IpAddr>> {
    let bad = config.media.node_ip.iter().find(|ip| ip.is_unspecified() || ip.is_multicast());
    if let Some(ip) = bad {
        bail!("media.node_ip names {ip}: clients cannot send media there, name an address of this machine");
    }
    if config.media.bind.is_ipv4()
        && let Some(ip) = config.media.node_ip.iter().find(|ip| ip.is_ipv6())
    {
        bail!(
            "media.node_ip names {ip}, but media.bind takes IPv4 alone: nothing would listen there, set media.bind to \"::\""
        );
    }
    Ok(config.media.node_ip.clone())
}

fn rooms(rooms: &Rooms) -> Result<Rooms> {
    let limits = [
        ("max_rooms", rooms.max_rooms),
        ("max_participants", rooms.max_participants),
        ("max_tracks", rooms.max_tracks),
    ];
    let zero = limits.iter().find(|(_, limit)| *limit == 0);
    if let Some((name, _)) = zero {
        bail!("rooms.{name} is 0: nobody could call, give it at least 1");
    }
    Ok(rooms.clone())
}

fn im(im: &Im) -> Result<Im> {
    let limits = [
        ("max_sessions", im.max_sessions),
        ("max_members", im.max_members),
        ("max_blob_mib", im.max_blob_mib),
        ("max_voice_s", im.max_voice_s),
        ("idle_timeout_s", im.idle_timeout_s),
    ];
    let zero = limits.iter().find(|(_, limit)| *limit == 0);
    if let Some((name, _)) = zero {
        bail!("im.{name} is 0: nobody could chat, give it at least 1");
    }
    let bucket = [im.s3_endpoint.is_some(), im.s3_bucket.is_some(), im.s3_key_id.is_some(), im.s3_secret.is_some()];
    ensure!(
        bucket.iter().all(|given| *given == bucket[0]),
        "im.s3_endpoint, im.s3_bucket, im.s3_key_id and im.s3_secret go together: give all or none"
    );
    Ok(im.clone())
}

fn accounts(accounts: &Accounts) -> Result<Accounts> {
    let Accounts { region, policy_version, .. } = accounts;
    let country = region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase());
    ensure!(region.is_empty() || country, "accounts.region is {region:?}: two capital letters, such as CN, or nothing");
    ensure!(!policy_version.is_empty(), "accounts.policy_version is empty: people have to agree to something");
    Ok(accounts.clone())
}

fn webhooks(config: &Config, keys: &HashMap<String, String>) -> Result<Webhooks> {
    let mut webhooks = config.webhooks.clone();
    let bad = webhooks.urls.iter().find(|url| !url.starts_with("https://") && !url.starts_with("http://"));
    if let Some(url) = bad {
        bail!("webhooks.urls names {url:?}: give http or https addresses");
    }
    if webhooks.key.is_empty() && config.dev {
        webhooks.key = DEV_KEY.0.to_owned();
    }
    let known = keys.contains_key(&webhooks.key);
    ensure!(
        webhooks.urls.is_empty() || known,
        "webhooks.key is {:?}: name one of the API keys, to sign with",
        webhooks.key
    );
    webhooks.allow_private |= config.dev;
    Ok(webhooks)
}

fn certificate(of: &str, chain: &Option<PathBuf>, key: &Option<PathBuf>) -> Result<Option<(PathBuf, PathBuf)>> {
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some((chain.clone(), key.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => {
            bail!("{of}.certificate and {of}.certificate_key go together: give both or none")
        }
    }
}

fn trusted_proxies(list: &[String]) -> Result<Vec<Network>> {
    let network =
        |text: &String| text.parse().context("http.trusted_proxies: write addresses, or networks as 10.0.0.0/8");
    list.iter().map(network).collect()
}

fn keys(config: &Config) -> Result<(HashMap<String, String>, Vec<String>)> {
    let mut keys: HashMap<_, _> = config.keys.0.clone().into_iter().collect();
    let empty = keys.iter().find(|(key, secret)| key.is_empty() || secret.is_empty());
    if let Some((key, _)) = empty {
        bail!("api key {key:?} has an empty name or secret");
    }
    let mut warnings = Vec::new();
    for (key, secret) in &keys {
        let public = key == DEV_KEY.0 || secret == DEV_KEY.1;
        ensure!(
            config.dev || !public,
            "api key {key:?} is the one of development mode, which everybody knows: use another, or --dev"
        );
        if secret.len() < GOOD_SECRET_BYTES && !config.dev {
            warnings.push(format!("the secret of api key {key:?} is shorter than {GOOD_SECRET_BYTES} bytes"));
        }
    }
    if config.dev {
        keys.insert(DEV_KEY.0.to_owned(), DEV_KEY.1.to_owned());
    }
    ensure!(
        !keys.is_empty(),
        "no api key: add one under [keys] in the configuration or as CONVENE_KEYS=name:secret, or try --dev"
    );
    Ok((keys, warnings))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::config::{Http, Keys, Media, Secret};

    fn with_keys(dev: bool, keys: &[(&str, &str)]) -> Config {
        let keys = keys.iter().map(|(key, secret)| ((*key).to_owned(), (*secret).to_owned())).collect();
        Config { dev, keys: Keys(keys), ..Config::default() }
    }

    #[test]
    fn ports_follow_the_base() {
        let media = Media { workers: 3, ..Media::default() };
        let settings = Settings::of(&Config { port_base: 9000, media, ..with_keys(true, &[]) }).unwrap();
        assert_eq!((settings.http.port(), settings.chat.port(), settings.ops.port()), (9000, 9002, 9003));
        assert_eq!(settings.media_ports, [9010, 9011, 9012]);
        assert!(settings.ops.ip().is_loopback());
    }

    #[test]
    fn the_development_key_stays_in_development_and_what_is_doubtful_is_said() {
        let long = "0123456789abcdef0123456789abcdef";
        let behind = |trusted: &[&str]| {
            let trusted_proxies = trusted.iter().map(ToString::to_string).collect();
            let http = Http { bind: Ipv6Addr::LOCALHOST.into(), trusted_proxies, ..Http::default() };
            Config { http, ..with_keys(false, &[("k", long)]) }
        };
        let rows: [(Config, Result<usize, &str>); 8] = [
            (behind(&[]), Ok(1)),
            (behind(&["::1"]), Ok(0)),
            (with_keys(true, &[]), Ok(0)),
            (with_keys(false, &[]), Err("no api key")),
            (with_keys(false, &[("devkey", long)]), Err("development mode")),
            (with_keys(false, &[("k", "secret")]), Err("development mode")),
            (with_keys(false, &[("k", "short")]), Ok(1)),
            (with_keys(false, &[("k", long)]), Ok(0)),
        ];
        for (config, want) in rows {
            match (Settings::of(&config), want) {
                (Ok(settings), Ok(warnings)) => assert_eq!(settings.warnings.len(), warnings, "{config:?}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{config:?}: {error}"),
                (got, want) => panic!("{config:?}: {got:?}, wanted {want:?}"),
            }
        }
        let settings = Settings::of(&with_keys(true, &[("k", long)])).unwrap();
        assert_eq!(settings.keys.0.len(), 2);
        assert!(!format!("{settings:?}").contains(long));
        let im = Im { s3_secret: Some(Secret(long.into())), ..Im::default() };
        assert!(!format!("{im:?}").contains(long));
    }

    #[test]
    fn refuses_what_cannot_work() {
        let media = |media: Media| Config { media, ..with_keys(true, &[]) };
        let rows = [
            (Config { port_base: 65530, ..with_keys(true, &[]) }, "65530"),
            (media(Media { workers: 257, ..Media::default() }), "256"),
            (media(Media { workers: 2, first_port: Some(65535), ..Media::default() }), "65535"),
            (media(Media { node_ip: vec![IpAddr::from([0, 0, 0, 0])], ..Media::default() }), "0.0.0.0"),
            (media(Media { node_ip: vec![Ipv6Addr::LOCALHOST.into()], ..Media::default() }), "media.bind"),
            (
                Config { turn: Turn { urls: vec!["stun:x".into()], ..Turn::default() }, ..with_keys(true, &[]) },
                "stun:x",
            ),
            (
                Config { turn: Turn { urls: vec!["turn:x".into()], ..Turn::default() }, ..with_keys(true, &[]) },
                "turn.secret",
            ),
            (Config { http: Http { port: Some(7883), ..Http::default() }, ..with_keys(true, &[]) }, "7883"),
            (Config { im: Im { max_members: 0, ..Im::default() }, ..with_keys(true, &[]) }, "max_members"),
            (
                Config { im: Im { certificate: Some("a".into()), ..Im::default() }, ..with_keys(true, &[]) },
                "im.certificate_key",
            ),
            (
                Config { http: Http { certificate_key: Some("a".into()), ..Http::default() }, ..with_keys(true, &[]) },
                "http.certificate_key",
            ),
            (
                Config { im: Im { s3_bucket: Some("b".into()), ..Im::default() }, ..with_keys(true, &[]) },
                "im.s3_endpoint",
            ),
            (
                Config { accounts: Accounts { region: "China".into(), ..Accounts::default() }, ..with_keys(true, &[]) },
                "accounts.region",
            ),
            (Config { rooms: Rooms { max_tracks: 0, ..Rooms::default() }, ..with_keys(true, &[]) }, "max_tracks"),
        ];
        for (config, word) in rows {
            let message = format!("{:#}", Settings::of(&config).unwrap_err());
            assert!(message.contains(word), "{message:?} lacks {word:?}");
        }
    }
}
