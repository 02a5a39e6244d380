//! Digits, from nothing: a head on raw pixels.
//!
//! The set-up is that of the reference figures: a random test set of 540, audits of the rest that nothing is
//! trained on, two answers a label to start from, ten questions a round.

use super::chance::Chance;
use super::chart::{Chart, Series};
use super::options::Options;
use super::report::{Figure, Target};
use super::stats::{mean, parallel, share};
use super::study::{Order, Set, Split, Study, of_each_label, split};
use super::{Sink, data};
use crate::domain::learning::calibration::expected_calibration_error;
use crate::domain::promise::{self, Verdict, certify};
use crate::domain::queue::Strategy;

const TEST: usize = 540;
const A_ROUND: usize = 10;
const START: usize = 2;
const MOST: usize = 400;
/// Bins of the calibration error: as Guo et al. 2017.
const BINS: usize = 15;

/// Measures everything about digits.
///
/// # Errors
/// The data are not there, or nobody reads the figures.
pub fn run(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let path = options.root.join("tests/fixtures/digits.txt");
    let text = std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let set = data::digits(&text)?;
    orders(&set, options, sink)?;
    thresholds(&set, options, sink)?;
    calibration(&set, options, sink)?;
    slips(&set, options, sink)
}

/// The items under one seed.
struct Parts {
    test: Vec<usize>,
    audits: Vec<usize>,
    start: Vec<usize>,
    pool: Vec<usize>,
}

fn parts(set: &Set, audits: usize, seed: u64) -> Parts {
    let mut chance = Chance::new(seed, "digits");
    let order = chance.order(set.len());
    let (test, rest) = order.split_at(TEST);
    let (audits, pool) = rest.split_at(audits);
    let (start, _) = of_each_label(set, pool, START, &mut chance);
    Parts { test: test.to_vec(), audits: audits.to_vec(), start, pool: pool.to_vec() }
}

/// Test accuracy after 20, 30, … 400 answers.
fn curve(set: &Set, order: Order, seed: u64) -> Vec<f64> {
    let parts = parts(set, 200, seed);
    let mut study = Study::new(set, &parts.pool, &parts.test, order, seed);
    study.answer(&parts.start);
    study.learn();
    let mut curve = vec![study.accuracy(&parts.test)];
    while study.answers() < MOST {
        let asked = study.ask(A_ROUND);
        study.answer(&asked);
        study.learn();
        curve.push(study.accuracy(&parts.test));
    }
    curve
}

/// The fewest labels with which the mean curve reaches an accuracy.
fn labels_to(curve: &[f64], accuracy: f64) -> Option<f64> {
    let at = curve.iter().position(|mean| *mean >= accuracy)?;
    Some(labels(at))
}

#[allow(clippy::cast_precision_loss)]
fn labels(at: usize) -> f64 {
    (10 * START + at * A_ROUND) as f64
}

fn orders(set: &Set, options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let orders = [
        ("margin", Order::pure(Strategy::Margin)),
        ("random", Order::pure(Strategy::Random)),
        ("least confidence", Order::pure(Strategy::LeastConfidence)),
        ("entropy", Order::pure(Strategy::Entropy)),
        ("diverse", Order::pure(Strategy::Diverse)),
        ("as the page", Order::of_the_page()),
    ];
    let seeds: Vec<u64> = options.seeds(6).collect();
    sink.say(&format!("digits: {} orders of questions, {} seeds", orders.len(), seeds.len()))?;
    let curves = parallel(orders.len() * seeds.len(), |job| {
        curve(set, orders[job / seeds.len()].1, seeds[job % seeds.len()])
    });
    let means: Vec<Vec<f64>> = curves
        .chunks(seeds.len())
        .map(|curves| {
            let at = |at: usize| mean(&curves.iter().map(|curve| curve[at]).collect::<Vec<_>>());
            (0..curves[0].len()).filter_map(at).map(|mean| mean.mean).collect()
        })
        .collect();
    for (level, target) in
        [(90, Some(Target::Ratio(1.0 / 0.8))), (93, Some(Target::Ratio(1.0 / 0.6))), (95, None)]
    {
        let of = |mean: &Vec<f64>| labels_to(mean, f64::from(level) / 100.0);
        for ((name, _), mean) in orders.iter().zip(&means) {
            let metric = format!("digits_labels_to_{level}_{}", name.replace(' ', "_"));
            let mut figure = Figure::new(metric, of(mean), "labels").with("seeds", seeds.len());
            if *name != "random" {
                figure = figure.beside("random", of(&means[1])).times_fewer();
            }
            if *name == "margin" {
                figure = figure.held_to(target.unwrap_or(Target::AtMost(200.0)));
            }
            sink.figure(figure)?;
        }
    }
    let series = orders.iter().zip(&means).map(|((name, _), mean)| Series {
        name: (*name).into(),
        points: mean.iter().enumerate().map(|(at, mean)| (labels(at), *mean)).collect(),
    });
    sink.chart(
        "digits-orders",
        &Chart {
            title: "Digits: accuracy by the order of the questions".into(),
            across: "answers".into(),
            up: "accuracy on 540 others".into(),
            names: vec![],
            series: series.collect(),
            mark: Some((0.95, "95 %".into())),
        },
    )
}

