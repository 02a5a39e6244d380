//! The cycle's other half: answers go to the learner, its lessons come back to every item.

use super::{CatchingUp, Command, Milestone, Session, Stage};
use crate::domain::correction::{Correction, Kind, Role};
use crate::domain::ident::{RecordId, Timestamp, hash};
use crate::domain::item::ItemKey;
use crate::domain::label::LabelId;
use crate::domain::learning::learner::{Lesson, Use};
use crate::domain::learning::slips::Slip;
use crate::domain::policy::{Condition, Outcome, Sampling};
use crate::domain::prediction::Prediction;
use crate::domain::queue::{Doubt, Strategy};
use crate::domain::sorted::{Keys, Sorted};

/// Items that get their new prediction in one go: a few milliseconds, as for a new policy.
const RESCORE_AT_ONCE: usize = 4_000;

/// How sure the model has to be, in a fold that does not know the answer, for an answer to be called a slip.
const SLIP_AT: f32 = 0.95;
/// The most slips that are offered at a time.
const MOST_SLIPS: usize = 20;

/// How the session learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRules {
    /// The deferred answers that are kept from training, so that the gate and the calibration have something
    /// to go by. The audits are kept from it always.
    pub hold_out: Sampling,
}

/// What the learner is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Study {
    /// An item's answer with its record, or that it has none any more.
    Answer(ItemKey, Option<(Use, RecordId)>),
    /// How many labels there are now.
    Labels(usize),
    /// A record of a person, or that takes one back: for the figures.
    Record(Box<Correction>),
    /// Refit, then say [`Notice::Learned`](super::Notice::Learned).
    Learn,
}

/// What the learner found.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The refit in figures.
    pub lesson: Lesson,
    /// Every item's prediction, where it differs from what the learner had said of it before.
    pub predictions: Vec<(ItemKey, Option<Prediction>)>,
    /// Answers that may be slips, the most likely first.
    pub slips: Vec<Slip>,
    /// Items whose numbers the learner would need again.
    pub lacks: Vec<ItemKey>,
    /// While nothing can be predicted: the items that differ most from those that were answered.
    pub spread: Vec<ItemKey>,
}

/// Where learning stands.
#[derive(Debug)]
pub(super) struct Learning {
    rules: LearningRules,
    told: Sorted<ItemKey, (Use, RecordId)>,
    /// The newest record among them.
    newest: Option<RecordId>,
    /// An older answer was told after a newer one: after a reload the items come in their own order.
    disordered: bool,
    changed: bool,
    busy: bool,
    lesson: Option<Lesson>,
    slips: Vec<Slip>,
    /// Predictions that wait for their turn to be taken over; the next one is the last.
    fresh: Vec<(ItemKey, Option<Prediction>)>,
    /// Items to be asked first, once the predictions are taken over.
    first: Vec<ItemKey>,
    /// Items that were predicted once more because the learner lacked their numbers.
    again: Keys<ItemKey>,
}

impl Learning {
    pub(super) fn new(rules: LearningRules) -> Self {
        Self {
            rules,
            told: Sorted::default(),
            newest: None,
            disordered: false,
            changed: false,
            busy: false,
            lesson: None,
            slips: Vec::new(),
            fresh: Vec::new(),
            first: Vec::new(),
            again: Keys::default(),
        }
    }

    pub(super) fn rescoring(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(super) fn has_answers(&self) -> bool {
        !self.told.is_empty()
    }

    /// Has the learner refit although it was told nothing new.
    pub(super) fn refit(&mut self) {
        self.changed = true;
    }
}

impl Session {
    /// Tells the learner what is in force for an item, if that is news.
    pub(super) fn study(&mut self, item: ItemKey) {
        let now = self.use_of(item);
        let Some(learning) = &mut self.learning else { return };
        let before = match now {
            Some(use_) => learning.told.insert(item, use_),
            None => learning.told.remove(item),
        };
        if before != now {
            learning.changed = true;
            let record = now.map(|(_, record)| record);
            learning.disordered |=
                record.is_some_and(|record| learning.newest.is_some_and(|newest| record < newest));
            learning.newest = learning.newest.max(record);
            learning.slips.retain(|slip| slip.item != item);
            if now.is_none() {
                // Should it be answered again, its numbers may be lacking again.
                learning.again.remove(item);
            }
            self.command(Command::Study(Study::Answer(item, now)));
        }
    }

    /// What the answer in force is good for: an audit and a hold-out are never trained on.
    fn use_of(&self, item: ItemKey) -> Option<(Use, RecordId)> {
        let hold_out = self.learning.as_ref()?.rules.hold_out;
        let entry = self.entry(item)?;
        let (record, label) = (entry.record?, entry.answer?);
        let correction = self.log.get(record).filter(|correction| correction.kind == Kind::Correction)?;
        let held = |weight: f64| {
            #[allow(clippy::cast_possible_truncation)]
            Use::HoldOut(label, weight as f32)
        };
        // An item that was checked blind stays a check, with the blind answer.
        if let Some(check) = self.check_under(entry.record) {
            let blind = self.log.get(check)?.answer.as_ref()?;
            #[allow(clippy::cast_possible_truncation)]
            let weight = (1.0 / self.audit_share()) as f32;
            return Some((Use::HoldOut(self.rules.labels.find(blind)?, weight), check));
        }
        let use_ = match correction.role {
            Role::Deferred if self.is_held_out(item) => held(1.0 / hold_out.share),
            Role::Deferred | Role::Review | Role::Manual | Role::Audit => Use::Train(label),
        };
        Some((use_, record))
    }

