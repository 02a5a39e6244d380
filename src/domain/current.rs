//! Which records are current: one rule for the figures, the page's download and every backend.
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

use super::correction::{Correction, Kind};
use super::ident::{RecordId, Timestamp};
use super::order::sort;

/// What the rule looks at in a record.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The record's id.
    pub id: RecordId,
    /// What it says.
    pub kind: Kind,
    /// Who said it.
    pub annotator: Option<&'a str>,
    /// What it replaces or takes back.
    pub supersedes: Option<RecordId>,
    /// When it was said.
    pub answered_at: Timestamp,
}

impl<'a> From<&'a Correction> for Standing<'a> {
    fn from(record: &'a Correction) -> Self {
        Self {
            id: record.id,
            kind: record.kind,
            annotator: record.annotator.as_deref(),
            supersedes: record.supersedes,
            answered_at: record.answered_at,
        }
    }
}

/// The current ones of all the records of one item, as positions in `records`, by annotator.
#[must_use]
pub fn current(records: &[Standing<'_>]) -> Vec<usize> {
    // In order of their ids; the same record twice is the same record. Lists in place of trees: an item has
    // one record or a few.
    let mut places: Vec<usize> = Vec::with_capacity(records.len());
    for (place, record) in records.iter().enumerate() {
        let at = places.partition_point(|&other| records[other].id < record.id);
        if places.get(at).is_none_or(|&other| records[other].id != record.id) {
            places.insert(at, place);
        }
    }
    let find = |id: RecordId| {
        let at = places.partition_point(|&other| records[other].id < id);
        places.get(at).copied().filter(|&place| records[place].id == id)
    };
    let mut target: Vec<Option<usize>> = Vec::with_capacity(records.len());
    for record in records {
        let named = record.supersedes.and_then(find);
        let overrules = |place: usize| record.kind == Kind::Accepted && records[place].kind != Kind::Accepted;
        target.push(named.filter(|&place| !overrules(place)));
    }
    for place in in_circles(&target) {
        target[place] = None;
    }

    let mut waiting_for = vec![0_usize; records.len()];
    for &place in &places {
        if let Some(target) = target[place] {
            waiting_for[target] += 1;
        }
    }
    let mut undone = vec![false; records.len()];
    let mut replaced = vec![false; records.len()];
    let mut ready: Vec<usize> = places.iter().copied().filter(|place| waiting_for[*place] == 0).collect();
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

    // In order of the annotators, nobody first.
    let mut of_persons: Vec<usize> = Vec::new();
    let mut of_model = None;
    let later = |a: usize, b: usize| {
        let key = |place: usize| (records[place].answered_at, records[place].id);
        if key(a) > key(b) { a } else { b }
    };
    for place in places.into_iter().filter(|&place| !undone[place] && !replaced[place]) {
        match records[place].kind {
            Kind::Undo => {}
            Kind::Accepted => of_model = Some(of_model.map_or(place, |other| later(place, other))),
            Kind::Correction => {
                let who = records[place].annotator;
                let at = of_persons.partition_point(|&other| records[other].annotator < who);
                match of_persons.get_mut(at) {
                    Some(best) if records[*best].annotator == who => *best = later(place, *best),
                    _ => of_persons.insert(at, place),
                }
            }
        }
    }
    if of_persons.is_empty() { of_model.into_iter().collect() } else { of_persons }
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

/// The current records among `records` of any items, as positions: item by item.
///
/// The items follow one another in an order of their own, which depends on nothing but their ids.
#[must_use]
pub fn current_by_item(records: &[&Correction]) -> Vec<Vec<usize>> {
    // Items are brought together by a 32-bit hash of the id; those that share one are told apart below.
    let hash =
        |id: &str| id.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let mut keys: Vec<u64> =
        records.iter().zip(0_u64..).map(|(r, place)| u64::from(hash(&r.item_id)) << 32 | place).collect();
    sort(&mut keys);
    #[allow(clippy::cast_possible_truncation)]
    let place = |key: u64| key as u32 as usize;
    let mut found = Vec::new();
    let (mut rest, mut item) = (Vec::new(), Vec::new());
    let mut from = 0;
    while from < keys.len() {
        let alike = keys[from..].iter().take_while(|key| **key >> 32 == keys[from] >> 32).count();
        rest.extend(keys[from..from + alike].iter().map(|key| place(*key)));
        from += alike;
        while let Some(&first) = rest.first() {
            item.clear();
            rest.retain(|&place| {
                let same = records[place].item_id == records[first].item_id;
                if same {
                    item.push(place);
                }
                !same
            });
            let places = match item[..] {
                // Nearly all: nothing to replace, nothing to take back.
                [only] if records[only].kind == Kind::Undo => Vec::new(),
                [only] => vec![only],
                _ => {
                    let standings: Vec<Standing<'_>> = item.iter().map(|&at| records[at].into()).collect();
                    current(&standings).into_iter().map(|at| item[at]).collect()
                }
            };
            if !places.is_empty() {
                found.push(places);
            }
        }
    }
    found
}

/// The current records among `records` of any items, as positions in ascending order.
#[must_use]
pub fn in_force(records: &[&Correction]) -> Vec<usize> {
    let mut places: Vec<u64> = current_by_item(records).into_iter().flatten().map(|at| at as u64).collect();
    sort(&mut places);
    #[allow(clippy::cast_possible_truncation)]
    places.into_iter().map(|at| at as usize).collect()
}
