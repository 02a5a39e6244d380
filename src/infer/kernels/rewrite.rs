//! Finds what can be replaced and decides the layout of every wire.
//!
//! The model is wired anew, node by node. Each wire exists in the model's own layout, with the channels
//! last, or in both; an operator takes the layout it wants, and a wire is turned only where the two meet.

use std::collections::{HashMap, HashSet};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::math::{Add, Max, Min};
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::ops::{DenseConv, DepthwiseConv, LargestOf, Limits, SumPixels};
use super::{dense, depthwise};

/// `model` with its convolutions, matrix products and poolings replaced where that is possible.
///
/// To be called on a typed model with a fixed input shape, before tract declutters it. The outputs keep their
/// shapes, order and labels; their values differ by rounding only.
pub fn channels_last(mut model: TypedModel) -> TractResult<TypedModel> {
    model.prop_consts()?;
    let mut rewrite = Rewrite {
        source: &model,
        target: TypedModel::default(),
        wires: HashMap::new(),
        varying: HashSet::new(),
        absorbed: HashSet::new(),
    };
    // The order of the inputs is part of the model's contract.
    for input in model.input_outlets()? {
        let wire =
            rewrite.target.add_source(&*model.node(input.node).name, model.outlet_fact(*input)?.clone())?;
        rewrite.wires.insert(*input, Wire { first: Some(wire), last: None });
        rewrite.varying.insert(input.node);
    }
    for id in model.eval_order()? {
        let node = model.node(id);
        if node.inputs.iter().any(|input| rewrite.varying.contains(&input.node)) {
            rewrite.varying.insert(id);
        }
        if rewrite.absorbed.contains(&id) || rewrite.wires.contains_key(&OutletId::new(id, 0)) {
            continue;
        }
        if !(rewrite.varying.contains(&id) && rewrite.replace(node)?) {
            rewrite.keep(node)?;
        }
    }
    let mut outputs = TVec::new();
    for old in model.output_outlets()? {
        let new = rewrite.first(*old)?;
        if let Some(label) = model.outlet_label(*old) {
            rewrite.target.set_outlet_label(new, label.to_string())?;
        }
        outputs.push(new);
    }
    rewrite.target.select_output_outlets(&outputs)?;
    rewrite.target.properties = model.properties.clone();
    Ok(rewrite.target)
}

/// One wire of the old model in the new one, in the layouts in which it is there.
#[derive(Clone, Copy, Default)]
struct Wire {
    /// As in the old model: channels first.
    first: Option<OutletId>,
    /// Rank 4 with the channels last.
    last: Option<OutletId>,
}

struct Rewrite<'a> {
    source: &'a TypedModel,
    target: TypedModel,
    wires: HashMap<OutletId, Wire>,
    /// Nodes whose value changes with the model's input.
    varying: HashSet<usize>,
    /// Nodes that became a part of an earlier one.
    absorbed: HashSet<usize>,
}

/// What follows a product and can be done before its result is stored.
struct Tail {
    bias: Option<Arc<Tensor>>,
    shortcut: Option<OutletId>,
    limits: Limits,
    nodes: Vec<usize>,
    end: OutletId,
}

