//! Several annotators' answers brought together: majority, Dawid and Skene's model, Krippendorff's alpha.
//!
//! Items, annotators and labels are numbers from 0 here; whoever calls knows their names. The same answers in
//! the same order give the same bits; those of the model, which takes `ln` and `exp` of the platform's library, on the
//! same machine with the same build.

/// One annotator's label for one item.
///
/// The same annotator may answer an item several times; each answer counts, as in Dawid and Skene's own data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which item.
    pub item: usize,
    /// Whose answer.
    pub annotator: usize,
    /// Which label.
    pub label: usize,
}

/// What an item's answers come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The label; of several equally good ones the first.
    pub label: usize,
    /// Share of the answers, or probability, 0 to 1.
    pub confidence: f64,
    /// All equally good labels in ascending order, if there are several; else empty.
    pub tie: Vec<usize>,
}

/// Weights closer than this are a tie: far above what rounding does, far below what an answer does.
const TIE: f64 = 1e-9;

/// The best of an item's labels by `weights`, one a label; `None` if none is above zero.
#[must_use]
pub fn best(weights: &[f64]) -> Option<Verdict> {
    let total: f64 = weights.iter().sum();
    let most = weights.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let close = |&label: &usize| weights[label] >= most - TIE * total;
    let equal: Vec<usize> = (0..weights.len()).filter(close).collect();
    let label = *equal.first()?;
    Some(Verdict {
        label,
        confidence: weights[label] / total,
        tie: if equal.len() > 1 { equal } else { vec![] },
    })
}

/// Every item's label by plain majority; `None` for an item without an answer.
///
/// # Panics
/// If an answer's item or label is not below `items` or `labels`.
#[must_use]
pub fn majority(answers: &[Answer], items: usize, labels: usize) -> Vec<Option<Verdict>> {
    // Item by item, so that many labels cost no table of all items by all labels.
    by_item(answers, items)
        .iter()
        .map(|of_item| {
            let mut votes = vec![0.0; if of_item.is_empty() { 0 } else { labels }];
            for &place in of_item {
                votes[answers[place].label] += 1.0;
            }
            best(&votes)
        })
        .collect()
}

fn by_item(answers: &[Answer], items: usize) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); items];
    for (place, answer) in answers.iter().enumerate() {
        places[answer.item].push(place);
    }
    places
}

/// How the model is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Answers that every annotator is taken to have given beforehand for each true label: half of them right, the
    /// other half spread evenly over all labels. With 0 it is maximum likelihood.
    pub prior_answers: f64,
    /// Steps at most.
    pub steps: usize,
    /// It is done once no probability changes by more than this.
    pub change: f64,
}

impl Default for Fit {
    /// Three answers beforehand, found with simulated annotators who are right 40 to 95 times of 100 and give two
    /// or three answers an item. There an even prior, as is often used, lets labels merge into one where answers
    /// are few, and maximum likelihood is sure of what is wrong; `tests/aggregate.rs` keeps both in view.
    fn default() -> Self {
        Self { prior_answers: 3.0, steps: 1_000, change: 1e-8 }
    }
}

/// Dawid and Skene's model, fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct DawidSkene {
    /// `probabilities[item * labels + label]`: that the item's true label is this one. Items without an answer
    /// have the shares of `labels`.
    pub probabilities: Vec<f64>,
    /// How frequent each label is.
    pub shares: Vec<f64>,
    /// `answers[(annotator * labels + truth) * labels + said]`: what an annotator says about items of which
    /// `truth` is true; each row sums to 1.
    pub answers: Vec<f64>,
    /// Steps that were made.
    pub steps: usize,
    /// Whether the last step changed nothing of weight.
    pub settled: bool,
}

impl DawidSkene {
    /// How often `annotator` is right by this model: the diagonal, weighted by how frequent the labels are.
    ///
    /// # Panics
    /// If there is no such annotator.
    #[must_use]
    pub fn accuracy(&self, annotator: usize) -> f64 {
        let labels = self.shares.len();
        let right = |label: usize| self.answers[(annotator * labels + label) * labels + label];
        self.shares.iter().enumerate().map(|(label, share)| share * right(label)).sum()
    }
}

/// Fits Dawid and Skene's model by expectation and maximisation.
///
/// Each annotator has a table of how often they give each label to items of each true label; tables, frequencies
/// of the labels and the items' true labels are found together. It begins with the shares of the votes, as the
/// paper does. Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using
/// the EM Algorithm", Applied Statistics 28 (1979), 20–28, equations 2.3 to 2.5.
///
/// Memory: `annotators * labels²` and `items * labels` numbers.
///
/// # Panics
/// If an answer's numbers are not below `items`, `annotators` and `labels`.
#[must_use]
pub fn dawid_skene(
    answers: &[Answer],
    items: usize,
    annotators: usize,
    labels: usize,
    fit: &Fit,
) -> DawidSkene {
    let of_items = by_item(answers, items);
    let mut model = DawidSkene {
        probabilities: vec![0.0; items * labels],
        shares: vec![0.0; labels],
        answers: vec![0.0; annotators * labels * labels],
        steps: 0,
        settled: false,
    };
    for answer in answers {
        let votes = of_items[answer.item].len() as f64;
        model.probabilities[answer.item * labels + answer.label] += 1.0 / votes;
    }
    while model.steps < fit.steps && !model.settled {
        maximise(&mut model, answers, &of_items, labels, fit.prior_answers);
        let change = expect(&mut model, answers, &of_items, labels);
        model.steps += 1;
        model.settled = change <= fit.change;
    }
    // The tables that belong to the last probabilities.
    maximise(&mut model, answers, &of_items, labels, fit.prior_answers);
    model
}

