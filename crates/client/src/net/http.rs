//! HTTP/1.1 as far as a chat client needs it: one request, one small reply, over TCP or TLS. Not a general client: no
//! redirects, no proxies, no kept connections.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::address::ServerUrl;
use super::tls::Tls;
use crate::error::Error;

/// How long a server may take for all of connecting, TLS and the reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest reply, head and body: `/im/info` and a token are below 8 KiB, a hundred organisations below 48.
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

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'static str,
    /// Below the prefix of the server, with its query.
    pub(crate) path: &'a str,
    pub(crate) json: Option<&'a str>,
    /// The access token of whoever asks.
    pub(crate) bearer: Option<&'a str>,
}

/// What was answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Media type of the body, without its parameters.
    pub(crate) kind: String,
    /// Not to be asked again before; 0: nothing was said.
    pub(crate) retry_after_s: u32,
    pub(crate) body: Vec<u8>,
}

/// No answer came.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// The server may have done what it was asked, and the answer was lost.
    pub(crate) may_have_arrived: bool,
    pub(crate) error: Error,
}

/// Asks for a path; `json` makes it a POST. Whatever is no success is an error.
pub(crate) async fn request(url: &ServerUrl, tls: &Tls, path: &str, json: Option<&str>) -> Result<Vec<u8>, Error> {
    let method = if json.is_some() { "POST" } else { "GET" };
    let answer = ask(url, tls, Ask { method, path, json, bearer: None }).await.map_err(|none| none.error)?;
    match answer.status {
        200..=299 => Ok(answer.body),
        status => Err(Error::Unreachable(format!("{url}{path}: HTTP status {status}"))),
    }
}

/// Asks, and answers what was answered.
pub(crate) async fn ask(url: &ServerUrl, tls: &Tls, ask: Ask<'_>) -> Result<Answer, Unanswered> {
    let deadline = Instant::now() + PATIENCE;
    let line = in_time(url, deadline, dial(url, tls)).await;
    let line = line.map_err(|error| Unanswered { may_have_arrived: false, error })?;
    exchange(url, line, ask, deadline).await
}

/// The first half of [`ask`]: nothing has been asked when this is dropped.
pub(crate) async fn line(url: &ServerUrl, tls: &Tls) -> Result<Stream, Error> {
    in_time(url, Instant::now() + PATIENCE, dial(url, tls)).await
}

/// The second half.
pub(crate) async fn ask_over(line: Stream, url: &ServerUrl, ask: Ask<'_>) -> Result<Answer, Unanswered> {
    exchange(url, line, ask, Instant::now() + PATIENCE).await
}

async fn in_time<T>(
    url: &ServerUrl,
    deadline: Instant,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Err(Error::Unreachable(format!("{url}: no reply within {} s", PATIENCE.as_secs())));
    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(late)
}

async fn exchange(url: &ServerUrl, line: Stream, ask: Ask<'_>, deadline: Instant) -> Result<Answer, Unanswered> {
    let answer = in_time(url, deadline, reply(url, line, ask)).await.and_then(|reply| {
        answer(&reply).map_err(|_| Error::Unreachable(format!("{url}{}: not an HTTP reply", ask.path)))
    });
    answer.map_err(|error| Unanswered { may_have_arrived: true, error })
}

async fn reply(url: &ServerUrl, mut line: Stream, ask: Ask<'_>) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Unreachable(format!("{url}: {error}"));
    line.write_all(head(url, ask).as_bytes()).await.map_err(failed)?;
    let mut reply = Vec::new();
    let limit = MAX_REPLY_BYTES as u64;
    match (&mut line).take(limit).read_to_end(&mut reply).await {
        Ok(_) => Ok(reply),
        // Without TLS's closing message, `answer` finds out whether all of it is there.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(reply),
        Err(error) => Err(failed(error)),
    }
}

/// The whole request: its head, and the JSON behind it.
fn head(url: &ServerUrl, Ask { method, path, json, bearer }: Ask<'_>) -> String {
    let bearer = bearer.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = json.map_or_else(String::new, |json| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len())
    });
    let (path, host, json) = (url.path(path), url.authority(), json.unwrap_or_default());
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n{bearer}{length}\r\n{json}"
    )
}

#[derive(Debug, PartialEq, Eq)]
struct Malformed;

/// A whole reply. Its body (RFC 9112 §6.3): chunked, by length, or up to the end.
fn answer(reply: &[u8]) -> Result<Answer, Malformed> {
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").ok_or(Malformed)?;
    let (head, rest) = reply.split_at_checked(end + 4).ok_or(Malformed)?;
    let head = std::str::from_utf8(head).map_err(|_| Malformed)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |name: &str| {
        let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let body = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(rest)?
    } else if let Some(length) = header("content-length") {
        let length = length.parse().map_err(|_| Malformed)?;
        rest.get(..length).map(<[u8]>::to_vec).ok_or(Malformed)?
    } else {
        rest.to_vec()
    };
    let kind = header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    Ok(Answer {
        status: status.ok_or(Malformed)?,
        kind: kind.to_ascii_lowercase(),
        retry_after_s: header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or_default(),
        body,
    })
}

/// RFC 9112 §7.1: size in hexadecimal, the bytes, again, and a chunk of size 0.
fn chunks(mut rest: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").ok_or(Malformed)?;
        let (line, after) = rest.split_at_checked(end).ok_or(Malformed)?;
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Malformed)?;
        if size == 0 {
            return Ok(out);
        }
        let data = after.get(2..).ok_or(Malformed)?;
        out.extend_from_slice(data.get(..size).ok_or(Malformed)?);
        rest = data.get(size..).and_then(|rest| rest.strip_prefix(b"\r\n")).ok_or(Malformed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply, and what is read of it: status and body.
    type Row<'a> = (&'a str, Result<(u16, &'a str), Malformed>);

    #[test]
    fn replies_are_read_to_their_end_and_no_further() {
        let rows: [Row<'_>; 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Ok((200, "{}"))),
            ("HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n{} more", Ok((200, "{}"))),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", Ok((200, "to the end"))),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n\r\n",
                Ok((200, "abc0123456789")),
            ),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Ok((404, ""))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Err(Malformed)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc", Err(Malformed)),
            ("HTTP/1.1 200 OK\r\nContent", Err(Malformed)),
            ("", Err(Malformed)),
        ];
        for (reply, want) in rows {
            let got = answer(reply.as_bytes()).map(|answer| (answer.status, answer.body));
            assert_eq!(got, want.map(|(status, text)| (status, text.as_bytes().to_vec())), "{reply}");
        }
    }

    #[test]
    fn what_an_answer_says_of_itself_is_read_whatever_its_status() {
        let reply = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: Application/Problem+JSON; charset=utf-8\r\nRetry-After: 7\r\n\r\n{}";
        let answer = answer(reply.as_bytes()).unwrap();
        assert_eq!((answer.status, answer.kind.as_str(), answer.retry_after_s), (429, "application/problem+json", 7));
    }

    #[test]
    fn a_request_names_who_asks() {
        let url = "http://localhost:7880/below".parse().unwrap();
        let ask = Ask { method: "POST", path: "/v1/auth/sign-out", json: Some("{}"), bearer: Some("abc") };
        let text = head(&url, ask);
        assert!(text.starts_with("POST /below/v1/auth/sign-out HTTP/1.1\r\nHost: localhost:7880\r\n"), "{text}");
        assert!(
            text.contains("\r\nAuthorization: Bearer abc\r\n") && text.ends_with("\r\nContent-Length: 2\r\n\r\n{}"),
            "{text}"
        );
    }
}
