//! A sign-in against a server of one test, which rotates refresh tokens as the real one does, over real HTTP.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::Client;
use crate::update::Update;

const PHONE: &str = "+8613800138000";

/// What a server answers next instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whim {
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
struct State {
    /// Of the current refresh token; the one before is answered once more.
    generation: u32,
    account: u64,
    signed_in: u32,
    ended: bool,
    whims: Vec<Whim>,
    /// Whatever was asked: path, the token of who asks, and what came with it.
    asked: Vec<(String, String, Value)>,
}

struct Fake {
    url: ServerUrl,
    state: Arc<Mutex<State>>,
    dir: TempDir,
}

impl Fake {
    async fn start() -> Self {
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

    fn account(&self) -> Account {
        Account::new(self.url.clone(), self.dir.path().to_path_buf()).unwrap()
    }

    async fn signed_in(&self) -> Account {
        let account = self.account();
        account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
        account
    }

    fn next(&self, whims: &[Whim]) {
        self.state.lock().whims = whims.to_vec();
    }

    /// How often `path` was asked for.
    fn asked(&self, path: &str) -> Vec<Value> {
        let state = self.state.lock();
        state.asked.iter().filter(|(asked, ..)| asked == path).map(|(.., body)| body.clone()).collect()
    }
}

const REFRESH: &str = "/v1/auth/refresh";

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

fn file(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("sign-in.json")).unwrap()).unwrap()
}

/// As after ten minutes.
fn expire(dir: &Path) {
    let mut kept = file(dir);
    kept["expires_ms"] = json!(0);
    std::fs::write(dir.join("sign-in.json"), kept.to_string()).unwrap();
}

async fn ask(account: &Account, stale: Option<&str>) -> Result<String, Error> {
    account.token_source().ask(stale.map(str::to_owned)).await
}

#[tokio::test]
async fn a_sign_in_is_kept_for_its_owner_and_its_device() {
    let fake = Fake::start().await;
    let account = fake.account();
    assert!(matches!(account.config().await, Err(Error::SignedOut(_))));
    account.ask_for_code(PHONE).await.unwrap();
    let person = account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
    assert_eq!(person, Person { id: 7, display_name: "Ana".to_owned() });
    let device = DeviceId::kept_in(fake.dir.path()).unwrap();
    assert_eq!(fake.asked("/v1/auth/codes")[0]["device_id"], device.to_string());
    let asked = fake.asked("/v1/auth/sign-in")[0].clone();
    assert_eq!((&asked["device"]["id"], &asked["code"]), (&json!(device.to_string()), &json!("123456")));
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(fake.dir.path().join("sign-in.json")).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    // Another program, later on.
    let again = fake.account();
    assert_eq!(again.person().await, Ok(Some(person)));
    assert_eq!(ask(&again, None).await.as_deref(), Ok("a1.0"));
    let organisation = Organisation { id: 3, name: "o17".to_owned(), title: "Instruments".to_owned() };
    again.choose(organisation).await.unwrap();
    let config = fake.account().config().await.unwrap();
    assert_eq!((config.device, config.organisation.as_str()), (Some(device), "o17"));
    assert_eq!(fake.asked(REFRESH).len(), 0);
    let printed = format!("{again:?} {:?}", again.0.read().await);
    assert!(!printed.contains("a1.0") && !printed.contains("r0"), "{printed}");
}

#[tokio::test]
async fn what_expires_or_is_refused_is_renewed_and_on_the_disk_before_it_is_used() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"), "good for a while");
    assert_eq!(
        ask(&account, Some("a1.1")).await.as_deref(),
        Ok("a1.2"),
        "refused by the server, as after a change of clocks"
    );
    assert_eq!(ask(&account, Some("a1.1")).await.as_deref(), Ok("a1.2"), "somebody else was faster");
    assert_eq!(fake.asked(REFRESH), [json!({ "refresh_token": "r0" }), json!({ "refresh_token": "r1" })]);
}

#[tokio::test]
async fn what_cannot_be_written_is_not_used_and_not_asked_for_again() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    let obstacle = fake.dir.path().join("sign-in.next");
    std::fs::create_dir(&obstacle).unwrap();
    assert!(matches!(ask(&account, None).await, Err(Error::File(_))));
    assert!(matches!(ask(&account, None).await, Err(Error::File(_))));
    std::fs::remove_dir(&obstacle).unwrap();
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (1, &json!("r1")));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_at_once() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost, Whim::Gateway, Whim::Lost]);
    assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"));
    assert_eq!(fake.asked(REFRESH), vec![json!({ "refresh_token": "r0" }); 4]);
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
}

#[tokio::test]
async fn whoever_asks_may_go_before_the_answer_comes() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost]);
    let source = account.token_source();
    let gone = tokio::time::timeout(Duration::from_millis(200), source.ask(None)).await;
    assert!(gone.is_err(), "it waits before it asks again");
    source.idle().await;
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (2, &json!("r1")));
}

#[tokio::test]
async fn a_client_that_ends_carries_a_renewal_to_its_end() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.next(&[Whim::Lost]);
    let client = Client::open(account.config().await.unwrap()).await.unwrap();
    while fake.asked(REFRESH).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.shutdown().await;
    assert_eq!((fake.asked(REFRESH).len(), &file(fake.dir.path())["refresh_token"]), (2, &json!("r1")));
}

