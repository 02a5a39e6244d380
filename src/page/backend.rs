//! Sends a batch to the configured endpoint; what the answer means is `wire::reply`'s business.

use gloo::timers::callback::Timeout;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, RequestInit, Response, Window};

use crate::domain::ident::{BatchId, RecordId};
use crate::domain::outbox::Reply;
use crate::wire::config::{BodyFormat, Delivery, Method};
use crate::wire::reply::{Answer, reply_of};

/// Sends the records' JSON lines as one request and tells what came of it.
pub async fn send(to: &Delivery, url: &str, batch: BatchId, ids: &[RecordId], lines: &[String]) -> Reply {
    let answer = match request(to, url, batch, lines).await {
        Ok(answer) => answer,
        Err(why) if is_abort(&why) => Answer::TimedOut,
        Err(_) => Answer::Unreachable,
    };
    reply_of(&answer, ids, to.confirm)
}

async fn request(to: &Delivery, url: &str, batch: BatchId, lines: &[String]) -> Result<Answer, JsValue> {
    let (content_type, body) = match to.format {
        BodyFormat::Array => ("application/json", format!("[{}]", lines.join(","))),
        BodyFormat::JsonLines => ("application/x-ndjson", format!("{}\n", lines.join("\n"))),
        BodyFormat::Single => ("application/json", lines.first().cloned().unwrap_or_default()),
    };
    let headers = Headers::new()?;
    headers.set("Content-Type", content_type)?;
    // A quoted string, as the IETF draft has it (draft-ietf-httpapi-idempotency-key-header).
    headers.set("Idempotency-Key", &format!("\"{batch}\""))?;
    for (name, value) in &to.headers {
        headers.set(name, value)?;
    }
    let abort = AbortController::new()?;
    let options = RequestInit::new();
    options.set_method(match to.method {
        Method::Post => "POST",
        Method::Put => "PUT",
    });
    options.set_headers(&headers);
    options.set_body(&JsValue::from_str(&body));
    options.set_signal(Some(&abort.signal()));
    let timer = {
        let abort = abort.clone();
        Timeout::new(to.timeout_ms, move || abort.abort())
    };
    let window: Window = web_sys::window().ok_or(JsValue::NULL)?;
    let response: Response =
        JsFuture::from(window.fetch_with_str_and_init(url, &options)).await?.dyn_into()?;
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let (content_type, retry_after) = (header("Content-Type").unwrap_or_default(), header("Retry-After"));
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    timer.cancel();
    Ok(Answer::Http { status: response.status(), content_type, retry_after, body })
}

fn is_abort(why: &JsValue) -> bool {
    why.dyn_ref::<web_sys::DomException>().is_some_and(|why| why.name() == "AbortError")
}
