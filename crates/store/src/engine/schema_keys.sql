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
