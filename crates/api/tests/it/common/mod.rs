//! The service over its real router and a store in a folder of its own, and short words for what tests do with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use convene_accounts::program;
use convene_api::{Api, Keys, Options, Sender};
use convene_store::{BlobOptions, Blobs, Reader, Store};
use convene_telemetry::Metrics;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const POLICY: &str = "1";

/// A server.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: Arc<Metrics>,
    router: Router,
    codes: Codes,
    folder: tempfile::TempDir,
}

/// The last code of each number and purpose.
type Codes = Arc<Mutex<HashMap<(String, &'static str), String>>>;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Null when there is none.
    pub(crate) body: Value,
}

impl Answer {
    /// The same, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// Asserts that it is a refusal with this code, in the form that all have.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["detail"].as_str().is_some_and(|text| text.ends_with('.')), "{}", self.body);
        self
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no {field}: {}", self.body)).to_owned()
    }

    #[track_caller]
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.body[field].as_u64().unwrap_or_else(|| panic!("no {field}: {}", self.body))
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) account: u64,
    pub(crate) phone: String,
    pub(crate) device: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

impl Person {
    #[track_caller]
    pub(crate) fn from(answer: &Answer, phone: &str, device: &str) -> Self {
        Self {
            account: answer.body["account"]["id"].as_u64().unwrap_or_else(|| panic!("{}", answer.body)),
            phone: phone.to_owned(),
            device: device.to_owned(),
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            session: answer.text("session_id"),
        }
    }
}

/// The n-th mobile number.
pub(crate) fn phone(n: u32) -> String {
    format!("+86138{n:08}")
}

/// A device id.
pub(crate) fn device(n: u32) -> String {
    format!("{n:032x}")
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    async fn open(folder: tempfile::TempDir) -> Self {
        let store = Store::start(convene_store::Options::new(folder.path().join("convene.db"))).unwrap();
        let (codes, metrics) = (Codes::default(), Arc::new(Metrics::new()));
        let kept = Arc::clone(&codes);
        let sender = Sender::Program(Box::new(move |phone, purpose, digits| {
            kept.lock().unwrap().insert((phone.e164().to_owned(), purpose.name()), digits.to_owned());
            Ok(())
        }));
        let options = Options {
            store: store.clone(),
            keys: Keys::derive(&[7; 32]).unwrap(),
            sender,
            region: "CN".into(),
            policy_version: POLICY.into(),
            access_log_days: 1,
            metrics: Arc::clone(&metrics),
        };
        let blobs = Blobs::open(store.clone(), BlobOptions::below(folder.path())).await.unwrap();
        let api = Api::start(options).await.unwrap().with_blobs(blobs.clone());
        let router = api.router();
        Self { api, store, blobs, metrics, router, codes, folder }
    }

    /// Ends the server, and starts another one over the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { store, folder, .. } = self;
        store.stop();
        Self::open(folder).await
    }

    /// Status, headers and bytes of what is no JSON.
    pub(crate) async fn raw(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (status, headers, bytes) = self.raw(request).await;
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or(Value::Null) };
        Answer { status, headers, body }
    }

    /// A request with more headers.
    pub(crate) async fn with(&self, what: &str, token: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let (method, path) = what.split_once(' ').expect("METHOD /path");
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.header(header::CONTENT_TYPE, "application/json").body(body).unwrap()).await
    }

    pub(crate) async fn call(&self, what: &str, token: &str, body: Value) -> Answer {
        self.with(what, token, &[], body).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(&format!("GET {path}"), token, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(&format!("POST {path}"), token, body).await
    }

    /// Forgets what was counted: a day has gone by.
    pub(crate) fn forgive(&self) {
        self.damage("DELETE FROM usages");
    }

    /// A number that the database answers.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let database = rusqlite::Connection::open(self.folder.path().join("convene.db")).unwrap();
        database.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
    }

    /// Files of blobs that are there.
    pub(crate) fn files(&self) -> usize {
        let folders = std::fs::read_dir(self.folder.path().join("blobs")).unwrap();
        folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
    }

    /// Changes the database behind the server's back.
    pub(crate) fn damage(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.folder.path().join("convene.db")).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        database.execute(sql, ()).unwrap();
    }

    /// Whatever is asked of the store is refused until the answer is dropped: its readers are at work, and their queue is full.
    pub(crate) async fn refuse_reads(&self) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel();
        let held = Arc::new(Mutex::new(held));
        let readers = convene_store::Options::new("").readers;
        let (to, mut begun) = tokio::sync::mpsc::channel(readers);
        for _ in 0..readers {
            let (held, to) = (Arc::clone(&held), to.clone());
            let wait = move |_: &mut Reader| {
                to.blocking_send(()).unwrap();
                let _ = held.lock().unwrap().recv(); // an error says that it was dropped
                Ok(())
            };
            // Asked once it was polled; nobody waits for the answer.
            assert!(self.store.ask(wait).now_or_never().is_none());
        }
        for _ in 0..readers {
            begun.recv().await.unwrap();
        }
        while self.store.ask(|_| Ok(())).now_or_never().is_none() {}
        hold
    }

    /// Has a code sent, whatever was sent before, and reads it.
    pub(crate) async fn code(&self, phone: &str, purpose: &'static str, device: &str) -> String {
        self.forgive();
        let body = json!({ "phone": phone, "purpose": purpose, "device_id": device });
        self.post("/v1/auth/codes", "", body).await.expect(202);
        self.codes.lock().unwrap()[&(phone.to_owned(), purpose)].clone()
    }

    /// A new account with the n-th number, on the n-th device.
    pub(crate) async fn register(&self, n: u32, name: &str) -> Person {
        let (phone, device) = (phone(n), device(n));
        let code = self.code(&phone, "register", &device).await;
        let body = json!({ "phone": phone, "code": code, "display_name": name, "consent": POLICY,
            "device": { "id": device, "model": "Pixel 9", "system": "Android 16" } });
        Person::from(&self.post("/v1/auth/register", "", body).await.expect(201), &phone, &device)
    }

    /// The same with a password.
    pub(crate) async fn register_with(&self, n: u32, name: &str, password: &str) -> Person {
        let person = self.register(n, name).await;
        self.call("PUT /v1/me/password", &person.access, json!({ "new": password })).await.expect(204);
        person
    }

    /// Somebody signs in by code on another device.
    pub(crate) async fn sign_in(&self, phone: &str, device: &str) -> Person {
        let code = self.code(phone, "sign_in", device).await;
        let body = json!({ "phone": phone, "code": code, "device": { "id": device } });
        Person::from(&self.post("/v1/auth/sign-in", "", body).await.expect(200), phone, device)
    }
}

