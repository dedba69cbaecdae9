-- What is held of a balance is the sum of its open holds, and stands nowhere else: opening a hold writes no balance.
ALTER TABLE wallet RENAME TO wallet_v5;
CREATE TABLE wallet (
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    posted INTEGER NOT NULL CHECK (posted >= 0),
    lines INTEGER NOT NULL,
    moved_at INTEGER NOT NULL,
    PRIMARY KEY (account, asset)
) STRICT, WITHOUT ROWID;
INSERT INTO wallet (account, asset, posted, lines, moved_at)
SELECT account, asset, posted, lines, moved_at FROM wallet_v5;
DROP TABLE wallet_v5;
