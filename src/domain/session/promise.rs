//! A target in place of a threshold: the threshold is found on blind checks, and given up when they say so.

use super::{CatchingUp, Session, Stage};
use crate::domain::correction::{Correction, Kind, Role};
use crate::domain::ident::RecordId;
use crate::domain::label::LabelId;
use crate::domain::policy::{NOT_YET, NOTHING, OF_TARGET, Outcome, Policy, Sampling};
use crate::domain::promise::{Audit, Looks, Monitor, Target, Verdict, certify_per_label};
use crate::domain::sorted::Sorted;

/// What is promised, and how it is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRules {
    /// How right what is accepted has to be, and how surely.
    pub target: Target,
    /// Share of the items that are checked until the promise is earned, 0 to 1.
    pub audit_share: f64,
    /// Share that is checked from then on, so that a drift is noticed; at most `audit_share`.
    pub monitor_share: f64,
    /// Chooses the sample.
    pub seed: u64,
    /// Whether labels get thresholds of their own where there is evidence enough.
    pub per_label: bool,
    /// Whether the promise holds at a moment fixed beforehand, or at all moments at once.
    pub looks: Looks,
}

impl TargetRules {
    /// The usual rules for an accuracy: 90 % confidence, 30 % of the items checked at first and 5 % later.
    #[must_use]
    pub fn usual(accuracy: f64) -> Self {
        Self {
            target: Target { accuracy, confidence: 0.9 },
            audit_share: 0.3,
            monitor_share: 0.05,
            seed: 2,
            per_label: false,
            looks: Looks::Fixed,
        }
    }

    /// The sample before the promise is earned, or after.
    #[must_use]
    pub fn sampling(&self, earned: bool) -> Sampling {
        Sampling { share: if earned { self.monitor_share } else { self.audit_share }, seed: self.seed }
    }
}

/// Share of the questions that are checks while the promise is still to be earned.
const CHECKS_BEFORE: f64 = 0.5;
/// And afterwards.
const CHECKS_AFTER: f64 = 0.15;

/// Where the promise stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PromiseView {
    /// What is promised.
    pub target: Target,
    /// At which moments.
    pub looks: Looks,
    /// Earned, or how much is lacking.
    pub verdict: Verdict,
    /// With thresholds for single labels: each label's own verdict, and that of all others together (`None`). Empty
    /// without.
    pub groups: Vec<(Option<LabelId>, Verdict)>,
    /// Evidence that it is broken, as a bet's winnings: 1 is none, `1 / α` gives the alarm.
    pub evidence: f64,
    /// How often the recent checks gave alarm, and the evidence before it was dropped.
    pub alarms: usize,
    /// It was earned, and further checks took it away.
    pub lost: bool,
    /// Checks answered, voided ones included.
    pub answered: usize,
    /// Checks that wait for the person.
    pub waiting: usize,
}

impl PromiseView {
    /// Whether the model may settle items.
    #[must_use]
    pub fn is_earned(&self) -> bool {
        matches!(self.verdict, Verdict::Earned { .. })
    }

    /// How much of the evidence is there, 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share(&self) -> f64 {
        match self.verdict {
            Verdict::Earned { .. } => 1.0,
            Verdict::NotYet { audits, needed, .. } => audits as f64 / (audits + needed).max(1) as f64,
        }
    }
}

#[derive(Debug)]
pub(super) struct Promise {
    rules: TargetRules,
    verdict: Verdict,
    groups: Vec<(Option<LabelId>, Verdict)>,
    evidence: f64,
    alarms: usize,
    lost: bool,
    answered: usize,
    stale: bool,
    /// The checks in force or with an answer in the log: what to look at, in order of answering.
    audits: Sorted<RecordId, super::ItemKey>,
}

impl Promise {
    pub(super) fn new(rules: TargetRules) -> Self {
        let verdict = rules.looks.certify(&[], &rules.target);
        Self {
            rules,
            verdict,
            groups: Vec::new(),
            evidence: 1.0,
            alarms: 0,
            lost: false,
            answered: 0,
            stale: true,
            audits: Default::default(),
        }
    }