#[tokio::test]
async fn a_client_that_runs_for_long_renews_its_sign_in() {
    let fake = Fake::start().await;
    fake.signed_in().await;
    let rest = Rest { server: fake.url.clone(), tls: Tls::new(Vec::new()) };
    let mut keeper = Keeper::new(rest, fake.dir.path().to_path_buf(), Vec::new(), false);
    keeper.renewal = Duration::from_millis(1);
    let client = Client::open(Account(Arc::new(keeper)).config().await.unwrap()).await.unwrap();
    let asked = async |path| {
        while fake.asked(path).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // It has its token then, and needs no other one for as long as it connects.
    tokio::time::timeout(Duration::from_secs(20), asked("/im")).await.expect("it connects");
    assert_eq!(fake.asked(REFRESH).len(), 0);
    expire(fake.dir.path());
    tokio::time::timeout(Duration::from_secs(5), asked(REFRESH)).await.expect("it is renewed in time");
    assert_eq!(fake.asked("/im").len(), 1);
    client.shutdown().await;
    assert_eq!(file(fake.dir.path())["refresh_token"], "r1");
}

#[tokio::test]
async fn a_client_whose_sign_in_is_over_says_so_and_tries_no_more() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    fake.state.lock().ended = true;
    let client = Client::open(account.config().await.unwrap()).await.unwrap();
    let mut updates = client.updates();
    let told = async { (updates.next().await, updates.next().await) };
    let (first, second) = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap();
    assert!(matches!(&first, Some(Update::SignedOut { reason }) if reason.starts_with("sign in again")), "{first:?}");
    assert!(matches!(second, Some(Update::Disconnected { retry_in: None, .. })), "{second:?}");
    client.shutdown().await;
}

#[tokio::test]
async fn many_who_ask_at_a_time_make_one_renewal() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    // Clones are of one program; an `Account` of its own stands for another program.
    let accounts = [account.clone(), account, fake.account(), fake.account()];
    let asked = accounts.map(|account| tokio::spawn(async move { ask(&account, Some("a1.0")).await }));
    for one in asked {
        assert_eq!(one.await.unwrap().as_deref(), Ok("a1.1"));
    }
    assert_eq!(fake.asked(REFRESH).len(), 1);
}

#[tokio::test]
async fn only_our_server_ends_a_sign_in_and_it_says_why() {
    for whim in [Whim::Firewall, Whim::Stranger, Whim::Busy] {
        let fake = Fake::start().await;
        let account = fake.signed_in().await;
        expire(fake.dir.path());
        fake.next(&[whim]);
        let error = ask(&account, None).await.unwrap_err();
        assert!(!matches!(error, Error::SignedOut(_)), "{whim:?}: {error}");
        assert_eq!(ask(&account, None).await.as_deref(), Ok("a1.1"), "{whim:?}");
    }
    for (code, words) in [("session_stolen", "said by the server"), ("session_ended", "ended on another device")] {
        let fake = Fake::start().await;
        let account = fake.signed_in().await;
        expire(fake.dir.path());
        fake.next(&[Whim::Refuses(code)]);
        let error = ask(&account, None).await.unwrap_err();
        assert!(matches!(&error, Error::SignedOut(text) if text.contains(words)), "{code}: {error}");
        assert!(error.to_string().starts_with("sign in again: ") && !error.is_transient());
        assert_eq!(account.person().await, Ok(None), "{code}");
        assert!(matches!(ask(&account, None).await, Err(Error::SignedOut(_))));
        assert_eq!(fake.asked(REFRESH).len(), 1, "it is over");
    }
}

#[tokio::test]
async fn a_directory_takes_no_other_account_and_no_other_server() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    let elsewhere = Account::new("http://127.0.0.1:1".parse().unwrap(), fake.dir.path().to_path_buf()).unwrap();
    assert!(matches!(ask(&elsewhere, None).await, Err(Error::Foreign(_))), "its tokens are not shown to strangers");
    account.sign_out().await.unwrap();
    fake.state.lock().account = 8;
    let refused = account.sign_in(PHONE, Proof::Password("secret".to_owned())).await;
    assert!(matches!(refused, Err(Error::Foreign(_))), "{refused:?}");
    assert_eq!(account.person().await, Ok(None));
    assert_eq!(fake.asked("/v1/auth/sign-out").len(), 2, "what was begun in vain is ended");
    fake.state.lock().account = 7;
    fake.signed_in().await;

    // Somebody who came with a token of another kind.
    let other = Fake::start().await;
    device::open(other.dir.path()).unwrap().set_value(Key::Me, b"").unwrap();
    let refused = other.account().sign_in(PHONE, Proof::Code("1".to_owned())).await;
    assert!(matches!(refused, Err(Error::Foreign(_))), "{refused:?}");
    assert_eq!(other.asked("/v1/auth/sign-in").len(), 0);
}

#[tokio::test]
async fn signing_out_forgets_it_here_and_ends_it_there() {
    let fake = Fake::start().await;
    let account = fake.signed_in().await;
    account.sign_out().await.unwrap();
    assert_eq!((account.person().await, fake.state.lock().ended), (Ok(None), true));
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a1.0");
    account.sign_out().await.unwrap();
    assert_eq!(fake.asked("/v1/auth/sign-out").len(), 1);

    // Its access token has expired: it takes another one.
    let account = fake.signed_in().await;
    expire(fake.dir.path());
    account.sign_out().await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a2.1");

    // A second sign-in takes the place of the first one.
    let account = fake.signed_in().await;
    account.sign_in(PHONE, Proof::Code("123456".to_owned())).await.unwrap();
    assert_eq!(fake.state.lock().asked.last().unwrap().1, "a3.0");
    assert_eq!(file(fake.dir.path())["session_id"], "s4");
}

#[test]
fn questions_are_escaped() {
    for (text, want) in [("zw-1_~.", "zw-1_~."), ("a b&c=%", "a%20b%26c%3D%25"), ("张", "%E5%BC%A0")] {
        assert_eq!(rest::escaped(text), want);
    }
}
