//! Records that the server does not want: what, why, and what to do about it.

use std::sync::Arc;

use leptos::html::Div;
use leptos::prelude::*;

use crate::domain::ident::RecordId;
use crate::page::text::Words;

use super::delivery::Form;
use super::figures::count;
use super::focus::{focus, focus_soon};
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
    /// Around this list.
    frame: NodeRef<Div>,
    on_retry: Callback<Vec<RecordId>>,
    on_delete: Callback<Vec<RecordId>>,
    on_download: Callback<Form>,
) -> AnyView {
    // Asked about before they are given up.
    let doomed = RwSignal::new(Vec::<RecordId>::new());
    let all = move || records.with_untracked(|records| records.iter().map(|r| r.id).collect::<Vec<_>>());
    let ask = move |ids| {
        doomed.set(ids);
        focus_soon(frame, ".sure button:last-child");
    };
    let asked = derived(move || {
        let n = doomed.with(Vec::len);
        if n == 0 { String::new() } else { words.counted(words.delete_asked, n, &count(n, words)) }
    });
    // The question goes, with the button that was pressed.
    let close = move || {
        doomed.set(Vec::new());
        focus(frame, ".pane__sub");
    };
    let delete = move |_| {
        on_delete.run(doomed.get_untracked());
        close();
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
                    <button type="button" class="button" on:click=clicked(move |_| ask(vec![id]))>{words.delete}</button>
                </div>
            </li>
        }
        .into_any()
    };
    view! {
        <div hidden=derived(move || records.with(Vec::is_empty))>
            <div class="pane__head pane__head--in">
                <h3 class="pane__sub" tabindex="-1">{words.refused}</h3>
                <div class="buttons">
                    <button type="button" class="button" on:click=clicked(move |_| on_retry.run(all()))>{words.retry_all}</button>
                    <button type="button" class="button" on:click=clicked(move |_| on_download.run(Form::Refused))>{words.download_refused}</button>
                    <button type="button" class="button" on:click=clicked(move |_| ask(all()))>{words.delete_all}</button>
                </div>
            </div>
            <div class="sure" role="alertdialog" aria-label=words.delete aria-describedby="sure" hidden=derived(move || doomed.with(Vec::is_empty))>
                <p id="sure">{asked}</p>
                <div class="buttons">
                    <button type="button" class="button" on:click=clicked(delete)>{words.delete_sure}</button>
                    <button type="button" class="button" on:click=clicked(move |_| close())>{words.keep}</button>
                </div>
            </div>
            <ul class="rows">{lazy(move || records.get().into_iter().take(ROWS).map(row).collect::<Vec<_>>())}</ul>
        </div>
    }
    .into_any()
}
