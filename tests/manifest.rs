//! The manifest's parser and its published schema say the same, and the parser says it in words.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use hitl_labeler::input::InputSpec;
use hitl_labeler::wire::manifest::parse;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../www/schema/model.v1.schema.json");

fn pictures() -> Value {
    json!({
        "schema": "hitl-labeler/model/1", "name": "fashion-cnn", "version": "1", "file": "model.onnx",
        "sha256": "ab".repeat(32), "bytes": 209_430,
        "input": {"kind": "image", "name": "image", "width": 28, "height": 28, "channels": 1, "layout": "nchw",
            "mean": [0.0], "std": [1.0], "resize": "stretch"},
        "outputs": {"scores": {"name": "logits", "as": "logits", "activation": "softmax"},
            "features": {"name": "features"}},
        "labels": [{"id": "bag", "name": "Bag"}, "boot"],
        "temperature": 1.2, "question": "Which piece of clothing is this?", "licence": "MIT", "card": "README.md",
        "updates": "https://models.example.org/fashion-cnn/latest.json"
    })
}

fn rows() -> Value {
    let mut manifest = pictures();
    manifest["input"] = json!({"kind": "numbers", "columns": ["rain", "wind"]});
    manifest
}

/// A model that gives features only, with these labels.
fn embedder(labels: Option<Value>) -> Value {
    with(with(pictures(), "/outputs/scores", None), "/labels", labels)
}

/// A manifest with the value at the pointer replaced; without it if there is no value.
fn with(mut manifest: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (manifest.pointer_mut(parent).unwrap(), value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(key.to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(key).unwrap()),
        (Value::Array(values), Some(value)) => values[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} is no place in a manifest"),
    }
    manifest
}

/// Manifests that are right: what was done to a right one.
fn good() -> Vec<(&'static str, Value)> {
    let colours = |manifest: Value| {
        let manifest = with(manifest, "/input/channels", Some(json!(3)));
        let manifest = with(manifest, "/input/mean", Some(json!([0.485, 0.456, 0.406])));
        with(manifest, "/input/std", Some(json!([0.229, 0.224, 0.225])))
    };
    let set = |pointer, value| with(pictures(), pointer, Some(value));
    let without = |pointer| with(pictures(), pointer, None);
    vec![
        ("pictures", pictures()),
        ("rows of numbers", rows()),
        ("three channels", colours(pictures())),
        ("channels side by side", with(colours(pictures()), "/input/layout", Some(json!("nhwc")))),
        ("the size as JavaScript writes it", set("/bytes", json!(209_430.0))),
        ("an editor's schema line", set("/$schema", json!("../model.v1.schema.json"))),
        ("capital digits in the digest", set("/sha256", json!("AB".repeat(32)))),
        ("labels as texts only", set("/labels", json!(["bag", "boot"]))),
        (
            "two labels of one name",
            set("/labels", json!([{"id": "a", "name": "Bag"}, {"id": "b", "name": "Bag"}])),
        ),
        (
            "probabilities of a sigmoid",
            set("/outputs/scores", json!({"as": "probabilities", "activation": "sigmoid"})),
        ),
        ("features only", without("/outputs/scores")),
        ("features only, the answers left to the person", embedder(None)),
        ("null for such answers", embedder(Some(Value::Null))),
        ("no answer yet", embedder(Some(json!([])))),
        ("one answer, the others left to the person", embedder(Some(json!(["bag"])))),
        ("no newer model to look for", without("/updates")),
        ("scores only", without("/outputs/features")),
        ("null for nothing", set("/outputs/features", Value::Null)),
        ("no name of the input", without("/input/name")),
        ("no temperature", without("/temperature")),
        ("no question", set("/question", Value::Null)),
        ("the hottest temperature", set("/temperature", json!(20))),
        ("a negative mean", set("/input/mean", json!([-0.5]))),
        ("a wide picture", set("/input/width", json!(4096))),
        ("cover", set("/input/resize", json!("cover"))),
        ("one column", with(rows(), "/input/columns", Some(json!(["rain"])))),
    ]
}

