//! How far the work is: who settled how much, how fast it goes, how long it takes.

use leptos::prelude::*;

use crate::domain::decimal::shortest;
use crate::domain::progress::Progress as Counts;
use crate::page::text::Words;

use super::figures::{count, pace, percent};
use super::lean::derived;

/// A bar and one line of words.
#[component]
pub fn Progress(
    words: &'static Words,
    #[prop(into)] counts: Signal<Counts>,
    #[prop(into)] seconds_per_answer: Signal<Option<f64>>,
    /// Where the promise stands, in a few words; empty without one.
    #[prop(into)]
    promise: Signal<String>,
    /// How much of the evidence is there, 0 to 1.
    #[prop(into)]
    evidence: Signal<f64>,
) -> AnyView {
    let part = move |of: fn(&Counts) -> usize| derived(move || counts.with(|counts| of(counts).to_string()));
    let figure =
        move |of: fn(&Counts) -> usize| derived(move || counts.with(|counts| count(of(counts), words)));
    let share =
        derived(move || counts.with(|c| c.share_by_model().map(|p| format!(", {}", percent(p, words)))));
    let reading = derived(move || counts.with(|counts| counts.predicting == 0));
    view! {
        <div class="progress" part="progress" role="group" aria-label=words.progress>
            <div class="progress__bar" aria-hidden="true">
                <span class="progress__model" style:flex-grow=part(|c| c.accepted)></span>
                <span class="progress__person" style:flex-grow=part(|c| c.answered)></span>
                <span class="progress__aside" style:flex-grow=part(|c| c.aside)></span>
                <span style:flex-grow=part(|c| (c.waiting + c.predicting).max(usize::from(c.arrived == 0)))></span>
            </div>
            <div class="progress__words">
                <ul class="progress__counts">
                    <li><i class="swatch progress__model"></i><span><b>{figure(|c| c.accepted)}</b>" "{words.by_model}<span class="progress__percent">{share}</span></span></li>
                    <li><i class="swatch progress__person"></i><span><b>{figure(|c| c.answered)}</b>" "{words.by_you}</span></li>
                    <li><i class="swatch swatch--open"></i><span><b>{figure(|c| c.waiting)}</b>" "{words.waiting}</span></li>
                    <li hidden=reading><span><b>{figure(|c| c.predicting)}</b>" "{words.being_read}</span></li>
                </ul>
                <span class="progress__promise" hidden=derived(move || promise.with(String::is_empty))>
                    <i class="gauge" aria-hidden="true"><i style:inline-size=derived(move || shortest(evidence.get() * 100.0) + "%")></i></i>{promise}
                </span>
                <span class="progress__pace">{derived(move || pace(seconds_per_answer.get(), counts.with(|c| c.waiting), words))}</span>
            </div>
        </div>
    }
    .into_any()
}
