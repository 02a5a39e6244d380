//! Models with a learned head inside, in our engine: they say what the head says beside the model.
//!
//! Every file is also left in cargo's folder for tests' files, under `export/`, with its manifest and what is
//! expected of it: tests/fixtures/check_export.py holds onnxruntime's answers against that.
#![cfg(not(target_arch = "wasm32"))]
#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss, clippy::cast_possible_truncation)]

mod models;

use std::path::Path;

use hitl_labeler::domain::label::{Label, LabelSet};
use hitl_labeler::domain::prediction::{Activation, ScoreScale};
use hitl_labeler::infer::engine::{Rows, TractEngine};
use hitl_labeler::infer::export::{ExportError, HeadKind, HeadParts, Improved, improved_manifest, with_head};
use hitl_labeler::infer::pipeline::Pipeline;
use hitl_labeler::input::card::ModelCard;
use hitl_labeler::input::image::Pixels;
use hitl_labeler::input::{Raw, data_url};
use hitl_labeler::wire::manifest::parse;
use models::{at, decoded, digest, furthest, numbers, read_json, softmax};
use serde_json::{Value, json};

/// A model as it came: manifest, file, items, and the folder that its items' pictures are relative to.
struct Model {
    name: String,
    manifest: String,
    file: Vec<u8>,
    items: Vec<Value>,
    base: String,
}

impl Model {
    /// One of `models/`, with the items of its golden file.
    fn shipped(name: &str) -> Self {
        let manifest = std::fs::read_to_string(at(&format!("models/{name}/model.json"))).unwrap();
        let file = std::fs::read(at(&format!("models/{name}/model.onnx"))).unwrap();
        let base = format!("models/{name}/golden");
        let mut items = read_json(&format!("{base}/golden.json"))["items"].as_array().unwrap().clone();
        // Pictures of 224 × 224 take seconds each here; three tell as much.
        items.truncate(if file.len() > 1_000_000 { 3 } else { usize::MAX });
        Self { name: name.into(), manifest, file, items, base }
    }

    /// One of `tests/fixtures`, with a manifest changed by `edit`.
    fn small(name: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let file = std::fs::read(at(&format!("tests/fixtures/model-{name}.onnx"))).unwrap();
        let mut manifest = json!({
            "schema": "hitl-labeler/model/1", "name": name, "version": "1", "file": "model.onnx",
            "sha256": digest(&file), "bytes": file.len(),
            "input": {"kind": "numbers", "name": "x", "columns": ["a", "b"]},
            "outputs": {
                "scores": {"name": "scores", "as": "logits", "activation": "softmax"},
                "features": {"name": "features"}
            },
            "labels": ["one", "two", "three"]
        });
        edit(&mut manifest);
        let rows = [[1.0, 3.0], [-2.0, 0.5], [0.0, 0.0], [10.0, -10.0], [0.3, -0.7]];
        let items = rows.map(|row| json!({"numbers": row})).to_vec();
        Self { name: name.into(), manifest: manifest.to_string(), file, items, base: String::new() }
    }

    /// The same model, its scores said to be another output.
    fn with_scores(mut self, name: &str, scale: &str, activation: &str) -> Self {
        let mut manifest: Value = serde_json::from_str(&self.manifest).unwrap();
        manifest["outputs"]["scores"] = json!({"name": name, "as": scale, "activation": activation});
        self.manifest = manifest.to_string();
        self
    }

    fn card(&self) -> ModelCard {
        parse(&self.manifest).unwrap()
    }

    fn pipeline(&self) -> Pipeline<TractEngine> {
        Pipeline::load(&self.card(), self.file.clone(), || 0.0).unwrap().0
    }

    /// Scores and features of each item.
    fn rows(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        let mut pipeline = self.pipeline();
        let mut answer = |item: &Value| {
            let mut rows = Rows { scores: vec![], features: Some(vec![]) };
            if let Some(row) = item.get("numbers") {
                pipeline.predict(Raw::Numbers(&numbers(row)), &mut rows).unwrap();
            } else {
                let url = item["image"].as_str().unwrap();
                let picture =
                    data_url::bytes(url).unwrap_or_else(|| std::fs::read(at(&self.base).join(url)).unwrap());
                let (width, height, rgba) = decoded(&picture);
                pipeline.predict(Raw::Pixels(Pixels { width, height, rgba: &rgba }), &mut rows).unwrap();
            }
            (rows.scores, rows.features.unwrap())
        };
        self.items.iter().map(&mut answer).collect()
    }

