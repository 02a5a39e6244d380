//! One picture on its own, as large as one likes; small ones with their true pixels.

use std::sync::Arc;

use leptos::html::{Dialog, Div, Img};
use leptos::prelude::*;

use crate::page::text::{Words, fill};

use super::figures::percent;
use super::focus::modal;
use super::icon::{CLOSE, LARGER, SMALLER, icon};
use super::lean::{clicked, derived};

/// Sizes in per cent of the window.
const LEVELS: [u32; 7] = [100, 150, 200, 300, 400, 600, 800];

/// Pictures with fewer pixels a side are enlarged without smoothing.
const SMALL: u32 = 256;

/// A dialog that is open while `picture` is something: an item's id and its picture's address.
#[component]
pub fn Zoom(
    words: &'static Words,
    #[prop(into)] picture: Signal<Option<(Arc<str>, String)>>,
    on_close: Callback<()>,
) -> AnyView {
    let (dialog, room, image) = (NodeRef::<Dialog>::new(), NodeRef::<Div>::new(), NodeRef::<Img>::new());
    let level = RwSignal::new(0_usize);
    let small = RwSignal::new(false);

    let open = move || {
        // Each picture is whole at first.
        level.set(0);
        picture.with(Option::is_some)
    };
    modal(dialog, derived(open));

    let change = move |by: isize| {
        let before = LEVELS[level.get_untracked()];
        level.update(|level| *level = level.saturating_add_signed(by).min(LEVELS.len() - 1));
        let ratio = f64::from(LEVELS[level.get_untracked()]) / f64::from(before);
        // What was in the middle stays there; the new size is known after the next frame's layout.
        request_animation_frame(move || {
            let Some(room) = room.try_get_untracked().flatten() else { return };
            let (width, height) =
                (f64::from(room.client_width()) / 2.0, f64::from(room.client_height()) / 2.0);
            let (x, y) = (f64::from(room.scroll_left()), f64::from(room.scroll_top()));
            #[allow(clippy::cast_possible_truncation)]
            {
                room.set_scroll_left(((x + width) * ratio - width) as i32);
                room.set_scroll_top(((y + height) * ratio - height) as i32);
            }
        });
    };
    let loaded = move |_| small.set(image.get_untracked().is_some_and(|img| img.natural_width() < SMALL));

    view! {
        <dialog node_ref=dialog class="zoom" aria-labelledby="zoom-name" on:close=move |_| on_close.run(())>
            <div class="dialog__head">
                <h2 id="zoom-name">{derived(move || picture.with(|p| p.as_ref().map(|(id, _)| fill(words.item, &[("id", id)]))))}</h2>
                <div class="zoom__tools">
                    <button type="button" class="icon" aria-label=words.smaller aria-disabled=derived(move || (level.get() == 0).to_string()) on:click=clicked(move |_| change(-1))>{icon(SMALLER, false)}</button>
                    <span class="zoom__level" role="status">{derived(move || percent(f64::from(LEVELS[level.get()]) / 100.0, words))}</span>
                    <button type="button" class="icon" aria-label=words.larger aria-disabled=derived(move || (level.get() + 1 == LEVELS.len()).to_string()) on:click=clicked(move |_| change(1))>{icon(LARGER, false)}</button>
                    <button type="button" class="icon" aria-label=words.close on:click=clicked(move |_| on_close.run(()))>{icon(CLOSE, false)}</button>
                </div>
            </div>
            <div node_ref=room class="zoom__room" dir="ltr" tabindex="0" style:--level=derived(move || format!("{}%", LEVELS[level.get()]))>
                <img node_ref=image data-small=derived(move || small.get().to_string()) on:load=loaded
                    src=derived(move || picture.with(|p| p.as_ref().map(|(_, at)| at.clone())))
                    alt=derived(move || picture.with(|p| p.as_ref().map(|(id, _)| fill(words.picture_of, &[("id", id)])))) />
            </div>
        </dialog>
    }
    .into_any()
}
