//! How records travel to a backend: the `delivery` section of the configuration, the requests that follow from
//! it, and what answers mean. A backend is data here: what is special to one stands in a preset
//! (`www/presets`), never in code.
//!
//! 1. [`preset::apply`] lays the configuration over the presets that it names;
//! 2. [`read`](self::read) checks all of it and makes a [`Delivery`];
//! 3. [`build`] makes the request for a batch, [`Outgoing::reply`] reads the answer to it;
//! 4. [`finish`] says where the page goes when everything is delivered.
//!
//! `docs/backends.md` is the reference of the language, `tests/presets.rs` holds every preset to recorded answers.

mod finish;
pub mod preset;
mod request;
mod template;
mod verdict;

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::domain::credential::fits_header;
use crate::domain::outbox::DeliveryRules;
use crate::reader::{Fields, Node};
use crate::wire::address;
use crate::wire::manifest::optional;
use crate::wire::reply::Confirm;
pub(super) use template::at;
use template::{Rules, Used, check};
use verdict::{Results, Rule};

pub use finish::{Finish, Navigation, finish};
pub use request::{Outgoing, Request, Sending, ToSign, build, signing_key, without_token};

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON: a list of records, or what `body` makes of it; `application/json`.
    Array,
    /// A record a line, `application/x-ndjson`.
    JsonLines,
    /// JSON: one record, or what `body` makes of it; `application/json`.
    Single,
    /// Fields of a form, `application/x-www-form-urlencoded`.
    Form,
    /// The same as `multipart/form-data`, with files.
    Multipart,
}

/// Whether cookies go along, as `fetch` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Never.
    Omit,
    /// To the page's own origin.
    #[default]
    SameOrigin,
    /// Always.
    Include,
}

/// What the browser's store promises of an answer that is shown as saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk: it outlives a power failure.
    #[default]
    Strict,
    /// It is with the operating system: it outlives the browser's crash, not the machine's.
    Relaxed,
}

/// A header that is made of a signature over the request (HMAC-SHA256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Its name.
    header: Arc<str>,
    /// Its value, with `{signature}` in it.
    value: Arc<str>,
    /// What is signed, with `{body}` in it.
    text: Arc<str>,
}

/// Where records go and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Template of the address, absolute or relative to the page; `None`: records stay in the browser until they
    /// are downloaded.
    pub url: Option<Arc<str>>,
    /// Template of the request's method.
    method: Value,
    /// Headers beside those that the delivery sets itself, values being templates; no name stands twice.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// What the body is.
    pub format: BodyFormat,
    /// Template of a record; `None`: the record as it is stored.
    record: Option<Value>,
    /// Template of the body; `None`: as the format has it.
    body: Option<Value>,
    /// What templates name as `params`.
    params: Value,
    /// Header that carries the batch's id, and whether in quotes; `None`: none does.
    pub idempotency: Option<(Arc<str>, bool)>,
    /// Header that carries the page's token.
    pub authorization: Option<(Arc<str>, Arc<str>)>,
    sign: Option<Sign>,
    /// Whether cookies go along.
    pub credentials: Credentials,
    /// Whether redirects are followed.
    pub follow: bool,
    /// Whether what the model settled is recorded and sent, too.
    pub accepted: bool,
    /// Batches and retries.
    pub rules: DeliveryRules,
    /// After this a request counts as unanswered, milliseconds.
    pub timeout_ms: u32,
    /// What the browser's store promises of an answer that is shown as saved.
    pub durability: Durability,
    /// How the server says that it has a record, where `answers` and `results` do not.
    pub confirm: Confirm,
    answers: Vec<Rule>,
    results: Option<Results>,
    /// Where the page goes when everything is delivered.
    finish: Option<Finish>,
    /// Whether a request needs a token that only the page can give.
    pub needs_token: bool,
    one_by_one: bool,
    opens_records: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            url: None,
            method: "POST".into(),
            headers: Vec::new(),
            format: BodyFormat::Array,
            record: None,
            body: None,
            params: Value::Object(Map::new()),
            // A quoted string, as the IETF draft has it (draft-ietf-httpapi-idempotency-key-header).
            idempotency: Some(("Idempotency-Key".into(), true)),
            authorization: None,
            sign: None,
            credentials: Credentials::default(),
            follow: false,
            accepted: false,
            rules: DeliveryRules::default(),
            timeout_ms: 30_000,
            durability: Durability::default(),
            confirm: Confirm::default(),
            answers: Vec::new(),
            results: None,
            finish: None,
            needs_token: false,
            one_by_one: false,
            opens_records: false,
        }
    }
}

