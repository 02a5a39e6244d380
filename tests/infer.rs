//! Real models in tract against onnxruntime's answers, and models that are wrong.
#![cfg(not(target_arch = "wasm32"))]
#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss)]

mod models;

use hitl_labeler::domain::item::{AsideReason, Failed};
use hitl_labeler::domain::prediction::Prediction;
use hitl_labeler::infer::engine::{Rows, TractEngine};
use hitl_labeler::infer::error::ModelError;
use hitl_labeler::infer::pipeline::Pipeline;
use hitl_labeler::input::card::ModelCard;
use hitl_labeler::input::image::Pixels;
use hitl_labeler::input::{Raw, data_url};
use hitl_labeler::wire::manifest::parse;
use hitl_labeler::wire::worker::Loaded;
use models::{at, decoded, digest, furthest, numbers, read_json, softmax};
use serde_json::{Value, json};

/// A model of `models/`, ready to predict.
struct Model {
    name: &'static str,
    card: ModelCard,
    pipeline: Pipeline<TractEngine>,
    loaded: Loaded,
}

impl Model {
    fn load(name: &'static str) -> Self {
        let card =
            parse(&std::fs::read_to_string(at(&format!("models/{name}/model.json"))).unwrap()).unwrap();
        let file = std::fs::read(at(&format!("models/{name}/{}", card.file))).unwrap();
        let (pipeline, loaded) = Pipeline::load(&card, file, || 0.0).unwrap();
        Self { name, card, pipeline, loaded }
    }

    fn golden(&self, file: &str) -> Value {
        read_json(&format!("models/{}/golden/{file}", self.name))
    }

    /// Scores and features of an item as the item files have it; pictures are relative to `base`.
    fn rows(&mut self, item: &Value, base: &str) -> Rows {
        let mut rows = Rows { scores: vec![], features: Some(vec![]) };
        if let Some(row) = item.get("numbers") {
            self.pipeline.predict(Raw::Numbers(&numbers(row)), &mut rows).unwrap();
        } else {
            let url = item["image"].as_str().unwrap();
            let file = data_url::bytes(url).unwrap_or_else(|| std::fs::read(at(base).join(url)).unwrap());
            let (width, height, rgba) = decoded(&file);
            self.pipeline.predict(Raw::Pixels(Pixels { width, height, rgba: &rgba }), &mut rows).unwrap();
        }
        rows
    }

    fn predict(&mut self, item: &Value, base: &str) -> (Prediction, Vec<f32>) {
        let rows = self.rows(item, base);
        let scores = self.card.scores.as_ref().unwrap();
        let said =
            Prediction::from_scores(&rows.scores, scores.scale, scores.activation, self.card.temperature);
        (said.unwrap(), softmax(&rows.scores))
    }

    /// Every item of golden.json: probabilities and features as onnxruntime gave them.
    fn equals_its_goldens(&mut self) {
        let golden = self.golden("golden.json");
        let tolerance = golden["tolerance"]["probabilities"].as_f64().unwrap();
        assert!(tolerance <= 1e-4);
        let base = match self.name {
            "fashion-cnn" | "weather-mlp" => String::new(),
            _ => format!("models/{}/golden", self.name),
        };
        for item in golden["items"].as_array().unwrap() {
            let rows = self.rows(item, &base);
            let said = softmax(&rows.scores);
            let off = furthest(&said, &numbers(&item["probabilities"]));
            assert!(
                f64::from(off) <= tolerance,
                "{} {}: probabilities are off by {off}",
                self.name,
                item["id"]
            );
            let (features, expected) = (rows.features.unwrap(), numbers(&item["features"]));
            let scale = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            let off = furthest(&features, &expected) / scale;
            assert!(off <= 1e-4, "{} {}: features are off by {off} of the greatest", self.name, item["id"]);
        }
    }

