//! What fills the card while there is no question: each state says what is happening and what can be done.

use leptos::html::Input;
use leptos::prelude::*;
use leptos::web_sys::FileList;

use crate::domain::decimal::shortest;
use crate::domain::progress::Progress;
use crate::domain::session::DeliveryView;
use crate::page::desk::Broken;
use crate::page::text::{Words, fill};

use super::delivery::{Standing, standing};
use super::figures::{count, megabytes};
use super::lean::{clicked, derived, lazy};

/// How far the model is on its way into the browser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Nothing is known yet.
    Start,
    /// So many bytes are here, of so many.
    Fetch(f64, f64),
    /// The workers bring it up and try it.
    Prepare,
}

fn state(title: AnyView, hint: AnyView, rest: AnyView) -> AnyView {
    view! {
        <div class="state" part="state">
            <div class="state__words"><h2 tabindex="-1">{title}</h2><p>{hint}</p></div>
            {rest}
        </div>
    }
    .into_any()
}

fn meter(share: Signal<f64>, label: Signal<String>, name: &'static str) -> AnyView {
    let percent = derived(move || shortest(share.get().clamp(0.0, 1.0) * 100.0));
    view! {
        <div class="meter">
            <div class="meter__track" role="progressbar" aria-label=name aria-valuemin="0" aria-valuemax="100" aria-valuenow=percent>
                <span class="meter__fill" style:inline-size=derived(move || percent.get() + "%")></span>
            </div>
            <span>{label}</span>
        </div>
    }
    .into_any()
}

/// The model is being fetched, checked, prepared.
#[component]
pub fn Loading(words: &'static Words, #[prop(into)] step: Signal<Step>) -> AnyView {
    let share = derived(move || match step.get() {
        Step::Fetch(here, all) if all > 0.0 => here / all,
        Step::Start | Step::Fetch(..) => 0.0,
        Step::Prepare => 1.0,
    });
    let label = derived(move || match step.get() {
        Step::Fetch(here, all) => {
            fill(words.bytes_of, &[("n", &megabytes(here, words)), ("of", &megabytes(all, words))])
        }
        _ => "\u{a0}".to_owned(),
    });
    let current = move |own: fn(Step) -> bool| derived(move || own(step.get()).then_some("step"));
    let steps = view! {
        <ol class="steps">
            <li aria-current=current(|s| matches!(s, Step::Fetch(..)))>{words.step_fetch}</li>
            <li aria-current=current(|s| s == Step::Prepare)>{words.step_prepare}</li>
        </ol>
    };
    let rest = (meter(share, label, words.fetching), steps).into_any();
    let title = derived(move || if step.get() == Step::Prepare { words.preparing } else { words.fetching });
    state(title.into_any(), words.fetching_hint.into_any(), rest)
}

/// Predictions are under way and none of them is a question yet.
#[component]
#[allow(clippy::cast_precision_loss)]
pub fn Reading(words: &'static Words, #[prop(into)] counts: Signal<Progress>) -> AnyView {
    let read = move || counts.with(|c| c.arrived.saturating_sub(c.predicting));
    let share = derived(move || read() as f64 / counts.with(|c| c.arrived.max(1)) as f64);
    let label = derived(move || {
        let (more, all) = counts.with(|c| (c.more_coming, c.arrived));
        let template = if more { words.items_coming } else { words.items_read };
        fill(template, &[("n", &count(read(), words)), ("of", &count(all, words))])
    });
    state(words.reading.into_any(), words.reading_hint.into_any(), meter(share, label, words.reading))
}

/// A button that opens the browser's choice of files.
#[component]
pub fn ChooseFiles(
    words: &'static Words,
    on_files: Callback<FileList>,
    /// Whether it is the thing to do.
    main: bool,
) -> AnyView {
    let input = NodeRef::<Input>::new();
    let chosen = move |_| {
        let Some(input) = input.get_untracked() else { return };
        if let Some(files) = input.files() {
            on_files.run(files);
        }
    };
    let choose = move |_| {
        if let Some(input) = input.get_untracked() {
            // Choosing the same file again is a change, too. Not after the change: that would empty the very
            // list that was handed on, and is read later.
            input.set_value("");
            input.click();
        }
    };
    view! {
        <input node_ref=input type="file" multiple hidden accept="image/*,.json,.jsonl,.ndjson,.csv,.tsv" on:change=chosen />
        <button type="button" class="button" class:button--main=main on:click=clicked(choose)>
            {words.choose_files}
        </button>
    }
    .into_any()
}

/// The title while there is no item.
pub(super) fn empty(pictures: bool, words: &Words) -> &'static str {
    if pictures { words.empty } else { words.empty_numbers }
}

