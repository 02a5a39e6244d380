//! The person's side: one question on screen, answers, second thoughts.

use super::view::Answered;
use super::{Asked, CatchingUp, Command, Remembered, Session, Stage, Step, Why};
use crate::domain::correction::{Correction, Kind, PredictionShown, Role};
use crate::domain::ident::{RecordId, Timestamp};
use crate::domain::item::{AsideReason, ItemKey};
use crate::domain::label::LabelId;
use crate::domain::policy::Outcome;
use crate::domain::sorted::Keys;

impl Session {
    /// Puts the next question if there is none on screen, and settles which one comes after it.
    pub(super) fn ask(&mut self, now: Timestamp) {
        if self.running && self.asked.is_none() {
            let next = self.deck.pop_front().or_else(|| self.queue.take_next());
            if let Some(item) = next {
                self.put_on_screen(item, now);
            }
        }
        if self.running && self.deck.is_empty() {
            self.deck.extend(self.queue.take_next());
        }
    }

    fn put_on_screen(&mut self, item: ItemKey, now: Timestamp) {
        let Some(entry) = self.entry(item) else { return };
        let audit = self.decision_of(entry).is_some_and(|decision| decision.outcome == Outcome::Audit);
        let role = match entry.stage {
            Stage::Accepted | Stage::Answered => Role::Review,
            _ if audit && entry.unpredictable.is_none() => Role::Audit,
            _ if entry.prediction.is_none() => Role::Manual,
            _ => Role::Deferred,
        };
        let shown = match role {
            // Where some questions are checks, one that shows nothing would be known for a check; and what is held
            // out is to be as blind as these.
            Role::Deferred
                if self.rules.prediction_shown == PredictionShown::Shown
                    && self.rules.policy.has_audits() =>
            {
                PredictionShown::After
            }
            Role::Deferred => self.rules.prediction_shown,
            Role::Review => PredictionShown::Shown,
            Role::Audit | Role::Manual => PredictionShown::Hidden,
        };
        let (why, ruling, prediction) = (self.why(item, role), self.ruling(entry), entry.prediction);
        self.serial += 1;
        let (flagged, note) = self.drafts.remove(item).unwrap_or_default();
        self.asked = Some(Asked {
            item,
            role,
            shown,
            why,
            ruling,
            prediction,
            serial: self.serial,
            shown_at: now,
            away_ms: 0,
            away_since: (!self.visible || !self.running).then_some(now),
            flagged,
            note,
        });
    }

    /// Takes the question off the screen; one that still waits comes next. Mark and remark are kept for then.
    pub(super) fn put_back(&mut self, now: Timestamp) {
        let Some(asked) = self.asked.take() else { return };
        let item = asked.item;
        if self.waits(item) {
            self.deck.push_front(item);
            self.keep_draft(asked);
        }
        self.left(item, now);
    }

    /// What was decided of an item while it was on screen holds from now on.
    fn left(&mut self, item: ItemKey, now: Timestamp) {
        if self.entry(item).is_some_and(|entry| matches!(entry.stage, Stage::Waiting | Stage::Accepted)) {
            self.decide(item, now);
        }
    }

    fn keep_draft(&mut self, asked: Asked) {
        if asked.flagged || asked.note.is_some() {
            self.drafts.insert(asked.item, (asked.flagged, asked.note));
        }
    }

    pub(super) fn attention(&mut self, visible: bool, now: Timestamp) {
        self.visible = visible;
        self.look(now);
    }

    /// The person sees the question, or not: the page is hidden or the session paused.
    pub(super) fn look(&mut self, now: Timestamp) {
        let Some(asked) = &mut self.asked else { return };
        if self.visible && self.running {
            asked.away_ms += asked.away_since.take().map_or(0, |since| now.since(since));
        } else {
            asked.away_since.get_or_insert(now);
        }
    }

    pub(super) fn answered(&mut self, label: LabelId, now: Timestamp) {
        // A paused session shows no question, so there is none to answer.
        let Some(asked) = self.asked.take_if(|_| self.running) else { return };
        let Some(correction) = self.correction(&asked, label, now) else {
            self.asked = Some(asked);
            return;
        };
        self.pace.note(correction.seconds);
        let prediction = match asked.shown {
            PredictionShown::After => correction.prediction.clone(),
            PredictionShown::Hidden | PredictionShown::Shown => None,
        };
        self.last_answer = Some(Answered { item: correction.item_id.clone(), label, prediction });
        if let Some(entry) = self.entries.get_mut(asked.item.0 as usize) {
            entry.asked_with = asked.prediction;
        }
        self.keep_answer(asked.item, correction);
    }

