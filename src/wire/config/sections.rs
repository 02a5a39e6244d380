//! The parts of a configuration that have keys of their own.

use std::collections::HashMap;
use std::sync::Arc;

use super::policy::{Named, seed};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::queue::Strategy;
use crate::input::image::DEFAULT_PIXEL_LIMIT;
use crate::reader::{Node, Problems};
use crate::wire::address;
use crate::wire::manifest::{MAX_MODEL_BYTES, optional};

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
