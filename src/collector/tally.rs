//! The stored records item by item: which count now, and how many there are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::current::{Standing, current};
use crate::wire::record::{Kind, Role};

/// How many records there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All records.
    pub records: u64,
    /// Items with at least one record.
    pub items: u64,
    /// Records by what they say.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Records by why a person was asked.
    pub roles: BTreeMap<&'static str, u64>,
    /// The labels that count now.
    pub current: CurrentCounts,
}

/// How many labels count now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CurrentCounts {
    /// All: one for each item and annotator, or for each item that only the model labelled.
    pub labels: u64,
    /// Of persons.
    pub corrections: u64,
    /// Of the model.
    pub accepted: u64,
    /// By label.
    pub by_label: BTreeMap<String, u64>,
}

/// A stored record as far as the rule of what is current looks at it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its item.
    pub item_id: String,
    /// Why a person was asked.
    pub role: Role,
    /// What the rule looks at.
    pub standing: Standing,
    /// The column that was asked for besides.
    pub text: Option<String>,
}

/// What a table holds that the collector did not write.
#[derive(Clone, Debug, thiserror::Error)]
#[error("somebody else wrote into the table: {0}")]
pub(super) struct Foreign(pub String);

/// A row's columns as texts, read strictly.
pub(super) fn row(
    item_id: String,
    [id, kind, role, answered_at]: [&str; 4],
    annotator: Option<String>,
    supersedes: Option<&str>,
    text: Option<String>,
) -> Result<Row, Foreign> {
    let standing = Standing {
        id: parsed(id)?,
        kind: word(kind, Kind::WORDS)?,
        annotator,
        supersedes: supersedes.map(parsed).transpose()?,
        answered_at: parsed(answered_at)?,
    };
    Ok(Row { item_id, role: word(role, Role::WORDS)?, standing, text })
}

fn parsed<T: std::str::FromStr>(text: &str) -> Result<T, Foreign> {
    text.parse().map_err(|_| Foreign(text.to_owned()))
}

fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Foreign> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| Foreign(text.to_owned()))
}

/// Brings the rows of an item together; they come in the order of the items.
#[derive(Debug, Default)]
pub(super) struct ByItem(Vec<Row>);

impl ByItem {
    /// Takes the next row; gives all those of the item before, if they are complete now.
    pub fn push(&mut self, row: Row) -> Option<Vec<Row>> {
        let next = self.0.first().is_some_and(|first| first.item_id != row.item_id);
        let complete = next.then(|| std::mem::take(&mut self.0));
        self.0.push(row);
        complete
    }

    /// Those of the last item.
    pub fn end(&mut self) -> Option<Vec<Row>> {
        (!self.0.is_empty()).then(|| std::mem::take(&mut self.0))
    }
}

/// The current ones of an item's rows, by annotator.
pub(super) fn current_of(mut rows: Vec<Row>) -> Vec<Row> {
    let standings: Vec<Standing> = rows.iter().map(|row| row.standing.clone()).collect();
    let mut places: Vec<Option<Row>> = rows.drain(..).map(Some).collect();
    current(&standings).into_iter().filter_map(|place| places[place].take()).collect()
}

/// Counts rows, `text` of which is the label.
#[derive(Debug)]
pub(super) struct Tally {
    counts: Counts,
    by_item: ByItem,
}

impl Tally {
    /// Of nothing so far.
    pub fn new() -> Self {
        let counts = Counts {
            kinds: Kind::WORDS.iter().map(|(word, _)| (*word, 0)).collect(),
            roles: Role::WORDS.iter().map(|(word, _)| (*word, 0)).collect(),
            ..Counts::default()
        };
        Self { counts, by_item: ByItem::default() }
    }

    /// Takes the next row in the order of the items.
    pub fn push(&mut self, row: Row) {
        self.counts.records += 1;
        *self.counts.kinds.entry(row.standing.kind.word()).or_default() += 1;
        *self.counts.roles.entry(row.role.word()).or_default() += 1;
        if let Some(rows) = self.by_item.push(row) {
            self.item(rows);
        }
    }

    /// What it came to.
    pub fn end(mut self) -> Counts {
        if let Some(rows) = self.by_item.end() {
            self.item(rows);
        }
        self.counts
    }

    fn item(&mut self, rows: Vec<Row>) {
        self.counts.items += 1;
        let counts = &mut self.counts.current;
        for row in current_of(rows) {
            counts.labels += 1;
            match row.standing.kind {
                Kind::Accepted => counts.accepted += 1,
                Kind::Correction | Kind::Undo => counts.corrections += 1,
            }
            *counts.by_label.entry(row.text.unwrap_or_default()).or_default() += 1;
        }
    }
}