/// What is done in organisations.
impl World {
    /// Founds an organisation.
    pub(crate) async fn found(&self, owner: &Person, title: &str) -> u64 {
        self.post("/v1/organisations", &owner.access, json!({ "title": title })).await.expect(201).number("id")
    }

    /// A token of a program with a new API key of these scopes.
    pub(crate) async fn program(&self, org: u64, owner: &Person, scopes: Value) -> String {
        let wanted = json!({ "title": "backend", "scopes": scopes });
        let made = self.post(&format!("/v1/organisations/{org}/keys"), &owner.access, wanted).await.expect(201);
        Self::signed(&made.text("id"), &made.text("secret"))
    }

    /// A token as a program signs it.
    pub(crate) fn signed(key: &str, secret: &str) -> String {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        program::sign(key, secret, 600, now_s).unwrap()
    }

    /// Invites somebody by number, and lets them accept.
    pub(crate) async fn let_in(&self, org: u64, admin: &Person, guest: &Person) {
        let body = json!({ "phone": guest.phone });
        let id = self
            .post(&format!("/v1/organisations/{org}/invitations"), &admin.access, body)
            .await
            .expect(201)
            .number("id");
        let joined =
            self.post(&format!("/v1/me/invitations/{id}/accept"), &guest.access, Value::Null).await.expect(200);
        assert_eq!(joined.number("organisation"), org);
    }

    /// Gives somebody a role.
    pub(crate) async fn set_role(&self, org: u64, owner: &Person, whom: &Person, role: Value) {
        let path = format!("PUT /v1/organisations/{org}/members/{}/role", whom.account);
        self.call(&path, &owner.access, role).await.expect(204);
    }

    /// Makes something below an organisation, and answers its id.
    pub(crate) async fn add(&self, org: u64, admin: &Person, what: &str, body: Value) -> u64 {
        self.post(&format!("/v1/organisations/{org}/{what}"), &admin.access, body).await.expect(201).number("id")
    }

    /// Another policy.
    pub(crate) async fn set_policy(&self, org: u64, owner: &Person, policy: Value) {
        let path = format!("/v1/organisations/{org}/policy");
        let tag = self.get(&path, &owner.access).await.expect(200).header("etag").to_owned();
        self.with(&format!("PUT {path}"), &owner.access, &[("if-match", &tag)], policy).await.expect(204);
    }
}
