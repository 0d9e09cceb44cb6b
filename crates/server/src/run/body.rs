//! The body of a request while it comes in. Whoever sends a byte a minute holds a place as well as whoever sends nothing.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use convene_telemetry::Metrics;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long the next part may take, and all of them together besides what [`LEAST_PER_S`] allows. People do ride through
/// tunnels.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second that a body has to come with, in the long run: a fifth of what a phone has on the slowest network.
const LEAST_PER_S: u64 = 1_024;

/// See the module.
pub(super) struct Arriving<B> {
    body: B,
    metrics: Arc<Metrics>,
    /// Bytes.
    came: u64,
    /// How long they were waited for, while somebody wanted them.
    waited: Duration,
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> Arriving<B> {
    pub(super) const fn new(body: B, metrics: Arc<Metrics>) -> Self {
        Self { body, metrics, came: 0, waited: Duration::ZERO, wait: None }
    }
}

/// How long the next part may take.
fn patience(came: u64, waited: Duration) -> Duration {
    let allowed = PATIENCE.saturating_add(Duration::from_secs(came / LEAST_PER_S));
    allowed.saturating_sub(waited).min(PATIENCE)
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(next) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some((since, _)) = this.wait.take() {
                this.waited = this.waited.saturating_add(since.elapsed());
            }
            let bytes = next.as_ref().and_then(|next| next.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            this.came = this.came.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            return Poll::Ready(next.map(|next| next.map_err(Into::into)));
        }
        let longest = patience(this.came, this.waited);
        let (_, over) = this.wait.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(longest))));
        ready!(over.as_mut().poll(cx));
        this.wait = None;
        this.metrics.refused.with_label_values(&["http_slow_body"]).inc();
        Poll::Ready(Some(Err("the body of the request comes too slowly".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_phone_has_time_and_a_trickle_has_not() {
        let s = Duration::from_secs;
        let rows = [
            ("nothing yet", 0, s(0), s(30)),
            ("a byte after 20 s", 1, s(20), s(10)),
            ("and again", 2, s(30), s(0)),
            ("5 KiB/s for a minute", 5 * 1_024 * 60, s(60), s(30)),
            ("1 KiB/s for an hour", 1_024 * 3_600, s(3_600), s(30)),
            ("half of it", 512 * 3_600, s(3_600), s(0)),
        ];
        for (name, came, waited, left) in rows {
            assert_eq!(patience(came, waited), left, "{name}");
        }
    }
}
