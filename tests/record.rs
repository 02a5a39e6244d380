//! The correction record: golden files, the published schema, problems, CSV, and which records count.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]
#![cfg(not(target_arch = "wasm32"))]

use hitl_labeler::domain::value::Value as Meta;
use hitl_labeler::wire::correction::{from_record, to_record};
use hitl_labeler::wire::current::{Standing, current, current_records};
use hitl_labeler::wire::export::{COLUMNS, csv, json_lines};
use hitl_labeler::wire::moment::Moment;
use hitl_labeler::wire::record::{Kind, Record, six_decimals};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const GOLDEN: [&str; 4] = [
    include_str!("fixtures/record.v1.correction.json"),
    include_str!("fixtures/record.v1.accepted.json"),
    include_str!("fixtures/record.v1.undo.json"),
    include_str!("fixtures/record.v1.manual.json"),
];

fn golden() -> Vec<Record> {
    GOLDEN.iter().map(|text| Record::parse(text).unwrap()).collect()
}

/// The published schema.
fn published() -> jsonschema::Validator {
    let text = include_str!("../www/schema/record.v1.schema.json");
    let schema = serde_json::from_str(text).unwrap();
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

#[test]
fn a_record_is_written_byte_for_byte_as_in_the_golden_files() {
    let published = published();
    for text in GOLDEN {
        let record = Record::parse(text).unwrap();
        assert_eq!(format!("{record}\n"), text);
        assert!(published.is_valid(&serde_json::from_str(text).unwrap()), "{text}");
    }
    assert_eq!(json_lines(&golden()), GOLDEN.concat());
}

#[test]
fn the_size_of_a_usual_record_is_reckoned_to_a_quarter() {
    for record in golden() {
        let (written, reckoned) = (record.to_string().len(), from_record(&record).bytes());
        assert!(written <= reckoned && reckoned <= written + written / 4, "{written}, reckoned {reckoned}");
    }
}

/// Every place in `value`, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(at.clone());
                places(value, &at, found);
            }
        }
        Value::Array(values) => {
            for (i, value) in values.iter().enumerate() {
                found.push(format!("{at}/{i}"));
                places(value, &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_published_schema_and_the_reader_agree_on_every_change_of_every_field() {
    let published = published();
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(0.5),
        json!(1.5),
        json!(7),
        json!(5e9),
        json!(""),
        json!(" \t"),
        json!("x"),
        json!("undo"),
        json!("correction"),
        json!("accepted"),
        json!("Accepted"),
        json!("2026-01-01T00:00:02.190Z"),
        json!("2026-01-01T00:00:02Z"),
        json!("2026-02-30T00:00:00.000Z"),
        json!("1969-12-31T23:59:59.999Z"),
        json!("019b76da-ffff-7c3e-9d41-5b6f0a1c2e3d"),
        json!("019B76DA-A82A-7C3E-9D41-5B6F0A1C2E3D"),
        json!("019b76da-a82a-4c3e-9d41-5b6f0a1c2e3d"),
        json!("019b76da-a82a-7c3e-cd41-5b6f0a1c2e3d"),
        json!("019b76daa82a7c3e9d415b6f0a1c2e3d"),
        json!("ab".repeat(32)),
        json!("AB".repeat(32)),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({"label": "x"}),
        json!({"label": "x", "p": 0.5}),
        json!({"decision": "audit", "reasons": []}),
    ];
    let mut judged = [0, 0];
    for text in GOLDEN {
        let whole: Value = serde_json::from_str(text).unwrap();
        let mut changed = Vec::new();
        let mut at = Vec::new();
        places(&whole, "", &mut at);
        for place in &at {
            for value in &values {
                let mut other = whole.clone();
                *other.pointer_mut(place).unwrap() = value.clone();
                changed.push((format!("{place} = {value}"), other));
            }
            let (parent, key) = place.rsplit_once('/').unwrap();
            let mut less = whole.clone();
            if let Some(Value::Object(map)) = less.pointer_mut(parent) {
                map.remove(key);
                changed.push((format!("no {place}"), less));
                let mut more = whole.clone();
                more.pointer_mut(parent).unwrap()["extra"] = json!(1);
                changed.push((format!("{parent}/extra"), more));
            }
        }
        for (change, value) in changed {
            let read = Record::from_json(&value);
            assert_eq!(published.is_valid(&value), read.is_ok(), "{change}: {read:?}");
            judged[usize::from(read.is_ok())] += 1;
        }
    }
    assert!(judged[0] > 3_000 && judged[1] > 300, "{judged:?}");
}

#[test]
fn everything_that_is_wrong_is_named_at_once_with_its_path() {
    let mut value: Value = serde_json::from_str(GOLDEN[0]).unwrap();
    value["id"] = json!("42");
    value["kind"] = json!("corection");
    value["answer"] = json!({"lable": "Shirt"});
    value["prediction"]["top"][1]["p"] = json!(1.2);
    value["policy"]["reasons"][0]["result"] = json!("yes");
    value["answered_at"] = json!("yesterday");
    value["session"] = json!(null);
    value["comment"] = json!("x");
    let said = Record::from_json(&value).unwrap_err().to_string();
    let lines: Vec<_> = said.lines().map(|line| line.split(", expected").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "`comment`: found an unknown key",
            "`id`: found \"42\"",
            "`kind`: found \"corection\"",
            "`answer.lable`: found an unknown key",
            "`answer.label`: found nothing",
            "`prediction.top[1].p`: found 1.2",
            "`policy.reasons[0].result`: found \"yes\"",
            "`session`: found nothing",
            "`answered_at`: found \"yesterday\"",
        ]
    );
}

#[test]
fn an_undo_takes_something_else_back_and_has_no_answer() {
    let whole: Value = serde_json::from_str(GOLDEN[2]).unwrap();
    let said = |change: fn(&mut Value)| {
        let mut value = whole.clone();
        change(&mut value);
        Record::from_json(&value).unwrap_err().to_string()
    };
    assert!(said(|v| v["supersedes"] = json!(null)).starts_with("`supersedes`: found nothing"));
    assert!(said(|v| v["supersedes"] = v["id"].clone()).ends_with("expected the id of another record"));
    assert!(
        said(|v| v["answer"] = json!({"label": "x"})).starts_with("`answer`: found an object, expected null")
    );
    assert!(said(|v| v["kind"] = json!("correction")).starts_with("`answer`: found nothing"));
}

#[test]
fn text_that_is_no_record_says_what_it_is() {
    assert!(Record::parse("<html>").unwrap_err().to_string().contains("looks like an HTML page"));
    assert_eq!(
        Record::parse("[1]").unwrap_err().to_string(),
        "`(the whole document)`: found a list of 1, expected an object"
    );
}

fn read_csv(text: &str) -> Vec<Vec<String>> {
    let rows = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).into_records();
    rows.map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn csv_has_one_flat_row_a_record() {
    let rows = read_csv(&csv(&golden()));
    assert_eq!(rows[0], COLUMNS);
    let cell =
        |row: usize, column: &str| rows[row][COLUMNS.iter().position(|c| *c == column).unwrap()].as_str();
    assert_eq!(cell(1, "id"), "019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d");
    assert_eq!(
        (cell(1, "label"), cell(1, "predicted_label"), cell(1, "confidence")),
        ("Shirt", "Pullover", "0.6218")
    );
    assert_eq!((cell(1, "seconds"), cell(1, "skipped_before"), cell(1, "flagged")), ("2.148", "1", "true"));
    assert_eq!(cell(1, "note"), "collar, but knitted? \"hard\" – 日本語 👗");
    assert_eq!(cell(1, "meta"), r#"{"index":42,"source":"test set"}"#);
    assert_eq!(cell(1, "top").parse::<Value>().unwrap()[1], json!({"label": "Shirt", "p": 0.3311}));
    assert_eq!((cell(2, "kind"), cell(2, "head_version"), cell(2, "seconds")), ("accepted", "3", ""));
    assert_eq!((cell(3, "kind"), cell(3, "label")), ("undo", ""));
    assert_eq!(cell(3, "supersedes"), cell(1, "id"));
    // A spreadsheet would follow this label.
    assert_eq!(cell(4, "label"), "'=HYPERLINK(\"https://a.example\")");
    assert_eq!((cell(4, "model_name"), cell(4, "confidence")), ("", ""));
}

proptest! {
    #[test]
    fn no_text_becomes_a_formula_and_every_text_comes_back(
        note in prop_oneof![any::<String>(), "[=+@'\"\t\r\n,;＝＋－＠-][^\u{0}]{0,8}", "[ -~\r\n]{0,12}"]
    ) {
        let mut record = golden().remove(0);
        record.note = Some(note.clone());
        record.item_id.clone_from(&note);
        let text = csv([&record]);
        prop_assert!(text.ends_with("\r\n"));
        let rows = read_csv(&text);
        prop_assert_eq!(rows.len(), 2);
        for column in ["note", "item_id"] {
            let cell = &rows[1][COLUMNS.iter().position(|c| *c == column).unwrap()];
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']));
            prop_assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), &note);
        }
    }

    #[test]
    fn a_record_is_not_larger_than_it_is_reckoned_and_not_much_smaller(
        which in 0..4_usize,
        note in any::<Option<String>>(),
        names in proptest::collection::vec("[ -~]{0,40}", 1..12),
        whole in any::<i64>(),
        broken in any::<f64>().prop_filter("a number", |n| n.is_finite()),
        p in 0.0..1.0_f32,
        seconds in 0.0..1e7_f64,
        skipped in any::<u32>(),
    ) {
        let mut correction = from_record(&golden()[which]);
        correction.note = note.map(Into::into);
        correction.skipped_before = skipped;
        correction.seconds = seconds;
        let meta: Vec<_> = names.iter().map(|name| (name.clone(), Meta::Integer(whole.into()))).collect();
        let list = vec![Meta::Number(broken), Meta::Null, Meta::Boolean(false), Meta::Text(names[0].clone())];
        correction.meta = Meta::List(vec![Meta::Object(meta), Meta::List(list)]).into();
        if let Some(said) = &mut correction.prediction {
            (said.confidence, said.margin, said.entropy) = (p, p / 3.0, p / 7.0);
            said.head_version = skipped;
            said.top = names.iter().map(|name| (name.as_str().into(), p)).collect();
        }
        let written = to_record(&correction).to_string().len();
        let reckoned = correction.bytes();
        prop_assert!(written <= reckoned, "{} bytes, reckoned {}", written, reckoned);
        prop_assert!(reckoned <= written + written / 2 + 150, "{} bytes, reckoned {}", written, reckoned);
    }

    #[test]
    fn what_is_written_is_read_back_the_same(
        note in any::<Option<String>>(),
        seconds in proptest::option::of(0.0..1e7_f64),
        confidence in 0.0..=1.0_f64,
        at in 0..253_402_300_799_999_u64,
        number in any::<i64>(),
    ) {
        let mut record = golden().remove(0);
        record.note = note;
        record.answered_at = Moment::from_epoch_ms(at);
        record.meta = Some(json!({"number": number, "text": record.note}));
        record.seconds = seconds.map(six_decimals);
        record.prediction.as_mut().unwrap().confidence = six_decimals(confidence);
        let back = Record::parse(&record.to_string()).unwrap();
        prop_assert_eq!(back.to_string(), record.to_string());
        prop_assert_eq!(back, record);
    }
}

