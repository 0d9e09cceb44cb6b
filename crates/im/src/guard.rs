//! A panic costs the session it happens in, and nothing else.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use convene_proto::im::Code;
use futures_util::FutureExt as _;
use tracing::error;

use crate::session::{End, Session};
use crate::shared::Shared;

/// Runs one part of a session. When it panics the session ends, and the panic is counted. What it shared with others is
/// behind locks that do not poison, and is whole between two calls.
pub(crate) fn guarded<F: Future<Output = ()>>(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    work: F,
) -> impl Future<Output = ()> + use<F> {
    let (shared, session) = (Arc::clone(shared), Arc::clone(session));
    // Boxed, as an async block keeps what it was given beside what it awaits: that would be twice the room.
    let work = Box::pin(AssertUnwindSafe(work).catch_unwind());
    async move {
        if work.await.is_err() {
            error!(session = session.number, "a session ended by a panic");
            shared.metrics.im_panics.inc();
            session.end(End::Told { code: Code::Internal, text: "the server made a mistake", retry_after_ms: 1000 });
        }
    }
}
