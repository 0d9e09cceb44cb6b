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
