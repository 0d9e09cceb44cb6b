//! The LiveKit client protocol. Its message types are used here and in `twirp` only.

pub(crate) mod convert;
