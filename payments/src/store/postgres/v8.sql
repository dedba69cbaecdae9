-- What keeps orders from being made: altogether, for an account, for an agent, or at a merchant.
CREATE TABLE gate (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    body TEXT NOT NULL
);