// Which records count.

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x019b_76da_0000_7000_8000_0000_0000_0000 | n)
}

/// `n`: id and time; links to `to`.
fn entry(n: u128, kind: Kind, annotator: Option<&str>, to: Option<u128>) -> Standing {
    let at = u64::try_from(n).unwrap();
    Standing {
        id: id(n),
        kind,
        annotator: annotator.map(str::to_owned),
        supersedes: to.map(id),
        answered_at: Moment::from_epoch_ms(at),
    }
}

fn correction(n: u128, who: &str, to: Option<u128>) -> Standing {
    entry(n, Kind::Correction, Some(who), to)
}

fn undo(n: u128, of: u128) -> Standing {
    entry(n, Kind::Undo, Some("anna"), Some(of))
}

fn accepted(n: u128) -> Standing {
    entry(n, Kind::Accepted, None, None)
}

/// The ids that count, by their number.
fn count(records: &[Standing]) -> Vec<u128> {
    current(records).into_iter().map(|place| records[place].id.as_u128() & 0xffff).collect()
}

#[test]
fn the_last_answer_of_each_annotator_counts() {
    assert_eq!(count(&[]), [0_u128; 0]);
    assert_eq!(count(&[correction(2, "anna", None), correction(1, "anna", None)]), [2]);
    assert_eq!(count(&[correction(1, "ben", None), correction(2, "anna", None)]), [2, 1]);
    let nobody = |n| entry(n, Kind::Correction, None, None);
    assert_eq!(count(&[nobody(1), nobody(2), correction(3, "anna", None)]), [2, 3]);
}