    /// The model with a head inside, as a visitor would have it: a file and its manifest.
    fn improved(&self, head: &Head, t: f32) -> Self {
        let improved = with_head(&self.file, &self.card(), &head.parts(), t, &[("answers", "60")]).unwrap();
        let labels = labels(&self.card(), head.labels);
        let manifest = improved_manifest(&self.manifest, &improved, "improved.onnx", 60, &labels).unwrap();
        Self {
            manifest,
            file: improved.file,
            name: self.name.clone(),
            items: self.items.clone(),
            base: self.base.clone(),
        }
    }

    fn refusal(&self, head: &Head, t: f32) -> ExportError {
        with_head(&self.file, &self.card(), &head.parts(), t, &[]).unwrap_err()
    }

    /// Leaves the model for check_export.py.
    fn leave(&self, what: &str, probabilities: &[Vec<f32>], tolerance: f32) {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("export").join(format!("{}-{what}", self.name));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("model.json"), &self.manifest).unwrap();
        std::fs::write(folder.join(self.card().file), &self.file).unwrap();
        let mut items = self.items.clone();
        for (item, expected) in items.iter_mut().zip(probabilities) {
            if let Some(url) = item["image"].as_str().filter(|url| !url.starts_with("data:")) {
                item["image"] = at(&self.base).join(url).to_str().unwrap().into();
            }
            item["probabilities"] = json!(expected);
        }
        let expected = json!({"tolerance": tolerance, "items": items}).to_string();
        std::fs::write(folder.join("expected.json"), expected).unwrap();
    }
}

/// The card's labels, and more if the head knows more.
fn labels(card: &ModelCard, count: usize) -> LabelSet {
    let known = card.labels.iter().map(|(_, label)| label.clone());
    let more = (card.labels.len()..count).map(|at| {
        let name = format!("label {at}");
        Label { id: name.as_str().into(), name: name.into() }
    });
    LabelSet::new(known.chain(more).collect()).unwrap()
}

/// A head that owns its numbers.
#[derive(Clone)]
struct Head {
    kind: HeadKind,
    labels: usize,
    features: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    fn parts(&self) -> HeadParts<'_> {
        let Self { kind, labels, features, weights, bias } = self;
        HeadParts { kind: *kind, labels: *labels, features: *features, weights, bias }
    }

    /// Weights within ±`size` and biases within ±1, the same every time.
    fn random(kind: HeadKind, labels: usize, features: usize, size: f32) -> Self {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            // xorshift64*, Vigna 2016.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        let width = if kind == HeadKind::Linear { features } else { 1 };
        let weights = (0..labels * width).map(|_| next() * size).collect();
        Self { kind, labels, features, weights, bias: (0..labels).map(|_| next()).collect() }
    }

    /// The greatest weight.
    fn size(&self) -> f32 {
        self.weights.iter().fold(0.0, |most, weight| most.max(weight.abs()))
    }

    fn zero(kind: HeadKind, labels: usize, features: usize) -> Self {
        Self::random(kind, labels, features, 0.0).without_bias()
    }

    fn without_bias(mut self) -> Self {
        self.bias.fill(0.0);
        self
    }

    /// Logits of one item, in f64 and on the way that the page takes.
    fn logits(&self, scores: &[f32], features: &[f32], card: &ModelCard, t: f32) -> Vec<f64> {
        let own = |at: usize| match &card.scores {
            None => 0.0,
            Some(said) => match (f64::from(scores[at]), said.scale, said.activation) {
                (z, ScoreScale::Logits, _) => z,
                (p, _, Activation::Softmax) => p.max(1e-12).ln(),
                (p, _, Activation::Sigmoid) => {
                    let p = p.clamp(1e-12, 1.0 - 1e-12);
                    (p / (1.0 - p)).ln()
                }
            },
        };
        // What the model does not score begins at its least logit.
        let base = |at: usize| match scores.len() {
            0 => own(at),
            width if at < width => own(at),
            width => (0..width).map(own).fold(f64::INFINITY, f64::min),
        };
        let one = |at: usize| {
            let bias = f64::from(self.bias[at]);
            let moved = match self.kind {
                HeadKind::Linear => {
                    assert_eq!(features.len(), self.features);
                    let row = &self.weights[at * self.features..(at + 1) * self.features];
                    let dot: f64 = row.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                    base(at) + dot + bias
                }
                HeadKind::VectorScaling => (1.0 + f64::from(self.weights[at])) * base(at) + bias,
            };
            moved / f64::from(t)
        };
        (0..self.labels).map(one).collect()
    }
}

