//! Names of users, asked for once, and the conversation that somebody means by one.

use std::collections::HashMap;

use anyhow::{Result, bail};
use convene_client::im::{self, body::Kind};
use convene_client::{Client, Conversation, Message};

use super::show::{self, plain};

/// The names known so far.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<u64, Known>);

#[derive(Debug)]
struct Known {
    /// By which users of a development server are found. Those of accounts are numbers.
    name: String,
    /// As others see it.
    shown: String,
}

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
        found.into_iter().flatten().flatten().for_each(|user| self.keep(user));
    }

    fn keep(&mut self, user: im::User) {
        let shown = plain(if user.display_name.is_empty() { &user.name } else { &user.display_name });
        self.0.insert(user.id, Known { name: user.name, shown });
    }

    pub(super) fn show(&self, user: u64) -> String {
        self.0.get(&user).map_or_else(|| format!("user {user}"), |known| known.shown.clone())
    }

    /// The one that is called so.
    pub(super) fn meant(&self, text: &str, conversations: &[Conversation]) -> Result<u64> {
        let mut found = conversations.iter().filter(|one| self.is_called(text, one));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.conv),
            (Some(_), Some(_)) => bail!("several conversations are called {text:?}: say the number"),
            (None, _) => bail!("no conversation is called {text:?}: `list` shows all, `direct` makes one"),
        }
    }

    /// By its title; one with a person also by the name with which it was made.
    fn is_called(&self, text: &str, conversation: &Conversation) -> bool {
        let peer = self.0.get(&conversation.state.peer.0);
        show::title(conversation, &|id| self.show(id)) == text || peer.is_some_and(|peer| peer.name == text)
    }
}

#[cfg(test)]
mod tests {
    use convene_client::State;

    use super::*;

    fn direct(conv: u64) -> Conversation {
        let kind = im::ConversationKind::Direct;
        let state = State { kind, peer: convene_types::UserId(conv), ..State::default() };
        Conversation { conv, state, unread: 0, last: None }
    }

    fn group(conv: u64, title: &str) -> Conversation {
        let state = State { kind: im::ConversationKind::Group, title: title.to_owned(), ..State::default() };
        Conversation { conv, state, unread: 0, last: None }
    }

    #[test]
    fn a_person_is_meant_by_either_name() {
        let mut names = Names::default();
        for (id, name, shown) in [(1, "bob", "Robert"), (2, "ana", ""), (3, "eve", "ana")] {
            names.keep(im::User { id, name: name.to_owned(), display_name: shown.to_owned(), ..im::User::default() });
        }
        let conversations = [direct(1), direct(2), direct(3), direct(4), group(5, "herons"), group(6, "")];
        let rows = [
            ("bob", Ok(1)),
            ("Robert", Ok(1)),
            ("eve", Ok(3)),
            ("user 4", Ok(4)),
            ("herons", Ok(5)),
            ("ana", Err("several")),
            ("rob", Err("no conversation")),
        ];
        for (text, want) in rows {
            match (names.meant(text, &conversations), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{text}"),
                (Err(error), Err(word)) => assert!(error.to_string().starts_with(word), "{text}: {error}"),
                (got, want) => panic!("{text}: {got:?}, not {want:?}"),
            }
        }
    }
}
