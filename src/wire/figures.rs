//! The figures of the panel: as JSON, what `hitl-progress` and the element's `figures` give; as CSV, one table a chart,
//! texts and lines as in [`super::export`].
//!
//! Shares are numbers from 0 to 1, times are in seconds or as in records, and what is not known is an empty
//! cell. Curves are thinned as they are drawn, counts are exact.

use super::correction::to_moment;
use super::export::text;
use serde_json::{Value, json};

use crate::domain::correction::{PredictionShown, Role};
use crate::domain::decimal::shortest;
use crate::domain::evaluation::{Evaluation, Reliability, Tally};

/// Every figure as one JSON object.
#[must_use]
pub fn to_json(evaluation: &Evaluation) -> String {
    let tally = |tally: &Tally| json!({ "n": tally.n, "right": tally.right, "accuracy": tally.accuracy() });
    let (low, high) = evaluation.accepted.interval();
    let settled: Vec<_> = evaluation
        .settled
        .iter()
        .map(|point| json!([point.seconds, point.at.0, point.by_model, point.answered]))
        .collect();
    let stretches: Vec<_> = evaluation
        .stretches
        .iter()
        .map(|stretch| json!({ "answers": stretch.answers, "settled": stretch.settled, "seconds": stretch.seconds }))
        .collect();
    let curve: Vec<_> = evaluation
        .risk_coverage
        .iter()
        .map(|point| json!([point.confidence, point.coverage, point.accuracy]))
        .collect();
    let agreement: Vec<_> = evaluation
        .agreement
        .iter()
        .map(|way| json!({ "shown": shown(way.shown), "role": role(way.role), "n": way.tally.n, "agreed": way.tally.right }))
        .collect();
    let confusion = &evaluation.confusion;
    let labels: Vec<_> = confusion.labels.iter().map(|label| &**label).collect();
    let roles = &evaluation.roles;
    json!({
        "arrived": evaluation.now.arrived,
        "waiting": evaluation.now.waiting,
        "by_model": evaluation.by_model,
        "answered": evaluation.answered,
        "share_by_model": evaluation.share_by_model(),
        "seconds": evaluation.seconds,
        "seconds_per_answer": evaluation.seconds_per_answer,
        "settled_per_minute": evaluation.per_minute(),
        "accepted": {
            "n": evaluation.accepted.n, "right": evaluation.accepted.right,
            "accuracy": evaluation.accepted.accuracy(), "low": low, "high": high,
        },
        "roles": { "deferred": roles.deferred, "audit": roles.audit, "review": roles.review, "manual": roles.manual },
        "settled": settled,
        "stretches": stretches,
        "risk_coverage": curve,
        "reliability": { "raw": reliability(&evaluation.raw), "calibrated": reliability(&evaluation.calibrated) },
        "confusion": {
            "labels": labels, "other": confusion.other, "counts": confusion.counts, "all": tally(&confusion.tally),
        },
        "agreement": agreement,
    })
    .to_string()
}

fn reliability(reliability: &Reliability) -> Value {
    let bins: Vec<_> = reliability
        .bins
        .iter()
        .map(|bin| json!({ "n": bin.tally.n, "right": bin.tally.right, "confidence": bin.confidence }))
        .collect();
    json!({ "ece": reliability.ece, "bins": bins })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Deferred => "deferred",
        Role::Audit => "audit",
        Role::Review => "review",
        Role::Manual => "manual",
    }
}

fn shown(shown: PredictionShown) -> &'static str {
    match shown {
        PredictionShown::Hidden => "hidden",
        PredictionShown::Shown => "shown",
        PredictionShown::After => "after",
    }
}

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// Items settled over time.
    Settled,
    /// Accuracy against coverage.
    RiskCoverage,
    /// Accuracy against confidence, before and after calibration.
    Reliability,
    /// Model against person.
    Confusion,
    /// Items settled for the person's time.
    Workload,
}

impl Chart {
    /// Every chart with the word that names it in files.
    pub const WORDS: [(&str, Self); 5] = [
        ("settled", Self::Settled),
        ("risk-coverage", Self::RiskCoverage),
        ("reliability", Self::Reliability),
        ("confusion", Self::Confusion),
        ("workload", Self::Workload),
    ];
}

/// The numbers behind a chart, with a header.
#[must_use]
pub fn csv(chart: Chart, figures: &Evaluation) -> String {
    let mut out = String::new();
    let mut row = |cells: &[String]| {
        out.push_str(&cells.join(","));
        out.push_str("\r\n");
    };
    let head = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let known = |number: Option<f64>| number.map(shortest).unwrap_or_default();
    match chart {
        Chart::Settled => {
            row(&head("seconds at by_model answered"));
            for p in &figures.settled {
                let at = text(Some(&to_moment(p.at).to_string()));
                row(&[shortest(p.seconds), at, p.by_model.to_string(), p.answered.to_string()]);
            }
        }
        Chart::RiskCoverage => {
            row(&head("confidence coverage accuracy"));
            for p in &figures.risk_coverage {
                row(&[shortest(p.confidence), shortest(p.coverage), shortest(p.accuracy)]);
            }
        }
        Chart::Reliability => {
            row(&head("calibrated bin count right confidence accuracy"));
            for (calibrated, reliability) in [(false, &figures.raw), (true, &figures.calibrated)] {
                for (number, bin) in (1_usize..).zip(&reliability.bins) {
                    let (n, right) = (bin.tally.n, bin.tally.right);
                    row(&[
                        calibrated.to_string(),
                        number.to_string(),
                        n.to_string(),
                        right.to_string(),
                        known((n > 0).then_some(bin.confidence)),
                        known(bin.tally.accuracy()),
                    ]);
                }
            }
        }
        Chart::Confusion => {
            row(&head("model person count"));
            let matrix = &figures.confusion;
            // The others have no id: an empty cell, as no label is.
            let name = |at: usize| text(matrix.labels.get(at).map(AsRef::as_ref));
            for (at, n) in matrix.counts.iter().enumerate() {
                row(&[name(at / matrix.side()), name(at % matrix.side()), n.to_string()]);
            }
        }
        Chart::Workload => {
            row(&head("answers settled seconds per_minute"));
            for s in &figures.stretches {
                let (answers, settled) = (s.answers.to_string(), s.settled.to_string());
                row(&[answers, settled, shortest(s.seconds), known(s.per_minute())]);
            }
        }
    }
    out
}
