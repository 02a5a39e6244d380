//! A look over a parsed ONNX file before tract builds it: what would panic there or wrap on 32 bits is
//! refused here by name.
//!
//! Not a proof that the rest is harmless: the worker is the domain in which a hostile model fails.

use std::collections::{BTreeSet, HashSet};

use tract_onnx::model::OnnxOpRegister;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use super::super::error::ModelError;

/// tract multiplies shapes in `usize`: on wasm32 a product above this would wrap.
const MAX_TENSOR_BYTES: u64 = i32::MAX as u64;

/// Branches within branches; prost stops at a hundred messages, which is thirty graphs.
const MAX_DEPTH: usize = 16;

/// Looks over a whole model.
pub(super) fn screen(model: &ModelProto, known: &OnnxOpRegister) -> Result<(), ModelError> {
    let Some(graph) = model.graph.as_ref().filter(|graph| !graph.output.is_empty()) else {
        return Err(ModelError::NotOnnx { found: "a file without an ONNX graph".into() });
    };
    let mut unknown = BTreeSet::new();
    screen_graph(graph, known, &mut unknown, 0)?;
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(ModelError::UnsupportedOperators(unknown.into_iter().collect()))
    }
}

fn screen_graph(
    graph: &GraphProto,
    known: &OnnxOpRegister,
    unknown: &mut BTreeSet<String>,
    depth: usize,
) -> Result<(), ModelError> {
    if depth > MAX_DEPTH {
        return Err(ModelError::BadGraph(format!("more than {MAX_DEPTH} graphs within each other")));
    }
    graph.initializer.iter().try_for_each(screen_tensor)?;
    let mut made: HashSet<&str> = graph.initializer.iter().map(|tensor| &*tensor.name).collect();
    made.extend(graph.input.iter().map(|input| &*input.name));
    for node in &graph.node {
        if !known.0.contains_key(&node.op_type) {
            unknown.insert(node.op_type.clone());
        }
        made.extend(node.output.iter().map(String::as_str));
        for attribute in &node.attribute {
            attribute.t.iter().chain(&attribute.tensors).try_for_each(screen_tensor)?;
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                screen_graph(graph, known, unknown, depth + 1)?;
            }
        }
    }
    // A branch may give out what its surroundings made.
    match graph.output.iter().find(|output| depth == 0 && !made.contains(&*output.name)) {
        Some(output) => Err(ModelError::BadGraph(format!("an output {:?} that no node makes", output.name))),
        None => Ok(()),
    }
}

fn screen_tensor(tensor: &TensorProto) -> Result<(), ModelError> {
    let bad = |found: String| Err(ModelError::BadTensor { tensor: tensor.name.clone(), found });
    if tensor.data_location == Some(DataLocation::External as i32) {
        return bad("its content in another file".into());
    }
    let size: u64 = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Bool | DataType::Uint8 | DataType::Int8) => 1,
        Ok(DataType::Uint16 | DataType::Int16 | DataType::Float16) => 2,
        Ok(DataType::Uint32 | DataType::Int32 | DataType::Float) => 4,
        Ok(DataType::Uint64 | DataType::Int64 | DataType::Double) => 8,
        Ok(DataType::String) if tensor.raw_data.is_empty() => 1,
        Ok(other) => return bad(format!("the type {other:?}, which this engine does not have")),
        Err(_) => return bad(format!("the unknown type {}", tensor.data_type)),
    };
    let bytes = tensor.dims.iter().try_fold(size, |bytes, &dim| bytes.checked_mul(u64::try_from(dim).ok()?));
    match bytes {
        None => bad(format!("the impossible shape {:?}", tensor.dims)),
        Some(bytes) if bytes > MAX_TENSOR_BYTES => bad(format!("{bytes} bytes, too many for a worker")),
        Some(bytes) if !tensor.raw_data.is_empty() && tensor.raw_data.len() as u64 != bytes => {
            bad(format!("{} bytes where its shape {:?} takes {bytes}", tensor.raw_data.len(), tensor.dims))
        }
        Some(_) => Ok(()),
    }
}
