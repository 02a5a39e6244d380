//! The improved model as a file: the graph it came as, with the learned head and the temperature inside.
//!
//! The node that makes the scores gives them under another name; new nodes read them there, apply head and
//! temperature and give the result under the old name. So every output that follows from the scores is the
//! improved one too, and whoever loads the file finds the outputs that it had. The features stay what they
//! were, even where they follow from the scores: the head was learned on those.
//!
//! A head of more labels than the model scores gets an output of its own, since whatever follows from the scores
//! expects them as wide as they are. There a label that the model does not score begins at the least of the
//! item's own logits, as in `domain::learning::head`.
//!
//! Only operators, attributes and broadcasting that opset 7 has and no later one changed are added: `Gemm` with a
//! matrix and a row, `Softmax` along axis 1 of a matrix (before opset 13 it flattened what had more axes),
//! `Relu` in place of `Clip` and `Max`, which changed in opsets 11 and 8, and `GlobalMaxPool` in place of
//! `ReduceMin`, which changed in opset 18.

mod splice;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

use super::engine;
use super::error::ModelError;
use super::pipeline::check_file;
use crate::domain::label::{Label, LabelSet};
use crate::domain::prediction::{Activation, ScoreScale};
use crate::input::card::{Digest, ModelCard, ScoresOutput};
use crate::wire::manifest;
use splice::{Changes, Placed, Renaming};

/// The lowest version of ONNX's operators that a head can be written in: the first with its broadcasting.
const MIN_OPSET: i64 = 7;

/// Below this a probability is taken for this: as `domain::prediction` reads probabilities.
const SMALLEST: f32 = 1e-12;

/// What a head does to a model's logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// logits + features · Wᵀ + b, with one row of W a label; without the first for a model without scores.
    Linear,
    /// (1 + a) ⊙ logits + b, with one number of a and one of b a label.
    VectorScaling,
}

/// A learned head, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadParts<'a> {
    /// What it does.
    pub kind: HeadKind,
    /// How many labels it tells apart.
    pub labels: usize,
    /// Width of the features that it reads; of no meaning for [`HeadKind::VectorScaling`].
    pub features: usize,
    /// W, `labels` rows of `features` numbers one after the other, or a, `labels` numbers.
    pub weights: &'a [f32],
    /// b, `labels` numbers.
    pub bias: &'a [f32],
}

/// A model file with a head inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Improved {
    /// The ONNX file.
    pub file: Vec<u8>,
    /// Name of its score output: the model's own or, for one that came without scores, a new one.
    pub scores: String,
}

/// Why a model cannot be written with its head inside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The file is not the one that the card describes, or not one that the engine reads.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The head and the model do not belong together.
    #[error("found a head with {found}, expected {expected}")]
    Head {
        /// The head's.
        found: String,
        /// The model's.
        expected: String,
    },
    /// The graph is not one that a head can be put into.
    #[error("found {found}, expected {expected}")]
    Graph {
        /// The graph's.
        found: String,
        /// What a head needs.
        expected: &'static str,
    },
    /// The text is no manifest: its problems.
    #[error("found a manifest with problems, expected the one that the model was loaded with:\n{0}")]
    Manifest(String),
}

/// Writes a model with a learned head and a temperature inside.
///
/// The new scores are what the page makes of the old ones: logits z as the card says (ln max(p, 1e-12) or the
/// logit of p for probabilities), the head applied to them and the features, divided by `temperature`, and
/// back on the old scale under the old name. A model without scores gets a new output of logits. `metadata`
/// (key, value) is set in the file.
///
/// Outputs that the scores follow from stay as they are: of a model whose scores are its `probs`, not its
/// `logits`, only the probabilities are improved. And a sigmoid's probability near 1 has lost its logit: another
/// engine, which computes p otherwise in the last place, may differ by more there than it did before.
///
/// # Errors
/// [`ExportError`]: the file is not the card's, or the head does not fit the model, or the graph has no place
/// for it.
pub fn with_head(
    onnx_file: &[u8],
    card: &ModelCard,
    head: &HeadParts<'_>,
    temperature: f32,
    metadata: &[(&str, &str)],
) -> Result<Improved, ExportError> {
    check_head(card, head, temperature)?;
    check_file(card, onnx_file)?;
    let (changes, scores) = {
        // Let go before the file is written: the weights are in it once more.
        let (_, model) = engine::read(onnx_file)?;
        changes(&model, card, head, temperature)?
    };
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let changes = Changes { metadata: metadata.iter().map(entry).collect(), ..changes };
    let file = splice::changed(onnx_file, &changes).ok_or_else(|| ExportError::Graph {
        found: "a file whose fields cannot be told apart".into(),
        expected: "one ONNX graph in a file; export the model again",
    })?;
    Ok(Improved { file, scores })
}

