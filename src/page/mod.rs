//! The element's inside: shells around the domain's session, and the Leptos view of it. No tract here.

pub mod desk;
pub mod keys;
pub mod source;
pub mod text;
pub mod ui;
