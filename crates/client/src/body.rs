//! Bodies as people think of them.

use convene_proto::im::{Body, Edit, Pin, React, Recall, Text, body::Kind};

fn of(kind: Kind) -> Body {
    Body { kind: Some(kind), ..Body::default() }
}

/// A message.
#[must_use]
pub fn text(text: impl Into<String>) -> Body {
    of(Kind::Text(Text { text: text.into() }))
}

/// A message that answers another one.
#[must_use]
pub fn reply(to: u64, answer: impl Into<String>) -> Body {
    Body { reply_to: to, ..text(answer) }
}

/// Another text for an earlier message of one's own.
#[must_use]
pub fn edit(target: u64, text: impl Into<String>) -> Body {
    Body { target, ..of(Kind::Edit(Edit { text: text.into() })) }
}

/// Takes a message back.
#[must_use]
pub fn recall(target: u64) -> Body {
    Body { target, ..of(Kind::Recall(Recall {})) }
}

/// A reaction, or with `remove` the end of it.
#[must_use]
pub fn react(target: u64, emoji: impl Into<String>, remove: bool) -> Body {
    Body { target, ..of(Kind::React(React { emoji: emoji.into(), remove })) }
}

/// Pins a message, or with `remove` unpins it.
#[must_use]
pub fn pin(target: u64, remove: bool) -> Body {
    Body { target, ..of(Kind::Pin(Pin { remove })) }
}
