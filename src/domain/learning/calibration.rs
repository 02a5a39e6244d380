//! Making a confidence mean what it says: one temperature, found on answers that nothing was trained on.

use super::super::prediction::{Activation, Temperature};

/// A held-out answer with what the model says of its item.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// Logits in label order, at least one of them finite; −∞ for a label that does not take part.
    pub logits: &'a [f64],
    /// What the person said; its logit is finite.
    pub label: usize,
    /// How many items of the stream this one stands for: one over the chance with which it was drawn.
    pub weight: f64,
}

/// A temperature and what it does to the answers that it was found on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fitted {
    /// The temperature.
    pub temperature: Temperature,
    /// Weighted mean log-loss (nats an answer) at temperature 1.
    pub log_loss_before: f64,
    /// The same at `temperature`; never greater.
    pub log_loss_after: f64,
    /// How many answers.
    pub count: usize,
}

/// Strength of the pull of ln T to 0, in answers: as if ln T were drawn from a normal distribution of standard
/// deviation ½, so that five right answers do not make the model certain, and two hundred feel nothing of it.
const PULL: f64 = 4.0;
/// Least and greatest ln T: those of [`Temperature`].
const BOUND: f64 = 2.995_732_273_553_991;

/// The temperature that makes held-out answers most likely (Guo et al., ICML 2017), held weakly to 1.
///
/// Minimises the weighted log-loss, weights brought to a mean of 1, plus 2·(ln T)². The log-loss is convex in
/// 1/T, hence falls all the way from T = 1 to its own minimum; the optimum with the pull lies between the two.
/// So it never raises the log-loss of the answers that it is found on, for any strength of the pull.
/// Rows without weight or with a label that does not take part are left out.
#[must_use]
pub fn fit_temperature(rows: &[Held<'_>], activation: Activation) -> Fitted {
    let usable = |row: &&Held<'_>| {
        row.weight > 0.0 && row.weight.is_finite() && row.logits.get(row.label).is_some_and(|z| z.is_finite())
    };
    let rows: Vec<&Held<'_>> = rows.iter().filter(usable).collect();
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let mean_loss = |t: f64| {
        let sum: f64 =
            rows.iter().map(|row| row.weight * log_loss(row.logits, row.label, t, activation)).sum();
        if rows.is_empty() { 0.0 } else { sum / total }
    };
    let before = mean_loss(1.0);
    let none = Fitted {
        temperature: Temperature::ONE,
        log_loss_before: before,
        log_loss_after: before,
        count: rows.len(),
    };
    #[allow(clippy::cast_precision_loss)]
    let answers = rows.len() as f64;
    // In θ = −ln T: the derivative of what is minimised. Every zero of it lies between 0 and where the log-loss
    // alone is least, since beyond that both parts rise.
    let slope = |theta: f64| {
        let inverse = theta.exp();
        let sum: f64 =
            rows.iter().map(|row| row.weight * slope(row.logits, row.label, inverse, activation)).sum();
        answers / total * inverse * sum + PULL * theta
    };
    if rows.is_empty() {
        return none;
    }
    let Some(theta) = zero(slope) else { return none };
    #[allow(clippy::cast_possible_truncation)]
    let t = ((-theta).exp() as f32).clamp(0.05, 20.0);
    let Some(temperature) = Temperature::new(t) else { return none };
    let after = mean_loss(f64::from(t));
    // A rounding to f32 beside the optimum may overshoot it.
    if after <= before { Fitted { temperature, log_loss_after: after, ..none } } else { none }
}

