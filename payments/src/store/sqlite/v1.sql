-- Times are microseconds since the epoch; amounts of CNY nano-yuan, of tokens thousandths; *_fen fen.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    livemode TEXT NOT NULL CHECK (livemode IN ('live', 'demo')),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    stopped INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    digest TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_by_account ON api_key (account);

CREATE TABLE wallet (
    account TEXT NOT NULL REFERENCES account (id),
    asset TEXT NOT NULL,
    posted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (account, asset),
    CHECK (held >= 0 AND posted >= held)
) STRICT, WITHOUT ROWID;

CREATE TABLE lot (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    class TEXT NOT NULL,
    pay_order TEXT,
    orig INTEGER NOT NULL CHECK (orig > 0),
    rem INTEGER NOT NULL CHECK (rem >= 0),
    consumed INTEGER NOT NULL CHECK (consumed >= 0),
    refunding INTEGER NOT NULL CHECK (refunding >= 0),
    refunded INTEGER NOT NULL CHECK (refunded >= 0),
    expired INTEGER NOT NULL CHECK (expired >= 0),
    voided INTEGER NOT NULL CHECK (voided >= 0),
    paid_fen INTEGER NOT NULL CHECK (paid_fen >= 0),
    refunded_fen INTEGER NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= paid_fen),
    refunds INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    FOREIGN KEY (account, asset) REFERENCES wallet (account, asset) DEFERRABLE INITIALLY DEFERRED,
    CHECK (orig = rem + consumed + refunding + refunded + expired + voided)
) STRICT, WITHOUT ROWID;
CREATE INDEX lot_live ON lot (account, asset) WHERE rem > 0;

-- The row is its own command: its key is the request id.
CREATE TABLE hold (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    tokens_milli INTEGER NOT NULL CHECK (tokens_milli >= 0),
    quote TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    ended_at INTEGER,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    cost_tokens_milli INTEGER NOT NULL CHECK (cost_tokens_milli >= 0 AND cost_tokens_milli <= tokens_milli),
    overrun INTEGER NOT NULL CHECK (overrun >= 0),
    usage TEXT,
    estimated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_open ON hold (account) WHERE state = 'open';

CREATE TABLE pay_order (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL REFERENCES account (id),
    state TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    refunded_fen INTEGER NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= amount_fen),
    transaction_id TEXT UNIQUE,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pay_order_by_account ON pay_order (account);
CREATE INDEX pay_order_unpaid ON pay_order (state) WHERE state IN ('created', 'pending');

CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    merchant TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE refund_batch (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_batch_by_account ON refund_batch (account);

CREATE TABLE refund_item (
    id TEXT PRIMARY KEY,
    batch TEXT NOT NULL REFERENCES refund_batch (id) DEFERRABLE INITIALLY DEFERRED,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_item_by_batch ON refund_item (batch);
CREATE INDEX refund_item_open ON refund_item (state) WHERE state IN ('queued', 'sent', 'processing', 'abnormal');

CREATE TABLE price_list (
    version TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What was asked before and what was answered, refusals included.
CREATE TABLE command (
    key TEXT PRIMARY KEY,
    payload_hash BLOB NOT NULL,
    outcome TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT,
    approver TEXT,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    batch INTEGER NOT NULL,
    tx TEXT NOT NULL,
    kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    account TEXT,
    lot TEXT,
    hold TEXT,
    pay_order TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX entry_by_account ON entry (account, seq) WHERE account IS NOT NULL;

-- One link per batch: SHA-256 over the link before and the batch's entries.
CREATE TABLE chain (
    batch INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;

CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER chain_keeps BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER chain_stays BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
