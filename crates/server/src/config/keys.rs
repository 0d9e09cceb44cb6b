//! The table of configuration keys: documentation, variable names, and the nearest known name for a misspelt one.

use toml::{Table, Value};

/// One thing that can be set.
pub(super) struct Key {
    /// As in the file, sections separated by a dot.
    pub(super) path: &'static str,
    /// How the text of a variable is read.
    pub(super) kind: Kind,
    /// What it does. Ends up in `configs/reference.toml`.
    pub(super) doc: &'static str,
    /// Shown commented out where the default is not a value but a rule.
    pub(super) example: Option<&'static str>,
}

/// How the text of a variable becomes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Integer,
    Text,
    /// Separated by commas.
    List,
    /// `name:value`, separated by commas.
    Map,
}

/// Every key, in the order of the reference file: those without a section first, sections together.
pub(super) const KEYS: &[Key] = &[
    Key {
        path: "dev",
        kind: Kind::Bool,
        doc: "Development mode: adds the API key `devkey` with secret `secret`, serves /dev/token and /dev/chat-token (tokens\n\
              for anybody who asks), takes chat tokens made with API keys, writes codes to the log where [sms] names nobody,\n\
              lets webhooks go to this network, and offers loopback addresses for media. Never on a machine that others reach.",
        example: None,
    },
    Key {
        path: "port_base",
        kind: Kind::Integer,
        doc: "Moves every port: HTTP at N, chat at N+2, ops at N+3, media worker i at N+10+i, media over\n\
              TCP at N+1.",
        example: None,
    },
    Key {
        path: "data_dir",
        kind: Kind::Text,
        doc: "Where durable state lives: chat.db with accounts, organisations, what was said and who called, blobs with files,\n\
              voice messages and pictures of people, uploads with those that are on their way, accounts.key. One server at a\n\
              time uses it.",
        example: None,
    },
    Key {
        path: "keys",
        kind: Kind::Map,
        doc: "API keys and their secrets: who may mint room tokens and use the server API; in development mode chat tokens, too.\n\
              Give secrets of 32 or more random characters. As a variable: CONVENE_KEYS=\"name:secret,other:secret\".",
        example: Some("my-backend = \"a long random secret\""),
    },
    Key {
        path: "http.bind",
        kind: Kind::Text,
        doc: "Address of the HTTP port: web client, signaling, Twirp, WHIP and WHEP. Browsers give camera and microphone\n\
              to https or localhost only: give it a certificate, or put a TLS proxy in front.",
        example: None,
    },
    Key { path: "http.port", kind: Kind::Integer, doc: "Default: port_base.", example: Some("port = 7880") },
    Key {
        path: "http.certificate",
        kind: Kind::Text,
        doc: "Certificate of the HTTP port and those that lead to its root, a PEM file. The port speaks https with it, and\n\
              nothing else. Read again when it changes.",
        example: Some("certificate = \"/etc/convene/chain.pem\""),
    },
    Key {
        path: "http.certificate_key",
        kind: Kind::Text,
        doc: "Its private key, a PEM file.",
        example: Some("certificate_key = \"/etc/convene/key.pem\""),
    },
    Key {
        path: "http.trusted_proxies",
        kind: Kind::List,
        doc: "Addresses or networks of proxies in front, e.g. \"127.0.0.1\" or \"10.0.0.0/8\". What they say in X-Forwarded-For is\n\
              who asks: limits and the access log go by it. From anybody else the header means nothing.",
        example: None,
    },
    Key {
        path: "media.bind",
        kind: Kind::Text,
        doc: "Address of the media workers' UDP sockets. `::` takes IPv4 and IPv6.",
        example: None,
    },
    Key {
        path: "media.first_port",
        kind: Kind::Integer,
        doc: "UDP port of the first worker; the others follow. Default: port_base + 10.",
        example: Some("first_port = 7890"),
    },
    Key {
        path: "media.workers",
        kind: Kind::Integer,
        doc: "Media worker threads, each pinned to a core with a UDP port of its own. 0: one a core.",
        example: None,
    },
    Key {
        path: "media.node_ip",
        kind: Kind::List,
        doc: "Addresses that clients are told to send media to. Empty: media.bind, or where that takes every address,\n\
              those of all network interfaces but loopback. Behind NAT, set the public address.",
        example: None,
    },
    Key {
        path: "media.loudest",
        kind: Kind::Integer,
        doc: "Audio tracks of a room that go out at most: the loudest, which stay chosen over pauses. 0: all. Tracks\n\
              without a level (RFC 6464) always go out. For rooms of dozens; 8 is plenty.",
        example: None,
    },
    Key {
        path: "media.tcp_port",
        kind: Kind::Integer,
        doc: "TCP port for clients whose network lets no UDP through (ICE over TCP). All workers share it. 0: none.\n\
              Default: port_base + 1.",
        example: Some("tcp_port = 7881"),
    },
    Key {
        path: "media.spread",
        kind: Kind::Bool,
        doc: "true: each room uses all workers from its first participant on. false: a room begins on one worker and goes on\n\
              to others when that has no time left, which costs less.",
        example: None,
    },
    Key {
        path: "media.max_load",
        kind: Kind::Integer,
        doc: "Per cent of its time from which a media worker gets no new room. When all are there, joining a room that is not\n\
              open is refused with node_overloaded.",
        example: None,
    },
    Key {
        path: "turn.urls",
        kind: Kind::List,
        doc: "TURN servers that clients are told of, for networks that let neither through: turn: and turns: addresses.\n\
              configs/coturn.conf is an example of one.",
        example: Some("urls = [\"turn:turn.example.org:3478\", \"turns:turn.example.org:443?transport=tcp\"]"),
    },
    Key {
        path: "turn.secret",
        kind: Kind::Text,
        doc: "The secret that this server and the TURN server share (static-auth-secret of coturn).",
        example: None,
    },
    Key {
        path: "turn.ttl_s",
        kind: Kind::Integer,
        doc: "Seconds for which credentials are good. They are handed out with each join.",
        example: None,
    },
    Key {
        path: "rooms.auto_create",
        kind: Kind::Bool,
        doc: "Whether joining a room that is not open makes it. false: only RoomService.CreateRoom does, tokens with\n\
              roomCreate, and calls and meeting rooms of accounts.",
        example: None,
    },
    Key {
        path: "rooms.empty_timeout_s",
        kind: Kind::Integer,
        doc: "Seconds a room waits for its first participant.",
        example: None,
    },
    Key {
        path: "rooms.departure_timeout_s",
        kind: Kind::Integer,
        doc: "Seconds a room stays after the last participant has left.",
        example: None,
    },
    Key { path: "rooms.max_rooms", kind: Kind::Integer, doc: "Most open rooms of this server.", example: None },
    Key {
        path: "rooms.max_participants",
        kind: Kind::Integer,
        doc: "Most participants of a room, whatever its maker asks for. A media worker takes 4,000 connections of one room, and\n\
              SDKs in the two-connection mode have two each: with few workers that is less.",
        example: None,
    },
    Key {
        path: "rooms.max_tracks",
        kind: Kind::Integer,
        doc: "Most tracks of a participant, announced and published together. More than 64 changes nothing: media workers take\n\
              no more of anybody's.",
        example: None,
    },
    Key {
        path: "im.bind",
        kind: Kind::Text,
        doc: "Address of the chat port (UDP): QUIC and WebTransport. `::` takes IPv4 and IPv6.",
        example: None,
    },
    Key { path: "im.port", kind: Kind::Integer, doc: "Default: port_base + 2.", example: Some("port = 7882") },
    Key {
        path: "im.certificate",
        kind: Kind::Text,
        doc: "Certificate of the chat port and those that lead to its root, a PEM file. Read again when it changes.\n\
              Default: the server makes its own, replaces it every six days and tells clients its hash at /im/info.",
        example: Some("certificate = \"/etc/convene/chain.pem\""),
    },
    Key {
        path: "im.certificate_key",
        kind: Kind::Text,
        doc: "Its private key, a PEM file.",
        example: Some("certificate_key = \"/etc/convene/key.pem\""),
    },
    Key {
        path: "im.max_sessions",
        kind: Kind::Integer,
        doc: "Most chat sessions: one per device that is online. An idle one takes about 40 KiB.",
        example: None,
    },
    Key { path: "im.max_members", kind: Kind::Integer, doc: "Most members of a group.", example: None },
    Key { path: "im.max_blob_mib", kind: Kind::Integer, doc: "Largest file, in MiB.", example: None },
    Key {
        path: "im.max_voice_s",
        kind: Kind::Integer,
        doc: "Longest voice message, in seconds. Ten minutes take a second of a core to decode.",
        example: None,
    },
    Key {
        path: "im.edit_window_s",
        kind: Kind::Integer,
        doc: "Seconds in which a sender may edit a message.",
        example: None,
    },
    Key {
        path: "im.recall_window_s",
        kind: Kind::Integer,
        doc: "Seconds in which a sender may recall a message. Admins of a group always may.",
        example: None,
    },
    Key {
        path: "im.device_sends_per_s",
        kind: Kind::Integer,
        doc: "Messages a second of one device, on average; bursts of ten times as many pass. 0: any.",
        example: None,
    },
    Key {
        path: "im.conversation_sends_per_s",
        kind: Kind::Integer,
        doc: "Messages a second into one conversation, on average; bursts of twice as many pass. 0: any.",
        example: None,
    },
    Key {
        path: "im.device_requests_per_s",
        kind: Kind::Integer,
        doc: "Other requests a second of one device, on average; bursts of ten times as many pass. 0: any.",
        example: None,
    },
    Key {
        path: "im.push_members",
        kind: Kind::Integer,
        doc: "Groups with more members are not sent every message: devices are told of the newest, and fetch what they show.",
        example: None,
    },
    Key {
        path: "im.push_deliveries_per_s",
        kind: Kind::Integer,
        doc: "The same for groups whose messages times their devices online exceed this, for as long as they do.",
        example: None,
    },
    Key {
        path: "im.idle_timeout_s",
        kind: Kind::Integer,
        doc: "Seconds after which a silent device counts as gone. Clients make themselves heard every 30 s or so.",
        example: None,
    },
    Key {
        path: "im.s3_endpoint",
        kind: Kind::Text,
        doc: "Address of an S3-compatible service that keeps files and voice messages, instead of the folder blobs in data_dir.\n\
              What is in the one is not looked for in the other.",
        example: Some("s3_endpoint = \"https://s3.example.org\""),
    },
    Key { path: "im.s3_region", kind: Kind::Text, doc: "Its region.", example: None },
    Key {
        path: "im.s3_bucket",
        kind: Kind::Text,
        doc: "The bucket. It has to be there.",
        example: Some("s3_bucket = \"convene\""),
    },
    Key {
        path: "im.s3_key_id",
        kind: Kind::Text,
        doc: "Access key: may read, write and delete objects of the bucket.",
        example: Some("s3_key_id = \"convene\""),
    },
    Key {
        path: "im.s3_secret",
        kind: Kind::Text,
        doc: "Its secret.",
        example: Some("s3_secret = \"a long random secret\""),
    },
    Key {
        path: "accounts.secret_file",
        kind: Kind::Text,
        doc: "File with the secret of accounts, 64 hex digits: what phone numbers are sealed with and tokens signed. Without\n\
              it no number can be read: back it up, apart from the database. Default: accounts.key in data_dir, made at the\n\
              first start.",
        example: Some("secret_file = \"/etc/convene/accounts.key\""),
    },
    Key {
        path: "accounts.region",
        kind: Kind::Text,
        doc: "Country (ISO 3166-1 alpha-2, such as CN) in which numbers without country code are dialled. Empty: people have\n\
              to write the country code.",
        example: None,
    },
    Key {
        path: "accounts.policy_version",
        kind: Kind::Text,
        doc: "Version of the policy of use: when it changes, people are asked to agree again.",
        example: None,
    },
    Key {
        path: "accounts.access_log_days",
        kind: Kind::Integer,
        doc: "Days for which requests to /v1 stay in the access log: who, when, from where, with what, and how it was answered.\n\
              0: there is none.",
        example: None,
    },
    Key {
        path: "sms.order",
        kind: Kind::List,
        doc: "Who brings codes to phones: webhook, aliyun, tencent, in the order in which they are asked. One that fails rests\n\
              for a while and is asked behind the others. Empty: with `dev` codes are written to the log, without it they are refused.",
        example: None,
    },
    Key {
        path: "sms.webhook_url",
        kind: Kind::Text,
        doc: "An endpoint of your own. It is sent {\"phone\", \"code\", \"purpose\", \"minutes\"} as JSON, signed as standardwebhooks.com\n\
              says, and answers 2xx, or 422 for a number that cannot be written to, or 429.",
        example: None,
    },
    Key {
        path: "sms.webhook_secret",
        kind: Kind::Text,
        doc: "What those requests are signed with: whsec_ and 24 to 64 random bytes in Base64.",
        example: Some("webhook_secret = \"whsec_...\""),
    },
    Key {
        path: "sms.webhook_secret_file",
        kind: Kind::Text,
        doc: "A file with it, instead.",
        example: Some("webhook_secret_file = \"/etc/convene/sms-webhook\""),
    },
    Key {
        path: "sms.aliyun_endpoint",
        kind: Kind::Text,
        doc: "Host of Alibaba Cloud's SMS service (SendSms of version 2017-05-25).",
        example: None,
    },
    Key { path: "sms.aliyun_key_id", kind: Kind::Text, doc: "AccessKey id.", example: None },
    Key {
        path: "sms.aliyun_key_secret",
        kind: Kind::Text,
        doc: "AccessKey secret.",
        example: Some("aliyun_key_secret = \"...\""),
    },
    Key {
        path: "sms.aliyun_key_secret_file",
        kind: Kind::Text,
        doc: "A file with it, instead.",
        example: Some("aliyun_key_secret_file = \"/etc/convene/aliyun\""),
    },
    Key {
        path: "sms.aliyun_sign_name",
        kind: Kind::Text,
        doc: "Signature before the text, as approved.",
        example: None,
    },
    Key { path: "sms.aliyun_template", kind: Kind::Text, doc: "Template, as SMS_123456789.", example: None },
    Key {
        path: "sms.aliyun_code_parameter",
        kind: Kind::Text,
        doc: "The template's name for the code.",
        example: None,
    },
    Key {
        path: "sms.tencent_endpoint",
        kind: Kind::Text,
        doc: "Host of Tencent Cloud's SMS service (SendSms of version 2021-01-11).",
        example: None,
    },
    Key { path: "sms.tencent_region", kind: Kind::Text, doc: "Region of the service.", example: None },
    Key { path: "sms.tencent_secret_id", kind: Kind::Text, doc: "SecretId.", example: None },
    Key {
        path: "sms.tencent_secret_key",
        kind: Kind::Text,
        doc: "SecretKey.",
        example: Some("tencent_secret_key = \"...\""),
    },
    Key {
        path: "sms.tencent_secret_key_file",
        kind: Kind::Text,
        doc: "A file with it, instead.",
        example: Some("tencent_secret_key_file = \"/etc/convene/tencent\""),
    },
    Key { path: "sms.tencent_app_id", kind: Kind::Text, doc: "Number of the SMS application.", example: None },
    Key {
        path: "sms.tencent_sign_name",
        kind: Kind::Text,
        doc: "Signature before the text, as approved; empty outside of the mainland.",
        example: None,
    },
    Key {
        path: "sms.tencent_template",
        kind: Kind::Text,
        doc: "Number of the template: its first parameter is the code.",
        example: None,
    },
    Key {
        path: "sms.tencent_with_minutes",
        kind: Kind::Bool,
        doc: "Whether the template has a second parameter: the minutes for which the code is good.",
        example: None,
    },
    Key {
        path: "webhooks.urls",
        kind: Kind::List,
        doc: "Addresses that are told of all rooms, in LiveKit's format and signed as its webhooks are. Organisations have their own.\n\
              Each gets events in order, again until it answers 2xx, for a day.",
        example: None,
    },
    Key {
        path: "webhooks.key",
        kind: Kind::Text,
        doc: "API key that signs them: one of [keys]. In development: devkey.",
        example: None,
    },
    Key {
        path: "webhooks.allow_private",
        kind: Kind::Bool,
        doc: "Whether organisations may name addresses on this machine and its network, and without TLS. Development does.",
        example: None,
    },
    Key {
        path: "ops.bind",
        kind: Kind::Text,
        doc: "Address of the operators' port: /metrics, /healthz, /readyz. It asks for no password.",
        example: None,
    },
    Key { path: "ops.port", kind: Kind::Integer, doc: "Default: port_base + 3.", example: Some("port = 7883") },
    Key {
        path: "log.filter",
        kind: Kind::Text,
        doc: "Which events are logged: off, error, warn, info, debug, trace, also by module: \"info,convene_sfu=debug\".",
        example: None,
    },
    Key { path: "log.format", kind: Kind::Text, doc: "\"text\" for people, \"json\" for machines.", example: None },
];

