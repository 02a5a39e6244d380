//! From a model's raw scores to a prediction with a calibrated confidence.

use super::label::LabelId;

/// How many of the best labels a prediction keeps.
pub const TOP: usize = 5;

/// What the numbers of a score output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreScale {
    /// Unbounded scores before the activation.
    Logits,
    /// Already probabilities.
    Probabilities,
}

/// How scores become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// One of the labels is right: probabilities sum to 1.
    Softmax,
    /// Each label is right or wrong by itself.
    Sigmoid,
}

/// Divides logits before the activation, so that a confidence means what it says.
///
/// Temperature scaling: Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017 (arXiv 1706.04599).
/// Above 1 it makes an over-confident model humbler, below 1 an under-confident one bolder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature(f32);

impl Temperature {
    /// No change.
    pub const ONE: Self = Self(1.0);

    /// A temperature within 0.05 to 20; `None` outside.
    #[must_use]
    pub fn new(t: f32) -> Option<Self> {
        (0.05..=20.0).contains(&t).then_some(Self(t))
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

/// A probability. Invariant: finite and within 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f32);

impl Confidence {
    /// A confidence; what is outside is brought to the nearest end, NaN to 0.
    #[must_use]
    pub fn new(p: f32) -> Self {
        Self(if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) })
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> f32 {
        self.0
    }
}

/// What the model says of one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Calibrated chance that the best label is right.
    pub confidence: Confidence,
    /// The same before calibration.
    pub confidence_raw: Confidence,
    /// Best minus second-best probability, calibrated; the confidence itself if there is one label only.
    pub margin: f32,
    /// Shannon entropy of the calibrated probabilities divided by its greatest value (ln K for a softmax
    /// over K labels that take part, ln 2 per label for sigmoids): 0 is certain, 1 knows nothing.
    pub entropy: f32,
    /// Which head made it; grows with each refit, 0 is the model as it came.
    pub head_version: u32,
    /// Which of the models that the session has had made it: the session says so, 0 elsewhere.
    pub model: u16,
    top: [(LabelId, f32); TOP],
    top_len: u8,
}

impl Prediction {
    /// Reads a raw score vector; `None` if it is empty or holds a number that is not finite.
    ///
    /// `scores` has one number a label, in label order. Probabilities are taken back to logits first, so
    /// that the temperature acts on both scales alike. Labels of equal probability rank in label order.
    #[must_use]
    pub fn from_scores(
        scores: &[f32],
        scale: ScoreScale,
        activation: Activation,
        temperature: Temperature,
    ) -> Option<Self> {
        if scores.is_empty() || scores.iter().any(|s| !s.is_finite()) {
            return None;
        }
        let logits: Vec<f64> = scores.iter().map(|&s| logit(f64::from(s), scale, activation)).collect();
        Self::from_logits(&logits, activation, temperature, 0)
    }

    /// Makes a prediction from the logits that a head gave, in label order; −∞ keeps a label out: it has
    /// probability 0 and no rank. `None` if no logit is finite, or one is neither finite nor −∞.
    #[must_use]
    pub fn from_logits(
        logits: &[f64],
        activation: Activation,
        temperature: Temperature,
        head_version: u32,
    ) -> Option<Self> {
        let sound = |z: &f64| z.is_finite() || *z == f64::NEG_INFINITY;
        if !logits.iter().all(sound) || !logits.iter().any(|z| z.is_finite()) {
            return None;
        }
        let raw = activated(logits, activation, 1.0);
        let calibrated = match temperature {
            Temperature::ONE => raw.clone(),
            Temperature(t) => activated(logits, activation, f64::from(t)),
        };
        let top = best(logits, &calibrated);
        let (first, second) = (top[0], top.get(1));
        let mut kept = [(LabelId(0), 0.0); TOP];
        for (slot, &(label, p)) in kept.iter_mut().zip(&top) {
            *slot = (label, narrow(p));
        }
        Some(Self {
            confidence: Confidence::new(narrow(first.1)),
            confidence_raw: Confidence::new(narrow(raw[usize::from(first.0.0)])),
            margin: narrow(first.1 - second.map_or(0.0, |s| s.1)),
            entropy: narrow(normalised_entropy(logits, &calibrated, activation)),
            head_version,
            model: 0,
            top: kept,
            #[allow(clippy::cast_possible_truncation)]
            top_len: top.len() as u8,
        })
    }

