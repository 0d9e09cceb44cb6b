-- What organisations over HTTP need beside the tables of schema 2. Some databases have all of this: see schema/people.rs.

-- dissolved: when its end was said; 0: it lives. What belongs to it is swept away behind that.
ALTER TABLE companies ADD COLUMN dissolved INTEGER NOT NULL DEFAULT 0;
CREATE INDEX dissolved ON companies (dissolved) WHERE dissolved > 0;

-- The user's row in users has the name. sort: what the name is sorted by. profile: JSON.
ALTER TABLE seats ADD COLUMN sort TEXT NOT NULL DEFAULT '';
ALTER TABLE seats ADD COLUMN profile TEXT NOT NULL DEFAULT '{}';
CREATE INDEX seats_by_name ON seats (org, sort, account);

-- What members are found by: see convene_accounts::directory.
CREATE TABLE directory (
    org INTEGER NOT NULL,
    key TEXT NOT NULL,
    account INTEGER NOT NULL,
    PRIMARY KEY (org, key, account)
) WITHOUT ROWID;

-- members: who stand right in it.
ALTER TABLE departments ADD COLUMN members INTEGER NOT NULL DEFAULT 0;

CREATE TABLE positions (
    id INTEGER PRIMARY KEY,
    org INTEGER NOT NULL,
    name TEXT NOT NULL,
    rank INTEGER NOT NULL,
    UNIQUE (org, name)
);

-- Who stands nowhere has one row, with department 0.
ALTER TABLE places ADD COLUMN position INTEGER;
ALTER TABLE places ADD COLUMN sort TEXT NOT NULL DEFAULT '';
DROP INDEX places_in;
CREATE INDEX places_in ON places (org, dept, sort, account);
CREATE INDEX holders ON places (position) WHERE position IS NOT NULL;

-- sealed: the number, for who reads the list.
ALTER TABLE invitations ADD COLUMN sealed BLOB;
DROP INDEX open_invitations;
CREATE INDEX open_invitations ON invitations (org, id) WHERE ended = 0;

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
CREATE INDEX edit_requests_of ON edit_requests (account) WHERE state = 1;

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
