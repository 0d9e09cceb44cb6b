//! HTTP/1.1 as far as a chat client needs it: one request, one small reply, over TCP or TLS. Not a general client: no
//! redirects, no proxies, no kept connections.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::ServerUrl;
use super::tls::Tls;
use crate::error::Error;

/// How long a server may take for all of connecting, TLS and the reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply, head and body: `/im/info` and a token are below 8 KiB.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// A connection to the HTTP port, encrypted or not.
pub(crate) type Stream = Box<dyn Duplex>;

/// What both TCP and TLS streams are.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Bytes that wait in the system to be sent for the first time: a message does not overtake them.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 32 * 1024;

/// Connects to the HTTP port.
pub(crate) async fn dial(url: &ServerUrl, tls: &Tls) -> Result<Stream, Error> {
    let unreachable = |error: std::io::Error| Error::Unreachable(format!("{url}: {error}"));
    let tcp = TcpStream::connect((url.host(), url.port())).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&tcp).set_tcp_notsent_lowat(MAX_UNSENT); // without it messages wait longer
    if !url.is_secure() {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(url.host().to_owned()).map_err(|_| Error::Address(url.to_string()))?;
    let stream = TlsConnector::from(Arc::new(tls.tcp()?)).connect(name, tcp).await;
    Ok(Box::new(stream.map_err(|error| Error::Tls(error.to_string()))?))
}

/// Asks for a path; `json` makes it a POST.
pub(crate) async fn request(url: &ServerUrl, tls: &Tls, path: &str, json: Option<&str>) -> Result<Vec<u8>, Error> {
    let late = |_| Error::Unreachable(format!("{url}: no reply within {} s", PATIENCE.as_secs()));
    let reply = tokio::time::timeout(PATIENCE, exchange(url, tls, path, json)).await.map_err(late)??;
    body(&reply).map_err(|fault| match fault {
        Fault::Status(status) => Error::Unreachable(format!("{url}{path}: HTTP status {status}")),
        Fault::Malformed => Error::Unreachable(format!("{url}{path}: not an HTTP reply")),
    })
}

async fn exchange(url: &ServerUrl, tls: &Tls, path: &str, json: Option<&str>) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Unreachable(format!("{url}: {error}"));
    let mut stream = dial(url, tls).await?;
    stream.write_all(head(url, path, json).as_bytes()).await.map_err(failed)?;
    let mut reply = Vec::new();
    let limit = MAX_REPLY_BYTES as u64;
    match (&mut stream).take(limit).read_to_end(&mut reply).await {
        Ok(_) => Ok(reply),
        // Without TLS's closing message, `body` finds out whether all of it is there.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(reply),
        Err(error) => Err(failed(error)),
    }
}

fn head(url: &ServerUrl, path: &str, json: Option<&str>) -> String {
    let method = if json.is_some() { "POST" } else { "GET" };
    let length = json.map_or_else(String::new, |json| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len())
    });
    let (path, host, json) = (url.path(path), url.authority(), json.unwrap_or_default());
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n{length}\r\n{json}"
    )
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Malformed,
    Status(u16),
}

/// The body of a whole reply (RFC 9112 §6.3): chunked, by length, or up to the end.
fn body(reply: &[u8]) -> Result<Vec<u8>, Fault> {
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Fault::Malformed)?;
    let (head, rest) = reply.split_at_checked(end + 4).ok_or(Fault::Malformed)?;
    let head = std::str::from_utf8(head).map_err(|_| Fault::Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    match status.ok_or(Fault::Malformed)? {
        200..=299 => {}
        status => return Err(Fault::Status(status)),
    }
    let header = |name: &str| {
        let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return chunks(rest);
    }
    match header("content-length") {
        Some(length) => {
            let length = length.parse().map_err(|_| Fault::Malformed)?;
            rest.get(..length).map(<[u8]>::to_vec).ok_or(Fault::Malformed)
        }
        None => Ok(rest.to_vec()),
    }
}

/// RFC 9112 §7.1: size in hexadecimal, the bytes, again, and a chunk of size 0.
fn chunks(mut rest: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").ok_or(Fault::Malformed)?;
        let (line, after) = rest.split_at_checked(end).ok_or(Fault::Malformed)?;
        let line = std::str::from_utf8(line).map_err(|_| Fault::Malformed)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Fault::Malformed)?;
        if size == 0 {
            return Ok(out);
        }
        let data = after.get(2..).ok_or(Fault::Malformed)?;
        out.extend_from_slice(data.get(..size).ok_or(Fault::Malformed)?);
        rest = data.get(size..).and_then(|rest| rest.strip_prefix(b"\r\n")).ok_or(Fault::Malformed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_to_their_end_and_no_further() {
        let rows: [(&str, Result<&str, Fault>); 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok("{}")),
            ("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{} more", Ok("{}")),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", Ok("to the end")),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n\r\n",
                Ok("abc0123456789"),
            ),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Err(Fault::Status(404))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Err(Fault::Malformed)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc", Err(Fault::Malformed)),
            ("HTTP/1.1 200 OK\r\nContent", Err(Fault::Malformed)),
            ("", Err(Fault::Malformed)),
        ];
        for (reply, want) in rows {
            assert_eq!(body(reply.as_bytes()), want.map(|text| text.as_bytes().to_vec()), "{reply}");
        }
    }
}
