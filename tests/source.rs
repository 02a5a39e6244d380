//! Items from an address, from the page's own iterables and from files, in a real browser.
#![cfg(all(target_arch = "wasm32", feature = "page"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;
use std::rc::Rc;

use hitl_labeler::domain::item::{Content, ImageSource};
use hitl_labeler::page::source::{Batch, Held, SourceError, files, iterate, stream};
use hitl_labeler::wire::items::StreamError;
use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{AbortController, Blob, Url};

wasm_bindgen_test_configure!(run_in_browser);

fn js(body: &str) -> JsValue {
    Function::new_no_args(body).call0(&JsValue::NULL).unwrap()
}

/// What came, batch by batch.
#[derive(Clone, Default)]
struct Came(Rc<RefCell<Vec<Batch>>>);

impl Came {
    fn take(&self) -> impl FnMut(Batch) + 'static {
        let came = self.0.clone();
        move |batch| came.borrow_mut().push(batch)
    }

    fn ids(&self) -> Vec<String> {
        let id = |item: &Result<_, _>| match item {
            Ok(hitl_labeler::domain::item::Item { id, .. }) => id.to_string(),
            Err(hitl_labeler::domain::item::Aside { id, .. }) => format!("!{id}"),
        };
        self.0.borrow().iter().flatten().map(id).collect()
    }

    fn contents(&self) -> Vec<Content> {
        self.0.borrow().iter().flatten().flatten().map(|item| item.content.clone()).collect()
    }
}

fn address_of(text: &str) -> String {
    let blob = Blob::new_with_str_sequence(&Array::of1(&text.into())).unwrap();
    Url::create_object_url_with_blob(&blob).unwrap()
}

async fn sleep(ms: i32) {
    let slept = Promise::new(&mut |resolve, _| {
        web_sys::window()
            .unwrap()
            .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms)
            .unwrap();
    });
    JsFuture::from(slept).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_hundred_thousand_items_come_in_slices_that_leave_the_page_its_turn() {
    let lines: String = (0..100_000).map(|i| format!("{{\"id\":{i},\"numbers\":[{i},1]}}\n")).collect();
    let (came, stop) = (Came::default(), AbortController::new().unwrap());
    // The longest time in which a task of the page's did not get its turn.
    let watch = js("const seen = {worst: 0, last: performance.now(), on: true};
        const channel = new MessageChannel();
        channel.port1.onmessage = () => {
            const now = performance.now();
            seen.worst = Math.max(seen.worst, now - seen.last);
            seen.last = now;
            if (seen.on) channel.port2.postMessage(0);
        };
        channel.port2.postMessage(0);
        return seen;");
    let clock = web_sys::window().unwrap().performance().unwrap();
    let began = clock.now();
    stream(&address_of(&lines), &[], &stop.signal(), came.take()).await.unwrap();
    let took = clock.now() - began;
    Reflect::set(&watch, &"on".into(), &false.into()).unwrap();
    assert_eq!(came.ids().len(), 100_000);
    assert!(came.0.borrow().iter().all(|batch| batch.len() < 1_000));
    let worst = Reflect::get(&watch, &"worst".into()).unwrap().as_f64().unwrap();
    // What works without a break gives no turn between its begin and its end.
    assert!(worst < took / 4.0, "{worst} ms of {took} ms");
}

#[wasm_bindgen_test]
async fn what_is_not_there_and_what_is_no_list_say_so() {
    let stop = AbortController::new().unwrap();
    let fails = async |url: &str| stream(url, &[], &stop.signal(), |_| {}).await.unwrap_err();
    assert!(matches!(fails("/no-such-items.jsonl").await, SourceError::Status { status: 404, .. }));
    assert!(matches!(fails("http://127.0.0.1:1/x").await, SourceError::Unreachable { .. }));
    let page = address_of("<!doctype html>");
    assert_eq!(fails(&page).await, SourceError::Json(StreamError::Html));
}

#[wasm_bindgen_test]
async fn an_array_may_hold_pictures_and_typed_rows() {
    let items = js("return [
        {id: 'a', image: new Blob(['x'], {type: 'image/png'}), meta: {n: 1}},
        {id: 'b', image: new ImageData(2, 3)},
        {id: 'c', image: 'https://host/c.png', numbers: undefined},
        {id: 'd', numbers: new Float32Array([1, 2.5])},
        {id: 'e', numbers: new Float64Array([1, 0.1])},
        {id: 'f', numbers: [1, NaN]},
        {id: 'g', numbers: new Float32Array([])},
        {id: 'h', numbers: [1], meta: {big: 1n}},
        'i', null,
    ]");
    let (came, held, stop) = (Came::default(), Held::default(), AbortController::new().unwrap());
    iterate(&items, &held, &stop.signal(), came.take()).await.unwrap();
    assert_eq!(came.ids(), ["a", "b", "c", "d", "e", "!f", "!g", "!item 8", "!item 9", "!item 10"]);
    let contents = came.contents();
    assert_eq!(contents[0], Content::Image(ImageSource::Held(0)));
    assert_eq!(contents[1], Content::Image(ImageSource::Held(1)));
    assert_eq!(contents[3], Content::Numbers([1.0, 2.5].into()));
    assert_eq!(contents[4], Content::Numbers([1.0, 0.1].into()));
}

#[wasm_bindgen_test]
async fn pixels_of_the_page_can_be_shown_and_come_back_as_they_are() {
    let held = Held::default();
    let pixels = js("return new ImageData(new Uint8ClampedArray([255, 0, 0, 255, 0, 128, 255, 255]), 1, 2)");
    let url = held.url(held.keep(&pixels).unwrap()).unwrap();
    let draw = Function::new_with_args(
        "url",
        "return (async () => {
            const image = new Image();
            image.src = url;
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            return [canvas.width, canvas.height, ...context.getImageData(0, 0, canvas.width, canvas.height).data].join();
        })()",
    );
    let drawn: Promise = draw.call1(&JsValue::NULL, &url.clone().into()).unwrap().unchecked_into();
    let drawn = JsFuture::from(drawn).await.unwrap().as_string().unwrap();
    assert_eq!(drawn, "1,2,255,0,0,255,0,128,255,255");
    drop(held);
    let stop = AbortController::new().unwrap();
    let gone = stream(&url, &[], &stop.signal(), |_| {}).await.unwrap_err();
    assert!(matches!(gone, SourceError::Unreachable { .. }), "the address was given back");
}