#[test]
fn an_undo_brings_back_what_stood_before() {
    // Answered, corrected, and the correction taken back.
    let story = [correction(1, "anna", None), correction(2, "anna", Some(1)), undo(3, 2)];
    assert_eq!(count(&story[..1]), [1]);
    assert_eq!(count(&story[..2]), [2]);
    assert_eq!(count(&story), [1]);
    // The undo is taken back in turn, and again.
    let redo = [&story[..], &[undo(4, 3)]].concat();
    assert_eq!(count(&redo), [2]);
    assert_eq!(count(&[&redo[..], &[undo(5, 4)]].concat()), [1]);
    // The only answer is taken back: the item is open again.
    assert_eq!(count(&[correction(1, "anna", None), undo(2, 1)]), [0_u128; 0]);
}

#[test]
fn a_link_decides_where_the_clocks_disagree() {
    // Ben's clock is behind: his correction of Anna's answer bears the lower time.
    assert_eq!(count(&[correction(9, "anna", None), correction(1, "ben", Some(9))]), [1]);
    assert_eq!(count(&[correction(9, "anna", None), undo(1, 9)]), [0_u128; 0]);
}

#[test]
fn the_model_counts_only_where_no_person_does() {
    assert_eq!(count(&[accepted(1), accepted(2)]), [2]);
    assert_eq!(count(&[accepted(9), correction(1, "anna", None)]), [1]);
    assert_eq!(count(&[accepted(1), correction(2, "anna", Some(1))]), [2]);
    assert_eq!(count(&[accepted(1), correction(2, "anna", Some(1)), undo(3, 2)]), [1]);
    // A model that claims to replace a person's answer does not.
    assert_eq!(count(&[correction(1, "anna", None), entry(2, Kind::Accepted, None, Some(1))]), [1]);
}