/// Probabilities of logits, or of scores that are on the card's scale.
fn probabilities(scores: &[f32], card: &ModelCard) -> Vec<f32> {
    let said = card.scores.as_ref().unwrap();
    match (said.scale, said.activation) {
        (ScoreScale::Probabilities, _) => scores.to_vec(),
        (_, Activation::Softmax) => softmax(scores),
        (_, Activation::Sigmoid) => scores.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect(),
    }
}

fn activated(logits: &[f64], card: &ModelCard) -> Vec<f32> {
    match card.scores.as_ref().map(|scores| scores.activation) {
        Some(Activation::Sigmoid) => logits.iter().map(|z| (1.0 / (1.0 + (-z).exp())) as f32).collect(),
        _ => softmax(&logits.iter().map(|&z| z as f32).collect::<Vec<_>>()),
    }
}

/// The improved model equals model and head side by side, in probability, and its features are the model's.
#[track_caller]
fn holds(model: &Model, head: &Head, t: f32, what: &str, tolerance: f32) -> Model {
    let (improved, expected) = holds_here(model, head, t, what, tolerance);
    improved.leave(what, &expected, tolerance);
    improved
}

/// Alike, in our engine only.
#[track_caller]
fn holds_here(model: &Model, head: &Head, t: f32, what: &str, tolerance: f32) -> (Model, Vec<Vec<f32>>) {
    let improved = model.improved(head, t);
    let (card, new_card) = (model.card(), improved.card());
    let (mut worst, mut moved, mut expected) = (0.0_f32, 0.0_f32, vec![]);
    for ((scores, features), (new_scores, new_features)) in model.rows().iter().zip(improved.rows()) {
        let said = activated(&head.logits(scores, features, &card, t), &card);
        worst = worst.max(furthest(&probabilities(&new_scores, &new_card), &said));
        if card.scores.is_some() {
            moved = moved.max(furthest(&probabilities(scores, &card), &said[..scores.len()]));
        }
        let scale = features.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        assert!(furthest(&new_features, features) <= 1e-5 * scale, "{}: the features changed", model.name);
        expected.push(said);
    }
    assert!(worst <= tolerance, "{} {what}: off by {worst}", model.name);
    assert!(card.scores.is_none() || moved > 0.05, "{} {what}: the head moves nothing ({moved})", model.name);
    (improved, expected)
}

/// A head that moves the logits of a model by a few units.
fn lively(model: &Model) -> Head {
    let mut pipeline = model.pipeline();
    let mut rows = Rows { scores: vec![], features: Some(vec![]) };
    let features = match model.items[0].get("numbers") {
        Some(row) => {
            pipeline.predict(Raw::Numbers(&numbers(row)), &mut rows).unwrap();
            rows.features.unwrap()
        }
        None => numbers(&model.items[0]["features"]),
    };
    let length = features.iter().map(|x| x * x).sum::<f32>().sqrt();
    Head::random(HeadKind::Linear, model.card().labels.len(), features.len(), 4.0 / length)
}

fn holds_for_a_shipped_model(name: &str) {
    let model = Model::shipped(name);
    let head = lively(&model);
    let improved = holds(&model, &head, 1.7, "linear", 1e-4);
    // What follows from the scores inside the graph is improved too.
    let (said, expected) = (improved.with_scores("probs", "probabilities", "softmax").rows(), model.rows());
    for ((said, _), (scores, features)) in said.iter().zip(&expected) {
        let logits = head.logits(scores, features, &model.card(), 1.7);
        assert!(furthest(said, &activated(&logits, &model.card())) <= 1e-4, "{name}: probs");
    }
    // No head is no change.
    let unchanged = model.improved(&Head::zero(HeadKind::Linear, head.labels, head.features), 1.0);
    for ((scores, features), (before, features_before)) in unchanged.rows().iter().zip(&expected) {
        assert!(furthest(scores, before) <= 1e-6, "{name}: scores without a head");
        assert!(furthest(features, features_before) <= 1e-6, "{name}: features without a head");
    }
}