    pub(super) fn reviewed(&mut self, item: ItemKey, label: LabelId, now: Timestamp) {
        if self.running && self.asked.as_ref().is_some_and(|asked| asked.item == item) {
            return self.answered(label, now);
        }
        let Some(entry) = self.entry(item) else { return };
        let asked = Asked {
            item,
            role: Role::Review,
            shown: PredictionShown::Shown,
            why: Why::Review,
            ruling: self.ruling(entry),
            prediction: entry.prediction,
            serial: self.serial,
            shown_at: now,
            away_ms: 0,
            away_since: None,
            flagged: false,
            note: None,
        };
        if let Some(mut correction) = self.correction(&asked, label, now) {
            correction.shown_at = None;
            self.asked.take_if(|asked| asked.item == item);
            self.queue.remove(item);
            self.deck.retain(|waiting| *waiting != item);
            self.keep_answer(item, correction);
        }
    }

    fn keep_answer(&mut self, item: ItemKey, correction: Correction) {
        self.drafts.remove(item);
        self.steps.push(Step::Answered(correction.id));
        self.move_to(item, Stage::Answered);
        self.keep(correction, item);
    }

    fn correction(&mut self, asked: &Asked, label: LabelId, now: Timestamp) -> Option<Correction> {
        let answer = self.rules.labels.get(label)?.id.clone();
        let id = self.chance.record_id(now);
        let entry = self.entry(asked.item)?;
        let away = asked.away_ms + asked.away_since.map_or(0, |since| now.since(since));
        #[allow(clippy::cast_precision_loss)]
        let seconds = (now.since(asked.shown_at) - away).max(0) as f64 / 1000.0;
        Some(Correction {
            id,
            item_id: entry.item.id.clone(),
            kind: Kind::Correction,
            role: asked.role,
            answer: Some(answer),
            supersedes: entry.record,
            prediction: asked.prediction.or(entry.prediction).map(|prediction| self.in_words(&prediction)),
            policy: asked.ruling.clone(),
            prediction_shown: asked.shown,
            annotator: self.rules.annotator.clone(),
            session: self.rules.session.clone(),
            shown_at: Some(asked.shown_at),
            answered_at: now,
            seconds,
            skipped_before: entry.skips,
            flagged: asked.flagged,
            note: asked.note.clone(),
            meta: entry.item.meta.clone(),
        })
    }

    /// Logs a record and has it stored.
    fn keep(&mut self, correction: Correction, item: ItemKey) {
        self.uncommitted.insert(correction.id);
        self.log_record(Some(correction.clone()), item);
        self.command(Command::Commit(vec![correction]));
    }

    /// Notes a record and what is in force for its item from now on.
    pub(super) fn log_record(&mut self, correction: Option<Correction>, item: ItemKey) {
        let Some(correction) = correction else { return };
        let in_force = self.note_in_force(&correction);
        self.report(&correction);
        self.log.insert(correction.id, correction);
        self.put_in_force(item, in_force);
    }

    /// Remembers what is in force for a record's item from this one on, and which accepts stay open beside it.
    fn note_in_force(&mut self, correction: &Correction) -> Option<RecordId> {
        let in_force = self.in_force_after(correction);
        let before = self.remembered.get(&correction.item_id).and_then(|remembered| remembered.record);
        let beside = match correction.kind {
            Kind::Accepted if in_force != Some(correction.id) => Some(correction.id),
            Kind::Undo => None,
            _ => before.filter(|before| {
                let accepted = self.log.get(*before).is_some_and(|record| record.kind == Kind::Accepted);
                accepted && correction.supersedes != Some(*before)
            }),
        };
        self.beside |= beside.is_some();
        let remembered: &mut Remembered = self.remembered.entry(correction.item_id.clone()).or_default();
        remembered.record = in_force;
        remembered.beside.extend(beside);
        if correction.kind == Kind::Undo {
            remembered.beside.retain(|id| correction.supersedes != Some(*id));
        }
        in_force
    }

    /// Which record is in force for an item after this one, by the rule of `docs/backend.md`: a model never
    /// overrules a person, and taking a record back revives the one that it had superseded.
    fn in_force_after(&self, correction: &Correction) -> Option<RecordId> {
        let present = self.remembered.get(&correction.item_id).and_then(|remembered| remembered.record);
        let by_person =
            |id: &RecordId| self.log.get(*id).is_some_and(|record| record.kind == Kind::Correction);
        match correction.kind {
            Kind::Correction => Some(correction.id),
            Kind::Accepted => present.filter(by_person).or(Some(correction.id)),
            // What was taken back is not in force any more, or never was.
            Kind::Undo if present != correction.supersedes => present,
            Kind::Undo => self.log.get(correction.supersedes?)?.supersedes,
        }
    }

