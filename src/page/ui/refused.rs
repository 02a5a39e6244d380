//! Records that the server does not want: what, why, and what to do about it.

use std::sync::Arc;

use leptos::prelude::*;

use crate::domain::ident::RecordId;
use crate::page::text::Words;

use super::delivery::Form;
use super::figures::count;
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
    on_delete: Callback<Vec<RecordId>>,
    on_download: Callback<Form>,
) -> AnyView {
    // Asked about before they are given up.
    let doomed = RwSignal::new(Vec::<RecordId>::new());
    let all = move || records.with_untracked(|records| records.iter().map(|r| r.id).collect::<Vec<_>>());
    let everything = move |_| on_retry.run(all());
    let asked = derived(move || {
        let n = doomed.with(Vec::len);
        if n == 0 { String::new() } else { words.counted(words.delete_asked, n, &count(n, words)) }
    });
    let delete = move |_| {
        on_delete.run(doomed.get_untracked());
        doomed.set(Vec::new());
    };
    let row = move |record: RefusedRecord| {
        let id = record.id;
        view! {
            <li class="row row--wide">
                <div class="row__words">
                    <p class="row__name"><bdi>{record.item}</bdi></p>
                    <p class="row__why">{record.why}</p>
                </div>
                <div class="buttons">
                    <button type="button" class="button" on:click=clicked(move |_| on_retry.run(vec![id]))>{words.retry}</button>
                    <button type="button" class="button" on:click=clicked(move |_| doomed.set(vec![id]))>{words.delete}</button>
                </div>
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
                    <button type="button" class="button" on:click=clicked(move |_| doomed.set(all()))>{words.delete_all}</button>
                </div>
            </div>
            <div class="sure" role="alertdialog" aria-label=words.delete hidden=derived(move || doomed.with(Vec::is_empty))>
                <p>{asked}</p>
                <div class="buttons">
                    <button type="button" class="button" on:click=clicked(delete)>{words.delete_sure}</button>
                    <button type="button" class="button" on:click=clicked(move |_| doomed.set(Vec::new()))>{words.keep}</button>
                </div>
            </div>
            <ul class="rows">{lazy(move || records.get().into_iter().take(ROWS).map(row).collect::<Vec<_>>())}</ul>
        </div>
    }
    .into_any()
}
