//! What the learner promises: scikit-learn's optimum, a gate, and no trace of what was taken back.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use hitl_labeler::domain::item::ItemKey;
use hitl_labeler::domain::label::LabelId;
use hitl_labeler::domain::learning::calibration::{expected_calibration_error, log_loss};
use hitl_labeler::domain::learning::head::{Example, FitRules, Head, HeadKind, fit};
use hitl_labeler::domain::learning::learner::{EVIDENCE, Gate, Learner, LearnerRules, Lesson, Use};
use hitl_labeler::domain::prediction::{Activation, Prediction, ScoreScale, Temperature};
use proptest::prelude::*;

/// Uniform in 0 to 1, the same on every machine (SplitMix64).
struct Draw(u64);

impl Draw {
    #[allow(clippy::cast_precision_loss)]
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    fn below(&mut self, n: usize) -> usize {
        ((f64::from(self.unit()) * n as f64) as usize).min(n - 1)
    }

    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        (1..n).rev().for_each(|i| order.swap(i, self.below(i + 1)));
        order
    }
}

fn key(i: usize) -> ItemKey {
    ItemKey(u32::try_from(i).unwrap())
}

fn label(k: usize) -> LabelId {
    LabelId(u16::try_from(k).unwrap())
}

fn train(k: usize) -> Option<Use> {
    Some(Use::Train(label(k)))
}

fn hold_out(k: usize) -> Option<Use> {
    Some(Use::HoldOut(label(k), 1.0))
}

/// An embedder of `features` numbers and no scores.
fn embedder(labels: usize, features: usize) -> LearnerRules {
    LearnerRules {
        labels,
        scores: false,
        features,
        scale: ScoreScale::Logits,
        activation: Activation::Softmax,
        temperature: Temperature::ONE,
        prior: None,
        fit: FitRules::from_nothing(),
        memory_bytes: usize::MAX,
    }
}

/// A model with scores and features.
fn classifier(labels: usize, features: usize) -> LearnerRules {
    LearnerRules { scores: true, fit: FitRules::beside_a_model(), ..embedder(labels, features) }
}

fn predictions(learner: &Learner) -> BTreeMap<ItemKey, Prediction> {
    learner.predictions().collect()
}

// ---- the fit

/// Sets and the probabilities that scikit-learn finds for them: `fixtures/make_heads.py`.
#[test]
fn the_fit_is_that_of_scikit_learn() {
    let cases: serde_json::Value = serde_json::from_str(include_str!("fixtures/heads.json")).unwrap();
    let numbers = |v: &serde_json::Value| -> Vec<f64> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    };
    for case in cases.as_array().unwrap() {
        let size = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
        let (labels, features) = (size("labels"), size("features"));
        let activation =
            if case["sigmoid"].as_bool().unwrap() { Activation::Sigmoid } else { Activation::Softmax };
        let x: Vec<Vec<f32>> = case["x"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| numbers(row).into_iter().map(|x| x as f32).collect())
            .collect();
        let y: Vec<usize> = numbers(&case["y"]).into_iter().map(|y| y as usize).collect();
        let examples: Vec<_> = x
            .iter()
            .zip(&y)
            .map(|(features, label)| Example { base: &[], features, label: *label })
            .collect();
        let rules = FitRules { l2: case["l2"].as_f64().unwrap(), ..FitRules::from_nothing() };
        let head = fit(&Head::none(HeadKind::Linear, labels, features), &examples, activation, &rules);
        let mut logits = Vec::new();
        for (x, expected) in x.iter().zip(case["p"].as_array().unwrap()) {
            head.logits(&[], x, &mut logits);
            for (p, expected) in probabilities(&logits, activation).iter().zip(numbers(expected)) {
                assert!((p - expected).abs() < 1e-5, "{}: {p} in place of {expected}", case["name"]);
            }
        }
    }
}

fn probabilities(logits: &[f64], activation: Activation) -> Vec<f64> {
    (0..logits.len())
        .map(|k| match activation {
            Activation::Softmax => (-log_loss(logits, k, 1.0, activation)).exp(),
            Activation::Sigmoid => 1.0 / (1.0 + (-logits[k]).exp()),
        })
        .collect()
}

