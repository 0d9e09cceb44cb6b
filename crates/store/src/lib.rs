//! Durable state. Of chat: conversations, their logs, members, user logs, uploads and blobs. Of people: see
//! [`accounts`] and [`orgs`]. Of calls: see [`calls`].
//!
//! [`Engine`] is the one writer: a batch of [`Op`]s is one transaction. [`Reader`] answers from a snapshot and shows a user
//! nothing but what they may see. [`Store`] is the shell around both: threads, queues, checkpoints. [`DatabaseFile`] copies
//! and checks a file, and changes nothing in it. [`Blobs`] keeps the bytes of files. `im` and `server` call them; what may
//! happen to a conversation is decided by `convene-im-core`, and to an account by `convene-accounts`.
//!
//! Invariant: SQL and object storage appear in no other server crate. The engine reads no clock: `now_ms` is an argument.
//! A second backend has to offer [`Engine`] and [`Reader`] over the same [`Op`] and [`Outcome`]; `tests/it/conformance.rs` is
//! what it has to pass.

pub mod accesses;
pub mod accounts;
mod blobs;
pub mod calls;
mod engine;
mod error;
mod ops;
pub mod orgs;
mod reader;
mod rows;
mod shell;
pub mod told;
pub mod webhooks;

pub use blobs::{BlobOptions, BlobPlace, BlobRefusal, Blobs, Checked, Commit, Inspected, MAX_PICTURE_BYTES, S3};
pub use engine::{Engine, EngineOptions};
pub use error::StoreError;
pub use ops::{Appended, BlobFacts, BlobRow, NewUpload, Op, Outcome, Trash, Upload, UserPush};
pub use reader::stretch::{After, SEES_ALL, Sees, Stretch};
pub use reader::{Company, KeyRow, Overdue, Reader};
pub use shell::{DatabaseFile, Options, Outbox, StatsSnapshot, Store};
