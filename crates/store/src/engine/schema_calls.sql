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