#[test]
fn fashion_cnn_with_its_head_says_what_the_page_said() {
    holds_for_a_shipped_model("fashion-cnn");
}

#[test]
fn weather_mlp_with_its_head_says_what_the_page_said() {
    holds_for_a_shipped_model("weather-mlp");
}

#[test]
fn efficientnet_lite0_with_its_head_says_what_the_page_said() {
    holds_for_a_shipped_model("efficientnet-lite0");
}

#[test]
fn detypify_with_its_head_says_what_the_page_said() {
    holds_for_a_shipped_model("detypify");
}

#[test]
fn a_model_that_learned_on_its_scores_alone_needs_no_features() {
    for name in ["weather-mlp", "fashion-cnn"] {
        let model = Model::shipped(name);
        let head = Head::random(HeadKind::VectorScaling, model.card().labels.len(), 0, 0.5);
        holds(&model, &head, 0.6, "scaled", 1e-4);
    }
    let scores = json!({"scores": {"as": "probabilities", "activation": "softmax"}});
    let model = Model::small("probabilities", |m| m["outputs"] = scores);
    holds(&model, &Head::random(HeadKind::VectorScaling, 3, 0, 0.5), 0.6, "scaled", 1e-4);
}

#[test]
fn scores_and_features_of_any_shape_and_type_take_a_head() {
    for (name, tolerance) in [
        ("head-bare", 1e-4),
        ("head-axes", 1e-4),
        ("head-late", 1e-4),
        ("head-unknown", 1e-4),
        ("head-f16", 4e-3),
    ] {
        let model = Model::small(name, |_| ());
        holds(&model, &Head::random(HeadKind::Linear, 3, 4, 2.0), 1.7, "linear", tolerance);
        holds(&model, &Head::random(HeadKind::VectorScaling, 3, 0, 0.8), 0.5, "scaled", tolerance);
    }
}

#[test]
fn probabilities_stay_probabilities_in_every_opset() {
    for (name, activation) in [
        ("head-softmax", "softmax"),
        ("head-sigmoid", "sigmoid"),
        ("head-certain", "sigmoid"),
        ("head-opset7", "softmax"),
        ("head-opset21", "softmax"),
    ] {
        let model = Model::small(name, |_| ()).with_scores("p", "probabilities", activation);
        let linear = Head::random(HeadKind::Linear, 3, 4, 2.0);
        let scaling = Head::random(HeadKind::VectorScaling, 3, 0, 0.8);
        if name == "head-certain" {
            // Of a sigmoid's p near 1, f32 has lost the logit: one unit in its last place, by which engines
            // differ, may move the new probability far.
            holds_here(&model, &linear, 1.7, "linear", 1e-4);
            holds_here(&model, &scaling, 3.0, "scaled", 1e-4);
        } else {
            holds(&model, &linear, 1.7, "linear", 1e-4);
            holds(&model, &scaling, 3.0, "scaled", 1e-4);
        }
        // Probabilities of 0 and 1 come back from their logits.
        let unchanged = model.improved(&Head::zero(HeadKind::Linear, 3, 4), 1.0);
        for ((said, _), (before, _)) in unchanged.rows().iter().zip(model.rows()) {
            assert!(furthest(said, &before) <= 1e-6, "{name}");
        }
    }
}

#[test]
fn features_that_follow_from_the_scores_stay_those_that_the_head_was_learned_on() {
    let model = Model::small("good", |_| ());
    holds(&model, &Head::random(HeadKind::Linear, 3, 3, 1.0), 1.7, "linear", 1e-4);
    // The same output as scores and as features: it can only be one of them afterwards.
    let both = Model::small("probabilities", |m| {
        m["outputs"] = json!({"scores": {"name": "p", "as": "probabilities", "activation": "softmax"}, "features": {"name": "p"}});
    });
    let head = Head::random(HeadKind::Linear, 3, 3, 3.0);
    let improved = both.improved(&head, 1.0);
    for ((said, _), (p, features)) in improved.rows().iter().zip(both.rows()) {
        let expected = activated(&head.logits(&p, &features, &both.card(), 1.0), &both.card());
        assert!(furthest(said, &expected) <= 1e-4);
    }
}

