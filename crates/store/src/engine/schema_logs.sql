-- Logs and retries of the first release, in the form of schema 1.

ALTER TABLE events RENAME TO old_events;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    ord INTEGER NOT NULL,
    event BLOB NOT NULL
);
INSERT INTO events (id, ord, event) SELECT conv << 32 | seq, ord, event FROM old_events ORDER BY conv, seq;
DROP TABLE old_events;

ALTER TABLE dedup RENAME TO old_dedup;
CREATE TABLE dedup (
    sender INTEGER NOT NULL,
    client_id BLOB NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (client_id, sender)
) WITHOUT ROWID;
INSERT INTO dedup (sender, client_id, conv, seq, hash)
    SELECT sender, client_id, conv, seq, hash FROM old_dedup ORDER BY client_id, sender;
DROP TABLE old_dedup;