    pub(super) fn put_in_force(&mut self, item: ItemKey, record: Option<RecordId>) {
        let Some(entry) = self.entries.get_mut(item.0 as usize) else { return };
        let before = std::mem::replace(&mut entry.record, record);
        entry.answer = None;
        for (record, step) in [(before, -1), (record, 1)] {
            let Some(correction) = record.and_then(|record| self.log.get(record)) else { continue };
            if correction.kind != Kind::Correction {
                continue;
            }
            let answer = correction.answer.as_ref();
            let said = correction.prediction.as_ref().map(|prediction| &prediction.label);
            if said.is_some() && said == answer {
                self.progress.confirmed = self.progress.confirmed.saturating_add_signed(step);
            }
            if correction.role == Role::Review {
                self.progress.reviewed = self.progress.reviewed.saturating_add_signed(step);
            }
            if step > 0 {
                entry.answer = answer.and_then(|label| self.rules.labels.find(label));
            }
        }
        if before != record {
            self.note_audit(item, before, record);
            self.study(item);
        }
    }

    pub(super) fn skipped(&mut self, now: Timestamp) {
        let Some(asked) = self.asked.take_if(|_| self.running) else { return };
        let Some(entry) = self.entry_mut(asked.item) else { return };
        let item = asked.item;
        if entry.stage == Stage::Waiting {
            entry.skips += 1;
            self.queue.put_last(item);
            self.steps.push(Step::Skipped(item));
            self.keep_draft(asked);
        }
        self.left(item, now);
    }

    /// The picture asked about cannot be shown. Where a model reads the items it has read this one; without, nobody
    /// has looked at it before the person.
    pub(super) fn unseen(&mut self, reason: AsideReason) {
        let asked = self.asked.take_if(|_| self.rules.model.is_none());
        let Some(asked) = asked else { return };
        if self.waits(asked.item) {
            self.put_aside(asked.item, reason);
        } else {
            self.asked = Some(asked);
        }
    }

    pub(super) fn opened(&mut self, item: ItemKey, now: Timestamp) {
        if self.entry(item).is_none() || self.asked.as_ref().is_some_and(|asked| asked.item == item) {
            return;
        }
        self.put_back(now);
        self.queue.remove(item);
        self.deck.retain(|waiting| *waiting != item);
        self.put_on_screen(item, now);
    }

    pub(super) fn undone(&mut self, now: Timestamp) {
        self.last_answer = None;
        match self.steps.pop() {
            None => {}
            Some(Step::Skipped(item)) if self.waits(item) => {
                self.queue.remove(item);
                if let Some(entry) = self.entry_mut(item) {
                    entry.skips = entry.skips.saturating_sub(1);
                }
                self.show_again(item, now);
            }
            // It was answered in another tab meanwhile.
            Some(Step::Skipped(_)) => {}
            Some(Step::Answered(record)) if self.holds(record) => self.take_back_answer(record, now),
            // Another tab took it back or answered anew meanwhile.
            Some(Step::Answered(_)) => {}
        }
    }

    fn waits(&self, item: ItemKey) -> bool {
        self.entry(item).is_some_and(|entry| entry.stage == Stage::Waiting)
    }

    /// Whether a record is the one in force for its item.
    fn holds(&self, record: RecordId) -> bool {
        let item = self.log.get(record).map(|correction| &correction.item_id);
        let remembered = item.and_then(|item| self.remembered.get(item));
        remembered.is_some_and(|remembered| remembered.record == Some(record))
    }

    fn take_back_answer(&mut self, record: RecordId, now: Timestamp) {
        let Some(taken) = self.log.get(record).cloned() else { return };
        let Some(tombstone) = self.tombstone(record, now) else { return };
        let Some(&item) = self.keys.get(&taken.item_id) else {
            // Answered in an earlier visit, and not among today's items so far: it will be asked when it comes.
            self.note_in_force(&tombstone);
            self.uncommitted.insert(tombstone.id);
            self.report(&tombstone);
            self.log.insert(tombstone.id, tombstone.clone());
            self.command(Command::Commit(vec![tombstone]));
            return;
        };
        self.keep(tombstone, item);
        let answered_before = self.entry(item).is_some_and(|entry| entry.answer.is_some());
        if answered_before {
            return;
        }
        // What a head says of the item that has learned this very answer is not what the person is asked about.
        let before = self.entries.get_mut(item.0 as usize).and_then(|entry| entry.asked_with.take());
        if let Some(before) = before.filter(|before| before.model == self.present_model()) {
            self.set_prediction(item, Some(before));
        }
        // The same item may be looked at just now: that question is void.
        self.asked.take_if(|asked| asked.item == item);
        if self.asides.iter().any(|aside| aside.item == Some(item)) {
            self.move_to(item, Stage::Aside);
        } else {
            self.move_to(item, Stage::Waiting);
            if taken.role == Role::Review {
                self.decide(item, now);
                return;
            }
            // An accept that the answer had superseded came back into force, but the item waits for the person.
            self.take_back_accepts(item, now);
        }
        self.show_again(item, now);
        if let Some(asked) = &mut self.asked {
            asked.flagged = taken.flagged;
            asked.note = taken.note;
        }
    }