/// Variables that begin like this belong to tests that start the server; it does not look at them.
const RESERVED_PREFIX: &str = "CONVENE_TEST_";
/// Of programs beside the server: `convene chat`, and those of `docs/embedding.md`.
const OF_CLIENTS: [&str; 4] = ["CONVENE_CHAT_TOKEN", "CONVENE_URL", "CONVENE_API_KEY", "CONVENE_API_SECRET"];
/// Says which file to read, like `--config`.
pub(super) const CONFIG_VARIABLE: &str = "CONVENE_CONFIG";

impl Key {
    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("CONVENE_{}", self.path.replace('.', "_").to_uppercase())
    }

    /// Reads a variable's text.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            Kind::Text => Ok(Value::String(text.to_owned())),
            Kind::Integer => {
                text.trim().parse().map(Value::Integer).map_err(|_| format!("expected a whole number, got {text:?}"))
            }
            Kind::Bool => match text.trim() {
                "1" | "true" => Ok(Value::Boolean(true)),
                "0" | "false" | "" => Ok(Value::Boolean(false)),
                other => Err(format!("expected true or false, got {other:?}")),
            },
            Kind::List => Ok(Value::Array(items(text).map(|item| Value::String(item.to_owned())).collect())),
            Kind::Map => items(text).map(pair).collect::<Result<Table, _>>().map(Value::Table),
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn pair(item: &str) -> Result<(String, Value), String> {
    // The text may hold a secret, so the message does not repeat it.
    let (name, value) = item.split_once(':').ok_or("expected name:value pairs, separated by commas")?;
    Ok((name.trim().to_owned(), Value::String(value.trim().to_owned())))
}

