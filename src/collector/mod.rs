//! The collector: a small server that keeps correction records and serves the page.
//!
//! | module | does |
//! |---|---|
//! | [`options`] | command line -> [`options::Options`] |
//! | [`admission`] | which pages and hosts may talk to it |
//! | [`tokens`] | who may do what, and how much of it |
//! | [`intake`] | body -> records or items, each good or refused with its problems |
//! | [`store`] | keeps them in SQLite or PostgreSQL, durable before it answers |
//! | [`work`] | which items of the work list an annotator is given |
//! | [`tally`] | the stored records item by item: which count now, how many there are |
//! | [`outflow`] | streams exports |
//! | [`aggregate`] | brings several annotators' answers together |
//! | [`answer`] | errors as JSON, each with its mend |
//! | [`observe`], [`metrics`] | the log, and figures for Prometheus |
//! | [`routes`] | HTTP in, HTTP out |
//! | [`serve`] | listens until it is told to stop |
//!
//! [`store::Store`] is the boundary for another engine: its methods are asynchronous, and nothing above it knows
//! of SQLite or PostgreSQL. `docs/backend.md` is the HTTP contract, for those who write a backend of their own.

pub mod admission;
pub mod aggregate;
pub mod answer;
pub mod intake;
pub mod metrics;
pub mod observe;
pub mod options;
pub mod outflow;
pub mod routes;
pub mod serve;
pub mod store;
pub mod tally;
pub mod tokens;
pub mod work;
