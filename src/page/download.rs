//! Gives the person a file.

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
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

/// Has the browser save the text as a file.
pub fn save(name: &str, kind: &str, text: &str) {
    let saved = || -> Result<(), JsValue> {
        let url = Url::create_object_url_with_blob(&blob(kind, text)?)?;
        let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
        let link: HtmlElement = document.create_element("a")?.unchecked_into();
        link.set_attribute("href", &url)?;
        link.set_attribute("download", name)?;
        link.click();
        // The browser has taken what it needs once the click is dealt with; a minute is ample.
        gloo::timers::callback::Timeout::new(60_000, move || {
            let _ = Url::revoke_object_url(&url);
        })
        .forget();
        Ok(())
    };
    if let Err(why) = saved() {
        web_sys::console::error_2(&"hitl-labeler: the file could not be saved".into(), &why);
    }
}
