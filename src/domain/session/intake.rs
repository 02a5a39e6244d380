//! Items and predictions come in; the policy decides.

use std::sync::Arc;

use super::{CatchingUp, Command, Entry, Milestone, ModelSpec, Ruling, Session, Stage, Study};
use crate::domain::correction::{Correction, Kind, PredictionSaid, PredictionShown, Role};
use crate::domain::dispatch::{Ticket, WorkerId};
use crate::domain::ident::{RecordId, Timestamp};
use crate::domain::item::{Aside, AsideReason, Failed, Item, ItemKey};
use crate::domain::label::{Label, LabelSet};
use crate::domain::policy::{Decision, Outcome, Policy};
use crate::domain::prediction::Prediction;
use crate::domain::queue::Doubt;
use crate::domain::sorted::Sorted;

/// Items that are decided anew in one go: a few milliseconds, so that a page with 100,000 stays smooth.
const REDECIDE_AT_ONCE: usize = 4_000;

/// Items that change hands in one go: the host page is told of each, which costs more than to decide.
const MOVE_AT_ONCE: usize = 1_000;

impl Session {
    pub(super) fn arrived(&mut self, items: Vec<Result<Item, Aside>>, now: Timestamp) {
        for arrival in items {
            self.progress.arrived += 1;
            match arrival {
                Ok(item) if self.keys.contains_key(&item.id) => {
                    self.set_aside(Aside { id: item.id, item: None, reason: AsideReason::DuplicateId });
                }
                Ok(item) => self.admit(item, now),
                Err(aside) => self.set_aside(aside),
            }
        }
    }

    /// Takes in a good item: the model's turn, or straight the person's.
    fn admit(&mut self, item: Item, now: Timestamp) {
        let Ok(key) = u32::try_from(self.entries.len()).map(ItemKey) else { return };
        let id = item.id.clone();
        self.keys.insert(id.clone(), key);
        self.entries.push(Entry {
            item,
            stage: Stage::Predicting,
            prediction: None,
            decision: None,
            unpredictable: None,
            record: None,
            answer: None,
            asked_with: None,
            skips: 0,
            policy: self.policy_version,
            since: now,
            second_look: false,
            held: false,
        });
        self.progress.predicting += 1;
        self.recall(key);
        if self.rules.model.is_some() {
            // The learner, the promise and all that they decide wait for what was answered before.
            if self.awaited.contains(key) { self.dispatcher.add_first(key) } else { self.dispatcher.add(key) }
        } else {
            self.decide(key, now);
        }
    }

    /// Brings an item to the state in which an earlier visit left it.
    fn recall(&mut self, key: ItemKey) {
        let Some(id) = self.entry(key).map(|entry| entry.item.id.clone()) else { return };
        let Some(remembered) = self.remembered.get_mut(&id) else { return };
        let seen = std::mem::take(&mut remembered.unseen);
        self.unseen -= usize::from(seen);
        let Some(record) = remembered.record else { return };
        let Some(correction) = self.log.get(record) else { return };
        let answered = correction.kind == Kind::Correction;
        self.put_in_force(key, Some(record));
        if answered {
            if self.rules.model.is_some() {
                self.awaited.insert(key);
                if seen {
                    self.catching = CatchingUp::Reading;
                }
            }
            self.move_to(key, Stage::Answered);
        }
    }

    pub(super) fn predicted(
        &mut self,
        worker: WorkerId,
        ticket: Ticket,
        results: Vec<(ItemKey, Result<Option<Prediction>, Failed>)>,
        now: Timestamp,
    ) {
        let Some(given) = self.dispatcher.done(worker, ticket, now) else { return };
        let mut said = Sorted::default();
        said.extend(results);
        let forgotten = || Err(Failed::Unpredictable("the model said nothing of it".into()));
        let results = given.into_iter().map(|key| (key, said.remove(key).unwrap_or_else(forgotten)));
        let mut predicted = Vec::new();
        for (key, result) in results {
            self.awaited.remove(key);
            match result {
                Ok(Some(prediction)) => {
                    self.set_prediction(key, Some(prediction));
                    self.came_late(key, true);
                    self.said_anew(key);
                    predicted.push(key);
                }
                Ok(None) => {
                    self.came_late(key, false);
                    self.unsaid(key, None);
                }
                Err(Failed::Unreadable(reason)) if self.is_new(key) => {
                    self.put_aside(key, reason);
                    continue;
                }
                // An answer that the person gave earlier stands, whatever becomes of the picture.
                Err(Failed::Unreadable(_)) => self.unsaid(key, Some("it could not be read again".into())),
                Err(Failed::Unpredictable(why)) => self.unsaid(key, Some(why)),
            }
            self.decide(key, now);
        }
        self.want_spread();
        self.tell(Milestone::Predicted, predicted);
    }

