//! The learner: sans-IO, in a worker of the page as in a benchmark.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::item::ItemKey;
use super::super::label::LabelId;
use super::super::prediction::{Activation, Prediction, ScoreScale, Temperature, activated, logit};
use super::calibration::{Held, expected_calibration_error, fit_temperature, log_loss};
use super::head::{ENOUGH_TO_CHOOSE, Example, FitRules, Head, HeadKind, STRENGTHS, fit_on};
use super::lanes::product;
use super::memory::{Memory, as_kept};
use super::slips::{FOLDS, Judged, Slip, find_slips};

/// Answers of a label before a model that did not bring it predicts it.
pub const ANSWERS_A_LABEL: usize = 2;

/// Held-out answers before a head is held back on their evidence: a standard error of fewer says little.
pub const EVIDENCE: usize = 10;

/// The loss, in nats, of an answer that a head has no probability for because the label does not take part in
/// it: as a probability of 10⁻⁶.
const ABSENT: f64 = 13.815_510_557_964_274;

/// Held-out answers before the temperature is found on them: from fewer it leaps from one answer to the next, and
/// with it what is settled.
pub const ENOUGH_TO_CALIBRATE: usize = 20;

/// The most answers on which the strength of the pull is chosen.
const MOST_TO_CHOOSE: usize = 256;

/// How far a head may be from its optimum while the strength is chosen: strengths whose losses differ by no more are
/// as good as each other.
const TOLERANCE_TO_CHOOSE: f64 = 1e-3;

/// New rows that are multiplied with all before them at a time.
const ROWS_AT_A_TIME: usize = 32;

/// Bins of the calibration error: as Guo et al. 2017.
const BINS: usize = 15;

/// What to learn, and how.
#[derive(Clone, Debug)]
pub struct LearnerRules {
    /// How many labels there are to begin with; with `scores`, those of the model's output.
    pub labels: usize,
    /// Whether the model gives scores; an embedder gives features only.
    pub scores: bool,
    /// How many features the model gives; zero: the head works on the scores alone.
    pub features: usize,
    /// What the scores are.
    pub scale: ScoreScale,
    /// How logits become probabilities.
    pub activation: Activation,
    /// The manifest's temperature.
    pub temperature: Temperature,
    /// A head to start from, of an earlier visit or another visitor.
    pub prior: Option<Head>,
    /// How the head is fitted; its temperature is set to the manifest's.
    pub fit: FitRules,
    /// How much memory the items' rows may take; see [`Memory`].
    pub memory_bytes: usize,
}

/// What an answer is used for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Use {
    /// The head learns from it.
    Train(LabelId),
    /// The head is judged and calibrated by it and never learns from it. With how many items of the stream the
    /// answer stands for: one over the chance with which its item was drawn.
    HoldOut(LabelId, f32),
}

/// What became of a new head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// Fewer than [`EVIDENCE`] held-out answers: the new head is in force unjudged.
    NoEvidence,
    /// It is not worse on the held-out answers than the one before by more than one standard error.
    Passed,
    /// It is: an earlier one stays in force.
    Kept {
        /// How many answers the head that stays has learned from; 0: the model as it came.
        answers: usize,
        /// How much greater the new head's log-loss is, in nats an answer.
        worse_by: f64,
        /// The standard error of that difference.
        standard_error: f64,
    },
}

/// What came of learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// Of the head and temperature in force: grows when they change; 0 is the model as it came.
    pub version: u32,
    /// Answers that were there to learn from.
    pub trained: usize,
    /// Answers that were held out.
    pub held_out: usize,
    /// What became of the new head.
    pub gate: Gate,
    /// In force.
    pub temperature: Temperature,
    /// Weighted mean log-loss of the held-out answers, in nats: of the model as it came (for an embedder: of an
    /// even guess) and of the head in force, each at the temperature that fits it to the same answers. Over the
    /// answers whose label takes part in both; `None` if there are none.
    pub log_loss: Option<(f64, f64)>,
    /// Calibration error of the head in force on the held-out answers, at temperature 1 and calibrated.
    pub calibration_error: Option<(f64, f64)>,
}

/// A head that may be in force.
#[derive(Debug, PartialEq)]
struct Standing {
    /// How many answers it has learned from.
    answers: usize,
    head: Head,
    /// Which labels take part.
    part: Vec<bool>,
}

/// A training answer whose row is there: the row is told by its stamp.
type Taught = (ItemKey, LabelId, u32);

