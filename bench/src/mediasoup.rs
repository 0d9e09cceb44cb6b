//! mediasoup's worker as a target: `bench/peers/mediasoup/server.mjs` puts WHIP and WHEP in front of it.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::cpu;
use crate::server::Http;
use crate::target::Process;

/// Where our script and what it needs are.
const FOLDER: &str = "bench/peers/mediasoup";
/// Its port for WHIP and WHEP, on the loopback.
const HTTP_PORT: u16 = 27_860;

/// A running mediasoup; ended when dropped, and its worker with it.
pub struct Mediasoup {
    node: Child,
    worker: u32,
}

impl Mediasoup {
    /// Whether there is a worker to run: npm fetched it, or the environment names one, as mediasoup has it.
    #[must_use]
    pub fn is_installed() -> bool {
        let fetched = Path::new(FOLDER).join("node_modules/mediasoup/worker/out/Release/mediasoup-worker");
        fetched.exists() || std::env::var_os("MEDIASOUP_WORKER_BIN").is_some_and(|path| Path::new(&path).exists())
    }

    /// Starts it on one core, with media at `ip`. Node, which asks the worker, is on the same core, and is not counted.
    pub fn start(ip: IpAddr, core: usize) -> Result<Self> {
        let mut command = Command::new("node");
        command
            .arg(Path::new(FOLDER).join("server.mjs"))
            .args([HTTP_PORT.to_string(), ip.to_string()])
            .stdout(Stdio::piped());
        let node = cpu::spawn_on(core, &mut command).context("starting node")?;
        let mut mediasoup = Self { node, worker: 0 };
        let mut line = String::new();
        BufReader::new(mediasoup.node.stdout.take().context("no output")?).read_line(&mut line)?;
        let worker = line.strip_prefix("ready ").and_then(|pid| pid.trim().parse().ok());
        mediasoup.worker = worker.with_context(|| format!("mediasoup did not start: {line:?}"))?;
        Ok(mediasoup)
    }
}

impl Process for Mediasoup {
    fn pid(&self) -> u32 {
        self.worker
    }

    fn http(&self) -> Http {
        Http::at(HTTP_PORT)
    }
}

impl Drop for Mediasoup {
    fn drop(&mut self) {
        let _ = self.node.kill(); // it may have ended already; the worker ends when nobody has the other end of its pipe
        let _ = self.node.wait();
    }
}
