//! The annotators' current answers brought together, as files: see [`crate::domain::aggregate`].
//!
//! Unlike the other exports this one holds all answers in memory, some tens of bytes each: the model looks at
//! them many times.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::outflow::{Format, PourError};
use super::tally::{ByItem, Row, current_of};
use crate::domain::aggregate::{Answer, DawidSkene, Fit, Verdict, agreement, best, dawid_skene, majority};
use crate::wire::export::text;
use crate::wire::record::{Kind, Record};

/// Numbers in the tables of Dawid and Skene's model at most: 256 MiB.
const MOST_NUMBERS: usize = 32 << 20;

/// How answers are brought together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The most frequent answer.
    Majority,
    /// Dawid and Skene's model.
    DawidSkene,
}

/// There are too many labels and annotators for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{annotators} annotators, {items} items and {labels} labels are too many for dawid_skene")]
pub struct TooMany {
    annotators: usize,
    items: usize,
    labels: usize,
}

/// Texts that are numbered in the order in which they came.
#[derive(Debug, Default)]
struct Names {
    known: BTreeMap<String, usize>,
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        match self.known.get(name) {
            Some(number) => *number,
            None => {
                let number = self.known.len();
                self.known.insert(name.to_owned(), number);
                number
            }
        }
    }

    /// The names in alphabetical order, and each old number's place there.
    fn sorted(self) -> (Vec<String>, Vec<usize>) {
        let mut places = vec![0; self.known.len()];
        let mut names = Vec::with_capacity(places.len());
        for (place, (name, number)) in self.known.into_iter().enumerate() {
            places[number] = place;
            names.push(name);
        }
        (names, places)
    }
}

/// All current answers: of persons, and the model's labels for what no person answered.
#[derive(Debug, Default)]
pub struct Answers {
    items: Vec<String>,
    annotators: Vec<String>,
    labels: Vec<String>,
    answers: Vec<Answer>,
    /// By item: the label and confidence of the model, where there is nothing else.
    by_model: BTreeMap<usize, (usize, f64)>,
}

/// Gathers [`Answers`] from rows in the order of the items; their `text` is the record.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    by_item: ByItem,
    annotators: Names,
    labels: Names,
    found: Answers,
}

impl Gathering {
    pub fn row(&mut self, row: Row) -> Result<(), PourError> {
        self.by_item.push(row).map_or(Ok(()), |rows| self.item(rows))
    }

    pub fn end(mut self) -> Result<Answers, PourError> {
        if let Some(rows) = self.by_item.end() {
            self.item(rows)?;
        }
        // In alphabetical order, so that the same records give the same file in whatever order they arrived.
        let (labels, label) = self.labels.sorted();
        let (annotators, annotator) = self.annotators.sorted();
        let mut found = self.found;
        for answer in &mut found.answers {
            answer.label = label[answer.label];
            answer.annotator = annotator[answer.annotator];
        }
        found.by_model.values_mut().for_each(|of_model| of_model.0 = label[of_model.0]);
        Ok(Answers { labels, annotators, ..found })
    }

    fn item(&mut self, rows: Vec<Row>) -> Result<(), PourError> {
        let item = self.found.items.len();
        let mut named = false;
        for row in current_of(rows) {
            let record = Record::parse(&row.text.unwrap_or_default())?;
            let Some(answer) = &record.answer else { continue };
            if !named {
                named = true;
                self.found.items.push(record.item_id.clone());
            }
            let label = self.labels.number(&answer.label);
            if record.kind == Kind::Accepted {
                let sure = record.prediction.as_ref().map_or(0.0, |said| said.confidence);
                self.found.by_model.insert(item, (label, sure));
            } else {
                let annotator = self.annotators.number(record.annotator.as_deref().unwrap_or_default());
                self.found.answers.push(Answer { item, annotator, label });
            }
        }
        Ok(())
    }
}

