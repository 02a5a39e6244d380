//! The collector with PostgreSQL: the suite of every collector, and several of them on one database.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "collector/fleet.rs"]
mod fleet;
#[path = "collector/postgres.rs"]
mod keep;
#[path = "collector/suite.rs"]
mod suite;
#[path = "collector/work.rs"]
mod work;
