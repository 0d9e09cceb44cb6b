//! The writing half of a session: empties the outbox onto whatever carries the session. What is ready goes out as one
//! write per stream; what the outbox gave up on is read from the store again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convene_im_core::outbox::{Out, Rest};
use convene_proto::frame;
use convene_proto::im::{self, Code, frame::Body};
use convene_proto::limits::{MAX_FEEDS, MAX_PAYLOAD_BYTES};
use convene_types::{ConvId, Seq, Useq};
use tokio::time::{sleep, timeout};

use crate::fanout::spread;
use crate::session::{End, Session, too_slow};
use crate::shared::{Shared, wire};

/// Parts of one write: enough to fill several packets, few enough that a reply behind it is soon out.
const MAX_PARTS: usize = 256;
/// Bytes of one write.
const MAX_WRITE_BYTES: usize = 128 * 1024;
/// A client that takes nothing for this long is let go. People do ride through tunnels.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time for the farewell.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait when the store cannot be read.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// The client is out of reach.
#[derive(Debug)]
pub(crate) struct Lost;

/// What carries frames to one client.
pub(crate) trait Wire: Send {
    /// Writes what is ready, and returns when all of it is handed over.
    fn write(&mut self, ready: Ready) -> impl Future<Output = Result<(), Lost>> + Send;
    /// Writes the last frame, waits until it has arrived, and closes.
    fn close(self, goodbye: Option<Bytes>, code: u32) -> impl Future<Output = ()> + Send;
}

/// What is ready to be written, all with length prefix.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// In order.
    pub(crate) control: Vec<Bytes>,
    /// By feed; in order within each.
    pub(crate) feeds: [Vec<Bytes>; MAX_FEEDS],
    /// May be lost.
    pub(crate) hints: Vec<Bytes>,
    /// Behind all of these on the control stream.
    pub(crate) bulk: Vec<Bytes>,
}

impl Ready {
    pub(crate) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.feeds.iter().all(Vec::is_empty) && self.hints.is_empty() && self.bulk.is_empty()
    }

    fn event(&mut self, conv: ConvId, frame: Bytes) {
        let feeds = u64::try_from(MAX_FEEDS).unwrap_or(1);
        let feed = usize::try_from(spread(conv) % feeds).unwrap_or(0);
        if let Some(frames) = self.feeds.get_mut(feed) {
            frames.push(frame);
        }
    }
}

/// Writes until the session is over, then says goodbye.
pub(crate) async fn run(shared: Arc<Shared>, session: Arc<Session>, mut wire: impl Wire) {
    while session.over().is_none() {
        let taken = session.take(MAX_PARTS, MAX_WRITE_BYTES);
        if taken.is_empty() {
            session.wake.notified().await;
        } else {
            // Boxed, so that an idle session does not hold the room that writing takes.
            if !Box::pin(write(&shared, &session, &mut wire, taken)).await {
                session.end(End::Gone);
            }
            session.written.notify_waiters();
        }
    }
    // A client that was told goodbye may still get the answers that wait before it.
    let rest = session.take(MAX_PARTS, MAX_WRITE_BYTES);
    let _ = timeout(FAREWELL, Box::pin(farewell(&shared, &session, wire, rest))).await; // its time is up: the connection is dropped
}

/// Writes one batch. `false`: the client is out of reach.
async fn write(shared: &Shared, session: &Session, wire: &mut impl Wire, taken: Vec<Out>) -> bool {
    let mut ready = Ready::default();
    for out in taken {
        match out {
            Out::Control(frame) => ready.control.push(frame),
            Out::Event { conv, frame } => ready.event(conv, frame),
            Out::Hint(frame) => ready.hints.push(frame),
            Out::Bulk(frame) => ready.bulk.push(frame),
            // Its place in the queue is the last of the batch, and behind it in time is what repairs it.
            Out::RepairConv { conv, after } => Box::pin(repair(shared, session, &mut ready, conv, after)).await,
            Out::RepairUser { after } => Box::pin(repair_user(shared, session, &mut ready, after)).await,
            Out::TooSlow => session.end(too_slow()),
        }
    }
    if ready.is_empty() {
        return true;
    }
    count(shared, &ready);
    match timeout(PATIENCE, wire.write(ready)).await {
        Ok(Ok(())) => true,
        Ok(Err(Lost)) => false,
        Err(_) => {
            session.end(too_slow());
            true
        }
    }
}