/// A line of the file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    item_id: &'a str,
    label: &'a str,
    /// Share of the answers, probability, or how sure the model was.
    confidence: f64,
    answers: usize,
    by: &'static str,
    /// All equally good labels, if there are several.
    tie: Vec<&'a str>,
}

impl Answers {
    /// Fits the model.
    ///
    /// # Errors
    /// Its tables would not fit.
    fn fit(&self) -> Result<DawidSkene, TooMany> {
        let (items, annotators, labels) = (self.items.len(), self.annotators.len(), self.labels.len());
        let numbers = labels.checked_mul(labels).and_then(|n| n.checked_mul(annotators.max(1)));
        let numbers = numbers.and_then(|n| n.checked_add(items.checked_mul(labels)?));
        if numbers.is_none_or(|numbers| numbers > MOST_NUMBERS) {
            return Err(TooMany { annotators, items, labels });
        }
        Ok(dawid_skene(&self.answers, items, annotators, labels, &Fit::default()))
    }

    /// One label for each item, as a file.
    ///
    /// # Errors
    /// There is too much for the method.
    pub fn aggregated(&self, method: Method, format: Format) -> Result<String, TooMany> {
        let (items, labels) = (self.items.len(), self.labels.len());
        let mut counts = vec![0; items];
        self.answers.iter().for_each(|answer| counts[answer.item] += 1);
        let verdicts: Vec<Option<Verdict>> = match method {
            Method::Majority => majority(&self.answers, items, labels),
            Method::DawidSkene => {
                let model = self.fit()?;
                let rows = model.probabilities.chunks(labels.max(1));
                rows.zip(&counts).map(|(row, count)| if *count > 0 { best(row) } else { None }).collect()
            }
        };
        let mut out = String::new();
        if format == Format::Csv {
            out.push_str("item_id,label,confidence,answers,by,tie\r\n");
        }
        for (item, verdict) in verdicts.into_iter().enumerate() {
            let (verdict, by) = match (verdict, self.by_model.get(&item)) {
                (Some(verdict), _) => (verdict, "person"),
                (None, Some((label, confidence))) => {
                    (Verdict { label: *label, confidence: *confidence, tie: Vec::new() }, "model")
                }
                (None, None) => continue,
            };
            let line = Line {
                item_id: &self.items[item],
                label: &self.labels[verdict.label],
                confidence: verdict.confidence,
                answers: counts[item],
                by,
                tie: verdict.tie.iter().map(|label| self.labels[*label].as_str()).collect(),
            };
            match format {
                Format::JsonLines => {
                    // Writing texts and numbers to memory cannot fail.
                    out.push_str(&serde_json::to_string(&line).unwrap_or_default());
                    out.push('\n');
                }
                Format::Csv => {
                    let tie = if line.tie.is_empty() { String::new() } else { json!(line.tie).to_string() };
                    let (id, label) = (text(Some(line.item_id)), text(Some(line.label)));
                    let tie = text(Some(&tie).filter(|tie| !tie.is_empty()).map(String::as_str));
                    out.push_str(&format!(
                        "{id},{label},{},{},{by},{tie}\r\n",
                        line.confidence, line.answers
                    ));
                }
            }
        }
        Ok(out)
    }

    /// How far the annotators agree, and how good each is by the model: one JSON object.
    ///
    /// # Errors
    /// There is too much for the model.
    pub fn agreement(&self) -> Result<serde_json::Value, TooMany> {
        let found = agreement(&self.answers, self.items.len(), self.labels.len());
        let model = self.fit()?;
        let mut given = vec![0; self.annotators.len()];
        self.answers.iter().for_each(|answer| given[answer.annotator] += 1);
        let annotators: Vec<_> = self
            .annotators
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let name = Some(name).filter(|name| !name.is_empty());
                json!({"annotator": name, "answers": given[number], "accuracy": model.accuracy(number)})
            })
            .collect();
        Ok(json!({
            "alpha": found.alpha, "observed": found.observed, "expected": found.expected,
            "items": found.items, "answers": found.answers, "annotators": annotators,
        }))
    }
}
