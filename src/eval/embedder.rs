//! From nothing: a model that gives features only, of pictures that it was not made for.

use super::chance::Chance;
use super::chart::{Chart, Series};
use super::data::Pictures;
use super::models::Model;
use super::options::Options;
use super::report::{Figure, Target};
use super::stats::{mean, parallel};
use super::study::{Order, Set, Study, of_each_label};
use super::{Sink, fashion};
use crate::domain::learning::learner::ANSWERS_A_LABEL;
use crate::domain::queue::Strategy;

const POOL: usize = 5_000;
const TEST: usize = 2_000;
/// Answers and the accuracy that they have to give: what scikit-learn's logistic regression gave on the same
/// features, the answers at random.
const LEAST: [(usize, f64); 5] = [(20, 0.552), (50, 0.642), (100, 0.722), (200, 0.765), (500, 0.820)];

/// Answers a label that the curve begins with that is held to something: before, the model does not predict a label.
const START: usize = ANSWERS_A_LABEL;
/// That curve.
const HELD: &str = "two_a_label_then_random";

/// Measures how fast a head grows on the features of a model that knows nothing of the labels.
///
/// # Errors
/// The data or the model are not there, or nobody reads the figures.
pub fn run(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let folder = fashion::folder(options)?;
    let model = Model::read(&options.root, "effnet-lite0-b10")?;
    sink.say(&format!("embedder: the model on {} pictures, or what is kept of it", POOL + TEST))?;
    let cache = options.cache.as_deref();
    let mut set = model.of_pictures(&Pictures::read(folder, "train")?.first(POOL), "fashion-train", cache)?;
    let test = model.of_pictures(&Pictures::read(folder, "t10k")?.first(TEST), "fashion-test", cache)?;
    set.all_features.extend(test.all_features);
    set.truth.extend(test.truth);

    let seeds: Vec<u64> = options.seeds(10).collect();
    let orders = [
        (HELD, Order::pure(Strategy::Random), START),
        ("random", Order::pure(Strategy::Random), 0),
        ("as_the_page", Order::of_the_page(), 0),
    ];
    sink.say(&format!("embedder: {} orders of questions, {} seeds", orders.len(), seeds.len()))?;
    let curves = parallel(orders.len() * seeds.len(), |job| {
        let (_, order, start) = orders[job / seeds.len()];
        curve(&set, order, start, seeds[job % seeds.len()])
    });
    let mut series = Vec::new();
    for ((name, ..), curves) in orders.iter().zip(curves.chunks(seeds.len())) {
        let mut points = Vec::new();
        for (at, (answers, least)) in LEAST.into_iter().enumerate() {
            let accuracy = mean(&curves.iter().map(|curve| curve[at]).collect::<Vec<_>>());
            let figure = Figure::mean(format!("embedder_accuracy_{name}_after_{answers}"), accuracy, "share");
            let figure = if *name == HELD { figure.held_to(Target::AtLeast(least)) } else { figure };
            sink.figure(figure.with("seeds", seeds.len()))?;
            #[allow(clippy::cast_precision_loss)]
            points.extend(accuracy.map(|accuracy| (answers as f64, accuracy.mean)));
        }
        series.push(Series { name: name.replace('_', " "), points });
    }
    #[allow(clippy::cast_precision_loss)]
    let least = LEAST.iter().map(|(answers, least)| (*answers as f64, *least)).collect();
    series.push(Series { name: "at least".into(), points: least });
    sink.chart(
        "embedder",
        &Chart {
            title: "Clothes from nothing, on an embedder's features".into(),
            across: "answers".into(),
            up: "accuracy on 2,000 others".into(),
            names: vec![],
            series,
            mark: None,
        },
    )
}

fn curve(set: &Set, order: Order, start: usize, seed: u64) -> Vec<f64> {
    let mut chance = Chance::new(seed, "embedder");
    let pool = chance.order(POOL);
    let test: Vec<usize> = (POOL..POOL + TEST).collect();
    let mut study = Study::new(set, &pool, &test, order, seed);
    let (first, _) = of_each_label(set, &pool, start, &mut chance);
    study.answer(&first);
    study.learn();
    let mut curve = Vec::new();
    for (answers, _) in LEAST {
        while study.answers() < answers {
            let left = answers - study.answers();
            let asked = match order.by {
                // The pool is in random order already.
                Strategy::Random => study.waiting()[..left].to_vec(),
                _ => study.ask(left.min(10)),
            };
            study.answer(&asked);
            study.learn();
        }
        curve.push(study.accuracy(&test));
    }
    curve
}