/// A fit that may be asked for again.
#[derive(Debug)]
struct Known {
    from: Vec<Taught>,
    standing: Arc<Standing>,
    /// On the held-out answers that [`Learner::judged_on`] names.
    verdict: Option<Arc<Verdict>>,
}

/// How a head does on the held-out answers.
#[derive(Debug)]
struct Verdict {
    temperature: Temperature,
    /// One an answer at that temperature; `None` if its label does not take part.
    losses: Vec<Option<f64>>,
    calibration_error: Option<(f64, f64)>,
}

/// Dot products of the features of items, kept from one fit to the next.
#[derive(Debug, Default)]
struct Dots {
    of: Vec<(ItemKey, u32)>,
    dots: Vec<f64>,
}

/// Learns from the answers, one model at a time.
///
/// Which head and which temperature are in force is a pure function of the answers that stand (those to learn
/// from in the order of their last [`Learner::answer`]), the rows that are kept, and the rules. It does not
/// depend on when [`Learner::learn`] was called, nor on answers that were taken back.
#[derive(Debug)]
pub struct Learner {
    rules: LearnerRules,
    /// Labels that the model scores.
    own: usize,
    labels: usize,
    memory: Memory,
    train: Vec<(ItemKey, LabelId)>,
    held: BTreeMap<ItemKey, (LabelId, f32)>,
    start: Arc<Standing>,
    standing: Arc<Standing>,
    temperature: Temperature,
    version: u32,
    versions: u32,
    known: Vec<Known>,
    judged_on: Vec<(ItemKey, LabelId, u32, u32)>,
    dots: Dots,
    /// Strengths that were chosen, by the answers on which they were.
    strengths: RefCell<Vec<(Vec<Taught>, f64)>>,
}

/// Buffers of a row's numbers.
#[derive(Default)]
struct Scratch {
    base: Vec<f32>,
    features: Vec<f32>,
    logits: Vec<f64>,
}

impl Learner {
    /// A learner without an answer. A prior of another kind or width than the model's is not used.
    #[must_use]
    pub fn new(mut rules: LearnerRules) -> Self {
        let kind = if rules.features > 0 { HeadKind::Linear } else { HeadKind::VectorScaling };
        rules.fit.temperature = f64::from(rules.temperature.get());
        let none = Head::none(kind, rules.labels, rules.features);
        rules.prior = rules.prior.take().filter(|p| p.kind() == kind && p.features() == none.features());
        let labels = rules.prior.as_ref().map_or(rules.labels, |prior| prior.labels().max(rules.labels));
        let own = if rules.scores { rules.labels } else { 0 };
        let head = rules.prior.clone().unwrap_or(none);
        let start = Arc::new(Standing { answers: 0, part: Vec::new(), head });
        let mut learner = Self {
            own,
            labels,
            memory: Memory::new(own, rules.features, rules.memory_bytes),
            train: Vec::new(),
            held: BTreeMap::new(),
            standing: start.clone(),
            start,
            temperature: rules.temperature,
            version: 0,
            versions: 0,
            known: Vec::new(),
            judged_on: Vec::new(),
            dots: Dots::default(),
            strengths: RefCell::default(),
            rules,
        };
        learner.begin();
        learner
    }

    /// Puts the model as it came in force, for the labels that there are now.
    fn begin(&mut self) {
        let head = self.start.head.with_labels(self.labels);
        let part = (0..self.labels).map(|k| k < self.own || head.speaks_of(k)).collect();
        let start = Arc::new(Standing { answers: 0, head, part });
        if self.standing.answers == 0 {
            self.standing = start.clone();
        } else {
            let head = self.standing.head.with_labels(self.labels);
            let mut part = self.standing.part.clone();
            part.resize(self.labels, false);
            self.standing = Arc::new(Standing { answers: self.standing.answers, head, part });
        }
        self.start = start;
        self.known.clear();
    }

    /// Labels that the person added: `labels` in all. They take no part before [`ANSWERS_A_LABEL`] answers.
    pub fn add_labels(&mut self, labels: usize) {
        if labels > self.labels {
            self.labels = labels;
            self.begin();
        }
    }

