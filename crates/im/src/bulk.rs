//! Bulk streams: a page of history or a blob each, beside the control stream and behind it in priority.

use std::sync::Arc;

use bytes::Bytes;
use convene_im_core::gate::Place;
use convene_im_core::model::Refusal;
use convene_proto::im::{self, frame::Body};
use convene_proto::{FrameError, frame};
use web_transport_quinn as wt;

use crate::quic::{self, FrameReader};
use crate::requests;
use crate::session::{self, About, Session};
use crate::shared::Shared;
use crate::windows::{self, Upload};
use crate::{blobs, reads};

/// Behind the control stream and the feeds.
const PRIORITY: i32 = 0;

/// One stream.
pub(crate) struct Bulk {
    pub(crate) connection: Arc<wt::Session>,
    pub(crate) send: wt::SendStream,
    pub(crate) reader: FrameReader,
}

/// Answers the requests of one stream, in order.
pub(crate) async fn run(shared: Arc<Shared>, session: Arc<Session>, mut bulk: Bulk) {
    let _ = bulk.send.set_priority(PRIORITY); // fails when the stream is gone, which the next read tells
    let mut upload: Option<Upload> = None;
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
        if upload.is_none() && matches!(frame.body, Some(Body::BlobBegin(_) | Body::BlobPart(_))) {
            upload = Some(Upload::begin(&session, &bulk.connection));
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
        Ok(Body::BlobGet(get)) => download(shared, session, &bulk.connection, send, rid, get).await,
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
    connection: &wt::Session,
    send: &mut wt::SendStream,
    rid: u64,
    get: im::BlobGet,
) -> Result<(), Closed> {
    let mut pieces = match blobs::Download::open(shared, session.owner, get).await {
        Ok(pieces) => pieces,
        Err(refusal) => return write(send, rid, refused(shared, &refusal)).await,
    };
    let window = windows::Download::begin(session, connection);
    loop {
        match pieces.next(shared).await {
            Ok(Some(data)) => {
                let bytes = frame::encode(&frame::of(rid, Body::BlobData(data)));
                window.write(send, bytes).await.map_err(|_| Closed)?;
            }
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
