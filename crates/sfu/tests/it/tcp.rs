//! The door for media over TCP: whoever does not begin with a check for a peer of ours is shown out.

use std::net::Ipv4Addr;
use std::time::Duration;

use convene_sfu::accept;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// A STUN binding request with this USERNAME and nothing else (RFC 8489 §5, §14.3).
fn check(username: &str) -> Vec<u8> {
    let mut padded = username.as_bytes().to_vec();
    padded.resize(username.len().next_multiple_of(4), 0);
    let mut message = vec![0, 1];
    message.extend((padded.len() as u16 + 4).to_be_bytes());
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend([7; 12]);
    message.extend([0, 6]);
    message.extend((username.len() as u16).to_be_bytes());
    message.extend(padded);
    message
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// Whether the other side closes the connection without a word.
async fn is_closed(stream: &TcpStream) -> bool {
    let closed = async {
        loop {
            stream.readable().await.expect("a socket of a running reactor");
            match stream.try_read(&mut [0; 64]) {
                Ok(count) => return count == 0,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return true, // reset
            }
        }
    };
    timeout(SOON, closed).await.unwrap_or(false)
}

#[tokio::test]
async fn strangers_are_shown_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, workers, metrics) = crate::node(Some(address.port()));
    let door = tokio::spawn(accept(listener, handle.clone()));

    let rows = [
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no check", framed(&[0x80; 40])),
        ("a check for a worker that there is not", framed(&check("zzabcdefgh:x"))),
        ("a check for a peer that there is not", framed(&check("AAabcdefgh:x"))),
    ];
    for (what, bytes) in rows {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.writable().await.unwrap();
        stream.try_write(&bytes).unwrap();
        assert!(is_closed(&stream).await, "{what}");
    }
    door.abort();
    handle.stop().await;
    tokio::task::spawn_blocking(|| workers.join()).await.unwrap();
    let dropped = |reason: &str| metrics.dropped.with_label_values(&[reason]).get();
    assert_eq!((dropped("tcp_stranger"), dropped("stun_unknown_ufrag")), (1, 1));
}