    /// Keeps what the model gave for an item and predicts it under the head in force. `None`: nothing can be said
    /// yet (fewer than two labels take part), or the numbers are not finite or not of the model's widths.
    pub fn take(&mut self, key: ItemKey, scores: &[f32], features: &[f32]) -> Option<Prediction> {
        let finite = scores.iter().chain(features).all(|x| x.is_finite());
        if !finite || scores.len() != self.own || features.len() != self.rules.features {
            return None;
        }
        let must = self.held.contains_key(&key) || self.train.iter().any(|(known, _)| *known == key);
        self.memory.keep(key, scores, features, must);
        let mut scratch = Scratch::default();
        as_kept(features, &mut scratch.features);
        self.predict(scores, &mut scratch)
    }

    /// Notes an answer in place of the item's earlier one; `None` takes that back. An answer may come before its
    /// item's row. Nothing changes before [`Learner::learn`].
    pub fn answer(&mut self, key: ItemKey, use_: Option<Use>) {
        self.train.retain(|(known, _)| *known != key);
        self.held.remove(&key);
        match use_ {
            Some(Use::Train(label)) => self.train.push((key, label)),
            Some(Use::HoldOut(label, weight)) => {
                self.held.insert(key, (label, weight));
            }
            None => self.memory.release(key),
        }
    }

    /// Items with an answer of which no row is kept: predicting them again makes their answers count.
    #[must_use]
    pub fn lacks(&self) -> Vec<ItemKey> {
        let answered = self.train.iter().map(|(key, _)| *key).chain(self.held.keys().copied());
        answered.filter(|key| self.memory.get(*key).is_none()).collect()
    }

