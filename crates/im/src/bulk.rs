//! Bulk streams: a page of history or a blob each, beside the control stream and behind it in priority.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use convene_im_core::gate::Place;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, frame::Body};
use convene_proto::{FrameError, frame};
use web_transport_quinn as wt;

use crate::endpoint;
use crate::quic::{self, FrameReader};
use crate::requests;
use crate::session::{self, About, Session};
use crate::shared::Shared;
use crate::{blobs, reads};

/// Behind the control stream and the feeds.
const PRIORITY: i32 = 0;
/// Windows of a connection on which a blob moves: at 100 ms round trip they allow 80 Mbit/s up, 160 down.
const MOVING_RECEIVE_WINDOW: u32 = 1024 * 1024;
const MOVING_SEND_WINDOW: u64 = 2 * 1024 * 1024;

/// One stream.
pub(crate) struct Bulk {
    pub(crate) connection: Arc<wt::Session>,
    pub(crate) send: wt::SendStream,
    pub(crate) reader: FrameReader,
}

/// Answers the requests of one stream, in order.
pub(crate) async fn run(shared: Arc<Shared>, session: Arc<Session>, mut bulk: Bulk) {
    let _ = bulk.send.set_priority(PRIORITY); // fails when the stream is gone, which the next read tells
    let mut moving = None;
    loop {
        let frame = tokio::select! {
            frame = bulk.reader.next() => frame,
            () = session.ended() => return,
        };
        let frame = match frame {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                // Whose answer it would be is unknown: it is told where frames without a request are.
                let refusal = quic::framing(&error);
                shared.refuse(&session, 0, &refusal, About::default());
                if error == FrameError::TooLarge {
                    bulk.reader.stop(quic::code(refusal.code));
                    break;
                }
                continue;
            }
        };
        if moving.is_none() && moves(&frame) {
            moving = Some(Moving::begin(&session, &bulk.connection));
        }
        if serve(&shared, &session, &mut bulk, frame).await.is_err() {
            return;
        }
    }
    let _ = bulk.send.finish(); // it is finished already when this fails
}

/// The stream takes no more.
struct Closed;

async fn serve(shared: &Arc<Shared>, session: &Arc<Session>, bulk: &mut Bulk, frame: im::Frame) -> Result<(), Closed> {
    let (rid, send) = (frame.rid, &mut bulk.send);
    match requests::admit(shared, session, frame, Place::Bulk, bulk.reader.is_early()) {
        Ok(Body::BlobGet(get)) => download(shared, session, send, rid, get).await,
        Ok(body @ (Body::BlobBegin(_) | Body::BlobPart(_) | Body::BlobCommit(_))) => {
            let reply = blobs::answer(shared, session.owner, body).await;
            write(send, rid, reply.unwrap_or_else(|refusal| refused(shared, &refusal))).await
        }
        Ok(body) => {
            let reply = reads::answer(shared, session.owner, body).await;
            write(send, rid, reply.unwrap_or_else(|refusal| refused(shared, &refusal))).await
        }
        Err(refusal) => write(send, rid, refused(shared, &refusal)).await,
    }
}

/// Sends a blob piece by piece; the stream's window says how fast.
async fn download(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    send: &mut wt::SendStream,
    rid: u64,
    get: im::BlobGet,
) -> Result<(), Closed> {
    let mut pieces = match blobs::Download::open(shared, session.owner, get).await {
        Ok(pieces) => pieces,
        Err(refusal) => return write(send, rid, refused(shared, &refusal)).await,
    };
    loop {
        match pieces.next(shared).await {
            Ok(Some(data)) => write(send, rid, Body::BlobData(data)).await?,
            Ok(None) => return Ok(()),
            Err(refusal) => return write(send, rid, refused(shared, &refusal)).await,
        }
    }
}

fn refused(shared: &Shared, refusal: &Refusal) -> Body {
    shared.count_refusal(refusal.code);
    Body::Error(session::error(refusal, About::default()))
}

async fn write(send: &mut wt::SendStream, rid: u64, body: Body) -> Result<(), Closed> {
    let bytes: Bytes = frame::encode(&frame::of(rid, body));
    send.write_chunk(bytes).await.map_err(|_| Closed)
}

fn moves(frame: &im::Frame) -> bool {
    matches!(frame.body, Some(Body::BlobPart(_) | Body::BlobGet(_)))
}

/// While there is one, the connection has large windows.
struct Moving {
    session: Arc<Session>,
    connection: Arc<wt::Session>,
}

impl Moving {
    fn begin(session: &Arc<Session>, connection: &Arc<wt::Session>) -> Self {
        if session.moving.fetch_add(1, Ordering::AcqRel) == 0 {
            connection.set_receive_window(MOVING_RECEIVE_WINDOW.into());
            connection.set_send_window(MOVING_SEND_WINDOW);
        }
        Self { session: Arc::clone(session), connection: Arc::clone(connection) }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        if self.session.moving.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.connection.set_receive_window(endpoint::CONNECTION_WINDOW.into());
            self.connection.set_send_window(endpoint::SEND_WINDOW);
        }
    }
}
