//! The last answer, confirmed in one quiet line; with what the model had thought, where that is told after the answer.

use leptos::prelude::*;

use crate::domain::label::LabelSet;
use crate::domain::session::Answered;
use crate::page::text::{Words, fill};

use super::figures::percent;
use super::lean::derived;

/// One line that keeps its room while there is nothing to say.
#[component]
pub fn Last(
    words: &'static Words,
    #[prop(into)] labels: Signal<LabelSet>,
    #[prop(into)] answered: Signal<Option<Answered>>,
) -> AnyView {
    view! { <p class="last">{derived(move || answered.get().map(|last| labels.with(|labels| line(&last, labels, words))))}</p> }
        .into_any()
}

fn line(last: &Answered, labels: &LabelSet, words: &Words) -> String {
    let label = labels.get(last.label).map_or("", |label| &*label.name);
    let Some(said) = &last.prediction else { return fill(words.last_answer, &[("label", label)]) };
    let theirs = labels.find(&said.label);
    let thought = theirs.and_then(|id| labels.get(id)).map_or("", |label| &*label.name);
    let p = percent(f64::from(said.confidence), words);
    let template = if theirs == Some(last.label) { words.last_agreed } else { words.last_thought };
    fill(template, &[("label", label), ("thought", thought), ("p", &p)])
}
