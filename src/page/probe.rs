//! Tries the configured address with requests that leave nothing behind, and hands what they met with to
//! [`crate::domain::diagnosis`].
//!
//! The request that tells most is the real one with a body that is no JSON (`[`): a server that takes JSON refuses
//! it, but only after it has looked at origin, token, method and media type. Bodies that any server would store
//! (forms, files, what is put under a name of its own) are not sent at all.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use gloo::events::EventListener;
use gloo::timers::callback::Timeout;
use js_sys::{Date, Object, Reflect};
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, RequestInit, Response, Url};

use super::backend::{self, Urgency};
use super::time::{now, sleep};
use crate::domain::correction::Correction;
use crate::domain::credential::{Standing, Token};
use crate::domain::diagnosis::{Cause, Heard, Observed, diagnose};
use crate::domain::ident::Chance;
use crate::domain::outbox::Reply;
use crate::wire::correction::to_record;
use crate::wire::delivery::{Credentials, Delivery, Outgoing, Request, Sending, build};
use crate::wire::reply::{Answer, is_page};

/// Longest wait for one request, milliseconds.
const PATIENCE_MS: u32 = 8_000;
/// No JSON, in any of its dialects.
const BROKEN: &str = "[";

/// What stands in the way of sending `sample`, or a record as it will be.
pub async fn test(
    to: &Delivery,
    sample: Option<&Correction>,
    token: Result<Option<Token>, Standing>,
) -> Cause {
    let Ok(token) = token else { return Cause::NoToken };
    let outgoing = match made(to, sample, token.as_ref()) {
        Ok(outgoing) => outgoing,
        Err(why) => return Cause::Lacks(why),
    };
    let Some(mut request) = outgoing.request.clone() else {
        return Cause::Lacks("an item with what the address is made of".into());
    };
    let Some((page, target)) = addresses(&request.url) else { return Cause::Unreachable };
    let stopped = Rc::new(Cell::new(false));
    let _listener = policy_listener(&stopped);
    let json = request.headers.iter().any(|(name, value)| is_type(name) && value.contains("json"));
    let mut seen = Observed {
        online: web_sys::window().is_none_or(|window| window.navigator().on_line()),
        mixed: page.protocol() == "https:" && target.protocol() == "http:" && !is_here(&target.hostname()),
        same_origin: page.origin() == target.origin(),
        method_preflighted: request.method != "POST",
        ..Observed::default()
    };
    let storable = !json || request.method == "PUT" || request.method == "DELETE";
    if !storable {
        if let Some(sign) = &mut request.sign {
            sign.text = sign.text.replace(&request.body, BROKEN);
        }
        request.body = BROKEN.to_owned();
        let patience = to.timeout_ms.min(PATIENCE_MS);
        let answer = backend::request(&request, patience, token.as_ref(), Urgency::Again).await;
        seen.real = heard(to, outgoing, answer);
    }
    if !matches!(seen.real, Heard::Answered { .. } | Heard::SentOn | Heard::TimedOut) {
        look_closer(&mut seen, &request, &target, storable).await;
    }
    // Told in a task of its own, perhaps after the request that it stopped has failed.
    sleep(50).await;
    seen.stopped_by_policy = stopped.get();
    if storable && seen.reach == Heard::Somebody { Cause::Somebody } else { diagnose(&seen) }
}

fn made(to: &Delivery, sample: Option<&Correction>, token: Option<&Token>) -> Result<Outgoing, Arc<str>> {
    let now = now();
    let mut chance = Chance::new([js_sys::Math::random().to_bits(), Date::now().to_bits()]);
    let id = sample.map_or_else(|| chance.record_id(now), |record| record.id);
    let any = || {
        json!({ "id": id.to_string(), "item_id": "connection-test", "kind": "correction",
            "answer": { "label": "" }, "meta": {} })
        .to_string()
    };
    let lines = [sample.map_or_else(any, |record| to_record(record).to_string())];
    let (query, batch) = (backend::query(), chance.batch_id(now));
    let secret = token.map(Token::secret);
    build(to, &Sending { batch, ids: &[id], lines: &lines, token: secret, now, query: &query }).map_err(
        |reply| match reply {
            Reply::WrongAddress(why) | Reply::Unauthorized(why) => why,
            _ => "".into(),
        },
    )
}