/// What each rule does to the test items after so many answers.
#[derive(Clone, Copy)]
struct Ruled {
    raw: Split,
    scaled: Split,
    bound: Split,
    accuracy: f64,
}

const AFTER: [usize; 6] = [20, 60, 100, 200, 300, 400];

fn ruled(set: &Set, target: &promise::Target, seed: u64) -> Vec<Ruled> {
    let parts = parts(set, 400, seed);
    let also = [&parts.test[..], &parts.audits[..]].concat();
    let mut study = Study::new(set, &parts.pool, &also, Order::pure(Strategy::Margin), seed);
    study.hold_out(&parts.audits, 1.0);
    study.answer(&parts.start);
    let mut ruled = Vec::new();
    for after in AFTER {
        while study.answers() - parts.audits.len() < after {
            study.learn();
            let asked = study.ask(A_ROUND);
            study.answer(&asked);
        }
        study.learn();
        let judged = study.judged(&parts.test);
        let raw: Vec<_> = judged.iter().map(|(said, right)| (said.confidence_raw.get(), *right)).collect();
        let scaled: Vec<_> = judged.iter().map(|(said, right)| (said.confidence.get(), *right)).collect();
        let threshold = match certify(&study.audits(&parts.audits), target) {
            Verdict::Earned { threshold, .. } => threshold,
            Verdict::NotYet { .. } => f32::INFINITY,
        };
        ruled.push(Ruled {
            raw: split(&raw, 0.9),
            scaled: split(&scaled, 0.9),
            bound: split(&scaled, threshold),
            accuracy: study.accuracy(&parts.test),
        });
    }
    ruled
}

