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
