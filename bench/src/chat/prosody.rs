//! Prosody as a process of its own, with a configuration made for the run: message archive (XEP-0313) on, in SQLite, no
//! federation, no TLS, two accounts.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cpu;

/// The one host it serves.
pub const HOST: &str = "localhost";
/// Of both accounts.
pub const PASSWORD: &str = "bench";
/// Who sends and who receives.
pub const USERS: [&str; 2] = ["ana", "ben"];

/// A running Prosody; ended when dropped.
pub struct Prosody {
    child: Child,
    directory: PathBuf,
    /// Where clients connect.
    pub address: SocketAddr,
}

impl Prosody {
    /// Starts it on `core` with everything it keeps under `directory`.
    pub fn start(directory: &Path, port: u16, core: usize) -> Result<Self> {
        let accounts = directory.join(HOST).join("accounts");
        fs::create_dir_all(&accounts).context("making Prosody's directories")?;
        for user in USERS {
            let account = format!("return {{ [\"password\"] = \"{PASSWORD}\"; }};\n");
            fs::write(accounts.join(format!("{user}.dat")), account).context("making an account")?;
        }
        let config = directory.join("prosody.cfg.lua");
        fs::write(&config, configuration(directory, port)).context("writing Prosody's configuration")?;
        let mut command = Command::new("prosody");
        command.arg("-F").arg("--config").arg(&config).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()); // what matters is in prosody.log
        let child = cpu::spawn_on(core, &mut command).context("starting prosody")?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut prosody = Self { child, directory: directory.to_owned(), address };
        prosody.wait_ready()?;
        Ok(prosody)
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Result<Duration> {
        cpu::of_process(self.child.id())
    }

    /// Rows in its archive: two for each message, one of either side.
    pub fn archived(&self) -> Result<u64> {
        let path = self.directory.join("prosody.sqlite");
        let database = rusqlite::Connection::open(&path).context("opening Prosody's archive")?;
        let count = database.query_row("SELECT count(*) FROM prosodyarchive", [], |row| row.get::<_, i64>(0));
        Ok(count.context("counting Prosody's archive")?.unsigned_abs())
    }

    fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.directory.join("prosody.log")).unwrap_or_default();
                bail!("prosody ended at once: {status}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("prosody is not ready after 20 s")
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

fn configuration(directory: &Path, port: u16) -> String {
    let directory = directory.display();
    format!(
        r#"run_as_root = true
daemonize = false
pidfile = "{directory}/prosody.pid"
data_path = "{directory}"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
modules_enabled = {{ "roster", "saslauth", "mam" }}
modules_disabled = {{ "s2s", "tls" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = {{ archive = "sql" }}
sql = {{ driver = "SQLite3", database = "prosody.sqlite" }}
default_archive_policy = true
archive_expires_after = "never"
log = {{ warn = "{directory}/prosody.log" }}
VirtualHost "{HOST}"
"#
    )
}
