//! The panel's figures, and that the export gives the same ones again.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::collections::BTreeMap;

use hitl_labeler::domain::correction::{Correction, Kind, ModelName, PredictionSaid, PredictionShown, Role};
use hitl_labeler::domain::current::in_force;
use hitl_labeler::domain::evaluation::{
    BINS, Evaluation, MOST_LABELS, MOST_POINTS, MOST_STRETCHES, Now, Roles, Settled, Tally,
};
use hitl_labeler::domain::ident::{Chance, RecordId, Timestamp};
use hitl_labeler::domain::policy::{Outcome, Reason};
use hitl_labeler::domain::promise::interval;
use hitl_labeler::domain::value::Value;
use hitl_labeler::wire::correction::{from_record, to_record};
use hitl_labeler::wire::record::{Record, six_decimals};
use proptest::prelude::*;
use uuid::Uuid;

const START: i64 = 1_767_225_600_000;

/// Writes records as a visit would: each second one.
#[derive(Debug, Default)]
struct Visit {
    records: Vec<Correction>,
}

impl Visit {
    fn write(&mut self, item: &str, kind: Kind, role: Role, answer: Option<&str>) -> &mut Correction {
        let n = self.records.len();
        let bits = (u128::from(START as u64 + n as u64) << 80) | 0x7 << 76 | 0x2 << 62 | n as u128;
        let at = Timestamp(START + 1000 * n as i64);
        let asked = kind == Kind::Correction;
        self.records.push(Correction {
            id: RecordId(Uuid::from_u128(bits)),
            item_id: item.into(),
            kind,
            role,
            answer: answer.map(Into::into),
            supersedes: None,
            prediction: None,
            policy: None,
            prediction_shown: PredictionShown::Hidden,
            annotator: None,
            session: "s1".into(),
            shown_at: asked.then(|| at.plus(-500)),
            answered_at: at,
            seconds: if asked { 0.5 } else { 0.0 },
            skipped_before: 0,
            flagged: false,
            note: None,
            meta: Value::Null.into(),
        });
        self.records.last_mut().unwrap()
    }

    /// The person answers; the model had said something with that confidence.
    fn answers(&mut self, item: &str, role: Role, answer: &str, said: &str, p: f32) -> &mut Correction {
        let record = self.write(item, Kind::Correction, role, Some(answer));
        record.prediction = Some(prediction(said, p));
        let outcome = if role == Role::Audit { Outcome::Audit } else { Outcome::Defer };
        let held = role == Role::Audit && p >= 0.9;
        let reason = Reason { rule: "accept_at".into(), says: "confidence at least 0.9".into(), held };
        record.policy = Some((outcome, vec![reason]));
        record
    }

    fn accepts(&mut self, item: &str, said: &str) {
        let record = self.write(item, Kind::Accepted, Role::Deferred, Some(said));
        record.prediction = Some(prediction(said, 0.95));
        record.policy = Some((Outcome::Accept, Vec::new()));
    }

    fn undoes(&mut self, place: usize) {
        let (id, item) = (self.records[place].id, self.records[place].item_id.to_string());
        let role = self.records[place].role;
        self.write(&item, Kind::Undo, role, None).supersedes = Some(id);
    }

    fn figures(&self) -> Evaluation {
        Evaluation::of(&self.records, Now { arrived: 10, waiting: 4 })
    }
}

fn prediction(said: &str, p: f32) -> PredictionSaid {
    PredictionSaid {
        label: said.into(),
        confidence: p,
        confidence_raw: p / 2.0,
        margin: p,
        entropy: 0.1,
        top: vec![(said.into(), p)],
        model: ModelName { name: "m".into(), version: "1".into(), sha256: "0".repeat(64).into() },
        head_version: 0,
    }
}

#[test]
fn nothing_was_done_yet() {
    let figures = Visit::default().figures();
    assert_eq!((figures.settled_now(), figures.per_minute(), figures.seconds_per_answer), (0, None, None));
    assert_eq!((figures.share_by_model(), figures.accepted.accuracy()), (Some(0.0), None));
    assert_eq!((figures.settled.len(), figures.stretches.len(), figures.calibrated.ece), (0, 0, None));
}