fn count(shared: &Shared, ready: &Ready) {
    let feeds: usize = ready.feeds.iter().map(Vec::len).sum();
    let control = ready.control.len().saturating_add(ready.bulk.len());
    for (kind, frames) in [("control", control), ("deliver", feeds), ("hint", ready.hints.len())] {
        if frames > 0 {
            let frames = u64::try_from(frames).unwrap_or(0);
            shared.metrics.im_frames.with_label_values(&["out", kind]).inc_by(frames);
        }
    }
}

/// Reads a page of a conversation that the device was not sent.
async fn repair(shared: &Shared, session: &Session, ready: &mut Ready, conv: ConvId, after: Seq) {
    let user = session.owner.user;
    let read = shared.store.read(move |reader| reader.events_after(user, conv, after, MAX_PAYLOAD_BYTES)).await;
    shared.metrics.im_repairs.inc();
    match read {
        Ok((to, events)) => {
            let rest = if events.is_empty() { Rest::Nothing } else { Rest::Unknown };
            // The log is dense; it may begin above `after`, at what the user may see.
            let from = Seq(to.0.saturating_sub(u64::try_from(events.len()).unwrap_or(u64::MAX)));
            if !events.is_empty() {
                ready.event(conv, frame::deliver(conv.0, from.0, to.0, &events));
            }
            session.with_outbox(|outbox| outbox.repaired(conv, to, rest));
        }
        Err(refusal) if refusal.code == Code::Unavailable => {
            sleep(READ_AGAIN).await;
            session.with_outbox(|outbox| outbox.repaired(conv, after, Rest::Unknown));
        }
        // The user may see nothing of it any more.
        Err(_) => session.with_outbox(|outbox| outbox.repaired(conv, after, Rest::Nothing)),
    }
}

async fn repair_user(shared: &Shared, session: &Session, ready: &mut Ready, after: Useq) {
    let user = session.owner.user;
    let read = shared.store.read(move |reader| reader.user_events_after(user, after, MAX_PAYLOAD_BYTES)).await;
    match read {
        Ok((to, events)) => {
            if to > after {
                let deliver = im::DeliverUser { from: after.0, to: to.0, events };
                ready.control.push(frame::encode(&frame::of(0, Body::DeliverUser(deliver))));
            }
            session.with_outbox(|outbox| outbox.user_repaired(to));
        }
        Err(_) => {
            sleep(READ_AGAIN).await;
            session.with_outbox(|outbox| outbox.user_repaired(after));
        }
    }
}

/// The answers that wait, the goodbye, the end.
async fn farewell(shared: &Shared, session: &Session, mut wire: impl Wire, rest: Vec<Out>) {
    let Some(End::Told { code, text, retry_after_ms }) = session.over() else { return wire.close(None, 0).await };
    shared.metrics.im_ended.with_label_values(&[&code.label()]).inc();
    let mut ready = Ready::default();
    ready.control.extend(rest.into_iter().filter_map(|out| match out {
        Out::Control(frame) => Some(frame),
        Out::Event { .. }
        | Out::Hint(_)
        | Out::Bulk(_)
        | Out::RepairConv { .. }
        | Out::RepairUser { .. }
        | Out::TooSlow => None,
    }));
    if !ready.is_empty() && wire.write(ready).await.is_err() {
        return;
    }
    let (code, text) = (*code, (*text).to_owned());
    let goodbye = im::Goodbye { code: code.into(), text, retry_after_ms: *retry_after_ms };
    let goodbye = frame::encode(&frame::of(0, Body::Goodbye(goodbye)));
    wire.close(Some(goodbye), u32::try_from(i32::from(code)).unwrap_or(0)).await;
}

/// A frame that refuses a client before there is a session.
pub(crate) fn refusal(rid: u64, refusal: &convene_im_core::model::Refusal) -> Bytes {
    let error = crate::session::error(refusal, crate::session::About { conv: 0, client_id: wire(&[]) });
    frame::encode(&frame::of(rid, Body::Error(error)))
}
