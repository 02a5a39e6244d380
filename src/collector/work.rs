//! The work list: items that wait for answers, handed out with leases.
//!
//! A lease says that an annotator has an item before them. It ends when their record for the item arrives, or by
//! itself. Both engines ask [`share`] which items to hand out, so that they cannot differ in it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::reader::Problem;
use crate::wire::current::{Standing, current};
use crate::wire::items::{MAX_ITEM_BYTES, item};
use crate::wire::moment::Moment;
use crate::wire::record::Kind;

/// The longest id of an item on the list, bytes: PostgreSQL's index takes no longer ones.
pub const MAX_ID_BYTES: usize = 2_000;

/// The longest name of an annotator who is given work, bytes.
pub const MAX_ANNOTATOR_BYTES: usize = 500;

/// The longest lease, seconds: a day.
pub const MAX_LEASE: u32 = 86_400;

/// Items in one answer at most.
pub const MAX_COUNT: u32 = 1_000;

/// An item of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its JSON in one line, as it came but for white space and the order of keys.
    pub json: String,
}

impl Entry {
    /// Reads an item as `<hitl-labeler>` reads it; `place` says where it stands.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(value: &Value, place: usize) -> Result<Self, Problem> {
        let problem = |found: String, expected: &str| Problem {
            path: format!("[{place}]"),
            found,
            expected: expected.to_owned(),
        };
        // Relative addresses are relative to where the page gets the items from.
        let read = item(value, "", &|address| Some(address.to_owned()));
        let id = match read {
            Ok(item) => item.id.to_string(),
            Err(aside) => {
                let expected = "an item: id, image or numbers, and meta if you like";
                return Err(problem(aside.reason.to_string(), expected));
            }
        };
        if id.len() > MAX_ID_BYTES {
            return Err(problem(format!("an id of {} bytes", id.len()), "an id of at most 2,000 bytes"));
        }
        let json = value.to_string();
        if json.len() > MAX_ITEM_BYTES {
            return Err(problem(format!("{} bytes", json.len()), "an item of at most 16 MiB"));
        }
        Ok(Self { id, json })
    }
}

/// What became of a list that was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// One for each item, in their order.
    pub outcomes: Vec<super::store::Outcome>,
    /// Items that were taken off the list.
    pub removed: u64,
}

/// What an annotator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who asks.
    pub annotator: String,
    /// How many items they are to hold afterwards; those that they hold already are given again first.
    pub count: u32,
    /// For how long, seconds.
    pub lease: u32,
    /// How many annotators' answers an item wants.
    pub answers: u32,
}

/// What is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// The items' JSON.
    pub items: Vec<String>,
    /// How many of them were held already.
    pub again: usize,
    /// When all these leases end.
    pub until: Moment,
}

/// How much work there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkCounts {
    /// Items on the list.
    pub items: u64,
    /// Leases that run.
    pub leases: u64,
}

/// What is known of an item when somebody asks for work.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidate {
    /// Its records.
    pub records: Vec<Standing>,
    /// Others who hold it.
    pub holders: usize,
}

/// How many answers an item has, and whether `annotator` is to be given it.
pub(super) fn share(candidate: &Candidate, annotator: &str, wanted: u32) -> (u32, bool) {
    let standings = &candidate.records;
    let persons: BTreeSet<Option<&str>> = current(standings)
        .into_iter()
        .filter(|&place| standings[place].kind == Kind::Correction)
        .map(|place| standings[place].annotator.as_deref())
        .collect();
    let answers = u32::try_from(persons.len()).unwrap_or(u32::MAX);
    // Answered, and not taken back: also when somebody's review has replaced it since.
    let undone = |of: &Standing| {
        standings.iter().any(|undo| undo.kind == Kind::Undo && undo.supersedes == Some(of.id))
    };
    let mine = |of: &&Standing| of.kind == Kind::Correction && of.annotator.as_deref() == Some(annotator);
    let answered = persons.contains(&Some(annotator)) || standings.iter().filter(mine).any(|of| !undone(of));
    let room = candidate.holders < usize::try_from(wanted.saturating_sub(answers)).unwrap_or(usize::MAX);
    (answers, room && !answered)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn said(n: u128, kind: Kind, annotator: &str, supersedes: Option<u128>) -> Standing {
        Standing {
            id: uuid::Uuid::from_u128(n),
            kind,
            annotator: Some(annotator.into()),
            supersedes: supersedes.map(uuid::Uuid::from_u128),
            answered_at: "2026-01-01T00:00:00.000Z".parse().unwrap(),
        }
    }

    fn shared(records: Vec<Standing>, holders: usize, annotator: &str, wanted: u32) -> (u32, bool) {
        share(&Candidate { records, holders }, annotator, wanted)
    }

    #[test]
    fn an_item_goes_to_those_who_have_not_answered_it_until_it_has_what_it_wants() {
        let anna = || said(1, Kind::Correction, "anna", None);
        let ben = || said(2, Kind::Correction, "ben", None);
        assert_eq!(shared(vec![], 0, "anna", 1), (0, true));
        assert_eq!(shared(vec![], 1, "anna", 1), (0, false), "somebody has it before them");
        assert_eq!(shared(vec![], 1, "anna", 2), (0, true));
        assert_eq!(shared(vec![anna()], 0, "anna", 2), (1, false));
        assert_eq!(shared(vec![anna()], 0, "ben", 2), (1, true));
        assert_eq!(shared(vec![anna()], 1, "cleo", 2), (1, false));
        assert_eq!(shared(vec![anna(), ben()], 0, "cleo", 2), (2, false));
        assert_eq!(shared(vec![said(3, Kind::Accepted, "anna", None)], 0, "anna", 1), (0, true));
    }

    #[test]
    fn an_answer_that_was_taken_back_is_wanted_again_and_one_that_was_reviewed_is_not_asked_again() {
        let anna = || said(1, Kind::Correction, "anna", None);
        let undo = said(2, Kind::Undo, "anna", Some(1));
        assert_eq!(shared(vec![anna(), undo], 0, "anna", 1), (0, true));
        let review = said(3, Kind::Correction, "ben", Some(1));
        assert_eq!(shared(vec![anna(), review], 0, "anna", 2), (1, false));
    }
}
