//! A learned head as a file, version 1: what one visitor's answers taught, for another visitor or the next visit.
//!
//! Published as `www/schema/head.v1.schema.json`; `tests/head.rs` holds the two together. A head is bound to its
//! model by the digest of the model's file, and to the meaning of its rows by the label ids.

use crate::domain::correction::ModelName;
use crate::domain::label::LabelSet;
use crate::input::card::ModelCard;
use crate::reader::{Node, Problems, read_text};

/// What the file's `schema` says.
pub const SCHEMA: &str = "hitl-labeler/head/1";

/// A head with what it was learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFile {
    /// Whether it scales the model's scores (one weight a label) instead of reading features.
    pub scaling: bool,
    /// Training answers that are in it.
    pub answers: u32,
    /// The temperature that was fitted with it, 0.05 to 20.
    pub temperature: f32,
    /// Labels × features, row by row; or one a label.
    pub weights: Vec<f32>,
    /// One a label.
    pub bias: Vec<f32>,
}

/// Writes a head of this model for these labels.
#[must_use]
pub fn write(head: &HeadFile, model: &ModelName, labels: &LabelSet) -> String {
    let mut text = String::with_capacity(head.weights.len() * 12 + 1_000);
    let width = head.weights.len() / labels.len().max(1);
    text.push_str("{\n  \"schema\": ");
    quoted(SCHEMA, &mut text);
    for (key, value) in [("name", &model.name), ("version", &model.version), ("sha256", &model.sha256)] {
        text.push_str(if key == "name" { ",\n  \"model\": {" } else { ", " });
        quoted(key, &mut text);
        text.push_str(": ");
        quoted(value, &mut text);
    }
    text.push_str("},\n  \"kind\": ");
    quoted(if head.scaling { "scaling" } else { "linear" }, &mut text);
    text.push_str(",\n  \"labels\": [");
    for (at, (_, label)) in labels.iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        quoted(&label.id, &mut text);
    }
    text.push_str(&format!(
        "],\n  \"answers\": {},\n  \"temperature\": {},\n  \"bias\": ",
        head.answers, head.temperature
    ));
    numbers(&head.bias, &mut text);
    text.push_str(",\n  \"weights\": [");
    for (at, row) in head.weights.chunks(width.max(1)).enumerate() {
        text.push_str(if at > 0 { ",\n    " } else { "\n    " });
        numbers(row, &mut text);
    }
    text.push_str("\n  ]\n}\n");
    text
}

fn quoted(word: &str, text: &mut String) {
    text.push_str(&serde_json::Value::from(word).to_string());
}

fn numbers(row: &[f32], text: &mut String) {
    text.push('[');
    for (at, number) in row.iter().enumerate() {
        // Rust writes the shortest text that reads back as the same number.
        text.push_str(&format!("{}{number}", if at > 0 { ", " } else { "" }));
    }
    text.push(']');
}

/// Reads a head for this model.
///
/// # Errors
/// Everything that is wrong with it, and a head of another model or of other labels.
pub fn parse(text: &str, card: &ModelCard) -> Result<HeadFile, Problems> {
    read_text(text, |node| head(&node, card))
}

fn head(node: &Node<'_>, card: &ModelCard) -> Option<HeadFile> {
    let fields = node.object(&[
        "$schema",
        "schema",
        "model",
        "kind",
        "labels",
        "answers",
        "temperature",
        "bias",
        "weights",
    ])?;
    let schema = fields.required("schema").and_then(|node| node.choice(&[(SCHEMA, ())]));
    let model = fields.required("model").and_then(|node| {
        let fields = node.object(&["name", "version", "sha256"])?;
        let digest = fields.required("sha256")?;
        match digest.text()? {
            sha256 if sha256 == card.sha256.to_string() => Some(()),
            _ => digest.wrong(format!(
                "the digest of the model that the manifest names, {}: a head fits its own model only",
                card.sha256
            )),
        }
    });
    let scaling = fields
        .required("kind")
        .and_then(|node| node.choice(&[("linear", false), ("scaling", true)]))
        .filter(|_| true);
    let labels = fields.required("labels").and_then(|node| {
        let list = node.list()?;
        let ids: Vec<_> = list.iter().filter_map(|node| node.text()).collect();
        let fit = ids.len() == card.labels.len()
            && ids.iter().zip(card.labels.iter()).all(|(id, (_, label))| *id == &*label.id);
        if fit { Some(ids.len()) } else { node.report("other labels", "the model's labels, in its order") }
    });
    let answers = fields
        .required("answers")
        .and_then(|node| u32::try_from(node.integer(0..=i64::from(u32::MAX))?).ok());
    #[allow(clippy::cast_possible_truncation)]
    let temperature =
        fields.required("temperature").and_then(|node| node.number(0.05..=20.0)).map(|t| t as f32);
    let labels = labels?;
    let bias = fields.required("bias").and_then(|node| row(&node, Some(labels)));
    let weights = fields.required("weights").and_then(|node| {
        let rows = node.list()?;
        if rows.len() != labels {
            return node.wrong(format!("a list of {labels} rows, one a label"));
        }
        let width = rows.first()?.list()?.len();
        let rows: Vec<_> = rows.iter().map(|node| row(node, Some(width))).collect();
        rows.into_iter().collect::<Option<Vec<_>>>()
    });
    schema?;
    model?;
    Some(HeadFile {
        scaling: scaling?,
        answers: answers?,
        temperature: temperature?,
        bias: bias?,
        weights: weights?.concat(),
    })
}

fn row(node: &Node<'_>, width: Option<usize>) -> Option<Vec<f32>> {
    let list = node.list()?;
    if width.is_some_and(|width| list.len() != width) {
        return node.wrong(format!("a list of {} numbers", width.unwrap_or_default()));
    }
    #[allow(clippy::cast_possible_truncation)]
    let row: Vec<_> = list.iter().map(|node| node.number(-1e30..=1e30).map(|number| number as f32)).collect();
    row.into_iter().collect()
}
