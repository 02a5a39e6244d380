//! Human-in-the-loop labeling for any web page.
//!
//! A model predicts with a confidence; above a threshold the item is settled, below it a person is
//! asked; the answer becomes a correction that is never lost on its way to a backend. `docs/ARCHITECTURE.md`
//! states the invariants; this is the map:
//!
//! | module | layer | may name |
//! |---|---|---|
//! | [`domain`] | the product's rules, sans-IO | `std`, `uuid` |
//! | [`reader`] | loose JSON read strictly | `serde_json` |
//! | [`input`] | what a model eats: one file a kind | `domain`, `reader` |
//! | [`wire`] | every format that enters or leaves | `domain`, `reader`, `input`, `serde` |
//! | `infer` | tract, native and Wasm | the above |
//! | `worker` | the Web Worker around `infer` | `infer`, `wire` |
//! | `page` | the element's inside | `domain`, `wire`, Leptos; never `infer` |
//! | `collector` | the native server | `wire`, axum, SQLite |
//! | `eval` | what `make eval` measures | `domain`, `infer` |

pub mod domain;
pub mod input;
pub mod reader;
pub mod wire;

#[cfg(feature = "collector")]
pub mod collector;
#[cfg(all(feature = "eval", not(target_arch = "wasm32")))]
pub mod eval;
#[cfg(feature = "infer")]
pub mod infer;
#[cfg(feature = "page")]
pub mod page;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod worker;
