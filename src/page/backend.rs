//! Sends a batch to the configured endpoint; what the answer means is `wire::reply`'s business.

use gloo::timers::callback::Timeout;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, RequestInit, Response, Window};

use crate::domain::ident::{BatchId, RecordId};
use crate::domain::outbox::Reply;
use crate::wire::config::{BodyFormat, Delivery, Method};
use crate::wire::reply::{Answer, reply_of};

/// Whether a request is to outlive the page (`keepalive`). Browsers allow 64 KiB of that in flight, for all of a
/// page's scripts together, and refuse what is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The first attempt of a batch: a small one outlives the page, since the person may close it right after the
    /// last answer.
    First,
    /// It was refused, or there was no answer: the browser's own objections to `keepalive` shall not be the cause.
    Again,
    /// The page is hidden and may go.
    Last,
}

impl Urgency {
    fn outlives(self, bytes: usize) -> bool {
        bytes
            <= match self {
                Self::First => 16 << 10,
                Self::Again => 0,
                Self::Last => 60 << 10,
            }
    }
}

/// Sends the records' JSON lines as one request and tells what came of it, with the server's status if it answered.
/// `token` is what the page's `authorize` gave.
pub async fn send(
    to: &Delivery,
    batch: BatchId,
    ids: &[RecordId],
    lines: &[String],
    token: Option<&str>,
    urgency: Urgency,
) -> (Reply, Option<u16>) {
    let answer = match request(to, batch, lines, token, urgency).await {
        Ok(answer) => answer,
        Err(why) if is_abort(&why) => Answer::TimedOut,
        Err(_) => Answer::Unreachable,
    };
    let status = match &answer {
        Answer::Http { status, .. } => Some(*status),
        Answer::TimedOut | Answer::Unreachable => None,
    };
    (reply_of(&answer, ids, to.confirm), status)
}

async fn request(
    to: &Delivery,
    batch: BatchId,
    lines: &[String],
    token: Option<&str>,
    urgency: Urgency,
) -> Result<Answer, JsValue> {
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
    if let (Some((name, value)), Some(token)) = (&to.authorization, token) {
        headers.set(name, &value.replace("{token}", token))?;
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
    if urgency.outlives(body.len()) {
        js_sys::Reflect::set(&options, &"keepalive".into(), &JsValue::TRUE)?;
    }
    let timer = {
        let abort = abort.clone();
        Timeout::new(to.timeout_ms, move || abort.abort())
    };
    let window: Window = web_sys::window().ok_or(JsValue::NULL)?;
    let url = to.url.as_deref().unwrap_or_default();
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
