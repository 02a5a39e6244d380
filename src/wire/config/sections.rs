//! The parts of a configuration that have keys of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::policy::{Named, seed};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::outbox::DeliveryRules;
use crate::domain::queue::Strategy;
use crate::input::image::DEFAULT_PIXEL_LIMIT;
use crate::reader::{Node, Problems};
use crate::wire::address;
use crate::wire::manifest::{MAX_MODEL_BYTES, optional};
use crate::wire::reply::Confirm;

/// Where the model's manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAt {
    /// Address of `model.json`, absolute or relative to the page.
    pub url: Arc<str>,
    /// Address of a head that was learned elsewhere, to start from.
    pub head: Option<Arc<str>>,
    /// The largest model file that is loaded, bytes.
    pub max_bytes: u64,
}

/// Where items are, and which are too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemsAt {
    /// Address of a JSON list or JSON Lines, absolute or relative to the page.
    pub url: Option<Arc<str>>,
    /// Pixels above which a picture is set aside.
    pub pixel_limit: u64,
}

impl Default for ItemsAt {
    fn default() -> Self {
        Self { url: None, pixel_limit: DEFAULT_PIXEL_LIMIT }
    }
}

/// In which order the person is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// What is worth asking about first.
    pub by: Strategy,
    /// Share of questions in random order, 0 to 1; the rest comes most doubtful first.
    pub random_share: f64,
    /// Chooses the random order.
    pub seed: u64,
}

impl Default for Order {
    fn default() -> Self {
        Self { by: Strategy::default(), random_share: 0.1, seed: 0 }
    }
}

/// Whether and how answers make the model better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Share of the deferred answers that are kept from training, 0 to 0.5.
    pub hold_out: f64,
    /// Chooses those.
    pub seed: u64,
    /// Memory for the items' features and scores, MiB.
    pub memory_mb: u32,
}

impl Default for Learning {
    fn default() -> Self {
        Self { hold_out: 0.1, seed: 1, memory_mb: 256 }
    }
}

pub(super) fn learning(node: &Node<'_>) -> Option<Option<Learning>> {
    if let Some(learns) = node.value().as_bool() {
        return Some(learns.then(Learning::default));
    }
    if !node.value().is_object() {
        return node.wrong("true, false or an object of hold_out, seed and memory_mb");
    }
    let fields = node.object(&["hold_out", "seed", "memory_mb"])?;
    let mut learning = Learning::default();
    fields.fill("hold_out", &mut learning.hold_out, |node| node.number(0.0..=0.5));
    fields.fill("seed", &mut learning.seed, seed);
    fields.fill("memory_mb", &mut learning.memory_mb, |node| u32::try_from(node.integer(1..=2_048)?).ok());
    Some(Some(learning))
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the person's system has it.
    #[default]
    Auto,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

/// A deed that can be given another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyDeed {
    /// Takes back the last step.
    Undo,
    /// Puts the question off to the end.
    Skip,
    /// Marks the question.
    Flag,
    /// Goes to the remark field.
    Note,
    /// Shows the picture large.
    Zoom,
    /// Shows the keys.
    Help,
    /// Answers with the label that the model suggests.
    Accept,
}

/// Which keys do what, where that differs from the standard; no key stands twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// Whether single keys act at all.
    pub enabled: bool,
    /// Keys as `KeyboardEvent.key` names them, letters in lower case.
    pub deeds: Vec<(KeyDeed, Arc<str>)>,
    labels: Vec<(Named, Arc<str>)>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { enabled: true, deeds: Vec::new(), labels: Vec::new() }
    }
}

impl Keys {
    pub(super) fn of_labels(&self, labels: &LabelSet) -> Result<Vec<(LabelId, Arc<str>)>, Problems> {
        let mut problems = Vec::new();
        let keys = self
            .labels
            .iter()
            .filter_map(|(label, key)| Some((label.find(labels, &mut problems)?, key.clone())))
            .collect();
        if problems.is_empty() { Ok(keys) } else { Err(Problems(problems)) }
    }
}

