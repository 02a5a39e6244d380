//! A set of items with their true labels, and a person who answers with them: the learner is the page's.

use std::collections::BTreeMap;
use std::time::Instant;

use super::chance::Chance;
use super::speed::milliseconds;
use super::stats::share;
use crate::domain::item::ItemKey;
use crate::domain::label::LabelId;
use crate::domain::learning::head::FitRules;
use crate::domain::learning::learner::{Learner, LearnerRules, Lesson, Use};
use crate::domain::prediction::{Activation, Prediction, ScoreScale, Temperature};
use crate::domain::promise::Audit;
use crate::domain::queue::{Queue, Strategy};

/// What a model gave for each item of a set, and what is true of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set {
    /// How many labels there are.
    pub labels: usize,
    /// Logits an item: `labels` or, of an embedder, 0.
    pub scores: usize,
    /// Features an item; 0: the head works on the scores alone.
    pub features: usize,
    /// Items × scores.
    pub all_scores: Vec<f32>,
    /// Items × features.
    pub all_features: Vec<f32>,
    /// The true label of each item.
    pub truth: Vec<u16>,
}

impl Set {
    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// The same items without their features.
    #[must_use]
    pub fn without_features(&self) -> Self {
        Self { features: 0, all_features: Vec::new(), ..self.clone() }
    }

    fn scores_of(&self, item: usize) -> &[f32] {
        &self.all_scores[item * self.scores..(item + 1) * self.scores]
    }

    fn features_of(&self, item: usize) -> &[f32] {
        &self.all_features[item * self.features..(item + 1) * self.features]
    }
}

/// How the questions are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// What makes an item worth asking about.
    pub by: Strategy,
    /// Share of questions at random, 0 to 1.
    pub random_share: f64,
}

impl Order {
    /// Only the most doubtful by `by`.
    #[must_use]
    pub fn pure(by: Strategy) -> Self {
        Self { by, random_share: 0.0 }
    }

    /// What the page does unless its configuration says otherwise.
    #[must_use]
    pub fn of_the_page() -> Self {
        Self { by: Strategy::Margin, random_share: 0.1 }
    }
}

/// A person at work on a set.
#[derive(Debug)]
pub struct Study<'a> {
    set: &'a Set,
    learner: Learner,
    queue: Queue,
    order: Order,
    seed: u64,
    waiting: Vec<usize>,
    said: BTreeMap<ItemKey, Prediction>,
    answers: usize,
}

impl<'a> Study<'a> {
    /// A person before the first answer; `pool` may be asked about, every item of `also` is only predicted.
    #[must_use]
    pub fn new(set: &'a Set, pool: &[usize], also: &[usize], order: Order, seed: u64) -> Self {
        let fit = if set.scores > 0 { FitRules::beside_a_model() } else { FitRules::from_nothing() };
        Self::with_rules(set, pool, also, order, seed, fit)
    }

    /// The same with another fit.
    #[must_use]
    pub fn with_rules(
        set: &'a Set,
        pool: &[usize],
        also: &[usize],
        order: Order,
        seed: u64,
        fit: FitRules,
    ) -> Self {
        let mut learner = Learner::new(LearnerRules {
            labels: set.labels,
            scores: set.scores > 0,
            features: set.features,
            scale: ScoreScale::Logits,
            activation: Activation::Softmax,
            temperature: Temperature::ONE,
            prior: None,
            fit,
            memory_bytes: usize::MAX,
        });
        for &item in pool.iter().chain(also) {
            learner.take(key(item), set.scores_of(item), set.features_of(item));
        }
        let said = learner.predictions().collect();
        let (queue, waiting) = (Queue::new(order.random_share, seed), pool.to_vec());
        Self { set, learner, queue, order, seed, waiting, said, answers: 0 }
    }

