//! The model manifest, version 1: `model.json` -> [`ModelCard`].
//!
//! Published as `www/schema/model.v1.schema.json`; `tests/manifest.rs` holds the two together. Only what
//! a JSON Schema cannot say (label ids that are unique beside differing names) is the parser's alone.
//!
//! A model with scores names two labels or more, one a score. One that gives features only starts from nothing:
//! it may name some, one or none, and the person adds the others in the page.

use crate::domain::label::{Label, LabelSet};
use crate::domain::prediction::{Activation, ScoreScale, Temperature};
use crate::input::InputSpec;
use crate::input::card::{Digest, ModelCard, ScoresOutput};
use crate::reader::{Fields, Node, Problems, read_text};

/// What the manifest's `schema` says.
pub const SCHEMA: &str = "hitl-labeler/model/1";

/// The largest model file. A worker holds a model about four times over while it loads it (the bytes,
/// the parsed graph, the weights, the packed weights) and has 4 GiB at most.
pub const MAX_MODEL_BYTES: u32 = 512 << 20;

/// The most labels.
pub const MAX_LABELS: usize = 65_535;

/// Reads a manifest.
///
/// # Errors
/// Everything that is wrong with it: path, what was found, what was expected.
pub fn parse(text: &str) -> Result<ModelCard, Problems> {
    read_text(text, |node| card(&node))
}

fn card(node: &Node<'_>) -> Option<ModelCard> {
    let fields = node.object(&[
        "$schema",
        "schema",
        "name",
        "version",
        "file",
        "sha256",
        "bytes",
        "input",
        "outputs",
        "labels",
        "temperature",
        "question",
        "licence",
        "card",
        "updates",
    ])?;
    // Everything is read before the first `?`, so that all problems are reported at once.
    let editor_schema = optional(&fields, "$schema", |node| node.text());
    let schema = fields.required("schema").and_then(|node| node.choice(&[(SCHEMA, ())]));
    let name = name(&fields, "name");
    let version = self::name(&fields, "version");
    let file = self::name(&fields, "file");
    let sha256 = fields.required("sha256").and_then(|node| {
        let text = node.text()?;
        Digest::from_hex(text).or_else(|| {
            node.wrong(
                "the SHA-256 of the model file as 64 hexadecimal digits (`sha256sum model.onnx` prints it)",
            )
        })
    });
    let bytes = fields.required("bytes").and_then(|node| node.integer(1..=i64::from(MAX_MODEL_BYTES)));
    let input = fields.required("input").and_then(|node| InputSpec::read(&node));
    let outputs = fields.required("outputs").and_then(|node| outputs(&node));
    let labels = match &outputs {
        Some((None, _)) => match fields.optional("labels") {
            Some(node) => some_labels(&node),
            None => Some(LabelSet::default()),
        },
        _ => fields.required("labels").and_then(|node| labels(&node)),
    };
    let temperature = optional(&fields, "temperature", |node| {
        #[allow(clippy::cast_possible_truncation)]
        let degrees = node.number(0.05..=20.0)? as f32;
        Temperature::new(degrees).or_else(|| node.wrong("a number from 0.05 to 20"))
    });
    let question = optional(&fields, "question", |node| Some(node.name()?.to_owned()));
    let licence = optional(&fields, "licence", |node| Some(node.name()?.to_owned()));
    let card = optional(&fields, "card", |node| Some(node.name()?.to_owned()));
    let updates = optional(&fields, "updates", |node| Some(node.name()?.to_owned()));
    editor_schema?;
    schema?;
    let (input_name, input) = input?;
    let (scores, features) = outputs?;
    Some(ModelCard {
        name: name?,
        version: version?,
        file: file?,
        sha256: sha256?,
        bytes: bytes?.unsigned_abs(),
        input_name,
        input,
        scores,
        features,
        labels: labels?,
        temperature: temperature?.unwrap_or(Temperature::ONE),
        question: question?,
        licence: licence?,
        card: card?,
        updates: updates?,
    })
}

fn name(fields: &Fields<'_>, key: &str) -> Option<String> {
    Some(fields.required(key)?.name()?.to_owned())
}

/// `Some(None)` when the field is absent, `None` when it is there and wrong.
pub(super) fn optional<'a, T>(
    fields: &Fields<'a>,
    key: &str,
    read: impl FnOnce(Node<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match fields.optional(key) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}

fn outputs(node: &Node<'_>) -> Option<(Option<ScoresOutput>, Option<String>)> {
    let fields = node.object(&["scores", "features"])?;
    let scores = optional(&fields, "scores", |node| {
        let fields = node.object(&["name", "as", "activation"])?;
        let name = optional(&fields, "name", |node| Some(node.name()?.to_owned()));
        let scale = fields.required("as").and_then(|node| {
            node.choice(&[("logits", ScoreScale::Logits), ("probabilities", ScoreScale::Probabilities)])
        });
        let activation = fields.required("activation").and_then(|node| {
            node.choice(&[("softmax", Activation::Softmax), ("sigmoid", Activation::Sigmoid)])
        });
        Some(ScoresOutput { name: name?, scale: scale?, activation: activation? })
    });
    let features = optional(&fields, "features", |node| {
        Some(node.object(&["name"])?.required("name")?.name()?.to_owned())
    });
    match (scores?, features?) {
        (None, None) => node.report("neither scores nor features", "`scores`, `features` or both"),
        found => Some(found),
    }
}

/// Labels to choose from: fewer than two are no question.
pub(super) fn labels(node: &Node<'_>) -> Option<LabelSet> {
    if node.value().as_array().is_some_and(|list| list.len() < 2) {
        return node.wrong(format!("a list of 2 to {MAX_LABELS} labels"));
    }
    some_labels(node)
}

/// Labels that others will be added to.
fn some_labels(node: &Node<'_>) -> Option<LabelSet> {
    let nodes = node.list()?;
    if nodes.len() > MAX_LABELS {
        return node.wrong(format!("a list of at most {MAX_LABELS} labels"));
    }
    let read: Vec<Option<Label>> = nodes.iter().map(label).collect();
    let mut first_of = std::collections::HashMap::new();
    for (i, label) in read.iter().enumerate() {
        let Some(label) = label else { continue };
        let first = *first_of.entry(label.id.clone()).or_insert(i);
        if first != i {
            let _: Option<()> = nodes[i].report(
                format!("the id {:?}, which labels[{first}] has", label.id),
                "an id that no other label has",
            );
        }
    }
    LabelSet::new(read.into_iter().collect::<Option<_>>()?).ok()
}

/// A label: `"cat"` for one whose name is its id, or `{"id": "cat", "name": "Cat"}`.
fn label(node: &Node<'_>) -> Option<Label> {
    if node.value().is_object() {
        let fields = node.object(&["id", "name"])?;
        let (id, name) = (name(&fields, "id"), self::name(&fields, "name"));
        return Some(Label { id: id?.into(), name: name?.into() });
    }
    match node.value().as_str() {
        Some(text) if !text.trim().is_empty() => Some(Label { id: text.into(), name: text.into() }),
        _ => node.wrong("a text that is not empty or an object of id and name"),
    }
}
