//! The element's inside: shells around the domain's session, and the Leptos view of it. No tract here.

pub mod backend;
mod courier;
pub mod desk;
pub mod download;
pub mod driver;
pub mod events;
pub mod keyboard;
pub mod keys;
pub mod learner;
pub mod model;
pub mod mount;
pub mod post;
mod probe;
pub mod settings;
pub mod source;
pub mod store;
pub mod study;
pub mod text;
pub mod time;
pub mod ui;
pub mod workers;

/// Writes a panic's message to the console before the trap, which says no more than "unreachable".
pub fn set_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        web_sys::console::error_1(&format!("hitl-labeler: {info}").into());
    }));
}