#[test]
fn a_model_without_scores_gets_an_output_for_those_it_has_learned() {
    let model = Model::small("head-embedder", |m| m["outputs"] = json!({"features": {"name": "features"}}));
    let improved = holds(&model, &Head::random(HeadKind::Linear, 5, 4, 2.0), 1.2, "linear", 1e-4);
    let card = improved.card();
    // A tensor inside is called "scores" already.
    assert_eq!(card.scores.unwrap().name.as_deref(), Some("scores/2"));
    assert_eq!(card.labels.len(), 5);
    assert_eq!(card.labels.iter().last().unwrap().1.id.as_ref(), "label 4");
}

#[test]
fn labels_that_were_added_in_the_page_are_in_the_file_beside_the_models_own() {
    let fashion = Model::shipped("fashion-cnn");
    let of_features = lively(&fashion);
    let more = Head::random(HeadKind::Linear, 12, of_features.features, of_features.size());
    let improved = holds(&fashion, &more, 1.3, "linear-added", 1e-4);
    assert_eq!((improved.card().labels.len(), fashion.card().labels.len()), (12, 10));
    // The scores that others read are where they were.
    assert_ne!(improved.card().scores.unwrap().name, fashion.card().scores.unwrap().name);
    // And the file can be improved again, with no label more.
    holds(
        &improved,
        &Head::random(HeadKind::Linear, 12, more.features, more.size()),
        0.9,
        "linear-added-twice",
        1e-4,
    );
    let weather = Model::shipped("weather-mlp");
    holds(&weather, &Head::random(HeadKind::VectorScaling, 6, 0, 0.8), 0.7, "scaling-added", 1e-4);
}

#[test]
fn an_improved_model_can_be_improved_again() {
    let model = Model::shipped("weather-mlp");
    let first = holds(&model, &lively(&model), 1.7, "linear", 1e-4);
    let second = Head::random(HeadKind::Linear, 5, 16, 0.3);
    let twice = holds(&first, &second, 0.8, "linear-twice", 1e-4);
    assert_eq!(twice.card().version, "1.0.0+head.60.head.60");
}

#[test]
fn the_manifest_of_an_improved_model_differs_where_the_model_does() {
    for name in ["fashion-cnn", "weather-mlp", "efficientnet-lite0", "detypify"] {
        let model = Model::shipped(name);
        let mut card = model.card();
        let improved = Improved { file: b"a file of its own".to_vec(), scores: "logits".into() };
        let told =
            improved_manifest(&model.manifest, &improved, "model+head.12.onnx", 12, &card.labels).unwrap();
        let new = parse(&told).unwrap();
        assert_eq!(new.sha256.to_string(), digest(&improved.file));
        card.version = "1.0.0+head.12".into();
        card.file = "model+head.12.onnx".into();
        card.bytes = 17;
        card.sha256 = new.sha256;
        // An address relative to the old place.
        card.card = None;
        assert_eq!(new, card);
    }
    // The temperature is inside.
    let warm = Model::small("good", |m| m["temperature"] = json!(2.5));
    let again = warm.improved(&Head::zero(HeadKind::Linear, 3, 3), 2.5);
    assert!((again.card().temperature.get() - 1.0).abs() < f32::EPSILON);
    let nothing = Improved { file: vec![], scores: String::new() };
    let said = improved_manifest("{}", &nothing, "f", 1, &LabelSet::default()).unwrap_err();
    assert!(matches!(&said, ExportError::Manifest(why) if why.contains("schema")), "{said}");
}