/// The manifest of an improved model: the model's own, with what has changed.
///
/// `file` is the new file's address relative to the manifest's, `answers` how many the head was learned from (the
/// version gets `+head.N`), `labels` the head's: more than the model's if some were added in the page. The
/// temperature is 1, the file divides by it. The addresses of the model card and of newer models are left out: they
/// are relative to the old place.
///
/// # Errors
/// [`ExportError::Manifest`] if `original` is not a manifest.
pub fn improved_manifest(
    original: &str,
    improved: &Improved,
    file: &str,
    answers: usize,
    labels: &LabelSet,
) -> Result<String, ExportError> {
    let card = manifest::parse(original).map_err(|why| ExportError::Manifest(why.to_string()))?;
    let mut told: Value =
        serde_json::from_str(original).map_err(|why| ExportError::Manifest(why.to_string()))?;
    // Build metadata in the sense of semantic versioning; a model may be improved twice.
    let sign = if card.version.contains('+') { '.' } else { '+' };
    // Addresses relative to the old place; and the next model of that place has another head.
    if let Some(fields) = told.as_object_mut() {
        fields.remove("updates");
        fields.remove("card");
    }
    told["version"] = format!("{}{sign}head.{answers}", card.version).into();
    told["file"] = file.into();
    told["sha256"] = Digest(Sha256::digest(&improved.file).into()).to_string().into();
    told["bytes"] = improved.file.len().into();
    told["temperature"] = 1.into();
    match &card.scores {
        Some(_) => told["outputs"]["scores"]["name"] = improved.scores.as_str().into(),
        None => {
            told["outputs"]["scores"] =
                json!({"name": improved.scores, "as": "logits", "activation": "softmax"});
        }
    }
    if card.labels != *labels {
        let label = |label: &Label| json!({"id": &*label.id, "name": &*label.name});
        told["labels"] = labels.iter().map(|(_, each)| label(each)).collect();
    }
    Ok(format!("{told:#}\n"))
}

fn check_head(card: &ModelCard, head: &HeadParts<'_>, temperature: f32) -> Result<(), ExportError> {
    let wrong = |found: String, expected: String| Err(ExportError::Head { found, expected });
    let HeadParts { kind, labels, features, weights, bias } = *head;
    let width = match kind {
        HeadKind::Linear => features,
        HeadKind::VectorScaling => 1,
    };
    if card.scores.is_some() && labels < card.labels.len() {
        return wrong(format!("{labels} labels"), format!("the model's {} or more", card.labels.len()));
    }
    if labels < 2 {
        // Nobody could start from it: there is no question with one answer.
        return wrong(
            if labels == 1 { "one label".into() } else { "no label".to_owned() },
            "two or more: a model tells labels apart; add another answer first".into(),
        );
    }
    if width == 0 || Some(weights.len()) != labels.checked_mul(width) || bias.len() != labels {
        return wrong(
            format!("{} weights and {} biases", weights.len(), bias.len()),
            format!("{labels} × {width} and {labels}"),
        );
    }
    if weights.iter().chain(bias).any(|number| !number.is_finite()) {
        return wrong("numbers that are not finite".into(), "finite ones".into());
    }
    if !(temperature.is_finite() && temperature > 0.0) {
        return wrong(format!("the temperature {temperature}"), "a number above 0".into());
    }
    Ok(())
}

