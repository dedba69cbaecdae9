-- What is held of a balance is the sum of its open holds, and stands nowhere else: opening a hold writes no balance.
-- The check that compares the two goes with its column.
ALTER TABLE wallet DROP COLUMN held, DROP COLUMN version, ADD CHECK (posted >= 0);

-- By account, for that sum. Recovery, which asks by run, reads every open hold there is.
DROP INDEX hold_open;
CREATE INDEX hold_open ON hold (account) WHERE state IN ('open', 'orphan');
