//! What the model settled, to be looked through and corrected: a grid of pages, so that 100,000 items cost as much as 60.

use std::sync::Arc;

use leptos::html::Div;
use leptos::prelude::*;

use crate::domain::item::{Content, ImageSource, Item, ItemKey};
use crate::domain::label::LabelSet;
use crate::domain::session::Accepted;
use crate::page::text::{Words, fill};

use super::figures::{count, number, percent};
use super::lean::{clicked, derived, lazy};

/// Items on a page.
pub const PAGE: usize = 60;

/// The same, on or back.
const STEP: isize = PAGE.cast_signed();

/// How many of an item's numbers its tile shows.
const NUMBERS: usize = 8;

/// The grid of accepted items.
#[component]
pub fn Review(
    words: &'static Words,
    #[prop(into)] labels: Signal<LabelSet>,
    /// The items of the page that begins at `offset`.
    #[prop(into)]
    items: Signal<Vec<Accepted>>,
    #[prop(into)] offset: Signal<usize>,
    /// How many there are on all pages.
    #[prop(into)]
    total: Signal<usize>,
    /// Where the browser finds a picture.
    address: Callback<ImageSource, Option<String>>,
    on_page: Callback<usize>,
    on_open: Callback<ItemKey>,
) -> AnyView {
    let tile = move |accepted: Accepted| {
        let name = labels.with(|labels| labels.get(accepted.label).map(|label| label.name.clone()));
        let key = accepted.key;
        view! {
            <li>
                <button type="button" class="tile" part="tile" title=accepted.item.id.to_string() on:click=clicked(move |_| on_open.run(key))>
                    <span class="tile__picture">{face(&accepted.item, address, words)}</span>
                    <bdi class="tile__name">{name}</bdi>
                    <span class="tile__share">{percent(f64::from(accepted.confidence.get()), words)}</span>
                </button>
            </li>
        }
        .into_any()
    };
    let inside = lazy(move || {
        if items.with(Vec::is_empty) {
            return view! { <div class="quiet"><b>{words.review_none}</b><p>{words.review_none_hint}</p></div> }.into_any();
        }
        view! { <ul class="grid">{items.get().into_iter().map(tile).collect::<Vec<_>>()}</ul> }.into_any()
    });
    let range = derived(move || {
        let (from, n) = (offset.get(), total.get());
        let to = (from + items.with(Vec::len)).min(n.max(from));
        let figures = [count(from + 1, words), count(to, words), count(n, words)];
        (to > from)
            .then(|| fill(words.page_of, &[("from", &figures[0]), ("to", &figures[1]), ("n", &figures[2])]))
    });
    let room = NodeRef::<Div>::new();
    let page = move |name: &'static str, by: isize| {
        let to = move || offset.get().checked_add_signed(by).filter(|to| *to < total.get());
        let turn = move |_| {
            let Some(to) = to() else { return };
            on_page.run(to);
            if let Some(room) = room.get_untracked() {
                room.set_scroll_top(0);
            }
        };
        // Disabled, it would lose the focus.
        view! { <button type="button" class="tool" aria-disabled=derived(move || to().is_none().to_string()) on:click=clicked(turn)>{name}</button> }
            .into_any()
    };
    view! {
        <section class="pane" aria-labelledby="review-name">
            <div class="pane__head"><div><h2 id="review-name" tabindex="-1">{words.review}</h2><p>{words.review_hint}</p></div><p>{words.least_sure}</p></div>
            <div node_ref=room class="pane__scroll">{inside}</div>
            <div class="pane__foot" hidden=derived(move || total.get() <= PAGE)>
                {page(words.previous, -STEP)}<span role="status">{range}</span>{page(words.next, STEP)}
            </div>
        </section>
    }
    .into_any()
}

fn face(item: &Item, address: Callback<ImageSource, Option<String>>, words: &Words) -> AnyView {
    match &item.content {
        Content::Image(source) => {
            view! { <img src=address.run(source.clone()) alt="" loading="lazy" decoding="async" draggable="false" /> }.into_any()
        }
        Content::Numbers(numbers) => view! { <span class="tile__numbers">{few(numbers, words)}</span> }.into_any(),
    }
}

fn few(numbers: &Arc<[f32]>, words: &Words) -> String {
    let written: Vec<_> =
        numbers.iter().take(NUMBERS).map(|n| number((*n * 100.0).round() / 100.0, words)).collect();
    written.join(" · ")
}