/// All that changes in the model's file but the metadata, and the name of the score output.
fn changes(
    model: &ModelProto,
    card: &ModelCard,
    head: &HeadParts<'_>,
    temperature: f32,
) -> Result<(Changes, String), ExportError> {
    let graph = model
        .graph
        .as_ref()
        .ok_or_else(|| ModelError::NotOnnx { found: "a file without an ONNX graph".into() })?;
    let opset = model.opset_import.iter().find(|set| matches!(&*set.domain, "" | "ai.onnx"));
    let opset = opset.map_or(1, |set| set.version);
    if opset < MIN_OPSET {
        return Err(ExportError::Graph {
            found: format!("operators of opset {opset}"),
            expected: "opset 7 or later; export the model again",
        });
    }
    let mut outputs = engine::outputs(card, model)?.into_iter().map(|(_, name)| name);
    let names = Names::of(graph);
    let scores = match card.scores.as_ref().and_then(|said| Some((said, outputs.next()?))) {
        None => None,
        Some((said, from)) => {
            let source = Source::of(graph, &from, "scores", card.labels.len())?;
            let added = head.labels - card.labels.len();
            let to = if added == 0 { names.free(&format!("{from}/before-head")) } else { from.clone() };
            Some(Scores { said, source, moved: Renaming { from, to }, added })
        }
    };
    let features = card.features.as_ref().and_then(|_| outputs.next());
    let moved = scores.as_ref().filter(|scores| scores.added == 0).map(|scores| &scores.moved);
    let given = moved.map_or_else(|| names.free("scores"), |moved| moved.from.clone());

    let mut writer = Writer { prefix: names.free_folder("head"), nodes: vec![], constants: vec![] };
    let logits = scores.as_ref().map(|scores| writer.logits(scores));
    let rows = match (head.kind, &features) {
        (HeadKind::Linear, Some(name)) => {
            let source = Source::of(graph, name, "features", head.features)?;
            // A model whose features are its scores: the head was learned on what they were before.
            let moved = moved.filter(|moved| moved.from == *name);
            Some(writer.rows(moved.map_or(name, |moved| &moved.to), &source, "features"))
        }
        _ => None,
    };
    let headed = writer.headed(head, rows, logits)?;
    let last = writer.calibrated(headed, temperature, scores.as_ref());
    writer.give(&last, &given);

    let (new, constants) = writer.finished(model.ir_version);
    let nodes = placed(graph, new, moved, features.as_deref())?;
    let rows = scores.as_ref().map(|scores| scores.moved.from.as_str()).or(features.as_deref());
    let outputs = match (moved, rows) {
        (None, Some(rows)) => vec![declared_scores(graph, &given, rows, dim(head.labels))],
        _ => vec![],
    };
    Ok((Changes { nodes, constants, outputs, metadata: vec![] }, given))
}

/// The scores that a model came with.
struct Scores<'a> {
    said: &'a ScoresOutput,
    source: Source,
    /// From the name that others read to the one under which they are before the head; the same name if labels
    /// were added.
    moved: Renaming,
    /// Labels of the head that they do not score.
    added: usize,
}

/// A size as ONNX says it; none that is in memory is too large.
fn dim(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A new output of one row of scores an item, for as many items as another output has rows.
fn declared_scores(graph: &GraphProto, name: &str, rows: &str, labels: i64) -> ValueInfoProto {
    let width = Dimension { value: Some(dimension::Value::DimValue(labels)), ..Dimension::default() };
    // One, if those are no rows.
    let one = Dimension { value: Some(dimension::Value::DimValue(1)), ..Dimension::default() };
    let rows = match declared(graph, rows).and_then(|tensor| tensor.shape.as_ref()) {
        Some(shape) if shape.dim.len() > 1 => shape.dim[0].clone(),
        Some(_) => one,
        None => Dimension::default(),
    };
    let shape = Some(TensorShapeProto { dim: vec![rows, width] });
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape };
    let r#type =
        Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.to_owned(), r#type, ..ValueInfoProto::default() }
}

