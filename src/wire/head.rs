//! A learned head as a file, version 1: what one visitor's answers taught, for another visitor or the next visit.
//!
//! Published as `www/schema/head.v1.schema.json`; `tests/head.rs` holds the two together. A head is bound to its
//! model by the digest of the model's file, and to the meaning of its rows by the label ids: the manifest's, in its
//! order, and behind them those that the person added. The parser knows the manifest, the schema does not: whose head
//! it is and how long its lists are is the parser's alone.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::correction::ModelName;
use crate::domain::decimal::shortest;
use crate::domain::label::{Label, LabelSet};
use crate::input::card::{Digest, ModelCard};
use crate::reader::{Node, Problems, read_text};
use crate::wire::manifest::optional;

/// What the file's `schema` says.
pub const SCHEMA: &str = "hitl-labeler/head/1";

/// A head with what it was learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFile {
    /// Whether it scales the model's scores (one weight a label) instead of reading features.
    pub scaling: bool,
    /// Ids of labels that the person added to the manifest's, in order. [`write`] has them among its labels.
    pub added: Vec<Arc<str>>,
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
        head.answers,
        shortest(head.temperature)
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
    text.push_str(&Value::from(word).to_string());
}

fn numbers(row: &[f32], text: &mut String) {
    text.push('[');
    for (at, number) in row.iter().enumerate() {
        text.push_str(if at > 0 { ", " } else { "" });
        text.push_str(&shortest(*number));
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
    // Everything is read before the first `?`, so that all problems are reported at once.
    let editor_schema = optional(&fields, "$schema", |node| node.text());
    let schema = fields.required("schema").and_then(|node| node.choice(&[(SCHEMA, ())]));
    let model = fields.required("model").and_then(|node| model(&node, card));
    let scaling =
        fields.required("kind").and_then(|node| node.choice(&[("linear", false), ("scaling", true)]));
    let added = fields.required("labels").and_then(|node| labels(&node, card));
    // The rows are held to the labels that the head names; to the manifest's if these are wrong.
    let count = card.labels.len() + added.as_ref().map_or(0, Vec::len);
    let answers = fields
        .required("answers")
        .and_then(|node| u32::try_from(node.integer(0..=i64::from(u32::MAX))?).ok());
    #[allow(clippy::cast_possible_truncation)]
    let temperature =
        fields.required("temperature").and_then(|node| node.number(0.05..=20.0)).map(|t| t as f32);
    let bias = fields.required("bias").and_then(|node| row(&node, Some(count)));
    // A scaling head has one weight a label; the width of the others is the model's, which only its graph knows.
    let width = scaling.and_then(|scaling| scaling.then_some(1));
    let weights = fields.required("weights").and_then(|node| rows(&node, count, width));
    editor_schema?;
    schema?;
    model?;
    Some(HeadFile {
        scaling: scaling?,
        added: added?,
        answers: answers?,
        temperature: temperature?,
        bias: bias?,
        weights: weights?,
    })
}

fn model(node: &Node<'_>, card: &ModelCard) -> Option<()> {
    let fields = node.object(&["name", "version", "sha256"])?;
    let name = fields.required("name").and_then(|node| node.name());
    let version = fields.required("version").and_then(|node| node.name());
    let sha256 = fields.required("sha256").and_then(|node| {
        let own = Digest::from_hex(node.text()?).is_some_and(|sha256| sha256 == card.sha256);
        if own {
            return Some(());
        }
        node.wrong(format!(
            "the digest of the model that the manifest names, {}: a head fits its own model only",
            card.sha256
        ))
    });
    name?;
    version?;
    sha256
}

/// The rows mean the model's labels, in its order, and then those that the person added, which are returned.
fn labels(node: &Node<'_>, card: &ModelCard) -> Option<Vec<Arc<str>>> {
    let nodes = node.list()?;
    let count = card.labels.len();
    if nodes.len() < count {
        return node.wrong(format!(
            "a list that begins with the {count} labels that the manifest names, in its order, before any added ones"
        ));
    }
    let (own, more) = nodes.split_at(count);
    let each = own.iter().zip(card.labels.iter()).map(|(node, (_, label))| match node.text()? {
        id if *id == *label.id => Some(()),
        _ => node.wrong(format!("{:?}, which the manifest names at this place", label.id)),
    });
    // All of them, so that each one is reported.
    let own = each.fold(Some(()), Option::and);
    let added: Option<Vec<Arc<str>>> = more.iter().map(|node| node.name().map(Into::into)).collect();
    let added = added.filter(|_| own.is_some())?;
    let all = card.labels.iter().map(|(_, label)| label.clone());
    let new = added.iter().map(|id| Label { id: id.clone(), name: id.clone() });
    match LabelSet::new(all.chain(new).collect()) {
        Ok(_) => Some(added),
        Err(why) => node.report(why.to_string(), "labels that differ from each other"),
    }
}

/// The rows of a matrix one after the other.
fn rows(node: &Node<'_>, count: usize, width: Option<usize>) -> Option<Vec<f32>> {
    let nodes = node.list()?;
    if nodes.len() != count {
        return node.wrong(format!("a list of {count} rows, one a label"));
    }
    // Rows of one width: without another word the first one's.
    let first = nodes.first().and_then(|row| row.value().as_array()).map(Vec::len);
    let width = width.or(first);
    if let (Some(row), Some(0)) = (nodes.first(), width) {
        return row.wrong("a list of numbers that is not empty");
    }
    let rows: Vec<_> = nodes.iter().map(|node| row(node, width)).collect();
    Some(rows.into_iter().collect::<Option<Vec<_>>>()?.concat())
}

/// Numbers that single precision holds with room to reckon.
fn row(node: &Node<'_>, width: Option<usize>) -> Option<Vec<f32>> {
    const MOST: f64 = 1e30;
    let list = node.value().as_array();
    if let (Some(list), Some(width)) = (list, width)
        && list.len() != width
    {
        return node.wrong(format!("a list of {width} numbers"));
    }
    // A head may have a million numbers: nodes with their paths are made only where one is wrong.
    #[allow(clippy::cast_possible_truncation)]
    let number = |value: &Value| value.as_f64().filter(|n| n.abs() <= MOST).map(|n| n as f32);
    if let Some(row) = list.and_then(|list| list.iter().map(number).collect()) {
        return Some(row);
    }
    for node in node.list()? {
        let _: Option<f64> = node.number(-MOST..=MOST);
    }
    None
}