/// Tables and frequencies from the items' probabilities.
fn maximise(model: &mut DawidSkene, answers: &[Answer], of_items: &[Vec<usize>], labels: usize, prior: f64) {
    let answered = of_items.iter().filter(|places| !places.is_empty()).count().max(1) as f64;
    model.shares.fill(0.0);
    for (item, _) in of_items.iter().enumerate().filter(|(_, places)| !places.is_empty()) {
        for label in 0..labels {
            model.shares[label] += model.probabilities[item * labels + label] / answered;
        }
    }
    for (cell, weight) in model.answers.iter_mut().enumerate() {
        let right = cell / labels % labels == cell % labels;
        *weight = prior * (0.5 / labels as f64 + if right { 0.5 } else { 0.0 });
    }
    for answer in answers {
        for truth in 0..labels {
            let cell = (answer.annotator * labels + truth) * labels + answer.label;
            model.answers[cell] += model.probabilities[answer.item * labels + truth];
        }
    }
    for row in model.answers.chunks_mut(labels.max(1)) {
        let sum: f64 = row.iter().sum();
        // A label that was never true, and no prior: nothing is known, so every answer is as likely.
        let even = 1.0 / labels as f64;
        row.iter_mut().for_each(|cell| *cell = if sum > 0.0 { *cell / sum } else { even });
    }
}

/// The items' probabilities from tables and frequencies; gives the greatest change.
fn expect(model: &mut DawidSkene, answers: &[Answer], of_items: &[Vec<usize>], labels: usize) -> f64 {
    let mut change = 0.0_f64;
    let mut logs = vec![0.0; labels];
    for (item, places) in of_items.iter().enumerate() {
        // In logarithms: many answers to one item would underflow.
        for (truth, log) in logs.iter_mut().enumerate() {
            *log = model.shares[truth].ln();
            for answer in places.iter().map(|&place| &answers[place]) {
                *log += model.answers[(answer.annotator * labels + truth) * labels + answer.label].ln();
            }
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logs.iter().map(|log| (log - most).exp()).sum();
        for (truth, log) in logs.iter().enumerate() {
            let place = item * labels + truth;
            let now = if total > 0.0 { (log - most).exp() / total } else { 1.0 / labels as f64 };
            change = change.max((now - model.probabilities[place]).abs());
            model.probabilities[place] = now;
        }
    }
    change
}

/// How far annotators agree, chance taken off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Krippendorff's alpha for nominal data: 1 is full agreement, 0 what chance gives, below 0 is worse than
    /// chance. `None` where it is not defined: no item with two answers, or only one label in all of them.
    pub alpha: Option<f64>,
    /// Share of the pairs of answers to one item that differ.
    pub observed: f64,
    /// Share that would differ if the answers were dealt out by chance.
    pub expected: f64,
    /// Items with two answers or more.
    pub items: usize,
    /// Answers to these.
    pub answers: usize,
}

/// Krippendorff's alpha for nominal data; any annotator may have left out any item.
///
/// Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C, with values by units.
///
/// # Panics
/// If an answer's item or label is not below `items` or `labels`.
#[must_use]
pub fn agreement(answers: &[Answer], items: usize, labels: usize) -> Agreement {
    let (mut of_label, mut paired, mut answered) = (vec![0.0; labels], 0, 0);
    let mut differing = 0.0;
    let mut votes = vec![0.0; labels];
    for places in by_item(answers, items).iter().filter(|places| places.len() > 1) {
        paired += 1;
        answered += places.len();
        for &place in places {
            votes[answers[place].label] += 1.0;
        }
        let count = places.len() as f64;
        // Ordered pairs within the item that differ, each item weighing as much as it has answers.
        let mut alike = 0.0;
        for &place in places {
            let label = answers[place].label;
            alike += votes[label] - 1.0;
            of_label[label] += 1.0;
        }
        differing += (count * (count - 1.0) - alike) / (count - 1.0);
        for &place in places {
            votes[answers[place].label] = 0.0;
        }
    }
    let total = answered as f64;
    let by_chance = total * total - of_label.iter().map(|n| n * n).sum::<f64>();
    let observed = if total > 0.0 { differing / total } else { 0.0 };
    let expected = if total > 1.0 { by_chance / (total * (total - 1.0)) } else { 0.0 };
    let alpha = (expected > 0.0).then(|| 1.0 - observed / expected);
    Agreement { alpha, observed, expected, items: paired, answers: answered }
}
