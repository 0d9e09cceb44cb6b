//! The public face: a handle that asks the loop (`shell`) and waits for its answers. Not here: any decision.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convene_proto::im::{self, Body, body::Kind, frame};
use convene_types::ClientId;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::blob::{self, download};
use crate::config::Config;
use crate::db::meta::Key;
use crate::db::outbox::{Attachment, Outgoing};
use crate::device::{self, DeviceId};
use crate::error::Error;
use crate::net::dial::Dialer;
use crate::net::tls::Tls;
use crate::shell::{MAX_COMMANDS, Order, Parts, Session, Shell};
use crate::sync::{Command, Conversation, Engine, Page, Seat};
use crate::update::{MAX_BEHIND, Update, Updates};

/// How long a request waits for a connection and its answer, over reconnects.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between attempts of what works in a moment.
const MOMENT: Duration = Duration::from_millis(50);
/// How often a download is taken up again after a cut.
const MAX_RESUMES: u32 = 100;
/// Longest voice message that is made from a WAV file: ten minutes of 48 kHz stereo.
const MAX_WAV_BYTES: u64 = 120 * 1024 * 1024;

/// What is to be sent as a file.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file, which has to stay as it is until it is uploaded.
    Path(PathBuf),
    /// Bytes, which are copied into the data directory until they are uploaded.
    Bytes {
        /// Name to show, whose ending tells the type.
        name: String,
        /// The content.
        bytes: Vec<u8>,
    },
}

/// A client: one device of one user. Cheap to clone; it ends with its last clone or [`Client::shutdown`].
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    orders: mpsc::Sender<Order>,
    updates: broadcast::Sender<Update>,
    session: watch::Receiver<Option<Session>>,
    outgoing: PathBuf,
    device: DeviceId,
}