/// Manifests that are wrong: what was done to a right one, and what the parser says of it.
fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let set = |pointer, value| with(pictures(), pointer, Some(value));
    let without = |pointer| with(pictures(), pointer, None);
    let columns = |value| with(rows(), "/input/columns", Some(value));
    vec![
        ("no object", json!([]), "`(the whole document)`: found a list of 0, expected an object"),
        (
            "another schema",
            set("/schema", json!("hitl-labeler/model/2")),
            "`schema`: found \"hitl-labeler/model/2\", expected \"hitl-labeler/model/1\"",
        ),
        ("no schema", without("/schema"), "`schema`: found nothing, expected a value"),
        (
            "a misspelt key",
            set("/lables", json!([])),
            "`lables`: found an unknown key, expected one of $schema, schema, name, version, file, sha256, bytes, input, outputs, labels, temperature, question, licence, card, updates (did you mean `labels`?)",
        ),
        ("no name", without("/name"), "`name`: found nothing, expected a value"),
        ("a blank name", set("/name", json!(" ")), "`name`: found \" \", expected a text that is not empty"),
        (
            "a number as version",
            set("/version", json!(1)),
            "`version`: found 1, expected a text that is not empty",
        ),
        ("no file", set("/file", Value::Null), "`file`: found nothing, expected a value"),
        (
            "a short digest",
            set("/sha256", json!("abcd")),
            "`sha256`: found \"abcd\", expected the SHA-256 of the model file as 64 hexadecimal digits (`sha256sum model.onnx` prints it)",
        ),
        ("a digest of other letters", set("/sha256", json!("xy".repeat(32))), "`sha256`: found "),
        (
            "no bytes",
            set("/bytes", json!(0)),
            "`bytes`: found 0, expected a whole number from 1 to 536870912",
        ),
        ("half a byte", set("/bytes", json!(1.5)), "`bytes`: found 1.5, expected a whole number"),
        (
            "a model of a gigabyte",
            set("/bytes", json!(1_u64 << 30)),
            "`bytes`: found 1073741824, expected a whole number",
        ),
        (
            "a size in words",
            set("/bytes", json!("209 kB")),
            "`bytes`: found \"209 kB\", expected a whole number",
        ),
        (
            "another kind",
            set("/input/kind", json!("sound")),
            "`input.kind`: found \"sound\", expected \"image\" or \"numbers\"",
        ),
        ("no kind", without("/input/kind"), "`input.kind`: found nothing, expected a value"),
        ("an input in words", set("/input", json!("image")), "`input`: found \"image\", expected an object"),
        (
            "a field of another kind",
            set("/input/columns", json!(["a"])),
            "`input.columns`: found an unknown key, expected one of kind, name, width",
        ),
        ("no width", without("/input/width"), "`input.width`: found nothing, expected a value"),
        (
            "a width of nothing",
            set("/input/width", json!(0)),
            "`input.width`: found 0, expected a whole number from 1 to 4096",
        ),
        (
            "a height in words",
            set("/input/height", json!("28")),
            "`input.height`: found \"28\", expected a whole number from 1 to 4096",
        ),
        (
            "too high",
            set("/input/height", json!(4097)),
            "`input.height`: found 4097, expected a whole number from 1 to 4096",
        ),
        (
            "two channels",
            set("/input/channels", json!(2)),
            "`input.channels`: found 2, expected 1 (grey) or 3 (red, green, blue)",
        ),
        (
            "three channels with one mean",
            set("/input/channels", json!(3)),
            "`input.mean`: found a list of 1, expected a list of 3, one number a channel\n`input.std`: found a list of 1, expected",
        ),
        (
            "one channel with three",
            set("/input/mean", json!([0, 0, 0])),
            "`input.mean`: found a list of 3, expected a list of 1, one number a channel",
        ),
        (
            "another layout",
            set("/input/layout", json!("NCHW")),
            "`input.layout`: found \"NCHW\", expected \"nchw\" or \"nhwc\"",
        ),
        (
            "a std of 0",
            set("/input/std", json!([0])),
            "`input.std[0]`: found 0, expected a number from 0.000001 to 1000000",
        ),
        (
            "a std that f32 rounds to 0",
            set("/input/std", json!([1e-50])),
            "`input.std[0]`: found 1e-50, expected a number from 0.000001 to 1000000",
        ),
        (
            "a mean in words",
            set("/input/mean", json!(["0"])),
            "`input.mean[0]`: found \"0\", expected a number from -1000000 to 1000000",
        ),
        ("a mean without list", set("/input/mean", json!(0.5)), "`input.mean`: found 0.5, expected a list"),
        (
            "another resize",
            set("/input/resize", json!("crop")),
            "`input.resize`: found \"crop\", expected \"stretch\" or \"cover\" or \"contain\"",
        ),
        (
            "an empty input name",
            set("/input/name", json!("")),
            "`input.name`: found \"\", expected a text that is not empty",
        ),
        (
            "no columns",
            columns(json!([])),
            "`input.columns`: found a list of 0, expected a list of 1 to 65536 column names",
        ),
        (
            "a column twice",
            columns(json!(["rain", "rain"])),
            "`input.columns[1]`: found \"rain\", expected a column name that does not stand twice",
        ),
        (
            "a column without name",
            columns(json!(["rain", ""])),
            "`input.columns[1]`: found \"\", expected a text that is not empty",
        ),
        (
            "no outputs",
            set("/outputs", json!({})),
            "`outputs`: found neither scores nor features, expected `scores`, `features` or both",
        ),
        (
            "another activation",
            set("/outputs/scores/activation", json!("relu")),
            "`outputs.scores.activation`: found \"relu\", expected \"softmax\" or \"sigmoid\"",
        ),
        ("no scale", without("/outputs/scores/as"), "`outputs.scores.as`: found nothing, expected a value"),
        (
            "features without name",
            set("/outputs/features", json!({})),
            "`outputs.features.name`: found nothing, expected a value",
        ),
        (
            "an unknown output",
            set("/outputs/boxes", json!({})),
            "`outputs.boxes`: found an unknown key, expected one of scores, features",
        ),
        (
            "one label",
            set("/labels", json!(["bag"])),
            "`labels`: found a list of 1, expected a list of 2 to 65535 labels",
        ),
        ("no labels for the scores", without("/labels"), "`labels`: found nothing, expected a value"),
        (
            "null as labels for the scores",
            set("/labels", Value::Null),
            "`labels`: found nothing, expected a value",
        ),
        (
            "an embedder's label twice",
            embedder(Some(json!(["bag", "bag"]))),
            "`labels[1]`: found the id \"bag\", which labels[0] has",
        ),
        (
            "an embedder's labels in words",
            embedder(Some(json!("bag, boot"))),
            "`labels`: found \"bag, boot\", expected a list",
        ),
        (
            "more labels than records can tell apart",
            embedder(Some((0..65_536).map(|n| json!(n.to_string())).collect())),
            "`labels`: found a list of 65536, expected a list of at most 65535 labels",
        ),
        (
            "no address of newer models",
            set("/updates", json!(" ")),
            "`updates`: found \" \", expected a text that is not empty",
        ),
        (
            "an empty label",
            set("/labels/1", json!("")),
            "`labels[1]`: found \"\", expected a text that is not empty or an object of id and name",
        ),
        (
            "a number as label",
            set("/labels/1", json!(7)),
            "`labels[1]`: found 7, expected a text that is not empty or an object of id and name",
        ),
        (
            "a label without name",
            set("/labels/0", json!({"id": "bag"})),
            "`labels[0].name`: found nothing, expected a value",
        ),
        (
            "a label with more",
            set("/labels/0/colour", json!("red")),
            "`labels[0].colour`: found an unknown key, expected one of id, name",
        ),
        (
            "a label twice",
            set("/labels", json!(["bag", "bag"])),
            "`labels[1]`: found the id \"bag\", which labels[0] has, expected an id that no other label has",
        ),
        (
            "a cold temperature",
            set("/temperature", json!(0)),
            "`temperature`: found 0, expected a number from 0.05 to 20",
        ),
        (
            "a hot temperature",
            set("/temperature", json!(20.1)),
            "`temperature`: found 20.1, expected a number from 0.05 to 20",
        ),
        (
            "an empty question",
            set("/question", json!("")),
            "`question`: found \"\", expected a text that is not empty",
        ),
        (
            "a licence as list",
            set("/licence", json!(["MIT"])),
            "`licence`: found a list of 1, expected a text that is not empty",
        ),
    ]
}