    /// A prediction that was made elsewhere; `None` without a label. `top` is best first.
    pub fn from_parts(
        confidence: Confidence,
        confidence_raw: Confidence,
        margin: f32,
        entropy: f32,
        head_version: u32,
        top: impl Iterator<Item = (LabelId, f32)>,
    ) -> Option<Self> {
        let mut kept = [(LabelId(0), 0.0); TOP];
        let mut top_len = 0;
        for (slot, said) in kept.iter_mut().zip(top) {
            *slot = said;
            top_len += 1;
        }
        let made =
            Self { confidence, confidence_raw, margin, entropy, head_version, model: 0, top: kept, top_len };
        (top_len > 0).then_some(made)
    }

    /// The best label.
    #[must_use]
    pub fn label(&self) -> LabelId {
        self.top[0].0
    }

    /// The best labels with their calibrated probabilities, best first; at most [`TOP`].
    #[must_use]
    pub fn top(&self) -> &[(LabelId, f32)] {
        &self.top[..usize::from(self.top_len)]
    }
}

/// A probability of exactly 0 or 1 would give an infinite logit; this is well below what f32 tells apart.
const SMALLEST: f64 = 1e-12;

/// A score as a logit.
pub(super) fn logit(score: f64, scale: ScoreScale, activation: Activation) -> f64 {
    match (scale, activation) {
        (ScoreScale::Logits, _) => score,
        // Softmax takes away any constant, so the logarithm is a logit already.
        (ScoreScale::Probabilities, Activation::Softmax) => score.max(SMALLEST).ln(),
        (ScoreScale::Probabilities, Activation::Sigmoid) => {
            let p = score.clamp(SMALLEST, 1.0 - SMALLEST);
            (p / (1.0 - p)).ln()
        }
    }
}

/// The probabilities of logits at temperature `t`.
pub(super) fn activated(logits: &[f64], activation: Activation, t: f64) -> Vec<f64> {
    match activation {
        Activation::Sigmoid => logits.iter().map(|z| 1.0 / (1.0 + (-z / t).exp())).collect(),
        Activation::Softmax => {
            let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = logits.iter().map(|z| ((z - greatest) / t).exp()).collect();
            let sum: f64 = powers.iter().sum();
            powers.into_iter().map(|p| p / sum).collect()
        }
    }
}

/// The [`TOP`] greatest of those that take part, greatest first, equal ones in order. By their logits: sigmoids are 1
/// from a logit of 37 on, and which of them is the best label is none of their order's.
fn best(logits: &[f64], probabilities: &[f64]) -> Vec<(LabelId, f64)> {
    let mut top: Vec<(LabelId, f64)> = Vec::with_capacity(TOP + 1);
    for (i, &z) in logits.iter().enumerate() {
        if z == f64::NEG_INFINITY || top.len() == TOP && z <= top[TOP - 1].1 {
            continue;
        }
        let at = top.partition_point(|&(_, other)| other >= z);
        #[allow(clippy::cast_possible_truncation)]
        top.insert(at, (LabelId(i as u16), z));
        top.truncate(TOP);
    }
    top.iter_mut().for_each(|(label, z)| *z = probabilities[usize::from(label.0)]);
    top
}

fn normalised_entropy(logits: &[f64], probabilities: &[f64], activation: Activation) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    #[allow(clippy::cast_precision_loss)]
    let count = logits.iter().filter(|z| z.is_finite()).count() as f64;
    let (entropy, greatest) = match activation {
        Activation::Softmax => (probabilities.iter().map(|&p| part(p)).sum::<f64>(), count.ln()),
        Activation::Sigmoid => (
            probabilities.iter().map(|&p| part(p) + part(1.0 - p)).sum::<f64>(),
            count * std::f64::consts::LN_2,
        ),
    };
    if greatest > 0.0 { (entropy / greatest).clamp(0.0, 1.0) } else { 0.0 }
}