/// The first key of a file that nobody knows.
pub(super) fn unknown_in(table: &Table) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        if KEYS.iter().any(|key| key.path == name) {
            return None;
        }
        let section = format!("{name}.");
        let (true, Value::Table(inner)) = (KEYS.iter().any(|key| key.path.starts_with(&section)), value) else {
            return Some(name.clone());
        };
        let unknown = inner.keys().find(|leaf| !KEYS.iter().any(|key| key.path == format!("{section}{leaf}")));
        unknown.map(|leaf| format!("{section}{leaf}"))
    })
}

/// The known key most like this one.
pub(super) fn nearest_key(unknown: &str) -> &'static str {
    let leaf = |path: &'static str| path.rsplit('.').next().unwrap_or(path);
    let sections = KEYS.iter().filter_map(|key| key.path.split_once('.')).map(|(section, _)| section);
    let whole = KEYS.iter().map(|key| key.path).chain(sections).map(|path| (strsim::levenshtein(unknown, path), path));
    // A right name in the wrong section is one step away from its place.
    let tail = unknown.rsplit('.').next().unwrap_or(unknown);
    let moved = KEYS.iter().map(|key| (strsim::levenshtein(tail, leaf(key.path)) + 1, key.path));
    whole.chain(moved).min_by_key(|(distance, _)| *distance).map_or("", |(_, path)| path)
}