    /// Every item of the demo's set: probabilities, and how many each threshold settles.
    fn equals_its_whole_set(&mut self, counts: &[(f32, u64)]) {
        let description = self.golden("probabilities.json");
        let path = format!("models/{}/golden/probabilities.bin", self.name);
        let expected: Vec<f32> = std::fs::read(at(&path))
            .unwrap()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let items = std::fs::read_to_string(at(description["items"].as_str().unwrap())).unwrap();
        let labels = self.card.labels.len();
        let mut confidences = vec![];
        for (line, expected) in items.lines().zip(expected.chunks_exact(labels)) {
            let item: Value = serde_json::from_str(line).unwrap();
            let (prediction, said) = self.predict(&item, "");
            let off = furthest(&said, expected);
            assert!(off <= 1e-4, "{}: probabilities are off by {off}", item["id"]);
            confidences.push(prediction.confidence.get());
        }
        assert_eq!(confidences.len() * labels, expected.len());
        let settled = |threshold| confidences.iter().filter(|c| **c >= threshold).count() as u64;
        for &(threshold, count) in counts {
            assert_eq!(settled(threshold), count, "settled at {threshold}");
        }
        for row in description["thresholds"].as_array().unwrap() {
            #[allow(clippy::cast_possible_truncation)]
            let threshold = row["accept_at"].as_f64().unwrap() as f32;
            assert_eq!(settled(threshold), row["settled"].as_u64().unwrap(), "settled at {threshold}");
        }
    }
}

#[test]
fn fashion_cnn_settles_what_onnxruntime_settles() {
    let mut model = Model::load("fashion-cnn");
    assert_eq!((model.loaded.labels, model.loaded.features), (10, 64));
    model.equals_its_whole_set(&[(0.90, 730), (0.95, 652), (0.50, 979)]);
    model.equals_its_goldens();
}

#[test]
fn weather_mlp_equals_onnxruntime_over_its_whole_set() {
    let mut model = Model::load("weather-mlp");
    model.equals_its_whole_set(&[]);
    model.equals_its_goldens();
}

#[test]
fn efficientnet_lite0_equals_onnxruntime() {
    Model::load("efficientnet-lite0").equals_its_goldens();
}

/// The model has no scores: its labels are the person's.
#[test]
fn an_embedder_gives_the_features_that_onnxruntime_gives_and_nothing_else() {
    let mut model = Model::load("effnet-lite0-b10");
    assert_eq!((model.loaded.labels, model.loaded.features), (0, 112));
    let golden = model.golden("golden.json");
    let tolerance = golden["tolerance"]["features_of_the_greatest"].as_f64().unwrap();
    let items = golden["items"].as_array().unwrap();
    assert!(tolerance <= 1e-4 && items.len() >= 3);
    for item in items {
        let rows = model.rows(item, "models/effnet-lite0-b10/golden");
        let (features, expected) = (rows.features.unwrap(), numbers(&item["features"]));
        assert_eq!((rows.scores.len(), features.len()), (0, 112));
        let greatest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let off = furthest(&features, &expected) / greatest;
        assert!(f64::from(off) <= tolerance, "{}: features are off by {off} of the greatest", item["id"]);
    }
}

#[test]
fn detypify_equals_onnxruntime() {
    Model::load("detypify").equals_its_goldens();
}

/// A small model of `tests/fixtures` with a manifest that fits, changed by `edit`.
fn fixture(name: &str, edit: impl FnOnce(&mut Value)) -> Result<Pipeline<TractEngine>, ModelError> {
    let file = std::fs::read(at(&format!("tests/fixtures/model-{name}.onnx"))).unwrap();
    let digest = digest(&file);
    let mut manifest = json!({
        "schema": "hitl-labeler/model/1", "name": name, "version": "1", "file": "model.onnx",
        "sha256": digest, "bytes": file.len(),
        "input": {"kind": "numbers", "columns": ["a", "b"]},
        "outputs": {"scores": {"as": "logits", "activation": "softmax"}},
        "labels": ["one", "two", "three"]
    });
    edit(&mut manifest);
    Pipeline::load(&parse(&manifest.to_string()).unwrap(), file, || 0.0).map(|(pipeline, _)| pipeline)
}