/// Names that stand for values in a request's own templates.
const OUTER: &[&str] = &["record", "records", "params", "batch", "query", "token"];
/// And in the template of one record.
const INNER: &[&str] = &["record", "params", "batch", "query"];

/// Reads the `delivery` section.
pub(super) fn read(node: &Node<'_>) -> Option<Delivery> {
    let fields = node.object(&[
        "preset",
        "params",
        "url",
        "method",
        "headers",
        "format",
        "record",
        "body",
        "batch_size",
        "batch_bytes",
        "idempotency",
        "authorization",
        "insecure_static_secrets",
        "sign",
        "credentials",
        "redirect",
        "accepted",
        "retry",
        "timeout_ms",
        "durability",
        "confirm",
        "answers",
        "results",
        "finish",
    ])?;
    let mut to = Delivery::default();
    if let Some(node) = fields.optional("params") {
        node.open_object()?;
        to.params = node.value().clone();
    }
    let mut used = Used::default();
    let mut secrets = false;
    fields.fill("insecure_static_secrets", &mut secrets, |node| node.boolean());
    fields.fill("format", &mut to.format, |node| {
        node.choice(&[
            ("array", BodyFormat::Array),
            ("jsonl", BodyFormat::JsonLines),
            ("single", BodyFormat::Single),
            ("form", BodyFormat::Form),
            ("multipart", BodyFormat::Multipart),
        ])
    });
    if let Some(node) = fields.optional("headers") {
        to.headers = headers(&node, &to, secrets, &mut used).unwrap_or_default();
    }
    fields.fill("credentials", &mut to.credentials, |node| {
        node.choice(&[
            ("omit", Credentials::Omit),
            ("same-origin", Credentials::SameOrigin),
            ("include", Credentials::Include),
        ])
    });
    fields.fill("redirect", &mut to.follow, |node| node.choice(&[("error", false), ("follow", true)]));
    fields.fill("idempotency", &mut to.idempotency, idempotency);
    to.authorization = fields.optional("authorization").and_then(|node| authorization(&node, &to, &mut used));
    to.sign = fields.optional("sign").and_then(|node| sign(&node, &to.params, &mut used));
    if let Some(node) = fields.optional("method") {
        let rules = Rules { roots: OUTER, params: &to.params };
        if check(&node, &rules, &mut used).and(method(&node)).is_some() {
            to.method = node.value().clone();
        }
    }
    let mut in_record = Used::default();
    if let Some(node) = fields.optional("record") {
        let rules = Rules { roots: INNER, params: &to.params };
        if check(&node, &rules, &mut in_record).is_some() {
            to.record = Some(node.value().clone());
        }
    }
    body(&fields, &mut to, &mut used);
    if let Some(node) = fields.optional("url") {
        to.url = url(&node, &to, &mut used);
    } else if let Some(node) = fields.optional("preset") {
        let _: Option<()> =
            node.report("a preset without `delivery.url`", "a preset that was fetched, or a url");
    }
    to.needs_token = used.token || to.authorization.is_some();
    to.one_by_one = used.record || (to.format == BodyFormat::Single && to.body.is_none());
    to.opens_records = used.record || in_record.record;
    batches(&fields, &mut to);
    fields.fill("accepted", &mut to.accepted, |node| node.boolean());
    if let Some(rules) = fields.optional("retry").and_then(|node| retry(&node, to.rules)) {
        to.rules = rules;
    }
    fields.fill("timeout_ms", &mut to.timeout_ms, |node| u32::try_from(node.integer(1_000..=600_000)?).ok());
    fields.fill("durability", &mut to.durability, |node| {
        node.choice(&[("strict", Durability::Strict), ("relaxed", Durability::Relaxed)])
    });
    fields.fill("confirm", &mut to.confirm, |node| {
        node.choice(&[("records", Confirm::Records), ("status", Confirm::Status)])
    });
    for node in fields.optional("answers").and_then(|node| node.list()).into_iter().flatten() {
        to.answers.extend(Rule::read(&node, &to.params));
    }
    to.results = fields.optional("results").and_then(|node| Results::read(&node, &to.params));
    to.finish = fields.optional("finish").and_then(|node| Finish::read(&node, &to.params));
    Some(to)
}

fn batches(fields: &Fields<'_>, to: &mut Delivery) {
    if let Some(node) = fields.optional("batch_size") {
        let most = node.integer(1..=1_000).and_then(|most| usize::try_from(most).ok());
        if to.one_by_one && most.is_some_and(|most| most > 1) {
            let _: Option<()> = node.wrong(match to.format {
                BodyFormat::Single => "1, or no batch_size: a request of format \"single\" holds one record",
                _ => "1, or no batch_size: what names {record…} outside of `record` holds one record",
            });
        }
        to.rules.batch_most = most.unwrap_or(to.rules.batch_most);
    }
    if to.one_by_one {
        to.rules.batch_most = 1;
    }
    fields.fill("batch_bytes", &mut to.rules.batch_bytes, |node| {
        usize::try_from(node.integer(1_024..=104_857_600)?).ok()
    });
}