type Rule = (&'static str, fn(&Ruled) -> Split);

fn thresholds(set: &Set, options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let seeds: Vec<u64> = options.seeds(5).collect();
    let target = promise::Target::new(0.99, 0.90).ok_or("99 % is no target")?;
    sink.say(&format!("digits: what thresholds defer, {} seeds", seeds.len()))?;
    let all = parallel(seeds.len(), |at| ruled(set, &target, seeds[at]));
    let rules: [Rule; 3] =
        [("at_0.90", |r| r.raw), ("at_0.90_scaled", |r| r.scaled), ("target_99", |r| r.bound)];
    let mut series = Vec::new();
    for (name, of) in rules {
        let mut points = Vec::new();
        for (at, after) in AFTER.into_iter().enumerate() {
            let splits: Vec<Split> = all.iter().map(|ruled| of(&ruled[at])).collect();
            let deferred = mean(&splits.iter().map(|split| split.deferred).collect::<Vec<_>>());
            let accuracies: Vec<f64> = splits.iter().filter_map(|split| split.accuracy).collect();
            let (deferral, accepted) = match (name, after) {
                ("at_0.90", 20) => (Some(Target::AtLeast(0.85)), Some(Target::AtLeast(0.99))),
                ("at_0.90", 200) => (Some(Target::AtMost(0.25)), Some(Target::AtLeast(0.99))),
                ("target_99", 200) => (Some(Target::AtMost(0.30)), Some(Target::AtLeast(0.99))),
                ("target_99", 400) => (Some(Target::AtMost(0.25)), Some(Target::AtLeast(0.99))),
                _ => (None, None),
            };
            #[allow(clippy::cast_precision_loss)]
            points.extend(deferred.map(|deferred| (after as f64, deferred.mean)));
            let held = |figure: Figure, target: Option<Target>| {
                let figure = figure.with("seeds", seeds.len()).with("labels", after);
                target.map_or(figure.clone(), |target| figure.held_to(target))
            };
            let metric = format!("digits_deferred_{name}_after_{after}");
            sink.figure(held(Figure::mean(metric, deferred, "share"), deferral))?;
            let metric = format!("digits_accepted_right_{name}_after_{after}");
            let accepting = accuracies.len();
            sink.figure(
                held(Figure::mean(metric, mean(&accuracies), "share"), accepted)
                    .with("seeds_accepting", accepting),
            )?;
        }
        series.push(Series { name: name.replace('_', " "), points });
    }
    for (at, after) in AFTER.into_iter().enumerate() {
        let accuracies: Vec<f64> = all.iter().map(|ruled| ruled[at].accuracy).collect();
        let metric = format!("digits_accuracy_after_{after}");
        sink.figure(Figure::mean(metric, mean(&accuracies), "share").with("seeds", seeds.len()))?;
    }
    sink.chart(
        "digits-deferral",
        &Chart {
            title: "Digits: what is left to the person".into(),
            across: "answers".into(),
            up: "share deferred".into(),
            names: vec![],
            series,
            mark: Some((0.25, "25 %".into())),
        },
    )
}

fn calibration(set: &Set, options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let seeds: Vec<u64> = options.seeds(6).collect();
    let errors = parallel(seeds.len(), |at| {
        let parts = parts(set, 200, seeds[at]);
        let also = [&parts.test[..], &parts.audits[..]].concat();
        let mut study = Study::new(set, &parts.pool, &also, Order::pure(Strategy::Margin), seeds[at]);
        study.hold_out(&parts.audits, 1.0);
        study.answer(&parts.start);
        while study.answers() < parts.audits.len() + 100 {
            study.learn();
            let asked = study.ask(A_ROUND);
            study.answer(&asked);
        }
        study.learn();
        let judged = study.judged(&parts.test);
        let error = |raw: bool| {
            let each = judged.iter().map(|(said, right)| {
                let confidence = if raw { said.confidence_raw } else { said.confidence };
                (f64::from(confidence.get()), *right, 1.0)
            });
            expected_calibration_error(&each.collect::<Vec<_>>(), BINS)
        };
        (error(false), error(true))
    });
    let (scaled, raw): (Vec<_>, Vec<_>) = errors.into_iter().unzip();
    let of = |errors: Vec<Option<f64>>| mean(&errors.into_iter().flatten().collect::<Vec<_>>());
    let raw = of(raw);
    let figure = Figure::mean("digits_calibration_error_after_100", of(scaled), "share")
        .beside("without temperature", raw.map(|raw| raw.mean))
        .times_fewer();
    sink.figure(figure.held_to(Target::AtMost(0.04)).with("seeds", seeds.len()).with("audits", 200))
}

/// Answers with a slip in every twentieth: how many of the clearest suspects are slips.
fn slips(set: &Set, options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    const ANSWERS: usize = 1_000;
    const FLIPPED: usize = ANSWERS / 20;
    let seeds: Vec<u64> = options.seeds(6).collect();
    let found = parallel(seeds.len(), |at| {
        let mut chance = Chance::new(seeds[at], "slips");
        let answered = chance.order(set.len())[..ANSWERS].to_vec();
        let mut said = set.truth.clone();
        for item in &answered[..FLIPPED] {
            #[allow(clippy::cast_possible_truncation)]
            let by = 1 + chance.below(set.labels - 1) as u16;
            said[*item] = (said[*item] + by) % 10;
        }
        let mut study = Study::new(set, &answered, &[], Order::of_the_page(), seeds[at]);
        // In an order that does not give the flipped ones away.
        let mut order = answered.clone();
        chance.shuffle(&mut order);
        study.answer_as(&order, |item| said[item]);
        study.learn();
        let slips = study.learner().slips();
        let listed = slips.len().min(FLIPPED);
        let right = |slip: &&crate::domain::learning::slips::Slip| {
            let item = slip.item.0 as usize;
            said[item] != set.truth[item]
        };
        let hits = slips[..listed].iter().filter(right).count();
        (share(hits, listed), share(slips.iter().filter(right).count(), FLIPPED))
    });
    let (precision, recall): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    // A list without an entry finds nothing.
    let of =
        |shares: Vec<Option<f64>>| mean(&shares.into_iter().map(|s| s.unwrap_or(0.0)).collect::<Vec<_>>());
    let conditions =
        |figure: Figure| figure.with("seeds", seeds.len()).with("answers", ANSWERS).with("flipped", FLIPPED);
    let figure = Figure::mean("digits_slips_precision_in_top_5_percent", of(precision), "share");
    sink.figure(conditions(figure.held_to(Target::AtLeast(0.5))))?;
    sink.figure(conditions(Figure::mean("digits_slips_found", of(recall), "share")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_seed_do_not_meet() {
        let truth: Vec<u16> = (0..1797).map(|i| i % 10).collect();
        let set = Set { labels: 10, truth, ..Set::default() };
        let parts = parts(&set, 200, 3);
        let mut all = [&parts.test[..], &parts.audits, &parts.pool].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1797).collect::<Vec<_>>());
        assert_eq!((parts.test.len(), parts.audits.len(), parts.start.len()), (540, 200, 20));
        assert!(parts.start.iter().all(|item| parts.pool.contains(item)));
    }

    #[test]
    fn a_level_is_reached_where_the_curve_first_is() {
        let curve = [0.5, 0.9, 0.89, 0.95];
        assert_eq!(
            [0.4, 0.9, 0.93, 0.96].map(|level| labels_to(&curve, level)),
            [Some(20.0), Some(30.0), Some(50.0), None]
        );
    }
}
