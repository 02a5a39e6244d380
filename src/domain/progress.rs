//! Counts, pace and time left.

use std::collections::VecDeque;

/// How many of the last answers the pace is taken from.
const PACE_OVER: usize = 20;

/// Where every item stands. The parts add up to `arrived`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items that have come in, set aside ones included.
    pub arrived: usize,
    /// Whether more may come.
    pub more_coming: bool,
    /// Items whose prediction is not there yet.
    pub predicting: usize,
    /// Items that wait for the person, the one on screen included.
    pub waiting: usize,
    /// Items that the model settled and nobody has corrected.
    pub accepted: usize,
    /// Items that the person answered.
    pub answered: usize,
    /// Of those, answers that confirm what the model had said.
    pub confirmed: usize,
    /// Of those answered, ones that the model had settled before (looked through afterwards).
    pub reviewed: usize,
    /// Items set aside and not labelled by hand.
    pub aside: usize,
}

impl Progress {
    /// Items that need nobody any more.
    #[must_use]
    pub fn settled(&self) -> usize {
        self.accepted + self.answered
    }

    /// Share of the decided items that the model settles, 0 to 1; `None` before any is decided.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share_by_model(&self) -> Option<f64> {
        let decided = self.accepted + self.answered + self.waiting;
        (decided > 0).then(|| self.accepted as f64 / decided as f64)
    }
}

/// How fast the person answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    last: VecDeque<f64>,
}

impl Pace {
    /// Notes the seconds that one answer took.
    pub fn note(&mut self, seconds: f64) {
        if self.last.len() == PACE_OVER {
            self.last.pop_front();
        }
        self.last.push_back(seconds);
    }

    /// Median seconds an answer over the last answers: a coffee break does not spoil it.
    #[must_use]
    pub fn seconds_per_answer(&self) -> Option<f64> {
        // Sorted in by hand: a few dozen numbers do not earn the page the 3 kB of a sort.
        let mut sorted: Vec<f64> = Vec::with_capacity(self.last.len());
        for seconds in &self.last {
            sorted.insert(sorted.partition_point(|other| other < seconds), *seconds);
        }
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            n if n % 2 == 1 => Some(sorted[middle]),
            _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
        }
    }
}

/// How many items each threshold would settle, kept up to date item by item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    bins: Vec<usize>,
    total: usize,
}

/// Thresholds are counted in steps of a thousandth.
const STEPS: u16 = 1000;

impl Default for Coverage {
    fn default() -> Self {
        Self { bins: vec![0; usize::from(STEPS) + 1], total: 0 }
    }
}

impl Coverage {
    /// The greatest step whose threshold the confidence still reaches.
    fn bin(confidence: f32) -> usize {
        let reached = |step: u16| confidence >= Self::threshold(step);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let near = ((f64::from(confidence) * f64::from(STEPS)) as u16).min(STEPS);
        // The division may round either way at a border: the comparison itself decides.
        let step = [near.saturating_add(1).min(STEPS), near, near.saturating_sub(1)]
            .into_iter()
            .find(|&s| reached(s));
        usize::from(step.unwrap_or(0))
    }

    fn threshold(step: u16) -> f32 {
        f32::from(step) / f32::from(STEPS)
    }

    /// Counts a prediction.
    pub fn add(&mut self, confidence: f32) {
        self.bins[Self::bin(confidence)] += 1;
        self.total += 1;
    }

    /// Takes a counted prediction out.
    pub fn remove(&mut self, confidence: f32) {
        self.bins[Self::bin(confidence)] -= 1;
        self.total -= 1;
    }

    /// How many predictions there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many have a confidence of at least `threshold`, to a thousandth.
    #[must_use]
    pub fn at_least(&self, threshold: f32) -> usize {
        self.bins[Self::bin(threshold)..].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_does_not_spoil_the_pace() {
        let mut pace = Pace::default();
        assert_eq!(pace.seconds_per_answer(), None);
        [1.0, 1.2, 600.0].into_iter().for_each(|s| pace.note(s));
        assert_eq!(pace.seconds_per_answer(), Some(1.2));
    }

    #[test]
    fn coverage_counts_as_the_policy_decides_at_every_step() {
        let mut coverage = Coverage::default();
        let confidences: Vec<f32> = (0..=1000_u16).map(|step| f32::from(step) / 1000.0).collect();
        confidences.iter().for_each(|c| coverage.add(*c));
        for threshold in &confidences {
            let counted = confidences.iter().filter(|c| *c >= threshold).count();
            assert_eq!(coverage.at_least(*threshold), counted, "at {threshold}");
        }
        coverage.remove(1.0);
        assert_eq!((coverage.at_least(1.0), coverage.total()), (0, 1000));
    }
}
