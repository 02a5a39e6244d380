//! Sends a batch to the configured backend; what is sent and what the answer means is `wire::delivery`'s business.

use gloo::timers::callback::Timeout;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use serde_json::{Map, Value};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Headers, RequestInit, Response, Url, Window};

use super::time::now;
use crate::domain::credential::Token;
use crate::domain::ident::{BatchId, RecordId};
use crate::domain::outbox::Reply;
use crate::wire::delivery::{
    Credentials, Delivery, Request, Sending, ToSign, build, signing_key, without_token,
};
use crate::wire::reply::Answer;

/// Whether a request is to outlive the page (`keepalive`). Browsers allow 64 KiB of that in flight, for all of a
/// page's scripts together, and refuse what is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The first attempt of a batch: a small one outlives the page, since the person may close it right after the
    /// last answer.
    First,
    /// It failed, or is no delivery: the browser's own objections to `keepalive` shall not be the cause.
    Again,
    /// The page is hidden and may go.
    Last,
}

impl Urgency {
    fn outlives(self, bytes: usize) -> bool {
        let most = match self {
            Self::First => 16 << 10,
            Self::Again => 0,
            Self::Last => 60 << 10,
        };
        bytes <= most
    }
}

/// Sends the records' JSON lines as one request and tells what came of it, with the server's status if it answered.
/// `token` is what the page's `authorize` gave; it is in none of the words that come back.
pub async fn send(
    to: &Delivery,
    batch: BatchId,
    ids: &[RecordId],
    lines: &[String],
    token: Option<&Token>,
    urgency: Urgency,
) -> (Reply, Option<u16>) {
    let (query, secret) = (query(), token.map(Token::secret));
    let now = now();
    let outgoing = match build(to, &Sending { batch, ids, lines, token: secret, now, query: &query }) {
        Ok(outgoing) => outgoing,
        Err(reply) => return (reply, None),
    };
    let answer = match &outgoing.request {
        None => None,
        Some(made) => Some(request(made, to.timeout_ms, token, urgency).await),
    };
    let status = match &answer {
        Some(Answer::Http { status, .. }) => Some(*status),
        _ => None,
    };
    (outgoing.reply(to, answer.as_ref()), status)
}

/// The parameters of the page's own address.
pub(super) fn query() -> Value {
    let mut found = Map::new();
    let href = web_sys::window().and_then(|window| window.location().href().ok()).unwrap_or_default();
    if let Ok(url) = Url::new(&href) {
        for pair in Array::from(&url.search_params()).iter() {
            let pair = Array::from(&pair);
            if let (Some(name), Some(value)) = (pair.get(0).as_string(), pair.get(1).as_string()) {
                found.insert(name, value.into());
            }
        }
    }
    Value::Object(found)
}

/// The answer to a request as a page may read it.
pub(super) async fn request(
    made: &Request,
    timeout_ms: u32,
    token: Option<&Token>,
    urgency: Urgency,
) -> Answer {
    match tried(made, timeout_ms, token, urgency).await {
        Ok(answer) => answer,
        Err(why) if is_abort(&why) => Answer::TimedOut,
        Err(_) => Answer::Unreachable,
    }
}

async fn tried(
    made: &Request,
    timeout_ms: u32,
    token: Option<&Token>,
    urgency: Urgency,
) -> Result<Answer, JsValue> {
    let window: Window = web_sys::window().ok_or(JsValue::NULL)?;
    let headers = Headers::new()?;
    for (name, value) in &made.headers {
        headers.set(name, value)?;
    }
    if let Some(sign) = &made.sign {
        headers.set(
            &sign.header,
            &sign.value(&signature(&window, sign, token.map_or("", Token::secret)).await?),
        )?;
    }
    let abort = AbortController::new()?;
    let options = RequestInit::new();
    options.set_method(&made.method);
    options.set_headers(&headers);
    options.set_body(&JsValue::from_str(&made.body));
    options.set_signal(Some(&abort.signal()));
    if urgency.outlives(made.body.len()) {
        Reflect::set(&options, &"keepalive".into(), &JsValue::TRUE)?;
    }
    let option = |name: &str, value: &str| Reflect::set(&options, &name.into(), &value.into());
    option("credentials", credentials(made.credentials))?;
    // "error" would look like a server that is not there.
    option("redirect", if made.follow { "follow" } else { "manual" })?;
    let timer = {
        let abort = abort.clone();
        Timeout::new(timeout_ms, move || abort.abort())
    };
    let response: Response =
        JsFuture::from(window.fetch_with_str_and_init(&made.url, &options)).await?.dyn_into()?;
    if Reflect::get(&response, &"type".into())? == "opaqueredirect" {
        return Ok(Answer::Redirected);
    }
    let header = |name: &str| response.headers().get(name).ok().flatten();
    let (content_type, retry_after) = (header("Content-Type").unwrap_or_default(), header("Retry-After"));
    let body = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let hidden = |text: String| match token {
        Some(token) => without_token(&text, token),
        None => text,
    };
    timer.cancel();
    // Without what may sign it: the address is shown.
    let cut = |url: String| url.split(['?', '#']).next().unwrap_or_default().to_owned();
    let sent_on = response.redirected().then(|| hidden(cut(response.url())));
    Ok(Answer::Http { status: response.status(), content_type, retry_after, body: hidden(body), sent_on })
}

/// Whether cookies go along, as `fetch` calls it.
pub(super) fn credentials(which: Credentials) -> &'static str {
    match which {
        Credentials::Omit => "omit",
        Credentials::SameOrigin => "same-origin",
        Credentials::Include => "include",
    }
}

/// HMAC-SHA256 by WebCrypto, which a page has over https and on localhost only.
async fn signature(window: &Window, sign: &ToSign, key: &str) -> Result<Vec<u8>, JsValue> {
    let subtle = Reflect::get(&Reflect::get(window, &"crypto".into())?, &"subtle".into())?;
    let call = async |name: &str, arguments: &Array| {
        let function: Function = Reflect::get(&subtle, &name.into())?.dyn_into()?;
        JsFuture::from(function.apply(&subtle, arguments)?.dyn_into::<Promise>()?).await
    };
    let hmac = Object::new();
    Reflect::set(&hmac, &"name".into(), &"HMAC".into())?;
    Reflect::set(&hmac, &"hash".into(), &"SHA-256".into())?;
    let bytes = Uint8Array::from(&signing_key(key)[..]);
    let usages = Array::of1(&"sign".into());
    let key = call("importKey", &Array::of5(&"raw".into(), &bytes, &hmac, &false.into(), &usages)).await?;
    let text = Uint8Array::from(sign.text.as_bytes());
    let signed = call("sign", &Array::of3(&"HMAC".into(), &key, &text)).await?;
    Ok(Uint8Array::new(&signed).to_vec())
}

/// Whether a request was broken off by the page itself: its time was up.
pub(super) fn is_abort(why: &JsValue) -> bool {
    why.dyn_ref::<web_sys::DomException>().is_some_and(|why| why.name() == "AbortError")
}
