//! A learned head leaves as a file and comes back as it was; one that does not fit is refused in words.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use hitl_labeler::domain::correction::ModelName;
use hitl_labeler::domain::label::{Label, LabelSet};
use hitl_labeler::input::card::ModelCard;
use hitl_labeler::wire::head::{HeadFile, parse, write};
use hitl_labeler::wire::manifest;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../www/schema/head.v1.schema.json");

/// A model of these labels.
fn model(labels: &[&str]) -> ModelCard {
    let manifest = json!({
        "schema": "hitl-labeler/model/1", "name": "pets \"2\"", "version": "1", "file": "model.onnx",
        "sha256": "ab".repeat(32), "bytes": 100, "input": {"kind": "numbers", "columns": ["a"]},
        "outputs": {"features": {"name": "features"}}, "labels": labels
    });
    manifest::parse(&manifest.to_string()).unwrap()
}

fn pets() -> ModelCard {
    model(&["cat", "dog", "owl \\ \"snowy\""])
}

fn written(head: &HeadFile, card: &ModelCard) -> String {
    let name = ModelName {
        name: card.name.as_str().into(),
        version: card.version.as_str().into(),
        sha256: card.sha256.to_string().into(),
    };
    write(head, &name, &card.labels)
}

/// A head of pets with two features.
fn linear() -> HeadFile {
    HeadFile {
        scaling: false,
        added: vec![],
        answers: 12,
        temperature: 0.75,
        weights: vec![0.5, -1.25, 3.0, 0.0, 1e-7, -2.5e3],
        bias: vec![0.1, -0.2, 0.3],
    }
}

fn scaling() -> HeadFile {
    HeadFile { scaling: true, weights: vec![0.5, -0.25, 0.0], ..linear() }
}

fn json_of(head: &HeadFile) -> Value {
    serde_json::from_str(&written(head, &pets())).unwrap()
}

/// A right head with the value at the pointer replaced; without it if there is no value.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut head = json_of(&linear());
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (head.pointer_mut(parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(key.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(key).unwrap()),
        (Value::Array(values), Some(value)) => values[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} is no place in a head"),
    }
    head
}

fn good() -> Vec<(&'static str, Value)> {
    let set = |pointer, value| with(pointer, Some(value));
    vec![
        ("one weight a feature", json_of(&linear())),
        ("one weight a label", json_of(&scaling())),
        ("an editor's schema line", set("/$schema", json!("../head.v1.schema.json"))),
        ("capital digits in the digest", set("/model/sha256", json!("AB".repeat(32)))),
        ("another name of the same file", set("/model/name", json!("animals"))),
        ("whole numbers as JavaScript writes them", set("/answers", json!(12.0))),
        ("no answers", set("/answers", json!(0))),
        ("the coldest temperature", set("/temperature", json!(0.05))),
        ("rows of one feature", set("/weights", json!([[1], [2], [3]]))),
    ]
}

fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let set = |pointer, value| with(pointer, Some(value));
    let without = |pointer| with(pointer, None);
    vec![
        ("no object", json!([]), "`(the whole document)`: found a list of 0, expected an object"),
        (
            "another schema",
            set("/schema", json!("hitl-labeler/model/1")),
            "`schema`: found \"hitl-labeler/model/1\", expected \"hitl-labeler/head/1\"",
        ),
        (
            "a misspelt key",
            set("/weigths", json!([])),
            "`weigths`: found an unknown key, expected one of $schema, schema, model, kind, labels, answers, temperature, bias, weights (did you mean `weights`?)",
        ),
        ("a schema line in numbers", set("/$schema", json!(1)), "`[\"$schema\"]`: found 1, expected a text"),
        ("no model", without("/model"), "`model`: found nothing, expected a value"),
        ("no digest", without("/model/sha256"), "`model.sha256`: found nothing, expected a value"),
        (
            "a blank name",
            set("/model/name", json!(" ")),
            "`model.name`: found \" \", expected a text that is not empty",
        ),
        (
            "a number as version",
            set("/model/version", json!(1)),
            "`model.version`: found 1, expected a text that is not empty",
        ),
        (
            "a model with more",
            set("/model/bytes", json!(100)),
            "`model.bytes`: found an unknown key, expected one of name, version, sha256",
        ),
        (
            "a short digest",
            set("/model/sha256", json!("abab")),
            "`model.sha256`: found \"abab\", expected the digest of the model that the manifest names, abab",
        ),
        (
            "another kind",
            set("/kind", json!("deep")),
            "`kind`: found \"deep\", expected \"linear\" or \"scaling\"",
        ),
        ("labels in words", set("/labels", json!("cat")), "`labels`: found \"cat\", expected a list"),
        ("a label by number", set("/labels/1", json!(1)), "`labels[1]`: found 1, expected a text"),
        (
            "answers below zero",
            set("/answers", json!(-1)),
            "`answers`: found -1, expected a whole number from 0 to 4294967295",
        ),
        (
            "half an answer",
            set("/answers", json!(1.5)),
            "`answers`: found 1.5, expected a whole number from 0 to 4294967295",
        ),
        ("no temperature at all", without("/temperature"), "`temperature`: found nothing, expected a value"),
        (
            "a temperature of 0",
            set("/temperature", json!(0)),
            "`temperature`: found 0, expected a number from 0.05 to 20",
        ),
        ("a bias in words", set("/bias/2", json!("0.3")), "`bias[2]`: found \"0.3\", expected a number"),
        ("one bias for all", set("/bias", json!(0.3)), "`bias`: found 0.3, expected a list"),
        (
            "a flat list of weights",
            set("/weights", json!([1, 2, 3])),
            "`weights[0]`: found 1, expected a list",
        ),
        (
            "rows of nothing",
            set("/weights", json!([[], [], []])),
            "`weights[0]`: found a list of 0, expected a list of numbers that is not empty",
        ),
        (
            "no weight at one place",
            set("/weights/1/0", Value::Null),
            "`weights[1][0]`: found null, expected a number",
        ),
        (
            "a weight that single precision cannot hold",
            set("/weights/2/1", json!(1e39)),
            "`weights[2][1]`: found 1e+39, expected a number",
        ),
    ]
}

/// What only the model tells.
fn beyond_the_schema() -> Vec<(&'static str, Value, &'static str)> {
    let set = |pointer, value| with(pointer, Some(value));
    let mut two_weights = json_of(&linear());
    two_weights["kind"] = json!("scaling");
    vec![
        (
            "another model's head",
            set("/model/sha256", json!("cd".repeat(32))),
            "`model.sha256`: found \"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc…, expected the digest of the model that the manifest names, abababababababababababababababababababababababababababababababab: a head fits its own model only",
        ),
        (
            "other labels",
            set("/labels/1", json!("fox")),
            "`labels[1]`: found \"fox\", expected \"dog\", which the manifest names at this place",
        ),
        (
            "fewer labels than the model",
            set("/labels", json!(["cat", "dog"])),
            "`labels`: found a list of 2, expected a list that begins with the 3 labels that the manifest names, in its order, before any added ones",
        ),
        (
            "an added label before the model's",
            set("/labels", json!(["fox", "cat", "dog", "owl \\ \"snowy\""])),
            "`labels[0]`: found \"fox\", expected \"cat\", which the manifest names at this place",
        ),
        (
            "an added label that the model has",
            set("/labels", json!(["cat", "dog", "owl \\ \"snowy\"", "cat"])),
            "`labels`: found the label id \"cat\" stands twice; give each label an id of its own, expected labels that differ from each other",
        ),
        (
            "labels in another order",
            set("/labels", json!(["dog", "cat", "owl \\ \"snowy\""])),
            "`labels[0]`: found \"dog\", expected \"cat\", which the manifest names at this place\n\
             `labels[1]`: found \"cat\", expected \"dog\", which",
        ),
        (
            "a label that the person added",
            set("/labels", json!(["cat", "dog", "owl \\ \"snowy\"", "fox"])),
            "`bias`: found a list of 3, expected a list of 4 numbers\n`weights`: found a list of 3, expected a list of 4 rows",
        ),
        (
            "a bias too few",
            set("/bias", json!([1, 2])),
            "`bias`: found a list of 2, expected a list of 3 numbers",
        ),
        (
            "a row too few",
            set("/weights", json!([[1, 2], [3, 4]])),
            "`weights`: found a list of 2, expected a list of 3 rows, one a label",
        ),
        (
            "rows of several lengths",
            set("/weights", json!([[1, 2], [3], [4, 5]])),
            "`weights[1]`: found a list of 1, expected a list of 2 numbers",
        ),
        (
            "two weights on one score",
            two_weights,
            "`weights[0]`: found a list of 2, expected a list of 1 numbers",
        ),
    ]
}