#[wasm_bindgen_test]
async fn an_async_iterable_that_waits_has_given_what_it_had_and_can_be_stopped() {
    let items = js("const items = {closed: false, async *[Symbol.asyncIterator]() {
        try {
            yield {id: 1, numbers: [1]};
            yield {id: 2, numbers: [1]};
            await new Promise(resolve => setTimeout(resolve, 300));
            yield {id: 3, numbers: [1]};
            await new Promise(() => {});
        } finally { items.closed = true; }
    }};
    return items");
    let (came, held, stop) = (Came::default(), Held::default(), AbortController::new().unwrap());
    let (take, signal) = (came.take(), stop.signal());
    let ended = Rc::new(RefCell::new(None));
    let end = ended.clone();
    wasm_bindgen_futures::spawn_local(async move {
        let result = iterate(&items, &held, &signal, take).await;
        *end.borrow_mut() = Some(result);
    });
    sleep(100).await;
    assert_eq!(came.ids(), ["1", "2"], "before the third was there");
    sleep(500).await;
    assert_eq!((came.ids().len(), ended.borrow().clone()), (3, None));
    stop.abort();
    sleep(50).await;
    assert_eq!(*ended.borrow(), Some(Err(SourceError::Stopped)));
}

#[wasm_bindgen_test]
async fn a_property_that_is_no_list_or_throws_says_so() {
    let (held, stop) = (Held::default(), AbortController::new().unwrap());
    let fails = async |items: &str| iterate(&js(items), &held, &stop.signal(), |_| {}).await.unwrap_err();
    assert_eq!(fails("return 'abc'").await, SourceError::NotIterable);
    assert_eq!(fails("return {id: 1}").await, SourceError::NotIterable);
    let thrown = fails("return (function*() { throw new Error('no luck') })()").await;
    assert_eq!(thrown, SourceError::Iterator("no luck".into()));
}

fn dropped(body: &str) -> Array {
    let list = js(&format!(
        "const data = new DataTransfer(); const add = (name, text, type) => data.items.add(new File([text], name, {{type}}));
         {body}; return Array.from(data.files)"
    ));
    list.unchecked_into()
}

#[wasm_bindgen_test]
async fn dropped_pictures_are_items_and_other_files_are_set_aside() {
    let list = dropped(
        "add('a.png', 'x', 'image/png'); add('.DS_Store', '', ''); add('b.txt', 'x', 'text/plain'); add('a.png', 'y', 'image/png')",
    );
    let (came, held, stop) = (Came::default(), Held::default(), AbortController::new().unwrap());
    files(&list, &held, &[], &stop.signal(), came.take()).await.unwrap();
    assert_eq!(came.ids(), ["a.png", "!b.txt", "a.png (2)"]);
    assert!(held.url(1).is_some_and(|url| url.starts_with("blob:")));
}

#[wasm_bindgen_test]
async fn dropped_lists_find_the_pictures_beside_them_and_a_broken_one_stops_nothing() {
    let list = dropped(
        r#"add('broken.json', '[{"id": 1', ''); add('a.png', 'x', 'image/png');
           add('items.jsonl', '{"id": "x", "image": "./a.png"}', ''); add('rows.csv', 'id,wind\nr,5', 'text/csv')"#,
    );
    let (came, held, stop) = (Came::default(), Held::default(), AbortController::new().unwrap());
    files(&list, &held, &["wind".into()], &stop.signal(), came.take()).await.unwrap();
    assert_eq!(came.ids(), ["!broken.json", "x", "r"]);
    let Content::Image(ImageSource::Url(url)) = &came.contents()[0] else {
        panic!("a picture with an address")
    };
    assert!(url.starts_with("blob:"), "{url}");
}
