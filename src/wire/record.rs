//! The correction record, version 1: one answer with everything that is known of how it came about.
//!
//! One record is one JSON object and one line of an export. Its schema is published as
//! `www/schema/record.v1.schema.json`; `tests/record.rs` holds both to the same golden files.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::{Uuid, Variant};

use super::moment::{Moment, NotAMoment};
use crate::reader::{Fields, Node, Problems, read, read_text};

/// The first field of every record of this version.
pub const SCHEMA: &str = "hitl-labeler/record/1";

/// Says that a record is of version 1; written as [`SCHEMA`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(SCHEMA)
    }
}

/// A closed set of words, each standing for a variant.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every variant with the word that stands for it in a record.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// The word that stands for it in a record.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.word())
            }
        }
    };
}

words! {
    /// What a record says.
    Kind {
        /// A person gave a label.
        Correction = "correction",
        /// The model settled the item by itself.
        Accepted = "accepted",
        /// A person took the record back that [`Record::supersedes`] names.
        Undo = "undo",
    }
}

words! {
    /// Why a person was asked, or could have been.
    Role {
        /// The model was not sure.
        Deferred = "deferred",
        /// The model was sure and the random sample chose the item.
        Audit = "audit",
        /// The model settled it and it stands in the grid for review.
        Review = "review",
        /// There was no prediction.
        Manual = "manual",
    }
}

words! {
    /// What the policy made of the prediction.
    Decision {
        /// The model may settle the item.
        Accept = "accept",
        /// A person is asked.
        Defer = "defer",
        /// The model may settle it, and a person is asked nevertheless.
        Audit = "audit",
    }
}

words! {
    /// Whether the person saw the prediction before answering.
    PredictionShown {
        /// Never.
        Hidden = "hidden",
        /// While answering.
        Shown = "shown",
        /// Only once the answer was given.
        After = "after",
    }
}

/// One answer, one accept or one undo; field for field what the JSON has, in its order.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The version.
    pub schema: Schema,
    /// UUIDv7, given once where the answer is given: the same id is the same record, however often it arrives.
    #[serde(serialize_with = "id_text")]
    pub id: Uuid,
    /// The item, by the host's own id; not empty.
    pub item_id: String,
    /// What the record says.
    pub kind: Kind,
    /// Why a person was asked.
    pub role: Role,
    /// The label; `None` exactly for an undo.
    pub answer: Option<Answer>,
    /// The record that this one replaces or, for an undo, takes back.
    #[serde(serialize_with = "optional_id_text")]
    pub supersedes: Option<Uuid>,
    /// What the model said; `None` where there is no model or it failed.
    pub prediction: Option<Prediction>,
    /// What the policy made of it.
    pub policy: Policy,
    /// Whether the person saw the prediction.
    pub prediction_shown: PredictionShown,
    /// Who answered, if the host says so.
    pub annotator: Option<String>,
    /// One run of the element in one page; not empty.
    pub session: String,
    /// When the question was painted; `None` for what nobody was asked.
    pub shown_at: Option<Moment>,
    /// When the answer was given.
    pub answered_at: Moment,
    /// Time spent on the question, in seconds; `None` for what nobody was asked.
    pub seconds: Option<f64>,
    /// How often the item was skipped before.
    pub skipped_before: u32,
    /// Marked by the person for a second look.
    pub flagged: bool,
    /// The person's remark.
    pub note: Option<String>,
    /// The item's `meta` as the host gave it.
    pub meta: Option<Value>,
}

/// What the person chose, or what the model settled on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The label; not empty.
    pub label: String,
}

/// What the model said of the item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The most probable label.
    pub label: String,
    /// Its calibrated probability, 0 to 1.
    pub confidence: f64,
    /// Its probability before calibration, 0 to 1.
    pub confidence_raw: f64,
    /// Calibrated probability of the first label less that of the second, 0 to 1.
    pub margin: f64,
    /// Entropy of the calibrated probabilities, at least 0.
    pub entropy: f64,
    /// The most probable labels, falling.
    pub top: Vec<Candidate>,
    /// The model.
    pub model: ModelName,
    /// The version of the part that learnt in the page; `None` for the model as it came.
    pub head_version: Option<String>,
}

/// A label with its calibrated probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The label.
    pub label: String,
    /// Its calibrated probability, 0 to 1.
    pub p: f64,
}

/// Which model it was, to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelName {
    /// From the manifest.
    pub name: String,
    /// From the manifest.
    pub version: String,
    /// Of the ONNX file, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The policy's decision with the result of every rule that it looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What it came to.
    pub decision: Decision,
    /// One entry for each rule evaluated, also for those that did not hold, in order of evaluation.
    pub reasons: Vec<Reason>,
}

