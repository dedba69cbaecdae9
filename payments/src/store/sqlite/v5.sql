-- Payments of which something went back: their bonuses are looked at once a minute.
CREATE INDEX lot_refunded ON lot (id) WHERE class = 'paid' AND refunded_fen > 0;