#[test]
fn parser_and_schema_agree_on_what_is_right() {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (what, manifest) in good() {
        if let Err(problems) = parse(&manifest.to_string()) {
            panic!("{what}: the parser says {problems}");
        }
        let said: Vec<_> = schema.iter_errors(&manifest).map(|why| why.to_string()).collect();
        assert!(said.is_empty(), "{what}: the schema says {said:?}");
    }
    for (what, manifest, expected) in bad() {
        let said = parse(&manifest.to_string()).expect_err(what).to_string();
        assert!(said.starts_with(expected), "{what}: the parser says\n{said}\nnot\n{expected}");
        assert!(!schema.is_valid(&manifest), "{what}: the schema finds nothing wrong");
    }
    assert!(good().len() + bad().len() >= 40);
}

#[test]
fn only_ids_that_stand_beside_differing_names_are_beyond_the_schema() {
    let twice = json!([{"id": "bag", "name": "Bag"}, "bag", {"id": "bag", "name": "Sack"}]);
    let manifest = with(pictures(), "/labels", Some(twice));
    let said = parse(&manifest.to_string()).unwrap_err().to_string();
    assert_eq!(
        said,
        "`labels[1]`: found the id \"bag\", which labels[0] has, expected an id that no other label has\n\
         `labels[2]`: found the id \"bag\", which labels[0] has, expected an id that no other label has"
    );
}

