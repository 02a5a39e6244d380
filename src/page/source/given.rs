//! Items that the page gives as JavaScript objects.

use std::sync::Arc;

use js_sys::{Float32Array, Float64Array, Function, JSON, Object, Promise, Reflect, Symbol};
use serde_json::Value as Json;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use super::breath::{Halt, Slices};
use super::{Batch, Held, SourceError, page_address, resolved};
use crate::domain::item::{Aside, Content, ImageSource, Item};
use crate::input::numbers::MAX_COLUMNS;
use crate::wire::items::{Resolve, item, item_around, malformed};

/// Takes items from an array, an iterable or an async iterable. `image` may be an address, a Blob, a File
/// or ImageData, `numbers` an array, a Float32Array or a Float64Array.
///
/// # Errors
/// [`SourceError`]; the items before stand.
pub async fn iterate(
    items: &JsValue,
    held: &Held,
    signal: &AbortSignal,
    on_batch: impl FnMut(Batch),
) -> Result<(), SourceError> {
    let halt = Halt::new(signal);
    let mut slices = Slices::new(on_batch);
    let iterator = Steps::of(items)?;
    let taken = iterator.drain(held, &halt, &mut slices).await;
    if taken != Err(SourceError::Stopped) {
        slices.hand_out();
    } else {
        iterator.close();
    }
    taken
}

struct Steps {
    iterator: JsValue,
    next: Function,
    is_async: bool,
}

impl Steps {
    fn of(items: &JsValue) -> Result<Self, SourceError> {
        let method = |symbol: &Symbol| Reflect::get(items, symbol).ok()?.dyn_into::<Function>().ok();
        // A text is iterable, too, but its letters are no items.
        if !items.is_object() && !items.is_function() {
            return Err(SourceError::NotIterable);
        }
        let (open, is_async) = match (method(&Symbol::async_iterator()), method(&Symbol::iterator())) {
            (Some(open), _) => (open, true),
            (None, Some(open)) => (open, false),
            (None, None) => return Err(SourceError::NotIterable),
        };
        let iterator = open.call0(items).map_err(|why| failed(&why))?;
        let next = Reflect::get(&iterator, &"next".into()).map_err(|why| failed(&why))?;
        let next = next.dyn_into().map_err(|_| SourceError::NotIterable)?;
        Ok(Self { iterator, next, is_async })
    }

    async fn drain<F: FnMut(Batch)>(
        &self,
        held: &Held,
        halt: &Halt,
        slices: &mut Slices<F>,
    ) -> Result<(), SourceError> {
        let base = page_address();
        let resolve = |address: &str| resolved(address, &base);
        let (done, value) = (JsValue::from_str("done"), JsValue::from_str("value"));
        for number in 1.. {
            let mut step = self.next.call0(&self.iterator).map_err(|why| failed(&why))?;
            if self.is_async {
                step = slices.wait(Promise::resolve(&step), halt).await?.map_err(|why| failed(&why))?;
            }
            if Reflect::get(&step, &done).map_err(|why| failed(&why))?.is_truthy() {
                break;
            }
            let value = Reflect::get(&step, &value).map_err(|why| failed(&why))?;
            slices.batch.push(read(&value, &format!("item {number}"), held, &resolve));
            slices.breathe(halt).await?;
        }
        Ok(())
    }

    /// Lets the page's iterator clean up, as `break` in a `for` loop does.
    fn close(&self) {
        let back = Reflect::get(&self.iterator, &"return".into()).ok();
        let Some(back) = back.and_then(|back| back.dyn_into::<Function>().ok()) else { return };
        if let Ok(closed) = back.call0(&self.iterator) {
            let closed = wasm_bindgen_futures::JsFuture::from(Promise::resolve(&closed));
            wasm_bindgen_futures::spawn_local(async move { drop(closed.await) });
        }
    }
}

fn failed(why: &JsValue) -> SourceError {
    SourceError::Iterator(words(why))
}

fn words(why: &JsValue) -> String {
    match why.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => why.as_string().unwrap_or_else(|| "it threw something that is no Error".into()),
    }
}

fn read(value: &JsValue, place: &str, held: &Held, resolve: Resolve<'_>) -> Result<Item, Aside> {
    let field = |key: &str| Reflect::get(value, &key.into()).unwrap_or(JsValue::UNDEFINED);
    let (image, numbers) = match value.is_object() {
        true => (field("image"), field("numbers")),
        false => (JsValue::UNDEFINED, JsValue::UNDEFINED),
    };
    let (key, content) = if let Some(number) = held.keep(&image) {
        ("image", Content::Image(ImageSource::Held(number)))
    } else if let Some(row) = row(&numbers) {
        if row.is_empty() || row.len() > MAX_COLUMNS {
            let why = format!("`numbers`: found {} numbers, expected 1 to {MAX_COLUMNS}", row.len());
            return Err(malformed(&field("id").as_string().unwrap_or_else(|| place.to_owned()), why));
        }
        ("numbers", Content::Numbers(row))
    } else {
        return item(&json(value, place)?, place, resolve);
    };
    let rest = Object::assign(&Object::new(), value.unchecked_ref());
    Reflect::delete_property(&rest, &key.into()).ok();
    item_around(content, &json(&rest, place)?, place)
}

fn row(numbers: &JsValue) -> Option<Arc<[f32]>> {
    if let Some(row) = numbers.dyn_ref::<Float32Array>() {
        return Some(row.to_vec().into());
    }
    #[allow(clippy::cast_possible_truncation)]
    numbers
        .dyn_ref::<Float64Array>()
        .map(|row| row.to_vec().into_iter().map(|number| number as f32).collect())
}

/// As `JSON.stringify` sees it: `undefined` and functions fall out, NaN is null.
fn json(value: &JsValue, place: &str) -> Result<Json, Aside> {
    let text = JSON::stringify(value)
        .map_err(|why| malformed(place, format!("`{place}`: found what is not JSON ({})", words(&why))))?;
    let text = JsValue::from(text).as_string().unwrap_or_else(|| "null".into());
    serde_json::from_slice(text.as_bytes())
        .map_err(|why| malformed(place, format!("`{place}`: found what is not JSON ({why})")))
}
