-- Webhooks and what waits for them. org 0: of the configuration. key: name of the API key that signs.
CREATE TABLE webhooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    org INTEGER NOT NULL,
    url TEXT NOT NULL,
    key TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    made INTEGER NOT NULL,
    -- Rows of webhook_outbox.
    waiting INTEGER NOT NULL
);
CREATE INDEX webhooks_of ON webhooks (org);
CREATE INDEX webhooks_waiting ON webhooks (id) WHERE waiting > 0;

-- In the order in which it happened.
CREATE TABLE webhook_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL
);
CREATE INDEX webhook_outbox_of ON webhook_outbox (endpoint, id);
