//! Whether the model may settle an item alone: pure and declarative.
//!
//! After Amazon A2I's human-loop activation conditions: conditions over the prediction, the item and a
//! deterministic random sample, combined with any and all; every one is evaluated and its result kept, so
//! that each decision can be explained afterwards.

use std::fmt;

use super::ident::draw;
use super::item::Item;
use super::label::{LabelId, LabelSet};
use super::prediction::Prediction;
use super::value::Value;
use crate::domain::decimal::shortest;

/// The most conditions that a policy may hold, the threshold included: a decision keeps one bit for each.
pub const MOST_CONDITIONS: usize = 64;

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The model settles it.
    Accept,
    /// The person decides.
    Defer,
    /// The model would settle it, but the person checks it blind.
    Audit,
}

/// A comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Strictly less than.
    Below(f32),
    /// At least.
    AtLeast(f32),
}

impl Bound {
    fn holds(self, number: f32) -> bool {
        match self {
            Bound::Below(limit) => number < limit,
            Bound::AtLeast(limit) => number >= limit,
        }
    }
}

/// How a value in an item's meta is tested.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaTest {
    /// There is one at all, and it is not null.
    Exists,
    /// It is one of these.
    In(Vec<Value>),
    /// It is a number below this.
    Below(f64),
    /// It is a number of at least this.
    AtLeast(f64),
}

/// Something that is true or false of an item and its prediction.
///
/// Without a prediction each condition over one is false.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// At least one holds.
    Any(Vec<Condition>),
    /// Each holds.
    All(Vec<Condition>),
    /// The calibrated confidence.
    Confidence(Bound),
    /// Best minus second-best probability.
    Margin(Bound),
    /// Normalised entropy.
    Entropy(Bound),
    /// The predicted label is one of these.
    LabelIn(Vec<LabelId>),
    /// A value in the item's meta, under a dotted path.
    Meta {
        /// Where.
        path: String,
        /// What about it.
        test: MetaTest,
    },
    /// The item falls into a random sample: the same items under the same seed, always.
    Sample {
        /// 0 to 100.
        percent: f64,
        /// Chooses the sample.
        seed: u64,
    },
}

/// When the model may settle an item alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The least calibrated confidence, unless the label has its own.
    pub accept_at: f32,
    /// Thresholds of single labels, which override `accept_at` in both directions.
    pub accept_at_label: Vec<(LabelId, f32)>,
    /// Sends an item to the person whatever the confidence.
    pub defer_when: Option<Condition>,
    /// Sends an item that would be accepted to the person for a blind check.
    pub audit_when: Option<Condition>,
    /// Sends a random sample to the person for a blind check, whatever the confidence.
    pub blind: Option<Sampling>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { accept_at: 0.90, accept_at_label: Vec::new(), defer_when: None, audit_when: None, blind: None }
    }
}

/// A threshold that no confidence reaches: nothing is accepted.
pub const NOTHING: f32 = f32::INFINITY;

/// Name of the rule by which a target draws its checks.
pub const OF_TARGET: &str = "target.audits";

/// Name of the rule in the threshold's place as long as nothing is accepted.
pub const NOT_YET: &str = "target";

/// A random sample of the items: the same items under the same seed, and a smaller share of the same seed
/// is a part of a greater one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 to 1.
    pub share: f64,
    /// Chooses the sample.
    pub seed: u64,
}

impl Sampling {
    /// Whether an item is in the sample.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        draw(self.seed, id) < self.share
    }
}

/// An outcome with the result of every rule; compact, since each item keeps one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the item.
    pub outcome: Outcome,
    /// One bit a condition, in the order of [`Policy::explain`].
    held: u64,
    /// In the target's sample, if there is one: beside the bits, so that a policy may use all of them.
    blind: bool,
}

/// One rule's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Where the rule stands in the policy: `accept_at`, `defer_when.any[0].label_in`.
    pub rule: String,
    /// The rule with its values, in plain words: `margin below 0.1`.
    pub says: String,
    /// Whether it held.
    pub held: bool,
}

impl Policy {
    /// The threshold for a label.
    #[must_use]
    pub fn threshold(&self, label: LabelId) -> f32 {
        self.accept_at_label.iter().find(|(own, _)| *own == label).map_or(self.accept_at, |(_, own)| *own)
    }

    /// Whether some of the questions are blind checks, so that no question may tell why it is asked.
    #[must_use]
    pub fn has_audits(&self) -> bool {
        self.audit_when.is_some() || self.blind.is_some()
    }