    /// Whether an item's answer is kept from training, should it be deferred.
    ///
    /// Only beside checks of what is accepted: the doubtful alone would judge and calibrate the model worse than
    /// nobody. The checks of a target speak for the whole stream already.
    pub(super) fn is_held_out(&self, item: ItemKey) -> bool {
        let Some(learning) = &self.learning else { return false };
        let (checked, entry) = (self.rules.policy.has_audits(), self.entry(item));
        checked
            && self.promise.is_none()
            && entry.is_some_and(|entry| {
                // Another draw than that of a sample under the same seed, which has taken its items out.
                let Sampling { share, seed } = learning.rules.hold_out;
                Sampling { share, seed: hash(seed, "hold-out") }.holds(&entry.item.id)
            })
    }

    /// The share of what would be accepted that is checked, as far as the policy says it in so many words.
    fn audit_share(&self) -> f64 {
        match &self.rules.policy.audit_when {
            Some(Condition::Sample { percent, .. }) if self.promise.is_none() && *percent > 0.0 => {
                percent / 100.0
            }
            _ => 1.0,
        }
    }

    /// Notes a record for the figures, which the learner reckons.
    pub(super) fn report(&mut self, record: &Correction) {
        if self.heard && record.kind != Kind::Accepted {
            self.command(Command::Study(Study::Record(Box::new(record.clone()))));
        }
    }

    /// An answered item's numbers came after the learner was told of the answer.
    pub(super) fn came_late(&mut self, item: ItemKey, predicted: bool) {
        if let Some(learning) = &mut self.learning {
            learning.changed |= learning.told.contains_key(item);
            // They are kept now. Of numbers that say nothing this is not known: they are read again once only.
            if predicted {
                learning.again.remove(item);
            }
        }
    }

    /// Before there is any answer, a model that starts from nothing has to be told which questions to ask first.
    pub(super) fn want_spread(&mut self) {
        let spreads = self.rules.strategy == Strategy::Diverse
            || self.rules.model.as_ref().is_some_and(|model| model.from_nothing);
        let Some(learning) = self.learning.as_mut().filter(|_| spreads) else { return };
        learning.changed |= learning.told.is_empty();
    }

    /// Has the learner refit once something changed, the refit before is done and all that it said is taken over: it
    /// says only what is new.
    pub(super) fn learn(&mut self) {
        let ready = self.running && self.rules.model.is_some();
        let due =
            |learning: &&mut Learning| ready && !learning.busy && learning.changed && !learning.rescoring();
        let Some(learning) = self.learning.as_mut().filter(due) else { return };
        learning.changed = false;
        learning.busy = true;
        if std::mem::take(&mut learning.disordered) {
            // What is learned depends on the order of the answers, not on that in which they were told.
            let mut told: Vec<_> = learning.told.iter().map(|(item, told)| (item, *told)).collect();
            told.sort_unstable_by_key(|(_, (_, record))| *record);
            for (item, told) in told {
                self.command(Command::Study(Study::Answer(item, Some(told))));
            }
        }
        if self.catching == CatchingUp::Due {
            self.catching = CatchingUp::Fitting;
        }
        self.command(Command::Study(Study::Learn));
    }

    pub(super) fn learned(&mut self, learned: Learned) {
        let Learned { lesson, predictions, slips, lacks, spread } = learned;
        let Some(learning) = &mut self.learning else { return };
        learning.busy = false;
        learning.lesson = Some(lesson);
        // A suspicion is worth the person's time only if the model is all but certain.
        learning.slips =
            slips.into_iter().filter(|slip| slip.p_suggested >= SLIP_AT).take(MOST_SLIPS).collect();
        let (mut answered, mut open) = (Vec::new(), Vec::new());
        for (key, prediction) in predictions {
            let is_answered = self.entries.get(key.0 as usize).is_some_and(|e| e.stage == Stage::Answered);
            if is_answered { &mut answered } else { &mut open }.push((key, prediction));
        }
        open.reverse();
        learning.fresh = open;
        let again: Vec<_> = lacks.into_iter().filter(|key| learning.again.insert(*key)).collect();
        for (key, prediction) in answered {
            self.set_prediction(key, prediction);
        }
        for key in again {
            // One that was never predicted is on its way already.
            if self.entry(key).is_some_and(|entry| entry.prediction.is_some()) {
                self.dispatcher.add(key);
            }
        }
        if let Some(learning) = &mut self.learning {
            learning.first = spread;
        }
        if self.catching == CatchingUp::Fitting {
            self.catching = CatchingUp::Rescoring;
        }
        // The promise is reckoned on the new head before any item is decided by it.
        self.reckon();
        self.command(Command::Tell(Milestone::Progressed));
    }

