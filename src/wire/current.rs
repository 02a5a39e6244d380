//! Which records are current: the rule of [`crate::domain::current`], for records as they are delivered.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::correction::{from_kind, from_moment};
use super::moment::Moment;
use super::record::{Kind, Record};
use crate::domain::current;
use crate::domain::ident::RecordId;

/// What the rule looks at in a record.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The record's id.
    pub id: Uuid,
    /// What it says.
    pub kind: Kind,
    /// Who said it.
    pub annotator: Option<String>,
    /// What it replaces or takes back.
    pub supersedes: Option<Uuid>,
    /// When it was said.
    pub answered_at: Moment,
}

impl From<&Record> for Standing {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id,
            kind: record.kind,
            annotator: record.annotator.clone(),
            supersedes: record.supersedes,
            answered_at: record.answered_at,
        }
    }
}

/// The current ones of all the records of one item, as positions in `records`, by annotator.
#[must_use]
pub fn current(records: &[Standing]) -> Vec<usize> {
    let standings: Vec<_> = records
        .iter()
        .map(|record| current::Standing {
            id: RecordId(record.id),
            kind: from_kind(record.kind),
            annotator: record.annotator.as_deref(),
            supersedes: record.supersedes.map(RecordId),
            answered_at: from_moment(record.answered_at),
        })
        .collect();
    current::current(&standings)
}

/// The current labels among `records` of any items, by item and annotator.
#[must_use]
pub fn current_records(records: &[Record]) -> Vec<&Record> {
    let mut items: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        items.entry(&record.item_id).or_default().push(record);
    }
    let mut found = Vec::new();
    for records in items.values() {
        let standings: Vec<Standing> = records.iter().map(|record| Standing::from(*record)).collect();
        found.extend(current(&standings).into_iter().map(|place| records[place]));
    }
    found
}