    /// How many conditions there are, the threshold included and a target's own sample not.
    #[must_use]
    pub fn conditions(&self) -> usize {
        1 + self.defer_when.iter().chain(&self.audit_when).map(Condition::count).sum::<usize>()
    }

    /// Decides. Every condition is evaluated, also those that can no longer change the outcome.
    #[must_use]
    pub fn decide(&self, item: &Item, prediction: Option<&Prediction>) -> Decision {
        let mut results = Results::default();
        let sure = prediction.is_some_and(|p| self.sure(p));
        results.note(sure);
        let mut check = |condition: &Option<Condition>| {
            condition.as_ref().is_some_and(|c| c.evaluate(item, prediction, &mut results))
        };
        let (deferred, audited) = (check(&self.defer_when), check(&self.audit_when));
        let blind = self.blind.is_some_and(|sampling| sampling.holds(&item.id));
        let outcome = match (sure && !deferred, audited) {
            // What a rule gives to the person is none of the stream that the sample speaks for.
            _ if blind && !deferred => Outcome::Audit,
            (false, _) => Outcome::Defer,
            (true, true) => Outcome::Audit,
            (true, false) => Outcome::Accept,
        };
        Decision { outcome, held: results.held, blind }
    }

    fn sure(&self, prediction: &Prediction) -> bool {
        // Not made a `Confidence`, which would bring a threshold that nothing reaches down to 1.
        prediction.confidence.get() >= self.threshold(prediction.label())
    }

    /// Every rule with the result it had in `decision`, which this policy must have made of `prediction`.
    #[must_use]
    pub fn explain(
        &self,
        decision: Decision,
        prediction: Option<&Prediction>,
        labels: &LabelSet,
    ) -> Vec<Reason> {
        let threshold = prediction.map_or(self.accept_at, |p| self.threshold(p.label()));
        let mut rules = vec![match threshold {
            NOTHING => (NOT_YET.to_owned(), "checks enough for the target".to_owned()),
            threshold => ("accept_at".to_owned(), format!("confidence at least {}", shortest(threshold))),
        }];
        for (name, condition) in [("defer_when", &self.defer_when), ("audit_when", &self.audit_when)] {
            if let Some(condition) = condition {
                condition.name_rules(name, labels, &mut rules);
            }
        }
        let held = |i: usize| i < MOST_CONDITIONS && decision.held >> i & 1 == 1;
        let of_rules = rules.into_iter().enumerate();
        let mut reasons: Vec<_> =
            of_rules.map(|(i, (rule, says))| Reason { rule, says, held: held(i) }).collect();
        if let Some(Sampling { share, .. }) = self.blind {
            let says = format!("in the {} % sample for checks", shortest(share * 100.0));
            reasons.push(Reason { rule: OF_TARGET.to_owned(), says, held: decision.blind });
        }
        reasons
    }
}

#[derive(Default)]
struct Results {
    held: u64,
    count: usize,
}

impl Results {
    fn note(&mut self, held: bool) {
        if self.count < MOST_CONDITIONS {
            self.held |= u64::from(held) << self.count;
        }
        self.count += 1;
    }
}

