-- What waits to tell of a message is its place in events: its words are read when it is sent, so that they are stored once,
-- and are not sent when they were recalled meanwhile. Null: body says all.
ALTER TABLE webhook_outbox ADD COLUMN event INTEGER;
