//! What a run prints.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use crate::chat::catch_up::CatchUp;
use crate::chat::fan_out::{Deliveries, FanOut};
use crate::chat::handshake::Handshakes;
use crate::chat::idle::Idle;
use crate::chat::rounds::{Durability, Figures};
use crate::chat::stats::Spread;

/// What was measured; what was not asked for is null or empty. Keys are stable; see bench/README.md.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The short form: fewer and shorter rounds, smaller crowds.
    pub short: bool,
    /// On a new store.
    pub empty: Option<Durability>,
    /// On a store that holds many messages.
    pub filled: Option<Durability>,
    /// One message to everybody.
    pub fan_out: Vec<FanOut>,
    /// Many messages to everybody.
    pub deliveries: Option<Deliveries>,
    /// Idle memory.
    pub idle: Vec<Idle>,
    /// Sessions from nothing.
    pub handshake_full: Option<Handshakes>,
    /// Sessions with tickets.
    pub handshake_resumed: Option<Handshakes>,
    /// After an absence.
    pub catch_up: Vec<CatchUp>,
}

/// Prints it for people.
pub fn print(out: &mut impl Write, report: &Report) -> Result<()> {
    for durability in [&report.empty, &report.filled].into_iter().flatten() {
        print_durability(out, durability)?;
    }
    for row in &report.fan_out {
        writeln!(
            out,
            "fan-out to {:>6}   last after {} ms, server CPU by then {} ms, in all {} ms, {:.1} us a member",
            row.members,
            show(row.last_ms, 1),
            show(row.cpu_last_ms, 1),
            show(row.cpu_ms, 1),
            row.cpu_us_per_member
        )?;
    }
    if let Some(row) = &report.deliveries {
        let (members, per_s, cpu_us) = (row.members, row.per_s, row.cpu_us);
        writeln!(out, "deliveries          {per_s:.0}/s to {members} members, server CPU {cpu_us:.1} us each")?;
    }
    for row in &report.idle {
        writeln!(
            out,
            "idle {:>6}         {:.1} KiB each, server CPU {:.2} ms a second",
            row.connections, row.rss_kib_per_connection, row.cpu_ms_per_s
        )?;
    }
    for (name, row) in [("full", &report.handshake_full), ("resumed", &report.handshake_resumed)] {
        if let Some(Handshakes { per_s, cpu_us, early }) = row {
            writeln!(
                out,
                "handshake {name:<8}  {per_s:.0}/s, server CPU {cpu_us:.0} us, {:.0} % early",
                early * 100.0
            )?;
        }
    }
    for row in &report.catch_up {
        writeln!(
            out,
            "catch-up {:>5}/{:<5} {} ms, server CPU {} ms; {} events in {} frames",
            row.changed,
            row.conversations,
            show(row.wall_ms, 1),
            show(row.cpu_ms, 1),
            row.events,
            row.frames
        )?;
    }
    Ok(())
}

fn print_durability(out: &mut impl Write, row: &Durability) -> Result<()> {
    writeln!(out, "store of {} messages; of the rounds: min / median / max", row.stored)?;
    let (p50, p99) = (show(row.fdatasync_p50_ms, 3), show(row.fdatasync_p99_ms, 3));
    writeln!(out, "  fdatasync 4 KiB   p50 {p50} ms, p99 {p99} ms")?;
    let lines: [(&str, &Figures); 8] = [
        ("plain log, 64", &row.plain_log),
        ("SQLite, 64", &row.sqlite_64),
        ("store, 64", &row.engine_64),
        ("send, 64", &row.send_64),
        ("SQLite, 512", &row.sqlite_512),
        ("store, 512", &row.engine_512),
        ("send, 512", &row.send_512),
        ("send, 1,000/s", &row.send_paced),
    ];
    for (name, figures) in lines {
        writeln!(
            out,
            "  {name:<17} {}/s, p50 {} p99 {} p999 {} ms, CPU {} us",
            show(figures.per_s, 0),
            show(figures.p50_ms, 2),
            show(figures.p99_ms, 2),
            show(figures.p999_ms, 2),
            show(figures.cpu_us, 1)
        )?;
    }
    let (ratio_64, ratio_512) = (show(row.send_per_sqlite_64, 2), show(row.send_per_sqlite_512, 2));
    writeln!(out, "  send / SQLite     {ratio_64} with 64, {ratio_512} with 512")?;
    let (ratio_64, ratio_512) = (show(row.send_ratio_64, 2), show(row.send_ratio_512, 2));
    writeln!(out, "  send / store      {ratio_64} with 64, {ratio_512} with 512")?;
    let p99 = (show(row.send_p99_per_fdatasync_p99, 1), show(row.paced_p99_per_fdatasync_p99, 1));
    writeln!(out, "  send p99          {} times that of fdatasync with 64, {} at 1,000/s", p99.0, p99.1)?;
    Ok(())
}

/// `min / median / max`.
#[must_use]
pub fn show(spread: Spread, digits: usize) -> String {
    format!("{:.digits$} / {:.digits$} / {:.digits$}", spread.min, spread.median, spread.max)
}
