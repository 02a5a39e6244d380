//! Records as files: JSON Lines (complete) and CSV (flat, for spreadsheets).
//!
//! CSV follows RFC 4180: lines end with CR LF, texts stand in double quotes, a double quote in them is
//! doubled. Null is an empty cell, an empty text is `""`. `top`, `reasons` and `meta` are JSON in a cell.
//!
//! A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, and a label or a note
//! may begin so. As OWASP advises ("CSV Injection"), such a text gets a leading apostrophe; so does one
//! that begins with a tab or a line's end, with a full-width twin of those signs, or with an apostrophe.
//! Because of the last, taking one leading apostrophe off a text always gives back the original.

use serde_json::Value;

use super::record::Record;
use crate::reader::json_text;

/// The columns of the CSV in their order.
pub const COLUMNS: [&str; 29] = [
    "id",
    "item_id",
    "kind",
    "role",
    "label",
    "supersedes",
    "predicted_label",
    "confidence",
    "confidence_raw",
    "margin",
    "entropy",
    "top",
    "model_name",
    "model_version",
    "model_sha256",
    "head_version",
    "decision",
    "reasons",
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
    "schema",
];

/// `records` as JSON Lines, each line ended.
#[must_use]
pub fn json_lines<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    records.into_iter().fold(String::new(), |mut out, record| {
        out.push_str(&record.to_string());
        out.push('\n');
        out
    })
}

/// `records` as CSV with its header.
#[must_use]
pub fn csv<'a>(records: impl IntoIterator<Item = &'a Record>) -> String {
    records.into_iter().fold(csv_header(), |mut out, record| {
        out.push_str(&csv_row(record));
        out
    })
}

/// The first line of the CSV, ended.
#[must_use]
pub fn csv_header() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// One record as a line of the CSV, ended.
#[must_use]
pub fn csv_row(record: &Record) -> String {
    let prediction = record.prediction.as_ref();
    let model = prediction.map(|p| &p.model);
    let number = |of: fn(&super::record::Prediction) -> f64| plain(prediction.map(of).map(Value::from));
    let cells: [String; COLUMNS.len()] = [
        text(Some(&record.id.to_string())),
        text(Some(&record.item_id)),
        text(Some(record.kind.word())),
        text(Some(record.role.word())),
        text(record.answer.as_ref().map(|answer| answer.label.as_str())),
        text(record.supersedes.map(|id| id.to_string()).as_deref()),
        text(prediction.map(|p| p.label.as_str())),
        number(|p| p.confidence),
        number(|p| p.confidence_raw),
        number(|p| p.margin),
        number(|p| p.entropy),
        text(prediction.map(|p| json(&p.top)).as_deref()),
        text(model.map(|m| m.name.as_str())),
        text(model.map(|m| m.version.as_str())),
        text(model.map(|m| m.sha256.as_str())),
        text(prediction.and_then(|p| p.head_version.as_deref())),
        text(Some(record.policy.decision.word())),
        text(Some(&json(&record.policy.reasons))),
        text(Some(record.prediction_shown.word())),
        text(record.annotator.as_deref()),
        text(Some(&record.session)),
        text(record.shown_at.map(|at| at.to_string()).as_deref()),
        text(Some(&record.answered_at.to_string())),
        plain(record.seconds.map(Value::from)),
        plain(Some(Value::from(record.skipped_before))),
        plain(Some(Value::from(record.flagged))),
        text(record.note.as_deref()),
        text(record.meta.as_ref().map(json_text).as_deref()),
        text(Some(super::record::SCHEMA)),
    ];
    cells.join(",") + "\r\n"
}

/// Numbers and truth values, as JSON writes them; none begins with a minus sign.
fn plain(value: Option<Value>) -> String {
    value.as_ref().map(json_text).unwrap_or_default()
}

fn json(value: &impl serde::Serialize) -> String {
    // Writing to memory with text keys cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

/// A text's cell; empty for none.
pub(crate) fn text(content: Option<&str>) -> String {
    let Some(content) = content else { return String::new() };
    let guard = content.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '\'']);
    format!("\"{}{}\"", if guard { "'" } else { "" }, content.replace('"', "\"\""))
}