#[test]
fn links_to_nothing_to_itself_and_in_circles_do_not_count() {
    assert_eq!(count(&[correction(1, "anna", Some(77))]), [1]);
    assert_eq!(count(&[correction(1, "anna", Some(1))]), [1]);
    assert_eq!(count(&[correction(1, "anna", Some(2)), correction(2, "anna", Some(1))]), [2]);
    assert_eq!(count(&[correction(1, "a", Some(2)), undo(2, 1), correction(3, "a", Some(1))]), [3]);
}

/// The rule said again, naively: by recursion over all records.
fn naive(records: &[Standing]) -> Vec<Uuid> {
    let of = |id: Uuid| records.iter().find(|r| r.id == id);
    let claimed = |r: &Standing| {
        let target = of(r.supersedes?)?;
        (r.kind != Kind::Accepted || target.kind == Kind::Accepted).then_some(target.id)
    };
    let circles = |r: &Standing| {
        let mut at = claimed(r);
        for _ in 0..records.len() {
            match at {
                Some(id) if id == r.id => return true,
                Some(id) => at = claimed(of(id).unwrap()),
                None => return false,
            }
        }
        false
    };
    let link = |r: &Standing| if circles(r) { None } else { claimed(r) };
    fn undone(records: &[Standing], link: &dyn Fn(&Standing) -> Option<Uuid>, id: Uuid) -> bool {
        records.iter().any(|u| u.kind == Kind::Undo && link(u) == Some(id) && !undone(records, link, u.id))
    }
    let open = |r: &&Standing| {
        r.kind != Kind::Undo
            && !undone(records, &link, r.id)
            && !records
                .iter()
                .any(|s| s.kind != Kind::Undo && link(s) == Some(r.id) && !undone(records, &link, s.id))
    };
    let last = |of: &dyn Fn(&Standing) -> bool| {
        records.iter().filter(open).filter(|r| of(r)).max_by_key(|r| (r.answered_at, r.id)).map(|r| r.id)
    };
    let mut annotators: Vec<_> = records.iter().map(|r| r.annotator.clone()).collect();
    annotators.sort();
    annotators.dedup();
    let of_persons: Vec<Uuid> = annotators
        .iter()
        .filter_map(|who| last(&|r| r.kind == Kind::Correction && r.annotator == *who))
        .collect();
    if of_persons.is_empty() { last(&|r| r.kind == Kind::Accepted).into_iter().collect() } else { of_persons }
}

