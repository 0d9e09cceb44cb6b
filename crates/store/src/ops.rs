//! What is asked of the one writer, and what it answers. The unit of both is the batch: see [`crate::Engine::apply`].

use bytes::Bytes;
use convene_accounts::Refusal;
use convene_proto::im;
use convene_types::{CallId, ClientId, ConvId, DeptId, Ordinal, OrgId, Seq, Useq, UserId};

use crate::{accesses, accounts, orgs, webhooks};

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// Appends an event to a conversation's log.
    Append {
        /// Organisation of the actor; the conversation has to be in it.
        org: OrgId,
        /// Who does it; 0 is the server itself.
        actor: UserId,
        /// Makes a retry the same thing (I3).
        client_id: ClientId,
        /// Where.
        conv: ConvId,
        /// What.
        body: im::Body,
    },
    /// Makes a conversation, or finds the direct one of these two.
    Create {
        /// Organisation of all of them.
        org: OrgId,
        /// Becomes the owner of a group.
        maker: UserId,
        /// Makes a retry the same thing.
        client_id: ClientId,
        /// Direct or group.
        kind: im::ConversationKind,
        /// Of a group.
        title: String,
        /// The others.
        members: Vec<UserId>,
    },
    /// Raises a read cursor.
    Read {
        /// Whose.
        user: UserId,
        /// Of which conversation.
        conv: ConvId,
        /// To here.
        seq: Seq,
    },
    /// Changes a user's own settings of a conversation.
    Settings {
        /// Whose.
        user: UserId,
        /// Absent fields stay.
        settings: im::Settings,
    },
    /// Finds a user by organisation and name, or makes both; keeps the display name up to date.
    EnsureUser {
        /// Name of the organisation.
        org_name: String,
        /// Name of the user in it.
        name: String,
        /// As others see it; empty: what is known stays.
        display_name: String,
    },
    /// Begins an upload, or finds the one of the same user and content again.
    UploadBegin(NewUpload),
    /// The content is stored under the upload's id: makes it a blob, or drops it for the same content that is there.
    UploadCommit {
        /// Which.
        upload: [u8; 16],
        /// Its owner.
        user: UserId,
        /// What was found in it.
        facts: BlobFacts,
    },
    /// Ends an upload that led to nothing.
    UploadDrop {
        /// Which.
        upload: [u8; 16],
    },
    /// Ends uploads begun before `before_ms` and blobs without an event made before then.
    Expire {
        /// What is older goes.
        before_ms: i64,
    },
    /// These objects are deleted.
    TrashDone {
        /// Their keys.
        keys: Vec<String>,
    },
    /// Writes a call down: an event of the conversation, and the row of the call. The first time, it begins; with any other
    /// outcome than "it rings", it is over.
    Call {
        /// Organisation of the conversation.
        org: OrgId,
        /// Where.
        conv: ConvId,
        /// Which call.
        id: CallId,
        /// What of it.
        record: im::CallRecord,
    },
    /// Keeps how a call stands that is on, for the next start of the server. Nobody is told, and nothing happens to one that is
    /// over.
    KeepCall {
        /// Which call.
        id: CallId,
        /// How it stands.
        state: im::CallState,
    },
    /// Takes what was said before `before_ms` out of a conversation, as far as one step goes: tombstones in its place, and an
    /// event that says so.
    Sweep {
        /// Where.
        conv: ConvId,
        /// What is older goes.
        before_ms: i64,
    },
    /// Tells a user's own devices how their profile reads by now: an entry of the user log.
    TellProfile {
        /// Whose.
        user: UserId,
    },
    /// This group is the one of a department from now on.
    DepartmentGroup {
        /// Where.
        org: OrgId,
        /// Of which department.
        dept: DeptId,
        /// The group.
        conv: ConvId,
    },
    /// Puts those into the group of a department who have come to stand there, and takes out who does not any more: some
    /// of them. Nothing happens where the organisation does not want that.
    FollowDepartment {
        /// Where.
        org: OrgId,
        /// Which department.
        dept: DeptId,
        /// A name that nothing has.
        client_id: ClientId,
    },
    /// Something about people.
    Account(accounts::Op),
    /// Something about an organisation of people.
    Org(orgs::Op),
    /// Something about webhooks.
    Webhook(webhooks::Op),
    /// Something about the access log.
    Access(accesses::Op),
}

