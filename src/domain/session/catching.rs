//! After a reload, and when another model takes over: first what the earlier answers say, then what is decided by it.
//!
//! The answers of earlier visits teach the head and earn the promise, but only once the model has read their items again.
//! Until then the model as it came would be judged by a part of the checks, and would take back accepts that the same
//! answers had earned, to give them anew a moment later.

use super::{Session, Stage};
use crate::domain::ident::Timestamp;
use crate::domain::item::ItemKey;

/// How long items of earlier answers are waited for where a source does not end, milliseconds: one that never does
/// may bring none of them.
const PATIENCE_MS: i64 = 30_000;

/// How far the answers that were there before have had their say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CatchingUp {
    /// Their items have not all been read by the model.
    Reading,
    /// They have, and the learner is to refit.
    Due,
    /// It is at it.
    Fitting,
    /// What it makes of each item is being taken over. The promise is reckoned on it already.
    Rescoring,
    /// Everything is decided by what is known.
    Done,
}

impl Session {
    /// Whether what the model settles has to wait: nothing is accepted, and no accept is taken back.
    pub(super) fn catches_up(&self) -> bool {
        self.catching != CatchingUp::Done
    }

    /// Goes as far as it can without another notice.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        use CatchingUp::{Done, Due, Fitting, Reading, Rescoring};
        // The clock may be set back.
        self.began.iter_mut().for_each(|began| *began = (*began).min(now));
        if self.began.is_some_and(|began| now.since(began) >= PATIENCE_MS) {
            self.patient = false;
        }
        let came = !self.waits_for_unseen();
        let read = came && self.awaited.is_empty();
        let next = match (self.catching, &mut self.learning) {
            (Done, _) => return,
            (_, None) if self.promise.is_none() => Done,
            (Reading, _) if !read => return,
            (Reading, Some(learning)) if learning.has_answers() => {
                learning.refit();
                Due
            }
            (Reading, _) | (Due | Fitting, None) => Done,
            (Due | Fitting, Some(_)) => return,
            (Rescoring, Some(learning)) if learning.rescoring() => return,
            (Rescoring, _) => Done,
        };
        self.catching = next;
        if next == Done {
            self.promise.iter_mut().for_each(super::promise::Promise::reckon_again);
            self.decide_all();
        }
    }

    /// Whether items of earlier answers are waited for that have not come yet.
    pub(super) fn waits_for_unseen(&self) -> bool {
        self.patient && self.sources > 0 && self.unseen > 0
    }

    /// When those are waited for no longer.
    pub(super) fn patience_ends_at(&self) -> Option<Timestamp> {
        let waits = self.catching == CatchingUp::Reading && self.waits_for_unseen();
        self.began.filter(|_| waits).map(|began| began.plus(PATIENCE_MS))
    }

    /// Has everything decided anew, a slice at a time.
    pub(super) fn decide_all(&mut self) {
        self.policy_version += 1;
        self.redecided = 0;
    }

    /// Everything that was answered is to be read again before anything else is settled.
    pub(super) fn read_again(&mut self) -> Vec<ItemKey> {
        let answered = self.keys_where(|entry| entry.stage == Stage::Answered);
        self.awaited.clear();
        self.awaited.extend(answered.iter().copied());
        self.catching = CatchingUp::Reading;
        answered
    }
}
