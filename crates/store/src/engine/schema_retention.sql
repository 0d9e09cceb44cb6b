-- How far retention has come in a log, and the value of `bump` when it last took something: members who have left see no
-- event of it.
ALTER TABLE conversations ADD COLUMN swept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN swept_bump INTEGER NOT NULL DEFAULT 0;