/// What the graph says of one of its outputs.
fn declared<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a type_proto::Tensor> {
    let output = graph.output.iter().find(|output| output.name == name)?;
    match output.r#type.as_ref()?.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
    }
}

/// A tensor that the head reads.
struct Source {
    r#type: DataType,
    /// Whether it is known to be a matrix of a row an item, not a bare row or one with more axes.
    is_matrix: bool,
    /// Numbers in a row.
    width: i64,
}

impl Source {
    fn of(graph: &GraphProto, name: &str, what: &str, width: usize) -> Result<Self, ExportError> {
        let width = dim(width);
        let tensor = declared(graph, name);
        let r#type = match tensor.map(|tensor| DataType::try_from(tensor.elem_type)) {
            // Nearly all are; a file that does not say gives no other hint.
            None | Some(Ok(DataType::Undefined)) => DataType::Float,
            Some(Ok(
                found @ (DataType::Float | DataType::Float16 | DataType::Double | DataType::Bfloat16),
            )) => found,
            Some(other) => {
                let found = other.map_or("an unknown type".into(), |other| format!("{other:?}"));
                return Err(ExportError::Graph {
                    found: format!("{what} {name:?} of {found}"),
                    expected: "floating-point numbers",
                });
            }
        };
        let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| &*shape.dim);
        let known = |dim: &Dimension| match dim.value {
            Some(dimension::Value::DimValue(size)) => Some(size),
            _ => None,
        };
        if let Some([first, rest @ ..]) = dims
            && let Some(row) = rest.iter().map(known).try_fold(1_i64, |row, dim| row.checked_mul(dim?))
        {
            // A row an item, or one bare row.
            let bare = known(first).and_then(|first| first.checked_mul(row));
            if row != width && bare != Some(width) {
                return Err(ExportError::Head {
                    found: format!("rows of {width} for the {what} {name:?}"),
                    expected: format!("rows of {row}"),
                });
            }
        }
        let is_matrix = matches!(dims, Some([_, row]) if known(row) == Some(width));
        Ok(Self { r#type, is_matrix, width })
    }
}

/// Makes nodes and constants whose names begin with a prefix that no other name has.
struct Writer {
    prefix: String,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer {
    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Adds a node with one output, which bears its name.
    fn node(&mut self, op: &str, inputs: &[&str], name: &str) -> String {
        let name = self.name(name);
        self.nodes.push(NodeProto {
            op_type: op.to_owned(),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            ..NodeProto::default()
        });
        name
    }

    /// Gives the last node an attribute.
    fn attribute(&mut self, name: &str, value: i64) {
        if let Some(node) = self.nodes.last_mut() {
            node.attribute.push(AttributeProto {
                name: name.to_owned(),
                r#type: AttributeType::Int as i32,
                i: value,
                ..AttributeProto::default()
            });
        }
    }

    /// Adds a constant, once; a number if it has no dimensions.
    fn constant(&mut self, name: &str, dims: &[i64], numbers: &[f32]) -> String {
        self.tensor(
            name,
            DataType::Float,
            dims,
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        )
    }

    fn tensor(&mut self, name: &str, data_type: DataType, dims: &[i64], raw_data: Vec<u8>) -> String {
        let name = self.name(name);
        if !self.constants.iter().any(|constant| constant.name == name) {
            let (dims, data_type) = (dims.to_vec(), data_type as i32);
            self.constants.push(TensorProto {
                name: name.clone(),
                dims,
                data_type,
                raw_data,
                ..TensorProto::default()
            });
        }
        name
    }

    fn cast(&mut self, tensor: &str, to: DataType, name: &str) -> String {
        let cast = self.node("Cast", &[tensor], name);
        self.attribute("to", to as i64);
        cast
    }

    /// A tensor as a matrix of f32 with a row an item.
    fn rows(&mut self, tensor: &str, source: &Source, what: &str) -> String {
        let mut rows = tensor.to_owned();
        if !source.is_matrix {
            // Any number of rows, each as long as the head needs them.
            let shape = [-1, source.width].into_iter().flat_map(i64::to_le_bytes).collect();
            let shape = self.tensor(&format!("{what}-as-rows"), DataType::Int64, &[2], shape);
            rows = self.node("Reshape", &[&rows, &shape], &format!("{what}-rows"));
        }
        if source.r#type != DataType::Float {
            rows = self.cast(&rows, DataType::Float, &format!("{what}-f32"));
        }
        rows
    }

