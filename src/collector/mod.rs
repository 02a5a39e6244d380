//! The collector: a small server that keeps correction records and serves the page.
//!
//! | module | does |
//! |---|---|
//! | [`options`] | command line -> [`options::Options`] |
//! | [`admission`] | which pages and hosts may talk to it |
//! | [`intake`] | body -> records, each good or refused with its problems |
//! | [`store`] | keeps records in SQLite, durable before it answers |
//! | [`tally`] | the stored records item by item: which count now, how many there are |
//! | [`outflow`] | streams exports |
//! | [`answer`] | errors as JSON, each with its mend |
//! | [`routes`] | HTTP in, HTTP out |
//! | [`serve`] | listens until it is told to stop |
//!
//! [`store::Store`] is the boundary for another engine: its four methods are asynchronous, take and give
//! only [`crate::wire`] types, and nothing above it knows of SQLite. `docs/backend.md` is the HTTP
//! contract, for those who write a backend of their own.

pub mod admission;
pub mod answer;
pub mod intake;
pub mod options;
pub mod outflow;
pub mod routes;
pub mod serve;
pub mod store;
pub mod tally;