fn method(node: &Node<'_>) -> Option<()> {
    if !node.value().is_object() {
        return node.choice(&[("POST", ()), ("PUT", ()), ("PATCH", ()), ("DELETE", ())]);
    }
    let fields = node.open_object()?;
    let (then, otherwise) = (fields.required("then"), fields.required("else"));
    method(&then?).and(method(&otherwise?))
}

fn body(fields: &Fields<'_>, to: &mut Delivery, used: &mut Used) {
    let Some(node) = fields.optional("body") else {
        if matches!(to.format, BodyFormat::Form | BodyFormat::Multipart) {
            let _ = fields.required("body");
        }
        return;
    };
    let of_form = matches!(to.format, BodyFormat::Form | BodyFormat::Multipart);
    if of_form && !node.value().is_object() {
        let _: Option<()> = node.wrong("an object of the form's fields");
        return;
    }
    let mut own = Used::default();
    if check(&node, &Rules { roots: OUTER, params: &to.params }, &mut own).is_none() {
        return;
    }
    if !own.record && !own.records {
        let found = "a body without a record in it";
        let _: Option<()> = node.report(found, "{record}, {record.…} or {records} in it");
    }
    used.add(own);
    to.body = Some(node.value().clone());
}

fn url(node: &Node<'_>, to: &Delivery, used: &mut Used) -> Option<Arc<str>> {
    const EXPECTED: &str = "an http or https address, or a relative one";
    let text = node.name()?;
    let mut own = Used::default();
    check(
        node,
        &Rules { roots: &["record", "params", "batch", "query", "token"], params: &to.params },
        &mut own,
    )?;
    let (start, open) = template::fixed_start(text, &to.params);
    let secret =
        own.token || to.authorization.is_some() || used.token || to.credentials == Credentials::Include;
    if let Some(hole) = open {
        let host_open = address::authority(&start).is_some_and(|rest| !rest.contains('/'));
        // An item's own address (a presigned one) is the host's word; but no token goes where an item says.
        let whole = start.is_empty() && hole.root == "record" && !hole.inner.is_empty() && !secret;
        if host_open || (start.is_empty() && !whole) {
            return node.report(
                ["an address whose host depends on {", hole.text, "}"].concat(),
                "an address that is fixed up to the first slash after the host (without a token or cookies an \
                 address may stand in the record as a whole)",
            );
        }
    }
    if !(start.is_empty() && open.is_some())
        && let Some(expected) = address::problem(&start, &["http", "https"], EXPECTED)
    {
        return node.wrong(expected);
    }
    used.add(own);
    Some(text.into())
}

#[allow(clippy::option_option)]
fn idempotency(node: &Node<'_>) -> Option<Option<(Arc<str>, bool)>> {
    if node.value() == &Value::Bool(false) {
        return Some(None);
    }
    if !node.value().is_object() {
        return node.wrong("false, or an object of header and quoted");
    }
    let fields = node.object(&["header", "quoted"])?;
    let header = optional(&fields, "header", |node| header_name(&node));
    let quoted = optional(&fields, "quoted", |node| node.boolean());
    Some(Some((header?.unwrap_or_else(|| "Idempotency-Key".into()), quoted?.unwrap_or(true))))
}

fn authorization(node: &Node<'_>, to: &Delivery, used: &mut Used) -> Option<(Arc<str>, Arc<str>)> {
    let fields = node.object(&["header", "value"])?;
    let header = optional(&fields, "header", |node| header_name(&node))?;
    let Some(node) = fields.optional("value") else {
        return Some((header.unwrap_or_else(|| "Authorization".into()), "Bearer {token}".into()));
    };
    let mut own = Used::default();
    let value = template_text(&node, &["token", "params"], &to.params, &mut own)?;
    if !own.token {
        return node.wrong("a text with {token} in it, which the element's property `authorize` gives");
    }
    used.token = true;
    Some((header.unwrap_or_else(|| "Authorization".into()), value))
}