#[allow(clippy::cast_possible_truncation)]
fn narrow(p: f64) -> f32 {
    p as f32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn softmax(logits: &[f32], t: f32) -> Prediction {
        let t = Temperature::new(t).unwrap();
        Prediction::from_scores(logits, ScoreScale::Logits, Activation::Softmax, t).unwrap()
    }

    #[test]
    fn the_best_label_leads_and_its_margin_is_to_the_second() {
        let said = softmax(&[0.0, 2.0, 1.0], 1.0);
        assert_eq!(said.label(), LabelId(1));
        assert!((said.confidence.get() - 0.665_241).abs() < 1e-5);
        assert!((said.margin - (0.665_241 - 0.244_728)).abs() < 1e-5);
    }

    #[test]
    fn temperature_moves_the_confidence_and_leaves_the_raw_one_and_the_order() {
        let (cold, hot) = (softmax(&[0.0, 2.0, 1.0], 0.5), softmax(&[0.0, 2.0, 1.0], 2.0));
        assert!(cold.confidence > hot.confidence);
        assert_eq!(cold.confidence_raw, hot.confidence_raw);
        assert_eq!(cold.label(), hot.label());
    }

    #[test]
    fn probabilities_and_their_logits_say_the_same() {
        let logits = [1.0_f32, -2.0, 0.3, 4.0];
        let sum: f32 = logits.iter().map(|z| z.exp()).sum();
        let probabilities: Vec<f32> = logits.iter().map(|z| z.exp() / sum).collect();
        let t = Temperature::new(1.7).unwrap();
        let from_logits =
            Prediction::from_scores(&logits, ScoreScale::Logits, Activation::Softmax, t).unwrap();
        let from_p =
            Prediction::from_scores(&probabilities, ScoreScale::Probabilities, Activation::Softmax, t)
                .unwrap();
        assert!((from_logits.confidence.get() - from_p.confidence.get()).abs() < 1e-5);
        assert!((from_logits.entropy - from_p.entropy).abs() < 1e-5);
    }

    #[test]
    fn entropy_is_one_for_an_even_guess_and_near_zero_for_a_sure_one() {
        assert!((softmax(&[1.0; 7], 1.0).entropy - 1.0).abs() < 1e-6);
        assert!(softmax(&[30.0, 0.0, 0.0], 1.0).entropy < 1e-6);
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_prediction() {
        for bad in [f32::NAN, f32::INFINITY] {
            let t = Temperature::ONE;
            assert_eq!(
                Prediction::from_scores(&[0.0, bad], ScoreScale::Logits, Activation::Softmax, t),
                None
            );
        }
    }

    #[test]
    fn certain_probabilities_stay_finite() {
        let t = Temperature::new(3.0).unwrap();
        let p =
            Prediction::from_scores(&[1.0, 0.0], ScoreScale::Probabilities, Activation::Sigmoid, t).unwrap();
        assert!(p.confidence.get().is_finite() && p.entropy.is_finite());
    }

    #[test]
    fn a_label_that_takes_no_part_changes_nothing_for_the_others() {
        let t = Temperature::new(1.7).unwrap();
        for activation in [Activation::Softmax, Activation::Sigmoid] {
            let two = Prediction::from_logits(&[2.0, 1.0], activation, t, 3).unwrap();
            let three = Prediction::from_logits(&[2.0, 1.0, f64::NEG_INFINITY], activation, t, 3).unwrap();
            assert_eq!((three, three.top().len(), three.head_version), (two, 2, 3));
        }
        assert_eq!(Prediction::from_logits(&[f64::NEG_INFINITY; 2], Activation::Softmax, t, 0), None);
        assert_eq!(Prediction::from_logits(&[f64::NAN, 1.0], Activation::Softmax, t, 0), None);
    }

    #[test]
    fn of_several_certain_labels_the_one_with_the_greatest_score_leads() {
        let said = Prediction::from_scores(
            &[40.0, 60.0, 50.0],
            ScoreScale::Logits,
            Activation::Sigmoid,
            Temperature::ONE,
        )
        .unwrap();
        let order: Vec<u16> = said.top().iter().map(|(label, _)| label.0).collect();
        assert_eq!((order, said.margin), (vec![1, 2, 0], 0.0));
    }

    #[test]
    fn equal_scores_rank_in_label_order() {
        let labels: Vec<u16> = softmax(&[1.0; 8], 1.0).top().iter().map(|(label, _)| label.0).collect();
        assert_eq!(labels, [0, 1, 2, 3, 4]);
    }
}
