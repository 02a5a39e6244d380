//! Which records are current: one rule for the page's download and for every backend.
//!
//! The rule is a function of the *set* of records. It does not matter in which order they arrived, or
//! how often, so a queue that delivers at least once and out of order gives the same labels as one
//! that delivers exactly once and in order. `docs/backend.md` states it for those who write a backend.
//!
//! 1. A link (`supersedes`) counts if its target is a record of the same item. A record that the model
//!    made never replaces one of a person's: such a link does not count. Nor do links in a circle.
//! 2. An undo *stands* unless an undo that stands names it; it makes its target as if it had never
//!    been, so that what the target had replaced comes back. An undo of an undo is a redo.
//! 3. A correction or accept is *open* if no undo that stands names it and no record that is not undone
//!    replaces it.
//! 4. Each annotator has at most one current label for an item: the open correction with the greatest
//!    (`answered_at`, `id`). All answers without an annotator count as one annotator's; sessions never
//!    keep answers apart.
//! 5. Only an item without any open correction has the model's label: the open accept with the greatest
//!    (`answered_at`, `id`).

use std::collections::BTreeMap;

use uuid::Uuid;

use super::moment::Moment;
use super::record::{Kind, Record};

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
    let mut places = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        // The same record twice is the same record.
        places.entry(record.id).or_insert(place);
    }
    let mut target: Vec<Option<usize>> = records
        .iter()
        .map(|record| {
            let place = *places.get(&record.supersedes?)?;
            let overrules = record.kind == Kind::Accepted && records[place].kind != Kind::Accepted;
            (!overrules).then_some(place)
        })
        .collect();
    for place in in_circles(&target) {
        target[place] = None;
    }

    let mut waiting_for = vec![0_usize; records.len()];
    for place in places.values() {
        if let Some(target) = target[*place] {
            waiting_for[target] += 1;
        }
    }
    let mut undone = vec![false; records.len()];
    let mut replaced = vec![false; records.len()];
    let mut ready: Vec<usize> = places.values().copied().filter(|place| waiting_for[*place] == 0).collect();
    // All that names a record is settled before the record itself.
    while let Some(place) = ready.pop() {
        let Some(target) = target[place] else { continue };
        match records[place].kind {
            _ if undone[place] => {}
            Kind::Undo => undone[target] = true,
            Kind::Correction | Kind::Accepted => replaced[target] = true,
        }
        waiting_for[target] -= 1;
        if waiting_for[target] == 0 {
            ready.push(target);
        }
    }

    let mut of_persons: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut of_model = None;
    let later = |a: usize, b: usize| {
        let key = |place: usize| (records[place].answered_at, records[place].id);
        if key(a) > key(b) { a } else { b }
    };
    for place in places.values().copied().filter(|place| !undone[*place] && !replaced[*place]) {
        match records[place].kind {
            Kind::Undo => {}
            Kind::Accepted => of_model = Some(of_model.map_or(place, |other| later(place, other))),
            Kind::Correction => {
                let best = of_persons.entry(records[place].annotator.as_deref()).or_insert(place);
                *best = later(place, *best);
            }
        }
    }
    if of_persons.is_empty() { of_model.into_iter().collect() } else { of_persons.into_values().collect() }
}

/// The places that lie on a circle of links; each place has at most one link.
fn in_circles(target: &[Option<usize>]) -> Vec<usize> {
    let mut visit = vec![0_usize; target.len()];
    let mut circles = Vec::new();
    for start in 0..target.len() {
        let walk = start + 1;
        let mut at = start;
        while visit[at] == 0 {
            visit[at] = walk;
            match target[at] {
                Some(next) => at = next,
                None => break,
            }
        }
        // Met again within this walk, and not at its dead end: a circle goes through here.
        if visit[at] == walk && target[at].is_some() {
            let first = at;
            loop {
                circles.push(at);
                match target[at] {
                    Some(next) if next != first => at = next,
                    _ => break,
                }
            }
        }
    }
    circles
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