/// A random task: kind, examples, prior, activation.
struct Task {
    base: Vec<Vec<f32>>,
    features: Vec<Vec<f32>>,
    labels: Vec<usize>,
    prior: Head,
    activation: Activation,
    rules: FitRules,
}

impl Task {
    fn drawn(
        seed: u64,
        kind: HeadKind,
        n: usize,
        width: usize,
        count: usize,
        activation: Activation,
    ) -> Self {
        let mut draw = Draw(seed);
        let mut row = |width: usize| -> Vec<f32> { (0..width).map(|_| draw.normal()).collect() };
        let base = (0..n).map(|_| row(count)).collect();
        let features = (0..n).map(|_| row(width)).collect();
        let weights = row(Head::none(kind, count, width).weights().len());
        let prior = Head::from_parts(kind, count, width, weights, row(count)).unwrap();
        let labels = (0..n).map(|_| draw.below(count)).collect();
        let rules = FitRules { l2: 0.2, temperature: 1.5, ..FitRules::from_nothing() };
        Self { base, features, labels, prior, activation, rules }
    }

    fn examples(&self) -> Vec<Example<'_>> {
        let rows = self.base.iter().zip(&self.features).zip(&self.labels);
        rows.map(|((base, features), label)| Example { base, features, label: *label }).collect()
    }

    fn fitted(&self) -> Head {
        fit(&self.prior, &self.examples(), self.activation, &self.rules)
    }

    /// What `fit` says that it minimises, written down again from its documentation.
    fn objective(&self, head: &Head) -> f64 {
        let n = self.base.len() as f64;
        let square = |row: &Vec<f32>| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let mean_square = match head.kind() {
            HeadKind::Linear => self.features.iter().map(square).sum::<f64>() / n,
            HeadKind::VectorScaling => self.base.iter().map(square).sum::<f64>() / n / head.labels() as f64,
        };
        let t = self.rules.temperature;
        let mut logits = Vec::new();
        let loss: f64 = self
            .examples()
            .iter()
            .map(|example| {
                head.logits(example.base, example.features, &mut logits);
                log_loss(&logits, example.label, t, self.activation)
            })
            .sum();
        let apart = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| ((f64::from(*a) - f64::from(*b)) / t).powi(2)).sum()
        };
        let weights = apart(head.weights(), self.prior.weights()) * mean_square;
        loss + self.rules.l2 / 2.0 * (weights + apart(head.bias(), self.prior.bias()))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The objective is strictly convex: a point that no step along an axis improves is the optimum.
    #[test]
    fn no_step_from_the_fit_improves_it(
        seed: u64, scaling: bool, sigmoid: bool, n in 1..30_usize, width in 1..12_usize, count in 2..5_usize,
    ) {
        let kind = if scaling { HeadKind::VectorScaling } else { HeadKind::Linear };
        let activation = if sigmoid { Activation::Sigmoid } else { Activation::Softmax };
        let task = Task::drawn(seed, kind, n, width, count, activation);
        let head = task.fitted();
        let least = task.objective(&head);
        prop_assert!(least <= task.objective(&task.prior));
        for at in 0..head.weights().len() + count {
            for step in [-0.02_f32, 0.02] {
                let (mut weights, mut bias) = (head.weights().to_vec(), head.bias().to_vec());
                *weights.iter_mut().chain(&mut bias).nth(at).unwrap() += step;
                let beside = Head::from_parts(kind, count, width, weights, bias).unwrap();
                prop_assert!(task.objective(&beside) > least, "at {at}");
            }
        }
    }

    #[test]
    fn the_order_of_examples_matters_by_rounding_only(seed: u64, n in 1..20_usize, width in 1..24_usize) {
        let mut task = Task::drawn(seed, HeadKind::Linear, n, width, 3, Activation::Softmax);
        let head = task.fitted();
        task.base.reverse();
        task.features.reverse();
        task.labels.reverse();
        for (a, b) in head.weights().iter().zip(task.fitted().weights()) {
            prop_assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
    }
}

