//! How long a refit takes, natively; the browser's figure is of `make bench`.

use std::time::Instant;

use super::Sink;
use super::chance::Chance;
use super::options::Options;
use super::report::Figure;
use super::stats::median;
use super::study::{Order, Set, Study};
use crate::domain::learning::head::{Example, FitRules, Head, HeadKind, fit};
use crate::domain::prediction::Activation;

const ANSWERS: usize = 500;
const FEATURES: usize = 1_280;
const LABELS: usize = 10;
const ITEMS: usize = 10_000;
const ROUNDS: usize = 7;

/// Measures a refit after one more answer, a first fit, and what it takes to predict everything anew.
///
/// # Errors
/// Nobody reads the figures.
pub fn run(_: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    sink.say(&format!("speed: {ANSWERS} answers × {FEATURES} features × {LABELS} labels, {ITEMS} items"))?;
    let set = made_up();
    let pool: Vec<usize> = (0..ITEMS).collect();
    let mut study = Study::new(&set, &pool, &[], Order::of_the_page(), 1);
    study.answer(&pool[..ANSWERS - 1]);
    study.learn();
    let (mut refits, mut rescores, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // The answer that comes is another one each time; the one before is taken back.
        let item = ANSWERS + round;
        let (refit, rescore) = study.timed(item, set.truth[item]);
        refits.push(refit);
        rescores.push(rescore);
        let examples: Vec<Example<'_>> = (0..ANSWERS)
            .map(|item| Example {
                base: &[],
                features: &set.all_features[item * FEATURES..(item + 1) * FEATURES],
                label: usize::from(set.truth[item]),
            })
            .collect();
        let none = Head::none(HeadKind::Linear, LABELS, FEATURES);
        let began = Instant::now();
        let head = fit(&none, &examples, Activation::Softmax, &FitRules::from_nothing());
        firsts.push(milliseconds(began));
        if head.is_none() {
            return Err("a fit to 500 answers taught the head nothing".into());
        }
    }
    for (name, times) in
        [("refit_after_one_answer", refits), ("first_fit", firsts), ("rescore_10000", rescores)]
    {
        let figure = Figure::new(format!("speed_{name}"), median(&times), "ms").with("rounds", ROUNDS);
        sink.figure(figure.with("where", "native, 1 thread"))?;
    }
    Ok(())
}

/// Ten clouds that overlap, features as a network's last layer gives them: none below 0, half of them 0.
fn made_up() -> Set {
    let mut chance = Chance::new(1, "speed");
    let centres: Vec<f64> = (0..LABELS * FEATURES).map(|_| 0.15 * chance.normal()).collect();
    let mut set = Set { labels: LABELS, features: FEATURES, ..Set::default() };
    for _ in 0..ITEMS {
        let label = chance.below(LABELS);
        let centre = &centres[label * FEATURES..(label + 1) * FEATURES];
        #[allow(clippy::cast_possible_truncation)]
        set.all_features.extend(centre.iter().map(|c| (c + chance.normal()).max(0.0) as f32));
        #[allow(clippy::cast_possible_truncation)]
        set.truth.push(label as u16);
    }
    set
}

/// Since `began`.
pub(super) fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}
