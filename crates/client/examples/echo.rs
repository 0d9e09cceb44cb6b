//! A chat bot: it answers every text that it is sent. For a development server, which gives tokens to anybody.
//!
//! ```text
//! cargo run --release -p convene-client --example echo -- http://localhost:7880 bot
//! ```

#![allow(clippy::print_stdout, reason = "a program for a terminal")]
#![allow(clippy::wildcard_enum_match_arm, reason = "of what a client tells, a bot needs little")]

use std::error::Error;
use std::path::PathBuf;

use convene_client::im::{self, body::Kind};
use convene_client::{Client, Config, ServerUrl, TokenSource, Update, dev_token};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server: ServerUrl = arguments.next().ok_or("where is the server?")?.parse()?;
    let user = arguments.next().ok_or("what is the bot called?")?;

    // Asked again whenever the last token is no longer good.
    let (address, name) = (server.clone(), user.clone());
    let token = TokenSource::new(move || {
        let (address, name) = (address.clone(), name.clone());
        async move { dev_token(&address, &name).await.map_err(|error| error.to_string()) }
    });
    let data_dir = PathBuf::from(format!("echo-{user}"));
    let client = Client::open(Config::new(server, token, data_dir)).await?;

    let mut updates = client.updates();
    while let Some(update) = updates.next().await {
        match update {
            Update::Connected { me, .. } => println!("here as {}", me.name),
            Update::Event { event } => answer(&client, event).await?,
            Update::Disconnected { reason, .. } => println!("away: {reason}"),
            _ => {}
        }
    }
    Ok(())
}

/// Says again what somebody else said.
async fn answer(client: &Client, event: im::Event) -> Result<(), Box<dyn Error>> {
    let me = client.me().await?.map_or(0, |me| me.id);
    let Some(im::Body { kind: Some(Kind::Text(said)), .. }) = event.body else { return Ok(()) };
    if event.sender == me {
        return Ok(());
    }
    let text = format!("you said {}", said.text);
    // Durable here when this returns; sent when there is a connection.
    let body = im::Body { kind: Some(Kind::Text(im::Text { text })), ..im::Body::default() };
    client.send(event.conv, body).await?;
    Ok(())
}
