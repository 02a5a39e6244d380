//! Runs a graph on one tensor. tract's types never leave `infer`.

mod screen;

use tract_onnx::Onnx;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::error::ModelError;
use crate::input::card::ModelCard;
use crate::wire::worker::Kernel;

/// The rows that a batch of items gave, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Rows of the score output.
    pub scores: Vec<f32>,
    /// Rows of the feature output; `None`: not wanted.
    pub features: Option<Vec<f32>>,
}

/// A model that is ready to run.
pub trait Engine {
    /// Runs one item's tensor and appends its rows.
    ///
    /// # Errors
    /// The engine's own words; what was appended then is undefined.
    fn run(&mut self, tensor: &[f32], rows: &mut Rows) -> Result<(), EngineError>;
}

/// The model failed on just this tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// A graph that tract optimised for this machine and one item at a time.
#[derive(Debug)]
pub struct TractEngine {
    shape: Vec<usize>,
    scores: Option<usize>,
    features: Option<usize>,
    state: TypedSimpleState,
}

type TypedSimpleState =
    tract_onnx::tract_core::plan::SimpleState<TypedFact, Box<dyn tract_onnx::tract_core::ops::TypedOp>>;

/// A graph that was read and agrees with its manifest, not yet optimised.
#[derive(Debug)]
pub struct Analysed {
    model: TypedModel,
    shape: Vec<usize>,
    scores: Option<usize>,
    features: Option<usize>,
}

impl Analysed {
    /// Reads an ONNX file and holds it against its manifest.
    ///
    /// # Errors
    /// Every disagreement between the two, and what tract cannot read.
    pub fn read(card: &ModelCard, onnx_file: &[u8]) -> Result<Self, ModelError> {
        let (onnx, proto) = read(onnx_file)?;
        let parsed = onnx.parse(&proto, None).map_err(failed("reading"))?;
        if !parsed.unresolved_inputs.is_empty() {
            let found =
                format!("nodes that read {}, which no node makes", parsed.unresolved_inputs.join(", "));
            return Err(ModelError::BadGraph(found));
        }
        let (mut outlets, mut paths) = (vec![], vec![]);
        let names = outputs(card, &proto)?;
        for (path, name) in &names {
            outlets.push(parsed.outlets_by_name[name]);
            paths.push(*path);
        }
        let mut model = parsed.model;
        let shape = card.input.shape();
        choose_input(card, &mut model, &shape)?;
        model.select_output_outlets(&outlets).map_err(failed("choosing the outputs"))?;
        let model = model.into_typed().and_then(for_this_machine).and_then(TypedModel::into_decluttered);
        let model = model.map_err(failed("analysing"))?;
        let mut widths = vec![];
        for (at, path) in paths.iter().enumerate() {
            let fact = model.output_fact(at).map_err(failed("analysing"))?;
            let width =
                fact.shape.volume().to_usize().ok().filter(|&width| width > 0 && fact.datum_type.is_number());
            widths.push(width.ok_or_else(|| ModelError::OutputShape { path, found: format!("{fact:?}") })?);
        }
        let mut widths = widths.into_iter();
        let scores = card.scores.as_ref().and_then(|_| widths.next());
        let features = card.features.as_ref().and_then(|_| widths.next());
        match scores {
            Some(found) if found != card.labels.len() => {
                Err(ModelError::LabelCount { found, expected: card.labels.len() })
            }
            _ => Ok(Self { model, shape, scores, features }),
        }
    }

    /// Chooses kernels and packs weights for this machine.
    ///
    /// # Errors
    /// [`ModelError::Engine`].
    pub fn optimised(self) -> Result<TractEngine, ModelError> {
        let Self { model, shape, scores, features } = self;
        let state = model
            .into_optimized()
            .and_then(|model| model.into_runnable())
            .and_then(|plan| plan.spawn())
            .map_err(failed("optimising"))?;
        Ok(TractEngine { shape, scores, features, state })
    }
}

impl TractEngine {
    /// Numbers in a score row; `None` for a model without scores.
    #[must_use]
    pub fn scores(&self) -> Option<usize> {
        self.scores
    }

    /// Numbers in a feature row; `None` for a model without features.
    #[must_use]
    pub fn features(&self) -> Option<usize> {
        self.features
    }
}

impl Engine for TractEngine {
    fn run(&mut self, tensor: &[f32], rows: &mut Rows) -> Result<(), EngineError> {
        let mut run = || -> TractResult<()> {
            let input = Tensor::from_shape(&self.shape, tensor)?;
            let mut outputs = self.state.run(tvec!(input.into()))?.into_iter();
            if self.scores.is_some() {
                append(outputs.next(), &mut rows.scores)?;
            }
            if let (Some(_), Some(rows)) = (self.features, &mut rows.features) {
                append(outputs.next(), rows)?;
            }
            Ok(())
        };
        run().map_err(|why| EngineError(words(&why)))
    }
}

/// An ONNX file that has passed the screen, and what reads its operators.
pub(super) fn read(onnx_file: &[u8]) -> Result<(Onnx, ModelProto), ModelError> {
    let mut onnx = tract_onnx::onnx()
        // Shapes follow from the input's; what the file says of values between names symbolic batches.
        .with_ignore_value_info(true);
    // The browser's build goes without the code of these two (tools/snip-wasm.mjs).
    onnx.op_register.0.retain(|name, _| !matches!(name.as_str(), "DFT" | "STFT"));
    let proto = onnx
        .proto_model_for_read(&mut &*onnx_file)
        .map_err(|_| ModelError::NotOnnx { found: looks_like(onnx_file) })?;
    screen::screen(&proto, &onnx.op_register)?;
    Ok((onnx, proto))
}