/// What is said of a model that cannot be used: code and message.
fn refusal(name: &str, edit: impl FnOnce(&mut Value)) -> (String, String) {
    let fault = fixture(name, edit).map(|_| ()).unwrap_err().fault();
    (fault.code, fault.message)
}

fn as_it_is(_: &mut Value) {}

#[test]
fn a_small_model_gives_scores_and_features() {
    let mut pipeline = fixture("good", |m| {
        m["outputs"]["scores"]["name"] = json!("scores");
        m["outputs"]["features"] = json!({"name": "features"});
    })
    .unwrap();
    let mut rows = Rows { scores: vec![], features: Some(vec![]) };
    pipeline.predict(Raw::Numbers(&[1.0, 3.0]), &mut rows).unwrap();
    assert_eq!(rows.scores, [1.0, 3.0, -1.0]);
    assert_eq!(rows.features, Some(vec![1.0, 3.0, 0.0]));
    let too_short = pipeline.predict(Raw::Numbers(&[1.0]), &mut rows);
    assert_eq!(too_short, Err(Failed::Unreadable(AsideReason::WrongColumns { found: 1, expected: 2 })));
}

#[test]
fn the_only_output_beside_the_features_is_the_scores() {
    let features = |m: &mut Value| m["outputs"]["features"] = json!({"name": "features"});
    assert!(fixture("good", features).is_ok());
    assert_eq!(
        refusal("good", as_it_is).1,
        "`outputs.scores.name`: found a graph with the outputs scores, features, expected exactly one output, or its name here"
    );
    assert_eq!(
        refusal("good", |m| m["outputs"]["scores"]["name"] = json!("logits")).1,
        "`outputs.scores.name`: found a graph with the outputs scores, features, expected an output called \"logits\""
    );
}

#[test]
fn a_changed_or_shortened_file_is_not_loaded() {
    let (code, said) = refusal("probabilities", |m| m["sha256"] = json!("00".repeat(32)));
    assert_eq!(code, "wrong-digest");
    assert!(said.starts_with("`sha256`: found a model file with the SHA-256 "), "{said}");
    let (code, said) = refusal("probabilities", |m| m["bytes"] = json!(100_000));
    assert_eq!(code, "wrong-size");
    assert!(said.contains("expected 100000 bytes; the download was cut off"), "{said}");
}

#[test]
fn what_is_not_onnx_is_told_for_what_it_is() {
    let card = |file: &[u8]| {
        let digest = digest(file);
        let manifest = json!({
            "schema": "hitl-labeler/model/1", "name": "n", "version": "1", "file": "f", "sha256": digest,
            "bytes": file.len(), "input": {"kind": "numbers", "columns": ["a"]},
            "outputs": {"scores": {"as": "logits", "activation": "softmax"}}, "labels": ["one", "two"]
        });
        parse(&manifest.to_string()).unwrap()
    };
    let good = std::fs::read(at("tests/fixtures/model-good.onnx")).unwrap();
    for (file, found) in [
        (&b"<!doctype html><title>404</title>"[..], "an HTML page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
            "a Git LFS pointer in place of the file",
        ),
        (b"PK\x03\x04zip", "a ZIP archive (a PyTorch checkpoint is one)"),
        (&good[..good.len() / 2], "a file that is not ONNX or was cut off"),
        (&[0x3a, 0x00], "a file without an ONNX graph"),
    ] {
        let said = Pipeline::load(&card(file), file.to_vec(), || 0.0).map(|_| ()).unwrap_err();
        assert_eq!(said, ModelError::NotOnnx { found: found.into() });
    }
}

#[test]
fn unsupported_operators_are_all_named() {
    let said = fixture("unsupported", as_it_is).map(|_| ()).unwrap_err();
    assert_eq!(said, ModelError::UnsupportedOperators(vec!["StringNormalizer".into(), "ZipMap".into()]));
}

