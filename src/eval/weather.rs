//! Rows of a table, and a model that gives no features: only its logits are scaled.

use super::Sink;
use super::chance::Chance;
use super::models::{Model, truth};
use super::options::Options;
use super::report::Figure;
use super::stats::{mean, parallel};
use super::study::{Order, Set, Study, settled_at, split};
use crate::domain::policy::Policy;

const ANSWERS: usize = 100;
const A_ROUND: usize = 10;

/// Measures what 100 answers do for the weather model, with its features and without them.
///
/// The model has been trained on these very days (its card says so), so there is little to learn: this is measured to
/// see that learning does no harm. Half of the items, at random, may be asked about, the figures are of the others.
///
/// # Errors
/// The data or the model are not there, or nobody reads the figures.
pub fn run(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let model = Model::read(&options.root, "weather-mlp")?;
    let path = options.root.join("www/demo/data/weather/items.jsonl");
    let text = std::fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let items: Vec<Vec<f32>> = text.lines().map(numbers).collect::<Result<_, _>>()?;
    let truth = truth(&options.root, &model)?;
    if truth.len() != items.len() {
        return Err(format!("weather: {} items, but {} labels", items.len(), truth.len()));
    }
    let with_features = model.of_numbers(&items, truth)?;
    let without = with_features.without_features();
    let seeds: Vec<u64> = options.seeds(10).collect();
    sink.say(&format!("weather: {ANSWERS} answers, {} seeds", seeds.len()))?;
    for (name, set) in [("vector_scaling", &without), ("linear_head", &with_features)] {
        let found = parallel(seeds.len(), |at| learned(set, seeds[at]));
        let rise = |what: Of| {
            mean(&found.iter().map(|(before, after)| what(after) - what(before)).collect::<Vec<_>>())
        };
        let start = |what: Of| mean(&found.iter().map(|(before, _)| what(before)).collect::<Vec<_>>());
        let figures: [(&str, Of); 2] = [("accuracy", |p| p.accuracy), ("settled", |p| p.settled)];
        for (what, of) in figures {
            let figure =
                Figure::mean(format!("weather_{name}_{what}_rise_after_{ANSWERS}"), rise(of), "share");
            sink.figure(
                figure.with("at_the_start", start(of).map(|mean| mean.mean)).with("seeds", seeds.len()),
            )?;
        }
    }
    Ok(())
}

/// One figure of a point.
type Of = fn(&Point) -> f64;

struct Point {
    accuracy: f64,
    /// At the accuracy that the policy's own threshold gave at the start.
    settled: f64,
}

fn learned(set: &Set, seed: u64) -> (Point, Point) {
    let order = Chance::new(seed, "weather").order(set.len());
    let (pool, others) = order.split_at(set.len() / 2);
    let mut study = Study::new(set, pool, others, Order::of_the_page(), seed);
    let judged = |study: &Study<'_>| -> Vec<(f32, bool)> {
        study.judged(others).iter().map(|(said, right)| (said.confidence.get(), *right)).collect()
    };
    let wanted = split(&judged(&study), Policy::default().accept_at).accuracy.unwrap_or(1.0);
    let point = |study: &Study<'_>| Point {
        accuracy: study.accuracy(others),
        settled: settled_at(&judged(study), wanted),
    };
    let before = point(&study);
    while study.answers() < ANSWERS {
        let asked = study.ask(A_ROUND);
        study.answer(&asked);
        study.learn();
    }
    (before, point(&study))
}

fn numbers(line: &str) -> Result<Vec<f32>, String> {
    let item: serde_json::Value =
        serde_json::from_str(line).map_err(|why| format!("weather items: {why}"))?;
    let numbers = item.get("numbers").and_then(|numbers| numbers.as_array());
    #[allow(clippy::cast_possible_truncation)]
    let all: Option<Vec<f32>> =
        numbers.and_then(|numbers| numbers.iter().map(|n| n.as_f64().map(|n| n as f32)).collect());
    all.ok_or_else(|| format!("weather items: no numbers in {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_its_numbers() {
        assert_eq!(numbers("{\"id\":\"a\",\"numbers\":[1.5,-2]}"), Ok(vec![1.5, -2.0]));
        assert!(numbers("{\"id\":\"a\"}").is_err() && numbers("{\"numbers\":[\"1\"]}").is_err());
    }
}
