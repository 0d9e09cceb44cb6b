//! What this device knows of the logs: the replica's rows, as they are.

use bytes::Bytes;
use convene_im_core::replica::{KEPT, Row};
use convene_proto::im::{ConversationDelta, Event, User};
use convene_types::{Bump, Seq, Useq};
use prost::Message as _;
use rusqlite::params;

use super::meta::Key;
use super::{Database, int, unsigned};
use crate::error::Error;

impl Database {
    /// Puts an event in, or what erasure left of it.
    pub(crate) fn put_event(&self, event: &Event) -> Result<(), Error> {
        let mut write = self.conn.prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3)")?;
        write.execute(params![int(event.conv), int(event.seq), event.encode_to_vec()])?;
        Ok(())
    }

    /// Forgets events up to this one.
    pub(crate) fn forget_events(&self, conv: u64, up_to: u64) -> Result<(), Error> {
        let mut delete = self.conn.prepare_cached("DELETE FROM events WHERE conv = ?1 AND seq <= ?2")?;
        delete.execute(params![int(conv), int(up_to)])?;
        Ok(())
    }

    pub(crate) fn put_conversation(&self, row: &Row) -> Result<(), Error> {
        let spans: Vec<u8> =
            row.spans.iter().flat_map(|(from, to)| [from.0.to_le_bytes(), to.0.to_le_bytes()].concat()).collect();
        let mut write = self.conn.prepare_cached("INSERT OR REPLACE INTO conversations VALUES (?1, ?2, ?3, ?4)")?;
        write.execute(params![int(row.delta.conv), row.delta.encode_to_vec(), spans, int(row.state_at.0)])?;
        Ok(())
    }

    pub(crate) fn set_position(&self, useq: Useq, bump: Bump) -> Result<(), Error> {
        self.set_value(Key::Position, &[useq.0.to_le_bytes(), bump.0.to_le_bytes()].concat())
    }

    pub(crate) fn position(&self) -> Result<(Useq, Bump), Error> {
        let value = self.value(Key::Position)?.unwrap_or_default();
        let (useq, bump) = numbers(&value).next().unwrap_or_default();
        Ok((Useq(useq), Bump(bump)))
    }

    /// All conversations, with what was known of each.
    pub(crate) fn conversations(&self) -> Result<Vec<Row>, Error> {
        let mut query = self.conn.prepare("SELECT delta, spans, state_at FROM conversations ORDER BY conv")?;
        let rows = query.query_map([], |row| {
            let (delta, spans): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let delta = ConversationDelta::decode(Bytes::from(delta)).unwrap_or_default(); // written by us
            let spans = numbers(&spans).map(|(from, to)| (Seq(from), Seq(to))).collect();
            Ok(Row { delta, spans, state_at: Seq(unsigned(row.get(2)?)) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets what is older than is kept, so that a start is quick; answers the row without it.
    pub(crate) fn trim(&self, mut row: Row) -> Result<Row, Error> {
        let newest = row.spans.last().map_or(0, |(_, to)| to.0);
        let oldest = Seq(newest.saturating_sub(KEPT));
        if row.spans.first().is_some_and(|(from, _)| *from < oldest) {
            self.forget_events(row.delta.conv, oldest.0)?;
            row.spans.retain_mut(|(from, to)| {
                *from = oldest.max(*from);
                *to > oldest
            });
            self.put_conversation(&row)?;
        }
        Ok(row)
    }

    /// Events of all conversations, or of one, by conversation and seq.
    pub(crate) fn events(&self, conv: Option<u64>) -> Result<Vec<Event>, Error> {
        let sql = "SELECT event FROM events WHERE ?1 IS NULL OR conv = ?1 ORDER BY conv, seq";
        let mut query = self.conn.prepare(sql)?;
        let rows = query.query_map([conv.map(int)], |row| row.get::<_, Vec<u8>>(0))?;
        let mut events = Vec::new();
        for bytes in rows {
            let event = Event::decode(Bytes::from(bytes?));
            events.push(event.map_err(|error| Error::Database(format!("an event of the log: {error}")))?);
        }
        Ok(events)
    }

    /// Forgets a conversation.
    pub(crate) fn forget_conversation(&self, conv: u64) -> Result<(), Error> {
        self.forget_events(conv, i64::MAX.cast_unsigned())?;
        self.conn.prepare_cached("DELETE FROM conversations WHERE conv = ?1")?.execute([int(conv)])?;
        Ok(())
    }

    /// Forgets everything a server has said: it is another one, or has itself forgotten. What waits to be sent stays.
    pub(crate) fn forget_server(&self) -> Result<(), Error> {
        let sql = "DELETE FROM events; DELETE FROM conversations; DELETE FROM users; DELETE FROM reads;";
        self.conn.execute_batch(sql)?;
        self.set_position(Useq(0), Bump(0))
    }

    pub(crate) fn put_user(&self, user: &User) -> Result<(), Error> {
        let mut write = self.conn.prepare_cached("INSERT OR REPLACE INTO users VALUES (?1, ?2)")?;
        write.execute(params![int(user.id), user.encode_to_vec()])?;
        Ok(())
    }

    /// Those of these users that were seen before.
    pub(crate) fn users(&self, ids: &[u64]) -> Result<Vec<User>, Error> {
        let mut query = self.conn.prepare_cached("SELECT value FROM users WHERE user = ?1")?;
        let mut users = Vec::new();
        for id in ids {
            let mut rows = query.query([int(*id)])?;
            if let Some(row) = rows.next()? {
                let value: Vec<u8> = row.get(0)?;
                users.push(User::decode(Bytes::from(value)).unwrap_or_default()); // written by us
            }
        }
        Ok(users)
    }
}

/// Pairs of numbers, little endian.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    bytes.chunks_exact(16).filter_map(move |pair| {
        let (first, second) = pair.split_at_checked(8)?;
        Some((number(first), number(second)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(conv: u64, seq: u64) -> Event {
        Event { conv, seq, at_ms: 5, ..Event::default() }
    }

    fn row(conv: u64, spans: &[(u64, u64)]) -> Row {
        let spans = spans.iter().map(|(from, to)| (Seq(*from), Seq(*to))).collect();
        Row { delta: ConversationDelta { conv, head: 9, ..Default::default() }, spans, state_at: Seq(9) }
    }

    #[test]
    fn rows_come_back_as_they_went_in() {
        let db = Database::in_memory();
        let rows = [row(1, &[(0, 3), (5, 9)]), row(2, &[])];
        rows.iter().for_each(|row| db.put_conversation(row).unwrap());
        assert_eq!(db.conversations().unwrap(), rows);
        for seq in [2, 1] {
            db.put_event(&event(1, seq)).unwrap();
        }
        db.put_event(&Event { at_ms: 6, ..event(1, 2) }).unwrap();
        db.put_event(&event(2, 1)).unwrap();
        assert_eq!(db.events(Some(1)).unwrap(), [event(1, 1), Event { at_ms: 6, ..event(1, 2) }]);
        assert_eq!(db.events(None).unwrap().len(), 3);
        db.set_position(Useq(7), Bump(u64::MAX)).unwrap();
        assert_eq!(db.position().unwrap(), (Useq(7), Bump(u64::MAX)));
    }

    #[test]
    fn what_is_old_is_forgotten_at_the_next_start() {
        let db = Database::in_memory();
        for seq in [1, 10, 11, 5_010] {
            db.put_event(&event(1, seq)).unwrap();
        }
        let trimmed = db.trim(row(1, &[(0, 2), (3, 11), (4_000, 5_010)])).unwrap();
        assert_eq!(trimmed.spans, [(Seq(10), Seq(11)), (Seq(4_000), Seq(5_010))]);
        let left: Vec<_> = db.events(None).unwrap().iter().map(|event| event.seq).collect();
        assert_eq!(left, [11, 5_010]);
        assert_eq!(db.conversations().unwrap(), [trimmed]);
    }

    #[test]
    fn forgetting_a_server_keeps_what_waits_to_be_sent() {
        use crate::db::outbox::Outgoing;
        let db = Database::in_memory();
        db.put_event(&event(1, 1)).unwrap();
        db.put_user(&User { id: 4, ..User::default() }).unwrap();
        let waiting = Outgoing::new(convene_types::ClientId([1; 16]), 1, Default::default(), 1);
        db.queue(&waiting).unwrap();
        db.forget_server().unwrap();
        assert_eq!(db.events(None).unwrap(), []);
        assert_eq!(db.users(&[4]).unwrap(), []);
        assert_eq!(db.outgoing_of(None).unwrap(), [waiting]);
    }
}
