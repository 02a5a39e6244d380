//! The pages that explain the method say what is so: their examples are read, their numbers reckoned again.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

use hitl_labeler::domain::promise::{Target, Verdict, audits_needed, certify};
use hitl_labeler::domain::queue::Strategy;
use hitl_labeler::domain::session::TargetRules;
use hitl_labeler::wire::config::{Config, Learning, document, parse};

const LEARNING: &str = include_str!("../docs/learning.md");
const STATISTICS: &str = include_str!("../docs/statistics.md");
const WORDS: &str = include_str!("../src/page/text.rs");

/// The configurations that the page for team leads shows, in order.
fn examples() -> Vec<Config> {
    let blocks = LEARNING.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|text| {
            document(text)
                .and_then(|json| parse(&json))
                .unwrap_or_else(|problems| panic!("{text}\n{problems}"))
        })
        .collect()
}

/// The cells of each row of the table under this heading row.
fn rows(page: &str, head: &str) -> Vec<Vec<String>> {
    let (_, below) = page.split_once(head).unwrap_or_else(|| panic!("no table {head}"));
    let lines = below.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_example_is_a_configuration_and_all_switches_are_among_them() {
    let all = examples();
    let any = |wanted: &dyn Fn(&Config) -> bool| all.iter().any(wanted);
    assert!(any(&|c| c.target().is_some()) && any(&|c| c.model.is_some() && c.target().is_none()));
    assert!(any(&|c| c.learning.is_none()) && any(&|c| c.open_labels));
    assert!(any(&|c| c.order.by == Strategy::Diverse));
    assert!(any(&|c| c.model.as_ref().is_some_and(|model| model.head.is_some())));
}

#[test]
fn what_is_said_to_be_usual_is_usual() {
    let all = examples();
    let full = all.iter().filter_map(Config::target).find(|rules| rules.target.accuracy == 0.98).unwrap();
    assert_eq!(full, TargetRules::usual(0.98));
    assert_eq!(all.iter().filter_map(Config::target).next(), Some(TargetRules::usual(0.95)));
    let written = LEARNING.contains(r#""learning": { "hold_out": 0.1, "seed": 1, "memory_mb": 256 }"#);
    assert_eq!((written, Learning::default()), (true, Learning { hold_out: 0.1, seed: 1, memory_mb: 256 }));
}

#[test]
fn so_many_checks_are_needed_as_the_table_says() {
    let table = rows(LEARNING, "| promise | no error | 1 error | 2 errors |");
    assert_eq!(table.len(), 4);
    for row in table {
        let percent: f64 = row[0].split(' ').next().unwrap().parse().unwrap();
        let target = Target { accuracy: percent / 100.0, ..Target::default() };
        for (errors, cell) in row[1..].iter().enumerate() {
            assert_eq!(cell.parse(), Ok(audits_needed(errors, &target)), "{errors} errors at {percent} %");
        }
    }
}

/// The dearest mistake: of the item that the model was surest of.
#[test]
fn a_mistake_at_the_top_is_forgiven_when_the_page_says() {
    use hitl_labeler::domain::promise::Audit;
    let earned = |n: u16| {
        let audit = |place: u16| Audit { confidence: 1.0 - f32::from(place) / 1e4, right: place > 0 };
        let audits: Vec<_> = (0..n).map(audit).collect();
        matches!(certify(&audits, &Target::default()), Verdict::Earned { .. })
    };
    let first = (1..500).find(|n| earned(*n)).unwrap();
    assert!(LEARNING.contains(&format!("after {first} checks in the worst case")), "{first}");
}

#[test]
fn the_words_that_are_explained_are_on_the_page() {
    let table = rows(LEARNING, "| words on the page | what they mean |");
    assert!(table.len() >= 15);
    for row in table {
        let words = row[0].trim_matches('`');
        assert!(WORDS.contains(words), "the interface does not say {words:?}");
    }
}

#[test]
fn what_is_linked_and_named_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in [LEARNING, STATISTICS] {
        let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            assert!(root.join("docs").join(link).exists(), "{link}");
        }
        let names = page.split('`').skip(1).step_by(2).filter(|name| name.starts_with("tests/"));
        for name in names {
            assert!(root.join(name).exists(), "{name}");
        }
    }
}
