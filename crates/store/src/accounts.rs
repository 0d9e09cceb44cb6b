//! What is asked of the writer about people, and what it answers: the account half of [`crate::Op`] and [`crate::Outcome`].
//!
//! Keys stay with the caller: numbers come as look-ups and sealed bytes, codes as tags, passwords as hashes, refresh tokens
//! as verified generations. What may happen is decided by `convene-accounts`, inside the writer's transaction.
//!
//! A refusal in here has no effect but what it is about: a wrong code is counted, a stolen session is ended.

use convene_accounts::limits::{Act, Subject};
use convene_accounts::session::{End, Session};
use convene_accounts::vault::Lookup;
use convene_accounts::verification::{Purpose, Tag};
use convene_types::{AccountId, DeviceId, InviteId, OrgId, SessionId, UserId};

/// What is limited is counted under this: a hash, or an id filled up with zero bytes.
pub type UsageKey = [u8; 32];

/// Devices of one account. Past that, the one unseen for longest is forgotten.
pub const MAX_DEVICES: usize = 64;
/// People in one address book.
pub const MAX_CONTACTS: u64 = 5_000;
/// Longest note on one of them.
pub const MAX_NOTE_BYTES: usize = 512;
/// Longest model, system, address or push token that is kept.
pub const MAX_DEVICE_BYTES: usize = 512;

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// Counts an act, or refuses it. Goes before work that a stranger can cause.
    Take {
        /// What.
        act: Act,
        /// Against whom.
        subjects: Vec<(Subject, UsageKey)>,
    },
    /// A code goes out: counts it, and puts it in the place of the one before.
    SendCode {
        /// Of the number.
        lookup: Lookup,
        /// What for.
        purpose: Purpose,
        /// Of the code.
        tag: Tag,
        /// Whom it counts against.
        subjects: Vec<(Subject, UsageKey)>,
    },
    /// A code came back. If it is right, it is used up and `then` happens, all at once.
    EnterCode {
        /// Of the number.
        lookup: Lookup,
        /// Of what was typed, for [`Then::purpose`].
        tag: Tag,
        /// Whom it counts against.
        subjects: Vec<(Subject, UsageKey)>,
        /// What it is for.
        then: Then,
    },
    /// A password was right.
    SignIn {
        /// Whose.
        account: AccountId,
        /// The hash it was checked against: if it has changed since, so has the password.
        checked: String,
        /// The same password under other parameters.
        rehashed: Option<String>,
        /// Where, and what begins.
        entry: Entry,
    },
    /// Another password. Ends all other sessions.
    SetPassword {
        /// Whose.
        account: AccountId,
        /// A PHC string.
        hash: String,
        /// Goes on.
        keep: Option<SessionId>,
    },
    /// A refresh token of this generation, which the caller has verified, was used.
    Refresh {
        /// Session.
        id: SessionId,
        /// Of the token.
        generation: u32,
    },
    /// Ends sessions.
    End {
        /// Whose.
        account: AccountId,
        /// Which of them.
        which: Which,
        /// Why.
        end: End,
    },
    /// Blocks an account, or lets it in again. Blocking ends its sessions.
    Disable {
        /// Which.
        account: AccountId,
        /// Blocked or not.
        disabled: bool,
    },
    /// What a device says of itself, and when it was there last.
    SeeDevice {
        /// Whose.
        account: AccountId,
        /// The device.
        device: Device,
    },
    /// An account made by whoever runs the server: nobody has proved the number.
    Create {
        /// Of the number.
        lookup: Lookup,
        /// The number.
        sealed: Vec<u8>,
        /// As others will see it.
        display_name: String,
        /// A PHC string, if there is to be a password.
        password: Option<String>,
    },
    /// Ends an account, as `Cancel` does, by whoever runs the server.
    Erase {
        /// Which.
        account: AccountId,
    },
    /// Agrees to a version of the policy of use.
    Consent {
        /// Who.
        account: AccountId,
        /// To what.
        version: String,
    },
    /// Puts a colleague into the address book, or writes another note.
    SetContact {
        /// Whose book.
        account: AccountId,
        /// Where they are a colleague.
        org: OrgId,
        /// Whom.
        contact: AccountId,
        /// At most [`MAX_NOTE_BYTES`].
        note: String,
    },
    /// Takes somebody out of the address book.
    RemoveContact {
        /// Whose book.
        account: AccountId,
        /// Where they are a colleague.
        org: OrgId,
        /// Whom.
        contact: AccountId,
    },
    /// Another name. Organisations that know the person by the old one learn of it, as their policies let.
    Rename {
        /// Whose.
        account: AccountId,
        /// As others see it.
        display_name: String,
        /// From this network address; for the log.
        address: String,
    },
    /// Another picture, or none. Organisations show it, as their policies let.
    SetPicture {
        /// Of whom.
        account: AccountId,
        /// What was stored; `None`: there is to be none.
        picture: Option<Picture>,
        /// From this network address; for the log.
        address: String,
    },
    /// Who asked to be let into an organisation does not want any more.
    WithdrawRequest {
        /// Who.
        account: AccountId,
        /// Which request.
        request: InviteId,
        /// From this network address; for the log.
        address: String,
    },
    /// Somebody asks for all that is known of them: counts it, or refuses it, and notes it where they are a member.
    Export {
        /// Who.
        account: AccountId,
        /// Whom it counts against.
        subjects: Vec<(Subject, UsageKey)>,
        /// From this network address; for the log.
        address: String,
    },
    /// Deletes what says nothing any more: codes, counts, sessions that ended before `before_s`. At most some thousands of
    /// each; [`Outcome::Swept`] says whether there is more.
    Sweep {
        /// Sessions that ended or expired before are forgotten.
        before_s: u64,
    },
}

