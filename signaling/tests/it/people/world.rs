//! A whole server of one test, and people in it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body as HttpBody, to_bytes};
use axum::http::Request;
use convene_accounts::invitation::LinkHash;
use convene_accounts::policy::Policy;
use convene_accounts::profile::Edit;
use convene_accounts::token::Authority;
use convene_api::{Api, Keys, Sender};
use convene_im::{Certificate, Login, Logins, Pictures};
use convene_signaling::rooms::{Joined, LeaveReason, Mode, Notice, Options, RoomHandle, RoomRequest};
use convene_signaling::token::{Claims, Grants};
use convene_signaling::{Config, State};
use convene_store::orgs::{Change, Invited, JoinBy, Op, Outcome};
use convene_store::{BlobOptions, Blobs, Store};
use convene_types::{AccountId, ConvId, DeptId, OrgId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::media;

/// Longer than anything here takes on a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// The link into the organisation.
const LINK: LinkHash = LinkHash([5; 32]);

type Codes = Arc<Mutex<HashMap<String, String>>>;

pub(super) struct World {
    api: Api,
    pub(super) chat: convene_im::Handle,
    state: State,
    router: Router,
    store: Store,
    metrics: Arc<convene_telemetry::Metrics>,
    codes: Codes,
    org: Mutex<Option<OrgId>>,
    folder: tempfile::TempDir,
}

/// Somebody who is signed in somewhere, in an organisation.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    number: String,
    pub(super) account: u64,
    pub(super) user: u64,
    pub(super) device: String,
    pub(super) access: String,
    pub(super) session: String,
}

/// What came back: the status, seconds to wait, and the body.
pub(super) struct Answer(u16, u64, Value);

impl Answer {
    pub(super) const fn status(&self) -> u16 {
        self.0
    }

    pub(super) const fn retry_after_s(&self) -> u64 {
        self.1
    }

    pub(super) const fn body(&self) -> &Value {
        &self.2
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.0, status, "{}", self.2);
        self.2
    }

    #[track_caller]
    pub(super) fn refused(self, status: u16, code: &str) {
        assert_eq!((self.0, self.2["code"].as_str()), (status, Some(code)), "{}", self.2);
    }
}

/// Somebody in a room.
pub(super) struct Sitting {
    pub(super) identity: String,
    pub(super) may_publish: bool,
    joined: Joined,
}

/// Somebody in a room whose seat was not looked at again yet.
pub(super) struct Entered {
    room: RoomHandle,
    claims: Claims,
    joined: Joined,
}

impl Sitting {
    async fn of(joined: Joined, room: &RoomHandle) -> Self {
        let identity = joined.info.identity.clone();
        let may_publish = room.participant(&identity).await.unwrap().permission.can_publish;
        Self { identity, may_publish, joined }
    }

    /// Why they are out.
    pub(super) async fn left(&mut self) -> LeaveReason {
        loop {
            let notice = tokio::time::timeout(DEADLINE, self.joined.notices.recv()).await.expect("still in the room");
            match notice {
                Some(Notice::Leave { reason, .. }) => return reason,
                Some(_) => {}
                None => panic!("out of the room, and not told"),
            }
        }
    }

