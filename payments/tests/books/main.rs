//! Do the books keep their promises? Ledger, stores, top-ups, refunds, FX and the channel, by their public doors.

mod backup;
mod bonus;
mod budgets;
mod calls;
mod concurrency;
mod corrections;
mod desk;
mod fx;
mod gifts;
mod grants;
mod hands;
mod holds;
mod ledger;
mod machines;
mod migration;
mod model;
mod moving;
mod orders;
mod prices;
mod recovery;
mod review;
mod sales;
mod support;
mod sweeps;
mod verify;
mod wechat_vectors;
