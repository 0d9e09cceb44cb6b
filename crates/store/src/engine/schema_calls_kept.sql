-- How a call that is on stands: im::CallState as its people's devices were told last, so that it goes on after a stop of the
-- server. Null: not told yet, or over.
ALTER TABLE calls ADD COLUMN state BLOB;
