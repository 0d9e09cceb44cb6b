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
