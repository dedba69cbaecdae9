-- What a call was: evidence beside the ledger, in a file of its own that need not survive a power cut.
CREATE TABLE receipt (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_by_account ON receipt (account, at);
