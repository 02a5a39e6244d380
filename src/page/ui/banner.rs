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
    /// Whether a download is the way out.
    pub download: bool,
}

/// The warnings, below one another, as long as they last.
#[component]
pub fn Banner(
    words: &'static Words,
    #[prop(into)] warnings: Signal<Vec<Warning>>,
    on_download: Callback<()>,
) -> AnyView {
    let warnings = Memo::new(move |_| warnings.get());
    let row = move |warning: Warning| {
        let download = warning.download.then(|| {
            view! { <button type="button" class="button" on:click=clicked(move |_| on_download.run(()))>{words.download}</button> }.into_any()
        });
        view! { <div class="banner"><p><b>{warning.words}</b>" "<bdi>{warning.more}</bdi></p>{download}</div> }.into_any()
    };
    view! { <div class="banners" role="alert">{lazy(move || warnings.get().into_iter().map(row).collect::<Vec<_>>())}</div> }.into_any()
}
