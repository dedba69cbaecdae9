//! What do the tests stand on that is not the product and not simulated? Real servers.
//!
//! A real PostgreSQL, wherever the product's own store for it is tested: a mock proves nothing about what a server does
//! with a batch, a lock, or a power cut. Nothing here knows the product; both `payments`' tests and the journeys use it.
//!
//! | Module | Question |
//! |---|---|
//! | [`database`] | how does a test get a database that nobody else writes to? |
//! | [`server`] | how does a test get a server that it may kill and start again? |
//! | [`shared`] | which server do the databases of one test run lie in, and who ends it? |
//! | `script` | how are PostgreSQL's programs found and started? `postgres.sh` beside the crate knows |

pub mod database;
mod script;
pub mod server;
pub mod shared;

pub use database::{Database, connect};
pub use server::{Server, Syncs};