prop_compose! {
    /// Up to 10 records of one item, linked at will, circles and clocks that disagree included.
    fn any_records()(
        rows in proptest::collection::vec((0..3_usize, 0..3_usize, proptest::option::weighted(0.7, 0..11_u128), 0..5_u64), 0..10)
    ) -> Vec<Standing> {
        let kinds = [Kind::Correction, Kind::Accepted, Kind::Undo];
        let annotators = [None, Some("anna".to_owned()), Some("ben".to_owned())];
        rows.into_iter().enumerate().map(|(n, (kind, who, to, at))| Standing {
            id: id(n as u128),
            kind: kinds[kind],
            annotator: annotators[who].clone(),
            supersedes: to.map(id),
            answered_at: Moment::from_epoch_ms(at),
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_rule_is_what_it_says(records in any_records()) {
        let found: Vec<Uuid> = current(&records).into_iter().map(|place| records[place].id).collect();
        prop_assert_eq!(found, naive(&records));
    }

    #[test]
    fn neither_the_order_nor_repetition_of_deliveries_changes_a_label(
        (records, delivered) in any_records().prop_flat_map(|records| {
            let again = proptest::collection::vec(0..records.len().max(1), 0..10);
            (Just(records), again).prop_flat_map(|(records, again)| {
                let mut delivered = records.clone();
                delivered.extend(again.iter().filter_map(|n| records.get(*n).cloned()));
                (Just(records), Just(delivered).prop_shuffle())
            })
        })
    ) {
        let ids = |records: &[Standing]| -> Vec<Uuid> {
            current(records).into_iter().map(|place| records[place].id).collect()
        };
        prop_assert_eq!(ids(&records), ids(&delivered));
    }
}

#[test]
fn items_do_not_touch_each_other() {
    let mut records = golden();
    // The undo names the correction, but is of another item.
    records[2].item_id = "another".into();
    let labels: Vec<_> = current_records(&records).iter().map(|r| r.item_id.clone()).collect();
    assert_eq!(labels, ["fashion-00042", "fashion-00043", "own/photo 1.jpg"]);
    let labels: Vec<_> = current_records(&golden()).iter().map(|r| r.item_id.clone()).collect();
    assert_eq!(labels, ["fashion-00043", "own/photo 1.jpg"]);
}