/// An upload that begins.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its name: random, made by the caller. Not used when the upload exists.
    pub id: [u8; 16],
    /// Organisation of the user.
    pub org: OrgId,
    /// Who uploads.
    pub user: UserId,
    /// Of the whole content.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// As the client believes.
    pub mime: String,
    /// Is to be a voice message.
    pub voice: bool,
}

/// An upload as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Its name.
    pub id: [u8; 16],
    /// Organisation of its user.
    pub org: OrgId,
    /// Who uploads.
    pub user: UserId,
    /// Of the whole content, as announced.
    pub sha256: [u8; 32],
    /// Bytes, as announced.
    pub size: u64,
    /// As the client believes.
    pub mime: String,
    /// Is to be a voice message.
    pub voice: bool,
    /// The blob it became. Then nothing is left to upload.
    pub blob: Option<BlobRow>,
}

/// What the server found by looking at the content of a blob.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlobFacts {
    /// SHA-256: its name.
    pub id: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// Type.
    pub mime: String,
    /// Of a voice message: duration, waveform and loudness. Its `blob` is not looked at.
    pub voice: Option<im::Voice>,
}

/// A blob that can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct BlobRow {
    /// What it is.
    pub facts: BlobFacts,
    /// Name of the object that holds it.
    pub key: String,
}

impl BlobRow {
    /// As it stands in events.
    #[must_use]
    pub fn reference(&self) -> im::BlobRef {
        let BlobFacts { id, size, mime, .. } = &self.facts;
        im::BlobRef { id: Bytes::copy_from_slice(id), size: *size, mime: mime.clone(), name: String::new() }
    }
}

/// What became of an [`Op`].
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Of `Append` and `Call`.
    Appended(Appended),
    /// Of `Create`.
    Created {
        /// The conversation.
        conv: ConvId,
        /// It was there already.
        duplicate: bool,
        /// Its first events, unless it was there.
        events: Vec<Appended>,
    },
    /// Of `Read`.
    Read {
        /// Where the cursor is.
        seq: Seq,
        /// Countable ordinal there.
        ord: Ordinal,
        /// It was lower before.
        risen: bool,
        /// For the user's devices, if it rose.
        push: Option<UserPush>,
    },
    /// Of `Sweep`.
    Swept {
        /// The event, if there was anything to take.
        appended: Option<Appended>,
        /// Bodies that went.
        bodies: usize,
        /// There is more to take: sweep again.
        more: bool,
    },
    /// Of `Settings` and `TellProfile`.
    Settings {
        /// For the user's devices.
        push: UserPush,
    },
    /// Of `EnsureUser`.
    User {
        /// The organisation.
        org: OrgId,
        /// The user.
        user: im::User,
        /// For the user's devices, when the display name has changed.
        push: Option<UserPush>,
    },
    /// Of `UploadBegin` and `UploadCommit`.
    Upload(Upload),
    /// Of `Expire`: ids of the uploads that ended. Objects that are no longer needed are in the trash.
    Expired(Vec<[u8; 16]>),
    /// Of `Account`. A refusal in here is an answer that may have left a trace: a wrong code is counted.
    Account(Result<accounts::Outcome, Refusal>),
    /// Of `Org`.
    Org(Result<orgs::Outcome, Refusal>),
    /// Of `Webhook`.
    Webhook(webhooks::Enqueued),
    /// Of the others.
    Done,
}

/// An event in its log.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// Conversation.
    pub conv: ConvId,
    /// Where in the log.
    pub seq: Seq,
    /// Countable events up to it.
    pub ord: Ordinal,
    /// When.
    pub at_ms: i64,
    /// This client id had been stored before: nothing has happened.
    pub duplicate: bool,
    /// The encoded `im::Event`; empty when duplicate.
    pub event: Bytes,
    /// Who came in, and up to where the log stays hidden from them.
    pub added: Vec<(UserId, Seq)>,
    /// Who went. This event is the last they see.
    pub removed: Vec<UserId>,
    /// For devices of users: joins and leaves.
    pub pushes: Vec<UserPush>,
    /// The sender's read cursor has come to this event.
    pub sender_read: bool,
    /// Members, roles, mutes or the state of the group are others than before.
    pub standing: bool,
    /// Of `Sweep`: retention has gone over the log up to here.
    pub swept: Seq,
}

/// An entry of a user's own log.
#[derive(Clone, Debug, PartialEq)]
pub struct UserPush {
    /// Whose.
    pub user: UserId,
    /// Where in the log.
    pub useq: Useq,
    /// What.
    pub event: im::UserEvent,
}

/// An object nobody refers to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trash {
    /// Its name.
    pub key: String,
}
