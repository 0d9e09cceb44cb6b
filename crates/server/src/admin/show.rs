//! Answers as text: one thing a line, columns by tabs; or as JSON.

use anyhow::{Context as _, Result};
use convene_api::admin::Answer;

/// What to print. `made_up`: a password that nobody has seen yet.
pub(super) fn answer(answer: &Answer, made_up: Option<&str>, json: bool) -> Result<String> {
    if json {
        let mut value = serde_json::to_value(answer).context("writing JSON")?;
        if let (Some(password), Some(object)) = (made_up, value.as_object_mut()) {
            object.insert("password".to_owned(), password.into());
        }
        return Ok(value.to_string());
    }
    let mut text = plain(answer);
    if let Some(password) = made_up {
        text = format!("password {password}\n{text}");
    }
    Ok(text)
}

fn plain(answer: &Answer) -> String {
    match answer {
        Answer::User { id } => format!("account {id}"),
        Answer::Organisation { id } => format!("organisation {id}"),
        Answer::Key { id, secret, room_prefix } => {
            format!(
                "key     {id}\nsecret  {secret}\nrooms   their names begin with {room_prefix}\nThe secret is not shown again."
            )
        }
        Answer::Users { users, more } => {
            let lines = users.iter().map(|user| format!("{}\t{}\t{}\t{}", user.id, user.state, user.phone, user.name));
            listed(lines.collect(), *more, "nobody has an account")
        }
        Answer::Organisations { organisations, more } => {
            let lines = organisations
                .iter()
                .map(|org| format!("{}\t{}\t{} members\t{}", org.id, org.name, org.members, org.title));
            listed(lines.collect(), *more, "there is no organisation")
        }
        Answer::Keys { keys } => {
            let state = |good| if good { "good" } else { "revoked" };
            let lines = keys
                .iter()
                .map(|key| format!("{}\t{}\t{}\t{}", key.id, state(key.good), key.scopes.join(","), key.title));
            listed(lines.collect(), false, "there is no key")
        }
        Answer::Ended { sessions } => format!("done; {sessions} sessions ended"),
        Answer::Erased { receipt } => format!("done\nreceipt {receipt}"),
        Answer::Receipt { account, at_s } => {
            format!("true: account {account} was erased at {at_s} (seconds since 1970)")
        }
        Answer::Done => "done".to_owned(),
        Answer::Refused { code, text } => format!("{text} ({code})"),
    }
}

fn listed(lines: Vec<String>, more: bool, none: &str) -> String {
    if lines.is_empty() {
        return none.to_owned();
    }
    let tail = if more { "\n(there are more: --after the last id)" } else { "" };
    format!("{}{tail}", lines.join("\n"))
}