/// The first `CONVENE_*` variable that nobody knows.
pub(super) fn unknown_variable(variables: &[(String, String)]) -> Option<&str> {
    let known = |name: &str| name == CONFIG_VARIABLE || KEYS.iter().any(|key| key.variable() == name);
    let mine = variables.iter().filter(|(name, _)| name.starts_with("CONVENE_") && !name.starts_with(RESERVED_PREFIX));
    let mut mine = mine.map(|(name, value)| (name.as_str(), value.as_str()));
    mine.find(|(name, value)| !known(name) && !is_of_others(name, value)).map(|(name, _)| name)
}

/// Variables that are there for somebody else: clients, or a service of which Kubernetes tells everybody beside it. One of the
/// name `convene` has `CONVENE_SERVICE_HOST`, `CONVENE_PORT`, `CONVENE_PORT_7880_TCP_ADDR`; `convene-media` puts `MEDIA_` in.
fn is_of_others(name: &str, value: &str) -> bool {
    OF_CLIENTS.contains(&name) || name == "CONVENE_PORT" || is_link(name, value) || is_of_a_service(name)
}

/// Whether this is where a service is, by the name that sets a port of ours: `convene-http` has `CONVENE_HTTP_PORT`.
pub(super) fn is_link(name: &str, value: &str) -> bool {
    name.ends_with("_PORT") && ["tcp://", "udp://"].iter().any(|scheme| value.starts_with(scheme))
}