/// In a browser, what tract is slow at is replaced; natively it has kernels of its own for every processor.
fn for_this_machine(model: TypedModel) -> TractResult<TypedModel> {
    if cfg!(target_arch = "wasm32") { super::kernels::channels_last(model) } else { Ok(model) }
}

/// The matrix kernels that tract chooses on this machine, by the shapes that tell them apart.
#[must_use]
pub fn kernels() -> Vec<Kernel> {
    let dispatch = tract_linalg::MmmDispatch::native();
    let ask = |purpose: &str, accumulator, m, n| {
        let kernel = dispatch.preferred_kernel(accumulator, Some(m), Some(64), Some(n))?;
        Some(Kernel { purpose: purpose.into(), name: kernel.name().into() })
    };
    [
        ask("f32 matrix × matrix", f32::datum_type(), 64, 64),
        ask("f32 matrix × 8 columns", f32::datum_type(), 64, 8),
        ask("f32 matrix × vector", f32::datum_type(), 64, 1),
        ask("f32 small matrix × vector", f32::datum_type(), 10, 1),
        ask("i32 matrix × matrix", i32::datum_type(), 64, 64),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The graph's outputs that are wanted, scores first: the manifest's field and the name.
pub(super) fn outputs(
    card: &ModelCard,
    proto: &ModelProto,
) -> Result<Vec<(&'static str, String)>, ModelError> {
    let outputs = proto.graph.iter().flat_map(|graph| &graph.output);
    let found: Vec<String> = outputs.map(|output| output.name.clone()).collect();
    let choose = |path, wanted: Option<&String>, others: Vec<&String>| match (wanted, &*others) {
        (Some(name), _) if found.contains(name) => Ok((path, name.clone())),
        (None, [one]) => Ok((path, (*one).clone())),
        _ => Err(ModelError::Output { path, wanted: wanted.cloned(), found: found.clone() }),
    };
    let beside_features = found.iter().filter(|name| card.features.as_ref() != Some(name)).collect();
    let scores =
        card.scores.as_ref().map(|s| choose("outputs.scores.name", s.name.as_ref(), beside_features));
    let features = card.features.as_ref().map(|name| choose("outputs.features.name", Some(name), vec![]));
    scores.into_iter().chain(features).collect()
}

/// Finds the input by name or by being the only one, and gives it the manifest's shape.
fn choose_input(card: &ModelCard, model: &mut InferenceModel, shape: &[usize]) -> Result<(), ModelError> {
    let outlets = model.input_outlets().map_err(failed("reading"))?.to_vec();
    let found: Vec<String> = outlets.iter().map(|outlet| model.node(outlet.node).name.clone()).collect();
    let is_it = match (&*found, &card.input_name) {
        ([one], Some(wanted)) => one == wanted,
        ([_], None) => true,
        // A second input would have to be fed too.
        _ => false,
    };
    if !is_it {
        return Err(ModelError::Input { wanted: card.input_name.clone(), found });
    }
    let declared = model.input_fact(0).map_err(failed("reading"))?;
    let fits_type = declared.datum_type().is_none_or(|dt| dt == f32::datum_type());
    let dims: Vec<Option<i64>> =
        declared.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_i64().ok())).collect();
    let fits_rank =
        if declared.shape.is_open() { dims.len() <= shape.len() } else { dims.len() == shape.len() };
    let fits_dims =
        dims.iter().zip(shape).all(|(dim, &side)| dim.is_none_or(|dim| i64::try_from(side) == Ok(dim)));
    if !(fits_type && fits_rank && fits_dims) {
        let dims: Vec<_> = dims.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect();
        let dt = declared.datum_type().map_or("numbers".into(), |dt| format!("{dt:?}").to_lowercase());
        return Err(ModelError::InputShape {
            found: format!("{dt} [{}]", dims.join(", ")),
            expected: format!("f32 {shape:?}"),
        });
    }
    model.set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape)).map_err(failed("reading"))
}

fn append(output: Option<TValue>, row: &mut Vec<f32>) -> TractResult<()> {
    if let Some(output) = output {
        row.extend_from_slice(output.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?);
    }
    Ok(())
}

fn failed(stage: &'static str) -> impl Fn(TractError) -> ModelError {
    move |why| ModelError::Engine { stage, why: words(&why) }
}

/// The outermost and the innermost reason: between them stand debug dumps of nodes.
fn words(why: &TractError) -> String {
    let short = |text: String| match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let (outer, inner) = (why.to_string(), why.root_cause().to_string());
    if outer == inner { short(outer) } else { format!("{}: {}", short(outer), short(inner)) }
}

/// What a file that is no ONNX graph may be instead.
fn looks_like(file: &[u8]) -> String {
    let start = String::from_utf8_lossy(&file[..file.len().min(200)]).trim_start().to_lowercase();
    match () {
        () if file.is_empty() => "an empty file".into(),
        () if start.starts_with('<') => "an HTML page".into(),
        () if start.starts_with("version https://git-lfs") => "a Git LFS pointer in place of the file".into(),
        () if start.starts_with('{') || start.starts_with('[') => "JSON".into(),
        () if file.starts_with(b"PK\x03\x04") => "a ZIP archive (a PyTorch checkpoint is one)".into(),
        () if file.starts_with(&[0x1f, 0x8b]) => "a gzip archive".into(),
        () if file.get(4..8) == Some(b"TFL3") => "a TensorFlow Lite model".into(),
        () => "a file that is not ONNX or was cut off".into(),
    }
}
