//! Items that could not be read, each with its reason; many can still be labelled by hand.

use leptos::prelude::*;

use crate::domain::item::{Aside, ItemKey};
use crate::page::text::Words;

use super::figures::count;
use super::lean::{clicked, derived, lazy};
use super::reason;

/// Most rows that are shown: a source that is wrong throughout has no use for more.
const ROWS: usize = 500;

/// The list of set-aside items.
#[component]
pub fn SetAside(
    words: &'static Words,
    #[prop(into)] items: Signal<Vec<Aside>>,
    on_open: Callback<ItemKey>,
) -> AnyView {
    let row = move |aside: Aside| {
        let open = aside.item.filter(|_| aside.reason.can_be_labelled()).map(|key| {
            view! { <button type="button" class="button" on:click=clicked(move |_| on_open.run(key))>{words.by_hand}</button> }.into_any()
        });
        view! {
            <li class="row row--wide">
                <div class="row__words">
                    <p class="row__name"><bdi>{aside.id}</bdi></p>
                    <p class="row__why">{reason::aside(&aside.reason, words)}</p>
                </div>
                {open}
            </li>
        }
        .into_any()
    };
    let more = derived(move || {
        let hidden = items.with(Vec::len).saturating_sub(ROWS);
        (hidden > 0).then(|| words.counted(words.aside_more, hidden, &count(hidden, words)))
    });
    let inside = lazy(move || {
        if items.with(Vec::is_empty) {
            return view! { <div class="quiet"><b>{words.aside_none}</b><p>{words.aside_none_hint}</p></div> }.into_any();
        }
        let rows: Vec<_> = items.with(|items| items.iter().take(ROWS).cloned().map(row).collect());
        view! { <ul class="rows">{rows}</ul><p class="hint">{more}</p> }.into_any()
    });
    view! {
        <section class="pane" aria-labelledby="aside-name">
            <div class="pane__head"><div><h2 id="aside-name" tabindex="-1">{words.aside}</h2><p>{words.aside_hint}</p></div></div>
            <div class="pane__scroll">{inside}</div>
        </section>
    }
    .into_any()
}
