//! The list of keys: seen, changed, switched off (WCAG 2.1.4).

use std::sync::Arc;

use leptos::html::Dialog;
use leptos::prelude::*;

use crate::page::keys::is_foreign;
use crate::page::text::{Words, fill};

use super::figures::cap;
use super::focus::modal;
use super::icon::{CLOSE, icon};
use super::lean::{clicked, derived, lazy, pressed};

/// Keys that move the focus, that change what others mean, or that a page cannot tell from one another.
const UNFIT: &str =
    "Tab Shift Control Alt AltGraph Meta CapsLock NumLock ScrollLock Fn FnLock Dead Process Unidentified";

/// What a key does, and which key it is (as `KeyboardEvent.key` says it; empty: none).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// A label's name or a tool.
    pub name: Arc<str>,
    /// The key.
    pub key: Arc<str>,
}

/// A dialog that is open while `open` is true.
#[component]
pub fn Help(
    words: &'static Words,
    #[prop(into)] open: Signal<bool>,
    on_close: Callback<()>,
    /// Every binding, labels first.
    #[prop(into)]
    bindings: Signal<Vec<Binding>>,
    /// Whether keys act at all.
    #[prop(into)]
    enabled: Signal<bool>,
    on_enable: Callback<bool>,
    /// The binding at this place is to have this key (as `KeyboardEvent.key` says it); why it cannot, in words.
    on_change: Callback<(usize, String), Option<String>>,
    /// All bindings are to be as they came.
    on_reset: Callback<()>,
) -> AnyView {
    let dialog = NodeRef::<Dialog>::new();
    let asking = RwSignal::new(None::<usize>);
    let refusal = RwSignal::new(None::<String>);
    modal(dialog, open);
    let pressed = pressed(move |event| {
        let Some(place) = asking.get_untracked() else { return };
        let key = event.key();
        // One that is held down is the Enter that has chosen the row.
        if is_foreign(&event) || event.repeat() || UNFIT.split(' ').any(|unfit| unfit == key) {
            return;
        }
        event.prevent_default();
        event.stop_propagation();
        asking.set(None);
        if key != "Escape" {
            refusal.set(on_change.run((place, key)));
        }
    });
    let row = move |(place, binding): (usize, Binding)| {
        let cap = cap(&binding.key, words);
        let name = fill(words.change_key, &[("name", &binding.name), ("key", &cap)]);
        let inside = lazy(move || {
            if asking.get() == Some(place) {
                view! { <em>{words.press_key}</em> }.into_any()
            } else {
                view! { <kbd class="key">{cap.clone()}</kbd> }.into_any()
            }
        });
        view! {
            <li class="binding">
                <bdi>{binding.name}</bdi>
                <button type="button" aria-label=name on:click=clicked(move |_| { refusal.set(None); asking.set(Some(place)); }) on:blur=move |_| asking.set(None)>{inside}</button>
            </li>
        }
        .into_any()
    };
    // Inside a button that has a name of its own the wish would not be heard.
    let said = derived(move || match asking.get() {
        Some(_) => Some(words.press_key.to_owned()),
        None => refusal.get(),
    });
    view! {
        <dialog node_ref=dialog class="help" aria-labelledby="help-name" on:keydown=pressed on:close=move |_| on_close.run(())>
            <div class="dialog__head">
                <h2 id="help-name">{words.keys}</h2>
                <button type="button" class="icon" aria-label=words.close on:click=clicked(move |_| on_close.run(()))>{icon(CLOSE, false)}</button>
            </div>
            <div class="dialog__body">
                <label class="switch">
                    <span>{words.keys_on}<span class="hint hint--below">{words.keys_hint}</span></span>
                    <input type="checkbox" role="switch" prop:checked=enabled on:change=move |event| on_enable.run(event_target_checked(&event)) />
                </label>
                <ul class="bindings">
                    {lazy(move || open.get().then(|| bindings.get().into_iter().enumerate().map(row).collect::<Vec<_>>()))}
                </ul>
                <p class="trouble" role="status">{said}</p>
                <button type="button" class="button" on:click=clicked(move |_| on_reset.run(()))>{words.usual_keys}</button>
            </div>
        </dialog>
    }
    .into_any()
}
