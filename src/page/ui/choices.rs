//! The answers: one button a label with its key; for many labels a field that narrows them down.

use std::sync::Arc;

use leptos::html::{Div, Input};
use leptos::prelude::*;
use leptos::web_sys;

use crate::domain::decimal::shortest;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::prediction::Prediction;
use crate::page::keys::composing;
use crate::page::text::{Words, fill, lower};

use super::figures::{cap, count, percent};
use super::lean::{clicked, derived, lazy, pressed};

/// More labels than this are looked for, not looked at.
pub const MANY: usize = 24;

/// A name of more bytes may be cut on its button, and is shown whole under the pointer.
const LONG: usize = 24;

/// Most rows in the list of found labels: more would not be read.
const ROWS: usize = 50;

/// Label buttons for one question.
///
/// The buttons stay the same elements from one question to the next, so that the keyboard's focus stays, too.
#[component]
pub fn Choices(
    words: &'static Words,
    #[prop(into)] labels: Signal<LabelSet>,
    /// Keys by label, empty where a label has none.
    #[prop(into)]
    keys: Signal<Arc<[Arc<str>]>>,
    /// What the model thinks, if the person is to see it.
    #[prop(into)]
    suggestion: Signal<Option<Prediction>>,
    /// The answer in force, when something settled is looked at.
    #[prop(into)]
    present: Signal<Option<LabelId>>,
    on_answer: Callback<LabelId>,
    /// Where to put the field that finds a label.
    field: NodeRef<Input>,
) -> AnyView {
    let many = Memo::new(move |_| labels.with(LabelSet::len) > MANY);
    let each = Each { words, labels, keys, suggestion, present, on_answer };
    lazy(move || if many.get() { found(each, field) } else { all(each) }).into_any()
}

#[derive(Clone, Copy)]
struct Each {
    words: &'static Words,
    labels: Signal<LabelSet>,
    keys: Signal<Arc<[Arc<str>]>>,
    suggestion: Signal<Option<Prediction>>,
    present: Signal<Option<LabelId>>,
    on_answer: Callback<LabelId>,
}

impl Each {
    fn name(self, id: LabelId) -> Arc<str> {
        self.labels.with(|labels| labels.get(id).map_or_else(|| "".into(), |label| label.name.clone()))
    }

    fn key(self, id: LabelId) -> Option<String> {
        self.keys
            .with(|keys| keys.get(usize::from(id.0)).filter(|key| !key.is_empty()).map(ToString::to_string))
    }

    /// What the model gives the label, if that is to be seen and worth a bar.
    fn share(self, id: LabelId) -> Option<f64> {
        let said = self.suggestion.get()?;
        let share = said.top().iter().find(|(label, _)| *label == id)?.1;
        (share >= 0.01).then(|| f64::from(share))
    }

    fn inside(self, id: LabelId) -> AnyView {
        let bar = move || self.share(id).map(|p| shortest(p * 100.0) + "%");
        let name = self.name(id);
        let whole = (name.len() > LONG).then(|| name.to_string());
        view! {
            <bdi class="choice__name" title=whole>{name}</bdi>
            <span class="choice__share">{derived(move || self.share(id).map(|p| percent(p, self.words)))}</span>
            <span class="choice__bar" style:inline-size=derived(move || bar().unwrap_or_else(|| "0".to_owned()))></span>
        }
        .into_any()
    }
}

fn all(each: Each) -> AnyView {
    let ids = each.labels.with(|labels| labels.iter().map(|(id, _)| id).collect::<Vec<_>>());
    let buttons = ids.into_iter().map(|id| {
        let key = derived(move || each.key(id));
        let shown = derived(move || key.get().map(|key| cap(&key, each.words)));
        // A key that is held down on a button presses it once.
        let once = pressed(|event| {
            if event.repeat() && matches!(event.key().as_str(), "Enter" | " ") {
                event.prevent_default();
            }
        });
        view! {
            <button type="button" class="choice" part="choice" aria-keyshortcuts=key
                aria-pressed=derived(move || each.present.get().map(|present| (present == id).to_string()))
                on:keydown=once on:click=clicked(move |_| each.on_answer.run(id))>
                <kbd class="key" aria-hidden="true" hidden=derived(move || key.with(Option::is_none))>{shown}</kbd>
                {each.inside(id)}
            </button>
        }
        .into_any()
    });
    view! { <div class="choices" role="group" aria-label=each.words.answers>{buttons.collect::<Vec<_>>()}</div> }.into_any()
}

/// A letter or digit, near enough for the beginning of a word: the whole truth would be a large table.
fn is_letter(c: char) -> bool {
    let sign = matches!(c, '\u{80}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}');
    c.is_ascii_alphanumeric() || !(c.is_ascii() || sign)
}

