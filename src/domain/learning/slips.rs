//! Answers that the model, taught by all the others, strongly contradicts: possible slips of the person.
//!
//! Confident learning: Northcutt, Jiang, Chuang: *Confident Learning: Estimating Uncertainty in Dataset Labels*,
//! JAIR 70 (2021), 1373–1411.

use super::super::item::ItemKey;

/// Parts that the answers fall into; each is judged by a head that learned from the others.
pub const FOLDS: usize = 4;

/// Fewest answers of a label before it may be suggested in place of another: one a fold.
const FEWEST: usize = FOLDS;

/// An answer that may be a slip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slip {
    /// Of this item.
    pub item: ItemKey,
    /// What the person said.
    pub given: usize,
    /// What the model says.
    pub suggested: usize,
    /// Probability of what the person said, by a head that did not learn from it.
    pub p_given: f32,
    /// Probability of what the model says.
    pub p_suggested: f32,
}

/// An answer with the probabilities of a head that did not learn from it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The item.
    pub item: ItemKey,
    /// What the person said.
    pub given: usize,
    /// Probability of each label.
    pub probabilities: Vec<f32>,
}

/// The answers that may be slips, the clearest first.
///
/// A label is credible for an item when its probability is at least the label's mean self-confidence: the mean
/// probability of the label over the answers that give it. An answer is a candidate when the most probable of
/// the credible labels is another one (off the diagonal of the confident joint). Candidates rank by normalised
/// margin: the probability of what was said minus that of the best other label, least first; then by item.
#[must_use]
pub fn find_slips(judged: &[Judged]) -> Vec<Slip> {
    let labels = judged.iter().map(|j| j.probabilities.len()).max().unwrap_or(0);
    let mut sums = vec![(0.0_f64, 0_usize); labels];
    for j in judged {
        if let (Some(p), Some(sum)) = (j.probabilities.get(j.given), sums.get_mut(j.given)) {
            sum.0 += f64::from(*p);
            sum.1 += 1;
        }
    }
    #[allow(clippy::cast_precision_loss)]
    let credible = |label: usize, p: f32| {
        let (sum, count) = sums[label];
        count > 0 && f64::from(p) >= sum / count as f64
    };
    let mut slips: Vec<(f32, Slip)> = Vec::new();
    for j in judged {
        let mut best: Option<(usize, f32)> = None;
        for (label, &p) in j.probabilities.iter().enumerate() {
            if credible(label, p) && best.is_none_or(|(_, most)| p > most) {
                best = Some((label, p));
            }
        }
        let Some((suggested, p_suggested)) = best else { continue };
        if suggested == j.given || sums[suggested].1 < FEWEST {
            continue;
        }
        let p_given = j.probabilities.get(j.given).copied().unwrap_or(0.0);
        let slip = Slip { item: j.item, given: j.given, suggested, p_given, p_suggested };
        let others = j.probabilities.iter().enumerate().filter(|(label, _)| *label != j.given);
        let other = others.map(|(_, p)| *p).fold(0.0, f32::max);
        slips.push((p_given - other, slip));
    }
    slips.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.item.cmp(&b.1.item)));
    slips.into_iter().map(|(_, slip)| slip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(item: u32, given: usize, probabilities: &[f32]) -> Judged {
        Judged { item: ItemKey(item), given, probabilities: probabilities.to_vec() }
    }

    #[test]
    fn an_answer_against_a_sure_model_is_offered_and_the_clearest_comes_first() {
        let mut all: Vec<_> = (0..6).map(|i| judged(i, 0, &[0.9, 0.1])).collect();
        all.extend((6..12).map(|i| judged(i, 1, &[0.2, 0.8])));
        all.push(judged(20, 1, &[0.93, 0.07]));
        all.push(judged(21, 1, &[0.99, 0.01]));
        // Doubtful, but not against a label that is credible: below its mean self-confidence.
        all.push(judged(22, 1, &[0.6, 0.4]));
        let found: Vec<_> = find_slips(&all).iter().map(|s| (s.item.0, s.given, s.suggested)).collect();
        assert_eq!(found, [(21, 1, 0), (20, 1, 0)]);
    }

    #[test]
    fn a_label_of_few_answers_accuses_nobody() {
        let mut all: Vec<_> = (0..3).map(|i| judged(i, 0, &[0.9, 0.1])).collect();
        all.push(judged(9, 1, &[0.95, 0.05]));
        assert_eq!(find_slips(&all), []);
    }
}
