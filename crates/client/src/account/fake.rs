//! A server of one test, which rotates refresh tokens as the real one does, over real HTTP. For tests.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Account, Proof};
use crate::net::address::ServerUrl;

pub(crate) const PHONE: &str = "+8613800138000";

/// What a server answers next instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whim {
    /// It does what it was asked, and the answer is lost.
    Lost,
    /// The same, and the proxy in front of it says so.
    Gateway,
    /// A firewall answers.
    Firewall,
    /// A gateway that speaks JSON.
    Stranger,
    Busy,
    /// Our server, for good.
    Refuses(&'static str),
}

/// Of the session of one account.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Of the current refresh token; the one before is answered once more.
    pub(crate) generation: u32,
    pub(crate) account: u64,
    pub(crate) signed_in: u32,
    pub(crate) ended: bool,
    pub(crate) whims: Vec<Whim>,
    /// Whatever was asked: path, the token of who asks, and what came with it.
    pub(crate) asked: Vec<(String, String, Value)>,
}

pub(crate) struct Fake {
    pub(crate) url: ServerUrl,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) dir: TempDir,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let state = Arc::new(Mutex::new(State { account: 7, ..State::default() }));
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { url, state, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn account(&self) -> Account {
        Account::new(self.url.clone(), self.dir.path().to_path_buf()).unwrap()
    }

    pub(crate) async fn signed_in(&self) -> Account {
        let account = self.account();
        account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
        account
    }

    pub(crate) fn next(&self, whims: &[Whim]) {
        self.state.lock().whims = whims.to_vec();
    }

    /// How often `path` was asked for.
    pub(crate) fn asked(&self, path: &str) -> Vec<Value> {
        let state = self.state.lock();
        state.asked.iter().filter(|(asked, ..)| asked == path).map(|(.., body)| body.clone()).collect()
    }
}

pub(crate) const REFRESH: &str = "/v1/auth/refresh";

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut text = Vec::new();
    while !is_whole(&text) {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => text.extend_from_slice(&part[..read]),
            _gone => return,
        }
    }
    if text.starts_with(b"GET /im HTTP") {
        state.lock().asked.push(("/im".to_owned(), String::new(), Value::Null));
        return std::future::pending().await; // a WebSocket that does not open
    }
    let reply = answer(&String::from_utf8(text).unwrap(), &mut state.lock());
    if let Some((status, kind, body)) = reply {
        let head = format!("HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or("0");
    body.len() >= length.parse().unwrap()
}

type Reply = (u16, &'static str, String);

/// `None`: it is lost.
fn answer(text: &str, state: &mut State) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let path = head.split(' ').nth(1)?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let bearer = head.lines().find_map(|line| line.strip_prefix("Authorization: Bearer ")).unwrap_or_default();
    state.asked.push((path.to_owned(), bearer.to_owned(), body.clone()));
    let problem = |status, code: &str| {
        (status, "application/problem+json", json!({ "code": code, "detail": "said by the server" }).to_string())
    };
    let whim = if path == REFRESH && !state.whims.is_empty() { Some(state.whims.remove(0)) } else { None };
    match whim {
        Some(Whim::Firewall) => return Some((403, "text/html", "<h1>No</h1>".to_owned())),
        Some(Whim::Stranger) => return Some((401, "application/json", json!({ "code": "denied" }).to_string())),
        Some(Whim::Busy) => return Some(problem(429, "too_many_requests")),
        Some(Whim::Refuses(code)) => return Some(problem(401, code)),
        Some(Whim::Lost | Whim::Gateway) | None => {}
    }
    let done = done(path, &body, state).unwrap_or_else(|code| problem(401, code));
    match whim {
        Some(Whim::Lost) => None,
        Some(Whim::Gateway) => Some((504, "text/html", "<h1>Late</h1>".to_owned())),
        _answered => Some(done),
    }
}

fn done(path: &str, body: &Value, state: &mut State) -> Result<Reply, &'static str> {
    let as_json = |body: Value| Ok((200, "application/json", body.to_string()));
    match path {
        "/v1/auth/sign-in" => {
            (state.signed_in, state.generation, state.ended) = (state.signed_in + 1, 0, false);
            let mut answer = tokens(state);
            answer["account"] = json!({ "id": state.account, "display_name": "Ana", "has_password": false });
            as_json(answer)
        }
        REFRESH if state.ended => Err("session_ended"),
        REFRESH => {
            let number = |token: &str| token.strip_prefix('r')?.parse::<u32>().ok();
            let used = body["refresh_token"].as_str().and_then(number).ok_or("session_ended")?;
            if used == state.generation {
                state.generation += 1;
            } else if used + 1 != state.generation {
                state.ended = true;
                return Err("session_stolen");
            }
            as_json(tokens(state))
        }
        "/v1/auth/sign-out" => {
            state.ended = true;
            Ok((204, "", String::new()))
        }
        _other => as_json(json!({})),
    }
}

fn tokens(state: &State) -> Value {
    let State { generation, signed_in, .. } = state;
    json!({ "access_token": format!("a{signed_in}.{generation}"), "expires_in_s": 600, "refresh_token": format!("r{generation}"),
        "session_id": format!("s{signed_in}") })
}

pub(crate) fn file(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("sign-in.json")).unwrap()).unwrap()
}

/// As after ten minutes. Nobody who reads meanwhile finds half of it.
pub(crate) fn expire(dir: &Path) {
    let mut kept = file(dir);
    kept["expires_ms"] = json!(0);
    std::fs::write(dir.join("expired"), kept.to_string()).unwrap();
    std::fs::rename(dir.join("expired"), dir.join("sign-in.json")).unwrap();
}