/// Labels that have every word of `text` in their name: first those of which a word begins so.
fn matching(labels: &LabelSet, lower: &[String], text: &str, first: &[LabelId]) -> Vec<LabelId> {
    let wanted = crate::page::text::lower(text.trim());
    if wanted.is_empty() {
        let rest = labels.iter().map(|(id, _)| id).filter(|id| !first.contains(id));
        return first.iter().copied().chain(rest).take(ROWS).collect();
    }
    let begins = |name: &str| {
        name.match_indices(&*wanted).any(|(at, _)| !name[..at].chars().next_back().is_some_and(is_letter))
    };
    let inside = |name: &str| wanted.split_whitespace().all(|word| name.contains(word));
    let ranked = |rank: u8| {
        labels.iter().map(|(id, _)| id).filter(move |id| {
            let name = &lower[usize::from(id.0)];
            match (rank, begins(name)) {
                (0, begins) => begins,
                (_, begins) => !begins && inside(name),
            }
        })
    };
    ranked(0).chain(ranked(1)).take(ROWS).collect()
}

fn found(each: Each, field: NodeRef<Input>) -> AnyView {
    let words = each.words;
    let lower: Vec<String> = each.labels.with(|l| l.iter().map(|(_, label)| lower(&label.name)).collect());
    let lower = StoredValue::new(lower);
    let text = RwSignal::new(String::new());
    let at = RwSignal::new(0_usize);
    // The labels that were used last stand first: runs of the same label are common.
    let used = RwSignal::new(Vec::<LabelId>::new());
    let list = NodeRef::<Div>::new();
    let rows = Memo::new(move |_| {
        let mut first: Vec<LabelId> = each
            .suggestion
            .with(|s| s.iter().flat_map(|s| s.top().iter().map(|(label, _)| *label)).collect());
        used.with(|used| {
            used.iter().for_each(|id| {
                if !first.contains(id) {
                    first.push(*id)
                }
            })
        });
        each.labels
            .with(|labels| lower.with_value(|lower| text.with(|text| matching(labels, lower, text, &first))))
    });
    let answer = move |id: LabelId| {
        text.set(String::new());
        at.set(0);
        used.update(|used| {
            used.retain(|old| *old != id);
            used.insert(0, id);
            used.truncate(8);
        });
        each.on_answer.run(id);
    };
    let go = move |by: isize| {
        let count = rows.with(Vec::len);
        at.update(|at| *at = at.saturating_add_signed(by).min(count.saturating_sub(1)));
        let row = list
            .get_untracked()
            .and_then(|list| list.children().item(u32::try_from(at.get_untracked()).ok()?));
        if let Some(row) = row {
            let nearest = web_sys::ScrollIntoViewOptions::new();
            nearest.set_block(web_sys::ScrollLogicalPosition::Nearest);
            row.scroll_into_view_with_scroll_into_view_options(&nearest);
        }
    };
    let pressed = pressed(move |event| {
        match event.key().as_str() {
            _ if composing(&event) => return,
            "ArrowDown" => go(1),
            "ArrowUp" => go(-1),
            // A key that is held down answers once.
            "Enter" if event.repeat() => {}
            "Enter" => {
                if let Some(id) = rows.with_untracked(|rows| rows.get(at.get_untracked()).copied()) {
                    answer(id);
                }
            }
            "Escape" if !text.with_untracked(String::is_empty) => text.set(String::new()),
            _ => return,
        }
        event.prevent_default();
        event.stop_propagation();
    });
    let row = move |(place, id): (usize, LabelId)| {
        let next = derived(move || (at.get() == place).to_string());
        let key = each.key(id).map(|key| cap(&key, words)).unwrap_or_default();
        view! {
            <button type="button" class="choice" part="choice" role="option" tabindex="-1" id=format!("found-{place}")
                aria-selected=next data-next=next on:click=clicked(move |_| answer(id))
                // The field keeps the focus, so that the next label can be written at once.
                on:mousedown=|event| event.prevent_default()>
                {(!key.is_empty()).then(|| view! { <kbd class="key" aria-hidden="true">{key}</kbd> }.into_any())}
                {each.inside(id)}
            </button>
        }
        .into_any()
    };
    let size = count(each.labels.with(LabelSet::len), words);
    let placeholder = fill(words.find_label, &[("n", &size)]);
    view! {
        <div class="filter">
            <input node_ref=field class="field" type="text" role="combobox" aria-expanded="true" aria-controls="found" aria-autocomplete="list"
                autocomplete="off" autocapitalize="off" spellcheck="false"
                aria-label=placeholder.clone() placeholder=placeholder
                aria-activedescendant=derived(move || rows.with(|rows| (!rows.is_empty()).then(|| format!("found-{}", at.get()))))
                prop:value=derived(move || text.get()) on:keydown=pressed
                on:input=move |event| { text.set(event_target_value(&event)); at.set(0); } />
            <kbd class="key" aria-hidden="true" hidden=derived(move || !text.with(String::is_empty))>"/"</kbd>
        </div>
        <div node_ref=list id="found" class="choices choices--many" role="listbox" aria-label=words.answers>
            {lazy(move || rows.get().into_iter().enumerate().map(row).collect::<Vec<_>>())}
        </div>
        <p class="choices__none" hidden=derived(move || rows.with(|rows| !rows.is_empty()))>
            {derived(move || fill(words.no_label, &[("text", &text.get())]))}
        </p>
    }
    .into_any()
}
