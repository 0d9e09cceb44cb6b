//! Accounts over their real router, in this process, with a store on the disk: how many sign-ins, refreshes and requests a
//! second, and what a token check costs.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use clap::Parser;
use convene_api::{Api, Keys, Options, Sender};
use convene_store::Store;
use convene_telemetry::Metrics;
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PASSWORD: &str = "correct horse battery";
/// What one token is checked against the clock and the list before the clock is looked at again.
const CHECKS: u64 = 1_000;

/// Sign-ins, refreshes, requests and token checks.
#[derive(Parser)]
struct Args {
    /// Under ten seconds.
    #[arg(long)]
    short: bool,
    /// Seconds of each part.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests under way.
    #[arg(long, default_value_t = 16)]
    window: usize,
    /// Where the store is made: on a disk, not in memory.
    #[arg(long, default_value = "target/bench-api")]
    dir: PathBuf,
    /// Prints one JSON object with stable keys instead of text.
    #[arg(long)]
    json: bool,
}

/// What was measured. Keys are stable; see bench/README.md.
#[derive(Debug, Default, Serialize)]
struct Report {
    short: bool,
    password_sign_ins_per_s: f64,
    refreshes_per_s: f64,
    reads_per_s: f64,
    token_checks_per_s: f64,
    token_check_store_reads: u64,
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
    writeln!(out, "sign-ins by password  {:.0}/s", report.password_sign_ins_per_s)?;
    writeln!(out, "refreshes             {:.0}/s, each durable", report.refreshes_per_s)?;
    writeln!(out, "GET /v1/me            {:.0}/s", report.reads_per_s)?;
    let (per_s, reads) = (report.token_checks_per_s, report.token_check_store_reads);
    writeln!(out, "token checks          {per_s:.0}/s on one core, {reads} reads of the store")?;
    Ok(())
}

/// A service, and somebody with an account on it.
struct World {
    router: Router,
    api: Api,
    store: Store,
    phone: String,
    codes: Arc<Mutex<HashMap<String, String>>>,
}

async fn run(args: &Args) -> Result<Report> {
    let _ = std::fs::remove_dir_all(&args.dir); // of the run before
    std::fs::create_dir_all(&args.dir).context("making the folder of the store")?;
    let world = World::start(args).await?;
    let time = Duration::from_secs_f64(if args.short { args.seconds.min(1.0) } else { args.seconds });
    let report = Report {
        short: args.short,
        password_sign_ins_per_s: world.sign_ins(args.window, time).await?,
        refreshes_per_s: world.refreshes(args.window, time).await?,
        reads_per_s: world.reads(args.window, time).await?,
        ..Report::default()
    };
    let (token_checks_per_s, token_check_store_reads) = world.checks(time).await?;
    world.store.stop();
    Ok(Report { token_checks_per_s, token_check_store_reads, ..report })
}

impl World {
    async fn start(args: &Args) -> Result<Self> {
        let store = Store::start(convene_store::Options::new(args.dir.join("chat.db"))).context("opening the store")?;
        let codes = Arc::<Mutex<HashMap<String, String>>>::default();
        let kept = Arc::clone(&codes);
        let sender = Sender::Program(Box::new(move |phone, _, digits| {
            kept.lock().expect("nobody panics with it").insert(phone.e164().to_owned(), digits.to_owned());
            Ok(())
        }));
        let options = Options {
            store: store.clone(),
            keys: Keys::derive(&[7; 32]).context("making keys")?,
            sender,
            region: String::new(),
            policy_version: "1".to_owned(),
            access_log_days: 1,
            metrics: Arc::new(Metrics::new()),
        };
        let api = Api::start(options).await.context("starting accounts")?;
        let world = Self { router: api.router(), api, store, phone: "+8613800138000".to_owned(), codes };
        world.register().await?;
        Ok(world)
    }

    async fn register(&self) -> Result<()> {
        let wanted = json!({ "phone": self.phone, "purpose": "register", "device_id": device(0) });
        self.post("/v1/auth/codes", "", wanted).await?;
        let code = self.codes.lock().expect("nobody panics with it").get(&self.phone).cloned().context("a code")?;
        let new = json!({ "phone": self.phone, "code": code, "display_name": "Ana", "password": PASSWORD,
            "consent": "1", "device": { "id": device(0) } });
        self.post("/v1/auth/register", "", new).await.map(|_| ())
    }

    async fn send(&self, request: Request<Body>) -> Result<Value> {
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Result<Value> {
        let request = Request::post(path).header("content-type", "application/json");
        let request =
            if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) };
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    async fn sign_in(&self, on: u64) -> Result<Value> {
        let body = json!({ "phone": self.phone, "password": PASSWORD, "device": { "id": device(on) } });
        self.post("/v1/auth/sign-in", "", body).await
    }

    /// What was counted against the number is taken away by each right password, what was counted against the address is
    /// swept here: this is about what a sign-in costs.
    async fn sign_ins(&self, window: usize, time: Duration) -> Result<f64> {
        let began = Instant::now();
        let lanes = (0..window as u64).map(|lane| async move {
            let mut done = 0_u64;
            while began.elapsed() < time {
                match self.sign_in(lane + 1).await {
                    Ok(_) => done += 1,
                    // Too many from one address in an hour: what is left of the time is not measured.
                    Err(error) if error.to_string().contains("429") => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        });
        per_second(lanes, began).await
    }

    async fn refreshes(&self, window: usize, time: Duration) -> Result<f64> {
        let mut tokens = Vec::new();
        for lane in 0..window as u64 {
            tokens.push(text(&self.sign_in(lane + 1).await?, "refresh_token")?);
        }
        let began = Instant::now();
        let lanes = tokens.into_iter().map(|mut token| async move {
            let mut done = 0_u64;
            while began.elapsed() < time {
                let answer = self.post("/v1/auth/refresh", "", json!({ "refresh_token": token })).await?;
                token = text(&answer, "refresh_token")?;
                done += 1;
            }
            Ok(done)
        });
        per_second(lanes, began).await
    }

    async fn reads(&self, window: usize, time: Duration) -> Result<f64> {
        let token = text(&self.sign_in(1).await?, "access_token")?;
        let began = Instant::now();
        let lanes = (0..window).map(|_| async {
            let mut done = 0_u64;
            while began.elapsed() < time {
                let request = Request::get("/v1/me").header("authorization", format!("Bearer {token}"));
                self.send(request.body(Body::empty())?).await?;
                done += 1;
            }
            Ok(done)
        });
        per_second(lanes, began).await
    }

    /// Checks a second, and what was read from the store meanwhile.
    async fn checks(&self, time: Duration) -> Result<(f64, u64)> {
        let token = text(&self.sign_in(1).await?, "access_token")?;
        let (authenticator, now_s) =
            (self.api.authenticator(), SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
        let before = self.store.stats().reads;
        let (began, mut done) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            for _ in 0..CHECKS {
                std::hint::black_box(authenticator.check(&token, now_s)).context("checking a good token")?;
            }
            done += CHECKS;
        }
        Ok((done as f64 / began.elapsed().as_secs_f64(), self.store.stats().reads - before))
    }
}

async fn per_second(lanes: impl Iterator<Item = impl Future<Output = Result<u64>>>, began: Instant) -> Result<f64> {
    let done: u64 = futures_util::future::try_join_all(lanes).await?.into_iter().sum();
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

fn device(n: u64) -> String {
    format!("{n:032x}")
}

fn text(answer: &Value, field: &str) -> Result<String> {
    answer.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {field} in the answer"))
}
