//! `convene chat`: a chat client on a terminal. Not here: anything that is true of chat (`convene-client`).

mod args;
mod bars;
mod ending;
mod interactive;
mod names;
mod people;
mod prompt;
mod show;
mod sign_in;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use convene_client::im::{self, body::Kind};
use convene_client::{Client, ClientId, Config, ServerUrl, Source, TokenSource, Update, Updates, body};

use args::ChatCommand;
pub(crate) use args::{ChatArgs, HELP};
use bars::Bars;
use names::Names;
use people::People;

/// How long a command waits for the server before it goes on with what is here.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a message may take to be acknowledged before the command says that it stays queued.
const SENDING: Duration = Duration::from_secs(20);

/// Runs the command.
pub(crate) fn run(args: &ChatArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match &args.command {
            Some(ChatCommand::Login { phone, password }) => return sign_in::login(args, phone, *password).await,
            Some(ChatCommand::Logout) => return sign_in::logout(args).await,
            Some(_) | None => {}
        }
        let (client, people) = open(args).await?;
        let result = match &args.command {
            Some(command) => dispatch(&client, &people, command).await,
            None => interactive::run(&client, &people).await,
        };
        ending::end(&client, &people).await;
        result
    })
}

async fn open(args: &ChatArgs) -> Result<(Client, People)> {
    let with_token = |token| Ok::<_, anyhow::Error>(Config::new(args.server.clone(), token, data_dir(args)?));
    let (mut config, people) = match (&args.token, args.dev, &args.user) {
        (Some(token), _, _) => (with_token(TokenSource::fixed(token.clone()))?, People::ByName),
        (None, true, Some(user)) => {
            let (server, user) = (args.server.clone(), user.clone());
            let source = TokenSource::new(move || {
                let (server, user) = (server.clone(), user.clone());
                async move { convene_client::dev_token(&server, &user).await.map_err(|error| error.to_string()) }
            });
            (with_token(source)?, People::ByName)
        }
        (None, _, _) => sign_in::config(args).await?,
    };
    config.name = concat!("convene-cli/", env!("CARGO_PKG_VERSION")).to_owned();
    config.ways = args.transport.into();
    config.allow_insecure = args.insecure;
    let dir = config.data_dir.clone();
    Ok((Client::open(config).await.with_context(|| format!("opening {}", dir.display()))?, people))
}

/// One directory for each server, user and profile: each is a device.
fn data_dir(args: &ChatArgs) -> Result<PathBuf> {
    if let Some(dir) = &args.data_dir {
        return Ok(dir.clone());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = data.or_else(home).context("no home directory: say --data-dir")?;
    let name = args.user.as_deref().unwrap_or("me");
    Ok(data
        .join("convene/chat")
        .join(file_name(&place(&args.server)))
        .join(file_name(name))
        .join(file_name(&args.profile)))
}

fn place(server: &ServerUrl) -> String {
    format!("{}_{}", server.host(), server.port())
}

/// A name that cannot lead out of its directory.
fn file_name(text: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '.' };
    format!("_{}", text.chars().map(safe).collect::<String>())
}

async fn dispatch(client: &Client, people: &People, command: &ChatCommand) -> Result<()> {
    let mut updates = client.updates();
    if let ChatCommand::Send { conv, text, queue: true } = command {
        let conv = find(client, conv).await?;
        return Ok(client.send(conv, body::text(text.join(" "))).await.map(drop)?);
    }
    catch_up(client, &mut updates).await?;
    match command {
        ChatCommand::List => list(client).await,
        ChatCommand::Read { conv, count } => read(client, find(client, conv).await?, *count).await,
        ChatCommand::Save { conv, seq, dest } => save(client, find(client, conv).await?, *seq, dest).await,
        ChatCommand::Direct { name } => print(&people.direct(client, name).await?.to_string()),
        ChatCommand::Group { title, names } => {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            print(&people.group(client, title, &names).await?.to_string())
        }
        ChatCommand::Tail { conv } => {
            let conv = match conv {
                Some(conv) => Some(find(client, conv).await?),
                None => None,
            };
            tokio::select! {
                ended = tail(client, &mut updates, conv) => ended,
                () = ending::interrupted() => Ok(()),
            }
        }
        ChatCommand::Members { conv } => members(client, find(client, conv).await?).await,
        ChatCommand::Receipts { conv, seq } => receipts(client, find(client, conv).await?, *seq).await,
        ChatCommand::Sync => delivered(client).await,
        ChatCommand::Login { .. } | ChatCommand::Logout => bail!("this command opens no client"),
        ChatCommand::Send { .. }
        | ChatCommand::Voice { .. }
        | ChatCommand::File { .. }
        | ChatCommand::Edit { .. }
        | ChatCommand::Recall { .. }
        | ChatCommand::React { .. } => {
            let id = queue(client, command).await?;
            sent(&mut updates, id).await
        }
    }
}

