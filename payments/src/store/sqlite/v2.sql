-- Keys that begin or end with the account, so that one set of statements serves an engine that is spread by it; lines
-- of the journal numbered within their balance, with what it came to; terms of token balances.
DROP TRIGGER entry_keeps;
DROP TRIGGER entry_stays;
DROP TRIGGER chain_keeps;
DROP TRIGGER chain_stays;

ALTER TABLE wallet RENAME TO wallet_v1;
ALTER TABLE api_key RENAME TO api_key_v1;
ALTER TABLE lot RENAME TO lot_v1;
ALTER TABLE hold RENAME TO hold_v1;
ALTER TABLE pay_order RENAME TO pay_order_v1;
ALTER TABLE refund_batch RENAME TO refund_batch_v1;
ALTER TABLE refund_item RENAME TO refund_item_v1;
ALTER TABLE entry RENAME TO entry_v1;
ALTER TABLE chain RENAME TO chain_v1;
DROP INDEX api_key_by_account;
DROP INDEX lot_live;
DROP INDEX hold_open;
DROP INDEX pay_order_by_account;
DROP INDEX pay_order_unpaid;
DROP INDEX refund_batch_by_account;
DROP INDEX refund_item_by_batch;
DROP INDEX refund_item_open;
DROP INDEX entry_by_account;

