-- The books as schema 2 has them, for PostgreSQL. Times are microseconds since the epoch; amounts of CNY nano-yuan, of
-- tokens thousandths; *_fen fen. No row of the house is written by every call, and every row of an account has the
-- account in its key.
CREATE TABLE meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL);

-- Which runs of which nodes write, and until when nobody may think them dead.
CREATE TABLE node_lease (
    epoch BIGINT PRIMARY KEY,
    node TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL
);

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    livemode TEXT NOT NULL CHECK (livemode IN ('live', 'demo')),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    stopped BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_key (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    revoked_at BIGINT,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
CREATE INDEX api_key_by_account ON api_key (account);

CREATE TABLE token_terms (id TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE wallet (
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    posted BIGINT NOT NULL,
    held BIGINT NOT NULL,
    version BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    moved_at BIGINT NOT NULL,
    PRIMARY KEY (account, asset),
    CHECK (held >= 0 AND posted >= held)
) WITH (fillfactor = 70);

CREATE TABLE lot (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    class TEXT NOT NULL,
    pay_order TEXT,
    orig BIGINT NOT NULL CHECK (orig > 0),
    rem BIGINT NOT NULL CHECK (rem >= 0),
    consumed BIGINT NOT NULL CHECK (consumed >= 0),
    refunding BIGINT NOT NULL CHECK (refunding >= 0),
    refunded BIGINT NOT NULL CHECK (refunded >= 0),
    expired BIGINT NOT NULL CHECK (expired >= 0),
    voided BIGINT NOT NULL CHECK (voided >= 0),
    paid_fen BIGINT NOT NULL CHECK (paid_fen >= 0),
    refunded_fen BIGINT NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= paid_fen),
    refunds BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (id, account),
    CHECK (orig = rem + consumed + refunding + refunded + expired + voided)
) WITH (fillfactor = 70);
CREATE INDEX lot_by_account ON lot (account, created_at);

-- The row is its own command: its key is the call's id.
CREATE TABLE hold (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    money BIGINT NOT NULL CHECK (money >= 0),
    tokens_milli BIGINT NOT NULL CHECK (tokens_milli >= 0),
    legs TEXT,
    quote TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    dispatched BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    orphaned_at BIGINT,
    ended_at BIGINT,
    cost BIGINT NOT NULL CHECK (cost >= 0),
    cost_tokens_milli BIGINT NOT NULL CHECK (cost_tokens_milli >= 0 AND cost_tokens_milli <= tokens_milli),
    overrun BIGINT NOT NULL CHECK (overrun >= 0),
    usage TEXT,
    estimated BIGINT NOT NULL,
    budgets TEXT,
    parts TEXT,
    PRIMARY KEY (id, account)
);
CREATE INDEX hold_open ON hold (epoch) WHERE state IN ('open', 'orphan');

-- A budget of the account itself has no key.
CREATE TABLE budget (
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    period TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, api_key, period)
);

CREATE TABLE temp_grant (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    resolved_at BIGINT,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
CREATE INDEX temp_grant_by_account ON temp_grant (account, id);
CREATE INDEX temp_grant_unresolved ON temp_grant (id) WHERE resolved_at IS NULL;

CREATE TABLE grant_standing (account TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE pay_order (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    amount_fen BIGINT NOT NULL CHECK (amount_fen > 0),
    refunded_fen BIGINT NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= amount_fen),
    transaction_id TEXT UNIQUE,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
CREATE INDEX pay_order_by_account ON pay_order (account, id);
CREATE INDEX pay_order_unpaid ON pay_order (state) WHERE state IN ('created', 'pending');

CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    merchant TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT,
    at BIGINT NOT NULL
);

CREATE TABLE refund_batch (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
CREATE INDEX refund_batch_by_account ON refund_batch (account, id);

CREATE TABLE refund_item (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    batch TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
);
CREATE INDEX refund_item_by_batch ON refund_item (batch);
CREATE INDEX refund_item_open ON refund_item (state) WHERE state NOT IN ('success', 'closed', 'refused', 'cancelled');

CREATE TABLE price_list (version TEXT PRIMARY KEY, at BIGINT NOT NULL, body TEXT NOT NULL);

-- What was asked before and what was answered, refusals included.
CREATE TABLE command (
    key TEXT PRIMARY KEY,
    payload_hash BYTEA NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT,
    approver TEXT,
    at BIGINT NOT NULL
);

-- A line of no customer has an empty account and is numbered by its lane. A lane is one run of one node.
CREATE TABLE entry (
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    at BIGINT NOT NULL,
    n BIGINT NOT NULL,
    lane BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    tx TEXT NOT NULL,
    kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    balance BIGINT NOT NULL,
    lot TEXT,
    hold TEXT,
    pay_order TEXT,
    PRIMARY KEY (account, asset, at, n, lane)
);
CREATE UNIQUE INDEX entry_by_lane ON entry (lane, seq);

CREATE TABLE chain (
    lane BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    form BIGINT NOT NULL,
    at BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    prev BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (lane, batch)
);

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the % is append-only', TG_TABLE_NAME; END $$;
CREATE TRIGGER entry_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON entry FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER chain_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON chain FOR EACH STATEMENT EXECUTE FUNCTION append_only();

CREATE TABLE receipt (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX receipt_by_account ON receipt (account, at);
