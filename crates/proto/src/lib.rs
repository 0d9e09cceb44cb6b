//! The chat wire format: messages generated from `proto/im.proto`, and the framing around them.
//!
//! Not here: what a frame means (`im-core`) and how it travels (`im`, `client`).
//!
//! Invariant: this crate reads bytes from strangers; it never panics on them and allocates no more than it has received.

pub mod frame;
pub mod limits;

/// The messages of package `convene.im.v1`. `proto/im.proto` documents each field.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod im {
    include!(concat!(env!("OUT_DIR"), "/convene.im.v1.rs"));
}

pub use frame::{Decoder, FrameError};

impl im::Code {
    /// The name in lower case without its prefix, e.g. `not_a_member`: for metrics, logs and texts.
    #[must_use]
    pub fn label(self) -> String {
        self.as_str_name().trim_start_matches("CODE_").to_ascii_lowercase()
    }
}