#[test]
fn the_number_of_labels_is_that_of_the_scores() {
    let said = fixture("probabilities", |m| m["labels"] = json!(["one", "two"])).map(|_| ()).unwrap_err();
    assert_eq!(said, ModelError::LabelCount { found: 3, expected: 2 });
    assert!(said.to_string().starts_with("`labels`: found 2 labels, expected 3, one for each"), "{said}");
}

#[test]
fn an_answer_that_is_not_finite_is_found_before_the_first_item() {
    assert_eq!(refusal("nan", as_it_is).0, "not-finite");
    let mut log = fixture("log", as_it_is).unwrap();
    let mut rows = Rows::default();
    assert!(matches!(log.predict(Raw::Numbers(&[-99.0, 0.0]), &mut rows), Err(Failed::Unpredictable(_))));
    assert!(log.predict(Raw::Numbers(&[1.0, 0.0]), &mut rows).is_ok());
    assert_eq!(rows.scores.len(), 3);
}

#[test]
fn logits_that_are_called_probabilities_are_found() {
    let probabilities = |m: &mut Value| m["outputs"]["scores"]["as"] = json!("probabilities");
    assert!(fixture("probabilities", probabilities).is_ok());
    assert_eq!(refusal("log", probabilities).0, "not-probabilities");
}

#[test]
fn an_input_of_another_shape_or_name_is_told() {
    let (code, said) = refusal("probabilities", |m| m["input"]["columns"] = json!(["a", "b", "c"]));
    assert_eq!(code, "wrong-input-shape");
    assert!(said.starts_with("`input`: found a graph that reads f32 [?, 2], expected f32 [1, 3]"), "{said}");
    let (_, said) = refusal("probabilities", |m| m["input"]["name"] = json!("rows"));
    assert_eq!(said, "`input.name`: found a graph with the input \"x\", expected an input called \"rows\"");
    let (code, said) = refusal("two-inputs", as_it_is);
    assert_eq!(code, "no-such-input");
    assert!(said.contains("a graph with the inputs x, y"), "{said}");
}

#[test]
fn hostile_files_are_refused_by_name() {
    for (name, code, words) in [
        ("wrap", "bad-tensor", "bytes, too many for a worker"),
        ("negative", "bad-tensor", "the impossible shape [-2, 3]"),
        ("short", "bad-tensor", "20 bytes where its shape [2, 3] takes 24"),
        ("external", "bad-tensor", "its content in another file"),
        ("string", "bad-tensor", "the type String"),
        ("orphan", "bad-graph", "an output \"nothing\" that no node makes"),
        ("unresolved", "bad-graph", "elsewhere"),
        ("mismatch", "engine", "a graph that fails in analysing"),
    ] {
        let said = refusal(name, as_it_is);
        assert_eq!(said.0, code, "{name}: {}", said.1);
        assert!(said.1.contains(words), "{name}: {}", said.1);
    }
}

#[test]
fn any_single_broken_byte_is_an_error_or_a_model_but_never_a_hang() {
    // Panics inside tract are caught here as the worker's end catches them in the page; what is counted is
    // that the checks before tract leave few.
    let good = std::fs::read(at("tests/fixtures/model-good.onnx")).unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut panics = vec![];
    for place in 0..good.len() {
        let mut file = good.clone();
        file[place] ^= 0x15;
        let digest = digest(&file);
        let manifest = json!({
            "schema": "hitl-labeler/model/1", "name": "n", "version": "1", "file": "f", "sha256": digest,
            "bytes": file.len(), "input": {"kind": "numbers", "columns": ["a", "b"]},
            "outputs": {"scores": {"name": "scores", "as": "logits", "activation": "softmax"}},
            "labels": ["one", "two", "three"]
        });
        let card = parse(&manifest.to_string()).unwrap();
        if std::panic::catch_unwind(|| Pipeline::load(&card, file, || 0.0).map(|_| ())).is_err() {
            panics.push(place);
        }
    }
    std::panic::set_hook(hook);
    assert!(panics.is_empty(), "tract panicked on a change at {panics:?} of {} bytes", good.len());
}