/// How records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// A JSON list of records, `application/json`.
    Array,
    /// A record a line, `application/x-ndjson`.
    JsonLines,
    /// One record, `application/json`; one request a record.
    Single,
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

impl Durability {
    /// Reads it.
    pub(crate) fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&[("strict", Self::Strict), ("relaxed", Self::Relaxed)])
    }
}

/// Where records go and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Absolute or relative to the page; `None`: records stay in the browser until they are downloaded.
    pub url: Option<Arc<str>>,
    /// The request's method.
    pub method: Method,
    /// Headers beside those that the delivery sets itself; no name stands twice.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// What the body is.
    pub format: BodyFormat,
    /// Whether what the model settled is recorded and sent, too.
    pub accepted: bool,
    /// Batches and retries.
    pub rules: DeliveryRules,
    /// After this a request counts as unanswered, milliseconds.
    pub timeout_ms: u32,
    /// How the server says that it has a record.
    pub confirm: Confirm,
    /// What the browser's store promises of an answer that is shown as saved.
    pub durability: Durability,
    /// Header that carries the page's token, and its value with `{token}` in it.
    pub authorization: Option<(Arc<str>, Arc<str>)>,
    /// Whether a request needs a token that only the page can give.
    pub needs_token: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            url: None,
            method: Method::Post,
            headers: Vec::new(),
            format: BodyFormat::Array,
            accepted: false,
            rules: DeliveryRules::default(),
            timeout_ms: 30_000,
            confirm: Confirm::default(),
            durability: Durability::default(),
            authorization: None,
            needs_token: false,
        }
    }
}

const FETCHED: &[&str] = &["http", "https", "blob"];
const FETCHED_IN_WORDS: &str = "an http, https or blob address, or a relative one";

fn fetched(node: &Node<'_>) -> Option<Arc<str>> {
    address::read(node, FETCHED, FETCHED_IN_WORDS).map(Arc::from)
}

pub(super) fn model(node: &Node<'_>) -> Option<ModelAt> {
    /// 128 MiB: what a page can ask a visitor to download at most.
    const USUAL: u64 = 128 << 20;
    if !node.value().is_object() {
        if !node.value().is_string() {
            return node.wrong("the address of a manifest, or an object of url, max_bytes and head");
        }
        return Some(ModelAt { url: fetched(node)?, head: None, max_bytes: USUAL });
    }
    let fields = node.object(&["url", "max_bytes", "head"])?;
    let url = fields.required("url").and_then(|node| fetched(&node));
    let head = optional(&fields, "head", |node| fetched(&node));
    let max_bytes = optional(&fields, "max_bytes", |node| node.integer(1..=i64::from(MAX_MODEL_BYTES)));
    Some(ModelAt { url: url?, head: head?, max_bytes: max_bytes?.map_or(USUAL, i64::unsigned_abs) })
}

pub(super) fn items(node: &Node<'_>) -> Option<ItemsAt> {
    if !node.value().is_object() {
        if !node.value().is_string() {
            return node.wrong("the address of the items, or an object of url and pixel_limit");
        }
        return Some(ItemsAt { url: Some(fetched(node)?), ..ItemsAt::default() });
    }
    let fields = node.object(&["url", "pixel_limit"])?;
    let url = optional(&fields, "url", |node| fetched(&node));
    let pixel_limit = optional(&fields, "pixel_limit", |node| node.integer(1..=1_000_000_000));
    Some(ItemsAt { url: url?, pixel_limit: pixel_limit?.map_or(DEFAULT_PIXEL_LIMIT, i64::unsigned_abs) })
}

pub(super) fn order(node: &Node<'_>) -> Option<Order> {
    let fields = node.object(&["by", "random_share", "seed"])?;
    let mut order = Order::default();
    fields.fill("by", &mut order.by, |node| {
        node.choice(&[
            ("margin", Strategy::Margin),
            ("least_confidence", Strategy::LeastConfidence),
            ("entropy", Strategy::Entropy),
            ("random", Strategy::Random),
            ("diverse", Strategy::Diverse),
        ])
    });
    fields.fill("random_share", &mut order.random_share, |node| node.number(0.0..=1.0));
    fields.fill("seed", &mut order.seed, seed);
    Some(order)
}

