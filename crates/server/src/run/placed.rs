//! A connection of the HTTP port as its bytes go: what is large leaves room on the path for what is said over it, and nobody
//! takes an answer for ever.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use convene_flow::ahead::{Ahead, Turn};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, sleep_until};

use super::door::Place;
use super::path::{Ends, Paths};

/// How long somebody may take nothing of what there is for them. Who pauses a video takes up where they were by another request.
const MAX_STALL: Duration = Duration::from_secs(120);

/// A connection that holds its place, also as a WebSocket.
pub(super) struct Placed {
    stream: TcpStream,
    place: Place,
    /// `None`: the connection is over already.
    ends: Option<Ends>,
    paths: Arc<Paths>,
    /// How much of what is large may be under way.
    ahead: Ahead,
    /// Until there may be more.
    pause: Option<Pin<Box<Sleep>>>,
    /// Until then something of what was written has to be taken.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Placed {
    pub(super) fn new(stream: TcpStream, remote: SocketAddr, place: Place, paths: Arc<Paths>) -> Self {
        let ends = stream.local_addr().ok().map(|local| Ends { local, remote });
        Self { stream, place, ends, paths, ahead: Ahead::new(Instant::now()), pause: None, stall: None }
    }

    /// The first bytes, which stay unread.
    pub(super) async fn peek(&self, space: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(space).await
    }

    /// How much may be written now.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            match self.ahead.turn(Instant::now) {
                Turn::Write(room) => return Poll::Ready(usize::try_from(room).unwrap_or(usize::MAX)),
                Turn::Ask => {
                    let found = self.ends.and_then(|ends| self.paths.find(ends));
                    self.ahead.found(found, Instant::now());
                }
                Turn::Wait(until) => {
                    let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(until.into())));
                    ready!(pause.as_mut().poll(cx));
                    self.pause = None;
                }
            }
        }
    }

    /// A write as it went, or its end where nothing is taken for too long.
    fn unless_stalled(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = written {
            self.stall = None;
            self.ahead.wrote(*outcome.as_ref().unwrap_or(&0));
            return Poll::Ready(outcome);
        }
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(MAX_STALL))).as_mut().poll(cx));
        self.stall = None;
        self.place.metrics.refused.with_label_values(&["http_stalled"]).inc();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.poll_room(cx) {
            Poll::Ready(room) => {
                let bytes = bytes.get(..room).unwrap_or(bytes);
                Pin::new(&mut self.stream).poll_write(cx, bytes)
            }
            Poll::Pending => Poll::Pending,
        };
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
        let written = match self.poll_room(cx) {
            Poll::Ready(room) if room >= total => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
            Poll::Ready(room) => {
                // The first of them, as AsyncWrite does it where it has no vectored write.
                let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
                Pin::new(&mut self.stream).poll_write(cx, first.get(..room).unwrap_or(first))
            }
            Poll::Pending => Poll::Pending,
        };
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
