//! The element's configuration, version 1: JSON and attributes -> [`Config`].
//!
//! Published as `www/schema/config.v1.schema.json` and explained in `docs/config.md`; `tests/config.rs`
//! holds the three together. The order of things for a page:
//!
//! 1. [`document`] reads the file that `config="…"` names, [`rebase`] makes its addresses relative to it;
//! 2. [`overlay`] writes the element's attributes over it;
//! 3. [`parse`] checks everything that can be checked without the labels;
//! 4. [`Config::labels`], [`Config::policy`] and [`Config::label_keys`] say the rest, once the manifest is there.

mod overlay;
mod policy;
mod sections;

use std::sync::Arc;

use serde_json::Value as Json;

use super::{delivery, manifest};
use crate::domain::correction::PredictionShown;
use crate::domain::dispatch::DispatchRules;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::policy::Policy;
use crate::domain::session::TargetRules;
use crate::reader::{Node, Problem, Problems, read, read_text};

pub use super::delivery::{BodyFormat, Delivery, Durability};
pub use overlay::{ATTRIBUTES, merge, overlay, rebase};
use policy::WrittenPolicy;
pub use sections::{ItemsAt, KeyDeed, Keys, Learning, ModelAt, Order, Theme};

/// What the configuration's `schema` says, if it says anything.
pub const SCHEMA: &str = "hitl-labeler/config/1";

/// Everything that a page can set. [`Config::default`] is what an empty configuration means.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The model's manifest; without one the person is asked about everything.
    pub model: Option<ModelAt>,
    /// Where items are, and which are too large.
    pub items: ItemsAt,
    /// The question, in place of the manifest's.
    pub question: Option<Arc<str>>,
    /// In which order the person is asked.
    pub order: Order,
    /// Whether and how answers make the model better.
    pub learning: Option<Learning>,
    /// Whether the person may add answers to those that there are.
    pub open_labels: bool,
    /// Whether the person sees the prediction for deferred items.
    pub predictions: PredictionShown,
    /// Who answers, as records say it.
    pub annotator: Option<Arc<str>>,
    /// Name of the browser's store; `None`: the page derives one.
    pub project: Option<Arc<str>>,
    /// How many workers, 1 to 16; `None`: the page asks the machine.
    pub workers: Option<usize>,
    /// Time a worker may take for one item, milliseconds.
    pub item_deadline_ms: i64,
    /// Whether the element predicts and asks without being told to.
    pub autostart: bool,
    /// Which keys do what, where that differs from the standard.
    pub keys: Keys,
    /// Language tag (BCP 47); `None`: the page's.
    pub lang: Option<Arc<str>>,
    /// Light or dark.
    pub theme: Theme,
    /// Where records go and how.
    pub delivery: Delivery,
    labels: Option<LabelSet>,
    policy: WrittenPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            items: ItemsAt::default(),
            question: None,
            order: Order::default(),
            learning: Some(Learning::default()),
            open_labels: false,
            predictions: PredictionShown::Hidden,
            annotator: None,
            project: None,
            workers: None,
            item_deadline_ms: DispatchRules::default().item_deadline_ms,
            autostart: true,
            keys: Keys::default(),
            lang: None,
            theme: Theme::Auto,
            delivery: Delivery::default(),
            labels: None,
            policy: WrittenPolicy::default(),
        }
    }
}

/// Reads a configuration file's text as JSON, for [`rebase`], [`overlay`] and [`parse`].
///
/// # Errors
/// Not JSON: with line and column, and whether it is an HTML page.
pub fn document(text: &str) -> Result<Json, Problems> {
    read_text(text.trim_start_matches('\u{feff}'), |node| Some(node.value().clone()))
}

/// Checks a configuration.
///
/// # Errors
/// Everything that is wrong with it: path, what was found, what was expected. With `labels` in it, that
/// includes label ids that no label has.
pub fn parse(document: &Json) -> Result<Config, Problems> {
    let config = read(document, |node| config(&node))?;
    if let Some(labels) = &config.labels {
        let problems = [config.policy(labels).err(), config.label_keys(labels).err()];
        let problems: Vec<_> = problems.into_iter().flatten().flat_map(|problems| problems.0).collect();
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
    }
    Ok(config)
}

