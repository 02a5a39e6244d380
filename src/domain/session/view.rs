//! What can be seen of a session: the only way in which a page reads it.

use std::sync::Arc;

use super::{Entry, Session, Stage};
use crate::domain::correction::{Correction, Kind, ModelName, PredictionSaid, PredictionShown, Role};
use crate::domain::ident::{RecordId, Timestamp};
use crate::domain::item::{Aside, AsideReason, Item, ItemKey};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::order::least;
use crate::domain::outbox::Hold;
use crate::domain::policy::{Outcome, Policy, Reason};
use crate::domain::prediction::{Confidence, Prediction};
use crate::domain::progress::{Coverage, Progress};

/// What the page shows as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started, or halted.
    Paused,
    /// There is no item, and none will come by itself.
    Empty,
    /// A question is on screen.
    Asking,
    /// Nothing to ask at this moment; predictions or items are still to come.
    Predicting,
    /// Nothing is left.
    Finished,
}

/// Why the person is asked, without giving away what the model thinks.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// There is no model.
    NoModel,
    /// The model failed on this item.
    Unpredictable(Arc<str>),
    /// The confidence is below the threshold.
    NotSure {
        /// The model's confidence.
        confidence: Confidence,
        /// What would have been enough.
        threshold: f32,
    },
    /// A rule of the policy asks for a person: the rules that held.
    Rule(Vec<String>),
    /// The model had settled it; since it has learned, it doubts.
    SecondLook,
    /// The model was not sure, or this is a blind check: not told which, or the check would not be blind.
    NotSureOrCheck,
    /// The person looks through what was settled.
    Review,
    /// The item was set aside.
    SetAside(AsideReason),
}

/// The question on screen.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Grows with each question.
    pub serial: u64,
    /// Which item.
    pub key: ItemKey,
    /// What is shown.
    pub item: Item,
    /// Why it is dealt with.
    pub role: Role,
    /// Why the person is asked.
    pub why: Why,
    /// What the model thinks, if the person is to see it now. Never there for a blind check.
    pub suggestion: Option<Prediction>,
    /// The present answer, when something settled is looked at.
    pub present: Option<LabelId>,
    /// Marked.
    pub flagged: bool,
    /// Remark.
    pub note: Option<Arc<str>>,
    /// How often it was skipped.
    pub skips: u32,
}

/// The last answer, for the line that confirms it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The item.
    pub item: Arc<str>,
    /// What the person said.
    pub label: LabelId,
    /// What the model had said, if it is shown after the answer.
    pub prediction: Option<PredictionSaid>,
}

/// An item that the model settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Which.
    pub key: ItemKey,
    /// What it is.
    pub item: Item,
    /// As what.
    pub label: LabelId,
    /// How sure.
    pub confidence: Confidence,
}

/// Where the records are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliveryView {
    /// Whether there is a server to deliver to.
    pub to_server: bool,
    /// Records of this project that are kept, here or there.
    pub records: usize,
    /// Records that are not stored yet.
    pub unsaved: usize,
    /// Records that are in memory only, since the store does not work.
    pub volatile: usize,
    /// Records that the server does not have yet.
    pub waiting: usize,
    /// Those of the waiting ones that are in a request under way.
    pub sending: usize,
    /// Records that the server has.
    pub sent: usize,
    /// Records that the server does not want.
    pub refused: usize,
    /// When the oldest of the records came to be that the server does not have yet.
    pub oldest: Option<Timestamp>,
    /// Why nothing is being sent although something waits.
    pub hold: Option<Hold>,
}

impl DeliveryView {
    /// Records that are in the browser's store, or were before the server took them.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.records.saturating_sub(self.unsaved + self.volatile)
    }
}

impl Session {
    /// What the page shows as a whole.
    #[must_use]
    pub fn phase(&self) -> Phase {
        if !self.running {
            Phase::Paused
        } else if self.asked.is_some() {
            Phase::Asking
        } else if self.open() {
            Phase::Predicting
        } else if self.progress.arrived == 0 {
            Phase::Empty
        } else {
            Phase::Finished
        }
    }

    /// The answers that there are.
    #[must_use]
    pub fn labels(&self) -> &LabelSet {
        &self.rules.labels
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.rules.policy
    }

