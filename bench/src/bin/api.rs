//! Accounts and the directory of a large organisation: how many sign-ins, refreshes and requests a second, what a token
//! check costs, and how long a page of the directory takes.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use convene_bench::api::directory::{self, Row};
use convene_bench::api::fill::{self, Size};
use convene_bench::api::rates::{self, Load};
use convene_bench::api::world::World;
use convene_bench::cache;
use convene_bench::chat::disk;
use convene_store::{Engine, EngineOptions};
use serde::Serialize;

/// Sign-ins, refreshes, requests and token checks; pages of the directory of a large organisation.
#[derive(Parser)]
struct Args {
    /// Under ten seconds, with a smaller organisation.
    #[arg(long)]
    short: bool,
    /// Seconds of each part.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests under way.
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Members of the organisation.
    #[arg(long, default_value_t = 100_000)]
    members: usize,
    /// Departments of the organisation.
    #[arg(long, default_value_t = 5_000)]
    departments: usize,
    /// How often each question is asked of the directory.
    #[arg(long, default_value_t = 200)]
    rounds: usize,
    /// Where stores are made, and the large one is kept: on a disk, not in memory.
    #[arg(long, default_value = "target/bench-api")]
    dir: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

/// The short form.
const SHORT: Size = Size { members: 3_000, departments: 200 };
const SHORT_ROUNDS: usize = 20;

/// What was measured. Keys are stable; see bench/README.md.
#[derive(Debug, Serialize)]
struct Report {
    short: bool,
    members: usize,
    departments: usize,
    password_sign_ins_per_s: f64,
    refreshes_per_s: f64,
    reads_per_s: f64,
    token_checks_per_s: f64,
    token_check_store_reads: u64,
    directory: Vec<Row>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let report = runtime.block_on(run(&args))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    print(&mut out, &report)
}

fn print(out: &mut impl std::io::Write, report: &Report) -> Result<()> {
    writeln!(out, "sign-ins by password  {:.0}/s", report.password_sign_ins_per_s)?;
    writeln!(out, "refreshes             {:.0}/s, each durable", report.refreshes_per_s)?;
    writeln!(out, "GET /v1/me            {:.0}/s", report.reads_per_s)?;
    let (per_s, reads) = (report.token_checks_per_s, report.token_check_store_reads);
    writeln!(out, "token checks          {per_s:.0}/s on one core, {reads} reads of the store")?;
    writeln!(out, "directory of {} members in {} departments, over HTTP", report.members, report.departments)?;
    for Row { question, sight, rows, p50_ms, p95_ms } in &report.directory {
        writeln!(out, "  {question:18} sees {sight:10} {rows:5} rows  p50 {p50_ms:7.2} ms  p95 {p95_ms:7.2} ms")?;
    }
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let scratch = disk::scratch(&args.dir)?;
    let size = if args.short { SHORT } else { Size { members: args.members, departments: args.departments } };
    let empty = scratch.path().join("empty.db");
    Engine::open(&empty, EngineOptions::default()).context("making a store")?;
    let name = format!("organisation-{}-{}", size.members, size.departments);
    let kept = cache::kept(&args.dir, &name, &empty, |path| fill::fill(path, size))?;
    let path = scratch.path().join("chat.db");
    fs::copy(kept, &path).context("copying the filled store")?;
    let world = World::start(&path).await?;
    let time = Duration::from_secs_f64(if args.short { args.seconds.min(1.0) } else { args.seconds });
    let load = Load { window: args.window, time };
    let refreshes_per_s = rates::refreshes(&world, load).await?;
    let reads_per_s = rates::reads(&world, load).await?;
    let (token_checks_per_s, token_check_store_reads) = rates::checks(&world, load).await?;
    let directory = directory::run(&world, if args.short { SHORT_ROUNDS } else { args.rounds }).await?;
    let password_sign_ins_per_s = rates::sign_ins(&world, load).await?;
    world.store.stop();
    Ok(Report {
        short: args.short,
        members: size.members,
        departments: size.departments,
        password_sign_ins_per_s,
        refreshes_per_s,
        reads_per_s,
        token_checks_per_s,
        token_check_store_reads,
        directory,
    })
}
