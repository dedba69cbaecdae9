//! What do the tests stand on that is not the product and not simulated? Real servers, and a disk that may fail.
//!
//! A real PostgreSQL, wherever the product's own store for it is tested: a mock proves nothing about what a server does
//! with a batch, a lock, or a power cut. Nothing here knows the product; both `payments`' tests and the journeys use it.
//!
//! | Module | Question |
//! |---|---|
//! | [`disk`] | how does a test have the disk fail at any effect, and see what a power cut may leave? |
//! | [`cable`] | how does a test cut the way to a server between a commit and its answer? |
//! | [`database`] | how does a test get a database that nobody else writes to? |
//! | [`redis`] | how does a test get a Redis that it may kill and start again? |
//! | [`server`] | how does a test get a server that it may kill and start again? |
//! | [`shared`] | which server do the databases of one test run lie in, and who ends it? |
//! | `script` | how are PostgreSQL's programs found and started? `postgres.sh` beside the crate knows |

pub mod cable;
pub mod database;
pub mod disk;
pub mod redis;
mod script;
pub mod server;
pub mod shared;

pub use cable::Cable;
pub use database::{Database, connect};
pub use disk::{Disk, Fault};
pub use redis::Redis;
pub use server::{Server, Syncs};
