//! Typing and reading in one terminal: line by line, incoming messages in between.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use convene_client::im;
use convene_client::{Client, Source, Transport, Update, body};
use tokio::sync::mpsc;

use super::bars::Bars;
use super::ending::interrupted;
use super::names::Names;
use super::people::People;
use super::{complain, find, line_of, list, members, print, read, save, show};

/// Lines typed ahead.
const MAX_LINES: usize = 16;
/// How long the first list waits for the server. Longer keeps somebody who is offline from what is here.
const FIRST_SYNC: Duration = Duration::from_secs(1);
/// Messages shown when a conversation is opened.
const SHOWN: usize = 20;

const HELP: &str = "/list             conversations and their numbers
/open CONV        a number or a title or a person; then what you type is sent there
/direct NAME      opens the conversation with somebody
/group TITLE NAME...   makes one; the title is one word
/file PATH [CAPTION], /voice PATH, /save SEQ PATH
/reply SEQ TEXT, /edit SEQ TEXT, /recall SEQ, /react SEQ EMOJI
/read, /members, /help, /quit";

struct Terminal<'a> {
    client: &'a Client,
    people: &'a People,
    names: Names,
    open: Option<u64>,
    online: bool,
    bars: Bars,
}

/// Runs until /quit, Ctrl-D or Ctrl-C, which waits for nothing that is under way.
pub(super) async fn run(client: &Client, people: &People) -> Result<()> {
    tokio::select! {
        ended = talk(client, people) => ended,
        () = interrupted() => Ok(()),
    }
}

async fn talk(client: &Client, people: &People) -> Result<()> {
    let mut updates = client.updates();
    let mut lines = stdin();
    let (names, bars) = (Names::default(), Bars::default());
    let mut terminal = Terminal { client, people, names, open: None, online: false, bars };
    let _ = tokio::time::timeout(FIRST_SYNC, client.synced()).await; // what is here has to do
    list(client).await?;
    print("/help tells what can be typed here.")?;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) if line.trim() == "/quit" => return Ok(()),
                Some(line) => {
                    if let Err(error) = terminal.line(line.trim()).await {
                        complain(&format!("{error:#}"));
                    }
                }
                None => return Ok(()),
            },
            update = updates.next() => match update {
                Some(update) => terminal.update(update).await?,
                None => return Ok(()),
            },
        }
    }
}