    pub(super) fn reckon_again(&mut self) {
        self.stale = true;
    }
}

/// In the place of the label that the model says, where it has said none yet.
const UNREAD: LabelId = LabelId(u16::MAX);

impl Session {
    /// An item's record in force changed: keeps the list of checks.
    pub(super) fn note_audit(
        &mut self,
        item: super::ItemKey,
        before: Option<RecordId>,
        now: Option<RecordId>,
    ) {
        let (before, now) = (self.check_under(before), self.check_under(now));
        let Some(promise) = self.promise.as_mut().filter(|_| before != now) else { return };
        if let Some(record) = before {
            promise.audits.remove(record);
        }
        if let Some(record) = now {
            promise.audits.insert(record, item);
        }
        promise.stale = true;
    }

    /// The blind answer on which a record in force stands, if there is one. A check stays what it was when the person
    /// looks at the item again, seeing what the model thinks: a second answer is not blind.
    pub(super) fn check_under(&self, record: Option<RecordId>) -> Option<RecordId> {
        let mut next = record;
        while let Some(correction) = next.and_then(|id| self.log.get(id)) {
            match (correction.kind, correction.role) {
                (Kind::Correction, Role::Audit) => return next,
                (Kind::Correction, _) => next = correction.supersedes,
                _ => return None,
            }
        }
        None
    }

    /// Whether a check was drawn by the target's own sample, which speaks for the whole stream; one of
    /// `audit_when` is of confident items only.
    fn is_of_target(correction: &Correction) -> bool {
        let reasons = correction.policy.iter().flat_map(|(_, reasons)| reasons);
        reasons.into_iter().any(|reason| reason.rule == OF_TARGET && reason.held)
    }

    /// An answered item got another prediction: what it says of the promise may have changed.
    pub(super) fn said_anew(&mut self, item: super::ItemKey) {
        let answered = self.entry(item).is_some_and(|entry| entry.stage == Stage::Answered);
        self.promise.iter_mut().for_each(|promise| promise.stale |= answered);
    }

    /// Reckons the promise anew if a check was answered or taken back.
    pub(super) fn keep_promise(&mut self) {
        if self.promise.as_mut().is_some_and(|promise| std::mem::take(&mut promise.stale)) {
            self.reckon();
        }
    }

