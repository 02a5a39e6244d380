//! The views of the element, and the state of delivery as one of them.

use leptos::html::Div;
use leptos::prelude::*;
use leptos::web_sys;
use wasm_bindgen::JsCast;

use crate::domain::progress::Progress;
use crate::domain::session::DeliveryView;
use crate::page::text::Words;

use super::delivery::standing;
use super::figures::count;
use super::lean::{clicked, derived, pressed};

/// What the body shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The question on screen, or why there is none.
    #[default]
    Questions,
    /// What the model settled.
    Accepted,
    /// What could not be read.
    SetAside,
    /// How the cycle goes.
    Cycle,
    /// Where the answers are.
    Delivery,
}

const PANES: [Pane; 5] = [Pane::Questions, Pane::Accepted, Pane::SetAside, Pane::Cycle, Pane::Delivery];

/// A list of tabs: arrow keys move, as the ARIA practices have it.
#[component]
pub fn Tabs(
    words: &'static Words,
    #[prop(into)] pane: Signal<Pane>,
    #[prop(into)] counts: Signal<Progress>,
    #[prop(into)] delivery: Signal<DeliveryView>,
    /// Whether there is a cycle to look at: a model.
    #[prop(into)]
    cycle: Signal<bool>,
    /// Answers to look at once more.
    #[prop(into)]
    slips: Signal<usize>,
    on_pane: Callback<Pane>,
) -> AnyView {
    let list = NodeRef::<Div>::new();
    let state = Memo::new(move |_| delivery.with(standing));
    let step = move |at: usize, by: usize| {
        let to = (at + by) % PANES.len();
        let hidden = PANES[to] == Pane::Cycle && !cycle.get_untracked();
        if hidden { (to + by) % PANES.len() } else { to }
    };
    let pressed = pressed(move |event| {
        let turned = list.get_untracked().is_some_and(|list| list.matches(":dir(rtl)").unwrap_or(false));
        let at = PANES.iter().position(|p| *p == pane.get_untracked()).unwrap_or(0);
        let to = match (event.key().as_str(), turned) {
            ("ArrowRight", false) | ("ArrowLeft", true) => step(at, 1),
            ("ArrowLeft", false) | ("ArrowRight", true) => step(at, PANES.len() - 1),
            ("Home", _) => 0,
            ("End", _) => PANES.len() - 1,
            _ => return,
        };
        event.prevent_default();
        on_pane.run(PANES[to]);
        let all = list.get_untracked().and_then(|list| list.query_selector_all("[role=tab]").ok());
        let tab = all.and_then(|all| all.item(u32::try_from(to).ok()?));
        if let Some(tab) = tab.and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok()) {
            // A tab that is gone needs no focus.
            let _ = tab.focus();
        }
    });
    let tab = move |own: Pane, word: &'static str, twice: bool, of: fn(&Progress) -> usize| {
        let selected = move || pane.get() == own;
        view! {
            <button type="button" class="tab" role="tab" aria-controls="body" aria-selected=derived(move || selected().to_string())
                tabindex=derived(move || if selected() { "0" } else { "-1" }) on:click=clicked(move |_| on_pane.run(own))>
                <span class="tab__word" data-word=word>{word}</span>
                <span class="tab__count" class:tab__count--twice=twice>{derived(move || counts.with(|counts| count(of(counts), words)))}</span>
            </button>
        }
        .into_any()
    };
    let selected = move || pane.get() == Pane::Delivery;
    let word = derived(move || state.get().0.word(words));
    view! {
        <div node_ref=list class="head" role="tablist" aria-label=words.views on:keydown=pressed>
            <div class="tabs" role="presentation">
                {tab(Pane::Questions, words.questions, true, |c| c.waiting)}
                {tab(Pane::Accepted, words.accepted, true, |c| c.accepted)}
                {tab(Pane::SetAside, words.set_aside, false, |c| c.aside)}
                <button type="button" class="tab" role="tab" aria-controls="body" hidden=derived(move || !cycle.get())
                    aria-selected=derived(move || (pane.get() == Pane::Cycle).to_string())
                    tabindex=derived(move || if pane.get() == Pane::Cycle { "0" } else { "-1" }) on:click=clicked(move |_| on_pane.run(Pane::Cycle))>
                    <span class="tab__word" data-word=words.cycle>{words.cycle}</span>
                    <span class="tab__count">{derived(move || Some(slips.get()).filter(|n| *n > 0).map(|n| count(n, words)))}</span>
                </button>
            </div>
            <button type="button" class="tab tab--delivery" role="tab" aria-controls="body" aria-selected=derived(move || selected().to_string())
                tabindex=derived(move || if selected() { "0" } else { "-1" }) on:click=clicked(move |_| on_pane.run(Pane::Delivery))>
                <span class="said">{words.delivery}": "</span>
                <span class="mark" data-state=derived(move || state.get().0.mark())></span>
                <span class="tab__word" data-word=word>{word}</span>
                <span class="tab__count tab__count--twice">{derived(move || Some(state.get().1).filter(|n| *n > 0).map(|n| count(n, words)))}</span>
            </button>
        </div>
    }
    .into_any()
}
