//! The tollgate gateway: rooms on the way of a call, from the socket to the upstream and back.
//!
//! `inference` composes the path of a chat call and is the place to start reading.

pub mod admin;
pub mod app;
pub mod body;
pub mod books;
pub mod cache;
pub mod cashier;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod count;
pub mod dialect;
pub mod dispatch;
pub mod edge;
pub mod fuzzing;
pub mod inference;
pub mod json;
pub mod keys;
pub mod limits;
pub mod meter;
pub mod models;
pub mod outbound;
pub mod plan;
pub mod portal;
pub mod provider;
pub mod redis_link;
pub mod reload;
pub mod rescue;
pub mod settings;
pub mod statement;
pub mod telemetry;
pub mod upkeep;