/// There is no item, and none will come by itself.
#[component]
pub fn Empty(
    words: &'static Words,
    /// Whether pictures are items; else rows of numbers are.
    #[prop(into)]
    pictures: Signal<bool>,
    on_files: Callback<FileList>,
) -> AnyView {
    let title = derived(move || empty(pictures.get(), words));
    let hint = derived(move || if pictures.get() { words.empty_hint } else { words.empty_numbers_hint });
    view! {
        <div class="state state--drop" part="state">
            <div class="state__words"><h2 tabindex="-1">{title}</h2><p>{hint}</p></div>
            <div class="buttons"><ChooseFiles words on_files main=true /></div>
        </div>
    }
    .into_any()
}

/// Not started, or halted.
#[component]
pub fn Paused(words: &'static Words, on_start: Callback<()>) -> AnyView {
    let rest = view! { <div class="buttons"><button type="button" class="button button--main" on:click=clicked(move |_| on_start.run(()))>{words.go_on}</button></div> };
    state(words.paused.into_any(), words.paused_hint.into_any(), rest.into_any())
}

/// The title when nothing is left.
pub(super) fn finished(counts: &Progress, words: &Words) -> String {
    let n = counts.settled();
    words.counted(words.finished, n, &count(n, words))
}

/// Nothing is left.
#[component]
pub fn Finished(
    words: &'static Words,
    #[prop(into)] counts: Signal<Progress>,
    #[prop(into)] delivery: Signal<DeliveryView>,
    on_review: Callback<()>,
    on_download: Callback<()>,
) -> AnyView {
    let title = derived(move || counts.with(|counts| finished(counts, words)));
    let hint = derived(move || match delivery.with(standing).0 {
        Standing::Nothing => "\u{a0}",
        // A store that takes its time: nothing is promised of the last answers yet.
        Standing::Saved if delivery.with(|view| view.unsaved > 0) => "\u{a0}",
        Standing::Sent => words.finished_sent,
        Standing::Saved => words.finished_saved,
        Standing::Sending => words.finished_under_way,
        Standing::Unsaved => words.finished_unsaved,
        Standing::Refused | Standing::Offline | Standing::Held => words.finished_trouble,
    });
    let figure =
        move |of: fn(&Progress) -> usize| derived(move || counts.with(|counts| count(of(counts), words)));
    let none = move |of: fn(&Progress) -> usize| derived(move || counts.with(|counts| of(counts) == 0));
    let rest = view! {
        <dl class="tally">
            <div><dt>{words.by_model}</dt><dd>{figure(|c| c.accepted)}</dd></div>
            <div><dt>{words.by_you}</dt><dd>{figure(|c| c.answered)}</dd></div>
            <div hidden=none(|c| c.aside)><dt>{words.were_aside}</dt><dd>{figure(|c| c.aside)}</dd></div>
        </dl>
        <div class="buttons">
            <button type="button" class="button button--main" hidden=none(|c| c.accepted) on:click=clicked(move |_| on_review.run(()))>{words.look_through}</button>
            <button type="button" class="button" on:click=clicked(move |_| on_download.run(()))>{words.download_answers}</button>
        </div>
    };
    state(title.into_any(), hint.into_any(), rest.into_any())
}

/// What is broken, and what that means.
pub(super) fn failed(what: Broken, words: &Words) -> (&'static str, &'static str) {
    match what {
        Broken::Configuration => (words.config_error, words.config_error_hint),
        Broken::Model => (words.model_error, words.model_error_hint),
        Broken::Items => (words.items_error, words.items_error_hint),
    }
}

/// The work cannot begin: what is wrong, and what can be done.
#[component]
pub fn Failed(
    words: &'static Words,
    what: Broken,
    /// One sentence each.
    #[prop(into)]
    problems: Signal<Vec<String>>,
    on_retry: Callback<()>,
    /// `None`: there is nothing to ask about without the model.
    on_without: Option<Callback<()>>,
    on_files: Callback<FileList>,
) -> AnyView {
    let (title, hint) = failed(what, words);
    let retry = view! { <button type="button" class="button button--main" on:click=clicked(move |_| on_retry.run(()))>{words.try_again}</button> };
    let other = match what {
        Broken::Configuration => ().into_any(),
        Broken::Model => on_without.map(|on_without| {
            view! { <button type="button" class="button" on:click=clicked(move |_| on_without.run(()))>{words.without_model}</button> }.into_any()
        }).into_any(),
        Broken::Items => view! { <ChooseFiles words on_files main=false /> }.into_any(),
    };
    let lines = lazy(move || {
        problems.get().into_iter().map(|line| view! { <li>{line}</li> }.into_any()).collect::<Vec<_>>()
    });
    let rest =
        view! { <ul class="problem" tabindex="0">{lines}</ul><div class="buttons">{retry}{other}</div> };
    state(title.into_any(), hint.into_any(), rest.into_any())
}