pub(super) fn lang(node: &Node<'_>) -> Option<Arc<str>> {
    let tag = node.text()?;
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = tag.split('-').next().is_some_and(|part| part.bytes().all(|b| b.is_ascii_alphabetic()));
    match first && tag.split('-').all(part) {
        true => Some(tag.into()),
        false => node.wrong("a language tag such as \"en\" or \"pt-BR\""),
    }
}

pub(super) fn keys(node: &Node<'_>) -> Option<Keys> {
    const DEEDS: [(&str, KeyDeed); 7] = [
        ("undo", KeyDeed::Undo),
        ("skip", KeyDeed::Skip),
        ("flag", KeyDeed::Flag),
        ("note", KeyDeed::Note),
        ("zoom", KeyDeed::Zoom),
        ("help", KeyDeed::Help),
        ("accept", KeyDeed::Accept),
    ];
    let fields =
        node.object(&["enabled", "labels", "undo", "skip", "flag", "note", "zoom", "help", "accept"])?;
    let mut owners: HashMap<Arc<str>, String> = HashMap::new();
    let mut own = |node: &Node<'_>| {
        let key = key(node)?;
        match owners.insert(key.clone(), node.path().to_owned()) {
            Some(other) => node.report(format!("{key:?}, which `{other}` has"), "a key of its own"),
            None => Some(key),
        }
    };
    let enabled = optional(&fields, "enabled", |node| node.boolean());
    let deeds: Vec<_> =
        DEEDS.iter().filter_map(|(word, deed)| Some((*deed, fields.optional(word)?))).collect();
    let deeds: Vec<_> = deeds.into_iter().map(|(deed, node)| Some((deed, own(&node)?))).collect();
    let labels = optional(&fields, "labels", |node| {
        let each = node.open_object()?;
        let each: Vec<_> =
            each.each().map(|(label, node)| Some((Named::new(label, node.path()), own(&node)?))).collect();
        each.into_iter().collect::<Option<Vec<_>>>()
    });
    Some(Keys {
        enabled: enabled?.unwrap_or(true),
        deeds: deeds.into_iter().collect::<Option<_>>()?,
        labels: labels?.unwrap_or_default(),
    })
}

/// A key that types a character, or one with a name; none that moves the focus or closes what is open.
fn key(node: &Node<'_>) -> Option<Arc<str>> {
    const TAKEN: [&str; 7] = ["Tab", "Escape", "Shift", "Control", "Alt", "Meta", "AltGraph"];
    let expected = "a key as KeyboardEvent.key names it: one character, or a name such as \"ArrowLeft\"";
    let text = node.text()?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) if !only.is_control() => Some(only.to_ascii_lowercase().to_string().into()),
        (Some('A'..='Z'), Some(_)) if text.len() <= 30 && text.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            match TAKEN.contains(&text) {
                true => {
                    node.wrong("another key: this one moves the focus, closes what is open or is held down")
                }
                false => Some(text.into()),
            }
        }
        _ => node.wrong(expected),
    }
}