impl Condition {
    fn count(&self) -> usize {
        match self {
            Condition::Any(parts) | Condition::All(parts) => {
                1 + parts.iter().map(Condition::count).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// Notes the results of the parts before its own, as [`Condition::name_rules`] names them.
    fn evaluate(&self, item: &Item, prediction: Option<&Prediction>, results: &mut Results) -> bool {
        let held = match self {
            // No short cut: each part's result is kept.
            Condition::Any(parts) => {
                parts.iter().fold(false, |held, part| part.evaluate(item, prediction, results) | held)
            }
            Condition::All(parts) => {
                parts.iter().fold(true, |held, part| part.evaluate(item, prediction, results) & held)
            }
            Condition::Confidence(bound) => prediction.is_some_and(|p| bound.holds(p.confidence.get())),
            Condition::Margin(bound) => prediction.is_some_and(|p| bound.holds(p.margin)),
            Condition::Entropy(bound) => prediction.is_some_and(|p| bound.holds(p.entropy)),
            Condition::LabelIn(labels) => prediction.is_some_and(|p| labels.contains(&p.label())),
            Condition::Meta { path, test } => test.holds(item.meta.at(path)),
            Condition::Sample { percent, seed } => draw(*seed, &item.id) * 100.0 < *percent,
        };
        results.note(held);
        held
    }

    /// Adds (path, words) of each part and of itself, in the order of [`Condition::evaluate`].
    fn name_rules(&self, path: &str, labels: &LabelSet, rules: &mut Vec<(String, String)>) {
        let mut of_parts = |word: &str, parts: &[Condition]| {
            for (i, part) in parts.iter().enumerate() {
                part.name_rules(&format!("{path}.{word}[{i}]"), labels, rules);
            }
        };
        let bound = |name: &str, bound: &Bound| match bound {
            Bound::Below(limit) => (format!("{name}_below"), format!("{name} below {}", shortest(*limit))),
            Bound::AtLeast(limit) => {
                (format!("{name}_at_least"), format!("{name} at least {}", shortest(*limit)))
            }
        };
        let (word, says) = match self {
            Condition::Any(parts) => {
                of_parts("any", parts);
                ("any".into(), "any of these".into())
            }
            Condition::All(parts) => {
                of_parts("all", parts);
                ("all".into(), "all of these".into())
            }
            Condition::Confidence(limit) => bound("confidence", limit),
            Condition::Margin(limit) => bound("margin", limit),
            Condition::Entropy(limit) => bound("entropy", limit),
            Condition::LabelIn(list) => {
                let names = list.iter().filter_map(|id| labels.get(*id)).map(|label| &*label.id);
                ("label_in".into(), format!("label in {}", names.collect::<Vec<_>>().join(", ")))
            }
            Condition::Meta { path: meta, test } => ("meta".into(), format!("meta {meta} {test}")),
            Condition::Sample { percent, .. } => {
                ("sample".into(), format!("in the {} % sample", shortest(*percent)))
            }
        };
        rules.push((format!("{path}.{word}"), says));
    }
}

impl fmt::Display for MetaTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaTest::Exists => f.write_str("exists"),
            MetaTest::In(values) => write!(f, "is one of {} values", values.len()),
            MetaTest::Below(limit) => write!(f, "below {}", shortest(*limit)),
            MetaTest::AtLeast(limit) => write!(f, "at least {}", shortest(*limit)),
        }
    }
}