/// The result of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which rule: its name or its path in the configuration, such as `defer_when.any[0].margin_below`.
    pub rule: String,
    /// What it asks for, in plain words: `confidence at least 0.9`.
    pub says: String,
    /// Whether it held.
    pub result: bool,
}

/// `value` to six decimals, as numbers should stand in a record.
///
/// A number of few digits is read exactly by every JSON reader, also by those that trade the last bit
/// for size or speed (`serde_json` without `float_roundtrip`). A record that was stored, read and
/// written again is then still the same record to a backend that compares contents.
#[must_use]
pub fn six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl Record {
    /// Reads a record from JSON text.
    ///
    /// # Errors
    /// Not JSON, or every field that is not as version 1 has it.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        read_text(text, |node| Self::read(&node))
    }

    /// Reads a record from a JSON value.
    ///
    /// # Errors
    /// Every field that is not as version 1 has it.
    pub fn from_json(value: &Value) -> Result<Self, Problems> {
        read(value, |node| Self::read(&node))
    }

    /// Reads a record at `node`; what is wrong is reported there.
    ///
    /// A field that may be null may also be absent. An unknown field is a problem: dropping it would
    /// lose what the sender believes to be kept (`meta` takes anything).
    #[must_use]
    pub fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&[
            "schema",
            "id",
            "item_id",
            "kind",
            "role",
            "answer",
            "supersedes",
            "prediction",
            "policy",
            "prediction_shown",
            "annotator",
            "session",
            "shown_at",
            "answered_at",
            "seconds",
            "skipped_before",
            "flagged",
            "note",
            "meta",
        ])?;
        // Every field is read before the first `?`, so that one answer names all that is wrong.
        let schema = fields.required("schema").and_then(|n| n.choice(&[(SCHEMA, Schema)]));
        let id = fields.required("id").and_then(|n| record_id(&n));
        let item_id = name(&fields, "item_id");
        let kind = fields.required("kind").and_then(|n| n.choice(Kind::WORDS));
        let role = fields.required("role").and_then(|n| n.choice(Role::WORDS));
        let answer = match kind {
            Some(Kind::Undo) => match fields.optional("answer") {
                Some(n) => n.wrong("null, as an undo has no answer"),
                None => Some(None),
            },
            Some(_) => fields.required("answer").and_then(|n| Answer::read(&n)).map(Some),
            None => nullable(&fields, "answer", Answer::read),
        };
        let supersedes = match kind {
            Some(Kind::Undo) => fields.required("supersedes").and_then(|n| record_id(&n)).map(Some),
            _ => nullable(&fields, "supersedes", record_id),
        };
        let itself = id.is_some() && supersedes.flatten() == id;
        let supersedes = match fields.optional("supersedes") {
            Some(n) if itself => n.wrong("the id of another record"),
            _ => supersedes,
        };
        let prediction = nullable(&fields, "prediction", Prediction::read);
        let policy = fields.required("policy").and_then(|n| Policy::read(&n));
        let prediction_shown =
            fields.required("prediction_shown").and_then(|n| n.choice(PredictionShown::WORDS));
        let annotator = nullable(&fields, "annotator", |n| n.name().map(str::to_owned));
        let session = name(&fields, "session");
        let shown_at = nullable(&fields, "shown_at", moment);
        let answered_at = fields.required("answered_at").and_then(|n| moment(&n));
        let seconds = nullable(&fields, "seconds", |n| n.number(0.0..=f64::MAX));
        let skipped_before =
            fields.required("skipped_before").and_then(|n| n.integer(0..=i64::from(u32::MAX)));
        let flagged = fields.required("flagged").and_then(|n| n.boolean());
        let note = nullable(&fields, "note", |n| n.text().map(str::to_owned));
        let meta = fields.optional("meta").map(|n| n.value().clone());
        Some(Self {
            schema: schema?,
            id: id?,
            item_id: item_id?,
            kind: kind?,
            role: role?,
            answer: answer?,
            supersedes: supersedes?,
            prediction: prediction?,
            policy: policy?,
            prediction_shown: prediction_shown?,
            annotator: annotator?,
            session: session?,
            shown_at: shown_at?,
            answered_at: answered_at?,
            seconds: seconds?,
            skipped_before: u32::try_from(skipped_before?).ok()?,
            flagged: flagged?,
            note: note?,
            meta,
        })
    }
}

