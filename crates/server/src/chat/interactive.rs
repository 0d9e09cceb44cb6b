//! Typing and reading in one terminal: line by line, incoming messages in between.

use std::path::PathBuf;

use anyhow::Result;
use convene_client::im;
use convene_client::{Client, Source, Transport, Update, body};
use tokio::sync::mpsc;

use super::names::Names;
use super::{complain, find, line_of, list, members, print, read, save, show};

/// Lines typed ahead.
const MAX_LINES: usize = 16;
/// Messages shown when a conversation is opened.
const SHOWN: usize = 20;

const HELP: &str = "/list             conversations, with their numbers
/open CONV        number, title or person; then what you type is sent there
/direct NAME      opens the conversation with somebody
/group TITLE NAME...
/file PATH [CAPTION], /voice PATH, /save SEQ PATH
/reply SEQ TEXT, /edit SEQ TEXT, /recall SEQ, /react SEQ EMOJI
/read, /members, /help, /quit";

struct Terminal<'a> {
    client: &'a Client,
    names: Names,
    open: Option<u64>,
}

/// Runs until /quit, Ctrl-D or Ctrl-C.
pub(super) async fn run(client: &Client) -> Result<()> {
    let mut updates = client.updates();
    let mut lines = stdin();
    let mut terminal = Terminal { client, names: Names::default(), open: None };
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
            _ = tokio::signal::ctrl_c() => return Ok(()),
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

impl Terminal<'_> {
    async fn line(&mut self, line: &str) -> Result<()> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let client = self.client;
        match command {
            "" => Ok(()),
            "/help" => print(HELP),
            "/list" => list(client).await,
            "/open" => self.show(find(client, rest).await?).await,
            "/direct" => self.show(client.create_direct(rest).await?).await,
            "/group" => {
                let mut words = rest.split_whitespace();
                let title = words.next().unwrap_or_default();
                self.show(client.create_group(title, &words.collect::<Vec<_>>()).await?).await
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
            ("/read", _) => read(client, conv, SHOWN).await,
            ("/members", _) => members(client, conv).await,
            ("/file", _) => Ok(client.send_file(conv, Source::Path(PathBuf::from(first)), text).await.map(drop)?),
            ("/voice", _) => Ok(client.send_voice(conv, Source::Path(PathBuf::from(rest))).await.map(drop)?),
            ("/save", Ok(seq)) => save(client, conv, seq, &PathBuf::from(text)).await,
            ("/reply", Ok(seq)) => self.send(conv, body::reply(seq, text)).await,
            ("/edit", Ok(seq)) => self.send(conv, body::edit(seq, text)).await,
            ("/recall", Ok(seq)) => self.send(conv, body::recall(seq)).await,
            ("/react", Ok(seq)) => self.send(conv, body::react(seq, text, false)).await,
            _unknown if command.starts_with('/') => print("what is that? /help tells what can be typed here"),
            _text => self.send(conv, body::text(line)).await,
        }
    }

    async fn send(&self, conv: u64, body: im::Body) -> Result<()> {
        Ok(self.client.send(conv, body).await.map(drop)?)
    }

    async fn show(&mut self, conv: u64) -> Result<()> {
        self.open = Some(conv);
        read(self.client, conv, SHOWN).await
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "later versions tell more, and not all of it is shown")]
    async fn update(&mut self, update: Update) -> Result<()> {
        match update {
            Update::Event { event } => self.event(&event).await,
            Update::Connected { transport, .. } => print(match transport {
                Transport::Quic => "* connected (QUIC)",
                Transport::WebSocket => "* connected (WebSocket)",
            }),
            Update::Disconnected { reason, retry_in } => {
                let next = retry_in.map_or("not trying again".to_owned(), |wait| {
                    format!("trying again in {} s", wait.as_secs_f32().ceil())
                });
                print(&format!("* disconnected: {}; {next}", show::plain(&reason)))
            }
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
