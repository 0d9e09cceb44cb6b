//! The server under test: the release binary, a process of its own, on one core.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use crate::cpu;
use crate::target::Process;

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    base: u16,
}

impl Server {
    /// Starts `convene serve --dev` for calls, all of it on `core`. `settings`: see [`Server::start_in`].
    pub fn start(binary: &Path, base: u16, core: usize, ip: IpAddr, settings: &[(&str, &str)]) -> Result<Self> {
        let data_dir = std::env::temp_dir().join(format!("convene-bench-{base}"));
        let _ = std::fs::remove_dir_all(&data_dir); // of an earlier run, perhaps of another release; there may be none
        let ip = ip.to_string();
        let settings: Vec<_> = [("CONVENE_MEDIA_NODE_IP", &*ip)].iter().chain(settings).copied().collect();
        Self::start_in(binary, base, Some(core), &data_dir, &settings)
    }

    /// Where everything is unless a tool says otherwise.
    pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// The same with a data directory and further settings, as `CONVENE_*` variables. Without a core it has those that
    /// the calling thread has.
    pub fn start_in(
        binary: &Path,
        base: u16,
        core: Option<usize>,
        data_dir: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(binary);
        command
            .args(["serve", "--dev", "--port-base", &base.to_string()])
            .args(["--data-dir", &data_dir.to_string_lossy()])
            .env("CONVENE_LOG_FILTER", "warn")
            .env("CONVENE_MEDIA_WORKERS", "1")
            .env("CONVENE_MEDIA_NODE_IP", Self::LOOPBACK.to_string())
            .envs(settings.iter().copied())
            .stdout(Stdio::null());
        let child = match core {
            Some(core) => cpu::spawn_on(core, &mut command),
            None => command.spawn(),
        };
        let child = child.with_context(|| format!("starting {}", binary.display()))?;
        let mut server = Self { child, base };
        server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            // Before asking: another server on the same ports would answer.
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at its start ({status}): are ports from {} on taken? --port-base", self.base);
            }
            if ureq::get(format!("http://127.0.0.1:{}/readyz", self.base + 3)).call().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the server is not ready after 20 s")
    }
}

impl Process for Server {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn http(&self) -> Http {
        Http::at(self.base)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// Negotiates with a server; its clones share connections.
#[derive(Clone, Debug)]
pub struct Http {
    base: u16,
    agent: ureq::Agent,
}

impl Http {
    /// On a port of the loopback.
    #[must_use]
    pub fn at(base: u16) -> Self {
        Self { base, agent: ureq::Agent::new_with_defaults() }
    }

    /// Posts an SDP offer to `/whip/{room}` or `/whep/{room}`; returns the answer.
    pub fn negotiate(&self, path: &str, room: &str, identity: &str, offer: &str) -> Result<String> {
        let request = self
            .agent
            .post(format!("http://127.0.0.1:{}/{path}/{room}", self.base))
            .header("Content-Type", "application/sdp")
            .header("Authorization", &format!("Bearer {}", token(identity, room)?));
        let mut reply = request.send(offer).with_context(|| format!("{path} as {identity}"))?;
        reply.body_mut().read_to_string().context("reading the answer")
    }
}

/// A room token of the development key.
fn token(identity: &str, room: &str) -> Result<String> {
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() + 3_600;
    let claims =
        json!({ "iss": "devkey", "sub": identity, "exp": expires, "video": { "roomJoin": true, "room": room } });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(b"secret")).context("minting a token")
}
