-- Accounts that are stopped for a reason, watched, in debt or closed; packages, credit codes, payments put aside.
ALTER TABLE account ADD COLUMN stop_reason TEXT;
ALTER TABLE account ADD COLUMN flag TEXT;
ALTER TABLE account ADD COLUMN debt BIGINT NOT NULL DEFAULT 0 CHECK (debt >= 0);
ALTER TABLE account ADD COLUMN closed_at BIGINT;

CREATE TABLE suspense_payment (
    transaction_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    body TEXT NOT NULL
);
CREATE INDEX suspense_payment_open ON suspense_payment (state) WHERE state = 'open';

CREATE TABLE package (
    id TEXT PRIMARY KEY,
    package TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    retired_at BIGINT,
    body TEXT NOT NULL,
    UNIQUE (package, version)
);

CREATE TABLE credit_code (
    digest TEXT PRIMARY KEY,
    campaign TEXT NOT NULL,
    used BIGINT NOT NULL CHECK (used >= 0),
    body TEXT NOT NULL
);
CREATE INDEX credit_code_by_campaign ON credit_code (campaign);

-- What ends, by when it ends.
CREATE INDEX lot_due ON lot (expires_at) WHERE rem > 0 AND expires_at IS NOT NULL;

-- Orders for tokens say since now what the tokens pay for; before, every class of the model's tokens burned alike.
UPDATE pay_order SET body = jsonb_set(body::jsonb, '{kind,terms}', jsonb_build_object(
    'id', body::jsonb #>> '{kind,model}',
    'title', body::jsonb #>> '{kind,model}',
    'models', jsonb_build_array(body::jsonb #>> '{kind,model}'),
    'weights', jsonb_build_object('input', 1000, 'cached_input', 1000, 'cache_write', 1000, 'output', 1000),
    'created_at', body::jsonb -> 'created_at'))::text
WHERE body::jsonb #>> '{kind,kind}' = 'tokens' AND body::jsonb #> '{kind,terms}' IS NULL;