    /// A row of logits an item, as `domain::prediction` reads scores.
    fn logits(&mut self, scores: &Scores<'_>) -> String {
        let rows = self.rows(&scores.moved.to, &scores.source, "scores");
        let logits = match (scores.said.scale, scores.said.activation) {
            (ScoreScale::Logits, _) => rows,
            (ScoreScale::Probabilities, Activation::Softmax) => self.logarithm(&rows, "p"),
            (ScoreScale::Probabilities, Activation::Sigmoid) => {
                // 1 - 1e-12 is 1 in f32, so the upper end is bounded by bounding 1 - p.
                let one = self.constant("one", &[], &[1.0]);
                let other = self.node("Sub", &[&one, &rows], "not-p");
                let (yes, no) = (self.logarithm(&rows, "p"), self.logarithm(&other, "not-p"));
                self.node("Sub", &[&yes, &no], "logits")
            }
        };
        self.widened(logits, scores.source.width, scores.added)
    }

    /// Rows of `width` logits with `added` columns behind them, each of the least of its row.
    fn widened(&mut self, logits: String, width: i64, added: usize) -> String {
        if added == 0 {
            return logits;
        }
        let shape = |shape: &[i64]| shape.iter().flat_map(|size| size.to_le_bytes()).collect();
        let pools = self.tensor("as-pools", DataType::Int64, &[3], shape(&[-1, 1, width]));
        let column = self.tensor("as-column", DataType::Int64, &[2], shape(&[-1, 1]));
        let opposite = self.node("Neg", &[&logits], "opposite");
        let opposite = self.node("Reshape", &[&opposite, &pools], "opposite-pools");
        let greatest = self.node("GlobalMaxPool", &[&opposite], "greatest-opposite");
        let greatest = self.node("Reshape", &[&greatest, &column], "greatest-opposite-column");
        let wide = self.constant("minus-one-a-label", &[1, dim(added)], &vec![-1.0; added]);
        let least = self.node("Mul", &[&greatest, &wide], "least");
        let wider = self.node("Concat", &[&logits, &least], "wider-logits");
        self.attribute("axis", 1);
        wider
    }

    /// What the head makes of logits, features or both.
    fn headed(
        &mut self,
        head: &HeadParts<'_>,
        features: Option<String>,
        logits: Option<String>,
    ) -> Result<String, ExportError> {
        let labels = dim(head.labels);
        let bias = self.constant("bias", &[1, labels], head.bias);
        match (head.kind, features, logits) {
            (HeadKind::Linear, Some(features), logits) => {
                let weights = self.constant("weights", &[labels, dim(head.features)], head.weights);
                let moved = self.node("Gemm", &[&features, &weights, &bias], "moved");
                self.attribute("transB", 1);
                Ok(match logits {
                    Some(logits) => self.node("Add", &[&logits, &moved], "moved-logits"),
                    None => moved,
                })
            }
            (HeadKind::VectorScaling, _, Some(logits)) => {
                let scales: Vec<f32> = head.weights.iter().map(|a| 1.0 + a).collect();
                let scales = self.constant("scales", &[1, labels], &scales);
                let scaled = self.node("Mul", &[&logits, &scales], "scaled");
                Ok(self.node("Add", &[&scaled, &bias], "scaled-logits"))
            }
            (kind, ..) => {
                let reads = if kind == HeadKind::Linear { "features" } else { "scores" };
                Err(ExportError::Head {
                    found: format!("weights for {reads}"),
                    expected: format!("a model that has {reads}; this one has none"),
                })
            }
        }
    }

