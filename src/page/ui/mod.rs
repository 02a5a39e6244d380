//! The components: one a file, leaves take props, only [`labeler`] knows the [`Desk`](crate::page::desk::Desk).

// Props are documented where their name does not say it all.
#![allow(missing_docs)]

pub mod aside;
pub mod banner;
pub mod card;
pub mod choices;
pub mod cycle;
pub mod delivery;
mod figures;
mod focus;
pub mod help;
mod icon;
pub mod labeler;
pub mod last;
mod lean;
pub mod progress;
mod reason;
pub mod refused;
pub mod review;
pub mod stage;
pub mod states;
pub mod tabs;
pub mod tools;
pub mod zoom;