fn is_of_a_service(name: &str) -> bool {
    let is_port = |rest: &str| {
        let (port, protocol) = rest.split_once('_').unwrap_or_default();
        port.parse::<u16>().is_ok() && (protocol.starts_with("TCP") || protocol.starts_with("UDP"))
    };
    let mut after_port = name.match_indices("_PORT_").filter_map(|(at, word)| name.get(at + word.len()..));
    name.starts_with("CONVENE_SERVICE_")
        || name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || after_port.any(is_port)
}

/// The known variable most like this one.
pub(super) fn nearest_variable(unknown: &str) -> String {
    let whole = KEYS.iter().map(|key| (strsim::levenshtein(unknown, &key.variable()), key.variable()));
    // A right name without its section is one step away from its place.
    let leaf = |key: &Key| format!("CONVENE_{}", key.path.rsplit('.').next().unwrap_or(key.path).to_uppercase());
    let moved = KEYS.iter().map(|key| (strsim::levenshtein(unknown, &leaf(key)) + 1, key.variable()));
    let file = (strsim::levenshtein(unknown, CONFIG_VARIABLE), CONFIG_VARIABLE.to_owned());
    whole.chain(moved).chain([file]).min_by_key(|(distance, _)| *distance).map(|(_, name)| name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_table_lists_what_the_struct_has() {
        let Value::Table(defaults) = Value::try_from(Config::default()).unwrap() else { panic!("a table") };
        assert_eq!(unknown_in(&defaults), None, "a field without an entry in KEYS");
        for key in KEYS {
            let (section, leaf) = key.path.split_once('.').unwrap_or(("", key.path));
            let table = if section.is_empty() { &defaults } else { defaults[section].as_table().unwrap() };
            assert!(table.contains_key(leaf) || key.example.is_some(), "{} is no field", key.path);
        }
    }

    #[test]
    fn names_the_nearest_known_key() {
        let rows = [
            ("prot_base", "port_base"),
            ("htttp", "http"),
            ("http.prot", "http.port"),
            ("media.worker", "media.workers"),
            ("log.fromat", "log.format"),
            ("node_ip", "media.node_ip"),
            ("http.node_ip", "media.node_ip"),
            ("api_keys", "keys"),
        ];
        for (unknown, want) in rows {
            assert_eq!(nearest_key(unknown), want, "{unknown}");
        }
        assert_eq!(nearest_variable("CONVENE_PORTBASE"), "CONVENE_PORT_BASE");
        assert_eq!(nearest_variable("CONVENE_NODE_IP"), "CONVENE_MEDIA_NODE_IP");
    }

    #[test]
    fn finds_the_unknown_one() {
        let rows = [
            ("port_base = 1\n[http]\nport = 2", None),
            ("[keys]\nanything = \"goes\"", None),
            ("prot = 1", Some("prot")),
            ("[http]\nprot = 2", Some("http.prot")),
            ("http = 7", Some("http")),
            ("[htp]\nport = 2", Some("htp")),
        ];
        for (text, want) in rows {
            assert_eq!(unknown_in(&text.parse().unwrap()).as_deref(), want, "{text}");
        }
        let variables = |name: &str| vec![("PATH".to_owned(), String::new()), (name.to_owned(), String::new())];
        assert_eq!(unknown_variable(&variables("CONVENE_LOG_FILTER")), None);
        assert_eq!(unknown_variable(&variables("CONVENE_TEST_BINARY")), None);
        let of_others = [
            "CONVENE_CHAT_TOKEN",
            "CONVENE_URL",
            "CONVENE_SERVICE_HOST",
            "CONVENE_SERVICE_PORT_HTTP",
            "CONVENE_PORT",
            "CONVENE_PORT_7880_TCP",
            "CONVENE_PORT_7882_UDP_ADDR",
            "CONVENE_MEDIA_SERVICE_HOST",
            "CONVENE_WEB_APP_SERVICE_PORT",
            "CONVENE_MEDIA_SERVICE_PORT_RTP",
            "CONVENE_MEDIA_PORT_7890_UDP",
            "CONVENE_PORT_FORWARD_PORT_7890_TCP_PROTO",
        ];
        for name in of_others {
            assert_eq!(unknown_variable(&variables(name)), None, "{name}");
        }
        let link = |value: &str| vec![("CONVENE_MEDIA_PORT".to_owned(), value.to_owned())];
        assert_eq!(unknown_variable(&link("udp://10.0.0.7:7890")), None);
        assert_eq!(unknown_variable(&link("7890")), Some("CONVENE_MEDIA_PORT"));
        for name in ["CONVENE_MEDIA_SERVICE_HOSTS", "CONVENE_MEDIA_PORT_RTP", "CONVENE_MEDIA_PORT_7890"] {
            assert_eq!(unknown_variable(&variables(name)), Some(name));
        }
        assert_eq!(unknown_variable(&variables("CONVENE_PORT_BASS")), Some("CONVENE_PORT_BASS"));
        assert_eq!(unknown_variable(&variables("CONVENE_LOG")), Some("CONVENE_LOG"));
    }
}