fn heard(to: &Delivery, outgoing: Outgoing, answer: Answer) -> Heard {
    match &answer {
        Answer::TimedOut => Heard::TimedOut,
        Answer::Unreachable => Heard::Failed,
        Answer::Redirected => Heard::SentOn,
        Answer::Http { status, content_type, body, sent_on, .. } => {
            match outgoing.reply(to, Some(&answer)) {
                // On the way the records may have been lost.
                Reply::WrongAddress(_) if sent_on.is_some() => Heard::SentOn,
                reply => Heard::Answered {
                    status: *status,
                    page: is_page(content_type, body),
                    confirms: matches!(reply, Reply::Verdicts(_)),
                },
            }
        }
    }
}

/// Tells apart what a browser does not say of a request that failed.
async fn look_closer(seen: &mut Observed, request: &Request, target: &Url, storable: bool) {
    let get = |url: &str| Try { url: url.to_owned(), mode: "no-cors", ..Try::default() };
    seen.reach = get(&request.url).ends().await;
    if seen.reach == Heard::Failed {
        let other = if target.protocol() == "https:" { "http:" } else { "https:" };
        target.set_protocol(other);
        // No more of the address: what signs it would travel in clear text.
        seen.other_scheme = get(&[&target.origin(), "/"].concat()).ends().await;
        return;
    }
    if seen.same_origin || storable {
        return;
    }
    let plain = || Try {
        url: request.url.clone(),
        method: request.method.clone(),
        mode: "cors",
        credentials: request.credentials,
        header: None,
    };
    seen.plain = plain().ends().await;
    if seen.plain == Heard::Failed && request.credentials == Credentials::Include {
        seen.plain_without_credentials = Try { credentials: Credentials::Omit, ..plain() }.ends().await;
    }
    if seen.plain != Heard::Failed {
        for (name, value) in &request.headers {
            let with = Try { header: Some((name.clone(), value.clone())), ..plain() };
            seen.by_header.push((name.as_str().into(), with.ends().await));
        }
    }
}

/// One request of the closer look.
struct Try {
    url: String,
    method: String,
    mode: &'static str,
    credentials: Credentials,
    header: Option<(String, String)>,
}

impl Default for Try {
    fn default() -> Self {
        let (url, method) = (String::new(), "GET".to_owned());
        Self { url, method, mode: "no-cors", credentials: Credentials::Omit, header: None }
    }
}

impl Try {
    async fn ends(self) -> Heard {
        match self.tried().await {
            Ok(heard) => heard,
            Err(why) if backend::is_abort(&why) => Heard::TimedOut,
            Err(_) => Heard::Failed,
        }
    }

    async fn tried(self) -> Result<Heard, JsValue> {
        let (window, abort) = (web_sys::window().ok_or(JsValue::NULL)?, AbortController::new()?);
        let options = RequestInit::new();
        let option = |name: &str, value: &JsValue| Reflect::set(&options, &name.into(), value);
        option("method", &self.method.as_str().into())?;
        option("mode", &self.mode.into())?;
        option("credentials", &backend::credentials(self.credentials).into())?;
        option("cache", &"no-store".into())?;
        option("signal", &abort.signal())?;
        if let Some((name, value)) = &self.header {
            let headers = Object::new();
            Reflect::set(&headers, &name.as_str().into(), &value.as_str().into())?;
            option("headers", &headers)?;
        }
        if self.method != "GET" {
            // As `text/plain`, unless the header says otherwise.
            option("body", &BROKEN.into())?;
        }
        let timer = Timeout::new(PATIENCE_MS, move || abort.abort());
        let response = JsFuture::from(window.fetch_with_str_and_init(&self.url, &options)).await?;
        drop(timer);
        let response: Response = response.dyn_into()?;
        if self.mode == "no-cors" {
            return Ok(Heard::Somebody);
        }
        Ok(Heard::Answered { status: response.status(), page: false, confirms: false })
    }
}

/// The page's address and the request's.
fn addresses(url: &str) -> Option<(Url, Url)> {
    let window = web_sys::window()?;
    let page = Url::new(&window.location().href().ok()?).ok()?;
    let base = window.document()?.base_uri().ok().flatten()?;
    Some((page, Url::new_with_base(url, &base).ok()?))
}

/// This machine, which browsers trust without TLS (<https://w3c.github.io/webappsec-secure-contexts/>).
fn is_here(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]"
}

fn is_type(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-type")
}

/// Notes when the page's Content-Security-Policy stops a connection.
fn policy_listener(stopped: &Rc<Cell<bool>>) -> Option<EventListener> {
    let (document, stopped) = (web_sys::window()?.document()?, stopped.clone());
    Some(EventListener::new(&document, "securitypolicyviolation", move |event| {
        let directive = Reflect::get(event, &"effectiveDirective".into()).ok().and_then(|d| d.as_string());
        if directive.is_some_and(|directive| directive == "connect-src" || directive == "default-src") {
            stopped.set(true);
        }
    }))
}
