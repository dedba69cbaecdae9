-- Days laid beside the channel's bill, and what did not agree on them.
CREATE TABLE bill_day (
    mchid TEXT NOT NULL,
    day TEXT NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open >= 0),
    body TEXT NOT NULL,
    PRIMARY KEY (mchid, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE bill_difference (
    id TEXT PRIMARY KEY,
    mchid TEXT NOT NULL,
    day TEXT NOT NULL,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bill_difference_by_day ON bill_difference (mchid, day);
CREATE INDEX bill_difference_open ON bill_difference (day) WHERE state = 'open';

-- What the ledger took in for an order: a day's orders are looked up in the journal.
CREATE INDEX entry_paid ON entry (pay_order) WHERE kind = 'pay_credit';
