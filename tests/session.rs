//! Stories of a session, in the user's words: what the person, the model, the store, the server and the
//! other tab do, and what is on screen, kept and delivered then.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "session/delivery.rs"]
mod delivery;
#[path = "session/learning.rs"]
mod learning;
#[path = "session/model.rs"]
mod model;
#[path = "session/person.rs"]
mod person;
#[path = "session/property.rs"]
mod property;
#[path = "session/world.rs"]
mod world;
