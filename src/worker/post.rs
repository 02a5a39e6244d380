//! Messages to and from the page: a head that is read and parts that travel as they are.

use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array, Uint32Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::DedicatedWorkerGlobalScope;

use crate::wire::worker::{HEAD, PARTS, Reply, Request};

/// The worker's global scope.
pub(super) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Milliseconds since the worker was started.
pub(super) fn now() -> f64 {
    scope().performance().map_or(0.0, |performance| performance.now())
}

/// What travels beside a head, and which of its buffers are handed over.
pub(super) struct Parts {
    parts: Array,
    transferred: Array,
}

impl Parts {
    /// No parts.
    pub(super) fn none() -> Self {
        Self { parts: Array::new(), transferred: Array::new() }
    }

    /// Adds numbers and hands their buffer over.
    pub(super) fn transfer(&mut self, numbers: &Float32Array) {
        self.parts.push(numbers);
        self.transferred.push(&numbers.buffer());
    }

    /// Adds keys and hands their buffer over.
    pub(super) fn transfer_keys(&mut self, keys: &Uint32Array) {
        self.parts.push(keys);
        self.transferred.push(&keys.buffer());
    }

    /// Adds a file and hands its buffer over.
    pub(super) fn transfer_bytes(&mut self, bytes: &Uint8Array) {
        self.parts.push(bytes);
        self.transferred.push(&bytes.buffer());
    }

    /// Keeps the place of a part that is not there.
    pub(super) fn nothing(&mut self) {
        self.parts.push(&JsValue::NULL);
    }
}

/// Says something to the page.
pub(super) fn post(reply: &Reply, parts: &Parts) {
    let message = Object::new();
    // None of these can fail: a plain object takes any field, a reply holds no map with odd keys, and the
    // buffers were made for this message.
    let head = serde_wasm_bindgen::to_value(reply).unwrap_or(JsValue::NULL);
    let _ = Reflect::set(&message, &HEAD.into(), &head);
    let _ = Reflect::set(&message, &PARTS.into(), &parts.parts);
    let _ = scope().post_message_with_transfer(&message, &parts.transferred);
}

/// Reads what the page says.
///
/// Fails, in words for the console, on a message that is none of ours.
pub(super) fn open(data: &JsValue) -> Result<(Request, Array), String> {
    let field = |name: &str| Reflect::get(data, &name.into()).unwrap_or(JsValue::UNDEFINED);
    let request = serde_wasm_bindgen::from_value(field(HEAD))
        .map_err(|why| format!("the worker cannot read a message of the page: {why}"))?;
    let parts =
        field(PARTS).dyn_into().map_err(|_| "a message of the page has no list of parts".to_owned())?;
    Ok((request, parts))
}