    /// Finds the threshold that the checks warrant, and has everything decided by it.
    pub(super) fn reckon(&mut self) {
        let Some(promise) = &self.promise else { return };
        let target = promise.rules.target;
        let mut monitor = Monitor::new(&target);
        let (mut alarms, mut void) = (0, None);
        let (mut watch, mut watched) = (Watch::default(), Vec::new());
        for record in promise.audits.keys() {
            let Some(correction) = self.log.get(record).filter(|check| Self::is_of_target(check)) else {
                continue;
            };
            let Some(right) = watch.look(correction, promise.rules.per_label) else { continue };
            watched.push(record);
            monitor.note(right);
            if let Some(alarm) = monitor.alarm() {
                // What was answered before the change speaks for another time.
                void = watched.get(alarm.since).copied().or(Some(record));
                alarms += 1;
                watched.clear();
                monitor = Monitor::new(&target);
            }
        }
        let all_blind = Some(Sampling { share: 1.0, seed: promise.rules.seed });
        let everything = Policy { blind: all_blind, ..self.rules.policy.clone() };
        let (mut evidence, mut unread) = (Vec::new(), 0_usize);
        for (record, &item) in
            promise.audits.iter().filter(|(record, _)| void.is_none_or(|void| *record >= void))
        {
            let (Some(entry), Some(check)) = (self.entry(item), self.log.get(record)) else { continue };
            if !Self::is_of_target(check) {
                continue;
            }
            // The word of another model, or of one without its learner, says nothing of the one that is judged.
            let said = entry.prediction.filter(|said| said.model == self.trusted);
            // What a rule gives to the person by now is none of what the promise is about.
            if everything.decide(&entry.item, said.as_ref()).outcome != Outcome::Audit {
                continue;
            }
            let Some(prediction) = said else {
                unread += 1;
                // Which answers a look counts does not depend on what could be read. The model settles no such item.
                if promise.rules.looks == Looks::Any {
                    evidence.push((UNREAD, Audit { confidence: 0.0, right: false }));
                }
                continue;
            };
            let right =
                check.answer.as_ref().and_then(|id| self.rules.labels.find(id)) == Some(prediction.label());
            evidence.push((prediction.label(), Audit { confidence: prediction.confidence.get(), right }));
        }
        let at = |verdict: &Verdict| match verdict {
            Verdict::Earned { threshold, .. } => *threshold,
            Verdict::NotYet { .. } => NOTHING,
        };
        // Labels of their own make a promise of its own, and a stronger one: the two must not be mixed.
        let looks = promise.rules.looks;
        let mut shown = Vec::new();
        let (verdict, threshold, own) = if promise.rules.per_label {
            let (counted, share) = looks.last(evidence.len(), &target);
            let found = certify_per_label(&evidence[..counted], &share);
            // What is shown is what is in force: the greatest group that earned it, or what the rest still lacks.
            let groups = found.own.iter().map(|(_, verdict)| *verdict).chain([found.rest]);
            let mut verdict = groups.fold(found.rest, |shown, next| match (shown, next) {
                (Verdict::NotYet { .. }, Verdict::Earned { .. }) => next,
                (Verdict::Earned { audits: a, .. }, Verdict::Earned { audits: b, .. }) if b > a => next,
                _ => shown,
            });
            if let Verdict::NotYet { needed, .. } = &mut verdict {
                // Told from the last look on, at which fewer were there; nothing is earned before the next.
                let since = evidence.len() - counted;
                *needed = needed.saturating_sub(since).max(looks.until_next(evidence.len(), &target));
            }
            shown.extend(found.own.iter().map(|(label, verdict)| (Some(*label), *verdict)));
            shown.push((None, found.rest));
            let own: Vec<_> = found.own.iter().map(|(label, verdict)| (*label, at(verdict))).collect();
            (verdict, at(&found.rest), own)
        } else {
            let all: Vec<Audit> = evidence.iter().map(|(_, audit)| *audit).collect();
            let verdict = looks.certify(&all, &target);
            (verdict, at(&verdict), Vec::new())
        };
        // Before all earlier checks are read again, those that are would be a part that nobody drew.
        let held = self.catching < CatchingUp::Rescoring;
        let (verdict, threshold, own) = if held {
            let read = || evidence.iter().filter(|(label, _)| *label != UNREAD);
            let errors = read().filter(|(_, audit)| !audit.right).count();
            shown.clear();
            (Verdict::NotYet { audits: read().count(), errors, needed: unread.max(1) }, NOTHING, Vec::new())
        } else {
            (verdict, threshold, own)
        };
        let earned = threshold != NOTHING || own.iter().any(|(_, threshold)| *threshold != NOTHING);
        let sampling = promise.rules.sampling(earned);
        let answered = promise.audits.len();
        if let Some(promise) = &mut self.promise {
            let was_earned = matches!(promise.verdict, Verdict::Earned { .. });
            let is_earned = matches!(verdict, Verdict::Earned { .. });
            // Taking a check back takes away what it had earned, and breaks nothing.
            // Nor has another model broken what the one before it had earned.
            promise.lost =
                !is_earned && (promise.lost || !held && was_earned && answered >= promise.answered);
            promise.verdict = verdict;
            promise.groups = shown;
            promise.evidence = monitor.evidence();
            promise.alarms = alarms;
            promise.answered = answered;
        }
        self.queue.set_check_share(Some(if earned { CHECKS_AFTER } else { CHECKS_BEFORE }));
        let policy = &mut self.rules.policy;
        if policy.accept_at != threshold || policy.blind != Some(sampling) || policy.accept_at_label != own {
            policy.accept_at = threshold;
            policy.accept_at_label = own;
            policy.blind = Some(sampling);
            self.decide_all();
        }
    }