    /// Logits divided by the temperature, on the scale and in the shape of the scores before.
    fn calibrated(&mut self, logits: String, temperature: f32, before: Option<&Scores<'_>>) -> String {
        let temperature = self.constant("temperature", &[], &[temperature]);
        let mut last = self.node("Div", &[&logits, &temperature], "calibrated");
        let Some(before) = before else { return last };
        match (before.said.scale, before.said.activation) {
            (ScoreScale::Logits, _) => {}
            (ScoreScale::Probabilities, Activation::Sigmoid) => {
                last = self.node("Sigmoid", &[&last], "probabilities");
            }
            (ScoreScale::Probabilities, Activation::Softmax) => {
                last = self.node("Softmax", &[&last], "probabilities");
                self.attribute("axis", 1);
            }
        }
        if before.added > 0 {
            return last;
        }
        self.back(last, &before.moved.to, &before.source)
    }

    /// Undoes `rows`: the shape and type that the scores had `before`.
    fn back(&mut self, rows: String, before: &str, source: &Source) -> String {
        let mut tensor = rows;
        if source.r#type != DataType::Float {
            tensor = self.cast(&tensor, source.r#type, "as-before");
        }
        if !source.is_matrix {
            let shape = self.node("Shape", &[before], "shape-before");
            tensor = self.node("Reshape", &[&tensor, &shape], "shaped-as-before");
        }
        tensor
    }

    /// ln max(p, 1e-12).
    fn logarithm(&mut self, p: &str, name: &str) -> String {
        let smallest = self.constant("smallest", &[], &[SMALLEST]);
        let above = self.node("Sub", &[p, &smallest], &format!("{name}-above"));
        let above = self.node("Relu", &[&above], &format!("{name}-above-or-0"));
        let bounded = self.node("Add", &[&above, &smallest], &format!("{name}-bounded"));
        self.node("Log", &[&bounded], &format!("ln-{name}"))
    }