impl MetaTest {
    fn holds(&self, found: Option<&Value>) -> bool {
        let Some(found) = found.filter(|value| **value != Value::Null) else { return false };
        match self {
            MetaTest::Exists => true,
            MetaTest::In(values) => values.iter().any(|value| value.same_as(found)),
            MetaTest::Below(limit) => found.as_number().is_some_and(|n| n < *limit),
            MetaTest::AtLeast(limit) => found.as_number().is_some_and(|n| n >= *limit),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::item::Content;
    use crate::domain::label::Label;
    use crate::domain::prediction::{Activation, ScoreScale, Temperature};

    fn labels() -> LabelSet {
        let label = |id: &str| Label { id: id.into(), name: id.into() };
        LabelSet::new(vec![label("cat"), label("dog"), label("owl")]).unwrap()
    }

    fn item(id: &str) -> Item {
        let meta = Value::Object(vec![("source".into(), Value::Text("web".into()))]);
        Item { id: id.into(), content: Content::Numbers([0.0].into()), meta: meta.into() }
    }

    fn saying(probabilities: &[f32]) -> Prediction {
        let (scale, activation) = (ScoreScale::Probabilities, Activation::Softmax);
        Prediction::from_scores(probabilities, scale, activation, Temperature::ONE).unwrap()
    }

    fn outcome(policy: &Policy, probabilities: &[f32]) -> Outcome {
        policy.decide(&item("a"), Some(&saying(probabilities))).outcome
    }

    #[test]
    fn at_the_threshold_the_model_settles_and_below_it_the_person() {
        let policy = Policy { accept_at: 0.75, ..Policy::default() };
        assert_eq!(outcome(&policy, &[0.75, 0.25, 0.0]), Outcome::Accept);
        assert_eq!(outcome(&policy, &[0.74, 0.26, 0.0]), Outcome::Defer);
    }

    #[test]
    fn a_label_may_have_its_own_threshold() {
        let policy = Policy { accept_at_label: vec![(LabelId(1), 0.99)], ..Policy::default() };
        assert_eq!(outcome(&policy, &[0.95, 0.05, 0.0]), Outcome::Accept);
        assert_eq!(outcome(&policy, &[0.05, 0.95, 0.0]), Outcome::Defer);
    }

    #[test]
    fn without_a_prediction_the_person_decides() {
        assert_eq!(Policy::default().decide(&item("a"), None).outcome, Outcome::Defer);
    }

    /// Amazon A2I's documentation, example 5: low confidence, or a 5 % sample of the confident.
    #[test]
    fn a2i_example_five() {
        let sample = Condition::All(vec![
            Condition::Sample { percent: 5.0, seed: 7 },
            Condition::Confidence(Bound::AtLeast(0.9)),
        ]);
        let policy = Policy {
            accept_at: 0.6,
            defer_when: Some(Condition::Any(vec![Condition::Confidence(Bound::Below(0.6)), sample])),
            ..Policy::default()
        };
        let sure = saying(&[0.95, 0.05, 0.0]);
        let deferred = (0..10_000)
            .filter(|i| policy.decide(&item(&format!("i{i}")), Some(&sure)).outcome == Outcome::Defer)
            .count();
        assert!((440..=560).contains(&deferred), "{deferred}");
        assert_eq!(outcome(&policy, &[0.55, 0.45, 0.0]), Outcome::Defer);
    }

    #[test]
    fn an_audit_is_only_of_what_would_be_accepted() {
        let policy =
            Policy { audit_when: Some(Condition::Sample { percent: 100.0, seed: 0 }), ..Policy::default() };
        assert_eq!(outcome(&policy, &[0.95, 0.05, 0.0]), Outcome::Audit);
        assert_eq!(outcome(&policy, &[0.5, 0.5, 0.0]), Outcome::Defer);
    }

    #[test]
    fn a_blind_sample_is_of_everything_that_no_rule_gives_to_the_person() {
        let policy = Policy { blind: Some(Sampling { share: 1.0, seed: 3 }), ..Policy::default() };
        assert_eq!(outcome(&policy, &[0.95, 0.05, 0.0]), Outcome::Audit);
        assert_eq!(outcome(&policy, &[0.5, 0.5, 0.0]), Outcome::Audit);
        assert_eq!(policy.decide(&item("a"), None).outcome, Outcome::Audit);
        let ruled = Policy { defer_when: Some(Condition::LabelIn(vec![LabelId(0)])), ..policy };
        assert_eq!(outcome(&ruled, &[0.95, 0.05, 0.0]), Outcome::Defer);
    }

    #[test]
    fn a_policy_that_uses_every_condition_still_tells_which_items_are_checks() {
        let rare = Condition::LabelIn(vec![LabelId(2)]);
        let defer_when = Some(Condition::Any(vec![rare; MOST_CONDITIONS - 2]));
        let blind = Some(Sampling { share: 1.0, seed: 3 });
        let policy = Policy { defer_when, blind, ..Policy::default() };
        assert_eq!(policy.conditions(), MOST_CONDITIONS);
        let sure = saying(&[0.95, 0.05, 0.0]);
        let reasons = policy.explain(policy.decide(&item("a"), Some(&sure)), Some(&sure), &labels());
        let last = reasons.last().map(|reason| (reason.rule.as_str(), reason.held));
        assert_eq!(last, Some((OF_TARGET, true)));
    }

    #[test]
    fn where_nothing_is_certain_enough_nothing_is_settled() {
        let policy = Policy { accept_at: NOTHING, ..Policy::default() };
        assert_eq!(outcome(&policy, &[1.0, 0.0, 0.0]), Outcome::Defer);
        let sure = saying(&[1.0, 0.0, 0.0]);
        let reasons = policy.explain(policy.decide(&item("a"), Some(&sure)), Some(&sure), &labels());
        assert_eq!((reasons[0].rule.as_str(), reasons[0].held), (NOT_YET, false));
    }

    #[test]
    fn every_rule_is_kept_with_its_result_also_behind_one_that_settled_it() {
        let policy = Policy {
            defer_when: Some(Condition::Any(vec![
                Condition::LabelIn(vec![LabelId(0), LabelId(2)]),
                Condition::Meta {
                    path: "source".into(),
                    test: MetaTest::In(vec![Value::Text("web".into())]),
                },
                Condition::Margin(Bound::Below(0.1)),
            ])),
            ..Policy::default()
        };
        let decision = policy.decide(&item("a"), Some(&saying(&[0.95, 0.05, 0.0])));
        let reasons = policy.explain(decision, Some(&saying(&[0.95, 0.05, 0.0])), &labels());
        let said: Vec<_> = reasons.iter().map(|r| format!("{}: {} = {}", r.rule, r.says, r.held)).collect();
        assert_eq!(
            said,
            [
                "accept_at: confidence at least 0.9 = true",
                "defer_when.any[0].label_in: label in cat, owl = true",
                "defer_when.any[1].meta: meta source is one of 1 values = true",
                "defer_when.any[2].margin_below: margin below 0.1 = false",
                "defer_when.any: any of these = true",
            ]
        );
    }
}
