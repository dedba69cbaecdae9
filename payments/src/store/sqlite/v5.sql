-- Payments of which something went back: their bonuses are looked at once a minute.
CREATE INDEX lot_refunded ON lot (id) WHERE class = 'paid' AND refunded_fen > 0;

-- What open calls have used so far: here nobody writes it, since the journal lies beside the file.
CREATE TABLE hold_progress (id TEXT PRIMARY KEY, used TEXT NOT NULL) STRICT, WITHOUT ROWID;
