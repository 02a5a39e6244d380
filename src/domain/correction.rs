//! What was asked, answered, by whom and why: the unit of everything that is kept and delivered.

use std::sync::Arc;

use super::ident::{RecordId, Timestamp};
use super::policy::{Outcome, Reason};
use super::value::Value;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's answer.
    Correction,
    /// The model settled the item.
    Accepted,
    /// Takes back the record that it supersedes, as if that had never been.
    Undo,
}

/// Why the person (or the model) dealt with the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model was not sure enough.
    Deferred,
    /// A blind check of what the model would have settled.
    Audit,
    /// Looked through afterwards.
    Review,
    /// Without any prediction.
    Manual,
}

/// Whether the person saw what the model thinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PredictionShown {
    /// Not at all.
    #[default]
    Hidden,
    /// Before answering.
    Shown,
    /// Only once the answer was given.
    After,
}

/// Which model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelName {
    /// Name in the manifest.
    pub name: Arc<str>,
    /// Version in the manifest.
    pub version: Arc<str>,
    /// SHA-256 of the model file, lower-case hexadecimal.
    pub sha256: Arc<str>,
}

/// A prediction in words that outlive the session: labels by id, not by position.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictionSaid {
    /// Best label.
    pub label: Arc<str>,
    /// Calibrated.
    pub confidence: f32,
    /// Before calibration.
    pub confidence_raw: f32,
    /// Best minus second-best probability.
    pub margin: f32,
    /// Normalised entropy, 0 to 1.
    pub entropy: f32,
    /// The best labels with their probabilities.
    pub top: Vec<(Arc<str>, f32)>,
    /// By which model.
    pub model: ModelName,
    /// By which head.
    pub head_version: u32,
}

/// One event in the life of an item: an answer, a settlement by the model, or its taking back.
#[derive(Clone, Debug, PartialEq)]
pub struct Correction {
    /// Sorts by creation.
    pub id: RecordId,
    /// The page's name for the item.
    pub item_id: Arc<str>,
    /// What it is about.
    pub kind: Kind,
    /// Why it was dealt with.
    pub role: Role,
    /// The label's id; `None` for an undo.
    pub answer: Option<Arc<str>>,
    /// The record whose place it takes.
    pub supersedes: Option<RecordId>,
    /// What the model had said.
    pub prediction: Option<PredictionSaid>,
    /// What the policy had decided, with every rule's result.
    pub policy: Option<(Outcome, Vec<Reason>)>,
    /// Whether the person saw the prediction.
    pub prediction_shown: PredictionShown,
    /// Who, if the page said.
    pub annotator: Option<Arc<str>>,
    /// Which visit.
    pub session: Arc<str>,
    /// When the question was put; `None` when nobody was asked.
    pub shown_at: Option<Timestamp>,
    /// When it was answered or settled.
    pub answered_at: Timestamp,
    /// Time that the person spent with the question on a visible page; 0 when nobody was asked.
    pub seconds: f64,
    /// How often the item had been skipped before.
    pub skipped_before: u32,
    /// The person marked it for somebody else to look at.
    pub flagged: bool,
    /// The person's remark.
    pub note: Option<Arc<str>>,
    /// Whatever the page wants back.
    pub meta: Arc<Value>,
}

impl Correction {
    /// About how many bytes it takes as a record: not less than it does, and seldom a quarter more.
    ///
    /// Reckoned and not measured, so that it is known wherever the record is; `tests/record.rs` holds it to what
    /// is written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Everything that every record has: names, punctuation, ids, moments, numbers at their longest.
        let mut bytes = 490 + of_text(&self.item_id) + of_text(&self.session);
        for words in [&self.answer, &self.annotator, &self.note].into_iter().flatten() {
            bytes += of_text(words);
        }
        for reason in self.policy.iter().flat_map(|(_, reasons)| reasons) {
            bytes += 34 + of_text(&reason.rule) + of_text(&reason.says);
        }
        if let Some(said) = &self.prediction {
            bytes += 258 + of_text(&said.label) + of_text(&said.model.name) + of_text(&said.model.version);
            bytes += said.top.iter().map(|(label, _)| 30 + of_text(label)).sum::<usize>();
        }
        bytes + of_value(&self.meta)
    }
}

/// Bytes of a JSON text.
fn of_text(text: &str) -> usize {
    let more = |byte: u8| match byte {
        b'"' | b'\\' => 1,
        0..=31 => 5,
        _ => 0,
    };
    2 + text.len() + text.bytes().map(more).sum::<usize>()
}

fn of_value(given: &Value) -> usize {
    match given {
        Value::Null | Value::Boolean(_) => 5,
        Value::Integer(_) | Value::Number(_) => 24,
        Value::Text(words) => of_text(words),
        Value::List(values) => 2 + values.iter().map(|each| 1 + of_value(each)).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, each)| 2 + of_text(name) + of_value(each)).sum::<usize>()
        }
    }
}