impl Rewrite<'_> {
    /// Wires a replacement of `node`, if there is one.
    fn replace(&mut self, node: &TypedNode) -> TractResult<bool> {
        if node.outputs.len() != 1 || node.outputs[0].fact.datum_type != f32::datum_type() {
            return Ok(false);
        }
        if let Some(op) = node.op_as::<Conv>() {
            return self.convolution(node, op);
        }
        if let Some(op) = node.op_as::<EinSum>() {
            return self.product(node, op);
        }
        if let Some(op) = node.op_as::<MaxPool>() {
            return self.largest(node, op);
        }
        if let Some(op) = node.op_as::<Reduce>() {
            return self.sum(node, op);
        }
        if node.op_is::<ElementWiseOp>() || node.op_is::<TypedBinOp>() {
            return self.element_wise(node);
        }
        Ok(false)
    }

    /// Wires `node` as it is.
    fn keep(&mut self, node: &TypedNode) -> TractResult<()> {
        let wires = if let Some(op) = node.op_as::<Const>() {
            tvec!(self.target.add_const(&*node.name, op.val().clone())?)
        } else {
            let inputs: TVec<OutletId> =
                node.inputs.iter().map(|input| self.first(*input)).collect::<TractResult<_>>()?;
            self.target.wire_node(&*node.name, node.op.clone(), &inputs)?
        };
        for (slot, wire) in wires.into_iter().enumerate() {
            self.wires.insert(OutletId::new(node.id, slot), Wire { first: Some(wire), last: None });
        }
        Ok(())
    }

    fn convolution(&mut self, node: &TypedNode, op: &Conv) -> TractResult<bool> {
        let (Some(shape), Some(weights), Some(bias)) =
            (self.picture(node.inputs[0]), self.constant(node.inputs[1]), self.constant(node.inputs[2]))
        else {
            return Ok(false);
        };
        let known = op.q_params.is_none() && op.kernel_fmt == KernelFormat::OIHW && is_plain(&op.pool_spec);
        let channels_apart = op.group == op.input_channels() && op.group == op.output_channels();
        if !known || (op.group != 1 && !channels_apart) {
            return Ok(false);
        }
        let [n, channels, height, width] = shape;
        let spec = Spec::new(&op.pool_spec, [height, width]);
        let out_channels = op.output_channels();
        let weights = weights.try_as_plain_ram()?.as_slice::<f32>()?;
        let bias = match bias.try_as_plain_ram()?.as_slice::<f32>()? {
            [one] => vec![*one; out_channels],
            all => all.to_vec(),
        };
        let tail = self.tail(node, op.group == 1, None);
        let mut inputs = tvec!(self.last(node.inputs[0])?);
        let op: Box<dyn TypedOp> = if op.group == 1 {
            if let Some(shortcut) = tail.shortcut {
                inputs.push(self.last(shortcut)?);
            }
            let reach = dense::Reach {
                in_width: (spec.output[1] - 1) * spec.stride[1] + spec.kernel[1],
                in_height: (spec.output[0] - 1) * spec.stride[0] + spec.kernel[0],
                in_channels: channels,
                kernel: spec.kernel,
                stride: spec.stride,
                out_height: spec.output[0],
                out_width: spec.output[1],
                out_channels,
            };
            Box::new(DenseConv {
                before: spec.before,
                input: [height, width],
                weights: tensor1(&dense::pack(weights, out_channels, channels, spec.kernel))
                    .into_arc_tensor(),
                bias: tensor1(&dense::pack_bias(&bias, out_channels)).into_arc_tensor(),
                limits: tail.limits,
                output_shape: tvec!(n, spec.output[0], spec.output[1], out_channels),
                reach,
            })
        } else {
            let taps = spec.kernel[0] * spec.kernel[1];
            Box::new(DepthwiseConv {
                weights: tensor1(&depthwise::pack(weights, channels, taps)).into_arc_tensor(),
                bias: tensor1(&bias).into_arc_tensor(),
                limits: tail.limits,
                reach: spec.reach([height, width], channels),
            })
        };
        let wire = self.target.wire_node(&*node.name, op, &inputs)?[0];
        self.finish(tail, Wire { first: None, last: Some(wire) });
        Ok(true)
    }

    /// `[m, k]` times a constant: a convolution of one tap over `m` pixels.
    fn product(&mut self, node: &TypedNode, op: &EinSum) -> TractResult<bool> {
        let (inputs, outputs) = op.axes.to_strs();
        let [a, b] = &*inputs else { return Ok(false) };
        let (Some(matrix), Some([m, k])) = (self.constant(node.inputs[1]), self.table(node.inputs[0])) else {
            return Ok(false);
        };
        let axes: Vec<char> = a.chars().collect();
        let [row, sum] = axes[..] else { return Ok(false) };
        let Some(column) = outputs[0].chars().nth(1) else { return Ok(false) };
        let transposed = *b == String::from_iter([column, sum]);
        let known = op.q_params.is_none()
            && outputs[0] == String::from_iter([row, column])
            && (transposed || *b == String::from_iter([sum, column]))
            && matrix.datum_type() == f32::datum_type();
        if !known {
            return Ok(false);
        }
        let columns = matrix.shape()[if transposed { 0 } else { 1 }];
        let matrix = matrix.try_as_plain_ram()?.as_slice::<f32>()?;
        // `[out, in]`, as a convolution's weights are.
        let weights: Vec<f32> = match transposed {
            true => matrix.to_vec(),
            false => (0..columns).flat_map(|n| (0..k).map(move |i| matrix[i * columns + n])).collect(),
        };
        let tail = self.tail(node, false, Some(columns));
        let bias = match &tail.bias {
            Some(bias) => bias.try_as_plain_ram()?.as_slice::<f32>()?.to_vec(),
            None => vec![0.0; columns],
        };
        let op = DenseConv {
            reach: dense::Reach {
                in_width: m,
                in_height: 1,
                in_channels: k,
                kernel: [1, 1],
                stride: [1, 1],
                out_height: 1,
                out_width: m,
                out_channels: columns,
            },
            before: [0, 0],
            input: [1, m],
            weights: tensor1(&dense::pack(&weights, columns, k, [1, 1])).into_arc_tensor(),
            bias: tensor1(&dense::pack_bias(&bias, columns)).into_arc_tensor(),
            limits: tail.limits,
            output_shape: tvec!(m, columns),
        };
        let input = self.first(node.inputs[0])?;
        let wire = self.target.wire_node(&*node.name, op, &[input])?[0];
        self.finish(tail, Wire { first: Some(wire), last: None });
        Ok(true)
    }

    fn largest(&mut self, node: &TypedNode, op: &MaxPool) -> TractResult<bool> {
        let Some([_, channels, height, width]) = self.picture(node.inputs[0]) else { return Ok(false) };
        if op.with_index_outputs.is_some() || !is_plain(&op.pool_spec) {
            return Ok(false);
        }
        let reach = Spec::new(&op.pool_spec, [height, width]).reach([height, width], channels);
        let input = self.last(node.inputs[0])?;
        let wire = self.target.wire_node(&*node.name, LargestOf { reach }, &[input])?[0];
        self.wires.insert(node.id.into(), Wire { first: None, last: Some(wire) });
        Ok(true)
    }

    fn sum(&mut self, node: &TypedNode, op: &Reduce) -> TractResult<bool> {
        let there = self.wires.get(&node.inputs[0]).and_then(|wire| wire.last);
        let (Some(input), true) = (there, op.reducer == Reducer::Sum && op.axes[..] == [2, 3]) else {
            return Ok(false);
        };
        let wire = self.target.wire_node(&*node.name, SumPixels, &[input])?[0];
        self.wires.insert(node.id.into(), Wire { first: None, last: Some(wire) });
        Ok(true)
    }

    /// Element by element, any layout will do: the one is taken in which the data already is.
    fn element_wise(&mut self, node: &TypedNode) -> TractResult<bool> {
        let last = node.inputs.iter().any(|input| self.wires.get(input).is_some_and(|w| w.last.is_some()));
        let pictures =
            node.inputs.iter().all(|input| self.source.outlet_fact(*input).is_ok_and(|f| f.rank() == 4));
        if !last || !pictures {
            return Ok(false);
        }
        let inputs: TVec<OutletId> =
            node.inputs.iter().map(|input| self.last(*input)).collect::<TractResult<_>>()?;
        let wire = self.target.wire_node(&*node.name, node.op.clone(), &inputs)?[0];
        self.wires.insert(node.id.into(), Wire { first: None, last: Some(wire) });
        Ok(true)
    }

    /// Collects what follows `node` and can be fused with it: one shortcut if `shortcut`, a bias of `columns`
    /// numbers if given, and limits.
    fn tail(&self, node: &TypedNode, shortcut: bool, columns: Option<usize>) -> Tail {
        let mut tail =
            Tail { bias: None, shortcut: None, limits: Limits::NONE, nodes: Vec::new(), end: node.id.into() };
        while let Some((next, other)) = self.only_reader(tail.end) {
            let Some(op) = next.op_as::<TypedBinOp>() else { break };
            let constant = self.constant(other);
            let one = constant.as_ref().filter(|c| c.len() == 1).and_then(|c| c.cast_to_scalar::<f32>().ok());
            let same_shape = || {
                let (a, b) = (self.source.outlet_fact(other), self.source.outlet_fact(tail.end));
                matches!((a, b), (Ok(a), Ok(b)) if a.shape == b.shape)
            };
            if op.0.is::<Max>()
                && let Some(low) = one
            {
                tail.limits = tail.limits.lifted(low);
            } else if op.0.is::<Min>()
                && let Some(high) = one
            {
                tail.limits = tail.limits.lowered(high);
            } else if !op.0.is::<Add>() || tail.limits != Limits::NONE {
                break;
            } else if let (Some(bias), Some(columns), None) = (&constant, columns, &tail.bias) {
                // A bias stands in the last axis only; any other addend is left to tract.
                if bias.len() != columns || bias.shape().last() != Some(&columns) {
                    break;
                }
                tail.bias = constant;
            } else if shortcut
                && tail.shortcut.is_none()
                && constant.is_none()
                && other != tail.end
                && self.wires.contains_key(&other)
                && same_shape()
            {
                tail.shortcut = Some(other);
            } else {
                break;
            }
            tail.nodes.push(next.id);
            tail.end = next.id.into();
        }
        tail
    }

    /// The only node that reads `wire`, if it has two inputs, and its other input.
    fn only_reader(&self, wire: OutletId) -> Option<(&TypedNode, OutletId)> {
        let [reader] = &*self.source.node(wire.node).outputs[wire.slot].successors else { return None };
        if self.source.output_outlets().ok()?.contains(&wire) {
            return None;
        }
        let next = self.source.node(reader.node);
        let [a, b] = next.inputs[..] else { return None };
        (next.outputs[0].fact.shape == self.source.outlet_fact(wire).ok()?.shape)
            .then_some((next, if a == wire { b } else { a }))
    }

    fn finish(&mut self, tail: Tail, wire: Wire) {
        self.absorbed.extend(tail.nodes);
        self.wires.insert(tail.end, wire);
    }

    /// The old wire with its channels first.
    fn first(&mut self, old: OutletId) -> TractResult<OutletId> {
        let wire = self.wires.get(&old).copied().unwrap_or_default();
        if let Some(first) = wire.first {
            return Ok(first);
        }
        let last = wire.last.with_context(|| format!("wire {old:?} is used before it is made"))?;
        let first = self.turn(
            last,
            3,
            1,
            format!("{}.{}.channels_first", self.source.node(old.node).name, old.slot),
        )?;
        self.wires.insert(old, Wire { first: Some(first), last: Some(last) });
        Ok(first)
    }

    /// The old wire with its channels last.
    fn last(&mut self, old: OutletId) -> TractResult<OutletId> {
        if let Some(last) = self.wires.get(&old).and_then(|wire| wire.last) {
            return Ok(last);
        }
        let first = self.first(old)?;
        let last = self.turn(
            first,
            1,
            3,
            format!("{}.{}.channels_last", self.source.node(old.node).name, old.slot),
        )?;
        self.wires.insert(old, Wire { first: Some(first), last: Some(last) });
        Ok(last)
    }

    fn turn(&mut self, wire: OutletId, from: usize, to: usize, name: String) -> TractResult<OutletId> {
        Ok(self.target.wire_node(name, AxisOp::Move(from, to), &[wire])?[0])
    }

    /// The value of a wire that does not depend on the model's input.
    ///
    /// tract leaves those beyond some megabytes (the last layer's weights, stored as int8) to be computed anew with
    /// every item; what goes into a replacement is computed here once.
    fn constant(&self, wire: OutletId) -> Option<Arc<Tensor>> {
        if let Some(known) = &self.source.outlet_fact(wire).ok()?.konst {
            return Some(known.clone());
        }
        let node = self.source.node(wire.node);
        if node.inputs.is_empty() || self.varying.contains(&wire.node) {
            return None;
        }
        let inputs = node.inputs.iter().map(|input| Some(self.constant(*input)?.into_tvalue()));
        let outputs = node.op.eval_out_of_plan(inputs.collect::<Option<_>>()?).ok()??;
        outputs.into_iter().nth(wire.slot).map(TValue::into_arc_tensor)
    }

    /// The shape of a wire that holds pictures of f32 with the channels first.
    fn picture(&self, wire: OutletId) -> Option<[usize; 4]> {
        let fact = self.source.outlet_fact(wire).ok()?;
        fact.shape.as_concrete()?.try_into().ok().filter(|_| fact.datum_type == f32::datum_type())
    }

    /// The shape of a wire that holds rows of f32.
    fn table(&self, wire: OutletId) -> Option<[usize; 2]> {
        let fact = self.source.outlet_fact(wire).ok()?;
        fact.shape.as_concrete()?.try_into().ok().filter(|_| fact.datum_type == f32::datum_type())
    }
}

/// Whether the windows are two-dimensional, without gaps, and the channels come first.
fn is_plain(spec: &PoolSpec) -> bool {
    spec.data_format == DataFormat::NCHW && spec.rank() == 2 && spec.dilation(0) == 1 && spec.dilation(1) == 1
}

/// The numbers of a [`PoolSpec`] over a picture of known size.
struct Spec {
    kernel: [usize; 2],
    stride: [usize; 2],
    before: [usize; 2],
    output: [usize; 2],
}

impl Spec {
    fn new(spec: &PoolSpec, size: [usize; 2]) -> Spec {
        let padding = spec.computed_padding(&size);
        Spec {
            kernel: [spec.kernel_shape[0], spec.kernel_shape[1]],
            stride: [spec.stride(0), spec.stride(1)],
            before: [padding[0].pad_before, padding[1].pad_before],
            output: [padding[0].convoluted, padding[1].convoluted],
        }
    }

    fn reach(&self, input: [usize; 2], channels: usize) -> depthwise::Reach {
        depthwise::Reach {
            input,
            channels,
            kernel: self.kernel,
            stride: self.stride,
            before: self.before,
            output: self.output,
        }
    }
}
