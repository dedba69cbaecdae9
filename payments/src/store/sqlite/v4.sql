-- Price lists with drafts and versions, who buys by which, and rates of exchange. What v1 kept of prices was made anew from
-- the file at each start, and is again.
DROP TABLE price_list;

CREATE TABLE price_list (name TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE price_version (
    list TEXT NOT NULL,
    number INTEGER NOT NULL,
    valid_from INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (list, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE price_assignment (account TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE fx_pair (pair TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE fx_rate (
    pair TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (pair, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER price_version_keeps BEFORE UPDATE ON price_version
BEGIN SELECT RAISE(ABORT, 'a published version never changes'); END;
CREATE TRIGGER price_version_stays BEFORE DELETE ON price_version
BEGIN SELECT RAISE(ABORT, 'a published version never changes'); END;