    /// The model has no word for an item. What another one said of it does not hold any more.
    fn unsaid(&mut self, key: ItemKey, why: Option<Arc<str>>) {
        let present = self.present_model();
        let Some(entry) = self.entry_mut(key) else { return };
        if entry.prediction.is_none_or(|said| said.model != present) {
            entry.unpredictable = why;
            self.set_prediction(key, None);
            self.said_anew(key);
        }
    }

    /// The place of the model that predicts now, among all that there were.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn present_model(&self) -> u16 {
        (self.models.len() - 1) as u16
    }

    pub(super) fn set_prediction(&mut self, key: ItemKey, mut prediction: Option<Prediction>) {
        let model = self.present_model();
        let Some(entry) = self.entries.get_mut(key.0 as usize) else { return };
        if let Some(said) = &mut prediction {
            said.model = model;
            entry.unpredictable = None;
        }
        let before = std::mem::replace(&mut entry.prediction, prediction);
        if let Some(before) = before {
            self.coverage.remove(before.confidence.get());
        }
        if let Some(prediction) = prediction {
            self.coverage.add(prediction.confidence.get());
        }
    }

    /// Whether nothing is known of an item so far.
    fn is_new(&self, key: ItemKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.stage == Stage::Predicting)
    }

    pub(super) fn put_aside(&mut self, key: ItemKey, reason: AsideReason) {
        let Some(entry) = self.entry(key) else { return };
        let id = entry.item.id.clone();
        self.move_to(key, Stage::Aside);
        let item = reason.can_be_labelled().then_some(key);
        self.set_aside(Aside { id, item, reason });
    }

    fn set_aside(&mut self, aside: Aside) {
        // Those with an item are counted by its stage.
        if aside.item.is_none() {
            self.progress.aside += 1;
        }
        self.asides.push(aside.clone());
        self.command(Command::Tell(Milestone::SetAside(aside)));
    }

    pub(super) fn worker_lost(&mut self, worker: WorkerId, now: Timestamp) {
        for key in self.dispatcher.lost(worker) {
            self.awaited.remove(key);
            self.unsaid(key, Some("the model failed on it twice".into()));
            self.decide(key, now);
        }
        if self.dispatcher.gave_up() {
            self.command(Command::Tell(Milestone::WorkersFailed));
        }
    }

    pub(super) fn without_model(&mut self, now: Timestamp) {
        for order in self.dispatcher.stop() {
            self.command(Command::Worker(order));
        }
        self.dispatcher.take_waiting();
        self.rules.model = None;
        self.learning = None;
        if self.promise.is_some() && self.catching < CatchingUp::Rescoring {
            // Until it had caught up the target let nothing pass. That was nobody's word on what is settled.
            self.redecided = self.entries.len();
        }
        self.give_target_up();
        self.awaited.clear();
        self.catching = CatchingUp::Done;
        // What waited for it is settled by what it had said, and what was settled stays.
        for key in self.keys_where(|entry| match entry.stage {
            Stage::Predicting => true,
            Stage::Waiting => entry.held,
            _ => false,
        }) {
            self.decide(key, now);
        }
        self.tell_ready();
    }

    pub(super) fn keys_where(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<ItemKey> {
        let keys = (0..).map(ItemKey).zip(&self.entries);
        keys.filter(|(_, entry)| wanted(entry)).map(|(key, _)| key).collect()
    }

    /// A model that takes over predicts everything again, the answered included: the learner needs their numbers.
    pub(super) fn model_changed(&mut self, model: ModelSpec, now: Timestamp) {
        self.models.push(model.name.clone());
        self.trusted = self.present_model();
        self.rules.model = Some(model);
        self.dispatcher.take_waiting();
        for order in self.dispatcher.restart() {
            self.command(Command::Worker(order));
        }
        let answered = self.read_again();
        let others = self.keys_where(|entry| !matches!(entry.stage, Stage::Aside | Stage::Answered));
        answered.into_iter().chain(others).for_each(|key| self.dispatcher.add(key));
        self.entries.iter_mut().for_each(|entry| entry.asked_with = None);
        // What the one before had earned it did not.
        self.promise.iter_mut().for_each(super::promise::Promise::reckon_again);
        // It may have been given up, with the model before.
        self.dispatcher.run(self.running, now);
        self.teach_again();
    }

    /// The person thought of one more answer; one that is there already is no news.
    pub(super) fn label_added(&mut self, label: Label) {
        let mut labels: Vec<_> = self.rules.labels.iter().map(|(_, label)| label.clone()).collect();
        labels.push(label);
        if let Ok(labels) = LabelSet::new(labels) {
            self.command(Command::Study(Study::Labels(labels.len())));
            self.rules.labels = labels;
        }
    }

    pub(super) fn policy_changed(&mut self, policy: Policy) {
        self.rules.policy = policy;
        self.set_checks_aside();
        self.promise.iter_mut().for_each(super::promise::Promise::reckon_again);
        self.decide_all();
        // Whether there are checks decides what other answers are good for.
        for key in self.keys_where(|entry| entry.stage == Stage::Answered) {
            self.study(key);
        }
    }

    /// Decides anew what an older policy decided, a slice at a time.
    pub(super) fn redecide(&mut self, now: Timestamp) {
        let end = (self.redecided + REDECIDE_AT_ONCE).min(self.entries.len());
        while self.redecided < end && self.settled_now.len() + self.deferred_now.len() < MOVE_AT_ONCE {
            let index = self.redecided;
            self.redecided += 1;
            let entry = &self.entries[index];
            let stale = entry.policy != self.policy_version;
            if stale && (entry.held || matches!(entry.stage, Stage::Waiting | Stage::Accepted)) {
                #[allow(clippy::cast_possible_truncation)]
                self.decide(ItemKey(index as u32), now);
            }
        }
        if self.redecided < self.entries.len() {
            self.command(Command::Continue);
        }
    }

    /// Tells which items the model settled, and which wait for the person now.
    pub(super) fn tell_decisions(&mut self) {
        let (mut settled, mut deferred) =
            (std::mem::take(&mut self.settled_now), std::mem::take(&mut self.deferred_now));
        // The promise may have been earned between the two.
        settled.retain(|key| self.entry(*key).is_some_and(|entry| entry.stage == Stage::Accepted));
        deferred.retain(|key| self.entry(*key).is_some_and(|entry| entry.stage == Stage::Waiting));
        self.tell(Milestone::Accepted, settled);
        self.tell(Milestone::Deferred, deferred);
    }

    /// Decides on an item that nobody has answered, and puts it where it belongs.
    pub(super) fn decide(&mut self, key: ItemKey, now: Timestamp) {
        let Some(entry) = self.entry(key) else { return };
        let decision = self.judge(entry);
        let record = entry.record.and_then(|record| self.log.get(record));
        let recorded = record.is_some_and(|record| record.kind == Kind::Accepted);
        let (version, catches_up) = (self.policy_version, self.catches_up());
        let (trusted, predicts) = (self.trusted, self.rules.model.is_some());
        let Some(entry) = self.entries.get_mut(key.0 as usize) else { return };
        entry.policy = version;
        entry.held = false;
        let accepted = entry.stage == Stage::Accepted;
        // A model that was there before is believed in what it had settled until the present one has its say.
        let former = predicts && entry.prediction.is_some_and(|said| said.model < trusted);
        // The results are those of the present rules, the outcome is still the one that is in force.
        let in_force = entry.decision.map(|before| {
            let mut in_force = decision;
            in_force.outcome = before.outcome;
            in_force
        });
        if accepted && former {
            entry.decision = in_force;
            return;
        }
        let on_screen = self.asked.as_ref().is_some_and(|asked| asked.item == key);
        let open = !matches!(entry.stage, Stage::Answered | Stage::Aside);
        let by_model = decision.outcome == Outcome::Accept || recorded || accepted;
        // What the present model has no word for it does not settle, whatever the answers will say.
        let dropped = accepted && entry.prediction.is_none();
        if catches_up && open && !on_screen && by_model && !dropped {
            entry.decision = in_force;
            entry.held = true;
            return;
        }
        entry.decision = Some(decision);
        // What is on screen stays there: nothing moves under the person's hand.
        if on_screen && entry.stage == Stage::Predicting {
            self.deferred_now.push(key);
            self.take_back_accepts(key, now);
            return self.move_to(key, Stage::Waiting);
        }
        if on_screen || matches!(entry.stage, Stage::Answered | Stage::Aside) {
            return;
        }
        if decision.outcome == Outcome::Accept {
            if !accepted {
                entry.since = now;
                entry.second_look = false;
                self.settled_now.push(key);
            }
            self.accept(key, now);
        } else {
            if entry.stage != Stage::Waiting {
                self.deferred_now.push(key);
            }
            entry.second_look |= accepted && entry.prediction.is_some_and(|p| p.head_version > 0);
            self.defer(key, decision, now);
        }
    }

    fn accept(&mut self, key: ItemKey, now: Timestamp) {
        self.queue.remove(key);
        self.deck.retain(|waiting| *waiting != key);
        self.drafts.remove(key);
        self.move_to(key, Stage::Accepted);
        if !self.rules.deliver_accepted {
            return;
        }
        let Some(entry) = self.entry(key) else { return };
        let said = entry.prediction.map(|prediction| self.in_words(&prediction));
        let Some(label) = said.as_ref().map(|said| said.label.clone()) else { return };
        let before = entry.record.and_then(|record| self.log.get(record));
        // The same model that says the same again is no news, after a reload for example.
        let same = before.is_some_and(|before| {
            before.answer.as_ref() == Some(&label)
                && before.prediction.as_ref().map(|p| &p.model) == said.as_ref().map(|p| &p.model)
        });
        if !same {
            let accepted = self.accepted_record(key, now);
            self.unsent_accepts.extend(accepted.clone());
            self.log_record(accepted, key);
        }
    }

    /// The record of an item that the model settled.
    fn accepted_record(&mut self, key: ItemKey, now: Timestamp) -> Option<Correction> {
        let id = self.chance.record_id(now);
        self.accepted_as(key, id, now)
    }

    pub(super) fn accepted_as(&self, key: ItemKey, id: RecordId, now: Timestamp) -> Option<Correction> {
        let entry = self.entry(key)?;
        let said = entry.prediction.map(|prediction| self.in_words(&prediction))?;
        Some(Correction {
            id,
            item_id: entry.item.id.clone(),
            kind: Kind::Accepted,
            role: Role::Deferred,
            answer: Some(said.label.clone()),
            supersedes: entry.record,
            prediction: Some(said),
            policy: self.ruling(entry),
            prediction_shown: PredictionShown::Hidden,
            annotator: None,
            session: self.rules.session.clone(),
            shown_at: None,
            answered_at: now,
            seconds: 0.0,
            skipped_before: 0,
            flagged: false,
            note: None,
            meta: entry.item.meta.clone(),
        })
    }

    fn defer(&mut self, key: ItemKey, decision: Decision, now: Timestamp) {
        self.take_back_accepts(key, now);
        let Some(entry) = self.entry(key) else { return };
        let doubt = match entry.prediction {
            Some(prediction) => self.rules.strategy.doubt(&prediction, self.rules.seed, &entry.item.id),
            // Nothing is known about it: before all doubts where a model failed, in the order of arrival where
            // there is none.
            None if entry.unpredictable.is_some() => Doubt(1.0),
            None => in_order(key),
        };
        let id = entry.item.id.clone();
        if self.deck.contains(&key) || self.queue.is_last(key) {
        } else if decision.outcome == Outcome::Audit || self.is_held_out(key) {
            // A check among the doubtful must not be told by its place; and what is to judge the model has to be a
            // random sample at any time, not the most doubtful ones first.
            self.queue.put_check(key, &id);
        } else {
            self.queue.put(key, &id, doubt);
        }
        self.move_to(key, Stage::Waiting);
    }

    /// An accept that was recorded, in this visit or an earlier one, and no longer holds gets a tombstone;
    /// so do those that it had superseded, or they would come back to life.
    pub(super) fn take_back_accepts(&mut self, key: ItemKey, now: Timestamp) {
        let mut taken_back = Vec::new();
        while let Some(record) = self.entry(key).and_then(|entry| entry.record)
            && self.log.get(record).is_some_and(|record| record.kind == Kind::Accepted)
            && self.take_back_accept(record, key, now)
        {
            taken_back.push(record);
        }
        if self.beside {
            self.take_back_beside(key, taken_back, now);
        }
    }

    /// Accepts that are linked to none of those, another tab's for example, would take their place.
    fn take_back_beside(&mut self, key: ItemKey, mut taken_back: Vec<RecordId>, now: Timestamp) {
        let id = self.entry(key).map(|entry| entry.item.id.clone());
        let remembered = id.and_then(|id| self.remembered.get_mut(&id));
        let Some(beside) = remembered.map(|remembered| std::mem::take(&mut remembered.beside)) else {
            return;
        };
        for record in beside {
            let mut next = Some(record);
            while let Some(record) = next.take().and_then(|record| self.log.get(record))
                && record.kind == Kind::Accepted
                // Two tabs' accepts may take the place of the same one.
                && !taken_back.contains(&record.id)
            {
                let id = record.id;
                next = record.supersedes;
                taken_back.push(id);
                self.take_back_accept(id, key, now);
            }
        }
    }

    /// A tombstone of the model's, not of the person's. `false`: there is no such record.
    fn take_back_accept(&mut self, record: RecordId, key: ItemKey, now: Timestamp) -> bool {
        let tombstone =
            self.tombstone(record, now).map(|tombstone| Correction { annotator: None, ..tombstone });
        self.unsent_accepts.extend(tombstone.clone());
        let any = tombstone.is_some();
        self.log_record(tombstone, key);
        any
    }

    /// Stores what the model settled since the last time, all at once.
    pub(super) fn flush_accepts(&mut self) {
        if !self.unsent_accepts.is_empty() {
            let records = std::mem::take(&mut self.unsent_accepts);
            self.uncommitted.extend(records.iter().map(|record| record.id));
            self.command(Command::Commit(records));
        }
    }

    /// A prediction with labels by id.
    pub(super) fn in_words(&self, prediction: &Prediction) -> PredictionSaid {
        let name =
            |label| self.rules.labels.get(label).map_or_else(|| Arc::from(""), |label| label.id.clone());
        PredictionSaid {
            label: name(prediction.label()),
            confidence: prediction.confidence.get(),
            confidence_raw: prediction.confidence_raw.get(),
            margin: prediction.margin,
            entropy: prediction.entropy,
            top: prediction.top().iter().map(|&(label, p)| (name(label), p)).collect(),
            model: self.models.get(usize::from(prediction.model)).cloned().unwrap_or_default(),
            head_version: prediction.head_version,
        }
    }

    /// What the present policy says of an item. Only the present model, as the checks know it, settles anything.
    fn judge(&self, entry: &Entry) -> Decision {
        let mut decision = self.rules.policy.decide(&entry.item, entry.prediction.as_ref());
        let trusted = entry.prediction.is_none_or(|said| match self.rules.model {
            Some(_) => said.model == self.trusted,
            // Those before it were trusted in their time.
            None => said.model <= self.trusted,
        });
        if decision.outcome == Outcome::Accept && !trusted {
            decision.outcome = Outcome::Defer;
        }
        decision
    }

    /// The same, also of one whose turn to be decided anew has not come.
    pub(super) fn decision_of(&self, entry: &Entry) -> Option<Decision> {
        let made = entry.decision?;
        let stale = entry.policy != self.policy_version;
        Some(if stale { self.judge(entry) } else { made })
    }

    /// The same in words.
    pub(super) fn ruling(&self, entry: &Entry) -> Option<Ruling> {
        self.decision_of(entry).map(|decision| self.in_reasons(decision, entry.prediction.as_ref()))
    }

    pub(super) fn in_reasons(&self, decision: Decision, prediction: Option<&Prediction>) -> Ruling {
        (decision.outcome, self.rules.policy.explain(decision, prediction, &self.rules.labels))
    }

    /// Changes an item's stage and every count that follows from it.
    pub(super) fn move_to(&mut self, key: ItemKey, stage: Stage) {
        let Some(entry) = self.entries.get_mut(key.0 as usize) else { return };
        let before = std::mem::replace(&mut entry.stage, stage.clone());
        for (stage, step) in [(before, -1), (stage, 1)] {
            let count = match stage {
                Stage::Predicting => &mut self.progress.predicting,
                Stage::Waiting => &mut self.progress.waiting,
                Stage::Accepted => &mut self.progress.accepted,
                Stage::Answered => &mut self.progress.answered,
                Stage::Aside => &mut self.progress.aside,
            };
            *count = count.saturating_add_signed(step);
        }
    }

    fn tell(&mut self, milestone: impl FnOnce(Vec<ItemKey>) -> Milestone, items: Vec<ItemKey>) {
        if !items.is_empty() {
            self.command(Command::Tell(milestone(items)));
        }
    }
}

/// Without a model the items come in the order of arrival.
#[allow(clippy::cast_precision_loss)]
fn in_order(key: ItemKey) -> Doubt {
    Doubt(1.0 / (1.0 + key.0 as f32))
}