/// A thread that reads lines: a read from a terminal cannot be taken back.
fn stdin() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(MAX_LINES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// How a command is written, if there is one of that name.
fn usage(command: &str) -> String {
    let mut all = HELP.lines().flat_map(|line| line.split(", "));
    match all.find(|one| one.split_whitespace().next() == Some(command)) {
        Some(one) => format!("usage: {one}"),
        None => "what is that? /help tells what can be typed here".to_owned(),
    }
}

impl Terminal<'_> {
    async fn line(&mut self, line: &str) -> Result<()> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let client = self.client;
        self.bars.hide();
        match command {
            "" => Ok(()),
            "/open" | "/direct" | "/group" if rest.is_empty() => print(&usage(command)),
            "/help" => print(HELP),
            "/list" => list(client).await,
            "/open" => self.show(find(client, rest).await?).await,
            "/direct" => self.show(self.people.direct(client, rest).await?).await,
            "/group" => {
                let mut words = rest.split_whitespace();
                let title = words.next().unwrap_or_default();
                self.show(self.people.group(client, title, &words.collect::<Vec<_>>()).await?).await
            }
            _here => self.here(command, rest, line).await,
        }
    }

    /// What needs an open conversation.
    async fn here(&mut self, command: &str, rest: &str, line: &str) -> Result<()> {
        let client = self.client;
        let Some(conv) = self.open else { return print("/open a conversation first; /list shows them") };
        let (first, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let seq = first.parse::<u64>();
        match (command, seq) {
            (_bare, _) if command.starts_with('/') && rest.is_empty() && !matches!(command, "/read" | "/members") => {
                print(&usage(command))
            }
            ("/read", _) => read(client, conv, SHOWN).await,
            ("/members", _) => members(client, conv).await,
            ("/file", _) => {
                client.send_file(conv, Source::Path(PathBuf::from(first)), text).await?;
                self.queued()
            }
            ("/voice", _) => {
                client.send_voice(conv, Source::Path(PathBuf::from(rest))).await?;
                self.queued()
            }
            ("/save", Ok(seq)) => save(client, conv, seq, &PathBuf::from(text)).await,
            ("/reply", Ok(seq)) => self.send(conv, body::reply(seq, text)).await,
            ("/edit", Ok(seq)) => self.send(conv, body::edit(seq, text)).await,
            ("/recall", Ok(seq)) => self.send(conv, body::recall(seq)).await,
            ("/react", Ok(seq)) => self.send(conv, body::react(seq, text, false)).await,
            _unknown if command.starts_with('/') => print(&usage(command)),
            _text => self.send(conv, body::text(line)).await,
        }
    }

    async fn send(&self, conv: u64, body: im::Body) -> Result<()> {
        self.client.send(conv, body).await?;
        self.queued()
    }

    /// It is kept; says so if it cannot be on its way.
    fn queued(&self) -> Result<()> {
        if self.online { Ok(()) } else { print("* no connection: it is kept, and sent when there is one") }
    }

    async fn show(&mut self, conv: u64) -> Result<()> {
        self.open = Some(conv);
        read(self.client, conv, SHOWN).await
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "later versions tell more, and not all of it is shown")]
    async fn update(&mut self, update: Update) -> Result<()> {
        match &update {
            Update::UploadProgress { client_id, done, total } => {
                self.bars.show(*client_id, "upload", *done, *total);
                return Ok(());
            }
            Update::Sent { client_id, .. } | Update::SendFailed { client_id, .. } => self.bars.clear(*client_id),
            _ => {}
        }
        self.bars.hide();
        match update {
            Update::Event { event } => self.event(&event).await,
            Update::Connected { transport, .. } => {
                self.online = true;
                print(match transport {
                    Transport::Quic => "* connected (QUIC)",
                    Transport::WebSocket => "* connected (WebSocket)",
                })
            }
            Update::Disconnected { reason, retry_in } => {
                self.online = false;
                let next = retry_in.map_or("not trying again".to_owned(), |wait| {
                    format!("trying again in {} s", wait.as_secs_f32().ceil())
                });
                print(&format!("* disconnected: {}; {next}", show::plain(&reason)))
            }
            Update::SignedOut { reason } => print(&format!("* {}: `convene chat login`", show::plain(&reason))),
            Update::SendFailed { error, .. } => print(&format!("* not sent: {}", show::plain(&error.to_string()))),
            Update::Lagged(count) => print(&format!("* {count} updates were missed: /read shows them")),
            Update::Hint(im::Hint { kind: Some(im::hint::Kind::Typing(typing)) }) if Some(typing.conv) == self.open => {
                print(&format!("* {} types", self.names.show(typing.user)))
            }
            _other => Ok(()),
        }
    }

    async fn event(&mut self, event: &im::Event) -> Result<()> {
        let Some(line) = line_of(self.client, &mut self.names, event).await else { return Ok(()) };
        if Some(event.conv) == self.open {
            self.client.mark_read(event.conv, event.seq).await?;
            return print(&line);
        }
        print(&format!("[{}] {line}", event.conv))
    }
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn each_command_tells_how_it_is_written() {
        let rows = [
            ("/save", "usage: /save SEQ PATH"),
            ("/open", "usage: /open CONV        a number or a title or a person; then what you type is sent there"),
            ("/edit", "usage: /edit SEQ TEXT"),
            ("/what", "what is that? /help tells what can be typed here"),
        ];
        for (command, want) in rows {
            assert_eq!(usage(command), want);
        }
    }
}
