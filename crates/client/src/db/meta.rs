//! Single values: who this device is, what it knows of its server, where it stands; and networks without UDP.

use rusqlite::{OptionalExtension as _, params};

use super::Database;
use crate::error::Error;

/// Names of the values. A name that was released keeps its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// 16 bytes, made once.
    Device,
    /// Number of the account that signed in here, as text.
    Account,
    /// The organisation in whose name it was opened, if one was named.
    Organisation,
    /// `im.User`: whom this database belongs to.
    Me,
    /// The server's `/im/info`.
    Info,
    /// Where the user log and the last sync stand: two numbers, little endian.
    Position,
}

impl Key {
    const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Account => "account",
            Self::Organisation => "organisation",
            Self::Me => "me",
            Self::Info => "info",
            Self::Position => "position",
        }
    }
}

impl Database {
    pub(crate) fn value(&self, key: Key) -> Result<Option<Vec<u8>>, Error> {
        let mut query = self.conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(query.query_row([key.name()], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set_value(&self, key: Key, value: &[u8]) -> Result<(), Error> {
        let mut write = self.conn.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        write.execute(params![key.name(), value])?;
        Ok(())
    }

    /// Whether QUIC is known not to work on this network.
    pub(crate) fn is_without_udp(&self, network: &str, now_ms: i64) -> Result<bool, Error> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM networks WHERE name = ?1 AND until_ms > ?2")?;
        Ok(query.exists(params![network, now_ms])?)
    }

    /// Notes that QUIC does not work on this network, or, with `until_ms` 0, that it does. Forgets what is over.
    pub(crate) fn set_without_udp(&self, network: &str, until_ms: i64, now_ms: i64) -> Result<(), Error> {
        self.conn.execute("DELETE FROM networks WHERE until_ms <= ?1 OR name = ?2", params![now_ms, network])?;
        if until_ms > now_ms {
            self.conn.execute("INSERT INTO networks VALUES (?1, ?2)", params![network, until_ms])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_and_replaced() {
        let db = Database::in_memory();
        assert_eq!(db.value(Key::Device).unwrap(), None);
        db.set_value(Key::Device, b"1").unwrap();
        db.set_value(Key::Device, b"2").unwrap();
        assert_eq!(db.value(Key::Device).unwrap().as_deref(), Some(b"2".as_slice()));
    }

    #[test]
    fn a_network_is_without_udp_for_a_while_only() {
        let db = Database::in_memory();
        db.set_without_udp("192.0.2.1", 100, 10).unwrap();
        let rows = [("192.0.2.1", 99, true), ("192.0.2.1", 100, false), ("192.0.2.2", 10, false)];
        for (network, now_ms, want) in rows {
            assert_eq!(db.is_without_udp(network, now_ms).unwrap(), want, "{network} at {now_ms}");
        }
        db.set_without_udp("192.0.2.1", 0, 50).unwrap();
        assert!(!db.is_without_udp("192.0.2.1", 60).unwrap());
    }
}
