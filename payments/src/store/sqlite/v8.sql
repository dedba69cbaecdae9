-- What keeps orders from being made: altogether, for an account, for an agent, or at a merchant.
CREATE TABLE gate (
    name TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How many orders of an account wait to be paid is counted when it makes another.
CREATE INDEX pay_order_awaited ON pay_order (account) WHERE state IN ('created', 'pending');