    /// Where the promise stands; `None` without a target.
    #[must_use]
    pub fn promise(&self) -> Option<PromiseView> {
        let promise = self.promise.as_ref()?;
        Some(PromiseView {
            target: promise.rules.target,
            looks: promise.rules.looks,
            verdict: promise.verdict,
            groups: promise.groups.clone(),
            evidence: promise.evidence,
            alarms: promise.alarms,
            lost: promise.lost,
            answered: promise.answered,
            waiting: self.queue.checks(),
        })
    }

    /// How the target is checked.
    #[must_use]
    pub fn target(&self) -> Option<&TargetRules> {
        self.promise.as_ref().map(|promise| &promise.rules)
    }

    /// A target takes the place of the configured checks, for as long as it is there.
    pub(super) fn set_checks_aside(&mut self) {
        if self.promise.is_some() {
            self.own_checks = self.rules.policy.audit_when.take().or_else(|| self.own_checks.take());
        }
    }

    /// Another target, or a threshold again.
    pub(super) fn target_changed(&mut self, rules: Option<TargetRules>) {
        self.promise = rules.filter(|_| self.rules.model.is_some()).map(Promise::new);
        if self.promise.is_none() {
            if self.own_checks.is_some() {
                self.decide_all();
            }
            return self.give_target_up();
        }
        self.set_checks_aside();
        if self.waits_for_unseen() || !self.awaited.is_empty() {
            self.catching = CatchingUp::Reading;
        }
        self.audits_changed();
        self.reckon();
    }

    /// No target any more: the configured checks are in force again, if there are any.
    pub(super) fn give_target_up(&mut self) {
        self.promise = None;
        self.rules.policy.blind = None;
        self.queue.set_check_share(None);
        if self.own_checks.is_some() {
            self.rules.policy.audit_when = self.own_checks.take();
        }
        self.audits_changed();
    }

    fn audits_changed(&mut self) {
        // What an answer is good for depends on how the checks are drawn.
        for key in self.keys_where(|entry| entry.stage == Stage::Answered) {
            let record = self.entry(key).and_then(|entry| entry.record);
            self.note_audit(key, None, record);
            self.study(key);
        }
    }
}

/// What the monitor is told, check by check in the order of answering.
#[derive(Debug, Default)]
struct Watch {
    /// Confidences of the last checks that the model would have accepted.
    accepted: std::collections::VecDeque<f32>,
}

/// So many checks tell about where the threshold was.
const RECENT: usize = 10;

impl Watch {
    /// Whether the model was right, if it would have accepted the item when the person was asked. While nothing is
    /// accepted, the last threshold goes on to count: a stream that has changed for the worse would otherwise
    /// not be watched from the very moment at which it shows, and the checks from before would outweigh it.
    ///
    /// With thresholds of their own, labels that never earned one cannot be told from those that lost it: then
    /// only what would have been accepted counts.
    fn look(&mut self, correction: &Correction, per_label: bool) -> Option<bool> {
        let (outcome, reasons) = correction.policy.as_ref()?;
        let prediction = correction.prediction.as_ref().filter(|_| *outcome == Outcome::Audit)?;
        let rule = reasons.first()?;
        if rule.held {
            self.accepted.push_back(prediction.confidence);
            if self.accepted.len() > RECENT {
                self.accepted.pop_front();
            }
        } else {
            let least = self.accepted.iter().copied().reduce(f32::min)?;
            if per_label || rule.rule != NOT_YET || prediction.confidence < least {
                return None;
            }
        }
        Some(correction.answer.as_ref() == Some(&prediction.label))
    }
}