#[test]
fn parser_and_schema_agree_on_what_is_right() {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (what, head) in good() {
        if let Err(problems) = parse(&head.to_string(), &pets()) {
            panic!("{what}: the parser says {problems}");
        }
        let said: Vec<_> = schema.iter_errors(&head).map(|why| why.to_string()).collect();
        assert!(said.is_empty(), "{what}: the schema says {said:?}");
    }
    for (what, head, expected) in bad() {
        let said = parse(&head.to_string(), &pets()).expect_err(what).to_string();
        assert!(said.starts_with(expected), "{what}: the parser says\n{said}\nnot\n{expected}");
        assert!(!schema.is_valid(&head), "{what}: the schema finds nothing wrong");
    }
    for (what, head, expected) in beyond_the_schema() {
        let said = parse(&head.to_string(), &pets()).expect_err(what).to_string();
        assert!(said.starts_with(expected), "{what}: the parser says\n{said}\nnot\n{expected}");
        assert!(schema.is_valid(&head), "{what}: the schema says it, too: move it to the bad ones");
    }
}

#[test]
fn a_head_comes_back_as_it_left_to_the_bit() {
    let mut state = 1_u32;
    let mut any = || {
        // Every size from 2⁻⁹⁶ to 2⁹⁶, either sign: xorshift (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let exponent = 31 + (state >> 8) % 192;
        f32::from_bits((state & 0x807f_ffff) | exponent << 23)
    };
    let weights = (0..3_000).map(|_| any()).collect();
    let head = HeadFile { weights, bias: vec![any(), -0.0, f32::MIN_POSITIVE], ..linear() };
    for head in [head, linear(), scaling()] {
        let back = parse(&written(&head, &pets()), &pets()).unwrap();
        let bits =
            |head: &HeadFile| head.weights.iter().chain(&head.bias).map(|w| w.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&back), bits(&head));
        assert_eq!(back, head);
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let said = parse(r#"{"schema": "x", "kind": 1, "temperature": 99}"#, &pets()).unwrap_err();
    let paths: Vec<&str> = said.0.iter().map(|problem| &*problem.path).collect();
    assert_eq!(paths, ["schema", "model", "kind", "labels", "answers", "temperature", "bias", "weights"]);
}

#[test]
fn a_page_that_answered_with_status_200_is_not_taken_for_a_head() {
    let said = parse("<!doctype html><title>404</title>", &pets()).unwrap_err().to_string();
    assert!(said.contains("looks like an HTML page"), "{said}");
}

/// What a person taught beyond the model's labels goes on elsewhere.
#[test]
fn labels_that_a_person_added_come_back_behind_the_models_own() {
    let fox: std::sync::Arc<str> = "fox".into();
    let own = pets();
    let all = own.labels.iter().map(|(_, label)| label.clone());
    let more = all.chain([Label { id: fox.clone(), name: "Fox".into() }]).collect();
    let grown = ModelCard { labels: LabelSet::new(more).unwrap(), ..own.clone() };
    let head = HeadFile { weights: vec![1.0; 8], bias: vec![0.5; 4], ..linear() };
    let back = parse(&written(&head, &grown), &own).unwrap();
    assert_eq!(back, HeadFile { added: vec![fox.clone()], ..head });
    let scaled = HeadFile { scaling: true, weights: vec![0.5; 4], bias: vec![0.0; 4], ..linear() };
    assert_eq!(parse(&written(&scaled, &grown), &own).unwrap().added, [fox]);
}

#[test]
fn a_model_without_labels_yet_has_a_head_without_rows() {
    let nobody = model(&[]);
    let head = HeadFile { weights: vec![], bias: vec![], answers: 0, ..linear() };
    assert_eq!(parse(&written(&head, &nobody), &nobody).unwrap(), head);
    // All that such a model knows is what persons added.
    let back = parse(&written(&linear(), &pets()), &nobody).unwrap();
    assert_eq!(back.added.len(), 3);
}