/// A zero of a function that rises from below to above it within ±[`BOUND`]; the bound that it does not reach it
/// before; `None` if it is no number.
///
/// False position with the Illinois rule (Dowell & Jarratt, 1971), which needs a dozen evaluations.
fn zero(f: impl Fn(f64) -> f64) -> Option<f64> {
    let at_zero = f(0.0);
    if at_zero == 0.0 || !at_zero.is_finite() {
        return (at_zero == 0.0).then_some(0.0);
    }
    let (mut near, mut f_near) = (0.0, at_zero);
    let mut far = if at_zero < 0.0 { BOUND } else { -BOUND };
    let mut f_far = f(far);
    if f_far.signum() == f_near.signum() {
        return f_far.is_finite().then_some(far);
    }
    let mut last = 0;
    for _ in 0..200 {
        let weighed = (near * f_far - far * f_near) / (f_far - f_near);
        let middle = if weighed.is_finite() { weighed } else { f64::midpoint(near, far) };
        let value = f(middle);
        if value == 0.0 || (far - near).abs() < 1e-10 {
            return Some(middle);
        }
        if value.signum() == f_far.signum() {
            if (far - middle).abs() < 1e-10 {
                return Some(middle);
            }
            (far, f_far) = (middle, value);
            if last == 1 {
                f_near /= 2.0;
            }
            last = 1;
        } else {
            if (near - middle).abs() < 1e-10 {
                return Some(middle);
            }
            (near, f_near) = (middle, value);
            if last == 2 {
                f_far /= 2.0;
            }
            last = 2;
        }
    }
    Some(f64::midpoint(near, far))
}

/// The log-loss of one answer in nats at temperature `t`: for a softmax −ln p of the right label, for sigmoids
/// the sum over all labels that take part. Infinite if the right label does not take part.
#[must_use]
pub fn log_loss(logits: &[f64], label: usize, t: f64, activation: Activation) -> f64 {
    let right = logits.get(label).copied().unwrap_or(f64::NEG_INFINITY) / t;
    match activation {
        Activation::Softmax => {
            let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max) / t;
            let sum: f64 = logits.iter().map(|z| (z / t - greatest).exp()).sum();
            (sum.ln() + greatest - right).max(0.0)
        }
        Activation::Sigmoid => {
            let each = |z: f64| z.max(0.0) + (-z.abs()).exp().ln_1p();
            (logits.iter().map(|z| each(z / t)).sum::<f64>() - right).max(0.0)
        }
    }
}

/// The derivative of [`log_loss`] by 1/T.
fn slope(logits: &[f64], label: usize, inverse: f64, activation: Activation) -> f64 {
    let finite = || logits.iter().copied().filter(|z| z.is_finite());
    let mean = match activation {
        Activation::Softmax => {
            let greatest = finite().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut weighted) = (0.0, 0.0);
            for z in finite() {
                let power = ((z - greatest) * inverse).exp();
                sum += power;
                weighted += power * (z - greatest);
            }
            // The greatest is taken out of both, so that large logits cancel exactly.
            return weighted / sum + (greatest - logits[label]);
        }
        Activation::Sigmoid => finite().map(|z| z / (1.0 + (-z * inverse).exp())).sum::<f64>(),
    };
    mean - logits[label]
}