    /// The head in force.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.standing.head
    }

    /// Which labels take part in the head in force; the others have probability 0.
    #[must_use]
    pub fn taking_part(&self) -> &[bool] {
        &self.standing.part
    }

    /// How many answers the head in force has learned from.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.standing.answers
    }

    /// The temperature in force.
    #[must_use]
    pub fn temperature(&self) -> Temperature {
        self.temperature
    }

    /// What is kept of the items.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Every kept row under the head and temperature in force, in order of the items' keys; rows of which nothing
    /// can be said yet are left out.
    pub fn predictions(&self) -> impl Iterator<Item = (ItemKey, Prediction)> {
        let mut scratch = Scratch::default();
        self.memory.iter().filter_map(move |(key, row)| {
            row.features(&mut scratch.features);
            self.predict(row.scores, &mut scratch).map(|prediction| (key, prediction))
        })
    }

    /// The features are in `scratch`.
    fn predict(&self, scores: &[f32], scratch: &mut Scratch) -> Option<Prediction> {
        if !self.speaks(&self.standing) {
            return None;
        }
        self.logits(&self.standing, scores, scratch);
        Prediction::from_logits(&scratch.logits, self.rules.activation, self.temperature, self.version)
    }

    /// Whether a head can say anything.
    fn speaks(&self, standing: &Standing) -> bool {
        self.rules.scores || standing.part.iter().filter(|part| **part).count() >= 2
    }

    fn model_logit(&self, score: f32) -> f64 {
        logit(f64::from(score), self.rules.scale, self.rules.activation)
    }

    /// The logits of a row, whose features are in `scratch`, into `scratch`; −∞ for labels that take no part.
    fn logits(&self, standing: &Standing, scores: &[f32], scratch: &mut Scratch) {
        if self.rules.scores && standing.head.is_none() {
            // As the model said it, to the bit.
            scratch.logits.clear();
            scratch.logits.extend(scores.iter().map(|s| self.model_logit(*s)));
            scratch.logits.resize(self.labels, f64::NEG_INFINITY);
            return;
        }
        self.base(scores, &mut scratch.base);
        standing.head.logits(&scratch.base, &scratch.features, &mut scratch.logits);
        for (z, part) in scratch.logits.iter_mut().zip(&standing.part) {
            if !part {
                *z = f64::NEG_INFINITY;
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn base(&self, scores: &[f32], into: &mut Vec<f32>) {
        into.clear();
        into.extend(scores.iter().map(|s| self.model_logit(*s) as f32));
    }

    /// Learns anew from the answers that stand, judges and calibrates.
    ///
    /// The head of n answers is compared with the one in force at a checkpoint, the greatest power of two below n
    /// (beneath 1: the model as it came), which was itself so judged: so what is in force depends on the answers
    /// alone, also when the person is faster than the refits. The new one is used unless its weighted mean
    /// log-loss on the held-out answers, each head at its own temperature found on them, is greater by more than
    /// one standard error of the paired differences.
    pub fn learn(&mut self) -> Lesson {
        let taught = self.taught();
        let held = self.held_out();
        if held != self.judged_on {
            self.known.iter_mut().for_each(|known| known.verdict = None);
            self.judged_on = held;
        }
        self.multiply(&taught);
        let mut known = std::mem::take(&mut self.known);
        let mut used = Vec::new();
        let (standing, gate) = self.stand(&taught, &mut known, &mut used);
        let verdict = self.verdict(&standing, used.iter().chain(&known));
        self.known = used;

        let calibrated = verdict.as_ref().filter(|_| self.judged_on.len() >= ENOUGH_TO_CALIBRATE);
        let temperature = calibrated.map_or_else(|| self.uncalibrated(standing.answers), |v| v.temperature);
        if *standing != *self.standing || temperature != self.temperature {
            let as_it_came = *standing == *self.start && temperature == self.rules.temperature;
            self.versions += 1;
            self.version = if as_it_came { 0 } else { self.versions };
            self.temperature = temperature;
        }
        self.standing = standing;
        Lesson {
            version: self.version,
            trained: taught.len(),
            held_out: self.judged_on.len(),
            gate,
            temperature,
            log_loss: verdict.as_ref().and_then(|v| self.compared(v)),
            calibration_error: verdict.and_then(|v| v.calibration_error),
        }
    }

    /// The temperature before it can be found: the manifest's; of a model that starts from nothing, higher as long as
    /// it has learned from fewer than [`ENOUGH_TO_CALIBRATE`] answers, since a handful is soon explained with certainty.
    fn uncalibrated(&self, answers: usize) -> Temperature {
        let own = self.rules.temperature;
        if self.rules.scores || !(1..ENOUGH_TO_CALIBRATE).contains(&answers) {
            return own;
        }
        #[allow(clippy::cast_precision_loss)]
        let softer = ENOUGH_TO_CALIBRATE as f32 / answers as f32;
        Temperature::new((own.get() * softer).clamp(0.05, 20.0)).unwrap_or(own)
    }

    /// Training answers that can be learned from, in order.
    fn taught(&self) -> Vec<Taught> {
        let known = self.train.iter().filter(|(_, label)| usize::from(label.0) < self.labels);
        known.filter_map(|(key, label)| Some((*key, *label, self.memory.stamp(*key)?))).collect()
    }

    /// Held-out answers with weight (its bits) and stamp, by item: their order does not matter.
    fn held_out(&self) -> Vec<(ItemKey, LabelId, u32, u32)> {
        let known = self.held.iter().filter(|(_, (label, _))| usize::from(label.0) < self.labels);
        known
            .filter_map(|(key, (label, weight))| {
                Some((*key, *label, weight.to_bits(), self.memory.stamp(*key)?))
            })
            .collect()
    }

    /// The head in force after these answers.
    fn stand(
        &self,
        taught: &[Taught],
        known: &mut Vec<Known>,
        used: &mut Vec<Known>,
    ) -> (Arc<Standing>, Gate) {
        let judged = self.judged_on.len() >= EVIDENCE;
        let passed = if judged { Gate::Passed } else { Gate::NoEvidence };
        if taught.is_empty() {
            return (self.start.clone(), passed);
        }
        let at = known.iter().position(|k| k.from == taught);
        let mut new = at.map_or_else(
            || Known { from: taught.to_vec(), standing: Arc::new(self.fit(taught)), verdict: None },
            |at| known.swap_remove(at),
        );
        if !judged {
            let standing = new.standing.clone();
            used.push(new);
            return (standing, passed);
        }
        let (old, _) = self.stand(&taught[..checkpoint(taught.len())], known, used);
        new.verdict = new.verdict.or_else(|| self.judge(&new.standing));
        let before = self.verdict(&old, used.iter());
        let gate = match (&new.verdict, before) {
            (Some(new), Some(before)) => self.compare(new, &before, old.answers),
            // The old one says nothing at all.
            _ => passed,
        };
        let standing = if matches!(gate, Gate::Kept { .. }) { old } else { new.standing.clone() };
        used.push(new);
        (standing, gate)
    }

    fn compare(&self, new: &Verdict, old: &Verdict, answers: usize) -> Gate {
        let pairs = new.losses.iter().zip(&old.losses).zip(&self.judged_on);
        let differences = || {
            pairs.clone().map(|((new, old), (_, _, weight, _))| {
                (new.unwrap_or(ABSENT) - old.unwrap_or(ABSENT), f64::from(f32::from_bits(*weight)))
            })
        };
        let total: f64 = differences().map(|(_, w)| w).sum();
        let mean = differences().map(|(d, w)| d * w).sum::<f64>() / total;
        // Of a weighted mean of independent answers: Cochran, Sampling Techniques (1977), §6.4 (ratio estimate).
        #[allow(clippy::cast_precision_loss)]
        let n = self.judged_on.len() as f64;
        let squares: f64 = differences().map(|(d, w)| (w * (d - mean)).powi(2)).sum();
        let standard_error = (squares * n / (n - 1.0)).sqrt() / total;
        if mean > standard_error {
            Gate::Kept { answers, worse_by: mean, standard_error }
        } else {
            Gate::Passed
        }
    }

    /// The verdict on a head, from among those that are known if it is there.
    fn verdict<'a>(
        &self,
        standing: &Arc<Standing>,
        mut known: impl Iterator<Item = &'a Known>,
    ) -> Option<Arc<Verdict>> {
        let same = known.find(|known| Arc::ptr_eq(&known.standing, standing));
        same.and_then(|known| known.verdict.clone()).or_else(|| self.judge(standing))
    }

    /// Judges a head on the held-out answers; `None` if there are none or it says nothing.
    fn judge(&self, standing: &Standing) -> Option<Arc<Verdict>> {
        if self.judged_on.is_empty() || !self.speaks(standing) {
            return None;
        }
        let mut scratch = Scratch::default();
        let own = f64::from(self.rules.temperature.get());
        let mut all = Vec::with_capacity(self.judged_on.len() * self.labels);
        for (key, ..) in &self.judged_on {
            let row = self.memory.get(*key)?;
            row.features(&mut scratch.features);
            self.logits(standing, row.scores, &mut scratch);
            all.extend(scratch.logits.iter().map(|z| z / own));
        }
        let rows = || {
            self.judged_on.iter().zip(all.chunks_exact(self.labels)).map(|((_, label, weight, _), logits)| {
                let weight = f64::from(f32::from_bits(*weight));
                Held { logits, label: usize::from(label.0), weight }
            })
        };
        let activation = self.rules.activation;
        // Around the manifest's: with little evidence it stays there.
        let fitted = fit_temperature(&rows().collect::<Vec<_>>(), activation).temperature;
        #[allow(clippy::cast_possible_truncation)]
        let t = ((own * f64::from(fitted.get())) as f32).clamp(0.05, 20.0);
        let temperature = Temperature::new(t).unwrap_or(self.rules.temperature);
        let relative = f64::from(t) / own;
        let losses = rows()
            .map(|row| Some(log_loss(row.logits, row.label, relative, activation)).filter(|l| l.is_finite()))
            .collect();
        let error = |t: f64| {
            let judged: Vec<_> = rows()
                .map(|row| {
                    let best = most(row.logits);
                    (activated(row.logits, activation, t)[best], best == row.label, row.weight)
                })
                .collect();
            expected_calibration_error(&judged, BINS)
        };
        let calibration_error = error(1.0 / own).zip(error(relative));
        Some(Arc::new(Verdict { temperature, losses, calibration_error }))
    }

    /// Log-loss of the model as it came and of the head in force.
    fn compared(&self, in_force: &Verdict) -> Option<(f64, f64)> {
        let came = self.judge(&self.start);
        #[allow(clippy::cast_precision_loss)]
        let even = match self.rules.activation {
            Activation::Softmax => (self.labels as f64).ln(),
            Activation::Sigmoid => self.labels as f64 * std::f64::consts::LN_2,
        };
        let (mut sums, mut total) = ((0.0, 0.0), 0.0);
        for (i, (_, _, weight, _)) in self.judged_on.iter().enumerate() {
            let before = came.as_ref().map_or(Some(even), |came| came.losses[i]);
            if let (Some(before), Some(after)) = (before, in_force.losses[i]) {
                let weight = f64::from(f32::from_bits(*weight));
                sums = (sums.0 + weight * before, sums.1 + weight * after);
                total += weight;
            }
        }
        (total > 0.0).then(|| (sums.0 / total, sums.1 / total))
    }

    /// Which labels take part after these answers.
    fn part(&self, taught: &[Taught]) -> Vec<bool> {
        let mut counts = vec![0; self.labels];
        taught.iter().for_each(|(_, label, _)| counts[usize::from(label.0)] += 1);
        self.start.part.iter().zip(&counts).map(|(from, count)| *from || *count >= ANSWERS_A_LABEL).collect()
    }

    /// The head that these answers teach, with the strength of the pull that the first of them warrant.
    fn fit(&self, taught: &[Taught]) -> Standing {
        self.fit_with(taught, &FitRules { l2: self.strength(taught), ..self.rules.fit })
    }

    /// How strongly the head is pulled to the model.
    ///
    /// By cross-validation on the first answers, as many as the greatest power of two that there are (at most
    /// [`MOST_TO_CHOOSE`]): so the choice is made anew now and then only, and depends on the answers alone. Of the
    /// strengths whose out-of-fold log-loss is within one standard error of the best one's, the strongest
    /// (Hastie, Tibshirani, Friedman, *The Elements of Statistical Learning*, 2009, §7.10): the answers are the
    /// doubtful items, and what helps there a little may harm elsewhere.
    fn strength(&self, taught: &[Taught]) -> f64 {
        let rules = &self.rules.fit;
        if !rules.adapts || taught.len() < ENOUGH_TO_CHOOSE {
            return rules.l2;
        }
        let first = (1 << taught.len().ilog2()).min(MOST_TO_CHOOSE);
        let taught = &taught[..first];
        let known = self.strengths.borrow().iter().find(|(from, _)| from == taught).map(|(_, l2)| *l2);
        known.unwrap_or_else(|| {
            let l2 = self.choose(taught).unwrap_or(rules.l2);
            let mut strengths = self.strengths.borrow_mut();
            // The last few: undoing and answering again goes to and fro between two of them.
            if strengths.len() >= 8 {
                strengths.remove(0);
            }
            strengths.push((taught.to_vec(), l2));
            l2
        })
    }

    fn choose(&self, taught: &[Taught]) -> Option<f64> {
        let mut losses: Vec<Vec<f64>> = Vec::with_capacity(STRENGTHS.len());
        for l2 in STRENGTHS {
            let rules = FitRules {
                l2,
                tolerance: self.rules.fit.tolerance.max(TOLERANCE_TO_CHOOSE),
                ..self.rules.fit
            };
            let mut all = vec![0.0; taught.len()];
            for fold in 0..FOLDS {
                let rest: Vec<Taught> =
                    taught.iter().enumerate().filter(|(i, _)| i % FOLDS != fold).map(|(_, t)| *t).collect();
                let standing = self.fit_with(&rest, &rules);
                for (i, (key, label, _)) in taught.iter().enumerate().filter(|(i, _)| i % FOLDS == fold) {
                    all[i] = self.loss(&standing, *key, *label)?;
                }
            }
            losses.push(all);
        }
        #[allow(clippy::cast_precision_loss)]
        let n = taught.len() as f64;
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / n;
        let best = losses
            .iter()
            .map(|losses| mean(losses))
            .enumerate()
            .fold((0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best });
        let chosen = STRENGTHS.iter().zip(&losses).rev().find(|(_, own)| {
            let differences = || own.iter().zip(&losses[best.0]).map(|(own, best)| own - best);
            let mean = differences().sum::<f64>() / n;
            let variance = differences().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
            mean <= (variance / n).sqrt()
        });
        chosen.map(|(l2, _)| *l2)
    }

    /// Log-loss of an answer under a head, at the manifest's temperature.
    fn loss(&self, standing: &Standing, item: ItemKey, label: LabelId) -> Option<f64> {
        let row = self.memory.get(item)?;
        let mut scratch = Scratch::default();
        row.features(&mut scratch.features);
        self.logits(standing, row.scores, &mut scratch);
        let t = f64::from(self.rules.temperature.get());
        Some(log_loss(&scratch.logits, usize::from(label.0), t, self.rules.activation).min(ABSENT))
    }

    fn fit_with(&self, taught: &[Taught], rules: &FitRules) -> Standing {
        let part = self.part(taught);
        let labels: Vec<usize> = (0..self.labels).filter(|k| part[*k]).collect();
        let mut standing = Standing { answers: taught.len(), head: self.start.head.clone(), part };
        if !self.speaks(&standing) {
            return standing;
        }
        let taught: Vec<_> = taught.iter().filter(|(_, l, _)| standing.part[usize::from(l.0)]).collect();
        let (own, features) = (self.own, self.rules.features);
        let mut bases = Vec::with_capacity(taught.len() * own);
        let mut all = Vec::with_capacity(taught.len() * features);
        let mut scratch = Scratch::default();
        for (key, ..) in &taught {
            let Some(row) = self.memory.get(*key) else { continue };
            self.base(row.scores, &mut scratch.base);
            row.features(&mut scratch.features);
            bases.extend_from_slice(&scratch.base);
            all.extend_from_slice(&scratch.features);
        }
        let examples: Vec<Example<'_>> = taught
            .iter()
            .enumerate()
            .map(|(i, (_, label, _))| Example {
                base: &bases[i * own..(i + 1) * own],
                features: &all[i * features..(i + 1) * features],
                label: labels.partition_point(|k| *k < usize::from(label.0)),
            })
            .collect();
        let dots = self.dots.among(taught.iter().map(|(key, _, stamp)| (*key, *stamp)));
        let prior = self.start.head.only(&labels);
        let part = fit_on(&prior, &examples, dots, self.rules.activation, rules);
        standing.head = self.start.head.with_rows(&labels, &part);
        standing
    }

    /// Brings the dot products up to these answers; a refit after one answer needs one row of new ones.
    fn multiply(&mut self, taught: &[Taught]) {
        let width = self.rules.features;
        if width == 0 || taught.len() > width {
            self.dots = Dots::default();
            return;
        }
        let of: Vec<_> = taught.iter().map(|(key, _, stamp)| (*key, *stamp)).collect();
        let places = self.dots.places();
        let old: Vec<Option<usize>> = of.iter().map(|item| places.get(item).copied()).collect();
        let n = of.len();
        // What is known first, so that each block of new ones needs only what stands before its end: the products
        // are the same either way round.
        let (mut order, new): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| old[*i].is_some());
        let known = order.len();
        order.extend(new);
        let mut all = Vec::with_capacity(n * width);
        let mut features = Vec::new();
        for i in &order {
            let Some(row) = self.memory.get(of[*i].0) else { continue };
            row.features(&mut features);
            all.extend(features.iter().map(|x| f64::from(*x)));
        }
        let mut dots = vec![0.0; n * n];
        for (i, a) in old.iter().enumerate() {
            for (j, b) in old.iter().enumerate() {
                if let (Some(a), Some(b)) = (a, b) {
                    dots[i * n + j] = self.dots.dots[a * self.dots.of.len() + b];
                }
            }
        }
        for from in (known..n).step_by(ROWS_AT_A_TIME) {
            let to = (from + ROWS_AT_A_TIME).min(n);
            let mut block = vec![0.0; (to - from) * to];
            product(&all[..to * width], width, &all[from * width..to * width], &mut block);
            for (i, row) in order[from..to].iter().zip(block.chunks_exact(to)) {
                for (j, x) in order.iter().zip(row) {
                    dots[i * n + j] = *x;
                    dots[j * n + i] = *x;
                }
            }
        }
        self.dots = Dots { of, dots };
    }

    /// Answers that may be slips, the clearest first: see [`find_slips`].
    ///
    /// Each answer to learn from is judged by a head fitted to the answers of the other three of four folds (by
    /// position in the order of the items), each held-out answer by the head in force. Four fits: not for after
    /// every answer.
    #[must_use]
    pub fn slips(&self) -> Vec<Slip> {
        let mut taught = self.taught();
        taught.sort_unstable();
        let mut judged = Vec::new();
        for fold in 0..FOLDS {
            let of_fold = |i: usize| i % FOLDS == fold;
            let rest: Vec<Taught> =
                taught.iter().enumerate().filter(|(i, _)| !of_fold(*i)).map(|(_, t)| *t).collect();
            let standing = self.fit(&rest);
            let fold = taught.iter().enumerate().filter(|(i, _)| of_fold(*i));
            judged.extend(fold.filter_map(|(_, (key, label, _))| self.judged(&standing, *key, *label)));
        }
        for (key, label, ..) in self.held_out() {
            judged.extend(self.judged(&self.standing, key, label));
        }
        find_slips(&judged)
    }

    #[allow(clippy::cast_possible_truncation)]
    fn judged(&self, standing: &Standing, item: ItemKey, given: LabelId) -> Option<Judged> {
        if !self.speaks(standing) {
            return None;
        }
        let row = self.memory.get(item)?;
        let mut scratch = Scratch::default();
        row.features(&mut scratch.features);
        self.logits(standing, row.scores, &mut scratch);
        let t = f64::from(self.temperature.get());
        let p = activated(&scratch.logits, self.rules.activation, t);
        Some(Judged {
            item,
            given: usize::from(given.0),
            probabilities: p.into_iter().map(|p| p as f32).collect(),
        })
    }

    /// `count` of the candidates that differ most from what was answered and from each other: questions for the
    /// cold start, when no prediction says what is doubtful.
    ///
    /// Greedy k-centre (core-set: Sener & Savarese, *Active Learning for Convolutional Neural Networks*, ICLR
    /// 2018) over the features, or the scores of a model without: each next one is the farthest from its nearest
    /// answered or chosen one. Of equal ones the first counts; without any answer the one nearest the mean comes
    /// first. Of more than [`MOST_SPREAD`] candidates an even choice is looked at. Candidates without a row come last.
    #[must_use]
    pub fn spread(&self, candidates: &[ItemKey], count: usize) -> Vec<ItemKey> {
        let step = candidates.len().div_ceil(MOST_SPREAD).max(1);
        let looked_at = candidates.iter().step_by(step);
        let mut points: Vec<(ItemKey, Vec<f32>, f32)> =
            looked_at.filter_map(|key| Some((*key, self.point(*key)?, f32::INFINITY))).collect();
        let answered = self.train.iter().map(|(key, _)| *key).chain(self.held.keys().copied());
        for centre in answered.filter_map(|key| self.point(key)) {
            points.iter_mut().for_each(|(_, point, near)| *near = near.min(distance(point, &centre)));
        }
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count && !points.is_empty() {
            let at = if points[0].2 == f32::INFINITY {
                let mean = mean(&points);
                first_most(points.iter().map(|(_, point, _)| -distance(point, &mean)))
            } else {
                first_most(points.iter().map(|(.., near)| *near))
            };
            let (key, centre, _) = points.remove(at);
            chosen.push(key);
            points.iter_mut().for_each(|(_, point, near)| *near = near.min(distance(point, &centre)));
        }
        let rest = candidates.iter().filter(|key| !chosen.contains(key)).copied();
        let rest: Vec<_> = rest.take(count - chosen.len()).collect();
        chosen.extend(rest);
        chosen
    }

    /// Where an item lies.
    fn point(&self, key: ItemKey) -> Option<Vec<f32>> {
        let row = self.memory.get(key)?;
        let mut point = Vec::new();
        if self.rules.features > 0 {
            row.features(&mut point)
        } else {
            self.base(row.scores, &mut point)
        }
        Some(point)
    }
}