    pub(super) fn is_seated(&mut self) -> bool {
        while let Ok(notice) = self.joined.notices.try_recv() {
            if matches!(notice, Notice::Leave { .. }) {
                return false;
            }
        }
        !self.joined.notices.is_closed()
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), None, Options::default()).await
    }

    /// One whose rooms are not made by everybody who joins.
    pub(super) async fn without_auto_create() -> Self {
        let rooms = Options { auto_create: false, ..Options::default() };
        Self::open(tempfile::tempdir().unwrap(), None, rooms).await
    }

    /// Another server over the same data. Nothing of the first one is said goodbye to.
    pub(super) async fn restart(self) -> Self {
        self.restart_after(async |_| ()).await
    }

    /// The same, and meanwhile something is done to the data, of which no server is told.
    pub(super) async fn restart_after(self, work: impl AsyncFnOnce(&Store)) -> Self {
        let Self { store, folder, org, .. } = self;
        store.stop();
        let alone = start(&folder);
        work(&alone).await;
        alone.stop();
        Self::open(folder, org.into_inner(), Options::default()).await
    }

    async fn open(folder: tempfile::TempDir, org: Option<OrgId>, rooms: Options) -> Self {
        let metrics: Arc<convene_telemetry::Metrics> = Arc::default();
        let store = start(&folder);
        let codes = Codes::default();
        let kept = Arc::clone(&codes);
        let sender = Sender::Program(Box::new(move |phone, _, digits| {
            kept.lock().insert(phone.e164().to_owned(), digits.to_owned());
            Ok(())
        }));
        let api = Api::start(convene_api::Options {
            store: store.clone(),
            keys: Keys::derive(&[7; 32]).unwrap(),
            sender,
            region: "CN".into(),
            policy_version: "1".into(),
            access_log_days: 1,
            metrics: Arc::clone(&metrics),
        });
        let api = api.await.unwrap();
        let authenticator = Arc::clone(api.authenticator());
        let logins = Logins::new(move |token, now_s| {
            let caller = authenticator.check(token, now_s).map_err(|refusal| refusal.text.into_owned())?;
            Ok(Login { account: caller.account, session: caller.session, device: caller.device })
        });
        let addresses = api.clone();
        let blobs = Blobs::open(store.clone(), BlobOptions::below(folder.path())).await.unwrap();
        let api = api.with_blobs(blobs.clone());
        let (chat, _server) = convene_im::start(convene_im::Options {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: Certificate::SelfMade { names: vec!["localhost".to_owned()] },
            authority: Arc::new(Authority::default()),
            logins: Some(logins),
            pictures: Some(Pictures::new(move |account, name| addresses.picture_until(account, name))),
            store: store.clone(),
            blobs,
            metrics: Arc::clone(&metrics),
            limits: convene_im::Limits::default(),
        })
        .await
        .unwrap();
        let config = Config { people_secret: api.room_secret().to_owned(), rooms, ..Config::default() };
        let state = State::new(config, media(&metrics), Arc::clone(&metrics))
            .with_chat(chat.clone())
            .with_keyring(api.keyring().clone());
        let state = state.with_people(&api).await.unwrap();
        let router = convene_signaling::router(&state);
        Self { api, chat, state, router, store, metrics, codes, org: Mutex::new(org), folder }
    }

    pub(super) async fn call(&self, method: &str, access: &str, path: &str, body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "convene.test");
        if !access.is_empty() {
            request = request.header("authorization", format!("Bearer {access}"));
        }
        let body = if body.is_null() { HttpBody::empty() } else { HttpBody::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer(status, wait, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn post(&self, person: &Person, path: &str, body: Value) -> Answer {
        self.call("POST", &person.access, path, body).await
    }

    pub(super) async fn patch(&self, person: &Person, path: &str, body: Value) -> Answer {
        self.call("PATCH", &person.access, path, body).await
    }

    pub(super) async fn get(&self, person: &Person, path: &str) -> Answer {
        self.call("GET", &person.access, path, Value::Null).await
    }

    pub(super) async fn delete(&self, person: &Person, path: &str) -> Answer {
        self.call("DELETE", &person.access, path, Value::Null).await
    }

    /// The n-th person; the first one founds the organisation, the others come into it.
    pub(super) async fn person(&self, n: u32) -> Person {
        let known = *self.org.lock();
        let Some(org) = known else {
            let person = self.founder(n, "acme").await;
            let whom = Invited::Link { hash: LINK, uses: 10_000 };
            let invite = Change::Invite { whom, sealed: None, dept: DeptId(0), ask: false, valid_for_s: 3_600 };
            self.change(person.account, invite).await;
            return person;
        };
        let person = self.register(n).await;
        let op = Op {
            org,
            by: AccountId(person.account),
            address: String::new(),
            change: Change::Join(JoinBy::Link(LINK)),
            once: None,
        };
        let Ok(Outcome::Joined { user, .. }) = self.api.change(op).await else { panic!("not let in") };
        Person { user: user.0, ..person }
    }

    /// Somebody with an organisation of their own.
    pub(super) async fn founder(&self, n: u32, name: &str) -> Person {
        let person = self.register(n).await;
        let owner = AccountId(person.account);
        let change = Change::Found { name: name.into(), title: name.into(), owner };
        let op = Op { org: OrgId(0), by: owner, address: String::new(), change, once: None };
        let Ok(Outcome::Joined { org, user, .. }) = self.api.change(op).await else { panic!("not founded") };
        self.org.lock().get_or_insert(org);
        Person { user: user.0, ..person }
    }

    /// Changes the first organisation.
    pub(super) async fn change(&self, by: u64, change: Change) -> Outcome {
        self.api.change(self.op(by, change)).await.unwrap()
    }

    /// A change of it, which is not done yet.
    pub(super) fn op(&self, by: u64, change: Change) -> Op {
        Op { org: self.org(), by: AccountId(by), address: String::new(), change, once: None }
    }

    /// The first organisation.
    pub(super) fn org(&self) -> OrgId {
        self.org.lock().expect("somebody has founded it")
    }

    /// An API key of somebody's organisation: its id and a token that a program signs with it.
    pub(super) async fn key(&self, owner: &Person, org: OrgId, scopes: &[&str]) -> (String, String) {
        let wanted = json!({ "title": "backend", "scopes": scopes });
        let made = self.post(owner, &format!("/v1/organisations/{org}/keys"), wanted).await.expect(201);
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (text("id"), convene_accounts::program::sign(&text("id"), &text("secret"), 600, now_s).unwrap())
    }

    /// A token for a room that a program has signed with this key, as LiveKit's SDKs do.
    pub(super) fn seat_by_key(&self, key: &str, room: &str, identity: &str) -> Value {
        let grants = Grants { room_join: true, room: room.to_owned(), ..Grants::default() };
        let claims = Claims { identity: identity.to_owned(), grants, ..Claims::default() };
        let token = self.state.verifier().minter(key).unwrap().mint(&claims, Duration::from_secs(600)).unwrap();
        json!({ "token": token, "room": room })
    }

    /// What waits for an endpoint of webhooks.
    pub(super) async fn told(&self, endpoint: i64) -> Vec<Value> {
        let waiting = self.store.ask(move |reader| reader.webhook_outbox(endpoint, 100)).await.unwrap();
        waiting.iter().map(|event| serde_json::from_str(&event.body).unwrap()).collect()
    }

    /// Writes into conversations at a time of the test's choice.
    pub(super) async fn at(&self, ms: i64, ops: Vec<convene_store::Op>) -> Vec<convene_store::Outcome> {
        let (to, done) = tokio::sync::oneshot::channel();
        self.store.with_engine(move |engine| {
            let outcomes = engine.apply(ops, ms).unwrap().into_iter().map(Result::unwrap).collect();
            to.send(outcomes).unwrap_or_else(|_: Vec<_>| panic!("the test waits"));
        });
        done.await.unwrap()
    }

    /// Carries retention out as it stands at a time. Answers how many bodies went.
    pub(super) async fn sweep(&self, now_ms: i64) -> u64 {
        let before = self.metrics.im_swept.get();
        let bodies = self.chat.sweep_messages(now_ms).await.unwrap();
        assert_eq!(self.metrics.im_swept.get() - before, bodies);
        bodies
    }

    /// What is written from here on waits until the answer is dropped.
    pub(super) fn hold_writes(&self) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel();
        self.store.with_engine(move |_| {
            let _ = held.recv(); // an error says that it was dropped
        });
        hold
    }

    /// What is asked from here on waits until the answer is dropped.
    pub(super) async fn hold_reads(&self) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel();
        let held = Arc::new(Mutex::new(held));
        let (to, mut begun) = tokio::sync::mpsc::channel(1);
        for _ in 0..convene_store::Options::new("").readers {
            let (store, held, to) = (self.store.clone(), Arc::clone(&held), to.clone());
            let wait = move |_: &mut convene_store::Reader| {
                to.blocking_send(()).unwrap();
                let _ = held.lock().recv(); // an error says that it was dropped
                Ok(())
            };
            tokio::spawn(async move { store.ask(wait).await });
        }
        drop(to);
        for _ in 0..convene_store::Options::new("").readers {
            begun.recv().await.unwrap();
        }
        hold
    }

    /// Each question from here on is answered after this time at the earliest, and twice that at the latest, until the answer is
    /// dropped.
    pub(super) fn slow_reads(&self, by: Duration) -> tokio::task::JoinSet<()> {
        let mut askers = tokio::task::JoinSet::new();
        // One that is being answered and one that waits for that, for each reader.
        for _ in 0..2 * convene_store::Options::new("").readers {
            let store = self.store.clone();
            askers.spawn(async move {
                let wait = move |_: &mut convene_store::Reader| {
                    std::thread::sleep(by);
                    Ok(())
                };
                while store.ask(wait).await.is_ok() {}
            });
        }
        askers
    }

    /// From here on the store answers nobody.
    pub(super) fn lose_store(&self) {
        self.store.stop();
    }

    /// Changes its policy.
    pub(super) async fn set_policy(&self, by: u64, edit: impl FnOnce(&mut Policy)) {
        let org = self.org();
        let (mut policy, version) = self.store.ask(move |reader| reader.policy(org)).await.unwrap().unwrap();
        edit(&mut policy);
        self.change(by, Change::SetPolicy { policy, version }).await;
    }

    /// Where somebody stands from now on.
    pub(super) async fn place(&self, by: u64, whom: &Person, depts: &[DeptId]) {
        self.change(by, placing(whom, depts)).await;
    }

    /// Waits until the group of a department has nobody to put in or take out.
    pub(super) async fn follows(&self, dept: DeptId) {
        let org = self.org();
        let behind = async || self.store.ask(move |reader| reader.is_group_behind(org, dept)).await.unwrap();
        until(async || !behind().await).await;
    }

    /// A department.
    pub(super) async fn department(&self, by: u64, parent: DeptId, name: &str) -> DeptId {
        let change = Change::AddDepartment { parent, name: name.into(), rank: 0 };
        let Outcome::Department(dept) = self.change(by, change).await else { panic!("no department") };
        dept
    }

    /// Users of chat in a conversation.
    pub(super) async fn members(&self, conv: u64) -> Vec<u64> {
        members(&self.store, conv).await
    }

    /// Routes in a router's document, as `GET /v1/me`: those of the whole server, and those of accounts alone.
    pub(super) async fn routes(&self) -> [Vec<String>; 2] {
        let mut both = [Vec::new(), Vec::new()];
        for (router, routes) in [self.router.clone(), self.api.router()].into_iter().zip(&mut both) {
            let request = Request::get("/v1/openapi.json").body(HttpBody::empty()).unwrap();
            let response = router.oneshot(request).await.unwrap();
            let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            for (path, methods) in document["paths"].as_object().unwrap() {
                let methods = methods.as_object().unwrap().keys();
                routes.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
            }
        }
        both
    }

    /// What a browser is told that asks whether this seat would let it in.
    pub(super) async fn validate(&self, seat: &Value) -> (u16, String) {
        let path = format!("/rtc/v1/validate?access_token={}", seat["token"].as_str().unwrap());
        let request = Request::get(path).body(HttpBody::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The methods that a page of another origin may use, as a browser that is about to use this one is told.
    pub(super) async fn preflight(&self, method: &str, path: &str) -> String {
        let request = Request::options(path).header("origin", "https://example.org");
        let request = request.header("access-control-request-method", method).body(HttpBody::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        response.headers()["access-control-allow-methods"].to_str().unwrap().to_owned()
    }

    /// A request with a body that is no JSON.
    pub(super) async fn put(&self, person: &Person, path: &str, body: Vec<u8>) -> Answer {
        let request = Request::put(path).header("authorization", format!("Bearer {}", person.access));
        let response = self.router.clone().oneshot(request.body(HttpBody::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer(status, 0, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// The attributes that a seat gives its holder.
    pub(super) fn attributes(&self, seat: &Value) -> HashMap<String, String> {
        self.state.verifier().verify(seat["token"].as_str().unwrap()).unwrap().attributes
    }

    async fn register(&self, n: u32) -> Person {
        let (number, device) = (format!("+86138{n:08}"), format!("{n:032x}"));
        let code = self.code(&number, "register", &device).await;
        let body = json!({"phone": number, "code": code, "display_name": format!("P{n}"), "consent": "1",
            "device": {"id": device}});
        let answer = self.call("POST", "", "/v1/auth/register", body).await.expect(201);
        Self::signed_in(&answer, Person { number, device, ..Person::default() })
    }

    /// The same person on another device.
    pub(super) async fn sign_in(&self, person: &Person, n: u32) -> Person {
        let device = format!("{n:032x}");
        let code = self.code(&person.number, "sign_in", &device).await;
        let body = json!({"phone": person.number, "code": code, "device": {"id": device}});
        let answer = self.call("POST", "", "/v1/auth/sign-in", body).await.expect(200);
        Self::signed_in(&answer, Person { device, ..person.clone() })
    }

    async fn code(&self, number: &str, purpose: &str, device: &str) -> String {
        let body = json!({"phone": number, "purpose": purpose, "device_id": device});
        // Codes to one number are a minute apart: the clock of tests does not wait for that, so limits are lifted.
        self.lift_limits();
        self.call("POST", "", "/v1/auth/codes", body).await.expect(202);
        self.codes.lock().remove(number).unwrap()
    }

    fn lift_limits(&self) {
        let conn = rusqlite::Connection::open(self.folder.path().join("chat.db")).unwrap();
        conn.busy_timeout(DEADLINE).unwrap();
        conn.execute("DELETE FROM usages", []).unwrap();
    }

    fn signed_in(answer: &Value, person: Person) -> Person {
        let text = |field: &str| answer[field].as_str().unwrap().to_owned();
        let account = answer["account"]["id"].as_u64().unwrap();
        Person { account, access: text("access_token"), session: text("session_id"), ..person }
    }

    pub(super) async fn direct(&self, one: &Person, other: &Person) -> u64 {
        let body = json!({"kind": "direct", "members": [other.user]});
        self.post(one, "/v1/conversations", body).await.expect(201)["id"].as_u64().unwrap()
    }

    /// Comes in as the adapters do: see [`World::enter`] and [`World::admit`]. The error is the code.
    pub(super) async fn take_seat(&self, seat: &Value) -> Result<(RoomHandle, Sitting), String> {
        self.admit(self.enter(seat).await?).await
    }

    /// The first half: the token is checked, its seat judged, the room joined.
    pub(super) async fn enter(&self, seat: &Value) -> Result<Entered, String> {
        let (room, mut claims) = self.claims(seat)?;
        self.state.verifier().look(&mut claims).await.map_err(|error| error.code.to_owned())?;
        let wanted = RoomRequest { name: room, ..RoomRequest::default() };
        let joined = self.state.registry().join(wanted, claims.join_request(Mode::Single)).await;
        let (room, joined) = joined.map_err(|error| error.code().to_owned())?;
        Ok(Entered { room, claims, joined })
    }

    /// The second half: the seat is judged again.
    pub(super) async fn admit(&self, entered: Entered) -> Result<(RoomHandle, Sitting), String> {
        let Entered { room, claims, joined } = entered;
        let admitted = self.state.verifier().admit(&room, &joined, &claims).await;
        admitted.map_err(|error| error.code.to_owned())?;
        let sitting = Sitting::of(joined, &room).await;
        Ok((room, sitting))
    }

    /// The same of somebody who may be out by then.
    pub(super) async fn settle(&self, entered: Entered) -> Result<(), String> {
        let Entered { room, claims, joined } = entered;
        self.state.verifier().admit(&room, &joined, &claims).await.map_err(|error| error.code.to_owned())
    }

    /// Ends the room of a seat, as a fault of the media plane does, and waits until it is gone.
    pub(super) async fn end_room(&self, seat: &Value) {
        let name = seat["room"].as_str().unwrap();
        let room = self.state.registry().get(name).expect("an open room");
        room.close(LeaveReason::MediaFailure).await.unwrap();
        until(async || self.state.registry().get(name).is_none()).await;
    }

    /// Takes the seat of a connection that is gone, as the adapter of LiveKit's clients does: a store that does not answer
    /// keeps nobody from it.
    pub(super) async fn resume(&self, seat: &Value, before: &Sitting) -> Result<(RoomHandle, Sitting), String> {
        let known = |result: Result<(), convene_signaling::token::AuthError>| match result {
            Err(error) if error.code != convene_signaling::token::AuthError::UNAVAILABLE => Err(error.code.to_owned()),
            Ok(()) | Err(_) => Ok(()),
        };
        let (room, mut claims) = self.claims(seat)?;
        known(self.state.verifier().look(&mut claims).await)?;
        let room = self.state.registry().get(&room).expect("an open room");
        let joined = room.resume(&before.identity, &before.joined.info.sid).await;
        let joined = joined.map_err(|error| error.code().to_owned())?;
        known(self.state.verifier().admit(&room, &joined, &claims).await)?;
        let sitting = Sitting::of(joined, &room).await;
        Ok((room, sitting))
    }

    fn claims(&self, seat: &Value) -> Result<(String, Claims), String> {
        let refused = |error: convene_signaling::token::AuthError| error.code.to_owned();
        let claims = self.state.verifier().verify(seat["token"].as_str().unwrap_or_default()).map_err(refused)?;
        let room = claims.require_join("").map_err(refused)?.to_owned();
        assert_eq!(seat["room"], room.as_str());
        Ok((room, claims))
    }

    /// Publishing with this token by WHIP: the status.
    pub(super) async fn whip(&self, seat: &Value) -> u16 {
        let path = format!("/whip/{}", seat["room"].as_str().unwrap());
        self.call("POST", seat["token"].as_str().unwrap(), &path, Value::Null).await.0
    }
}

fn start(folder: &tempfile::TempDir) -> Store {
    Store::start(convene_store::Options::new(folder.path().join("chat.db"))).unwrap()
}

/// See [`World::place`].
pub(super) fn placing(whom: &Person, depts: &[DeptId]) -> Change {
    let places = Some(depts.iter().map(|dept| (dept.0, None)).collect());
    Change::Edit { account: AccountId(whom.account), edit: Edit { places, ..Edit::default() } }
}

/// See [`World::members`].
pub(super) async fn members(store: &Store, conv: u64) -> Vec<u64> {
    let found = store.ask(move |reader| reader.members(ConvId(conv))).await.unwrap();
    let mut users: Vec<_> = found.into_iter().map(|(user, _)| user.0).collect();
    users.sort_unstable();
    users
}

/// Waits until it holds.
pub(super) async fn until(condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("in time");
}
