//! The model at work, native and Wasm: [`pipeline`] takes an item's content to scores over any [`engine`].

pub mod engine;
pub mod error;
pub mod export;
pub mod kernels;
pub mod pipeline;
