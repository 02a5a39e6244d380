//! Trouble that does not stop the work.

use std::sync::Arc;

use leptos::prelude::*;

use super::lean::{clicked, lazy};
use crate::page::text::Words;

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// In a short sentence.
    pub words: Arc<str>,
    /// What it means, or why.
    pub more: Arc<str>,
    /// What can be done about it.
    pub way: Way,
}

/// What can be done about a trouble, or with good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing here.
    None,
    /// A download.
    Download,
    /// Move over to the newer model.
    Newer,
    /// Ask the page for a token.
    LogIn,
}

/// The warnings, below one another, as long as they last.
#[component]
pub fn Banner(
    words: &'static Words,
    #[prop(into)] warnings: Signal<Vec<Warning>>,
    on_way: Callback<Way>,
) -> AnyView {
    let warnings = Memo::new(move |_| warnings.get());
    let row = move |warning: Warning| {
        let way = warning.way;
        let word = match way {
            Way::None => None,
            Way::Download => Some(words.download),
            Way::Newer => Some(words.take_newer),
            Way::LogIn => Some(words.log_in),
        };
        let button = word.map(|word| {
            view! { <button type="button" class="button" on:click=clicked(move |_| on_way.run(way))>{word}</button> }.into_any()
        });
        let news = way == Way::Newer;
        view! { <div class="banner" class:banner--news=news><p><b>{warning.words}</b>" "<bdi>{warning.more}</bdi></p>{button}</div> }.into_any()
    };
    view! { <div class="banners" role="alert">{lazy(move || warnings.get().into_iter().map(row).collect::<Vec<_>>())}</div> }.into_any()
}
