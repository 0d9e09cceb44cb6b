//! Names of users, asked for once.

use std::collections::HashMap;

use convene_client::im::body::Kind;
use convene_client::{Client, Conversation, Message};

use super::show::plain;

/// The names known so far.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<u64, String>);

impl Names {
    /// Of those that a list of conversations shows.
    pub(super) async fn of(client: &Client, conversations: &[Conversation]) -> Self {
        let peers = conversations.iter().map(|conversation| conversation.state.peer.0);
        let last = conversations.iter().filter_map(|conversation| conversation.last.as_ref());
        let mut names = Self::of_users(client, peers.collect()).await;
        names.learn(client, &last.cloned().collect::<Vec<_>>()).await;
        names
    }

    pub(super) async fn of_messages(client: &Client, messages: &[Message]) -> Self {
        let mut names = Self::default();
        names.learn(client, messages).await;
        names
    }

    pub(super) async fn of_users(client: &Client, users: Vec<u64>) -> Self {
        let mut names = Self::default();
        names.ask(client, users).await;
        names
    }

    /// Asks for those that these messages name.
    pub(super) async fn learn(&mut self, client: &Client, messages: &[Message]) {
        let mut users = Vec::new();
        for event in messages.iter().map(|message| &message.event) {
            users.push(event.sender);
            match event.body.as_ref().and_then(|body| body.kind.as_ref()) {
                Some(Kind::Members(change)) => {
                    users.extend(change.add.iter().chain(&change.role).map(|member| member.user));
                    users.extend(&change.remove);
                }
                Some(Kind::Card(card)) => users.push(card.user),
                _without => {}
            }
        }
        self.ask(client, users).await;
    }

    async fn ask(&mut self, client: &Client, mut users: Vec<u64>) {
        users.retain(|user| *user != 0 && !self.0.contains_key(user));
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return;
        }
        // Without a connection, numbers have to do.
        let found = tokio::time::timeout(std::time::Duration::from_secs(3), client.users(&users)).await;
        for user in found.into_iter().flatten().flatten() {
            // Names of accounts are numbers.
            let shown = if user.display_name.is_empty() { &user.name } else { &user.display_name };
            self.0.insert(user.id, plain(shown));
        }
    }

    pub(super) fn show(&self, user: u64) -> String {
        self.0.get(&user).cloned().unwrap_or_else(|| format!("user {user}"))
    }
}
