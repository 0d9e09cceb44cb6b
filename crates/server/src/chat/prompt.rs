//! Asks whoever sits there, or reads what a script has piped in. Passwords are not shown.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::complain;

/// One line.
pub(super) async fn line(question: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        let mut stderr = std::io::stderr();
        let _ = write!(stderr, "{question}: ").and_then(|()| stderr.flush()); // no stderr, nobody to ask
    }
    let (answer, line) = tokio::sync::oneshot::channel();
    // A read from a terminal cannot be taken back, and a task that waits for one keeps the runtime from ending.
    std::thread::spawn(move || {
        let _ = answer.send(std::io::stdin().lines().next()); // whoever asked may have gone
    });
    tokio::select! {
        line = line => {
            let line = line.ok().flatten().with_context(|| format!("{question}: there was no answer"))??;
            Ok(line.trim_end_matches('\r').to_owned())
        }
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

/// One line that nobody else should read.
pub(super) async fn secret(question: &str) -> Result<String> {
    let _quiet = Quiet::begin();
    line(question).await
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Quiet;

impl Quiet {
    /// `None`: there is no terminal.
    fn begin() -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        if !echo("-echo") {
            complain("what you type will be seen: there is no `stty` here");
        }
        Some(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        echo("echo");
        let _ = writeln!(std::io::stderr()); // the end of the line was not shown either
    }
}

/// Has the system's own tool set the terminal: the alternative is a system call for each system.
fn echo(setting: &str) -> bool {
    let stty = Command::new("stty").arg(setting).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    stty.is_ok_and(|status| status.success())
}
