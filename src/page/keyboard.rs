//! Listens to the keyboard: only while the element has the focus or the pointer in it, and never while
//! something is being written or operated.

use std::cell::Cell;
use std::rc::Rc;

use gloo::events::{EventListener, EventListenerOptions};
use wasm_bindgen::JsCast;
use web_sys::{Document, Element, HtmlElement, KeyboardEvent};

use super::desk::{Desk, Panel};
use super::keys::{Deed, is_foreign};
use crate::domain::correction::Role;
use crate::domain::session::{Notice, Phase, Why};
use leptos::prelude::*;

/// Holds the listeners; dropping it gives them back.
pub struct Keyboard {
    _listeners: Vec<EventListener>,
}

impl Keyboard {
    /// Listens on behalf of the element `host`.
    #[must_use]
    pub fn new(document: &Document, host: &HtmlElement, desk: Desk) -> Self {
        let inside = Rc::new(Cell::new(false));
        let pointer = |kind: &'static str, now_inside: bool| {
            let inside = inside.clone();
            EventListener::new(host, kind, move |_| inside.set(now_inside))
        };
        let (enter, leave) = (pointer("pointerenter", true), pointer("pointerleave", false));
        let element: Element = host.clone().into();
        let options = EventListenerOptions::enable_prevent_default();
        let keys = EventListener::new_with_options(document, "keydown", options, move |event| {
            let Some(event) = event.dyn_ref::<KeyboardEvent>() else { return };
            if let Some(deed) = deed_of(event, &element, inside.get(), desk)
                && act(deed, desk)
            {
                event.prevent_default();
            }
        });
        Self { _listeners: vec![enter, leave, keys] }
    }
}

fn deed_of(event: &KeyboardEvent, host: &Element, pointer_inside: bool, desk: Desk) -> Option<Deed> {
    if event.default_prevented() || is_foreign(event) || event.repeat() {
        return None;
    }
    let path = event.composed_path();
    let focused_inside = path.includes(host, 0);
    let target = path.get(0);
    let target = target.dyn_ref::<Element>();
    if !(focused_inside || pointer_inside && target.is_none_or(nothing_special)) {
        return None;
    }
    let keys = desk.keys.get_untracked();
    let deed = keys.deed(&event.key())?;
    let writing = target.is_some_and(is_written_in);
    // A button or link under the focus keeps its own keys.
    let operated = matches!(event.key().as_str(), "Enter" | " ") && target.is_some_and(is_operated);
    // Leaving and the help work even with the keys switched off: a person must find the switch again.
    let always = matches!(deed, Deed::Close) || deed == Deed::Help && !writing;
    ((keys.enabled && !writing && !operated) || always).then_some(deed)
}

fn nothing_special(target: &Element) -> bool {
    matches!(target.tag_name().as_str(), "BODY" | "HTML")
}

fn is_written_in(target: &Element) -> bool {
    let editable = target.dyn_ref::<HtmlElement>().is_some_and(HtmlElement::is_content_editable);
    editable || matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
}

fn is_operated(target: &Element) -> bool {
    matches!(target.tag_name().as_str(), "BUTTON" | "A" | "SUMMARY")
}

/// Does it; `false` if it means nothing at this moment.
fn act(deed: Deed, desk: Desk) -> bool {
    let help = desk.help.get_untracked();
    let panel = desk.panel.get_untracked() != Panel::None;
    if deed == Deed::Help {
        desk.help.set(!help);
        return true;
    }
    if deed == Deed::Close {
        let zoomed = desk.zoomed.get_untracked();
        // An item that was opened from a list, not a question that waits for an answer.
        let looking = desk.question.with_untracked(|question| {
            question.as_ref().is_some_and(|q| q.role == Role::Review || matches!(q.why, Why::SetAside(_)))
        });
        if help {
            desk.help.set(false);
        } else if zoomed {
            desk.zoomed.set(false);
        } else if panel {
            desk.panel.set(Panel::None);
        } else if looking {
            desk.notice(Notice::Closed);
        }
        return help || zoomed || panel || looking;
    }
    if help || panel {
        return false;
    }
    if deed == Deed::Undo {
        let any = desk.undo_depth.get_untracked() > 0;
        if any {
            desk.notice(Notice::Undone);
        }
        return any;
    }
    if desk.phase.get_untracked() != Phase::Asking {
        return false;
    }
    let Some(question) = desk.question.get_untracked() else { return false };
    match deed {
        Deed::Answer(label) => desk.notice(Notice::Answered(label)),
        Deed::AnswerSuggested => match question.suggestion {
            Some(suggestion) => desk.notice(Notice::Answered(suggestion.label())),
            None => return false,
        },
        Deed::Skip => desk.notice(Notice::Skipped),
        Deed::Flag => desk.notice(Notice::Flagged(!question.flagged)),
        Deed::Note => {
            // Nothing behind the picture can take the focus.
            desk.zoomed.set(false);
            desk.note_wanted.update(|wanted| *wanted += 1);
        }
        Deed::Zoom => desk.zoomed.set(!desk.zoomed.get_untracked()),
        Deed::Undo | Deed::Help | Deed::Close => return false,
    }
    true
}
