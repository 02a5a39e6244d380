//! What Leptos writes out anew for each closure, written out once for each type that a closure takes or gives.

use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::prelude::*;

/// [`Callback::new`], without its code for each closure.
pub(super) fn callback<In: 'static, Out: 'static>(
    run: impl Fn(In) -> Out + Send + Sync + 'static,
) -> Callback<In, Out> {
    kept(Box::new(run))
}

#[inline(never)]
fn kept<In: 'static, Out: 'static>(run: Box<dyn Fn(In) -> Out + Send + Sync>) -> Callback<In, Out> {
    Callback::new(run)
}

/// [`Signal::derive`], without its code for each closure.
pub(super) fn derived<T: Send + Sync + 'static>(value: impl Fn() -> T + Send + Sync + 'static) -> Signal<T> {
    read(Box::new(value))
}

#[inline(never)]
fn read<T: Send + Sync + 'static>(value: Box<dyn Fn() -> T + Send + Sync>) -> Signal<T> {
    Signal::derive(value)
}

/// What a click does, as one type for all buttons.
pub(super) fn clicked(run: impl FnMut(MouseEvent) + 'static) -> Box<dyn FnMut(MouseEvent)> {
    Box::new(run)
}

/// What a key does, likewise.
pub(super) fn pressed(run: impl FnMut(KeyboardEvent) + 'static) -> Box<dyn FnMut(KeyboardEvent)> {
    Box::new(run)
}

/// What is brought up to date by itself, as one type for all that give a `T`.
pub(super) fn lazy<T: 'static>(value: impl FnMut() -> T + Send + 'static) -> Box<dyn FnMut() -> T + Send> {
    Box::new(value)
}