/// Queues what a command sends.
async fn queue(client: &Client, command: &ChatCommand) -> Result<ClientId> {
    let (conv, body) = match command {
        ChatCommand::Send { conv, text, .. } => (conv, body::text(text.join(" "))),
        ChatCommand::Edit { conv, seq, text } => (conv, body::edit(*seq, text.join(" "))),
        ChatCommand::Recall { conv, seq } => (conv, body::recall(*seq)),
        ChatCommand::React { conv, seq, emoji } => (conv, body::react(*seq, emoji.clone(), false)),
        ChatCommand::Voice { conv, file } => {
            let conv = find(client, conv).await?;
            return Ok(client.send_voice(conv, Source::Path(file.clone())).await?);
        }
        ChatCommand::File { conv, file, caption } => {
            let conv = find(client, conv).await?;
            return Ok(client.send_file(conv, Source::Path(file.clone()), caption).await?);
        }
        ChatCommand::Login { .. }
        | ChatCommand::Logout
        | ChatCommand::List
        | ChatCommand::Read { .. }
        | ChatCommand::Save { .. }
        | ChatCommand::Direct { .. }
        | ChatCommand::Group { .. }
        | ChatCommand::Tail { .. }
        | ChatCommand::Members { .. }
        | ChatCommand::Receipts { .. }
        | ChatCommand::Sync => bail!("this command sends nothing"),
    };
    Ok(client.send(find(client, conv).await?, body).await?)
}

/// Waits a while for the server; without it, what is here has to do.
async fn catch_up(client: &Client, updates: &mut Updates) -> Result<()> {
    let reason = async {
        loop {
            match updates.next().await {
                Some(Update::SignedOut { reason }) => return Err(sign_in::over(&reason)),
                Some(Update::Disconnected { reason, retry_in: None }) => return Ok(reason),
                Some(_) => {}
                None => return Ok("ended".to_owned()),
            }
        }
    };
    tokio::select! {
        _ = client.synced() => {}
        reason = reason => complain(&reason?),
        () = tokio::time::sleep(PATIENCE) => complain("the server cannot be reached: showing what is here"),
    }
    Ok(())
}

/// The conversation that somebody means: a number, a title, or a person.
async fn find(client: &Client, text: &str) -> Result<u64> {
    let conversations = client.conversations().await?;
    if let Ok(number) = text.parse::<u64>() {
        let known = conversations.iter().any(|conversation| conversation.conv == number);
        return if known { Ok(number) } else { Err(anyhow!("you are in no conversation {number}: `list` shows all")) };
    }
    Names::of(client, &conversations).await.meant(text, &conversations)
}

async fn list(client: &Client) -> Result<()> {
    let conversations = client.conversations().await?;
    if conversations.is_empty() {
        complain("no conversations yet: `direct NAME` begins one");
    }
    let names = Names::of(client, &conversations).await;
    for conversation in &conversations {
        print(&show::conversation(conversation, &|id| names.show(id)))?;
    }
    Ok(())
}

async fn read(client: &Client, conv: u64, count: usize) -> Result<()> {
    let page = client.messages(conv, None, count).await?;
    let names = Names::of_messages(client, &page.messages).await;
    for message in &page.messages {
        print(&show::message(message, &|id| names.show(id)))?;
    }
    for row in client.outgoing(Some(conv)).await? {
        print(&show::outgoing(&row))?;
    }
    if !page.complete {
        complain("older messages are not here: they are fetched when there is a connection");
    }
    if let Some(newest) = page.messages.last() {
        client.mark_read(conv, newest.event.seq).await?;
        tokio::time::sleep(Duration::from_millis(100)).await; // what is not told by then, the next run tells
    }
    Ok(())
}

/// Waits until the server has it.
async fn sent(updates: &mut Updates, id: ClientId) -> Result<()> {
    let bars = Bars::default();
    let waiting = async {
        let mut deadline = tokio::time::Instant::now() + SENDING;
        loop {
            let update = tokio::time::timeout_at(deadline, updates.next()).await;
            match update.context("not acknowledged yet: it stays queued, `convene chat sync` goes on")? {
                Some(Update::Sent { client_id, seq, .. }) if client_id == id => return print(&seq.to_string()),
                Some(Update::SendFailed { client_id, error, .. }) if client_id == id => return Err(error.into()),
                Some(Update::UploadProgress { client_id, done, total }) if client_id == id => {
                    bars.show(id, "upload", done, total);
                    deadline = tokio::time::Instant::now() + SENDING;
                }
                Some(Update::SignedOut { reason }) => return Err(sign_in::over(&reason)),
                Some(Update::Disconnected { reason, .. }) => complain(&reason),
                Some(_) => {}
                None => bail!("ended"),
            }
        }
    };
    let result = waiting.await;
    bars.clear(id);
    result
}