/// How far confidence and accuracy are apart, 0 to 1: the weighted mean over `bins` equal bins of the confidence
/// (expected calibration error; Naeini et al., AAAI 2015). Each entry is a confidence, whether the best label was
/// right, and a weight. `None` without an entry.
#[must_use]
pub fn expected_calibration_error(judged: &[(f64, bool, f64)], bins: usize) -> Option<f64> {
    // Of each bin: its weight times (confidence − right).
    let mut gaps = vec![0.0; bins.max(1)];
    let mut total = 0.0;
    for &(confidence, right, weight) in judged {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bin = ((confidence * gaps.len() as f64).ceil() as usize).clamp(1, gaps.len()) - 1;
        gaps[bin] += weight * (confidence - f64::from(u8::from(right)));
        total += weight;
    }
    (total > 0.0).then(|| gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / total)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn fitted(rows: &[(Vec<f64>, usize)]) -> Fitted {
        let rows: Vec<_> =
            rows.iter().map(|(logits, label)| Held { logits, label: *label, weight: 1.0 }).collect();
        fit_temperature(&rows, Activation::Softmax)
    }

    /// `right` of `count` answers agree with a model that is always sure to logit `z`.
    fn stream(z: f64, right: usize, count: usize) -> Vec<(Vec<f64>, usize)> {
        (0..count).map(|i| (vec![z, 0.0], usize::from(i >= right))).collect()
    }

    #[test]
    fn an_over_confident_model_is_made_humbler_and_an_under_confident_one_bolder() {
        // Says 98 %, is right in 80 %: T brings 4 to ln(0.8/0.2).
        let hot = fitted(&stream(4.0, 8_000, 10_000)).temperature.get();
        assert!((hot - 4.0 / 4.0_f32.ln()).abs() < 0.01, "{hot}");
        // Says 62 %, is right in 95 %.
        let cold = fitted(&stream(0.5, 9_500, 10_000)).temperature.get();
        assert!((cold - 0.5 / 19.0_f32.ln()).abs() < 0.01, "{cold}");
    }

    #[test]
    fn a_few_right_answers_do_not_make_it_certain() {
        let t = fitted(&stream(1.5, 5, 5)).temperature.get();
        assert!((0.5..1.0).contains(&t), "{t}");
    }

    #[test]
    fn an_answer_that_stands_for_ten_counts_as_ten() {
        let wrong = Held { logits: &[2.0, 0.0], label: 1, weight: 10.0 };
        let right = Held { label: 0, weight: 1.0, ..wrong };
        let fitted = |wrong| {
            let rows = [vec![wrong; 20], vec![right; 180]].concat();
            fit_temperature(&rows, Activation::Softmax).temperature.get()
        };
        // 200 wrong against 180 right, and 20 against 180: never sure, and 2 / ln 9.
        let (weighted, plain) = (fitted(wrong), fitted(Held { weight: 1.0, ..wrong }));
        assert!((plain - 2.0 / 9.0_f32.ln()).abs() < 0.02 && weighted > 5.0, "{plain}, {weighted}");
    }

    #[test]
    fn nothing_held_out_changes_nothing() {
        let none = fit_temperature(&[], Activation::Softmax);
        assert_eq!((none.temperature, none.count), (Temperature::ONE, 0));
    }

    #[test]
    fn labels_that_do_not_take_part_are_no_obstacle() {
        let rows: Vec<_> = stream(4.0, 80, 100)
            .into_iter()
            .map(|(logits, label)| ([logits, vec![f64::NEG_INFINITY]].concat(), label))
            .collect();
        assert_eq!(fitted(&rows).temperature, fitted(&stream(4.0, 80, 100)).temperature);
        assert_eq!(fitted(&[(vec![1.0, f64::NEG_INFINITY], 1)]).count, 0);
    }

    #[test]
    fn the_calibration_error_is_the_gap_between_what_is_said_and_what_is() {
        let said_90_right_70: Vec<_> = (0..100).map(|i| (0.9, i < 70, 1.0)).collect();
        let error = expected_calibration_error(&said_90_right_70, 15).unwrap();
        assert!((error - 0.2).abs() < 1e-12, "{error}");
        // Two bins that err in opposite ways do not cancel.
        let both = [said_90_right_70, (0..100).map(|i| (0.5, i < 70, 1.0)).collect()].concat();
        assert!((expected_calibration_error(&both, 15).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(expected_calibration_error(&[], 15), None);
    }

    proptest! {
        #[test]
        fn it_never_raises_the_log_loss_and_finds_the_optimum(
            rows in prop::collection::vec((prop::collection::vec(-30.0..30.0_f64, 4), 0..4_usize, 0.1..20.0_f64), 1..40),
            sigmoid: bool,
        ) {
            let activation = if sigmoid { Activation::Sigmoid } else { Activation::Softmax };
            let held: Vec<_> = rows
                .iter()
                .map(|(logits, label, weight)| Held { logits, label: *label, weight: *weight })
                .collect();
            let fitted = fit_temperature(&held, activation);
            prop_assert!(fitted.log_loss_after <= fitted.log_loss_before, "{fitted:?}");
            // Its neighbours are no better, the pull counted in.
            #[allow(clippy::cast_precision_loss)]
            let value = |t: f64| {
                let total: f64 = rows.iter().map(|(.., w)| w).sum();
                let sum: f64 = held.iter().map(|h| h.weight * log_loss(h.logits, h.label, t, activation)).sum();
                rows.len() as f64 / total * sum + PULL / 2.0 * t.ln().powi(2)
            };
            let t = f64::from(fitted.temperature.get());
            for near in [t * 1.01, t / 1.01] {
                if (0.05..=20.0).contains(&near) {
                    prop_assert!(value(t) <= value(near) + 1e-9, "{} at {t}, {} at {near}", value(t), value(near));
                }
            }
        }
    }
}