/// The record as one line of JSON, without the line's end.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Writing to memory with text keys cannot fail.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Answer {
    fn read(node: &Node<'_>) -> Option<Self> {
        Some(Self { label: name(&node.object(&["label"])?, "label")? })
    }
}

impl Prediction {
    fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&[
            "label",
            "confidence",
            "confidence_raw",
            "margin",
            "entropy",
            "top",
            "model",
            "head_version",
        ])?;
        let label = name(&fields, "label");
        let confidence = probability(&fields, "confidence");
        let confidence_raw = probability(&fields, "confidence_raw");
        let margin = probability(&fields, "margin");
        let entropy = fields.required("entropy").and_then(|n| n.number(0.0..=f64::MAX));
        let top = fields.required("top").and_then(|n| each(&n, Candidate::read));
        let model = fields.required("model").and_then(|n| ModelName::read(&n));
        let head_version = nullable(&fields, "head_version", |n| n.name().map(str::to_owned));
        Some(Self {
            label: label?,
            confidence: confidence?,
            confidence_raw: confidence_raw?,
            margin: margin?,
            entropy: entropy?,
            top: top?,
            model: model?,
            head_version: head_version?,
        })
    }
}

impl Candidate {
    fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&["label", "p"])?;
        let (label, p) = (name(&fields, "label"), probability(&fields, "p"));
        Some(Self { label: label?, p: p? })
    }
}

impl ModelName {
    fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&["name", "version", "sha256"])?;
        let (model, version) = (name(&fields, "name"), name(&fields, "version"));
        let sha256 = fields.required("sha256").and_then(|n| {
            let text = n.value().as_str().unwrap_or_default();
            let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if digits && text.len() == 64 {
                Some(text.to_owned())
            } else {
                n.wrong("64 lower-case hexadecimal digits")
            }
        });
        Some(Self { name: model?, version: version?, sha256: sha256? })
    }
}

impl Policy {
    fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&["decision", "reasons"])?;
        let decision = fields.required("decision").and_then(|n| n.choice(Decision::WORDS));
        let reasons = fields.required("reasons").and_then(|n| each(&n, Reason::read));
        Some(Self { decision: decision?, reasons: reasons? })
    }
}

impl Reason {
    fn read(node: &Node<'_>) -> Option<Self> {
        let fields = node.object(&["rule", "says", "result"])?;
        let rule = name(&fields, "rule");
        let says = fields.required("says").and_then(|n| n.text().map(str::to_owned));
        let result = fields.required("result").and_then(|n| n.boolean());
        Some(Self { rule: rule?, says: says?, result: result? })
    }
}

/// A field that may be null or absent: `None` if it is wrong, `Some(None)` if it is not there.
#[allow(clippy::option_option)]
fn nullable<T>(
    fields: &Fields<'_>,
    key: &str,
    reader: impl FnOnce(&Node<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match fields.optional(key) {
        Some(node) => reader(&node).map(Some),
        None => Some(None),
    }
}

/// Every element of a list; all are read, so that all problems are reported.
fn each<T>(node: &Node<'_>, reader: impl Fn(&Node<'_>) -> Option<T>) -> Option<Vec<T>> {
    let elements: Vec<_> = node.list()?.iter().map(reader).collect();
    elements.into_iter().collect()
}

fn name(fields: &Fields<'_>, key: &str) -> Option<String> {
    fields.required(key).and_then(|n| n.name().map(str::to_owned))
}

fn probability(fields: &Fields<'_>, key: &str) -> Option<f64> {
    fields.required(key).and_then(|n| n.number(0.0..=1.0))
}

fn moment(node: &Node<'_>) -> Option<Moment> {
    let read = node.value().as_str().unwrap_or_default().parse();
    read.or_else(|NotAMoment| {
        node.wrong("an RFC 3339 time in UTC with milliseconds, such as 2026-01-31T09:05:00.000Z").ok_or(())
    })
    .ok()
}

/// A UUIDv7 in its one canonical form, so that equal ids are equal texts in every store.
fn record_id(node: &Node<'_>) -> Option<Uuid> {
    let text = node.value().as_str().unwrap_or_default();
    let id = Uuid::try_parse(text).ok().filter(|id| {
        let canonical = *id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *text;
        canonical && id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122
    });
    id.or_else(|| node.wrong("a UUIDv7 in lower case, such as 01890a5d-ac96-774b-bcce-b302099a8057"))
}

fn id_text<S: Serializer>(id: &Uuid, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

// Serde passes a reference to the field.
#[allow(clippy::ref_option)]
fn optional_id_text<S: Serializer>(id: &Option<Uuid>, to: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => id_text(id, to),
        None => to.serialize_none(),
    }
}