    /// Chooses the next questions.
    pub fn ask(&mut self, count: usize) -> Vec<usize> {
        let spread = self.order.by == Strategy::Diverse || self.said.is_empty();
        if spread && self.order.by != Strategy::Random {
            let waiting: Vec<ItemKey> = self.waiting.iter().map(|item| key(*item)).collect();
            return self.learner.spread(&waiting, count).iter().map(|key| key.0 as usize).collect();
        }
        for &item in &self.waiting {
            let id = item.to_string();
            // By lot also before there is anything to say.
            let doubt = match self.said.get(&key(item)) {
                Some(prediction) => self.order.by.doubt(prediction, self.seed, &id),
                None => crate::domain::queue::Doubt(0.0),
            };
            self.queue.put(key(item), &id, doubt);
        }
        (0..count).map_while(|_| self.queue.take_next()).map(|key| key.0 as usize).collect()
    }

    /// Answers these items as `label` says, for the head to learn from.
    pub fn answer_as(&mut self, items: &[usize], label: impl Fn(usize) -> u16) {
        for &item in items {
            self.learner.answer(key(item), Some(Use::Train(LabelId(label(item)))));
            self.leave(item);
        }
    }

    /// Answers these items right, for the head to learn from.
    pub fn answer(&mut self, items: &[usize]) {
        let set = self.set;
        self.answer_as(items, |item| set.truth[item]);
    }

    /// Answers these items right, to judge and calibrate by; each stands for `weight` items.
    #[allow(clippy::cast_possible_truncation)]
    pub fn hold_out(&mut self, items: &[usize], weight: f64) {
        for &item in items {
            let label = LabelId(self.set.truth[item]);
            self.learner.answer(key(item), Some(Use::HoldOut(label, weight as f32)));
            self.leave(item);
        }
    }

    fn leave(&mut self, item: usize) {
        self.queue.remove(key(item));
        self.waiting.retain(|other| *other != item);
        self.answers += 1;
    }

    /// Refits, and has everything predicted anew.
    pub fn learn(&mut self) -> Lesson {
        let lesson = self.learner.learn();
        self.said = self.learner.predictions().collect();
        lesson
    }

    /// Milliseconds that a refit takes when this answer comes, and predicting everything anew; the answer is then
    /// taken back.
    pub fn timed(&mut self, item: usize, label: u16) -> (f64, f64) {
        self.learner.answer(key(item), Some(Use::Train(LabelId(label))));
        let began = Instant::now();
        self.learner.learn();
        let refit = milliseconds(began);
        let began = Instant::now();
        // Summed up, so that nothing can be left out.
        let sure: f64 = self.learner.predictions().map(|(_, said)| f64::from(said.confidence.get())).sum();
        let rescore = milliseconds(began);
        debug_assert!(sure > 0.0);
        self.learner.answer(key(item), None);
        self.learner.learn();
        (refit, rescore)
    }

    /// How many answers there are.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// What may still be asked about.
    #[must_use]
    pub fn waiting(&self) -> &[usize] {
        &self.waiting
    }

    /// The learner.
    #[must_use]
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Predictions of these items with whether they are right; items of which nothing can be said are left out.
    pub fn judged(&self, items: &[usize]) -> Vec<(Prediction, bool)> {
        let said = items.iter().filter_map(|item| Some((*item, self.said.get(&key(*item))?)));
        said.map(|(item, said)| (*said, said.label().0 == self.set.truth[item])).collect()
    }

    /// Share of these items that the model labels right; one of which it says nothing is not.
    #[must_use]
    pub fn accuracy(&self, items: &[usize]) -> f64 {
        let right = self.judged(items).iter().filter(|(_, right)| *right).count();
        share(right, items.len()).unwrap_or(0.0)
    }

    /// These items as checks of the promise.
    #[must_use]
    pub fn audits(&self, items: &[usize]) -> Vec<Audit> {
        let judged = self.judged(items);
        let audit =
            |(said, right): &(Prediction, bool)| Audit { confidence: said.confidence.get(), right: *right };
        judged.iter().map(audit).collect()
    }
}

/// What a threshold does to items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Share of the items that go to the person.
    pub deferred: f64,
    /// Share of the accepted ones that are right; `None`: nothing is accepted.
    pub accuracy: Option<f64>,
}

