//! One card, one question: the item on one side, what is asked of it on the other.

use std::sync::Arc;

use leptos::html::Input;
use leptos::prelude::*;

use crate::domain::item::{ImageSource, Item};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::session::{Answered, Question};
use crate::page::keys::composing;
use crate::page::text::Words;

use super::choices::Choices;
use super::icon::{BACK, icon};
use super::last::Last;
use super::lean::{clicked, derived, lazy, pressed};
use super::stage::Stage;

/// Everything about one question; the elements stay the same from question to question.
#[component]
pub fn Card(
    words: &'static Words,
    #[prop(into)] question: Signal<Option<Question>>,
    /// The picture that comes next.
    #[prop(into)]
    next: Signal<Option<ImageSource>>,
    #[prop(into)] labels: Signal<LabelSet>,
    #[prop(into)] columns: Signal<Arc<[Arc<str>]>>,
    /// Where the browser finds a picture.
    address: Callback<ImageSource, Option<String>>,
    /// Keys by label.
    #[prop(into)]
    keys: Signal<Arc<[Arc<str>]>>,
    /// What is asked of every item.
    #[prop(into)]
    task: Signal<Arc<str>>,
    /// Why it is asked of this one.
    #[prop(into)]
    reason: Signal<String>,
    #[prop(into)] last: Signal<Option<Answered>>,
    /// Whether the item was opened from a list, to which one can go back.
    #[prop(into)]
    looking: Signal<bool>,
    /// Whether answers may be added to those that there are.
    #[prop(into)]
    open: Signal<bool>,
    on_add: Callback<String>,
    on_answer: Callback<LabelId>,
    on_back: Callback<()>,
    on_enlarge: Callback<()>,
    /// The picture's size in pixels once it is there; `None`: it cannot be shown.
    on_seen: Callback<Option<(u32, u32)>>,
) -> AnyView {
    let item: Signal<Option<Item>> =
        Memo::new(move |_| question.with(|q| q.as_ref().map(|q| q.item.clone()))).into();
    let suggestion = derived(move || question.with(|q| q.as_ref().and_then(|q| q.suggestion)));
    let present = derived(move || question.with(|q| q.as_ref().and_then(|q| q.present)));
    let field = NodeRef::<Input>::new();
    view! {
        <article class="card" part="card">
            <Stage words item next columns address on_seen on_enlarge />
            <div class="ask">
                <h2 class="ask__question" tabindex="-1">{task}</h2>
                <p class="ask__reason">{reason}</p>
                <Choices words labels keys suggestion present on_answer field />
                {lazy(move || open.get().then(|| add(words, on_add)))}
                <div class="ask__foot">
                    <button type="button" class="button" hidden=derived(move || !looking.get()) on:click=clicked(move |_| on_back.run(()))>{icon(BACK, true)}{words.back}</button>
                    <div hidden=looking><Last words labels answered=last /></div>
                </div>
            </div>
        </article>
    }
    .into_any()
}

/// A field for one more answer.
fn add(words: &'static Words, on_add: Callback<String>) -> AnyView {
    let field = NodeRef::<Input>::new();
    let submit = move || {
        if let Some(field) = field.get_untracked().filter(|field| !field.value().trim().is_empty()) {
            on_add.run(field.value());
            field.set_value("");
        }
    };
    let pressed = pressed(move |event| {
        // Keys in here are letters of a name, never answers.
        event.stop_propagation();
        if event.key() == "Enter" && !composing(&event) {
            event.prevent_default();
            submit();
        }
    });
    view! {
        <div class="add">
            <input node_ref=field class="field" type="text" maxlength="200" autocomplete="off" aria-label=words.add_label placeholder=words.add_label on:keydown=pressed />
            <button type="button" class="button" on:click=clicked(move |_| submit())>{words.add}</button>
        </div>
    }
    .into_any()
}