/// Most candidates that [`Learner::spread`] compares: half a second in Wasm with 1,280 features and 200 answers.
pub const MOST_SPREAD: usize = 2_000;

/// The greatest power of two below `n`; 0 for 1.
fn checkpoint(n: usize) -> usize {
    if n > 1 { 1 << (n - 1).ilog2() } else { 0 }
}

/// Where the greatest number stands; of equal ones, the first.
fn most(of: &[f64]) -> usize {
    let mut best = 0;
    for (k, z) in of.iter().enumerate() {
        if *z > of[best] {
            best = k;
        }
    }
    best
}

fn first_most(of: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, x) in of.enumerate() {
        if x > best.1 {
            best = (i, x);
        }
    }
    best.0
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += (a - b) * (a - b);
        }
    }
    lanes.iter().sum()
}

fn mean(points: &[(ItemKey, Vec<f32>, f32)]) -> Vec<f32> {
    let mut mean = vec![0.0; points[0].1.len()];
    #[allow(clippy::cast_precision_loss)]
    let share = 1.0 / points.len() as f32;
    for (_, point, _) in points {
        mean.iter_mut().zip(point).for_each(|(mean, x)| *mean += share * x);
    }
    mean
}

impl Dots {
    fn places(&self) -> BTreeMap<(ItemKey, u32), usize> {
        self.of.iter().enumerate().map(|(place, item)| (*item, place)).collect()
    }

    /// The products among these items (n × n), if all of them are there.
    fn among(&self, items: impl Iterator<Item = (ItemKey, u32)>) -> Option<Vec<f64>> {
        let places = self.places();
        let at: Option<Vec<usize>> = items.map(|item| places.get(&item).copied()).collect();
        let (at, all) = (at?, self.of.len());
        Some(
            at.iter()
                .flat_map(|i| at.iter().map(move |j| (i, j)))
                .map(|(i, j)| self.dots[i * all + j])
                .collect(),
        )
    }
}