    /// Of the model that made the predictions.
    #[must_use]
    pub fn model_name(&self) -> &ModelName {
        &self.models[self.models.len() - 1]
    }

    /// Whether a model predicts.
    #[must_use]
    pub fn has_model(&self) -> bool {
        self.rules.model.is_some()
    }

    /// The question on screen.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        let asked = self.asked.as_ref().filter(|_| self.running)?;
        let entry = self.entry(asked.item)?;
        Some(Question {
            serial: asked.serial,
            key: asked.item,
            item: entry.item.clone(),
            role: asked.role,
            why: asked.why.clone(),
            suggestion: asked.prediction.filter(|_| asked.shown == PredictionShown::Shown),
            present: entry.answer.or_else(|| {
                let accepted = entry.stage == Stage::Accepted;
                entry.prediction.filter(|_| accepted).map(|prediction| prediction.label())
            }),
            flagged: asked.flagged,
            note: asked.note.clone(),
            skips: entry.skips,
        })
    }

    /// Why this item would be put before the person now.
    pub(super) fn why(&self, key: ItemKey, role: Role) -> Why {
        let Some(entry) = self.entry(key) else { return Why::NoModel };
        if entry.stage == Stage::Aside {
            let aside = self.asides.iter().find(|aside| aside.item == Some(key));
            return aside.map_or(Why::NoModel, |aside| Why::SetAside(aside.reason.clone()));
        }
        let Some(prediction) = entry.prediction else {
            return match &entry.unpredictable {
                Some(why) => Why::Unpredictable(why.clone()),
                None if self.rules.policy.has_audits() => Why::NotSureOrCheck,
                None => Why::NoModel,
            };
        };
        let decision = match self.decision_of(entry) {
            _ if role == Role::Review => return Why::Review,
            None => return Why::NoModel,
            Some(decision) => decision,
        };
        let threshold = self.rules.policy.threshold(prediction.label());
        let rules: Vec<_> =
            self.in_reasons(decision, Some(&prediction)).1.into_iter().filter(|reason| reason.held).collect();
        let by_rule = rules.iter().filter(|reason| reason.rule.starts_with("defer_when"));
        let sure = prediction.confidence.get() >= threshold;
        match decision.outcome {
            Outcome::Audit => Why::NotSureOrCheck,
            _ if entry.second_look => Why::SecondLook,
            _ if sure && by_rule.clone().next().is_some() => {
                Why::Rule(by_rule.map(|reason| reason.says.clone()).collect())
            }
            // Decided under other figures than those of now.
            _ if sure => Why::NotSureOrCheck,
            _ if self.rules.policy.has_audits() => Why::NotSureOrCheck,
            _ => Why::NotSure { confidence: prediction.confidence, threshold },
        }
    }

    /// The item that comes after the one on screen, for loading its picture ahead.
    #[must_use]
    pub fn on_deck(&self) -> Option<&Item> {
        self.deck.front().and_then(|key| self.entry(*key)).map(|entry| &entry.item)
    }

    /// The last answer, until it is undone.
    #[must_use]
    pub fn last_answer(&self) -> Option<&Answered> {
        self.last_answer.as_ref()
    }

    /// How many steps can be taken back.
    #[must_use]
    pub fn undo_depth(&self) -> usize {
        self.steps.len()
    }

    /// Where every item stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { more_coming: self.sources > 0, ..self.progress }
    }

    /// Median seconds an answer.
    #[must_use]
    pub fn seconds_per_answer(&self) -> Option<f64> {
        self.pace.seconds_per_answer()
    }

    /// How many items each threshold would settle by itself.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Where the records are.
    #[must_use]
    pub fn delivery(&self, now: Timestamp) -> DeliveryView {
        let view = DeliveryView {
            records: self.log.len(),
            unsaved: self.uncommitted.len(),
            volatile: self.volatile.len(),
            ..DeliveryView::default()
        };
        let Some(outbox) = &self.outbox else { return view };
        DeliveryView {
            to_server: true,
            waiting: outbox.waiting(),
            sending: outbox.sending(),
            sent: outbox.sent(),
            refused: outbox.refused().len(),
            oldest: outbox.oldest().map(RecordId::made_at),
            hold: outbox.hold(now),
            ..view
        }
    }

    /// Records that exist nowhere but here: without a server all of them, else those that it does not have, refused
    /// ones too.
    pub fn only_here(&self) -> impl Iterator<Item = &Correction> {
        let without = self.outbox.is_none().then(|| self.log.values());
        let ids = self.outbox.iter().flat_map(|outbox| outbox.undelivered().chain(outbox.refused().keys()));
        without.into_iter().flatten().chain(ids.filter_map(|id| self.log.get(id)))
    }

    /// Why the server does not want a record; `None`: it was not refused.
    #[must_use]
    pub fn refusal(&self, record: RecordId) -> Option<&Arc<str>> {
        self.outbox.as_ref()?.refused().get(record)
    }

    /// Records that the server does not want, with its reason, oldest first.
    pub fn refused(&self) -> impl Iterator<Item = (RecordId, Arc<str>)> {
        self.outbox.iter().flat_map(|outbox| outbox.refused().iter()).map(|(id, why)| (id, why.clone()))
    }

    /// Items that were set aside and not labelled by hand since, oldest first.
    pub fn asides(&self) -> impl Iterator<Item = &Aside> {
        self.asides.iter().filter(|aside| match aside.item {
            Some(key) => self.entry(key).is_some_and(|entry| entry.stage == Stage::Aside),
            None => true,
        })
    }

    /// A page of what the model settled, least sure first.
    #[must_use]
    pub fn accepted(&self, offset: usize, count: usize) -> Vec<Accepted> {
        let settled =
            self.settled().filter_map(|(key, entry)| Some((entry.prediction?.confidence.get(), key)));
        let mut keys: Vec<u64> =
            settled.map(|(p, key)| u64::from(p.to_bits()) << 32 | u64::from(key.0)).collect();
        let page = least(&mut keys, offset + count).iter().rev().skip(offset);
        #[allow(clippy::cast_possible_truncation)]
        page.filter_map(|key| {
            let key = ItemKey(*key as u32);
            let entry = self.entry(key)?;
            let prediction = entry.prediction?;
            let (item, label) = (entry.item.clone(), prediction.label());
            Some(Accepted { key, item, label, confidence: prediction.confidence })
        })
        .collect()
    }

    /// An item by its position.
    #[must_use]
    pub fn item(&self, key: ItemKey) -> Option<&Item> {
        self.entry(key).map(|entry| &entry.item)
    }

    /// What the model says of an item.
    #[must_use]
    pub fn prediction(&self, key: ItemKey) -> Option<PredictionSaid> {
        self.entry(key)?.prediction.map(|prediction| self.in_words(&prediction))
    }

    /// What the policy said of an item, with every rule's result.
    #[must_use]
    pub fn decision(&self, key: ItemKey) -> Option<(Outcome, Vec<Reason>)> {
        let entry = self.entry(key)?;
        self.ruling(entry)
    }

    /// A record by its identity.
    #[must_use]
    pub fn record(&self, id: RecordId) -> Option<&Correction> {
        self.log.get(id)
    }

    /// When each item was settled that the model settles now, milliseconds since 1970.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn settled_at(&self) -> Vec<f64> {
        self.settled().map(|(_, entry)| entry.since.0 as f64).collect()
    }

    /// What the model settles now, in the order of arrival.
    fn settled(&self) -> impl Iterator<Item = (ItemKey, &Entry)> {
        let all = self.entries.iter().zip(0..).map(|(entry, key)| (ItemKey(key), entry));
        all.filter(|(_, entry)| entry.stage == Stage::Accepted)
    }

    /// Every record, oldest first, and one for each item that the model settled and no record tells of yet.
    pub fn everything(&mut self, now: Timestamp) -> Vec<Correction> {
        let mut all: Vec<_> = self.log.values().cloned().collect();
        let untold: Vec<_> = self
            .settled()
            .filter(|(_, entry)| {
                let record = entry.record.and_then(|record| self.log.get(record));
                record.is_none_or(|record| record.kind != Kind::Accepted)
            })
            .map(|(key, _)| key)
            .collect();
        for key in untold {
            let id = self.chance.record_id(now);
            let settled_at = self.entry(key).map_or(now, |entry| entry.since);
            all.extend(self.accepted_as(key, id, settled_at));
        }
        all
    }
}
