-- Accounts that are stopped for a reason, watched, in debt or closed; packages, credit codes, payments put aside.
ALTER TABLE account ADD COLUMN stop_reason TEXT;
ALTER TABLE account ADD COLUMN flag TEXT;
ALTER TABLE account ADD COLUMN debt INTEGER NOT NULL DEFAULT 0 CHECK (debt >= 0);
ALTER TABLE account ADD COLUMN closed_at INTEGER;

CREATE TABLE suspense_payment (
    transaction_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX suspense_payment_open ON suspense_payment (state) WHERE state = 'open';

CREATE TABLE package (
    id TEXT PRIMARY KEY,
    package TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    retired_at INTEGER,
    body TEXT NOT NULL,
    UNIQUE (package, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE credit_code (
    digest TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    used INTEGER NOT NULL CHECK (used >= 0),
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_code_by_campaign ON credit_code (campaign);

-- What ends, by when it ends.
CREATE INDEX lot_due ON lot (expires_at) WHERE rem > 0 AND expires_at IS NOT NULL;

-- Orders for tokens say since now what the tokens pay for; before, every class of the model's tokens burned alike.
UPDATE pay_order SET body = json_set(body, '$.kind.terms', json_object(
    'id', json_extract(body, '$.kind.model'),
    'title', json_extract(body, '$.kind.model'),
    'models', json_array(json_extract(body, '$.kind.model')),
    'weights', json_object('input', 1000, 'cached_input', 1000, 'cache_write', 1000, 'output', 1000),
    'created_at', json_extract(body, '$.created_at')))
WHERE json_extract(body, '$.kind.kind') = 'tokens' AND json_extract(body, '$.kind.terms') IS NULL;