    /// Has these waiting items asked before all others, in this order.
    fn ask_first(&mut self, items: &[ItemKey]) {
        for (rank, key) in items.iter().enumerate() {
            let Some(entry) = self.entry(*key) else { continue };
            let on_screen = self.asked.as_ref().is_some_and(|asked| asked.item == *key);
            let placed = on_screen || self.deck.contains(key) || self.queue.is_last(*key);
            let waits = entry.stage == Stage::Waiting && !placed;
            if waits && !self.is_check(*key) && !self.is_held_out(*key) {
                let id = entry.item.id.clone();
                #[allow(clippy::cast_precision_loss)]
                let doubt = Doubt(1.0 - 0.4 * rank as f32 / items.len() as f32);
                self.queue.put(*key, &id, doubt);
            }
        }
    }

    fn is_check(&self, item: ItemKey) -> bool {
        self.entry(item).and_then(|e| e.decision).is_some_and(|decision| decision.outcome == Outcome::Audit)
    }

    /// Takes over new predictions, a slice at a time, and decides by them; then asks first what is to be asked first.
    pub(super) fn rescore(&mut self, now: Timestamp) {
        let Some(learning) = &mut self.learning else { return };
        let left = learning.fresh.len().saturating_sub(RESCORE_AT_ONCE);
        let slice = learning.fresh.split_off(left);
        for (key, prediction) in slice.into_iter().rev() {
            self.set_prediction(key, prediction);
            let decided =
                |entry: &super::Entry| entry.held || matches!(entry.stage, Stage::Waiting | Stage::Accepted);
            if self.entry(key).is_some_and(decided) {
                self.decide(key, now);
            }
        }
        if left > 0 {
            return self.command(Command::Continue);
        }
        if let Some(learning) = &mut self.learning {
            let first = std::mem::take(&mut learning.first);
            self.ask_first(&first);
        }
    }

    /// A learner that begins anew is told everything again.
    pub(super) fn teach_again(&mut self) {
        let records: Vec<_> = self.log.values().cloned().collect();
        records.iter().for_each(|record| self.report(record));
        let Some(learning) = &mut self.learning else { return };
        *learning = Learning { changed: !learning.told.is_empty(), ..Learning::new(learning.rules) };
        self.command(Command::Study(Study::Labels(self.rules.labels.len())));
        for key in self.keys_where(|entry| entry.answer.is_some()) {
            self.study(key);
        }
    }

    /// The learner is gone: what it said stays, nothing new comes. What is read from now on is the model's own word, of
    /// which no check has shown anything: it is settled by nobody but the person.
    pub(super) fn learner_lost(&mut self) {
        self.heard = false;
        let Some(learning) = self.learning.take() else { return };
        // One head has spoken of all that was read before.
        for (key, prediction) in learning.fresh.into_iter().rev() {
            self.set_prediction(key, prediction);
        }
        self.entries.iter_mut().for_each(|entry| entry.asked_with = None);
        // As long as it had said nothing there is only the model's own word. (A head to start from speaks before the
        // first lesson.)
        let spoke = learning.lesson.is_some() || self.promise.is_some();
        let present = self.present_model();
        let is_of_it = |entry: &super::Entry| entry.prediction.is_some_and(|said| said.model == present);
        if spoke && self.entries.iter().any(is_of_it) {
            self.models.push(self.model_name().clone());
        }
        self.promise.iter_mut().for_each(super::promise::Promise::reckon_again);
        self.decide_all();
    }

    /// The last refit in figures, once there was one.
    #[must_use]
    pub fn lesson(&self) -> Option<&Lesson> {
        self.learning.as_ref()?.lesson.as_ref()
    }

    /// Whether the session learns from answers.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.learning.is_some()
    }

    /// Answers that the model contradicts so much that they may be slips, the most likely first: item, what
    /// was answered, what the model would say. Not those that the person has confirmed on a second look.
    pub fn slips(&self) -> impl Iterator<Item = (ItemKey, LabelId, LabelId)> {
        let slips = self.learning.iter().flat_map(|learning| &learning.slips);
        // A check that is looked at again would not be blind any more.
        let open = |slip: &&Slip| {
            let record = self.entry(slip.item).and_then(|entry| entry.record);
            !self.was_reviewed(slip.item) && self.check_under(record).is_none()
        };
        slips.filter(open).filter_map(|slip| {
            let label = |at: usize| u16::try_from(at).ok().map(LabelId);
            Some((slip.item, label(slip.given)?, label(slip.suggested)?))
        })
    }

    fn was_reviewed(&self, item: ItemKey) -> bool {
        let record = self.entry(item).and_then(|entry| entry.record).and_then(|record| self.log.get(record));
        record.is_none_or(|record| record.role == Role::Review)
    }
}
