-- Schema 1. Ids and positions are u64 in the program; here they stay below 2^63.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- Changes of conversations in the order of their commits.
CREATE TABLE bump (only INTEGER PRIMARY KEY CHECK (only = 1), value INTEGER NOT NULL);
INSERT INTO bump VALUES (1, 0);

CREATE TABLE orgs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    UNIQUE (org, name)
);

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    -- The two of a direct conversation.
    low INTEGER,
    high INTEGER,
    head INTEGER NOT NULL,
    head_ord INTEGER NOT NULL,
    members INTEGER NOT NULL,
    owners INTEGER NOT NULL,
    bump INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    muted INTEGER NOT NULL,
    dissolved INTEGER NOT NULL,
    title TEXT NOT NULL,
    announcement TEXT NOT NULL,
    avatar BLOB
);
CREATE UNIQUE INDEX direct ON conversations (org, low, high) WHERE low IS NOT NULL;

-- One row for each who is or was a member. role 0: is none any more, and sees up to `ceiling`.
CREATE TABLE members (
    conv INTEGER NOT NULL,
    user INTEGER NOT NULL,
    role INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    floor_ord INTEGER NOT NULL,
    ceiling INTEGER,
    read INTEGER NOT NULL,
    read_ord INTEGER NOT NULL,
    muted_until INTEGER NOT NULL,
    -- Value of `bump` when this user came, went or got another role.
    changed INTEGER NOT NULL,
    PRIMARY KEY (conv, user)
) WITHOUT ROWID;
CREATE INDEX memberships ON members (user);

-- Apart from members, so that a draft of 4 KiB does not slow the counting of receipts.
CREATE TABLE settings (
    user INTEGER NOT NULL,
    conv INTEGER NOT NULL,
    settings BLOB NOT NULL,
    PRIMARY KEY (user, conv)
) WITHOUT ROWID;

-- The logs. id: conversation << 32 | seq, see rows/place.rs. event: an encoded im.Event.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    ord INTEGER NOT NULL,
    event BLOB NOT NULL
);

-- Where the edits of an event are: erasing it erases them.
CREATE TABLE edits (
    conv INTEGER NOT NULL,
    target INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conv, target, seq)
) WITHOUT ROWID;

-- seq 0: the conversation itself was made. hash: empty once the content was erased.
-- The id comes first: those that sort by time (UUIDv7) then go to the end of the tree, whoever sends. Behind the sender,
-- each sender would have a page of its own to be written with each message.
CREATE TABLE dedup (
    sender INTEGER NOT NULL,
    client_id BLOB NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (client_id, sender)
) WITHOUT ROWID;

CREATE TABLE user_log (
    user INTEGER NOT NULL,
    useq INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (user, useq)
) WITHOUT ROWID;

CREATE TABLE uploads (
    id BLOB PRIMARY KEY,
    org INTEGER NOT NULL,
    user INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    mime TEXT NOT NULL,
    voice INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    -- SHA-256 of the blob it became.
    blob BLOB,
    UNIQUE (user, sha256, voice)
) WITHOUT ROWID;

-- refs: events that carry it. voice: an encoded im.Voice without its blob.
CREATE TABLE blobs (
    org INTEGER NOT NULL,
    id BLOB NOT NULL,
    size INTEGER NOT NULL,
    mime TEXT NOT NULL,
    voice BLOB,
    object TEXT NOT NULL,
    refs INTEGER NOT NULL,
    made INTEGER NOT NULL,
    PRIMARY KEY (org, id)
) WITHOUT ROWID;
CREATE INDEX unused_blobs ON blobs (made) WHERE refs = 0;

-- Who has uploaded a blob, and may put it into events.
CREATE TABLE blob_owners (
    org INTEGER NOT NULL,
    blob BLOB NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (org, blob, user)
) WITHOUT ROWID;

CREATE TABLE blob_links (
    blob BLOB NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (blob, conv, seq)
) WITHOUT ROWID;

-- Objects to be deleted.
CREATE TABLE trash (object TEXT PRIMARY KEY) WITHOUT ROWID;