impl Client {
    /// Opens the database and begins to connect. Everything that needs no server works at once.
    ///
    /// Call it inside a tokio runtime with time. The client has a small one of its own, so that neither delays the other
    /// and it may outlive its owner's.
    pub async fn open(config: Config) -> Result<Self, Error> {
        config.server.check(config.allow_insecure)?;
        let outgoing = config.data_dir.join("outgoing");
        let directory = outgoing.clone();
        let (engine, info, device) = blocking(move || {
            let db = device::open(&config.data_dir)?;
            let organisation = device::claim(&db, config.device, &config.organisation)?;
            std::fs::create_dir_all(&directory)
                .map_err(|error| Error::File(format!("{}: {error}", directory.display())))?;
            let (info, device) = (db.value(Key::Info)?, DeviceId::of(&db)?);
            let seat = Seat { organisation, signed_in: config.device.is_some() };
            Ok((Engine::open(db, config.name, seat)?, info, device))
        })
        .await?;
        let dialer = Dialer::new(config.server, Tls::new(config.roots), config.ways, info.as_deref());
        let (to_shell, orders) = mpsc::channel(MAX_COMMANDS);
        let (updates, _) = broadcast::channel(MAX_BEHIND);
        let (session, watched) = watch::channel(None);
        let shared = Shared { orders: to_shell, updates: updates.clone(), session: watched, outgoing, device };
        let parts = Parts { engine, dialer, tokens: config.token, orders, updates, session };
        let thread = std::thread::Builder::new().name("convene-client".to_owned());
        let spawned = thread.spawn(move || {
            match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
                Ok(runtime) => {
                    runtime.block_on(Shell::new(parts).run());
                    runtime.shutdown_background(); // whatever still runs belongs to connections that are closed
                }
                // Every call of the owner is answered by `Closed`.
                Err(error) => tracing::error!(%error, "no threads for the network"),
            }
        });
        spawned.map_err(|error| Error::File(format!("no thread: {error}")))?;
        Ok(Self(Arc::new(shared)))
    }

    /// Receives what happens from here on.
    #[must_use]
    pub fn updates(&self) -> Updates {
        Updates(self.0.updates.subscribe())
    }

    /// Which device this is, as the server knows it.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.0.device
    }

    /// Who this is, once a server has said so.
    pub async fn me(&self) -> Result<Option<im::User>, Error> {
        self.ask(Command::Me).await
    }

    /// Waits until everything that happened without a connection is known.
    pub async fn synced(&self) -> Result<(), Error> {
        self.ask(Command::Synced).await
    }

    // ------------------------------------------------------------------------------------------------------- reading

    /// All conversations, most recently changed first.
    pub async fn conversations(&self) -> Result<Vec<Conversation>, Error> {
        self.ask(Command::Conversations).await
    }

    /// Messages of a conversation as they stand: at most `limit` below `before` (`None`: the newest), ascending. What is
    /// not here is fetched, if there is a connection; [`Page::complete`] says whether something is missing.
    pub async fn messages(&self, conv: u64, before: Option<u64>, limit: usize) -> Result<Page, Error> {
        self.ask(|answer| Command::Messages { conv, before, limit, answer }).await
    }

    /// The events of a conversation that this device has, ascending and encoded, as the server stores them.
    pub async fn log(&self, conv: u64) -> Result<Vec<im::Event>, Error> {
        self.ask(|answer| Command::Log { conv, answer }).await
    }

    /// What is not in the log yet: of one conversation, or of all.
    pub async fn outgoing(&self, conv: Option<u64>) -> Result<Vec<Outgoing>, Error> {
        self.ask(|answer| Command::Outgoing { conv, answer }).await
    }

    /// Users by id, as far as they are to be found. Those seen before need no connection.
    pub async fn users(&self, ids: &[u64]) -> Result<Vec<im::User>, Error> {
        let mut known = self.ask(|answer| Command::Users { ids: ids.to_vec(), answer }).await?;
        let missing: Vec<_> = ids.iter().copied().filter(|id| known.iter().all(|user| user.id != *id)).collect();
        for ids in missing.chunks(convene_proto::limits::MAX_FOUND_USERS) {
            known.extend(self.find(im::FindUsers { ids: ids.to_vec(), names: Vec::new() }).await?);
        }
        Ok(known)
    }

    /// Users by name.
    pub async fn find_users(&self, names: &[&str]) -> Result<Vec<im::User>, Error> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.find(im::FindUsers { ids: Vec::new(), names }).await
    }

    async fn find(&self, find: im::FindUsers) -> Result<Vec<im::User>, Error> {
        let frame::Body::Users(users) = self.request(frame::Body::FindUsers(find)).await? else {
            return Err(unexpected());
        };
        Ok(users.users)
    }

    /// All members of a conversation.
    pub async fn members(&self, conv: u64) -> Result<Vec<im::Member>, Error> {
        let mut members: Vec<im::Member> = Vec::new();
        loop {
            let after = members.last().map_or(0, |member| member.user);
            let get = frame::Body::GetMembers(im::GetMembers { conv, after, limit: 0 });
            let frame::Body::MembersPage(page) = self.request(get).await? else { return Err(unexpected()) };
            let more = page.more && !page.members.is_empty();
            members.extend(page.members);
            if !more {
                return Ok(members);
            }
        }
    }

    /// Who has read an event, at most 1,000 of them, and how many exactly.
    pub async fn receipts(&self, conv: u64, seq: u64) -> Result<im::Receipts, Error> {
        let limit = 1000;
        let get = frame::Body::GetReceipts(im::GetReceipts { conv, seq, limit, ..Default::default() });
        let frame::Body::Receipts(receipts) = self.request(get).await? else { return Err(unexpected()) };
        Ok(receipts)
    }

    // ------------------------------------------------------------------------------------------------------- writing

    /// Queues an event. It is durable here when this returns, and is sent when there is a connection, in the order it was
    /// written; [`Update::Sent`] or [`Update::SendFailed`] follows, after a restart too.
    pub async fn send(&self, conv: u64, body: Body) -> Result<ClientId, Error> {
        self.ask(|answer| Command::Send { conv, body: Box::new(body), file: None, answer }).await
    }

    /// Queues a voice message: Ogg or WebM with Opus as it is, WAV made into that. Later messages overtake it while it is
    /// uploaded.
    pub async fn send_voice(&self, conv: u64, source: Source) -> Result<ClientId, Error> {
        let source = opus_of(source).await?;
        self.send_blob(conv, source, Kind::Voice(im::Voice::default())).await
    }

    /// Queues a file.
    pub async fn send_file(&self, conv: u64, source: Source, caption: &str) -> Result<ClientId, Error> {
        let caption = caption.to_owned();
        self.send_blob(conv, source, Kind::File(im::File { blob: None, caption })).await
    }

    /// Queues a picture. `image` holds what is known of it; its blob is filled in.
    pub async fn send_image(&self, conv: u64, source: Source, image: im::Image) -> Result<ClientId, Error> {
        self.send_blob(conv, source, Kind::Image(image)).await
    }

    async fn send_blob(&self, conv: u64, source: Source, kind: Kind) -> Result<ClientId, Error> {
        let voice = matches!(kind, Kind::Voice(_));
        let (path, name, owned) = match source {
            Source::Path(path) => {
                let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                let path = std::path::absolute(&path).unwrap_or(path);
                (path, name, false)
            }
            Source::Bytes { name, bytes } => (self.keep(bytes).await?, name, true),
        };
        let (size, sha256) = blob::fingerprint(&path).await?;
        let mime = blob::mime_of(Path::new(&name)).to_owned();
        let file = Attachment { path, owned, sha256, size, mime, voice };
        let body = Body { kind: Some(named(kind, &name)), ..Body::default() };
        self.ask(|answer| Command::Send { conv, body: Box::new(body), file: Some(Box::new(file)), answer }).await
    }

    /// Puts bytes into the data directory, durably.
    async fn keep(&self, bytes: Vec<u8>) -> Result<PathBuf, Error> {
        let name: String = rand::random::<[u8; 16]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.0.outgoing.join(name);
        let to = path.clone();
        blocking(move || {
            let write = || -> std::io::Result<()> {
                let mut file = std::fs::File::create_new(&to)?;
                std::io::Write::write_all(&mut file, &bytes)?;
                file.sync_all()
            };
            write().map_err(|error| Error::File(format!("{}: {error}", to.display())))
        })
        .await?;
        Ok(path)
    }

    /// Sends a failed row again, as it is.
    pub async fn retry(&self, client_id: ClientId) -> Result<(), Error> {
        self.ask(|answer| Command::Retry { client_id, answer }).await
    }

    /// Takes a row out of the outbox. What the server has already stays there.
    pub async fn discard(&self, client_id: ClientId) -> Result<(), Error> {
        self.ask(|answer| Command::Discard { client_id, answer }).await
    }

    /// The user has read everything up to `seq`. Durable here when it returns, and told when there is a connection.
    pub async fn mark_read(&self, conv: u64, seq: u64) -> Result<(), Error> {
        self.ask(|answer| Command::MarkRead { conv, seq, answer }).await
    }

    /// Says that somebody types here; call it every 4 s while that is so. Nothing without a connection.
    pub async fn typing(&self, conv: u64, kind: im::TypingKind) -> Result<(), Error> {
        self.ask(|answer| Command::Typing { conv, kind, answer }).await
    }

    /// The direct conversation with a user: made, or found again. It is among [`Client::conversations`] by then.
    pub async fn create_direct(&self, name: &str) -> Result<u64, Error> {
        let users = self.named(&[name]).await?;
        self.create(im::ConversationKind::Direct, "", users).await
    }

    /// The same by number: people with accounts are found by [`crate::Account::find`].
    pub async fn create_direct_with(&self, user: u64) -> Result<u64, Error> {
        self.create(im::ConversationKind::Direct, "", vec![user]).await
    }

    /// Makes a group of these users and oneself.
    pub async fn create_group(&self, title: &str, names: &[&str]) -> Result<u64, Error> {
        let users = self.named(names).await?;
        self.create(im::ConversationKind::Group, title, users).await
    }

    /// The same by numbers.
    pub async fn create_group_with(&self, title: &str, users: Vec<u64>) -> Result<u64, Error> {
        self.create(im::ConversationKind::Group, title, users).await
    }

    /// Users of these names, all of them.
    async fn named(&self, names: &[&str]) -> Result<Vec<u64>, Error> {
        let users = self.find_users(names).await?;
        let missing = names.iter().find(|name| users.iter().all(|user| user.name != **name));
        if let Some(name) = missing {
            return Err(Error::Unknown(format!("user {name}: nobody of that name has signed in here yet")));
        }
        Ok(users.iter().map(|user| user.id).collect())
    }

    async fn create(&self, kind: im::ConversationKind, title: &str, members: Vec<u64>) -> Result<u64, Error> {
        let create = im::Create {
            client_id: self.ask(Command::NewId).await?.0.to_vec().into(),
            kind: kind.into(),
            title: title.to_owned(),
            members,
        };
        let frame::Body::Created(created) = self.request(frame::Body::Create(create)).await? else {
            return Err(unexpected());
        };
        self.known(created.conv).await?;
        Ok(created.conv)
    }

    /// Waits until a conversation is here: the answer to its `Create` overtakes what the user log says of it.
    async fn known(&self, conv: u64) -> Result<(), Error> {
        let mut updates = self.updates();
        let known = async {
            while self.conversations().await?.iter().all(|one| one.conv != conv) {
                updates.next().await.ok_or(Error::Closed)?;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, known).await.unwrap_or(Err(Error::Offline))
    }

    /// Changes the user's settings of a conversation.
    pub async fn change_settings(&self, settings: im::Settings) -> Result<(), Error> {
        let change = im::ChangeSettings { settings: Some(settings) };
        self.request(frame::Body::ChangeSettings(change)).await.map(drop)
    }

    /// Watches the presence of these users instead of those before; it comes as [`Update::Hint`]. It ends with the
    /// session: ask again after [`Update::Connected`].
    pub async fn watch_presence(&self, users: Vec<u64>) -> Result<(), Error> {
        self.request(frame::Body::WatchPresence(im::WatchPresence { users })).await.map(drop)
    }

    /// Path and query on the HTTP port that serve a blob for a while, without a token.
    pub async fn blob_link(&self, conv: u64, id: &[u8]) -> Result<im::BlobLink, Error> {
        self.link(im::BlobUrl { id: id.to_vec().into(), conv, user: 0 }).await
    }

    /// The same of the picture of a user who has one.
    pub async fn picture_link(&self, user: &im::User) -> Result<im::BlobLink, Error> {
        self.link(im::BlobUrl { id: user.picture.clone(), conv: 0, user: user.id }).await
    }

    async fn link(&self, url: im::BlobUrl) -> Result<im::BlobLink, Error> {
        let frame::Body::BlobLink(link) = self.request(frame::Body::BlobUrl(url)).await? else {
            return Err(unexpected());
        };
        Ok(link)
    }

    /// Downloads a blob that an event of `conv` carries to `dest`; `progress` hears bytes and total. A cut is bridged.
    pub async fn download(
        &self,
        conv: u64,
        blob: &im::BlobRef,
        dest: &Path,
        progress: impl Fn(u64, u64) + Send + Sync,
    ) -> Result<(), Error> {
        let job = download::Job { id: blob.id.clone(), conv, dest: dest.to_path_buf() };
        let mut resumes = 0;
        loop {
            let session = self.session().await?;
            match download::run(&session.sender, &job, &progress).await {
                Err(error) if error.is_transient() && resumes < MAX_RESUMES => {
                    tracing::debug!(%error, "a download is taken up again");
                    resumes += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                done => return done,
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------- connection

    /// Goes on from another UDP socket, e.g. because the system says that the network changed. Sessions and uploads
    /// survive it. A change of the local address is noticed without it, within a second.
    pub async fn rebind(&self) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.order(Order::Rebind(answer)).await?;
        done.await.map_err(|_| Error::Closed)?
    }

    /// Does not wait for the next attempt.
    pub async fn reconnect(&self) -> Result<(), Error> {
        self.order(Order::Reconnect).await
    }

    /// Ends the session and closes the database. What is queued is sent by the next client on this directory.
    pub async fn shutdown(&self) {
        let (answer, done) = oneshot::channel();
        if self.order(Order::Shutdown(answer)).await.is_ok() {
            let _ = done.await; // it ended by itself: as good
        }
    }

    /// A request on the control stream, once there is a session; repeated if the connection is lost meanwhile. Only for
    /// what may be done twice.
    async fn request(&self, body: frame::Body) -> Result<frame::Body, Error> {
        let attempts = async {
            loop {
                self.session().await?;
                let request = Box::new(body.clone());
                match self.ask(|answer| Command::Request { request, answer }).await {
                    Err(Error::Lost(_) | Error::Offline) => {}
                    // The server has not seen the end of the handshake yet.
                    Err(Error::Refused { code: im::Code::TooEarly, .. }) => tokio::time::sleep(MOMENT).await,
                    answer => return answer,
                }
            }
        };
        tokio::time::timeout(PATIENCE, attempts).await.unwrap_or(Err(Error::Offline))
    }

    async fn session(&self) -> Result<Session, Error> {
        let mut session = self.0.session.clone();
        let open = tokio::time::timeout(PATIENCE, session.wait_for(Option::is_some)).await;
        let open = open.map_err(|_| Error::Offline)?.map_err(|_| Error::Closed)?;
        open.clone().ok_or(Error::Offline)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command) -> Result<T, Error> {
        let (answer, done) = oneshot::channel();
        self.order(Order::Do(command(answer))).await?;
        done.await.map_err(|_| Error::Closed)?
    }

    async fn order(&self, order: Order) -> Result<(), Error> {
        self.0.orders.send(order).await.map_err(|_| Error::Closed)
    }
}

fn unexpected() -> Error {
    Error::Protocol("another reply than the one asked for".to_owned())
}

/// Puts the file's name where the server takes it from.
fn named(kind: Kind, name: &str) -> Kind {
    let blob = Some(im::BlobRef { name: name.to_owned(), ..im::BlobRef::default() });
    if let Kind::File(file) = kind {
        Kind::File(im::File { blob, ..file })
    } else if let Kind::Image(image) = kind {
        Kind::Image(im::Image { blob, ..image })
    } else {
        kind
    }
}

/// WAV is made into Ogg Opus; anything else goes as it is, and the server judges it.
async fn opus_of(source: Source) -> Result<Source, Error> {
    let is_wav = |name: &Path| name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("wav"));
    let (name, bytes) = match source {
        Source::Path(path) if is_wav(&path) => {
            let failed = |error: std::io::Error| Error::File(format!("{}: {error}", path.display()));
            if tokio::fs::metadata(&path).await.map_err(failed)?.len() > MAX_WAV_BYTES {
                return Err(Error::File(format!("{}: too long for a voice message", path.display())));
            }
            let name = path.with_extension("ogg").file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, tokio::fs::read(&path).await.map_err(failed)?)
        }
        Source::Bytes { name, bytes } if is_wav(Path::new(&name)) => {
            (Path::new(&name).with_extension("ogg").to_string_lossy().into_owned(), bytes)
        }
        source @ (Source::Path(_) | Source::Bytes { .. }) => return Ok(source),
    };
    let encode = move || convene_voice::encode::from_wav(&bytes).map_err(|error| Error::File(error.to_string()));
    Ok(Source::Bytes { name, bytes: blocking(encode).await? })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::File(error.to_string())))
}
