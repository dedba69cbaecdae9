-- Price lists with drafts and versions, who buys by which, and rates of exchange.
DROP TABLE price_list;

CREATE TABLE price_list (name TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE price_version (
    list TEXT NOT NULL,
    number BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (list, number)
);

CREATE TABLE price_assignment (account TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE fx_pair (pair TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE fx_rate (pair TEXT NOT NULL, number BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (pair, number));

CREATE TRIGGER price_version_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON price_version
FOR EACH STATEMENT EXECUTE FUNCTION append_only();