pub(super) fn delivery(node: &Node<'_>) -> Option<Delivery> {
    let fields = node.object(&[
        "url",
        "method",
        "headers",
        "batch_size",
        "format",
        "accepted",
        "retry",
        "timeout_ms",
        "confirm",
        "durability",
        "authorization",
    ])?;
    let mut to = Delivery::default();
    fields.fill("url", &mut to.url, |node| {
        let url = address::read(node, &["http", "https"], "an http or https address, or a relative one")?;
        Some(Some(url.into()))
    });
    fields
        .fill("method", &mut to.method, |node| node.choice(&[("POST", Method::Post), ("PUT", Method::Put)]));
    fields.fill("headers", &mut to.headers, headers);
    fields.fill("format", &mut to.format, |node| {
        node.choice(&[
            ("array", BodyFormat::Array),
            ("jsonl", BodyFormat::JsonLines),
            ("single", BodyFormat::Single),
        ])
    });
    if to.format == BodyFormat::Single {
        to.rules.batch_most = 1;
        fields.fill("batch_size", &mut to.rules.batch_most, |node| match node.integer(1..=1_000)? {
            1 => Some(1),
            _ => node.wrong("1, or no batch_size: a request of format \"single\" holds one record"),
        });
    } else {
        fields.fill("batch_size", &mut to.rules.batch_most, |node| {
            usize::try_from(node.integer(1..=1_000)?).ok()
        });
    }
    fields.fill("accepted", &mut to.accepted, |node| node.boolean());
    if let Some(rules) = fields.optional("retry").and_then(|node| retry(&node, to.rules)) {
        to.rules = rules;
    }
    fields.fill("timeout_ms", &mut to.timeout_ms, |node| u32::try_from(node.integer(1_000..=600_000)?).ok());
    fields.fill("confirm", &mut to.confirm, |node| {
        node.choice(&[("records", Confirm::Records), ("status", Confirm::Status)])
    });
    fields.fill("durability", &mut to.durability, Durability::read);
    to.authorization = fields.optional("authorization").and_then(|node| authorization(&node));
    to.needs_token = to.authorization.is_some();
    Some(to)
}

fn authorization(node: &Node<'_>) -> Option<(Arc<str>, Arc<str>)> {
    let fields = node.object(&["header", "value"])?;
    let header = optional(&fields, "header", |node| node.name().map(Arc::from))?;
    let value = optional(&fields, "value", |node| match node.text()? {
        text if text.contains("{token}") => Some(Arc::from(text)),
        _ => node.wrong("a text with {token} in it, such as \"Bearer {token}\""),
    })?;
    Some((header.unwrap_or_else(|| "Authorization".into()), value.unwrap_or_else(|| "Bearer {token}".into())))
}

fn retry(node: &Node<'_>, standard: DeliveryRules) -> Option<DeliveryRules> {
    let fields = node.object(&["base_ms", "cap_ms"])?;
    let base = optional(&fields, "base_ms", |node| node.integer(100..=60_000));
    let cap = optional(&fields, "cap_ms", |node| node.integer(1_000..=86_400_000));
    let retry_base_ms = base?.unwrap_or(standard.retry_base_ms);
    let retry_cap_ms = cap?.unwrap_or(standard.retry_cap_ms);
    if retry_base_ms > retry_cap_ms {
        let found = format!("a base of {retry_base_ms} ms above the cap of {retry_cap_ms} ms");
        return node.report(found, "base_ms not above cap_ms");
    }
    Some(DeliveryRules { retry_base_ms, retry_cap_ms, ..standard })
}

fn headers(node: &Node<'_>) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let mut names = std::collections::HashSet::new();
    let each: Vec<_> = node
        .open_object()?
        .each()
        .map(|(name, node)| {
            let value = header_value(&node);
            let lower = name.to_ascii_lowercase();
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) {
                return node
                    .report(format!("the header name {name:?}"), "a name of letters, digits and hyphens");
            }
            if lower == "idempotency-key" {
                return node
                    .report("Idempotency-Key", "other headers: the delivery makes a key for each batch");
            }
            if browsers_own(&lower) {
                let found = format!("{name}, which browsers let no page set");
                return node.report(found, "other headers");
            }
            if !names.insert(lower) {
                return node
                    .report(format!("{name} a second time"), "each header once, in any case of letters");
            }
            Some((Arc::from(name), value?))
        })
        .collect();
    each.into_iter().collect()
}

/// What `Headers` takes: Latin-1 without line ends.
fn header_value(node: &Node<'_>) -> Option<Arc<str>> {
    let text = node.text()?;
    match text.chars().all(|c| (' '..='\u{ff}').contains(&c) && c != '\u{7f}') {
        true => Some(text.into()),
        false => node.wrong("a text of Latin-1 characters without line ends"),
    }
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
