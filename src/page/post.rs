//! Messages to and from a worker, field by field: `serde` took 12 kB of the page for it (brotli).

use js_sys::{Array, Float32Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Worker;

use crate::wire::worker::{
    Chart, Fault, HEAD, ItemFault, Kernel, Lesson, Loaded, ModelFault, PARTS, Predicted, Reply, Request,
    Source, StudyRules,
};

/// Says something to a worker.
///
/// # Errors
/// The browser cannot copy one of the parts.
pub fn post(worker: &Worker, request: &Request, parts: &Array) -> Result<(), JsValue> {
    post_and_give(worker, request, parts, &Array::new())
}

/// The same, and hands these buffers over.
///
/// # Errors
/// The browser cannot copy one of the parts.
pub fn post_and_give(
    worker: &Worker,
    request: &Request,
    parts: &Array,
    given: &Array,
) -> Result<(), JsValue> {
    let message = object(&[(HEAD, written(request)), (PARTS, parts.into())]);
    worker.post_message_with_transfer(&message, given)
}

/// Reads what a worker says, with its parts; `None` if it is no message of ours.
#[must_use]
pub fn open(data: &JsValue) -> Option<(Reply, Array)> {
    let parts = field(data, PARTS).dyn_into().unwrap_or_default();
    Some((reply(&field(data, HEAD))?, parts))
}

/// The numbers of a part; none if it is something else.
#[must_use]
pub fn floats(parts: &Array, at: u32) -> Vec<f32> {
    parts.get(at).dyn_ref::<Float32Array>().map(Float32Array::to_vec).unwrap_or_default()
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
        Request::Study(StudyRules { labels, manifest, temperature, features, memory_mb, diverse }) => {
            object(&[
                ("type", "study".into()),
                ("labels", (*labels).into()),
                ("manifest", manifest.into()),
                ("temperature", (*temperature).into()),
                ("features", (*features).into()),
                ("memoryMb", (*memory_mb).into()),
                ("diverse", (*diverse).into()),
            ])
        }
        Request::Take { ticket, items } => {
            let keys = Array::new();
            for item in items {
                keys.push(&(*item).into());
            }
            object(&[("type", "take".into()), ("ticket", (*ticket).into()), ("items", keys.into())])
        }
        Request::Answer { item, label, hold_out, record } => object(&[
            ("type", "answer".into()),
            ("item", (*item).into()),
            ("label", label.map_or(JsValue::UNDEFINED, JsValue::from)),
            ("holdOut", (*hold_out).into()),
            ("record", record.into()),
        ]),
        Request::Labels { count } => object(&[("type", "labels".into()), ("count", (*count).into())]),
        Request::Learn => object(&[("type", "learn".into())]),
        Request::Export { manifest, labels } => {
            object(&[("type", "export".into()), ("manifest", manifest.into()), ("labels", texts(labels))])
        }
        Request::Head => object(&[("type", "head".into())]),
        Request::Record { line } => object(&[("type", "record".into()), ("line", line.into())]),
        Request::Evaluate { arrived, waiting, target, threshold, charts, locale, words, labels } => {
            object(&[
                ("type", "evaluate".into()),
                ("arrived", (*arrived).into()),
                ("waiting", (*waiting).into()),
                ("target", target.map_or(JsValue::UNDEFINED, JsValue::from)),
                ("threshold", threshold.map_or(JsValue::UNDEFINED, JsValue::from)),
                ("charts", (*charts).into()),
                ("locale", locale.into()),
                ("words", texts(words)),
                ("labels", texts(labels)),
            ])
        }
    }
}

fn texts(texts: &[String]) -> JsValue {
    let list = Array::new();
    for text in texts {
        list.push(&text.into());
    }
    list.into()
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
        "studying" => Reply::Studying,
        "taken" => Reply::Taken { ticket: whole(head, "ticket")? },
        "learned" => Reply::Learned(Box::new(lesson(head)?)),
        "evaluated" => {
            Reply::Evaluated { figures: text(head, "figures")?, charts: list(head, "charts", chart)? }
        }
        "exported" => Reply::Exported { manifest: text(head, "manifest")? },
        "notExported" => Reply::NotExported { why: text(head, "why")? },
        "head" => Reply::Head {
            answers: whole(head, "answers")?,
            temperature: single(head, "temperature")?,
            scaling: field(head, "scaling").as_bool()?,
        },
        "fatal" => Reply::Fatal { message: text(head, "message")? },
        _ => return None,
    })
}

fn chart(from: &JsValue) -> Option<Chart> {
    Some(Chart {
        name: text(from, "name")?,
        title: text(from, "title")?,
        description: text(from, "description")?,
        svg: text(from, "svg")?,
        csv: text(from, "csv")?,
    })
}

fn lesson(from: &JsValue) -> Option<Lesson> {
    let pair = |name: &str| match *list(from, name, JsValue::as_f64)?.as_slice() {
        [a, b] => Some([a, b]),
        _ => None,
    };
    Some(Lesson {
        version: whole(from, "version")?,
        trained: whole(from, "trained")?,
        held_out: whole(from, "heldOut")?,
        temperature: single(from, "temperature")?,
        judged: field(from, "judged").as_bool()?,
        kept: whole(from, "kept"),
        worse_by: pair("worseBy")?,
        log_loss: pair("logLoss"),
        calibration_error: pair("calibrationError"),
        ms: pair("ms")?,
        slips: list(from, "slips", JsValue::as_f64)?,
        lacks: list(from, "lacks", key)?,
        spread: list(from, "spread", key)?,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn key(from: &JsValue) -> Option<u32> {
    from.as_f64().map(|number| number as u32)
}

#[allow(clippy::cast_possible_truncation)]
fn single(of: &JsValue, name: &str) -> Option<f32> {
    number(of, name).map(|number| number as f32)
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
