//! The directory of a large organisation over HTTP on the loopback: one request after the other on one connection, timed by
//! the client from the first byte written to the last byte read. What the server takes for it is less.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use convene_accounts::policy::Directory;
use convene_types::{DeptId, OrgId};
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpListener;

use super::fill;
use super::world::{World, text};
use crate::chat::stats::Latency;

/// What is asked: names are stable. `{own}` is the department that whoever asks stands in.
const QUESTIONS: [(&str, &str); 9] = [
    ("page", "members"),
    ("department_page", "members?department={own}"),
    ("pinyin_many", "directory?q=zhang"),
    ("pinyin_few", "directory?q=zhangweim"),
    ("initials", "directory?q=zwm"),
    ("letter", "directory?q=z"),
    ("characters", "directory?q=%E5%BC%A0%E4%BC%9F"),
    ("departments_top", "departments?parent=0"),
    ("departments_all", "departments"),
];
/// Questions of each kind that are asked before it counts: pages of the database come into memory.
const WARM_UP: usize = 3;

/// One kind of question.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub question: &'static str,
    /// Whom whoever asks may see: everybody, a department at the top and those below, or a department of the lowest level.
    pub sight: &'static str,
    /// Rows of an answer.
    pub rows: usize,
    /// Middle of the time until the answer is there.
    pub p50_ms: f64,
    /// Of 95 in 100.
    pub p95_ms: f64,
}

/// Asks each question so often, as somebody who sees everybody, and as somebody who sees many or few.
pub async fn run(world: &World, rounds: usize) -> Result<Vec<Row>> {
    let (org, top) = world.join(fill::NAME).await?;
    let token = text(&world.sign_in(0).await?, "access_token")?;
    let address = serve(world).await?;
    let mut found = Vec::new();
    let leaf = world.leaf(org).await?;
    for (sight, directory, dept) in [
        ("everybody", Directory::Everybody, top),
        ("division", Directory::Department, top),
        ("department", Directory::Department, leaf),
    ] {
        world.show(org, directory).await?;
        world.stand(org, dept).await?;
        let asker = Asker { address, org, dept, token: token.clone(), rounds, sight };
        let rows = tokio::task::spawn_blocking(move || asker.ask_all()).await.context("asking panicked")?;
        found.extend(rows?);
    }
    Ok(found)
}

async fn serve(world: &World) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listening on the loopback")?;
    let address = listener.local_addr()?;
    let service = world.router.clone().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}

struct Asker {
    address: SocketAddr,
    org: OrgId,
    dept: DeptId,
    token: String,
    rounds: usize,
    sight: &'static str,
}

impl Asker {
    fn ask_all(&self) -> Result<Vec<Row>> {
        let agent = ureq::Agent::new_with_defaults();
        QUESTIONS.iter().map(|(question, path)| self.ask(&agent, question, path)).collect()
    }

    fn ask(&self, agent: &ureq::Agent, question: &'static str, path: &str) -> Result<Row> {
        let path = path.replace("{own}", &self.dept.to_string());
        let url = format!("http://{}/v1/organisations/{}/{path}", self.address, self.org);
        let (mut latency, mut rows) = (Latency::default(), 0);
        for round in 0..WARM_UP + self.rounds {
            let began = Instant::now();
            let request = agent.get(&url).header("authorization", format!("Bearer {}", self.token));
            let answer = request.call().with_context(|| format!("asking {question}"))?.body_mut().read_to_string()?;
            if round >= WARM_UP {
                latency.record(began.elapsed());
            }
            rows = length(&serde_json::from_str(&answer)?);
        }
        // Among few people there may be none of that name.
        ensure!(rows > 0 || self.sight != "everybody", "{question} finds nobody");
        let (p50_ms, p95_ms) = (latency.quantile_ms(0.5), latency.quantile_ms(0.95));
        Ok(Row { question, sight: self.sight, rows, p50_ms, p95_ms })
    }
}

fn length(answer: &Value) -> usize {
    let list = answer.get("members").or_else(|| answer.get("departments")).and_then(Value::as_array);
    list.map_or(0, Vec::len)
}
