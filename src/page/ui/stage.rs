//! The item itself: a picture, large and clear, or a row of a table.

use std::sync::Arc;

use gloo::events::EventListener;
use leptos::html::Div;
use leptos::prelude::*;
use leptos::web_sys::HtmlImageElement;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use crate::domain::item::{Content, ImageSource, Item};
use crate::page::text::{Words, fill};

use super::figures::number;
use super::icon::{ENLARGE, icon};
use super::lean::{clicked, derived, lazy};

/// Pictures that are kept decoded: the one on screen, the next, and the one before for an undo.
const KEPT: usize = 4;

struct Picture {
    address: String,
    image: HtmlImageElement,
    failed: bool,
    /// It failed while there was no network: nothing is known of the picture.
    offline: bool,
    _failing: EventListener,
}

/// Decoded pictures, the latest last.
#[derive(Default)]
struct Album(Vec<Picture>);

type Shared = StoredValue<Album, LocalStorage>;

impl Album {
    fn find(&self, address: &str) -> Option<&Picture> {
        self.0.iter().find(|picture| picture.address == address)
    }

    /// The picture at an address, being fetched and decoded if it is new; `news` grows when something came of that.
    fn take(&mut self, address: &str, album: Shared, news: RwSignal<u32>) -> Option<HtmlImageElement> {
        // One that failed may have come back since.
        self.0.retain(|picture| picture.address != address || !picture.failed);
        if let Some(at) = self.0.iter().position(|picture| picture.address == address) {
            let picture = self.0.remove(at);
            self.0.push(picture);
        } else {
            let image: HtmlImageElement = document().create_element("img").ok()?.dyn_into().ok()?;
            image.set_class_name("stage__image");
            image.set_draggable(false);
            let lost = address.to_owned();
            let failing = EventListener::once(&image, "error", move |_| {
                album.try_update_value(|album| {
                    let lost = album.0.iter_mut().find(|picture| picture.address == lost);
                    let offline = !window().navigator().on_line();
                    lost.into_iter().for_each(|picture| (picture.failed, picture.offline) = (true, offline));
                });
                news.try_update(|news| *news += 1);
            });
            image.set_src(address);
            let decoding = image.decode();
            spawn_local(async move {
                // A picture that cannot be decoded has told so by its error event already.
                drop(JsFuture::from(decoding).await);
                news.try_update(|news| *news += 1);
            });
            let address = address.to_owned();
            self.0.push(Picture { address, image, failed: false, offline: false, _failing: failing });
            if self.0.len() > KEPT {
                self.0.remove(0);
            }
        }
        self.0.last().map(|picture| picture.image.clone())
    }
}

/// Shows one item. The next one's picture is decoded beforehand, so that it never flashes.
#[component]
pub fn Stage(
    words: &'static Words,
    /// What is asked about.
    #[prop(into)]
    item: Signal<Option<Item>>,
    /// The picture that comes next.
    #[prop(into)]
    next: Signal<Option<ImageSource>>,
    /// Names of the numbers, in order.
    #[prop(into)]
    columns: Signal<Arc<[Arc<str>]>>,
    /// Where the browser finds a picture.
    address: Callback<ImageSource, Option<String>>,
    /// The picture's width and height in pixels once it is there; `None`: it cannot be shown.
    on_seen: Callback<Option<(u32, u32)>>,
    /// The person wants to see the picture larger.
    on_enlarge: Callback<()>,
) -> AnyView {
    let news = RwSignal::new(0_u32);
    let album = StoredValue::new_local(Album::default());
    let frame = NodeRef::<Div>::new();
    let picture_of = move |item: &Item| match &item.content {
        Content::Image(source) => Some((item.id.clone(), address.run(source.clone()).unwrap_or_default())),
        Content::Numbers(_) => None,
    };
    let picture = Memo::new(move |_| item.with(|item| item.as_ref().and_then(picture_of)));
    let is_gone = move || {
        news.track();
        let failed =
            |at: &str| album.try_with_value(|album| album.find(at).is_some_and(|picture| picture.failed));
        picture
            .with(|picture| picture.as_ref().is_some_and(|(_, at)| at.is_empty() || failed(at) == Some(true)))
    };

    let online = RwSignal::new(());
    let listener = EventListener::new(&window(), "online", move |_| {
        // `Some` is what could not be set: the view is gone, and this listener with it.
        let _ = online.try_set(());
    });
    let _listener = StoredValue::new_local(listener);
    Effect::new(move |_| {
        online.track();
        let (Some(frame), Some((id, at))) = (frame.get(), picture.get()) else { return };
        if let Some(image) = album.try_update_value(|pictures| pictures.take(&at, album, news)).flatten() {
            image.set_alt(&fill(words.picture_of, &[("id", &id)]));
            frame.replace_children_with_node_1(&image);
        }
    });
    Effect::new(move |_| {
        if let Some(at) = next.get().and_then(|next| address.run(next)) {
            album.try_update_value(|pictures| pictures.take(&at, album, news));
        }
    });
    Effect::new(move |_| {
        let gone = is_gone();
        let Some((_, at)) = picture.get() else { return };
        let size = album.try_with_value(|album| {
            let image = &album.find(&at)?.image;
            Some((image.natural_width(), image.natural_height())).filter(|(width, _)| *width > 0)
        });
        let size = size.flatten();
        let offline = album.try_with_value(|album| album.find(&at).is_some_and(|picture| picture.offline));
        if gone && offline != Some(true) || size.is_some() {
            on_seen.run(size.filter(|_| !gone));
        }
    });

    view! {
        <div class="stage" part="stage">
            <button type="button" class="stage__open" aria-label=words.enlarge hidden=derived(move || picture.with(Option::is_none) || is_gone()) on:click=clicked(move |_| on_enlarge.run(()))>
                <div node_ref=frame class="stage__frame"></div>
                <span class="stage__hint">{icon(ENLARGE, false)}</span>
            </button>
            <p class="stage__missing" hidden=derived(move || !is_gone())>{words.picture_gone}</p>
            <div class="scroll" tabindex="0" role="group" aria-label=derived(move || item.with(|item| item.as_ref().map(|item| fill(words.item, &[("id", &item.id)]))))
                hidden=derived(move || picture.with(Option::is_some))>
                <table class="numbers"><tbody>{lazy(move || rows(item, columns, words))}</tbody></table>
            </div>
        </div>
    }
    .into_any()
}

fn rows(item: Signal<Option<Item>>, columns: Signal<Arc<[Arc<str>]>>, words: &'static Words) -> Vec<AnyView> {
    let Some(Item { content: Content::Numbers(numbers), .. }) = item.get() else { return Vec::new() };
    let columns = columns.get();
    numbers
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let name = columns.get(i).map_or_else(|| (i + 1).to_string(), ToString::to_string);
            let figure = number(*n, words);
            view! { <tr><th scope="row">{name}</th><td>{figure}</td></tr> }.into_any()
        })
        .collect()
}
