//! Gives the person a file.

use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, HtmlElement, Url};

/// The text as a Blob of this media type.
///
/// # Errors
/// The browser refuses, for want of memory.
pub fn blob(kind: &str, text: &str) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    Blob::new_with_str_sequence_and_options(&Array::of1(&JsValue::from_str(text)), &options)
}

/// The bytes as a Blob of this media type.
///
/// # Errors
/// The browser refuses, for want of memory.
pub fn bytes(kind: &str, bytes: &Uint8Array) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    Blob::new_with_u8_array_sequence_and_options(&Array::of1(bytes), &options)
}

/// Has the browser save the text as a file.
pub fn save(name: &str, kind: &str, text: &str) {
    match blob(kind, text) {
        Ok(blob) => save_blob(name, &blob),
        Err(why) => {
            web_sys::console::error_2(&"hitl-labeler: the file could not be saved".into(), &why);
        }
    }
}

/// Has the browser save a Blob as a file.
pub fn save_blob(name: &str, blob: &Blob) {
    let saved = || -> Result<(), JsValue> {
        let url = Url::create_object_url_with_blob(blob)?;
        let window = web_sys::window().ok_or(JsValue::NULL)?;
        let document = window.document().ok_or(JsValue::NULL)?;
        let link: HtmlElement = document.create_element("a")?.unchecked_into();
        link.set_attribute("href", &url)?;
        link.set_attribute("download", name)?;
        link.click();
        // The browser has taken what it needs once the click is dealt with; a minute is ample.
        let done = Closure::once_into_js(move || Url::revoke_object_url(&url));
        window.set_timeout_with_callback_and_timeout_and_arguments_0(done.unchecked_ref(), 60_000)?;
        Ok(())
    };
    if let Err(why) = saved() {
        web_sys::console::error_2(&"hitl-labeler: the file could not be saved".into(), &why);
    }
}