/// What a right code leads to.
#[derive(Clone, Debug)]
pub enum Then {
    /// A new account with this number.
    Register {
        /// The number.
        sealed: Vec<u8>,
        /// As others will see it.
        display_name: String,
        /// A PHC string, if a password was chosen.
        password: Option<String>,
        /// Version of the policy of use that was agreed to.
        consent: String,
        /// Where, and what begins.
        entry: Entry,
    },
    /// The account of this number is entered.
    SignIn {
        /// Where, and what begins.
        entry: Entry,
    },
    /// The account of this number gets another password; all its sessions end.
    Reset {
        /// A PHC string.
        password: String,
        /// Where, and what begins.
        entry: Entry,
    },
    /// The number becomes that of this account.
    Rebind {
        /// Whose.
        account: AccountId,
        /// The number.
        sealed: Vec<u8>,
        /// That it is really they who move it.
        proof: Proof,
    },
    /// The account of this number ends: nothing that tells who it was stays in these tables.
    Cancel {
        /// Which; its number is the one that was proved.
        account: AccountId,
    },
}

/// What shows, beside an open session, that somebody is the holder of an account: a phone that lies about is signed in.
#[derive(Clone, Copy, Debug)]
pub enum Proof {
    /// Their password was right: the caller has checked it.
    Password,
    /// The code of the same purpose that came to the number so far, which has to be the account's.
    Code(Lookup, Tag),
}

/// A picture of somebody, whose bytes are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The upload that brought it, after which its object is named.
    pub upload: [u8; 16],
    /// SHA-256.
    pub sha256: [u8; 32],
    /// As found by looking at the content.
    pub mime: String,
    /// Bytes.
    pub size: u64,
}

impl Picture {
    /// What it is called: its hash in 64 hex digits.
    #[must_use]
    pub fn name(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Somebody's own request to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRequest {
    /// Which.
    pub id: InviteId,
    /// Into this organisation.
    pub org: OrgId,
    /// Its title.
    pub title: String,
    /// Seconds since 1970.
    pub made_s: u64,
}

impl Then {
    /// What the code was asked for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Register { .. } => Purpose::Register,
            Self::SignIn { .. } => Purpose::SignIn,
            Self::Reset { .. } => Purpose::Reset,
            Self::Rebind { .. } => Purpose::Rebind,
            Self::Cancel { .. } => Purpose::Cancel,
        }
    }
}

/// A session that is to begin, and the device it is on.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The device.
    pub device: Device,
    /// The session's name: random.
    pub session: SessionId,
    /// The session's seed: random.
    pub seed: [u8; 16],
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// `Pixel 9`.
    pub model: String,
    /// `Android 16`.
    pub system: String,
    /// Where pushes go; empty: nowhere.
    pub push_token: String,
    /// Network address that it came from last.
    pub address: String,
}

/// Which sessions of an account.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// Those on this device, which is forgotten too.
    Device(DeviceId),
    /// All but this one.
    AllBut(SessionId),
    /// All.
    All,
}

/// What became of an [`Op`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to say.
    Done,
    /// Somebody is in.
    SignedIn {
        /// Whose it is. Its refresh token is the caller's to make.
        session: Session,
        /// Sessions that ended for it: their access tokens are to be refused from now on.
        ended: Vec<Session>,
    },
    /// Of `Create`.
    Created(AccountId),
    /// The session as it stands: its token is the current one.
    Refreshed(Session),
    /// These sessions ended.
    Ended(Vec<Session>),
    /// Of `Rename` and `SetPicture`: these seats are shown otherwise from now on.
    Shown(Vec<(OrgId, UserId)>),
    /// Of `Sweep`.
    Swept {
        /// Ask again.
        more: bool,
    },
}

/// How an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should.
    Active,
    /// Blocked by an operator.
    Disabled,
    /// Cancelled, and emptied.
    Erased,
}

impl State {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Disabled => 2,
            Self::Erased => 3,
        }
    }

    /// What is unknown lets nobody in.
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Active,
            3 => Self::Erased,
            _ => Self::Disabled,
        }
    }
}

/// An account as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// How it stands.
    pub state: State,
    /// As others see it.
    pub display_name: String,
    /// A PHC string, if there is a password.
    pub password: Option<String>,
    /// Version of the policy of use that was agreed to.
    pub consent: String,
    /// Seconds since 1970 when it was agreed to; 0: never.
    pub consent_s: u64,
    /// Seconds since 1970 when the account was made.
    pub made_s: u64,
    /// Name of the picture; empty: none.
    pub picture: String,
    /// Its number; none when it was erased.
    pub phone: Option<(Lookup, Vec<u8>)>,
}
