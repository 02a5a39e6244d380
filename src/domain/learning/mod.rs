//! How the model learns from the person's answers: a correction of its scores, found anew from all of them.
//!
//! The [`memory`] keeps what the model saw of each item; the [`head`] is the correction and how it is fitted;
//! [`calibration`] makes its confidence mean what it says; [`slips`] finds answers that the model contradicts;
//! the [`learner`] knows their order. All of it is a pure function of the answers that stand and of their
//! order: when refits happened, and what was answered and taken back, leaves no trace.

pub mod calibration;
pub mod head;
mod lanes;
pub mod learner;
pub mod memory;
pub mod slips;
