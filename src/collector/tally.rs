//! The stored records item by item: which count now, and how many there are.

use std::collections::BTreeMap;

use rusqlite::Connection;
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

/// Visits every item with all its records, in the order of the items; `visit` gets the positions of the
/// current ones beside the rows. `column` is read of each row.
pub(super) fn each_item(
    db: &Connection,
    column: &str,
    mut visit: impl FnMut(&[(Standing, Option<String>)], Vec<usize>) -> bool,
) -> rusqlite::Result<()> {
    let mut query = db.prepare(&format!(
        "SELECT item_id, id, kind, annotator, supersedes, answered_at, {column} FROM records ORDER BY item_id, seq"
    ))?;
    let mut rows = query.query(())?;
    let mut item: Option<String> = None;
    let mut of_item: Vec<(Standing, Option<String>)> = Vec::new();
    let mut finish = |of_item: &mut Vec<(Standing, Option<String>)>| {
        let standings: Vec<Standing> = of_item.iter().map(|(standing, _)| standing.clone()).collect();
        let go_on = of_item.is_empty() || visit(of_item, current(&standings));
        of_item.clear();
        go_on
    };
    while let Some(row) = rows.next()? {
        let of: String = row.get(0)?;
        if item.as_ref() != Some(&of) {
            if !finish(&mut of_item) {
                return Ok(());
            }
            item = Some(of);
        }
        let standing = Standing {
            id: parsed(row, 1)?,
            kind: word(row, 2, Kind::WORDS)?,
            annotator: row.get(3)?,
            supersedes: row.get::<_, Option<String>>(4)?.map(|_| parsed(row, 4)).transpose()?,
            answered_at: parsed(row, 5)?,
        };
        of_item.push((standing, row.get(6)?));
    }
    finish(&mut of_item);
    Ok(())
}

fn parsed<T: std::str::FromStr>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| foreign(column))
}

fn word<T: Copy>(row: &rusqlite::Row<'_>, column: usize, words: &[(&str, T)]) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| foreign(column))
}

/// Somebody else wrote into the table.
fn foreign(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Text,
        "a value that the collector does not write".into(),
    )
}

pub(super) fn count(db: &Connection) -> rusqlite::Result<Counts> {
    let snapshot = db.unchecked_transaction()?;
    let mut counts = Counts {
        kinds: Kind::WORDS.iter().map(|(word, _)| (*word, 0)).collect(),
        roles: Role::WORDS.iter().map(|(word, _)| (*word, 0)).collect(),
        ..Counts::default()
    };
    let mut groups = snapshot.prepare("SELECT kind, role, count(*) FROM records GROUP BY kind, role")?;
    let mut rows = groups.query(())?;
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(2)?.unsigned_abs();
        counts.records += number;
        *counts.kinds.entry(word(row, 0, Kind::WORDS)?.word()).or_default() += number;
        *counts.roles.entry(word(row, 1, Role::WORDS)?.word()).or_default() += number;
    }
    each_item(&snapshot, "label", |records, current| {
        counts.items += 1;
        for place in current {
            let (standing, label) = &records[place];
            counts.current.labels += 1;
            match standing.kind {
                Kind::Accepted => counts.current.accepted += 1,
                _ => counts.current.corrections += 1,
            }
            *counts.current.by_label.entry(label.clone().unwrap_or_default()).or_default() += 1;
        }
        true
    })?;
    Ok(counts)
}
