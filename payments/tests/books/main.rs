//! Do the books keep their promises? Ledger, stores, top-ups, refunds, FX and the channel, by their public doors.

mod concurrency;
mod fx;
mod ledger;
mod migration;
mod model;
mod orders;
mod prices;
mod recovery;
mod support;
mod verify;
mod wechat_vectors;