fn sign(node: &Node<'_>, params: &Value, used: &mut Used) -> Option<Sign> {
    let fields = node.object(&["header", "value", "text"])?;
    let header = fields.required("header").and_then(|node| header_name(&node));
    let value = fields.required("value").and_then(|node| {
        let value = template_text(&node, &["signature"], params, &mut Used::default())?;
        if value.contains("{signature}") { Some(value) } else { node.wrong("a text with {signature} in it") }
    });
    let text = fields.required("text").and_then(|node| {
        let text = template_text(&node, &["record", "params", "batch", "body"], params, used)?;
        if text.contains("{body}") { Some(text) } else { node.wrong("a text with {body} in it") }
    });
    used.token = true;
    Some(Sign { header: header?, value: value?, text: text? })
}

/// A text that is a template.
fn template_text(node: &Node<'_>, roots: &[&str], params: &Value, used: &mut Used) -> Option<Arc<str>> {
    let text = node.text()?;
    check(node, &Rules { roots, params }, used)?;
    Some(text.into())
}

fn retry(node: &Node<'_>, standard: DeliveryRules) -> Option<DeliveryRules> {
    let fields = node.object(&["base_ms", "cap_ms", "for_ms"])?;
    let base = optional(&fields, "base_ms", |node| node.integer(100..=60_000));
    let cap = optional(&fields, "cap_ms", |node| node.integer(1_000..=86_400_000));
    let for_ms = optional(&fields, "for_ms", |node| node.integer(60_000..=2_592_000_000));
    let retry_base_ms = base?.unwrap_or(standard.retry_base_ms);
    let retry_cap_ms = cap?.unwrap_or(standard.retry_cap_ms);
    if retry_base_ms > retry_cap_ms {
        let found = format!("a base of {retry_base_ms} ms above the cap of {retry_cap_ms} ms");
        return node.report(found, "base_ms not above cap_ms");
    }
    Some(DeliveryRules { retry_base_ms, retry_cap_ms, retry_for_ms: for_ms?, ..standard })
}

type Headers = Vec<(Arc<str>, Arc<str>)>;

fn headers(node: &Node<'_>, to: &Delivery, secrets: bool, used: &mut Used) -> Option<Headers> {
    let mut names = HashSet::new();
    let mut all = Some(Vec::new());
    for (name, node) in node.open_object()?.each() {
        let one = header(name, &node, to, secrets, used).filter(|_| {
            names.insert(name.to_ascii_lowercase())
                || node
                    .report::<()>(format!("{name} a second time"), "each header once, in any case of letters")
                    .is_some()
        });
        all = all.zip(one).map(|(mut all, one)| {
            all.push(one);
            all
        });
    }
    all
}

fn header(
    name: &str,
    node: &Node<'_>,
    to: &Delivery,
    secrets: bool,
    used: &mut Used,
) -> Option<(Arc<str>, Arc<str>)> {
    let lower = name.to_ascii_lowercase();
    if !is_header_name(name) {
        return node.report(format!("the header name {name:?}"), "a name of letters, digits and hyphens");
    }
    if lower == "idempotency-key" {
        return node
            .report("Idempotency-Key", "other headers: `delivery.idempotency` says how this one is sent");
    }
    if browsers_own(&lower) {
        return node.report(format!("{name}, which browsers let no page set"), "other headers");
    }
    if lower == "content-type" && to.format == BodyFormat::Multipart {
        return node.report(name, "other headers: that of a multipart request names its boundary");
    }
    let mut own = Used::default();
    let value = template_text(node, OUTER, &to.params, &mut own)?;
    if !fits_header(&value) {
        return node.wrong("a text of Latin-1 characters without line ends");
    }
    if SECRET.contains(&&*lower) && !own.token && !secrets {
        return node.report(
            format!("{name} with a value that everybody can read in the page"),
            "`delivery.authorization` with {token}, which the element's property `authorize` gives (or, where the \
             value may be known to all, `delivery.insecure_static_secrets`: true)",
        );
    }
    used.add(own);
    Some((name.into(), value))
}

/// Headers that carry a secret wherever they are in use. `apikey` is none of them: Supabase's is made for pages.
const SECRET: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "private-token",
    "x-argilla-api-key",
];

fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn header_name(node: &Node<'_>) -> Option<Arc<str>> {
    let name = node.text()?;
    if is_header_name(name) && !browsers_own(&name.to_ascii_lowercase()) {
        return Some(name.into());
    }
    node.wrong("the name of a header that a page may set")
}

/// The Fetch standard's forbidden request headers (<https://fetch.spec.whatwg.org/#forbidden-request-header>):
/// a browser drops them without a word.
fn browsers_own(lower: &str) -> bool {
    const NAMES: [&str; 21] = [
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "expect",
        "host",
        "keep-alive",
        "origin",
        "referer",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    NAMES.contains(&lower) || lower.starts_with("proxy-") || lower.starts_with("sec-")
}
