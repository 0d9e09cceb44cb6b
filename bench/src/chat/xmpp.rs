//! The smallest XMPP client that can send and receive (RFC 6120, RFC 6121): TCP, SASL PLAIN, one resource, no roster. It
//! reads stanzas by their end tags, which is enough for the server it is pointed at and for nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(10);

/// The side that sends. The stream stays open until both sides are dropped.
pub struct Sender(OwnedWriteHalf);

/// Signs in; what `arrivals` gets are the numbers at the beginning of the bodies that arrive.
pub async fn sign_in(
    server: SocketAddr,
    host: &str,
    user: &str,
    password: &str,
    arrivals: mpsc::UnboundedSender<u64>,
) -> Result<Sender> {
    let stream = TcpStream::connect(server).await.context("connecting to the XMPP server")?;
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let mut client = Client { read, write, text: String::new() };
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{host}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    client.ask(&header, "</stream:features>").await?;
    let plain = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
    let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>");
    client.ask(&auth, "<success").await?;
    client.ask(&header, "</stream:features>").await?;
    let bind = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind></iq>";
    client.ask(bind, "</iq>").await?;
    client.ask("<presence/>", "<presence").await?; // the server sends it back to all resources, this one included
    let Client { read, write, .. } = client;
    tokio::spawn(receive(read, arrivals));
    Ok(Sender(write))
}

impl Sender {
    /// Sends a chat message.
    pub async fn send(&mut self, to: &str, number: u64, body: &str) -> Result<()> {
        let stanza = format!("<message to='{to}' type='chat' id='m{number}'><body>{body}</body></message>");
        self.0.write_all(stanza.as_bytes()).await.context("sending a stanza")
    }
}

struct Client {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    text: String,
}

impl Client {
    /// Sends and waits until `end` has come.
    async fn ask(&mut self, text: &str, end: &str) -> Result<()> {
        self.text.clear();
        self.write.write_all(text.as_bytes()).await.context("signing in")?;
        let mut buffer = [0; 4096];
        while !self.text.contains(end) {
            let read = tokio::time::timeout(PATIENCE, self.read.read(&mut buffer)).await;
            let read = read.ok().with_context(|| format!("no {end} within {PATIENCE:?}: {}", self.text))??;
            if read == 0 || self.text.contains("<failure") {
                bail!("the XMPP server refused: {}", self.text);
            }
            self.text.push_str(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()));
        }
        Ok(())
    }
}

async fn receive(mut read: OwnedReadHalf, arrivals: mpsc::UnboundedSender<u64>) {
    let (mut text, mut buffer) = (String::new(), vec![0; 64 * 1024]);
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        text.push_str(&String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()));
        while let Some((stanza, rest)) = text.split_once("</message>") {
            if let Some(number) = number(stanza) {
                let _ = arrivals.send(number); // the round is over
            }
            text = rest.to_owned();
        }
    }
}

/// The number at the beginning of a stanza's body.
fn number(stanza: &str) -> Option<u64> {
    stanza.split_once("<body>")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_begins_with_its_number() {
        let rows = [
            ("<message from='a'><body>17 lorem</body>", Some(17)),
            ("<message><stanza-id id='x'/><body>4 </body>", Some(4)),
            ("<message><body>lorem</body>", None),
            ("<presence/>", None),
        ];
        for (stanza, want) in rows {
            assert_eq!(number(stanza), want, "{stanza}");
        }
    }
}
