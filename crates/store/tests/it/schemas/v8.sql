-- A database as releases of version 8 made it, whose second migration was another one than that of version 2. Never changed:
-- it is what such a file holds.

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

-- Schema 2: people. Seconds since 1970 unless a name says otherwise.

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
    audit_hash BLOB NOT NULL,
    -- When its end was said; 0: it lives. What belongs to it is swept away behind that.
    dissolved INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX dissolved ON companies (dissolved) WHERE dissolved > 0;

-- An account in an organisation. user: its row in users, which has the name and stays when the seat goes. sort: what the
-- name is sorted by. profile: JSON.
CREATE TABLE seats (
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    user INTEGER NOT NULL,
    role INTEGER NOT NULL,
    scopes INTEGER NOT NULL,
    joined INTEGER NOT NULL,
    sort TEXT NOT NULL,
    profile TEXT NOT NULL,
    PRIMARY KEY (org, account)
) WITHOUT ROWID;
CREATE INDEX seats_of ON seats (account);
CREATE INDEX seats_by_name ON seats (org, sort, account);

-- What members are found by: see convene_accounts::directory.
CREATE TABLE directory (
    org INTEGER NOT NULL,
    key TEXT NOT NULL,
    account INTEGER NOT NULL,
    PRIMARY KEY (org, key, account)
) WITHOUT ROWID;
CREATE INDEX owners ON seats (org) WHERE role = 1;

CREATE TABLE departments (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL,
    -- Who stand right in it.
    members INTEGER NOT NULL
);
CREATE INDEX departments_of ON departments (org);

CREATE TABLE positions (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL,
    UNIQUE (org, name)
);

-- Where members stand, in the order in which it is shown. Who stands nowhere has one row, with department 0.
CREATE TABLE places (
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    position INTEGER,
    sort TEXT NOT NULL,
    PRIMARY KEY (org, account, rank)
) WITHOUT ROWID;
CREATE INDEX places_in ON places (org, dept, sort, account);
CREATE INDEX holders ON places (position) WHERE position IS NOT NULL;

-- number or link is set, never both. sealed: the number, for who reads the list. uses: people that the link still lets in.
CREATE TABLE invitations (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    number BLOB,
    sealed BLOB,
    link BLOB UNIQUE,
    uses INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    ask INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended INTEGER NOT NULL
);
CREATE INDEX invited ON invitations (number) WHERE number IS NOT NULL;
CREATE INDEX open_invitations ON invitations (org, id) WHERE ended = 0;

CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    state INTEGER NOT NULL,
    made INTEGER NOT NULL
);
CREATE UNIQUE INDEX open_requests ON requests (org, account) WHERE state = 1;
CREATE INDEX asking ON requests (org, id) WHERE state = 1;

-- Edits of members' own profiles that wait for an administrator. edit: JSON, empty once it was decided.
CREATE TABLE edit_requests (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    edit TEXT NOT NULL,
    state INTEGER NOT NULL,
    made INTEGER NOT NULL
);
CREATE UNIQUE INDEX open_edit_requests ON edit_requests (org, account) WHERE state = 1;
CREATE INDEX edits_asked ON edit_requests (org, id) WHERE state = 1;

-- Address books: people whom an account wants at hand.
CREATE TABLE contacts (
    owner INTEGER NOT NULL,
    org INTEGER NOT NULL,
    account INTEGER NOT NULL,
    note TEXT NOT NULL,
    made INTEGER NOT NULL,
    PRIMARY KEY (owner, org, account)
) WITHOUT ROWID;

-- Requests that were carried out and may come again. key: hash of who asked and their Idempotency-Key. request: hash of what
-- was asked. kind, a, b, c: what became of it.
CREATE TABLE once (
    key BLOB PRIMARY KEY,
    request BLOB NOT NULL,
    kind INTEGER NOT NULL,
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    c INTEGER NOT NULL,
    made INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX old_once ON once (made);

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

-- Calls, and what ties people of an organisation to conversations.

-- record: im::CallRecord as it was written into the log last. over: 0 while the call is on.
CREATE TABLE calls (
    id BLOB PRIMARY KEY,
    org INTEGER NOT NULL,
    conv INTEGER NOT NULL,
    over INTEGER NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX open_calls ON calls (org) WHERE over = 0;

-- From a user of chat to the seat they speak for.
CREATE UNIQUE INDEX seats_user ON seats (user);

-- The group of a department: made when it is first called.
CREATE TABLE department_groups (
    org INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    conv INTEGER NOT NULL,
    PRIMARY KEY (org, dept)
) WITHOUT ROWID;

-- API keys of organisations. Their secrets are not kept; ended: good no more.
CREATE TABLE api_keys (
    id BLOB PRIMARY KEY,
    org INTEGER NOT NULL,
    title TEXT NOT NULL,
    scopes INTEGER NOT NULL,
    maker INTEGER NOT NULL,
    made INTEGER NOT NULL,
    ended INTEGER
) WITHOUT ROWID;
CREATE INDEX api_keys_of ON api_keys (org);

-- Webhooks and what waits for them. org 0: of the configuration. key: name of the API key that signs.
CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    url TEXT NOT NULL,
    key TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    made INTEGER NOT NULL,
    -- Rows of webhook_outbox.
    waiting INTEGER NOT NULL
);
CREATE INDEX webhooks_of ON webhooks (org);
CREATE INDEX webhooks_waiting ON webhooks (id) WHERE waiting > 0;

-- In the order in which it happened.
CREATE TABLE webhook_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL
);
CREATE INDEX webhook_outbox_of ON webhook_outbox (endpoint, id);

-- Who used the API: account 0 is somebody who was not signed in. at: seconds since 1970.
CREATE TABLE accesses (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    at INTEGER NOT NULL,
    address TEXT NOT NULL,
    client TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    status INTEGER NOT NULL,
    code TEXT NOT NULL
);
CREATE INDEX accesses_of ON accesses (account, id);
CREATE INDEX accesses_at ON accesses (at);

-- What waits to tell of a message is its place in events: its words are read when it is sent, so that they are stored once,
-- and are not sent when they were recalled meanwhile. Null: body says all.
ALTER TABLE webhook_outbox ADD COLUMN event INTEGER;

-- Pictures of people, and who is in the group of their department.

-- Name of the picture that is shown where an organisation does not decide otherwise: 64 hex digits; empty: none.
ALTER TABLE accounts ADD COLUMN picture TEXT NOT NULL DEFAULT '';

-- name: SHA-256 in hex digits. Several of one person while an organisation shows another one than the latest.
CREATE TABLE pictures (
    account INTEGER NOT NULL,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    size INTEGER NOT NULL,
    object TEXT NOT NULL,
    PRIMARY KEY (account, name)
) WITHOUT ROWID;

-- Who was put into the group of a department because they stand there: they go when they stand there no more. Who came by
-- another way stays, and who has left on their own is not put in again.
CREATE TABLE department_members (
    org INTEGER NOT NULL,
    dept INTEGER NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (org, dept, user)
) WITHOUT ROWID;
CREATE INDEX department_members_of ON department_members (org, user);
-- From a department to those right below it.
CREATE INDEX departments_below ON departments (org, parent);

-- What is asked about one person.
CREATE INDEX requests_of ON requests (account);
CREATE INDEX edit_requests_of ON edit_requests (account) WHERE state = 1;
CREATE INDEX blobs_of ON blob_owners (org, user, blob);

PRAGMA application_id = 0x436f6e76;
PRAGMA user_version = 8;
INSERT INTO meta (name, value) VALUES ('url_secret', zeroblob(32));
