//! The browser's clock and its waits.

use js_sys::{Date, Promise};
use wasm_bindgen_futures::JsFuture;

use crate::domain::ident::Timestamp;

/// The present moment.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn now() -> Timestamp {
    Timestamp(Date::now() as i64)
}

/// Waits, a millisecond at least; not at all where there is no window.
pub async fn sleep(ms: i64) {
    let waited = Promise::new(&mut |done, _| match web_sys::window() {
        Some(window) => {
            let ms = i32::try_from(ms.max(1)).unwrap_or(i32::MAX);
            let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&done, ms);
        }
        None => drop(done.call0(&done)),
    });
    let _ = JsFuture::from(waited).await;
}
