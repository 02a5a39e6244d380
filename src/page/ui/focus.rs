//! Where the keyboard's focus goes: single keys act from inside the element only, so it must not fall out of it.

use leptos::html::{Dialog, Div};
use leptos::prelude::*;
use leptos::web_sys::{Element, FocusOptions, HtmlElement, ShadowRoot};
use wasm_bindgen::JsCast;

/// The heading of what is on screen: where the focus rests when it has nowhere else to be.
pub(super) const HEADING: &str = "h2[tabindex]";

fn find(frame: NodeRef<Div>, selector: &str) -> Option<HtmlElement> {
    // By the next frame the element may have been removed.
    let frame = frame.try_get_untracked().flatten()?;
    frame.query_selector(selector).ok().flatten()?.dyn_into().ok()
}

/// Whether the focus is here or nowhere: from a field of the host page it is not to be taken, or what is typed there
/// would be answers.
fn is_free(frame: NodeRef<Div>) -> bool {
    let Some(frame) = frame.try_get_untracked().flatten() else { return false };
    let host = frame.get_root_node().dyn_into::<ShadowRoot>().ok().map(|root| root.host());
    let is_host = |element: &Element| Some(element) == host.as_ref();
    let mut active = document().active_element();
    // Of what is in a shadow the browser names the outermost host.
    while let Some(outer) = active.as_ref().filter(|active| !is_host(active))
        && let Some(inner) = outer.shadow_root().and_then(|root| root.active_element())
    {
        active = Some(inner);
    }
    // The body stands for nobody.
    let body = document().body().map(Element::from);
    active.is_none_or(|active| {
        is_host(&active) || Some(&active) == body.as_ref() || frame.contains(Some(&active))
    })
}

/// Gives the focus to what `selector` finds; `false` if there is nothing.
pub(super) fn focus(frame: NodeRef<Div>, selector: &str) -> bool {
    let Some(found) = find(frame, selector) else { return false };
    let how = FocusOptions::new();
    // It is not to move the page while the person works.
    how.set_prevent_scroll(selector == HEADING);
    // What cannot have the focus leaves it where it is.
    let _ = found.focus_with_options(&how);
    true
}

/// The same once what is being shown is laid out. The heading gets the focus only if nothing on screen has it.
pub(super) fn focus_soon(frame: NodeRef<Div>, selector: &'static str) {
    request_animation_frame(move || {
        // What is hidden has no width, even where the browser still counts the focus as its own.
        let held = || find(frame, ":focus").is_some_and(|held| held.client_width() > 0);
        if selector != HEADING || !held() && is_free(frame) {
            focus(frame, selector);
        }
    });
}

/// Called before something goes: if the focus goes with it, the heading gets it.
///
/// Nothing is heard of it otherwise: browsers differ in when they tell that the focus is lost.
pub(super) fn keep_focus(frame: NodeRef<Div>) {
    if find(frame, ":focus").is_some() {
        focus_soon(frame, HEADING);
    }
}

/// Keeps a dialog open for as long as `open` is true.
pub(super) fn modal(dialog: NodeRef<Dialog>, open: Signal<bool>) {
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if open.get() {
            // Only fails when it is open already.
            let _ = dialog.show_modal();
        } else if dialog.open() {
            dialog.close();
        }
    });
}