#[test]
fn a_short_visit_in_figures() {
    let mut visit = Visit::default();
    visit.accepts("a", "cat");
    visit.answers("b", Role::Deferred, "dog", "cat", 0.6).seconds = 2.0;
    visit.answers("c", Role::Audit, "cat", "cat", 0.98).seconds = 1.0;
    visit.accepts("d", "dog");
    visit.answers("e", Role::Audit, "owl", "cat", 0.95).seconds = 6.0;
    visit.answers("f", Role::Audit, "cat", "cat", 0.5).seconds = 3.0;
    visit.write("g", Kind::Correction, Role::Manual, Some("owl")).seconds = 3.0;
    let figures = visit.figures();

    assert_eq!((figures.by_model, figures.answered), (2, 5));
    assert_eq!(figures.share_by_model(), Some(2.0 / 11.0));
    assert_eq!(figures.per_minute(), Some(7.0 * 60.0 / 15.0));
    assert_eq!(figures.seconds_per_answer, Some(3.0));
    assert_eq!(figures.roles, Roles { deferred: 1, audit: 3, review: 0, manual: 1 });

    let settled: Vec<_> =
        figures.settled.iter().map(|p| (p.seconds, p.at.0 - START, p.by_model, p.answered)).collect();
    assert_eq!(
        settled,
        [
            (0.0, 500, 1, 0),
            (2.0, 1000, 1, 1),
            (3.0, 2000, 1, 2),
            (9.0, 4000, 2, 3),
            (12.0, 5000, 2, 4),
            (15.0, 6000, 2, 5)
        ]
    );
    // Only the two checks that the model would have settled speak for what it settles.
    assert_eq!(figures.accepted, Tally { n: 2, right: 1 });
    assert_eq!(figures.accepted.interval(), interval(1, 2, 0.9));

    let curve: Vec<_> =
        figures.risk_coverage.iter().map(|p| (p.confidence, p.coverage, p.accuracy)).collect();
    assert_eq!(curve, [(0.98, 1.0 / 3.0, 1.0), (0.95, 2.0 / 3.0, 0.5), (0.5, 1.0, 2.0 / 3.0)]);

    let bin = |p: f32| figures.calibrated.bins[((f64::from(p) * BINS as f64).ceil() as usize) - 1];
    assert_eq!((bin(0.95).tally, bin(0.5).tally), (Tally { n: 2, right: 1 }, Tally { n: 1, right: 1 }));
    // |0.98 + 0.95 − 1| in the top part, |0.5 − 1| in the middle, over three checks; raw is half of it.
    assert!((figures.calibrated.ece.unwrap() - (0.93 + 0.5) / 3.0).abs() < 1e-6);
    assert!((figures.raw.ece.unwrap() - (0.035 + 0.75) / 3.0).abs() < 1e-6);

    let names: Vec<&str> = figures.confusion.labels.iter().map(AsRef::as_ref).collect();
    assert_eq!((names, figures.confusion.other), (vec!["cat", "dog", "owl"], false));
    assert_eq!(figures.confusion.counts, [2, 1, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(figures.confusion.tally, Tally { n: 4, right: 2 });

    let agreement: Vec<_> =
        figures.agreement.iter().map(|a| (a.shown, a.role, a.tally.n, a.tally.right)).collect();
    assert_eq!(
        agreement,
        [(PredictionShown::Hidden, Role::Deferred, 1, 0), (PredictionShown::Hidden, Role::Audit, 3, 2)]
    );
}

#[test]
fn what_was_taken_back_was_never_there() {
    let mut visit = Visit::default();
    visit.accepts("a", "cat");
    visit.answers("b", Role::Audit, "dog", "cat", 0.95);
    visit.answers("c", Role::Deferred, "dog", "cat", 0.6);
    let before = visit.figures();
    visit.answers("d", Role::Audit, "owl", "owl", 0.99).seconds = 100.0;
    let with = visit.figures();
    assert_eq!((with.accepted, with.per_minute() < before.per_minute()), (Tally { n: 2, right: 1 }, true));
    visit.undoes(3);
    assert_eq!(visit.figures(), before);
    // And taken back the taking back.
    visit.undoes(4);
    assert_eq!(visit.figures(), with);
}

#[test]
fn an_answer_that_replaces_another_counts_alone_and_one_that_overrules_the_model_is_the_persons() {
    let mut visit = Visit::default();
    visit.accepts("a", "cat");
    visit.answers("b", Role::Deferred, "cat", "cat", 0.6);
    let (accept, answer) = (visit.records[0].id, visit.records[1].id);
    visit.answers("a", Role::Review, "dog", "cat", 0.95).supersedes = Some(accept);
    visit.answers("b", Role::Deferred, "dog", "cat", 0.6).supersedes = Some(answer);
    let figures = visit.figures();
    assert_eq!((figures.by_model, figures.answered), (0, 2));
    assert_eq!(figures.roles, Roles { deferred: 1, review: 1, ..Roles::default() });
    assert_eq!(figures.confusion.tally, Tally { n: 2, right: 0 });
    // What was only looked through is no blind check.
    assert_eq!((figures.accepted.n, figures.risk_coverage.len()), (0, 0));
}

#[test]
fn an_item_that_two_persons_answer_is_settled_once() {
    let mut visit = Visit::default();
    for who in ["anna", "ben"] {
        visit.answers("a", Role::Deferred, "cat", "cat", 0.6).annotator = Some(who.into());
    }
    let figures = visit.figures();
    assert_eq!((figures.answered, figures.roles.deferred), (1, 2));
    assert_eq!(figures.settled.last().unwrap().answered, 1);
    assert_eq!(figures.seconds, 1.0);
}

#[test]
fn curves_are_thinned_and_rare_labels_taken_together_but_the_totals_are_exact() {
    let mut visit = Visit::default();
    for i in 0..1000_u16 {
        let p = f32::from(i) / 1000.0;
        let label = format!("l{:02}", i % 20);
        let answer = if i % 5 == 0 { "l00" } else { &label };
        visit.answers(&format!("i{i}"), Role::Audit, answer, &label, p);
    }
    let figures = visit.figures();
    assert_eq!((figures.settled.len(), figures.risk_coverage.len()), (MOST_POINTS, MOST_POINTS));
    assert_eq!((figures.settled[0].answered, figures.settled[MOST_POINTS - 1].answered), (0, 1000));
    assert_eq!(figures.risk_coverage[MOST_POINTS - 1].coverage, 1.0);
    let confusion = &figures.confusion;
    assert_eq!((confusion.labels.len(), confusion.other, &*confusion.labels[0]), (MOST_LABELS, true, "l00"));
    assert_eq!(confusion.counts.iter().sum::<usize>(), 1000);
    // 800 of the others agree, and 50 of the 200 to whom "l00" was said.
    assert_eq!(confusion.tally, Tally { n: 1000, right: 850 });
    assert_eq!(figures.stretches.len(), MOST_STRETCHES);
    assert_eq!(figures.stretches.iter().map(|s| s.settled).sum::<usize>(), 1000);
    assert_eq!(figures.stretches[0].per_minute(), Some(120.0));
}

/// Any visit: answers, accepts, second answers and undos, of few items so that they meet.
fn any_visit() -> impl Strategy<Value = Visit> {
    let step = (0..12_usize, 0..10_u8, 0..4_usize, 0..4_usize, 0..=1000_u16, any::<prop::sample::Index>());
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let (mut visit, labels) = (Visit::default(), ["cat", "dog", "owl", "=owl \"<&>\""]);
        for (item, what, answer, said, p, which) in steps {
            let (item, p) = (format!("i{item}"), f32::from(p) / 1000.0);
            let known = (!visit.records.is_empty()).then(|| which.index(visit.records.len()));
            let of_item = visit.records.iter().rev().find(|r| *r.item_id == *item).map(|r| r.id);
            match (what, known) {
                (0, Some(known)) => visit.undoes(known),
                (1 | 2, _) => visit.accepts(&item, labels[said]),
                (3, _) => {
                    visit.answers(&item, Role::Review, labels[answer], labels[said], p).supersedes = of_item;
                }
                (4, _) => {
                    let record = visit.write(&item, Kind::Correction, Role::Manual, Some(labels[answer]));
                    record.annotator = Some("anna".into());
                }
                (5..=7, _) => {
                    let record = visit.answers(&item, Role::Audit, labels[answer], labels[said], p);
                    record.seconds = six_decimals(f64::from(p) * 3.7);
                }
                _ => {
                    let record = visit.answers(&item, Role::Deferred, labels[answer], labels[said], p);
                    record.prediction_shown = PredictionShown::Shown;
                    record.supersedes = of_item.filter(|_| answer > 1);
                }
            }
        }
        visit
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_export_gives_the_same_figures_again(visit in any_visit()) {
        let figures = visit.figures();
        let lines = visit.records.iter().map(|record| to_record(record).to_string());
        let read: Vec<Correction> = lines.map(|line| from_record(&Record::parse(&line).unwrap())).collect();
        prop_assert_eq!(&Evaluation::of(&read, figures.now), &figures);
        // However it was delivered: turned round and doubled.
        let again: Vec<&Correction> = read.iter().rev().chain(&read).collect();
        prop_assert_eq!(&Evaluation::of(again, figures.now), &figures);
    }

    #[test]
    fn the_figures_are_those_of_a_plain_recount(visit in any_visit()) {
        let figures = visit.figures();
        let all: Vec<&Correction> = visit.records.iter().collect();
        let mut current: Vec<&Correction> = in_force(&all).into_iter().map(|at| all[at]).collect();
        current.sort_by_key(|r| (r.answered_at, r.id));
        let answers: Vec<&Correction> = current.iter().copied().filter(|r| r.kind == Kind::Correction).collect();
        let mut items: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for r in &answers {
            items.entry(&r.item_id).or_insert(r.answered_at);
        }
        prop_assert_eq!(figures.answered, items.len());
        prop_assert_eq!(figures.by_model, current.len() - answers.len());
        for point in &figures.settled {
            let Settled { at, by_model, answered, .. } = *point;
            prop_assert_eq!(answered, items.values().filter(|settled| **settled <= at).count());
            let accepts = current.iter().filter(|r| r.kind == Kind::Accepted && r.answered_at <= at).count();
            prop_assert_eq!(by_model, accepts);
        }
        let seconds: f64 = answers.iter().map(|r| r.seconds).sum();
        prop_assert!((figures.seconds - seconds).abs() < 1e-9);
        let judged = |r: &&&Correction| r.prediction.is_some();
        let right = |r: &&&Correction| r.prediction.as_ref().map(|p| &p.label) == r.answer.as_ref();
        prop_assert_eq!(figures.confusion.tally.n, answers.iter().filter(judged).count());
        prop_assert_eq!(figures.confusion.tally.right, answers.iter().filter(judged).filter(right).count());
        prop_assert_eq!(figures.agreement.iter().map(|a| a.tally.n).sum::<usize>(), figures.confusion.tally.n);
        let audits = answers.iter().filter(|r| r.role == Role::Audit).count();
        prop_assert_eq!(figures.calibrated.bins.iter().map(|bin| bin.tally.n).sum::<usize>(), audits);
        for point in &figures.risk_coverage {
            let above = |r: &&&Correction| {
                r.role == Role::Audit && r.prediction.as_ref().unwrap().confidence >= point.confidence
            };
            let n = answers.iter().filter(above).count();
            prop_assert!((point.coverage - n as f64 / audits as f64).abs() < 1e-12);
            let agreed = answers.iter().filter(above).filter(right).count();
            prop_assert!((point.accuracy - agreed as f64 / n as f64).abs() < 1e-12);
        }
    }
}

#[test]
fn a_hundred_thousand_records_are_counted_in_a_moment() {
    let mut visit = Visit::default();
    let mut chance = Chance::new([1, 2]);
    for i in 0..100_000 {
        if chance.unit() < 0.9 {
            visit.accepts(&format!("i{i}"), "cat")
        } else {
            visit.answers(&format!("i{i}"), Role::Audit, "cat", "cat", 0.97);
        }
        // All in one moment, as after a refit.
        visit.records.last_mut().unwrap().answered_at = Timestamp(START);
    }
    let started = std::time::Instant::now();
    assert_eq!(visit.figures().settled_now(), 100_000);
    eprintln!("100,000 records: {:?}", started.elapsed());
    // Unoptimised and on a busy machine; what grows with the square would take minutes.
    assert!(started.elapsed().as_secs() < 10);
}