#[test]
fn no_answer_is_the_model_as_it_came() {
    for (scale, activation) in [
        (ScoreScale::Logits, Activation::Softmax),
        (ScoreScale::Probabilities, Activation::Softmax),
        (ScoreScale::Probabilities, Activation::Sigmoid),
    ] {
        let temperature = Temperature::new(1.3).unwrap();
        let mut learner = Learner::new(LearnerRules { scale, activation, temperature, ..classifier(3, 4) });
        learner.answer(key(0), train(1));
        learner.answer(key(0), None);
        learner.learn();
        let scores = [0.1, 0.7, 0.2];
        let said = learner.take(key(0), &scores, &[1.0, -1.0, 0.3, 0.0]);
        assert_eq!(said, Prediction::from_scores(&scores, scale, activation, temperature));
        assert_eq!(learner.predictions().next().map(|(_, p)| p), said);
    }
}

#[test]
fn one_answer_moves_the_model_towards_it_and_not_to_certainty() {
    let mut learner = Learner::new(classifier(2, 2));
    let before = learner.take(key(0), &[1.0, 0.0], &[1.0, 0.5]).unwrap();
    learner.answer(key(0), train(1));
    let lesson = learner.learn();
    assert_eq!((lesson.version, lesson.trained, lesson.gate), (1, 1, Gate::NoEvidence));
    let after = predictions(&learner)[&key(0)];
    let of = |p: Prediction, k: usize| p.top().iter().find(|(l, _)| *l == label(k)).unwrap().1;
    assert!(of(before, 1) < of(after, 1) && of(after, 1) < 0.95, "{before:?} {after:?}");
}

// ---- taking back

/// Something that happens to one item of a dozen.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Train(usize, usize),
    HoldOut(usize, usize, u8),
    TakeBack(usize),
    /// With which of two rows: a model may say something else another time.
    Predicted(usize, bool),
    Learn,
    AddLabel,
}

const ITEMS: usize = 24;

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..ITEMS, 0..4_usize).prop_map(|(i, k)| Deed::Train(i, k)),
        8 => (0..ITEMS, 0..4_usize, 1..4_u8).prop_map(|(i, k, w)| Deed::HoldOut(i, k, w)),
        3 => (0..ITEMS).prop_map(Deed::TakeBack),
        2 => (0..ITEMS, any::<bool>()).prop_map(|(i, other)| Deed::Predicted(i, other)),
        3 => Just(Deed::Learn),
        1 => Just(Deed::AddLabel),
    ]
}

fn row(i: usize, rules: &LearnerRules) -> (Vec<f32>, Vec<f32>) {
    let mut draw = Draw(i as u64);
    let scores = (0..if rules.scores { rules.labels } else { 0 }).map(|_| draw.normal()).collect();
    (scores, (0..rules.features).map(|_| draw.normal()).collect())
}

fn take(learner: &mut Learner, i: usize, rules: &LearnerRules) {
    let (scores, features) = row(i, rules);
    learner.take(key(i % ITEMS), &scores, &features);
}

/// All that a learner says, without the number of its version.
type Said = (Head, Vec<bool>, Lesson, Vec<(ItemKey, Prediction)>);

