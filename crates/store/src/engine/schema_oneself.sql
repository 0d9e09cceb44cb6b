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
CREATE INDEX blobs_of ON blob_owners (org, user, blob);
