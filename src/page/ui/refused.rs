//! Records that the server does not want: what, why, and what to do about it.

use std::sync::Arc;

use leptos::prelude::*;

use crate::domain::ident::RecordId;
use crate::page::text::Words;

use super::delivery::Form;
use super::lean::{clicked, derived, lazy};

/// One refused record.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedRecord {
    /// Which.
    pub id: RecordId,
    /// The item that it is about.
    pub item: Arc<str>,
    /// The server's reason.
    pub why: Arc<str>,
}

/// Most rows that are shown; all are in the download.
const ROWS: usize = 200;

/// A list that is not there when it is empty.
#[component]
pub fn Refused(
    words: &'static Words,
    #[prop(into)] records: Signal<Vec<RefusedRecord>>,
    on_retry: Callback<Vec<RecordId>>,
    on_download: Callback<Form>,
) -> AnyView {
    let everything =
        move |_| on_retry.run(records.with_untracked(|records| records.iter().map(|r| r.id).collect()));
    let row = move |record: RefusedRecord| {
        let id = record.id;
        view! {
            <li class="row row--wide">
                <div class="row__words">
                    <p class="row__name"><bdi>{record.item}</bdi></p>
                    <p class="row__why">{record.why}</p>
                </div>
                <button type="button" class="button" on:click=clicked(move |_| on_retry.run(vec![id]))>{words.retry}</button>
            </li>
        }
        .into_any()
    };
    view! {
        <div hidden=derived(move || records.with(Vec::is_empty))>
            <div class="pane__head pane__head--in">
                <h3 class="pane__sub">{words.refused}</h3>
                <div class="buttons">
                    <button type="button" class="button" on:click=everything>{words.retry_all}</button>
                    <button type="button" class="button" on:click=clicked(move |_| on_download.run(Form::Refused))>{words.download_refused}</button>
                </div>
            </div>
            <ul class="rows">{lazy(move || records.get().into_iter().take(ROWS).map(row).collect::<Vec<_>>())}</ul>
        </div>
    }
    .into_any()
}