impl Config {
    /// The answers that there are: the manifest's, or without a model those of the configuration.
    ///
    /// # Errors
    /// There is neither a manifest nor a list of labels; or the manifest names less than two labels, and the
    /// person may not add any.
    pub fn labels(&self, manifest: Option<&LabelSet>) -> Result<LabelSet, Problems> {
        let problem = |path: &str, found: &str, expected: &str| {
            Err(Problems(vec![Problem { path: path.into(), found: found.into(), expected: expected.into() }]))
        };
        match manifest.or(self.labels.as_ref()) {
            None => problem(
                "",
                "neither a model nor labels",
                "`model` (the address of a manifest) or `labels` (a list of the possible answers)",
            ),
            Some(labels) if labels.len() < 2 && !self.open_labels => problem(
                "open_labels",
                "false beside a model that names less than two labels",
                "true (the person adds the answers), or a manifest that names them",
            ),
            Some(labels) => Ok(labels.clone()),
        }
    }

    /// When the model may settle an item alone.
    ///
    /// # Errors
    /// The policy names labels that are not among `labels`.
    pub fn policy(&self, labels: &LabelSet) -> Result<Policy, Problems> {
        self.policy.resolve(labels)
    }

    /// The threshold without a target.
    #[must_use]
    pub fn accept_at(&self) -> f32 {
        self.policy.accept_at.unwrap_or(Policy::default().accept_at)
    }

    /// A promise in place of the policy's threshold.
    #[must_use]
    pub fn target(&self) -> Option<TargetRules> {
        self.policy.target.clone()
    }

    /// Keys for labels, where they differ from the standard.
    ///
    /// # Errors
    /// A key is given to a label that is not among `labels`.
    pub fn label_keys(&self, labels: &LabelSet) -> Result<Vec<(LabelId, Arc<str>)>, Problems> {
        self.keys.of_labels(labels)
    }
}

fn config(node: &Node<'_>) -> Option<Config> {
    let fields = node.object(&[
        "$schema",
        "schema",
        "model",
        "items",
        "labels",
        "open_labels",
        "question",
        "policy",
        "learning",
        "order",
        "predictions",
        "annotator",
        "project",
        "workers",
        "item_deadline_ms",
        "autostart",
        "keys",
        "lang",
        "theme",
        "delivery",
    ])?;
    let mut config = Config::default();
    fields.fill("$schema", &mut (), |node| node.text().map(drop));
    fields.fill("schema", &mut (), |node| node.choice(&[(SCHEMA, ())]));
    fields.fill("model", &mut config.model, |node| sections::model(node).map(Some));
    fields.fill("items", &mut config.items, sections::items);
    if let Some(node) = fields.optional("labels") {
        config.labels = if fields.optional("model").is_some() {
            node.report("labels beside a model", "one of the two: a model's manifest names the labels")
        } else {
            manifest::labels(&node)
        };
    }
    fields.fill("question", &mut config.question, |node| name(node).map(Some));
    fields.fill("policy", &mut config.policy, policy::policy);
    fields.fill("learning", &mut config.learning, sections::learning);
    fields.fill("open_labels", &mut config.open_labels, |node| node.boolean());
    fields.fill("order", &mut config.order, sections::order);
    fields.fill("predictions", &mut config.predictions, |node| {
        node.choice(&[
            ("hidden", PredictionShown::Hidden),
            ("shown", PredictionShown::Shown),
            ("after", PredictionShown::After),
        ])
    });
    fields.fill("annotator", &mut config.annotator, |node| name(node).map(Some));
    fields.fill("project", &mut config.project, |node| name(node).map(Some));
    fields.fill("workers", &mut config.workers, |node| {
        node.integer(1..=16).and_then(|count| usize::try_from(count).ok()).map(Some)
    });
    fields.fill("item_deadline_ms", &mut config.item_deadline_ms, |node| node.integer(100..=600_000));
    fields.fill("autostart", &mut config.autostart, |node| node.boolean());
    fields.fill("keys", &mut config.keys, sections::keys);
    fields.fill("lang", &mut config.lang, |node| sections::lang(node).map(Some));
    fields.fill("theme", &mut config.theme, |node| {
        node.choice(&[("auto", Theme::Auto), ("light", Theme::Light), ("dark", Theme::Dark)])
    });
    fields.fill("delivery", &mut config.delivery, delivery::read);
    Some(config)
}

/// A text that is not empty and not longer than anybody needs.
fn name(node: &Node<'_>) -> Option<Arc<str>> {
    match node.name()? {
        text if text.chars().count() <= 1_000 => Some(text.into()),
        _ => node.wrong("a text of at most 1000 characters"),
    }
}
