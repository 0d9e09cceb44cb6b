//! The store with no transport in front: the same database, the same senders and conversations as the server gets, filled
//! through the engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use convene_proto::im;
use convene_store::{Engine, EngineOptions, Op, Options, Outcome, Store};
use convene_types::{ClientId, ConvId, OrgId, UserId};

use crate::cache;
use crate::chat::closed_loop::{self, Round};
use crate::chat::session::{ORG, client_id};

/// Who sends.
pub const SENDERS: usize = 64;
/// Bytes of each text.
pub const BODY_BYTES: usize = 300;
/// Groups of each sender. The other member is never online: what is measured is sending.
const CONVERSATIONS_EACH: usize = 16;
/// Messages of one transaction while filling.
const FILL_BATCH: u64 = 4_000;

/// Who sends where.
#[derive(Clone, Debug)]
pub struct Layout {
    org: OrgId,
    senders: Vec<UserId>,
    /// `CONVERSATIONS_EACH` of the first sender, then of the next.
    conversations: Vec<ConvId>,
}

impl Layout {
    /// The sender of a task, and the conversation of its turn.
    #[must_use]
    pub fn pick(&self, task: usize, turn: u64) -> (usize, u64) {
        let sender = task % SENDERS;
        // Tasks of one sender begin at different conversations.
        let nth = (task / SENDERS + turn as usize) % CONVERSATIONS_EACH;
        let conv = self.conversations.get(sender * CONVERSATIONS_EACH + nth);
        (sender, conv.map_or(0, |conv| conv.0))
    }

    /// The append of a task in its turn.
    pub fn append(&self, task: usize, turn: u64, body: usize) -> Result<Op> {
        let (sender, conv) = self.pick(task, turn);
        let kind = im::body::Kind::Text(im::Text { text: text(turn, body) });
        Ok(Op::Append {
            org: self.org,
            actor: *self.senders.get(sender).context("no such sender")?,
            client_id: ClientId::from_wire(&client_id()).context("a client id has 16 bytes")?,
            conv: ConvId(conv),
            body: im::Body { kind: Some(kind), ..im::Body::default() },
        })
    }
}

/// Account name of a sender.
#[must_use]
pub fn sender(number: usize) -> String {
    format!("sender{number}")
}

/// A text of so many bytes, different in each turn.
#[must_use]
pub fn text(turn: u64, bytes: usize) -> String {
    let mut text = format!("{turn} ");
    text.extend(std::iter::repeat_n("lorem ipsum ", bytes / 12 + 1));
    text.truncate(bytes);
    text
}

/// Makes senders and conversations at `path`, and `messages` in them; finds them when they are there.
pub fn prepare(path: &Path, messages: u64) -> Result<Layout> {
    let mut engine = open(path)?;
    let layout = lay_out(&mut engine)?;
    let mut filled = 0;
    while filled < messages {
        let count = FILL_BATCH.min(messages - filled);
        let op = |n: u64| layout.append((filled + n) as usize % SENDERS, (filled + n) / SENDERS as u64, BODY_BYTES);
        apply(&mut engine, (0..count).map(op).collect::<Result<_>>()?)?;
        filled += count;
    }
    // What is copied has to be in one file.
    if !engine.empty_wal()? {
        bail!("the WAL of {} could not be emptied", path.display());
    }
    Ok(layout)
}

/// A store with `messages` in it, made once; the caller copies it. `empty` is one that was just made.
pub fn filled(folder: &Path, empty: &Path, messages: u64) -> Result<PathBuf> {
    cache::kept(folder, &format!("filled-{messages}"), empty, |path| prepare(path, messages).map(drop))
}

/// Starts the store as the server does.
pub fn start(path: &Path) -> Result<Store> {
    Store::start(Options::new(path)).with_context(|| format!("starting the store at {}", path.display()))
}

/// The database without the store's threads.
pub fn open(path: &Path) -> Result<Engine> {
    Engine::open(path, EngineOptions::default()).with_context(|| format!("opening {}", path.display()))
}

fn lay_out(engine: &mut Engine) -> Result<Layout> {
    let mut org = OrgId::default();
    let mut users = Vec::new();
    let names = (0..SENDERS).map(sender).chain(["absent".to_owned()]);
    let ensure = |name| Op::EnsureUser { org_name: ORG.to_owned(), name, display_name: String::new() };
    for outcome in apply(engine, names.map(ensure).collect())? {
        let Outcome::User { org: of, user, .. } = outcome else { bail!("no user but {outcome:?}") };
        org = of;
        users.push(UserId(user.id));
    }
    let absent = users.pop().context("no users")?;
    let create = |number: usize| Op::Create {
        org,
        maker: users.get(number / CONVERSATIONS_EACH).copied().unwrap_or_default(),
        client_id: ClientId((number as u128).to_be_bytes()),
        kind: im::ConversationKind::Group,
        title: format!("conversation {number}"),
        members: vec![absent],
    };
    let mut conversations = Vec::new();
    for outcome in apply(engine, (0..SENDERS * CONVERSATIONS_EACH).map(create).collect())? {
        let Outcome::Created { conv, .. } = outcome else { bail!("no conversation but {outcome:?}") };
        conversations.push(conv);
    }
    Ok(Layout { org, senders: users, conversations })
}

/// One transaction. A refusal is a failure.
pub fn apply(engine: &mut Engine, batch: Vec<Op>) -> Result<Vec<Outcome>> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let outcomes = engine.apply(batch, now_ms).context("writing to the store")?;
    outcomes.into_iter().map(|outcome| outcome.context("the store refused")).collect()
}

/// One round with `tasks` appends under way.
pub async fn round(store: &Store, layout: &Arc<Layout>, tasks: usize, body: usize, span: Duration) -> Result<Round> {
    let (store, layout) = (store.clone(), layout.clone());
    closed_loop::run(tasks, span, move |task, turn| {
        let (store, layout) = (store.clone(), layout.clone());
        async move {
            store.write_async(layout.append(task, turn, body)?).await.context("the store refused")?;
            Ok(())
        }
    })
    .await
}
