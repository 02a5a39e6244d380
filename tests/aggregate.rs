//! Several annotators' answers brought together, held to other implementations: `fixtures/make_aggregate.py`.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use hitl_labeler::domain::aggregate::{Answer, Fit, agreement, best, dawid_skene, majority};
use serde_json::Value;

struct Story {
    answers: Vec<Answer>,
    items: usize,
    annotators: usize,
    labels: usize,
    said: Value,
}

/// The answers of a story of the fixture beside what the other implementation says of them.
fn story(name: &str) -> Story {
    let all: Value = serde_json::from_str(include_str!("fixtures/aggregate.json")).unwrap();
    let said = all[name].clone();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let answers: Vec<Answer> = said["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| Answer { item: number(&a[0]), annotator: number(&a[1]), label: number(&a[2]) })
        .collect();
    let count = |of: fn(&Answer) -> usize| answers.iter().map(of).max().unwrap() + 1;
    let (items, annotators, labels) = (count(|a| a.item), count(|a| a.annotator), count(|a| a.label));
    Story { answers, items, annotators, labels, said }
}

fn answer(item: usize, annotator: usize, label: usize) -> Answer {
    Answer { item, annotator, label }
}

const MAXIMUM_LIKELIHOOD: Fit = Fit { prior_answers: 0.0, steps: 10_000, change: 0.0 };

#[test]
fn without_a_prior_it_says_what_crowd_kit_says() {
    for name in ["anaesthetists", "seeded"] {
        let Story { answers, items, annotators, labels, said } = story(name);
        let model = dawid_skene(&answers, items, annotators, labels, &MAXIMUM_LIKELIHOOD);
        for item in 0..items {
            for label in 0..labels {
                let (ours, theirs) = (
                    model.probabilities[item * labels + label],
                    said["probabilities"][item][label].as_f64().unwrap(),
                );
                assert!((ours - theirs).abs() < 1e-5, "{name} {item} {label}: {ours} {theirs}");
            }
        }
        for (label, share) in model.shares.iter().enumerate() {
            assert!((share - said["shares"][label].as_f64().unwrap()).abs() < 1e-5, "{name} {label}");
        }
    }
}

#[test]
fn the_anaesthetists_come_out_as_in_the_paper() {
    let Story { answers, items, annotators, labels, .. } = story("anaesthetists");
    assert_eq!((items, annotators, labels, answers.len()), (45, 5, 4, 45 * 7));
    let model = dawid_skene(&answers, items, annotators, labels, &MAXIMUM_LIKELIHOOD);
    let percent: Vec<_> = model.shares.iter().map(|share| (share * 100.0).round()).collect();
    assert_eq!(percent, [40.0, 42.0, 11.0, 7.0]);
}

#[test]
fn alpha_is_that_of_krippendorffs_example_and_of_his_followers_program() {
    let Story { answers, items, labels, said, .. } = story("krippendorff");
    let found = agreement(&answers, items, labels);
    assert_eq!((found.items, found.answers), (11, 40), "the unit with one value is left out");
    assert_eq!(format!("{:.3}", found.alpha.unwrap()), "0.743");
    for name in ["krippendorff", "seeded"] {
        let Story { answers, items, labels, .. } = story(name);
        let alpha = agreement(&answers, items, labels).alpha.unwrap();
        let theirs = story(name).said["alpha"].as_f64().unwrap();
        assert!((alpha - theirs).abs() < 1e-12, "{name}: {alpha} {theirs}");
    }
    assert!(said["alpha"].is_f64());
}

#[test]
fn where_alpha_is_not_defined_it_is_not_given() {
    let alone = [answer(0, 0, 0), answer(1, 1, 1)];
    assert_eq!(agreement(&alone, 2, 2).alpha, None, "nobody answered what another answered");
    let one_label = [answer(0, 0, 1), answer(0, 1, 1)];
    assert_eq!(agreement(&one_label, 1, 2).alpha, None, "one label only says nothing about agreement");
    assert_eq!(agreement(&[], 0, 0).alpha, None);
    let opposed = [answer(0, 0, 0), answer(0, 1, 1), answer(1, 0, 1), answer(1, 1, 0)];
    assert!(agreement(&opposed, 2, 2).alpha.unwrap() < 0.0, "worse than chance");
}

#[test]
fn a_majority_wins_and_a_tie_is_told() {
    let answers = [answer(0, 0, 2), answer(0, 1, 1), answer(0, 2, 2), answer(2, 0, 2), answer(2, 1, 0)];
    let found = majority(&answers, 3, 3);
    let (first, last) = (found[0].clone().unwrap(), found[2].clone().unwrap());
    assert_eq!((first.label, first.tie), (2, vec![]));
    assert!((first.confidence - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!((last.label, last.confidence, last.tie), (0, 0.5, vec![0, 2]));
    assert_eq!(found[1], None, "nobody answered");
    assert_eq!(best(&[]), None);
}

#[test]
fn the_one_who_is_always_right_outweighs_two_who_guess() {
    // Annotators 0 to 2 agree on 40 items; 3 and 4 say the same nonsense there. On the last, only one of the
    // three has answered.
    let mut answers = Vec::new();
    for item in 0..40 {
        let truth = item % 2;
        answers.extend((0..3).map(|who| answer(item, who, truth)));
        answers.extend((3..5).map(|who| answer(item, who, usize::from(item % 3 == 0))));
    }
    answers.extend([answer(40, 0, 1), answer(40, 3, 0), answer(40, 4, 0)]);
    assert_eq!(majority(&answers, 41, 2)[40].as_ref().unwrap().label, 0);
    let model = dawid_skene(&answers, 41, 5, 2, &Fit::default());
    assert_eq!(best(&model.probabilities[80..]).unwrap().label, 1);
    assert!(model.settled);
    assert!(
        model.accuracy(0) > 0.95 && model.accuracy(3) < 0.6,
        "{} {}",
        model.accuracy(0),
        model.accuracy(3)
    );
}

#[test]
fn an_answer_that_stands_alone_is_believed_as_one_of_an_average_annotator() {
    let answers = [answer(0, 0, 0), answer(0, 1, 0), answer(1, 0, 1), answer(1, 1, 1), answer(2, 2, 0)];
    let model = dawid_skene(&answers, 3, 3, 2, &Fit::default());
    let [two, _, _, two_others, alone, _] = model.probabilities[..] else { panic!("three items") };
    assert!((0.6..0.9).contains(&alone) && two > 0.85 && two_others > 0.85, "{:?}", model.probabilities);
}

/// The truth and the answers of 40 annotators who are right 40 to 95 times of 100, two answers an item.
fn simulated(seed: u64) -> (Vec<usize>, Vec<Answer>) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut dice = |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % below
    };
    let skills: Vec<usize> = (0..40).map(|_| 40 + dice(56)).collect();
    let truths: Vec<usize> = (0..100).map(|_| dice(3)).collect();
    let mut answers = Vec::new();
    for (item, &truth) in truths.iter().enumerate() {
        let first = dice(40);
        for annotator in [first, (first + 1 + dice(39)) % 40] {
            let label = if dice(100) < skills[annotator] { truth } else { dice(3) };
            answers.push(answer(item, annotator, label));
        }
    }
    (truths, answers)
}

#[test]
fn with_few_answers_an_item_it_is_as_good_as_a_majority_and_knows_how_sure_it_may_be() {
    let (mut by_majority, mut by_model, mut surprise, mut surprise_without) = (0, 0, 0.0, 0.0);
    for seed in 1..=20 {
        let (truths, answers) = simulated(seed);
        let model = dawid_skene(&answers, 100, 40, 3, &Fit::default());
        let likely = dawid_skene(&answers, 100, 40, 3, &Fit { prior_answers: 0.0, ..Fit::default() });
        let votes = majority(&answers, 100, 3);
        for (item, &truth) in truths.iter().enumerate() {
            let row = item * 3..item * 3 + 3;
            by_majority += usize::from(votes[item].as_ref().unwrap().label == truth);
            by_model += usize::from(best(&model.probabilities[row]).unwrap().label == truth);
            surprise -= model.probabilities[item * 3 + truth].max(1e-6).ln() / 2_000.0;
            surprise_without -= likely.probabilities[item * 3 + truth].max(1e-6).ln() / 2_000.0;
        }
    }
    assert!(by_model + 40 >= by_majority, "of 2,000: {by_model} by the model, {by_majority} by majority");
    assert!(surprise < 0.7 && surprise_without > 1.5, "{surprise} {surprise_without}");
}

#[test]
fn every_row_is_a_distribution_whatever_comes() {
    let mut state = 7_u64;
    let mut dice = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..200 {
        let (items, annotators, labels) = (dice(8) + 1, dice(4) + 1, dice(5) + 1);
        let answers: Vec<Answer> =
            (0..dice(30)).map(|_| answer(dice(items), dice(annotators), dice(labels))).collect();
        let fit = Fit { prior_answers: dice(2) as f64, ..Fit::default() };
        let model = dawid_skene(&answers, items, annotators, labels, &fit);
        let rows = model.probabilities.chunks(labels).chain(model.answers.chunks(labels));
        let answered = !answers.is_empty();
        for row in rows {
            let sum: f64 = row.iter().sum();
            assert!(
                row.iter().all(|p| (0.0..=1.0 + 1e-12).contains(p)) && (sum - 1.0).abs() < 1e-9,
                "{row:?}"
            );
        }
        assert!(!answered || (model.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(model, dawid_skene(&answers, items, annotators, labels, &fit), "the same bits again");
    }
}