    fn show_again(&mut self, item: ItemKey, now: Timestamp) {
        self.put_back(now);
        self.deck.retain(|waiting| *waiting != item);
        self.put_on_screen(item, now);
    }

    /// The record that takes another one back.
    pub(super) fn tombstone(&mut self, record: RecordId, now: Timestamp) -> Option<Correction> {
        let id = self.chance.record_id(now);
        let taken = self.log.get(record)?;
        Some(Correction {
            id,
            kind: Kind::Undo,
            answer: None,
            supersedes: Some(record),
            prediction: None,
            policy: None,
            annotator: self.rules.annotator.clone(),
            session: self.rules.session.clone(),
            shown_at: None,
            answered_at: now,
            seconds: 0.0,
            flagged: false,
            note: None,
            ..taken.clone()
        })
    }

    /// Takes over what earlier visits recorded, oldest first; before the first item arrives.
    pub(super) fn restored(&mut self, records: Vec<Correction>, kept: super::Kept) {
        for correction in records {
            // Records are told, and delivered, in the order of their identities.
            self.chance.follow(correction.id);
            self.pace_from(&correction);
            self.remember(correction);
        }
        let mut undone = Keys::<RecordId>::default();
        undone.extend(self.log.values().filter(|c| c.kind == Kind::Undo).filter_map(|c| c.supersedes));
        let answers: Vec<_> = self.log.values().filter(|c| c.kind == Kind::Correction).collect();
        // The draws of what kind of question comes go on where they were: short visits would all begin with the same.
        self.queue.go_on_from(answers.len() as u64);
        // Another annotator's answers are theirs.
        let own = answers.iter().filter(|c| c.annotator == self.rules.annotator && !undone.contains(c.id));
        self.steps = own.map(|correction| Step::Answered(correction.id)).collect();
        let answered = |record: RecordId| self.log.get(record).is_some_and(|c| c.kind == Kind::Correction);
        for remembered in self.remembered.values_mut() {
            remembered.unseen = remembered.record.is_some_and(answered);
            self.unseen += usize::from(remembered.unseen);
        }
        if self.unseen > 0 && self.rules.model.is_some() {
            self.catching = CatchingUp::Reading;
        }
        self.volatile.extend(kept.volatile);
        if let Some(outbox) = &mut self.outbox {
            let about = |id| super::delivering::parcel(&self.log, id);
            // What is too large is taken out of the store by who leads.
            let _ = outbox.restore(kept.waiting, kept.batches, kept.refused, kept.sent, about);
        }
    }

    fn pace_from(&mut self, correction: &Correction) {
        if correction.kind == Kind::Correction && correction.shown_at.is_some() {
            self.pace.note(correction.seconds);
        }
    }

    fn remember(&mut self, correction: Correction) {
        self.report(&correction);
        self.note_in_force(&correction);
        self.log.insert(correction.id, correction);
    }

    /// Another tab recorded something: it holds here, too.
    pub(super) fn elsewhere(&mut self, records: Vec<Correction>, now: Timestamp) {
        for correction in records {
            let id = correction.id;
            if self.log.contains_key(id) {
                continue;
            }
            self.chance.follow(id);
            let Some(&item) = self.keys.get(&correction.item_id) else {
                self.remember(correction);
                self.hand_to_outbox(id);
                continue;
            };
            self.log_record(Some(correction), item);
            self.hand_to_outbox(id);
            let Some(entry) = self.entry(item) else { continue };
            let (answered, stage) = (entry.answer.is_some(), entry.stage.clone());
            if answered {
                self.queue.remove(item);
                self.deck.retain(|waiting| *waiting != item);
                if self.asked.as_ref().is_some_and(|asked| asked.item == item) {
                    self.asked = None;
                }
                self.move_to(item, Stage::Answered);
            } else if stage == Stage::Answered {
                self.asked.take_if(|asked| asked.item == item);
                self.move_to(item, Stage::Waiting);
                self.decide(item, now);
            }
        }
    }
}