#[test]
fn all_problems_are_reported_at_once() {
    let said = parse(r#"{"schema": "x", "bytes": -1, "input": {"kind": "image"}}"#).unwrap_err();
    let paths: Vec<&str> = said.0.iter().map(|problem| &*problem.path).collect();
    let image = ["width", "height", "channels", "layout", "mean", "std", "resize"];
    let expected: Vec<String> = ["schema", "name", "version", "file", "sha256", "bytes"]
        .map(String::from)
        .into_iter()
        .chain(image.map(|field| format!("input.{field}")))
        .chain(["outputs", "labels"].map(String::from))
        .collect();
    assert_eq!(paths, expected);
}

#[test]
fn what_is_read_is_what_stands_there() {
    let card = parse(&pictures().to_string()).unwrap();
    assert_eq!((&*card.name, &*card.version, card.bytes), ("fashion-cnn", "1", 209_430));
    assert_eq!(card.sha256.to_string(), "ab".repeat(32));
    assert_eq!(card.input.shape(), [1, 1, 28, 28]);
    assert_eq!(card.input_name.as_deref(), Some("image"));
    assert_eq!(card.labels.iter().map(|(_, label)| &*label.name).collect::<Vec<_>>(), ["Bag", "boot"]);
    assert!(matches!(card.input, InputSpec::Image(_)));
    assert!((card.temperature.get() - 1.2).abs() < 1e-6);
    assert_eq!(card.updates.as_deref(), Some("https://models.example.org/fashion-cnn/latest.json"));
}

#[test]
fn a_model_that_starts_from_nothing_leaves_its_answers_to_the_person() {
    let names = |manifest: Value| {
        let card = parse(&manifest.to_string()).unwrap();
        assert_eq!((card.scores, card.features.as_deref()), (None, Some("features")));
        card.labels.iter().map(|(_, label)| label.name.to_string()).collect::<Vec<_>>()
    };
    assert!(names(embedder(None)).is_empty());
    assert_eq!(names(embedder(Some(json!(["bag"])))), ["bag"]);
}

/// A newer model goes on with the items and answers that are there, or says what differs.
#[test]
fn a_newer_model_has_to_read_the_items_and_know_the_labels() {
    let card = |input: Value, labels: &[&str]| {
        let mut json = pictures();
        (json["input"], json["labels"]) = (input, json!(labels));
        parse(&json.to_string()).unwrap()
    };
    let picture = |size: u32| {
        let mut input = pictures()["input"].clone();
        (input["width"], input["height"]) = (json!(size), json!(size));
        input
    };
    let table = |columns: &[&str]| json!({"kind": "numbers", "columns": columns});
    let images = card(picture(28), &["cat", "dog"]);
    let rows = card(table(&["height", "weight"]), &["cat", "dog"]);
    // Pictures are prepared anew; an answer that a person added stays behind the model's.
    let grown = card(picture(28), &["cat", "dog", "fox"]).labels;
    assert_eq!(card(picture(64), &["cat", "dog"]).follows(&grown, &images.input), Ok(()));
    assert_eq!(rows.follows(&rows.labels, &rows.input), Ok(()));
    let bad = [
        (rows.clone(), &images, "input: found a model of rows of numbers, expected one of pictures"),
        (
            card(table(&["weight", "height"]), &["cat", "dog"]),
            &rows,
            "input: found the column \"weight\" at place 0, expected \"height\"",
        ),
        (
            card(table(&["height"]), &["cat", "dog"]),
            &rows,
            "input: found 1 columns, expected 2, as the items have it",
        ),
        (card(picture(28), &["dog", "cat"]), &images, "labels[0]: found \"dog\", expected \"cat\""),
        (
            card(picture(28), &["cat", "dog", "fox"]),
            &images,
            "labels: found \"fox\" beyond the 2 that there are",
        ),
    ];
    for (newer, present, expected) in bad {
        let said = newer.follows(&present.labels, &present.input).unwrap_err();
        assert!(said.starts_with(expected), "{said}, not {expected}");
    }
}
