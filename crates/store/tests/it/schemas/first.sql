-- A database as the first release with accounts made it: version 2, with logs keyed by two columns. Never changed: it is what
-- such a file holds.

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

-- The logs. event: an encoded im.Event.
CREATE TABLE events (
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ord INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (conv, seq)
) WITHOUT ROWID;

-- Where the edits of an event are: erasing it erases them.
CREATE TABLE edits (
    conv INTEGER NOT NULL,
    target INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conv, target, seq)
) WITHOUT ROWID;

-- seq 0: the conversation itself was made. hash: empty once the content was erased.
CREATE TABLE dedup (
    sender INTEGER NOT NULL,
    client_id BLOB NOT NULL,
    conv INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (sender, client_id)
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

-- state: 1 active, 2 disabled, 3 erased. An erased row stays, empty, so that its id means nobody for good.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    display_name TEXT NOT NULL,
    -- A PHC string.
    password TEXT,
    -- Version of the policy of use that was agreed to, and when.
    consent TEXT NOT NULL,
    consent_at INTEGER NOT NULL,
    made INTEGER NOT NULL
);

-- lookup: keyed hash of the number. sealed: the number, encrypted. The keys are not in here.
CREATE TABLE phones (
    lookup BLOB PRIMARY KEY,
    account INTEGER NOT NULL UNIQUE,
    sealed BLOB NOT NULL,
    proved INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE devices (
    account INTEGER NOT NULL,
    id BLOB NOT NULL,
    model TEXT NOT NULL,
    system TEXT NOT NULL,
    push_token TEXT NOT NULL,
    address TEXT NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) WITHOUT ROWID;

-- ended: why; a row without is open until it expires.
CREATE TABLE sessions (
    id BLOB PRIMARY KEY,
    account INTEGER NOT NULL,
    device BLOB NOT NULL,
    seed BLOB NOT NULL,
    generation INTEGER NOT NULL,
    began INTEGER NOT NULL,
    rotated INTEGER NOT NULL,
    ended INTEGER,
    ended_at INTEGER
) WITHOUT ROWID;
CREATE INDEX sessions_of ON sessions (account);
CREATE INDEX ended_sessions ON sessions (ended_at) WHERE ended IS NOT NULL;
CREATE INDEX idle_sessions ON sessions (rotated);

-- One code a number and purpose. tag: keyed hash of the code.
CREATE TABLE challenges (
    lookup BLOB NOT NULL,
    purpose TEXT NOT NULL,
    tag BLOB NOT NULL,
    expires INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (lookup, purpose)
) WITHOUT ROWID;
CREATE INDEX old_challenges ON challenges (expires);

-- What was counted. ends: from then on the row says nothing.
CREATE TABLE usages (
    act INTEGER NOT NULL,
    subject INTEGER NOT NULL,
    key BLOB NOT NULL,
    since INTEGER NOT NULL,
    count INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (act, subject, key)
) WITHOUT ROWID;
CREATE INDEX old_usages ON usages (ends);

-- Organisations of people, beside their row in orgs, whose name is in tokens. audit: where the log ends.
CREATE TABLE companies (
    org INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    members INTEGER NOT NULL,
    policy TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    audit INTEGER NOT NULL,
    audit_hash BLOB NOT NULL
);

-- An account in an organisation. user: its row in users, which stays when the seat goes.
CREATE TABLE seats (
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    user INTEGER NOT NULL,
    role INTEGER NOT NULL,
    scopes INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    PRIMARY KEY (org, account)
) WITHOUT ROWID;
CREATE INDEX seats_of ON seats (account);
CREATE INDEX owners ON seats (org) WHERE role = 1;

CREATE TABLE departments (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL
);
CREATE INDEX departments_of ON departments (org);

-- Where members stand, in the order in which it is shown.
CREATE TABLE places (
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    PRIMARY KEY (org, account, rank)
) WITHOUT ROWID;
CREATE INDEX places_in ON places (dept);

-- number or link is set, never both. uses: people that the link still lets in.
CREATE TABLE invitations (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    number BLOB,
    link BLOB UNIQUE,
    uses INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    ask INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
CREATE INDEX invited ON invitations (number) WHERE number IS NOT NULL;
CREATE INDEX open_invitations ON invitations (org) WHERE ended = 0;

CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    state INTEGER NOT NULL,
    made INTEGER NOT NULL
);
CREATE UNIQUE INDEX open_requests ON requests (org, account) WHERE state = 1;

-- Append-only, chained by hash.
CREATE TABLE audit (
    org INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    address TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (org, number)
) WITHOUT ROWID;

PRAGMA application_id = 0x436f6e76;
PRAGMA user_version = 2;
INSERT INTO meta (name, value) VALUES ('url_secret', zeroblob(32));
