//! What can be done besides answering: undo, skip, flag, a note, and the list of keys.

use leptos::html::Div;
use leptos::prelude::*;

use crate::page::keys::composing;
use crate::page::text::Words;

use super::figures::cap;
use super::focus::{HEADING, focus};
use super::icon::{FLAG, KEYBOARD, PENCIL, SKIP, UNDO, icon};
use super::lean::{clicked, derived, pressed};

/// Keys of the tools; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Named like the tools.
pub struct ToolKeys {
    pub undo: String,
    pub skip: String,
    pub flag: String,
    pub note: String,
    pub help: String,
}

/// The band at the foot; its room stays while there is no question.
///
/// A tool that has nothing to do is marked so, not disabled: it would lose the focus, and the keys with it.
#[component]
pub fn Tools(
    words: &'static Words,
    #[prop(into)] keys: Signal<ToolKeys>,
    /// Whether there is a question on screen.
    #[prop(into)]
    asking: Signal<bool>,
    #[prop(into)] can_undo: Signal<bool>,
    #[prop(into)] flagged: Signal<bool>,
    #[prop(into)] note: Signal<String>,
    /// Grows when the field is to get the focus.
    #[prop(into)]
    wanted: Signal<u32>,
    /// Around the question and this.
    frame: NodeRef<Div>,
    on_undo: Callback<()>,
    on_skip: Callback<()>,
    on_flag: Callback<bool>,
    on_note: Callback<String>,
    on_help: Callback<()>,
) -> AnyView {
    let writing = RwSignal::new(false);
    let key = move |of: fn(&ToolKeys) -> &String| {
        let cap = derived(move || keys.with(|keys| cap(of(keys), words)));
        view! { <kbd class="key" aria-hidden="true" hidden=derived(move || cap.with(String::is_empty))>{cap}</kbd> }
            .into_any()
    };
    let idle = derived(move || (!asking.get()).to_string());
    let write = move || {
        if !asking.get_untracked() {
            return;
        }
        writing.set(true);
        // The field is on screen only after the next frame's layout; from then on the focus keeps it there.
        request_animation_frame(move || {
            focus(frame, ".note .field");
            writing.set(false);
        });
    };
    Effect::new(move |before: Option<u32>| {
        let now = wanted.get();
        if before.is_some_and(|before| before != now) {
            write();
        }
        now
    });
    // Leaving the field keeps the note (its change event), and gives the keys back to the answers.
    let written = move || {
        focus(frame, HEADING);
    };
    let leave = pressed(move |event| {
        if matches!(event.key().as_str(), "Enter" | "Escape") && !composing(&event) {
            event.prevent_default();
            event.stop_propagation();
            written();
        }
    });
    view! {
        <div class="foot" part="tools" data-writing=derived(move || writing.get().to_string())>
            <button type="button" class="tool" aria-disabled=derived(move || (!can_undo.get()).to_string()) on:click=clicked(move |_| if can_undo.get_untracked() { on_undo.run(()) })>
                {icon(UNDO, true)}{words.undo}{key(|keys| &keys.undo)}
            </button>
            <button type="button" class="tool" aria-disabled=idle on:click=clicked(move |_| if asking.get_untracked() { on_skip.run(()) })>
                {icon(SKIP, true)}{words.skip}{key(|keys| &keys.skip)}
            </button>
            <button type="button" class="tool" aria-disabled=idle aria-pressed=derived(move || flagged.get().to_string())
                on:click=clicked(move |_| if asking.get_untracked() { on_flag.run(!flagged.get_untracked()) })>
                {icon(FLAG, false)}{words.flag}{key(|keys| &keys.flag)}
            </button>
            <div class="note">
                <span class="note__box">
                    <input class="field" type="text" autocomplete="off" maxlength="2000"
                        aria-label=words.note placeholder=words.add_note disabled=derived(move || !asking.get()) prop:value=note
                        on:keydown=leave on:input=move |event| on_note.run(event_target_value(&event)) />
                    {key(|keys| &keys.note)}
                </span>
                <button type="button" class="button note__done" on:mousedown=|event| event.prevent_default() on:click=clicked(move |_| written())>{words.done}</button>
            </div>
            <button type="button" class="tool tool--note" aria-disabled=idle on:click=clicked(move |_| write())>{icon(PENCIL, false)}{words.note}</button>
            <button type="button" class="tool tool--end" aria-label=words.keys aria-haspopup="dialog" on:click=clicked(move |_| on_help.run(()))>
                {icon(KEYBOARD, false)}<span class="tool__word">{words.keys}</span>{key(|keys| &keys.help)}
            </button>
        </div>
    }
    .into_any()
}
