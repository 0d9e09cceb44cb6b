//! What a connection costs that does nothing.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::chat::node::Node;

/// Memory of idle sessions.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Open sessions.
    pub connections: usize,
    /// Resident memory of the server gained from before the first, per session.
    pub rss_kib_per_connection: f64,
    /// Server CPU time in one second of silence, all sessions together.
    pub cpu_ms_per_s: f64,
}

/// Opens sessions up to each of `steps` (ascending) and looks at the server.
pub async fn run(node: &Node, steps: &[usize]) -> Result<Vec<Idle>> {
    let (before, mut sessions, mut report) = (node.resident_kib()?, Vec::new(), Vec::new());
    for &connections in steps {
        sessions.extend(node.open(sessions.len()..connections, |number| format!("idle{number}")).await?);
        // Path MTU discovery and the tail of the handshakes.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let cpu_before = node.cpu()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let gained = node.resident_kib()?.saturating_sub(before);
        report.push(Idle {
            connections,
            rss_kib_per_connection: gained as f64 / connections as f64,
            cpu_ms_per_s: (node.cpu()? - cpu_before).as_secs_f64() * 1e3,
        });
    }
    Ok(report)
}
