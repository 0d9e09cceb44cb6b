//! Janus' VideoRoom over its HTTP API, as a target: what Debian installs, in its fair mode (`event_loops`).

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, Media};
use crate::cpu;
use crate::target::{Joining, Measured, Target};
use crate::udp::Udp;

const PLUGIN: &str = "janus.plugin.videoroom";
const ROOM: u64 = 1234;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running Janus with one room; ended when dropped.
pub struct Janus {
    child: Child,
    /// Its configuration; goes with it.
    _folder: TempDir,
    agent: ureq::Agent,
    session: String,
    transactions: u64,
    /// The publisher that subscribers get.
    feed: Option<u64>,
    /// Events that came while another was waited for.
    events: Vec<Value>,
}

impl Janus {
    /// Starts Janus on one core, with media at `ip`, which may not be the loopback, and its API on the loopback.
    pub fn start(ip: IpAddr, core: usize) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        configure(folder.path(), ip)?;
        let mut command = Command::new("janus");
        command
            .arg(format!("--configs-folder={}", folder.path().display()))
            .args(["--debug-level=1", "--disable-colors"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = cpu::spawn_on(core, &mut command).context("starting janus")?;
        let mut janus = Self {
            child,
            _folder: folder,
            agent: ureq::Agent::new_with_defaults(),
            session: "http://127.0.0.1:8088/janus".to_owned(),
            transactions: 0,
            feed: None,
            events: Vec::new(),
        };
        let session = janus.create_session()?;
        janus.session = format!("{}/{session}", janus.session);
        let admin = janus.attach()?;
        janus.message(
            &admin,
            json!({ "request": "create", "room": ROOM, "publishers": 10, "videocodec": "vp8" }),
            None,
        )?;
        Ok(janus)
    }

    fn create_session(&mut self) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.post("", json!({ "janus": "create" })) {
                Ok(reply) => return reply.pointer("/data/id").and_then(Value::as_u64).context("no session"),
                Err(error) if Instant::now() > deadline => return Err(error.context("janus is not up")),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// A new handle of the plugin.
    fn attach(&mut self) -> Result<String> {
        let reply = self.post("", json!({ "janus": "attach", "plugin": PLUGIN }))?;
        let id = reply.pointer("/data/id").and_then(Value::as_u64).context("no handle")?;
        Ok(format!("/{id}"))
    }

    /// Sends a message to the plugin; its answer, at once or as an event.
    fn message(&mut self, handle: &str, body: Value, jsep: Option<Value>) -> Result<Value> {
        let mut message = json!({ "janus": "message", "body": body });
        if let (Some(fields), Some(jsep)) = (message.as_object_mut(), jsep) {
            fields.insert("jsep".to_owned(), jsep);
        }
        let reply = self.post(handle, message)?;
        if reply.get("janus").and_then(Value::as_str) == Some("success") {
            return Ok(reply);
        }
        let transaction = reply.get("transaction").cloned().context("no transaction")?;
        self.event(&transaction)
    }

    fn event(&mut self, transaction: &Value) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mine = |event: &Value| event.get("transaction") == Some(transaction);
            if let Some(index) = self.events.iter().position(mine) {
                let event = self.events.swap_remove(index);
                ensure!(event.pointer("/plugindata/data/error").is_none(), "janus refused: {event}");
                return Ok(event);
            }
            ensure!(Instant::now() < deadline, "janus did not answer {transaction}");
            self.events.clear(); // of transactions that nobody waits for
            let mut reply = self.agent.get(format!("{}?maxev=20", self.session)).call()?;
            let event: Value = serde_json::from_str(&reply.body_mut().read_to_string()?)?;
            match event.as_array() {
                Some(events) => self.events.extend_from_slice(events),
                None => self.events.push(event),
            }
        }
    }

    fn post(&mut self, path: &str, mut request: Value) -> Result<Value> {
        self.transactions += 1;
        if let Some(fields) = request.as_object_mut() {
            fields.insert("transaction".to_owned(), json!(format!("t{}", self.transactions)));
        }
        let mut reply = self.agent.post(format!("{}{path}", self.session)).send(request.to_string())?;
        let reply: Value = serde_json::from_str(&reply.body_mut().read_to_string()?)?;
        if reply.get("janus").and_then(Value::as_str) == Some("error") {
            bail!("janus refused {request}: {reply}");
        }
        Ok(reply)
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

impl Measured for Janus {
    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Target for Janus {
    fn publish(&mut self, client: &mut Client, _room: &str, name: &str) -> Result<()> {
        let handle = self.attach()?;
        let join = json!({ "request": "join", "ptype": "publisher", "room": ROOM, "display": name });
        let joined = self.message(&handle, join, None)?;
        self.feed = joined.pointer("/plugindata/data/id").and_then(Value::as_u64);
        let offer = json!({ "type": "offer", "sdp": client.offer()? });
        // No bitrate limit, or Janus would tell the publisher to slow down.
        let published = self.message(&handle, json!({ "request": "publish", "bitrate": 0 }), Some(offer))?;
        client.accept(sdp(&published)?)
    }

    fn subscribe(&mut self, udp: Udp, _room: &str, _name: &str, (media, streams): (Media, usize)) -> Result<Joining> {
        ensure!(streams == 1, "one stream a subscriber");
        let feed = self.feed.context("nobody publishes")?;
        let handle = self.attach()?;
        let join = json!({ "request": "join", "ptype": "subscriber", "room": ROOM, "streams": [{ "feed": feed }] });
        // A publisher becomes a feed a moment after its client is connected.
        let deadline = Instant::now() + PATIENCE;
        let offered = loop {
            match self.message(&handle, join.clone(), None) {
                Ok(offered) => break offered,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        let mut client = Client::answerer(udp, media)?;
        let answer = json!({ "type": "answer", "sdp": client.answer(sdp(&offered)?)? });
        self.message(&handle, json!({ "request": "start" }), Some(answer))?;
        Ok(Joining { client, answer: None })
    }
}

fn sdp(event: &Value) -> Result<String> {
    event.pointer("/jsep/sdp").and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no SDP in {event}"))
}

fn configure(folder: &Path, ip: IpAddr) -> Result<()> {
    let write =
        |name: &str, text: String| fs::write(folder.join(name), text).with_context(|| format!("writing {name}"));
    write(
        "janus.jcfg",
        format!(
            "general: {{ event_loops = 1, session_timeout = 0, interface = \"{ip}\", token_auth = false }}\n\
             nat: {{ ice_enforce_list = \"{ip}\", ignore_mdns = true }}\n\
             media: {{ }}\n\
             plugins: {{ disable = \"libjanus_audiobridge.so,libjanus_echotest.so,libjanus_nosip.so,libjanus_recordplay.so,\
             libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so\" }}\n"
        ),
    )?;
    write("janus.transport.http.jcfg", "general: { http = true, port = 8088, ip = \"127.0.0.1\" }\n".to_owned())?;
    write("janus.plugin.videoroom.jcfg", "general: { }\n".to_owned())
}
