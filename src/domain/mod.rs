//! The product's rules, sans-IO: no clock, no randomness, no network, no DOM, no format.
//!
//! The heart is [`session::Session`]: a [`session::Notice`] goes in with the time, [`session::Command`]s
//! come out. The other files are the stages of one item's way, in this order: an [`item`] arrives, is
//! handed to a worker by the [`dispatch`]er, its scores become a [`prediction`], the [`policy`] decides,
//! the [`queue`] orders the questions, the person's answer becomes a [`correction`], the [`outbox`]
//! delivers it; [`progress`] counts all of it, and the [`promise`] says what has been shown about the
//! accuracy of what the model settles. Beside them, in a worker, the [`learning`] makes the model better
//! with each answer.

pub mod aggregate;
pub mod chart;
pub mod correction;
pub mod credential;
pub mod current;
pub mod decimal;
pub mod diagnosis;
pub mod dispatch;
pub mod evaluation;
pub mod few;
pub mod ident;
pub mod item;
pub mod label;
pub mod learning;
pub mod lease;
mod order;
pub mod outbox;
pub mod policy;
pub mod prediction;
pub mod progress;
pub mod promise;
pub mod queue;
pub mod session;
pub mod sorted;
pub mod value;