CREATE TABLE api_key (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    revoked_at INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_key_by_account ON api_key (account);
INSERT INTO api_key (id, account, digest, revoked_at, body) SELECT id, account, digest, revoked_at, body FROM api_key_v1;

CREATE TABLE token_terms (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE wallet (
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    posted INTEGER NOT NULL,
    held INTEGER NOT NULL,
    version INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    moved_at INTEGER NOT NULL,
    PRIMARY KEY (account, asset),
    CHECK (held >= 0 AND posted >= held)
) STRICT, WITHOUT ROWID;
INSERT INTO wallet (account, asset, posted, held, version, lines, moved_at)
SELECT account, asset, posted, held, version, 0, 0 FROM wallet_v1;
-- A balance in money where only its tokens were ever bought: its lines need it.
INSERT INTO wallet (account, asset, posted, held, version, lines, moved_at)
SELECT DISTINCT account, asset, 0, 0, 0, 0, 0 FROM entry_v1 WHERE account IS NOT NULL
ON CONFLICT (account, asset) DO NOTHING;

CREATE TABLE lot (
    id TEXT NOT NULL,
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
    PRIMARY KEY (id, account),
    CHECK (orig = rem + consumed + refunding + refunded + expired + voided)
) STRICT, WITHOUT ROWID;
INSERT INTO lot (id, account, asset, class, pay_order, orig, rem, consumed, refunding, refunded, expired, voided, paid_fen,
                 refunded_fen, refunds, created_at, expires_at)
SELECT id, account, asset, class, pay_order, orig, rem, consumed, refunding, refunded, expired, voided, paid_fen,
       refunded_fen, refunds, created_at, expires_at FROM lot_v1;
CREATE INDEX lot_live ON lot (account, asset) WHERE rem > 0;
CREATE INDEX lot_by_account ON lot (account, created_at);

-- The row is its own command: its key is the call's id. Calls follow each other in time, so their rows do on disk.
CREATE TABLE hold (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    state TEXT NOT NULL,
    model TEXT NOT NULL,
    money INTEGER NOT NULL CHECK (money >= 0),
    tokens_milli INTEGER NOT NULL CHECK (tokens_milli >= 0),
    legs TEXT,
    quote TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    dispatched INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    orphaned_at INTEGER,
    ended_at INTEGER,
    cost INTEGER NOT NULL CHECK (cost >= 0),
    cost_tokens_milli INTEGER NOT NULL CHECK (cost_tokens_milli >= 0 AND cost_tokens_milli <= tokens_milli),
    overrun INTEGER NOT NULL CHECK (overrun >= 0),
    usage TEXT,
    estimated INTEGER NOT NULL,
    budgets TEXT,
    parts TEXT,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
INSERT INTO hold (id, account, api_key, state, model, money, tokens_milli, quote, epoch, dispatched, opened_at, deadline,
                  ended_at, cost, cost_tokens_milli, overrun, usage, estimated)
SELECT id, account, api_key, state, model, money, tokens_milli, quote, epoch, 1, opened_at, opened_at, ended_at, cost,
       cost_tokens_milli, overrun, usage, estimated FROM hold_v1;
CREATE INDEX hold_open ON hold (account) WHERE state IN ('open', 'orphan');

-- A budget of the account itself has no key.
CREATE TABLE budget (
    account TEXT NOT NULL,
    api_key TEXT NOT NULL,
    period TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account, api_key, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE temp_grant (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    resolved_at INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX temp_grant_by_account ON temp_grant (account, id);
CREATE INDEX temp_grant_unresolved ON temp_grant (id) WHERE resolved_at IS NULL;

CREATE TABLE grant_standing (account TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE pay_order (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    refunded_fen INTEGER NOT NULL CHECK (refunded_fen >= 0 AND refunded_fen <= amount_fen),
    transaction_id TEXT UNIQUE,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
INSERT INTO pay_order (id, account, state, amount_fen, refunded_fen, transaction_id, body)
SELECT id, account, state, amount_fen, refunded_fen, transaction_id, body FROM pay_order_v1;
CREATE INDEX pay_order_by_account ON pay_order (account, id);
CREATE INDEX pay_order_unpaid ON pay_order (state) WHERE state IN ('created', 'pending');

CREATE TABLE refund_batch (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
INSERT INTO refund_batch (id, account, state, body) SELECT id, account, state, body FROM refund_batch_v1;
CREATE INDEX refund_batch_by_account ON refund_batch (account, id);

CREATE TABLE refund_item (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    batch TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id, account)
) STRICT, WITHOUT ROWID;
INSERT INTO refund_item (id, account, batch, state, body) SELECT id, account, batch, state, body FROM refund_item_v1;
CREATE INDEX refund_item_by_batch ON refund_item (batch);
CREATE INDEX refund_item_open ON refund_item (state) WHERE state NOT IN ('success', 'closed', 'refused', 'cancelled');

-- A line of no customer has an empty account and is numbered by its lane.
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY,
    lane INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    at INTEGER NOT NULL,
    n INTEGER NOT NULL,
    tx TEXT NOT NULL,
    kind TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    balance INTEGER NOT NULL,
    lot TEXT,
    hold TEXT,
    pay_order TEXT
) STRICT;
CREATE TEMP TABLE moves AS
SELECT seq, coalesce(account, '') AS account, asset,
       CASE WHEN account IS NULL THEN seq ELSE row_number() OVER (PARTITION BY account, asset ORDER BY seq) END AS n,
       CASE WHEN account IS NULL THEN 0 ELSE sum(
           CASE WHEN credit IN ('w:paid', 'w:promo', 'w:bonus', 'w:tokens') THEN amount ELSE 0 END
           - CASE WHEN debit IN ('w:paid', 'w:promo', 'w:bonus', 'w:tokens') THEN amount ELSE 0 END)
           OVER (PARTITION BY account, asset ORDER BY seq) END AS balance
FROM entry_v1;
INSERT INTO entry (seq, lane, batch, account, asset, at, n, tx, kind, debit, credit, amount, balance, lot, hold, pay_order)
SELECT e.seq, 0, e.batch, m.account, e.asset, e.at, m.n, e.tx, e.kind, e.debit, e.credit, e.amount, m.balance, e.lot,
       e.hold, e.pay_order
FROM entry_v1 e JOIN moves m ON m.seq = e.seq;
CREATE UNIQUE INDEX entry_by_balance ON entry (account, asset, at, n, lane);
UPDATE wallet SET
    lines = coalesce((SELECT max(n) FROM entry e WHERE e.account = wallet.account AND e.asset = wallet.asset), 0),
    moved_at = coalesce((SELECT at FROM entry e WHERE e.account = wallet.account AND e.asset = wallet.asset ORDER BY n DESC LIMIT 1), 0);
DROP TABLE moves;

-- One link per batch: SHA-256 over the link before and the batch's lines, in the form their time wrote them.
CREATE TABLE chain (
    batch INTEGER PRIMARY KEY,
    lane INTEGER NOT NULL,
    form INTEGER NOT NULL,
    at INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
INSERT INTO chain (batch, lane, form, at, entries, prev, hash)
SELECT batch, 0, 1, max(at) OVER (ORDER BY batch), entries, prev, hash FROM chain_v1;

CREATE TRIGGER entry_keeps BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER chain_keeps BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
CREATE TRIGGER chain_stays BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;

DROP TABLE lot_v1;
DROP TABLE refund_item_v1;
DROP TABLE refund_batch_v1;
DROP TABLE hold_v1;
DROP TABLE pay_order_v1;
DROP TABLE api_key_v1;
DROP TABLE wallet_v1;
DROP TABLE entry_v1;
DROP TABLE chain_v1;