/// Accepts what has at least `threshold`; `items` are confidences with whether they are right.
#[must_use]
pub fn split(items: &[(f32, bool)], threshold: f32) -> Split {
    let accepted: Vec<bool> =
        items.iter().filter(|(c, _)| *c >= threshold).map(|(_, right)| *right).collect();
    let deferred = share(items.len() - accepted.len(), items.len()).unwrap_or(1.0);
    let right = accepted.iter().filter(|right| **right).count();
    Split { deferred, accuracy: share(right, accepted.len()) }
}

/// The greatest share of items that a threshold can accept with at least this accuracy.
#[must_use]
pub fn settled_at(items: &[(f32, bool)], accuracy: f64) -> f64 {
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut most) = (0, 0);
    for (place, (confidence, is_right)) in sorted.iter().enumerate() {
        right += usize::from(*is_right);
        let n = place + 1;
        let tied = sorted.get(n).is_some_and(|next| next.0 >= *confidence);
        if !tied && share(right, n).is_some_and(|share| share >= accuracy) {
            most = n;
        }
    }
    share(most, items.len()).unwrap_or(0.0)
}

/// So many random items of each label, from `pool`; the rest of it second.
#[must_use]
pub fn of_each_label(
    set: &Set,
    pool: &[usize],
    count: usize,
    chance: &mut Chance,
) -> (Vec<usize>, Vec<usize>) {
    let mut order = pool.to_vec();
    chance.shuffle(&mut order);
    let mut left = vec![count; set.labels];
    order.into_iter().partition(|item| {
        let left = &mut left[usize::from(set.truth[*item])];
        let taken = *left > 0;
        *left = left.saturating_sub(1);
        taken
    })
}

#[allow(clippy::cast_possible_truncation)]
fn key(item: usize) -> ItemKey {
    ItemKey(item as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    use super::*;

    /// Two labels that one feature tells apart.
    fn easy() -> Set {
        let truth: Vec<u16> = (0..200).map(|i| i % 2).collect();
        let all_features =
            truth.iter().zip(0..).flat_map(|(t, i)| [f32::from(*t) * 2.0 - 1.0, (i % 7) as f32 / 70.0]);
        Set { labels: 2, features: 2, all_features: all_features.collect(), truth, ..Set::default() }
    }

    #[test]
    fn a_person_who_answers_right_teaches_the_model() {
        let set = easy();
        let (pool, test): (Vec<usize>, Vec<usize>) = (0..200).partition(|i| i % 4 < 2);
        let mut study = Study::new(&set, &pool, &test, Order::pure(Strategy::Margin), 1);
        assert_eq!(study.accuracy(&test).to_bits(), 0.0_f64.to_bits(), "an embedder says nothing at first");
        for _ in 0..3 {
            let asked = study.ask(4);
            assert_eq!(asked.len(), 4);
            study.answer(&asked);
            study.learn();
        }
        assert_eq!((study.answers(), study.waiting().len()), (12, 88));
        assert!((study.accuracy(&test) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_threshold_splits_the_items() {
        let items = [(0.9, true), (0.8, true), (0.8, false), (0.4, true)];
        assert_eq!(split(&items, 0.8), Split { deferred: 0.25, accuracy: Some(2.0 / 3.0) });
        assert_eq!(split(&items, 0.95), Split { deferred: 1.0, accuracy: None });
    }

    #[test]
    fn equal_confidences_are_settled_together() {
        let items = [(0.9, true), (0.8, true), (0.8, false), (0.4, true)];
        let at = |accuracy| settled_at(&items, accuracy);
        assert_eq!([at(1.0), at(0.75), at(0.7), at(1.1)], [0.25, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn each_label_gets_its_first_answers() {
        let set = easy();
        let pool: Vec<usize> = (0..200).collect();
        let (first, rest) = of_each_label(&set, &pool, 3, &mut Chance::new(1, "start"));
        assert_eq!((first.len(), rest.len()), (6, 194));
        assert_eq!(first.iter().filter(|item| set.truth[**item] == 0).count(), 3);
    }
}