    /// All nodes and constants; before version 4 of the format a constant had to be an input or a node.
    fn finished(self, ir_version: i64) -> (Vec<NodeProto>, Vec<TensorProto>) {
        if ir_version >= 4 {
            return (self.nodes, self.constants);
        }
        let constants = self.constants.into_iter().map(|constant| NodeProto {
            op_type: "Constant".to_owned(),
            output: vec![constant.name.clone()],
            name: constant.name.clone(),
            attribute: vec![AttributeProto {
                name: "value".to_owned(),
                r#type: AttributeType::Tensor as i32,
                t: Some(constant),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        });
        (constants.chain(self.nodes).collect(), vec![])
    }

    /// Gives the last node's output another name.
    fn give(&mut self, last: &str, name: &str) {
        let outputs = self.nodes.last_mut().into_iter().flat_map(|node| &mut node.output);
        outputs.filter(|output| *output == last).for_each(|output| name.clone_into(output));
    }
}

/// Every name that a graph and the graphs in it use.
struct Names(HashSet<String>);

impl Names {
    fn of(graph: &GraphProto) -> Self {
        let mut names = HashSet::new();
        collect(graph, &mut names);
        Self(names)
    }

    /// `wanted`, or the first of `wanted/2`, `wanted/3`, … that is free.
    fn free(&self, wanted: &str) -> String {
        first(wanted, |name| !self.0.contains(name))
    }

    /// Alike, so that no name begins with it and a slash.
    fn free_folder(&self, wanted: &str) -> String {
        first(wanted, |name| {
            let inside = |used: &String| used.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
            !self.0.iter().any(inside)
        })
    }
}

fn first(wanted: &str, is_free: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut next = 2..;
    while !is_free(&name) {
        name = format!("{wanted}/{}", next.next().unwrap_or(usize::MAX));
    }
    name
}

fn collect(graph: &GraphProto, names: &mut HashSet<String>) {
    let infos = graph.input.iter().chain(&graph.output).chain(&graph.value_info).map(|info| &info.name);
    let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
    let sparse = graph.sparse_initializer.iter().filter_map(|tensor| Some(&tensor.values.as_ref()?.name));
    names.extend(infos.chain(tensors).chain(sparse).cloned());
    for node in &graph.node {
        names.insert(node.name.clone());
        names.extend(node.input.iter().chain(&node.output).cloned());
        inner(node).for_each(|graph| collect(graph, names));
    }
}

/// The graphs in a node: branches, bodies of loops.
fn inner(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Every tensor that a node needs, those that its inner graphs take from around them among them.
fn needs<'a>(node: &'a NodeProto, needed: &mut Vec<&'a str>) {
    needed.extend(node.input.iter().map(String::as_str));
    for graph in inner(node) {
        graph.node.iter().for_each(|node| needs(node, needed));
        needed.extend(graph.output.iter().map(|output| output.name.as_str()));
    }
}

/// All nodes in an order in which each comes after what it needs: that of the file, as far as it can be kept.
fn placed(
    graph: &GraphProto,
    new: Vec<NodeProto>,
    renaming: Option<&Renaming>,
    features: Option<&str>,
) -> Result<Vec<Placed>, ExportError> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        makers.extend(node.output.iter().filter(|name| !name.is_empty()).map(|name| (name.as_str(), at)));
    }
    let maker = match renaming {
        None => None,
        Some(Renaming { from, .. }) => {
            Some(*makers.get(from.as_str()).ok_or_else(|| ExportError::Graph {
                found: format!("scores {from:?} that no node makes: an input or a constant"),
                expected: "scores that the model computes",
            })?)
        }
    };
    // Those that the features follow from read what the scores were.
    let before = features.map(|features| followed(graph, &makers, features)).unwrap_or_default();
    let mut order: Vec<Placed> = Vec::with_capacity(graph.node.len() + new.len());
    for (at, node) in graph.node.iter().enumerate() {
        let reads = match renaming.filter(|_| before.contains(&at)) {
            Some(Renaming { from, .. }) => {
                let mut needed = vec![];
                needs(node, &mut needed);
                let all = needed.iter().filter(|name| *name == from).count();
                let direct = node.input.iter().filter(|name| *name == from).count();
                if all > direct {
                    return Err(ExportError::Graph {
                        found: format!(
                            "features that follow from the scores {from:?} inside a node of type {}",
                            node.op_type
                        ),
                        expected: "features that do not, or outside of branches and loops",
                    });
                }
                direct > 0
            }
            None => false,
        };
        let input = renaming.filter(|_| reads).cloned();
        let output = renaming.filter(|_| maker == Some(at)).cloned();
        order.push(match (input, output) {
            (None, None) => Placed::Kept(at),
            (input, output) => Placed::Renamed(at, input, output),
        });
    }
    order.extend(new.into_iter().map(Placed::New));
    sorted(graph, order)
}

/// Positions of the nodes that a tensor follows from.
fn followed(graph: &GraphProto, makers: &HashMap<&str, usize>, tensor: &str) -> HashSet<usize> {
    let (mut followed, mut needed) = (HashSet::new(), vec![tensor]);
    while let Some(name) = needed.pop() {
        if let Some(&at) = makers.get(name)
            && followed.insert(at)
        {
            needs(&graph.node[at], &mut needed);
        }
    }
    followed
}

