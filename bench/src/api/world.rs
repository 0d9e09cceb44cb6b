//! The service under test in this process, over a store on the disk; and somebody with an account on it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use convene_accounts::invitation::{link_hash, link_token};
use convene_accounts::policy::{Directory, Policy};
use convene_accounts::profile::Edit;
use convene_accounts::token::DEFAULT_ORG;
use convene_api::{Api, Keys, Options, Sender};
use convene_store::Store;
use convene_store::orgs::{self, Change, Invited, JoinBy, Op};
use convene_telemetry::Metrics;
use convene_types::{AccountId, DeptId, OrgId};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Of whoever asks.
const PHONE: &str = "+8613800138000";
const PASSWORD: &str = "correct horse battery";

/// The service.
pub struct World {
    /// What it answers with.
    pub router: Router,
    /// The service itself.
    pub api: Api,
    /// What it is over.
    pub store: Store,
    codes: Arc<Mutex<HashMap<String, String>>>,
}

impl World {
    /// Over the store at `path`. Somebody registers.
    pub async fn start(path: &Path) -> Result<Self> {
        let store = Store::start(convene_store::Options::new(path)).context("opening the store")?;
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
        let world = Self { router: api.router(), api, store, codes };
        world.register().await?;
        Ok(world)
    }

    async fn register(&self) -> Result<()> {
        let wanted = json!({ "phone": PHONE, "purpose": "register", "device_id": device(0) });
        self.post("/v1/auth/codes", wanted).await?;
        let code = self.codes.lock().expect("nobody panics with it").get(PHONE).cloned().context("a code")?;
        let new = json!({ "phone": PHONE, "code": code, "display_name": "Ana", "password": PASSWORD,
            "consent": "1", "device": { "id": device(0) } });
        self.post("/v1/auth/register", new).await.map(|_| ())
    }

    /// Answers what the router does, without a network.
    pub async fn send(&self, request: Request<Body>) -> Result<Value> {
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    /// Of whoever is not signed in.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string()))?).await
    }

    /// One more session, on a device of this number.
    pub async fn sign_in(&self, on: u64) -> Result<Value> {
        let body = json!({ "phone": PHONE, "password": PASSWORD, "device": { "id": device(on) } });
        self.post("/v1/auth/sign-in", body).await
    }

    /// Puts whoever registered into a department of a large organisation: the first one below the top.
    pub async fn join(&self, name: &str) -> Result<(OrgId, DeptId)> {
        ensure!(name != DEFAULT_ORG, "{name} is no organisation of people");
        let of = name.to_owned();
        let org = self.store.ask(move |reader| reader.org_named(&of)).await?.context("no such organisation")?;
        let tree = self.store.ask(move |reader| reader.tree(org)).await?;
        let dept = tree.children(DeptId(0)).first().context("it has no departments")?.id;
        let account = self.account().await?;
        let hash = link_hash(&link_token(&[1; 32]))?;
        let whom = Invited::Link { hash, uses: 1 };
        let invite = Change::Invite { whom, sealed: None, dept, ask: false, valid_for_s: 60 };
        self.change(org, AccountId(0), invite).await?;
        self.change(org, account, Change::Join(JoinBy::Link(hash))).await?;
        Ok((org, dept))
    }

    /// A department with nothing below it.
    pub async fn leaf(&self, org: OrgId) -> Result<DeptId> {
        let tree = self.store.ask(move |reader| reader.tree(org)).await?;
        tree.branch(DeptId(0)).last().copied().context("it has no departments")
    }

    /// Where whoever registered stands from now on.
    pub async fn stand(&self, org: OrgId, dept: DeptId) -> Result<()> {
        let account = self.account().await?;
        let edit = Edit { places: Some(vec![(dept.0, None)]), ..Edit::default() };
        self.change(org, AccountId(0), Change::Edit { account, edit }).await.map(drop)
    }

    async fn account(&self) -> Result<AccountId> {
        let id = self.sign_in(0).await?.pointer("/account/id").and_then(Value::as_u64);
        id.map(AccountId).context("an account")
    }

    /// Lets members see so much of each other.
    pub async fn show(&self, org: OrgId, directory: Directory) -> Result<()> {
        let (policy, version) = self.store.ask(move |reader| reader.policy(org)).await?.context("no policy")?;
        let change = Change::SetPolicy { policy: Policy { directory, ..policy }, version };
        self.change(org, AccountId(0), change).await.map(drop)
    }

    async fn change(&self, org: OrgId, by: AccountId, change: Change) -> Result<orgs::Outcome> {
        let done = self.store.org(Op { org, by, address: String::new(), change, once: None }).await;
        match done {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => bail!("refused: {refusal:?}"),
        }
    }
}

fn device(n: u64) -> String {
    format!("{n:032x}")
}

/// A field of an answer.
pub fn text(answer: &Value, field: &str) -> Result<String> {
    answer.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {field} in the answer"))
}