async fn save(client: &Client, conv: u64, seq: u64, dest: &std::path::Path) -> Result<()> {
    let page = client.messages(conv, Some(seq.saturating_add(1)), 1).await?;
    let message = page.messages.last().filter(|message| message.event.seq == seq);
    let kind = message.and_then(|message| message.event.body.as_ref()).and_then(|body| body.kind.as_ref());
    let blob = match kind {
        Some(Kind::Voice(voice)) => voice.blob.as_ref(),
        Some(Kind::Image(image)) => image.blob.as_ref(),
        Some(Kind::File(file)) => file.blob.as_ref(),
        _without => None,
    };
    let blob = blob.with_context(|| format!("message {seq} has no file"))?;
    let bars = Bars::default();
    let id = ClientId::default(); // it has none, and is alone
    let result = client.download(conv, blob, dest, |done, total| bars.show(id, "download", done, total)).await;
    bars.clear(id);
    result.map_err(Into::into)
}

/// Prints what comes.
async fn tail(client: &Client, updates: &mut Updates, only: Option<u64>) -> Result<()> {
    let mut names = Names::default();
    loop {
        match updates.next().await {
            Some(Update::Event { event }) if only.is_none_or(|conv| conv == event.conv) => {
                if let Some(line) = line_of(client, &mut names, &event).await {
                    print(&if only.is_some() { line } else { format!("{:>6} {line}", event.conv) })?;
                }
            }
            Some(Update::SignedOut { reason }) => return Err(sign_in::over(&reason)),
            Some(Update::Disconnected { reason, .. }) => complain(&reason),
            Some(Update::Lagged(count)) => complain(&format!("{count} updates were missed: see `read`")),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

/// How an event that has just come is shown: what changes a message is that message, as it stands. `None` if there is
/// nothing to see.
async fn line_of(client: &Client, names: &mut Names, event: &im::Event) -> Option<String> {
    let body = event.body.as_ref()?;
    let seq = match &body.kind {
        Some(Kind::Edit(_) | Kind::Recall(_) | Kind::React(_) | Kind::Pin(_)) => body.target,
        _itself => event.seq,
    };
    let page = client.messages(event.conv, Some(seq.saturating_add(1)), 1).await.ok()?;
    let message = page.messages.into_iter().next_back().filter(|message| message.event.seq == seq)?;
    names.learn(client, std::slice::from_ref(&message)).await;
    Some(show::message(&message, &|id| names.show(id)))
}

async fn members(client: &Client, conv: u64) -> Result<()> {
    let members = client.members(conv).await?;
    let names = Names::of_users(client, members.iter().map(|member| member.user).collect()).await;
    for member in members {
        let role = member.role().as_str_name().trim_start_matches("ROLE_").to_ascii_lowercase();
        print(&format!("{:<24} {role:<8} read up to {}", names.show(member.user), member.read_seq))?;
    }
    Ok(())
}

async fn receipts(client: &Client, conv: u64, seq: u64) -> Result<()> {
    let receipts = client.receipts(conv, seq).await?;
    let names = Names::of_users(client, receipts.users.clone()).await;
    let list: Vec<_> = receipts.users.iter().map(|user| names.show(*user)).collect();
    print(&format!("read by {} of {}: {}", receipts.readers, receipts.members, list.join(", ")))
}

/// Waits until nothing is queued any more.
async fn delivered(client: &Client) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SENDING;
    loop {
        let rows = client.outgoing(None).await?;
        let waiting = rows.iter().filter(|row| row.state != convene_client::Progress::Failed).count();
        if waiting == 0 {
            rows.iter().try_for_each(|row| print(&show::outgoing(row)))?;
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            bail!("{waiting} messages are still queued");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn print(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "convene chat: {text}"); // no stderr, nobody to tell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_the_data_directory() {
        let rows = [("ana", "_ana"), ("../../etc", "_......etc"), ("", "_"), ("::1_7880", "_..1_7880")];
        for (name, want) in rows {
            assert_eq!(file_name(name), want);
        }
    }
}
