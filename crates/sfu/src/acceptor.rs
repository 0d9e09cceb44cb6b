//! ICE over TCP at the door: one port for all workers. The first frame of a connection is an ICE check, whose ufrag says
//! which worker has the peer; from there on the connection is that worker's.
//!
//! What a stranger can hold here is a connection for [`FIRST_FRAME`], and of those there are [`MAX_WAITING`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convene_peer::transport::ice;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::command::Command;
use crate::demux::Class;
use crate::room_handle::Handle;

/// Until the first frame is there. Clients send it with the connection.
const FIRST_FRAME: Duration = Duration::from_secs(5);

/// Connections whose first frame is not there yet. A thousand clients that lose UDP at once are served in a second or two.
const MAX_WAITING: usize = 512;

/// The longest first frame. A check has some 120 bytes; RFC 8489 §6.1 bounds one over UDP at 548.
const MAX_FIRST_BYTES: u16 = 1_500;

/// Pause after the system refused to accept: without descriptors it would refuse at once again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for as long as it is polled.
pub async fn accept(listener: TcpListener, handle: Handle) {
    let waiting = Arc::new(Semaphore::new(MAX_WAITING));
    loop {
        let Ok(permit) = Arc::clone(&waiting).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, remote)) => {
                let handle = handle.clone();
                tokio::spawn(async move {
                    let _ = timeout(FIRST_FRAME, introduce(stream, remote, &handle)).await; // too late is as good as gone
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a media connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// Reads the first frame and gives the connection to the worker that it names. `None`: it is closed.
async fn introduce(stream: TcpStream, remote: SocketAddr, handle: &Handle) -> Option<()> {
    let mut head = [0; 2];
    fill(&stream, &mut head).await?;
    let length = u16::from_be_bytes(head);
    if length > MAX_FIRST_BYTES {
        return None;
    }
    let mut first = vec![0; usize::from(length)];
    fill(&stream, &mut first).await?;
    if Class::of(&first) != Class::Stun {
        return None;
    }
    let worker = handle.worker(ice::tag_of(ice::local_ufrag(&first)?)?)?;
    let stream = stream.into_std().ok()?;
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    worker.send(Command::Connection { stream, remote, first: Bytes::from(first) }).await.ok()
}

/// `AsyncReadExt::read_exact` needs a feature of tokio for this one use.
async fn fill(stream: &TcpStream, mut space: &mut [u8]) -> Option<()> {
    while !space.is_empty() {
        stream.readable().await.ok()?;
        match stream.try_read(space) {
            Ok(0) => return None,
            Ok(count) => space = space.get_mut(count..)?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    Some(())
}