/// Whether `part` stands in `whole` as it is.
fn has(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_the_engine_does_not_know_of_a_file_is_still_in_it() {
    let model = Model::small("head-unknown", |_| ());
    let head = Head::random(HeadKind::Linear, 3, 4, 2.0);
    let notes = [("answers", "60"), ("hitl-labeler.head", "{\"version\":3}")];
    let improved = with_head(&model.file, &model.card(), &head.parts(), 1.0, &notes).unwrap();
    for kept in ["by the graph", "by the node", "by the model", "rows"] {
        assert!(has(&improved.file, kept.as_bytes()), "{kept}");
    }
    let entry = |key: &str, value: &str| {
        let field = |tag: u8, text: &str| [&[tag, text.len() as u8], text.as_bytes()].concat();
        [field(0x0a, key), field(0x12, value)].concat()
    };
    assert!(has(&model.file, &entry("answers", "0")) && !has(&improved.file, &entry("answers", "0")));
    for (key, value) in notes {
        assert!(has(&improved.file, &entry(key, value)), "{key}");
    }
}

#[test]
fn a_head_that_is_not_the_models_is_refused() {
    let model = Model::shipped("weather-mlp");
    let right = lively(&model);
    let said = |edit: fn(&mut Head)| {
        let mut head = right.clone();
        edit(&mut head);
        model.refusal(&head, 1.0).to_string()
    };
    let fewer = said(|head| *head = Head::random(HeadKind::Linear, 4, 16, 1.0));
    assert_eq!(fewer, "found a head with 4 labels, expected the model's 5 or more");
    let narrower = said(|head| *head = Head::random(HeadKind::Linear, 5, 8, 1.0));
    assert_eq!(narrower, "found a head with rows of 8 for the features \"features\", expected rows of 16");
    let cut = said(|head| head.weights.truncate(79));
    assert_eq!(cut, "found a head with 79 weights and 5 biases, expected 5 × 16 and 5");
    let broken = said(|head| head.bias[2] = f32::NAN);
    assert_eq!(broken, "found a head with numbers that are not finite, expected finite ones");
    for t in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(matches!(model.refusal(&right, t), ExportError::Head { .. }), "{t}");
    }
    let blind = Model::small("head-late", |m| {
        m["outputs"] = json!({"scores": {"name": "scores", "as": "logits", "activation": "softmax"}})
    });
    let said = blind.refusal(&Head::random(HeadKind::Linear, 3, 4, 1.0), 1.0).to_string();
    assert_eq!(
        said,
        "found a head with weights for features, expected a model that has features; this one has none"
    );
    let embedder =
        Model::small("head-embedder", |m| m["outputs"] = json!({"features": {"name": "features"}}));
    let said = embedder.refusal(&Head::random(HeadKind::VectorScaling, 3, 0, 1.0), 1.0).to_string();
    assert_eq!(
        said,
        "found a head with weights for scores, expected a model that has scores; this one has none"
    );
    // Nobody could start from it: a manifest with scores names two labels or more.
    let said = embedder.refusal(&Head::random(HeadKind::Linear, 1, 4, 1.0), 1.0).to_string();
    assert!(said.starts_with("found a head with one label, expected two or more"), "{said}");
}

#[test]
fn a_graph_that_has_no_place_for_a_head_is_refused() {
    let scaling = |labels| Head::random(HeadKind::VectorScaling, labels, 0, 1.0);
    let only = |name: &str, output: &str| {
        let scores = json!({"scores": {"name": output, "as": "logits", "activation": "softmax"}});
        Model::small(name, |m| m["outputs"] = scores)
    };
    let mut input = only("head-input", "x");
    input.manifest = input.manifest.replace(",\"three\"", "");
    let said = input.refusal(&scaling(2), 1.0).to_string();
    assert_eq!(
        said,
        "found scores \"x\" that no node makes: an input or a constant, expected scores that the model computes"
    );
    let said = only("head-int", "scores").refusal(&scaling(3), 1.0).to_string();
    assert_eq!(said, "found scores \"scores\" of Int64, expected floating-point numbers");
    let mut old = only("head-opset6", "scores");
    old.manifest = old.manifest.replace(",\"three\"", "");
    let said = old.refusal(&scaling(2), 1.0).to_string();
    assert_eq!(said, "found operators of opset 6, expected opset 7 or later; export the model again");
    let branch = Model::small("head-branch", |_| ()).refusal(&Head::random(HeadKind::Linear, 3, 3, 1.0), 1.0);
    assert!(branch.to_string().contains("inside a node of type If"), "{branch}");
    // Weights in another file would not come along.
    let outside = only("external", "scores").refusal(&scaling(3), 1.0).to_string();
    assert!(outside.contains("its content in another file"), "{outside}");
    // The address holds another model by now.
    let mut other = only("good", "scores");
    other.file = std::fs::read(at("tests/fixtures/model-head-late.onnx")).unwrap();
    let said = other.refusal(&scaling(3), 1.0).to_string();
    assert!(said.contains("the manifest belongs to another file"), "{said}");
}
