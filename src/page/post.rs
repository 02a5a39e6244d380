//! Messages to and from a worker, field by field: `serde` took 12 kB of the page for it (brotli).

use js_sys::{Array, Float32Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Worker;

use crate::wire::worker::{
    Fault, HEAD, ItemFault, Kernel, Loaded, ModelFault, PARTS, Predicted, Reply, Request, Source,
};

/// Says something to a worker.
///
/// # Errors
/// The browser cannot copy one of the parts.
pub fn post(worker: &Worker, request: &Request, parts: &Array) -> Result<(), JsValue> {
    worker.post_message(&object(&[(HEAD, written(request)), (PARTS, parts.into())]))
}

/// Reads what a worker says, with the scores that came along; `None` if it is no message of ours.
#[must_use]
pub fn open(data: &JsValue) -> Option<(Reply, Vec<f32>)> {
    let parts = field(data, PARTS);
    let scores = parts.dyn_ref::<Array>().map(|parts| parts.get(0)).unwrap_or_default();
    let scores = scores.dyn_ref::<Float32Array>().map(Float32Array::to_vec).unwrap_or_default();
    Some((reply(&field(data, HEAD))?, scores))
}

/// A request as the worker reads it.
#[must_use]
pub fn written(request: &Request) -> JsValue {
    match request {
        Request::Load { manifest, pixel_limit } => {
            // Exact: the configuration has no larger numbers than JavaScript.
            #[allow(clippy::cast_precision_loss)]
            let limit = *pixel_limit as f64;
            object(&[("type", "load".into()), ("manifest", manifest.into()), ("pixelLimit", limit.into())])
        }
        Request::Predict { ticket, items, features } => {
            let sources = Array::new();
            for item in items {
                sources.push(&source(item));
            }
            object(&[
                ("type", "predict".into()),
                ("ticket", (*ticket).into()),
                ("items", sources.into()),
                ("features", (*features).into()),
            ])
        }
    }
}

fn source(source: &Source) -> JsValue {
    let (from, url) = match source {
        Source::Url { url } => ("url", Some(url)),
        Source::Blob => ("blob", None),
        Source::Pixels => ("pixels", None),
        Source::Numbers => ("numbers", None),
    };
    let mut fields = vec![("from", from.into())];
    fields.extend(url.map(|url| ("url", url.into())));
    object(&fields)
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // A plain object takes any field.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

/// A reply as the worker wrote it.
#[must_use]
pub fn reply(head: &JsValue) -> Option<Reply> {
    Some(match text(head, "type")?.as_str() {
        "ready" => Reply::Ready {
            kernels: list(head, "kernels", kernel)?,
            relaxed: field(head, "relaxed").as_bool()?,
        },
        "loaded" => Reply::Loaded(Loaded {
            labels: whole(head, "labels")?,
            features: whole(head, "features")?,
            ms_parse: number(head, "msParse")?,
            ms_optimise: number(head, "msOptimise")?,
            ms_probe: number(head, "msProbe")?,
        }),
        "rejected" => Reply::Rejected { faults: list(head, "faults", model_fault)? },
        "predicted" => Reply::Predicted(Predicted {
            ticket: whole(head, "ticket")?,
            count: whole(head, "count")?,
            faults: list(head, "faults", fault)?,
            ms_decode: number(head, "msDecode")?,
            ms_infer: number(head, "msInfer")?,
        }),
        "fatal" => Reply::Fatal { message: text(head, "message")? },
        _ => return None,
    })
}

fn kernel(from: &JsValue) -> Option<Kernel> {
    Some(Kernel { purpose: text(from, "purpose")?, name: text(from, "name")? })
}

fn model_fault(from: &JsValue) -> Option<ModelFault> {
    Some(ModelFault {
        code: text(from, "code")?,
        message: text(from, "message")?,
        path: text(from, "path"),
        found: text(from, "found")?,
        expected: text(from, "expected")?,
    })
}

fn fault(from: &JsValue) -> Option<Fault> {
    let why = field(from, "why");
    let whole = |name| whole(&why, name);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let why = match text(&why, "code")?.as_str() {
        "notFound" => ItemFault::NotFound { status: whole("status")? as u16 },
        "unreachable" => ItemFault::Unreachable,
        "notAnImage" => ItemFault::NotAnImage,
        "tooManyPixels" => ItemFault::TooManyPixels {
            width: whole("width")?,
            height: whole("height")?,
            limit: number(&why, "limit")? as u64,
        },
        "wrongColumns" => ItemFault::WrongColumns { found: whole("found")?, expected: whole("expected")? },
        "notFinite" => ItemFault::NotFinite { column: whole("column")? },
        "wrongKind" => ItemFault::WrongKind { expected: text(&why, "expected")? },
        "unpredictable" => ItemFault::Unpredictable { message: text(&why, "message")? },
        _ => return None,
    };
    Some(Fault { at: self::whole(from, "at")?, why })
}

fn field(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &JsValue::from_str(name)).unwrap_or_default()
}

fn text(of: &JsValue, name: &str) -> Option<String> {
    field(of, name).as_string()
}

fn number(of: &JsValue, name: &str) -> Option<f64> {
    field(of, name).as_f64()
}

/// What is none is cut to one: the worker writes no others.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(of: &JsValue, name: &str) -> Option<u32> {
    number(of, name).map(|number| number as u32)
}

fn list<T>(of: &JsValue, name: &str, read: fn(&JsValue) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    for each in field(of, name).dyn_ref::<Array>()?.iter() {
        all.push(read(&each)?);
    }
    Some(all)
}