fn said(learner: &mut Learner) -> Said {
    let lesson = Lesson { version: 0, ..learner.learn() };
    let unnumbered = |(key, mut p): (ItemKey, Prediction)| {
        p.head_version = 0;
        (key, p)
    };
    (
        learner.head().clone(),
        learner.taking_part().to_vec(),
        lesson,
        learner.predictions().map(unnumbered).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Undo, another label, a tombstone, refits at any time: what is in force is what the surviving answers
    /// would have given at once.
    #[test]
    fn only_the_answers_that_stand_count_to_the_bit(
        deeds in prop::collection::vec(deed(), 1..80),
        shape in 0..4_usize,
    ) {
        let rules = match shape {
            0 => embedder(4, 40),
            1 => embedder(2, 3),
            2 => classifier(4, 3),
            _ => LearnerRules { fit: FitRules::scaling_a_model(), ..classifier(4, 0) },
        };
        let mut learner = Learner::new(rules.clone());
        let mut stands: Vec<(usize, Use)> = Vec::new();
        let mut labels = rules.labels;
        for deed in deeds {
            match deed {
                Deed::Train(i, k) => {
                    learner.answer(key(i), train(k));
                    stands.retain(|(other, _)| *other != i);
                    stands.push((i, Use::Train(label(k))));
                }
                Deed::HoldOut(i, k, weight) => {
                    let answer = Use::HoldOut(label(k), f32::from(weight));
                    learner.answer(key(i), Some(answer));
                    stands.retain(|(other, _)| *other != i);
                    stands.push((i, answer));
                }
                Deed::TakeBack(i) => {
                    learner.answer(key(i), None);
                    stands.retain(|(other, _)| *other != i);
                }
                Deed::Predicted(i, other) => take(&mut learner, if other { i + ITEMS } else { i }, &rules),
                Deed::Learn => {
                    learner.learn();
                }
                Deed::AddLabel => {
                    labels += 1;
                    learner.add_labels(labels);
                }
            }
        }
        // Some of the items get their row only now, some another one.
        (0..ITEMS).for_each(|i| take(&mut learner, i, &rules));
        let mut fresh = Learner::new(rules.clone());
        fresh.add_labels(labels);
        (0..ITEMS).for_each(|i| take(&mut fresh, i, &rules));
        stands.iter().for_each(|(i, answer)| fresh.answer(key(*i), Some(*answer)));
        prop_assert_eq!(said(&mut learner), said(&mut fresh));
        prop_assert_eq!(learner.slips(), fresh.slips());

        // And nothing is left of any of it.
        (0..ITEMS).for_each(|i| learner.answer(key(i), None));
        let lesson = learner.learn();
        let mut untouched = Learner::new(rules.clone());
        untouched.add_labels(labels);
        (0..ITEMS).for_each(|i| take(&mut untouched, i, &rules));
        prop_assert_eq!((lesson.version, lesson.trained, lesson.held_out), (0, 0, 0));
        prop_assert!(learner.head().is_none());
        prop_assert_eq!(predictions(&learner), predictions(&untouched));
    }
}

/// As many answers as a person gives in an hour: more than are multiplied with one another at a time.
#[test]
fn seventy_answers_one_by_one_with_some_taken_back_teach_what_they_teach_at_once() {
    let rules = classifier(4, 80);
    let (mut one_by_one, mut at_once) = (Learner::new(rules.clone()), Learner::new(rules.clone()));
    for i in 0..90 {
        let (scores, features) = row(i, &rules);
        one_by_one.take(key(i), &scores, &features);
        at_once.take(key(i), &scores, &features);
    }
    for i in 0..90 {
        one_by_one.answer(key(i), train(i % 4));
        if i % 7 == 0 {
            one_by_one.learn();
        }
        if i % 9 == 8 {
            one_by_one.answer(key(i - 4), None);
        }
    }
    (0..90).filter(|i| i % 9 != 4).for_each(|i| at_once.answer(key(i), train(i % 4)));
    assert_eq!(said(&mut one_by_one), said(&mut at_once));
    assert_eq!(at_once.answers(), 80);
}

#[test]
fn a_version_grows_with_each_change_and_never_without_one() {
    let mut learner = Learner::new(classifier(2, 2));
    (0..4).for_each(|i| take(&mut learner, i, &classifier(2, 2)));
    assert_eq!(learner.learn().version, 0);
    learner.answer(key(0), train(1));
    assert_eq!((learner.learn().version, learner.learn().version), (1, 1));
    assert_eq!(predictions(&learner)[&key(3)].head_version, 1);
    learner.answer(key(0), None);
    assert_eq!(learner.learn().version, 0, "the model as it came");
    assert_eq!(predictions(&learner)[&key(3)].head_version, 0);
    learner.answer(key(0), train(1));
    assert_eq!(learner.learn().version, 3, "no number is given twice");
}

// ---- the strength of the pull

/// A model over one feature whose logit is `factor` times what would be right, and a learner of doubtful answers;
/// gives how far the head moves the logit of a sure item.
fn moved(factor: f32) -> f64 {
    let mut learner = Learner::new(classifier(2, 1));
    let mut draw = Draw(11);
    for i in 0..64 {
        let x = 2.0 * draw.unit() - 1.0;
        // Right is a logit of 3 x.
        let right = usize::from(draw.unit() < 1.0 / (1.0 + (-3.0 * x).exp()));
        learner.take(key(i), &[0.0, 3.0 * factor * x], &[x]);
        learner.answer(key(i), train(right));
    }
    learner.learn();
    let mut logits = Vec::new();
    learner.head().logits(&[0.0, 0.0], &[1.0], &mut logits);
    (logits[1] - logits[0]).abs()
}

#[test]
fn a_model_that_is_right_stays_as_it_is_and_one_that_is_wrong_is_put_right() {
    let (right, wrong) = (moved(1.0), moved(-1.0));
    assert!(right < 0.25, "a model that is right is moved by {right}");
    assert!(wrong > 2.0, "a model that is wrong is moved by {wrong} only");
}

// ---- the gate

/// Two clusters of one feature; items from 1,000 on are held out.
fn clusters(contrary: bool) -> Learner {
    let fit = FitRules { l2: 0.05, adapts: false, ..FitRules::beside_a_model() };
    let mut learner = Learner::new(LearnerRules { fit, ..classifier(2, 1) });
    let mut draw = Draw(5);
    for i in (0..40).chain(1000..1060) {
        let side = i % 2;
        let x = if side == 0 { -1.0 } else { 1.0 } + 0.3 * draw.normal();
        learner.take(key(i), &[0.0, 0.3 * x], &[x]);
        if i >= 1000 {
            learner.answer(key(i), hold_out(side));
        } else {
            // From the ninth on, the person is out of their mind.
            learner.answer(key(i), train(if contrary && i >= 8 { 1 - side } else { side }));
        }
    }
    learner
}

#[test]
fn a_head_that_is_worse_on_what_was_held_out_is_not_used() {
    let mut learner = clusters(true);
    let lesson = learner.learn();
    let Gate::Kept { answers, worse_by, standard_error } = lesson.gate else { panic!("{lesson:?}") };
    assert_eq!(answers, 8, "the last checkpoint that was good");
    assert!(worse_by > standard_error && standard_error > 0.0);
    assert_eq!((learner.answers(), lesson.trained), (8, 40));
    let (came, stays) = lesson.log_loss.unwrap();
    assert!(stays < came, "what stays is better than the model as it came: {stays} and {came}");

    // Without the contrary answers the very same head is in force.
    let mut sane = clusters(false);
    (8..40).for_each(|i| sane.answer(key(i), None));
    assert_eq!(sane.learn().gate, Gate::Passed);
    assert_eq!(sane.head(), learner.head());
}

#[test]
fn a_head_that_is_better_passes() {
    let mut learner = clusters(false);
    let lesson = learner.learn();
    assert_eq!((lesson.gate, learner.answers()), (Gate::Passed, 40));
    let (came, in_force) = lesson.log_loss.unwrap();
    assert!(in_force < came - 0.05, "{in_force} and {came}");
}

#[test]
fn too_little_evidence_holds_no_head_back() {
    let mut learner = clusters(true);
    (1000 + EVIDENCE - 1..1060).for_each(|i| learner.answer(key(i), None));
    assert_eq!((learner.learn().gate, learner.answers()), (Gate::NoEvidence, 40));
    learner.answer(key(1000 + EVIDENCE - 1), hold_out((EVIDENCE - 1) % 2));
    assert!(matches!(learner.learn().gate, Gate::Kept { .. }));
}

#[test]
fn a_head_is_judged_again_when_what_is_held_out_changes() {
    let turned = |learner: &mut Learner| {
        (1000..1060).for_each(|i| learner.answer(key(i), hold_out(1 - i % 2)));
        said(learner)
    };
    let mut learner = clusters(true);
    assert!(matches!(learner.learn().gate, Gate::Kept { .. }));
    let after = turned(&mut learner);
    assert_eq!(after.2.gate, Gate::Passed, "the person was of that mind all along");
    assert_eq!(after, turned(&mut clusters(true)), "as if it had never been judged otherwise");
}

#[test]
fn held_out_answers_teach_nothing() {
    let mut learner = clusters(false);
    learner.learn();
    let head = learner.head().clone();
    // Other answers to what is held out, and the same head as long as the gate lets it pass.
    (1000..1060).for_each(|i| learner.answer(key(i), None));
    assert_eq!(learner.learn().temperature, Temperature::ONE, "the manifest's, without evidence");
    assert_eq!(*learner.head(), head);
}

// ---- starting from nothing

#[test]
fn an_embedder_begins_to_predict_after_two_answers_of_two_labels() {
    let rules = embedder(3, 2);
    let mut learner = Learner::new(rules);
    let point = |side: usize, i: usize| [if side == 0 { -1.0 } else { 1.0 }, 0.1 * i as f32];
    for i in 0..4 {
        assert_eq!(learner.take(key(i), &[], &point(i % 2, i)), None);
    }
    for i in 0..3 {
        learner.answer(key(i), train(i % 2));
        learner.learn();
        assert!(predictions(&learner).is_empty(), "label 1 has one answer after {}", i + 1);
    }
    learner.answer(key(3), train(1));
    learner.learn();
    let said = learner.take(key(9), &[], &point(1, 9)).unwrap();
    assert_eq!(said.label(), label(1));
    assert_eq!(said.top().len(), 2, "label 2 takes no part");
    assert_eq!(learner.taking_part(), [true, true, false]);
}

#[test]
fn a_label_that_the_person_adds_is_predicted_once_it_has_two_answers() {
    for mut learner in [Learner::new(embedder(2, 3)), Learner::new(classifier(2, 3))] {
        let scored = learner.memory().row_bytes() > Learner::new(embedder(2, 3)).memory().row_bytes();
        let corner = |k: usize| [0, 1, 2].map(|at| if at == k { 1.0 } else { 0.0 });
        let scores: &[f32] = if scored { &[0.5, 0.2] } else { &[] };
        for i in 0..9 {
            learner.take(key(i), scores, &corner(i % 3));
            if i % 3 < 2 {
                learner.answer(key(i), train(i % 3));
            }
        }
        learner.learn();
        assert!(predictions(&learner)[&key(2)].label() < label(2));
        learner.add_labels(3);
        learner.answer(key(2), train(2));
        learner.learn();
        assert!(!learner.taking_part()[2]);
        learner.answer(key(5), train(2));
        learner.answer(key(11), train(2)); // Not even predicted yet.
        learner.learn();
        assert!(learner.taking_part()[2]);
        assert_eq!(predictions(&learner)[&key(8)].label(), label(2));
    }
}

#[test]
fn a_head_of_an_earlier_visit_is_where_the_next_one_starts() {
    let mut learner = clusters(false);
    learner.learn();
    let earlier = learner.head().clone();
    let mut next = Learner::new(LearnerRules { prior: Some(earlier.clone()), ..classifier(2, 1) });
    let said = next.take(key(0), &[0.0, 0.3], &[1.0]).unwrap();
    assert!(said.label() == label(1) && said.head_version == 0 && said.confidence.get() > 0.8, "{said:?}");
    assert_eq!(*next.head(), earlier);
    next.answer(key(0), train(1));
    next.learn();
    next.answer(key(0), None);
    next.learn();
    assert_eq!(*next.head(), earlier);

    let foreign = Head::none(HeadKind::VectorScaling, 2, 0);
    assert_eq!(
        Learner::new(LearnerRules { prior: Some(foreign), ..classifier(2, 1) }).head().kind(),
        HeadKind::Linear
    );
}

// ---- memory

#[test]
fn an_answer_whose_row_is_not_kept_asks_for_it_and_counts_once_it_is_there() {
    let rules = LearnerRules { memory_bytes: 0, ..classifier(2, 2) };
    let mut learner = Learner::new(rules.clone());
    assert!(learner.take(key(0), &[1.0, 0.0], &[1.0, 1.0]).is_some(), "predicted although not kept");
    assert_eq!(learner.predictions().count(), 0);
    learner.answer(key(0), train(1));
    learner.answer(key(1), hold_out(0));
    assert_eq!(learner.lacks(), [key(0), key(1)]);
    let lesson = learner.learn();
    assert_eq!((lesson.trained, lesson.held_out), (0, 0));
    take(&mut learner, 0, &rules);
    take(&mut learner, 1, &rules);
    let lesson = learner.learn();
    assert_eq!((lesson.trained, lesson.held_out, learner.lacks().len()), (1, 1, 0));
    learner.answer(key(0), None);
    assert_eq!(learner.memory().len(), 1, "what is no longer answered makes room");
}

#[test]
fn numbers_that_are_not_finite_or_not_as_many_as_the_model_gives_are_not_taken() {
    let mut learner = Learner::new(classifier(2, 2));
    for (scores, features) in [
        (&[f32::NAN, 0.0][..], &[0.0, 0.0][..]),
        (&[0.0, 0.0], &[f32::INFINITY, 0.0]),
        (&[0.0], &[0.0, 0.0]),
        (&[0.0, 0.0], &[]),
    ] {
        assert_eq!(learner.take(key(0), scores, features), None);
    }
    assert!(learner.memory().is_empty());
}

// ---- spread

#[test]
fn spread_asks_of_each_cluster_before_it_asks_twice_of_one() {
    let rules = embedder(3, 2);
    let mut learner = Learner::new(rules);
    let mut draw = Draw(3);
    let centres = [[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]];
    let cluster = |item: &ItemKey| item.0 as usize % 4;
    // The first cluster is by far the largest.
    let all: Vec<ItemKey> = (0..40).filter(|i| i % 4 == 0 || *i < 8).map(key).collect();
    for item in &all {
        let centre = centres[cluster(item)];
        learner.take(*item, &[], &[centre[0] + 0.2 * draw.normal(), centre[1] + 0.2 * draw.normal()]);
    }
    let chosen = learner.spread(&all, 4);
    assert_eq!(chosen.iter().map(cluster).collect::<BTreeSet<_>>().len(), 4, "{chosen:?}");
    assert_eq!(cluster(&chosen[0]), 0, "the first is in the middle of them all: {chosen:?}");
    learner.answer(key(1), train(0));
    learner.answer(key(2), hold_out(0));
    let next: BTreeSet<_> = learner.spread(&all, 2).iter().map(cluster).collect();
    assert_eq!(next, BTreeSet::from([0, 3]), "those that were answered are covered");
    let strangers = [key(500), key(501)];
    assert_eq!(learner.spread(&strangers, 1), [key(500)], "of items that nothing is known of, in order");
}

// ---- digits

/// The 8 × 8 digits, pixels from 0 to 1.
fn digits() -> Vec<(Vec<f32>, usize)> {
    let text = include_str!("fixtures/digits.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pixel = |c: char| c.to_digit(17).unwrap() as f32 / 16.0;
    lines
        .map(|line| {
            let (pixels, digit) = line.split_once(' ').unwrap();
            (pixels.chars().map(pixel).collect(), digit.parse().unwrap())
        })
        .collect()
}

/// A learner that has seen all digits, in a random order.
fn shown(digits: &[(Vec<f32>, usize)], seed: u64) -> (Learner, Vec<usize>) {
    let mut learner = Learner::new(embedder(10, 64));
    for (i, (pixels, _)) in digits.iter().enumerate() {
        learner.take(key(i), &[], pixels);
    }
    (learner, Draw(seed).shuffled(digits.len()))
}

#[test]
fn a_hundred_digits_teach_about_nine_in_ten_and_two_hundred_audits_calibrate_it() {
    let digits = digits();
    assert_eq!(digits.len(), 1797);
    let (mut right, mut raw, mut calibrated) = (0.0, 0.0, 0.0);
    const SEEDS: u64 = 5;
    for seed in 0..SEEDS {
        let (mut learner, order) = shown(&digits, seed);
        let (test, rest) = order.split_at(540);
        let (held, rest) = rest.split_at(200);
        held.iter().for_each(|i| learner.answer(key(*i), hold_out(digits[*i].1)));
        rest[..100].iter().for_each(|i| learner.answer(key(*i), train(digits[*i].1)));
        let lesson = learner.learn();
        assert!(lesson.temperature.get() < 0.9, "a small head is under-confident: {lesson:?}");
        let (before, after) = lesson.calibration_error.unwrap();
        assert!(after < before, "{lesson:?}");
        let said = predictions(&learner);
        let judged = |confidence: fn(&Prediction) -> f32| {
            let all: Vec<_> = test
                .iter()
                .map(|i| {
                    (
                        f64::from(confidence(&said[&key(*i)])),
                        said[&key(*i)].label() == label(digits[*i].1),
                        1.0,
                    )
                })
                .collect();
            expected_calibration_error(&all, 15).unwrap() / SEEDS as f64
        };
        raw += judged(|p| p.confidence_raw.get());
        calibrated += judged(|p| p.confidence.get());
        let good = test.iter().filter(|i| said[&key(**i)].label() == label(digits[**i].1)).count();
        right += good as f64 / test.len() as f64 / SEEDS as f64;
    }
    // Measured: 0.896, 8.4 % and 3.6 %.
    assert!(right > 0.86, "{right}");
    assert!(raw > 0.05 && calibrated < 0.04, "from {raw} to {calibrated}");
}

#[test]
fn slips_of_the_person_come_first_in_the_list_of_suspects() {
    let digits = digits();
    let (mut learner, order) = shown(&digits, 11);
    let mut draw = Draw(12);
    let answered = &order[..500];
    let mut slipped = BTreeSet::new();
    for (nth, i) in answered.iter().enumerate() {
        let mut said = digits[*i].1;
        if nth % 20 == 0 {
            said = (said + 1 + draw.below(9)) % 10;
            slipped.insert(key(*i));
        }
        // Some of the slips are in audits: those count too.
        learner.answer(key(*i), if nth % 5 == 0 && nth % 40 == 0 { hold_out(said) } else { train(said) });
    }
    learner.learn();
    let slips = learner.slips();
    let first = &slips[..slipped.len().min(slips.len())];
    let found = first.iter().filter(|slip| slipped.contains(&slip.item)).count();
    // Measured: 17 of 20, of 25 slips. The issue asks for half.
    assert!(found * 10 >= first.len() * 7, "{found} of the first {} are slips", first.len());
    assert!(found * 2 >= slipped.len(), "{found} of {} slips are found", slipped.len());
    let corrected = first.iter().filter(|slip| slip.suggested == digits[slip.item.0 as usize].1).count();
    assert!(corrected * 10 >= found * 8, "{corrected} of {found} suggest what is right");
    assert!(slips.iter().all(|slip| slip.p_suggested > slip.p_given && slip.given != slip.suggested));
}

#[test]
fn a_model_without_labels_learns_those_that_the_person_adds() {
    let mut learner = Learner::new(embedder(0, 2));
    let rows = [[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.1], [0.05, 1.0]];
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(learner.take(key(i), &[], row), None);
    }
    learner.answer(key(0), train(0));
    assert_eq!(learner.learn().trained, 0, "an answer whose label is not there yet");
    learner.add_labels(2);
    for (i, k) in [(1, 0), (2, 1), (3, 1)] {
        learner.answer(key(i), train(k));
    }
    assert_eq!(learner.learn().trained, 4);
    let said = predictions(&learner);
    assert_eq!((said[&key(4)].label(), said[&key(2)].label()), (label(0), label(1)));
}