/// Kahn's algorithm, which always takes the first node of those that could come next.
fn sorted(graph: &GraphProto, nodes: Vec<Placed>) -> Result<Vec<Placed>, ExportError> {
    let rename = |renaming: &Option<Renaming>, name: &str| match renaming {
        Some(Renaming { from, to }) if from == name => to.clone(),
        _ => name.to_owned(),
    };
    let (mut makers, mut reads) = (HashMap::new(), vec![]);
    for (at, placed) in nodes.iter().enumerate() {
        let (node, input, output) = match placed {
            Placed::Kept(at) => (&graph.node[*at], &None, &None),
            Placed::Renamed(at, input, output) => (&graph.node[*at], input, output),
            Placed::New(node) => (node, &None, &None),
        };
        // An optional output that is not wanted has no name.
        let given = node.output.iter().filter(|name| !name.is_empty());
        makers.extend(given.map(|name| (rename(output, name), at)));
        let mut needed = vec![];
        needs(node, &mut needed);
        reads.push(needed.into_iter().map(|name| rename(input, name)).collect::<BTreeSet<_>>());
    }
    let (mut waits_for, mut waiting) = (vec![0_usize; nodes.len()], vec![vec![]; nodes.len()]);
    for (at, reads) in reads.iter().enumerate() {
        let makers: BTreeSet<_> = reads.iter().filter_map(|name| makers.get(name)).copied().collect();
        // What a branch calls like an output of its own node is the branch's.
        for maker in makers.into_iter().filter(|&maker| maker != at) {
            waits_for[at] += 1;
            waiting[maker].push(at);
        }
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|&at| waits_for[at] == 0).collect();
    let mut nodes: Vec<Option<Placed>> = nodes.into_iter().map(Some).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(at) = ready.pop_first() {
        order.extend(nodes[at].take());
        for &after in &waiting[at] {
            waits_for[after] -= 1;
            if waits_for[after] == 0 {
                ready.insert(after);
            }
        }
    }
    if order.len() == nodes.len() {
        Ok(order)
    } else {
        Err(ModelError::BadGraph("nodes that wait for each other".into()).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn node(inputs: &[&str], output: &str) -> NodeProto {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeProto { input, output: vec![output.to_owned()], ..NodeProto::default() }
    }

    /// Outputs in the order of the nodes, under their new names.
    fn order(graph: &[NodeProto], new: Vec<NodeProto>, features: Option<&str>) -> Vec<String> {
        let graph = GraphProto { node: graph.to_vec(), ..GraphProto::default() };
        let moved = Renaming { from: "scores".into(), to: "before".into() };
        let given = |placed: &Placed| match placed {
            Placed::Kept(at) | Placed::Renamed(at, _, None) => graph.node[*at].output[0].clone(),
            Placed::Renamed(.., Some(moved)) => moved.to.clone(),
            Placed::New(node) => node.output[0].clone(),
        };
        placed(&graph, new, Some(&moved), features).unwrap().iter().map(given).collect()
    }

    #[test]
    fn every_node_comes_after_what_it_needs_and_else_where_it_was() {
        let graph = [
            node(&["x"], "a"),
            node(&["a"], "scores"),
            node(&["scores"], "probs"),
            node(&["x"], "features"),
            node(&["probs"], "best"),
            node(&["x"], "else"),
        ];
        let head = vec![node(&["before", "features"], "moved"), node(&["moved"], "scores")];
        assert_eq!(
            order(&graph, head, Some("features")),
            ["a", "before", "features", "else", "moved", "scores", "probs", "best"]
        );
    }

    #[test]
    fn features_that_follow_from_the_scores_do_not_wait_for_the_head() {
        let graph = [node(&["x"], "scores"), node(&["scores"], "probs"), node(&["scores"], "features")];
        let head = vec![node(&["before", "features"], "scores")];
        assert_eq!(order(&graph, head, Some("features")), ["before", "features", "scores", "probs"]);
    }

    #[test]
    fn nodes_that_wait_for_each_other_are_no_graph() {
        let graph = GraphProto { node: vec![node(&["b"], "a"), node(&["a"], "b")], ..GraphProto::default() };
        let said = placed(&graph, vec![], None, None).unwrap_err();
        assert!(matches!(said, ExportError::Model(ModelError::BadGraph(_))), "{said}");
    }

    #[test]
    fn a_constant_is_a_node_where_it_cannot_be_an_initializer() {
        let written = |ir_version| {
            let mut writer = Writer { prefix: "head".into(), nodes: vec![], constants: vec![] };
            let one = writer.constant("one", &[], &[1.0]);
            writer.node("Relu", &[&one], "relu");
            let (nodes, constants) = writer.finished(ir_version);
            (nodes.into_iter().map(|node| node.op_type).collect::<Vec<_>>(), constants.len())
        };
        assert_eq!(written(4), (vec!["Relu".into()], 1));
        assert_eq!(written(3), (vec!["Constant".into(), "Relu".into()], 0));
    }
}
