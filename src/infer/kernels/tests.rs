//! Every replacement against tract's own way with the same model and the same input.
#![allow(clippy::unwrap_used, clippy::panic)]

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::conv::KernelFormat;
use tract_onnx::tract_core::ops::cnn::{Conv, MaxPool, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::math::{add, div, max, min, mul};
use tract_onnx::tract_core::ops::nn::{DataFormat, Reduce, Reducer};

use super::channels_last;

/// Numbers without a pattern that a wrong index could hide behind.
fn numbers(shape: &[usize], seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut tensor = Tensor::zero::<f32>(shape).unwrap();
    for x in tensor.try_as_plain_ram_mut().unwrap().as_slice_mut::<f32>().unwrap() {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *x = (state >> 8) as f32 / 8_388_608.0 - 1.0;
    }
    tensor
}

/// A model under construction.
struct Sketch {
    model: TypedModel,
    count: usize,
}

impl Sketch {
    fn new(input: &[usize]) -> (Sketch, OutletId) {
        let mut model = TypedModel::default();
        let wire = model.add_source("input", f32::fact(input)).unwrap();
        (Sketch { model, count: 0 }, wire)
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("node{}", self.count)
    }

    fn wire(&mut self, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> OutletId {
        let name = self.name();
        self.model.wire_node(name, op, inputs).unwrap()[0]
    }

    fn constant(&mut self, shape: &[usize]) -> OutletId {
        let name = self.name();
        self.model.add_const(name, numbers(shape, self.count as u32)).unwrap()
    }

    fn scalar(&mut self, x: f32, rank: usize) -> OutletId {
        let name = self.name();
        self.model.add_const(name, tensor0(x).broadcast_into_rank(rank).unwrap()).unwrap()
    }

    /// A square convolution; `group` is 1 or the number of channels.
    fn conv(
        &mut self,
        x: OutletId,
        out: usize,
        group: usize,
        kernel: usize,
        stride: usize,
        pad: [usize; 2],
    ) -> OutletId {
        let channels = self.model.outlet_fact(x).unwrap().shape[1].to_usize().unwrap();
        let weights = self.constant(&[out, channels / group, kernel, kernel]);
        let bias = self.constant(&[out]);
        let op = Conv {
            pool_spec: spec(channels, out, kernel, stride, pad),
            kernel_fmt: KernelFormat::OIHW,
            group,
            q_params: None,
        };
        self.wire(op, &[x, weights, bias])
    }

    fn relu6(&mut self, x: OutletId) -> OutletId {
        let zero = self.scalar(0.0, 4);
        let six = self.scalar(0.6, 4);
        let x = self.wire(max(), &[x, zero]);
        self.wire(min(), &[x, six])
    }

    /// Runs both models on the same pictures, demands equal results, and answers how many nodes of each name the new one has.
    fn compare(mut self, output: OutletId) -> Vec<String> {
        self.model.select_output_outlets(&[output]).unwrap();
        let shape = self.model.input_fact(0).unwrap().shape.as_concrete().unwrap().to_vec();
        let new = channels_last(self.model.clone()).unwrap();
        let names = new.nodes.iter().map(|n| n.op.name().to_string()).collect();
        let input: TValue = numbers(&shape, 99).into();
        let run = |model: TypedModel| {
            model
                .into_optimized()
                .unwrap()
                .into_runnable()
                .unwrap()
                .run(tvec!(input.clone()))
                .unwrap()
                .remove(0)
        };
        let (want, got) = (run(self.model), run(new));
        assert_eq!(want.shape(), got.shape());
        want.close_enough(&got, Approximation::Approximate).unwrap();
        names
    }
}

fn spec(channels: usize, out: usize, kernel: usize, stride: usize, [before, after]: [usize; 2]) -> PoolSpec {
    PoolSpec {
        data_format: DataFormat::NCHW,
        kernel_shape: tvec!(kernel, kernel),
        padding: PaddingSpec::Explicit(tvec!(before, before), tvec!(after, after)),
        dilations: None,
        strides: Some(tvec!(stride, stride)),
        input_channels: channels,
        output_channels: out,
    }
}

fn count(names: &[String], name: &str) -> usize {
    names.iter().filter(|n| *n == name).count()
}

#[test]
fn a_convolution_of_any_size_gives_what_tract_gives() {
    for (channels, out) in [(1, 8), (3, 5), (8, 16), (6, 33), (17, 40)] {
        for (kernel, stride, pad) in
            [(1, 1, [0, 0]), (1, 2, [0, 0]), (3, 1, [1, 1]), (3, 2, [0, 1]), (3, 2, [1, 1]), (5, 3, [2, 1])]
        {
            for size in [[5, 7], [8, 8], [9, 6]] {
                let (mut sketch, x) = Sketch::new(&[1, channels, size[0], size[1]]);
                let y = sketch.conv(x, out, 1, kernel, stride, pad);
                let names = sketch.compare(y);
                assert_eq!(count(&names, "ChannelsLast.Conv"), 1, "{names:?}");
            }
        }
    }
}

#[test]
fn a_depthwise_convolution_of_any_size_gives_what_tract_gives() {
    for channels in [2, 8, 12, 16, 27] {
        for (kernel, stride, pad) in
            [(3, 1, [1, 1]), (3, 2, [0, 1]), (5, 1, [2, 2]), (5, 2, [1, 2]), (7, 1, [3, 3])]
        {
            for size in [[7, 7], [9, 6], [8, 12]] {
                let (mut sketch, x) = Sketch::new(&[1, channels, size[0], size[1]]);
                let y = sketch.conv(x, channels, channels, kernel, stride, pad);
                let y = sketch.relu6(y);
                let names = sketch.compare(y);
                assert_eq!(count(&names, "ChannelsLast.DepthwiseConv"), 1, "{names:?}");
                assert_eq!(
                    count(&names, "Min") + count(&names, "Max"),
                    0,
                    "the activation is fused: {names:?}"
                );
            }
        }
    }
}

#[test]
fn a_shortcut_and_the_activation_after_it_are_fused() {
    let (mut sketch, x) = Sketch::new(&[1, 12, 7, 7]);
    let a = sketch.conv(x, 20, 1, 1, 1, [0, 0]);
    let a = sketch.relu6(a);
    let b = sketch.conv(a, 20, 20, 3, 1, [1, 1]);
    let b = sketch.conv(b, 20, 1, 1, 1, [0, 0]);
    let c = sketch.wire(add(), &[a, b]);
    let d = sketch.relu6(c);
    let names = sketch.compare(d);
    assert_eq!(count(&names, "Add"), 0, "{names:?}");
    assert_eq!(count(&names, "ChannelsLast.Conv"), 2);
}

#[test]
fn a_value_that_someone_else_reads_is_not_fused_away() {
    let (mut sketch, x) = Sketch::new(&[1, 3, 6, 6]);
    let a = sketch.conv(x, 8, 1, 3, 1, [1, 1]);
    let low = sketch.scalar(0.0, 4);
    let b = sketch.wire(max(), &[a, low]);
    let c = sketch.wire(mul(), &[a, b]);
    let names = sketch.compare(c);
    assert_eq!(count(&names, "Max"), 1, "{names:?}");
}

#[test]
fn the_order_of_limits_and_sums_is_kept() {
    let (mut sketch, x) = Sketch::new(&[1, 3, 6, 6]);
    let a = sketch.conv(x, 8, 1, 3, 1, [1, 1]);
    let a = sketch.relu6(a);
    let other = sketch.conv(x, 8, 1, 1, 1, [0, 0]);
    // The limits come before the sum: the sum must not be pulled in front of them.
    let b = sketch.wire(add(), &[a, other]);
    let names = sketch.compare(b);
    assert_eq!(count(&names, "Min") + count(&names, "Max"), 0, "{names:?}");
}

#[test]
fn a_bias_for_each_channel_of_a_picture_is_not_taken_for_another() {
    let (mut sketch, x) = Sketch::new(&[1, 4, 8, 8]);
    let a = sketch.conv(x, 8, 1, 3, 1, [1, 1]);
    let bias = sketch.constant(&[1, 8, 1, 1]);
    let a = sketch.wire(add(), &[a, bias]);
    let width = sketch.constant(&[1, 1, 1, 8]);
    let a = sketch.wire(add(), &[a, width]);
    sketch.compare(a);
}

#[test]
fn pooling_and_a_classifier_give_what_tract_gives() {
    let (mut sketch, x) = Sketch::new(&[1, 1, 14, 15]);
    let a = sketch.conv(x, 11, 1, 3, 1, [1, 1]);
    let op = MaxPool { pool_spec: spec(11, 11, 3, 2, [1, 1]), with_index_outputs: None };
    let a = sketch.wire(op, &[a]);
    let sum = sketch.wire(Reduce::new(tvec!(2, 3), Reducer::Sum), &[a]);
    let by = sketch.scalar(56.0, 4);
    let mean = sketch.wire(div(), &[sum, by]);
    let row = sketch
        .wire(AxisOp::Reshape(1, tvec!(11.to_dim(), 1.to_dim(), 1.to_dim()), tvec!(11.to_dim())), &[mean]);
    let matrix = sketch.constant(&[11, 37]);
    let row = sketch.wire(EinSum::new("mk,kn->mn".parse().unwrap(), f32::datum_type()), &[row, matrix]);
    let bias = sketch.constant(&[1, 37]);
    let row = sketch.wire(add(), &[row, bias]);
    let zero = sketch.scalar(0.0, 2);
    let row = sketch.wire(max(), &[zero, row]);
    let transposed = sketch.constant(&[6, 37]);
    let row = sketch.wire(EinSum::new("mk,nk->mn".parse().unwrap(), f32::datum_type()), &[row, transposed]);
    let names = sketch.compare(row);
    assert_eq!(count(&names, "ChannelsLast.MaxPool"), 1, "{names:?}");
    assert_eq!(count(&names, "ChannelsLast.Sum"), 1, "{names:?}");
    assert_eq!(count(&names, "ChannelsLast.Conv"), 3, "{names:?}");
    assert_eq!(count(&names, "EinSum"), 0, "{names:?}");
}

#[test]
fn several_pictures_at_once_give_what_tract_gives() {
    let (mut sketch, x) = Sketch::new(&[3, 4, 9, 9]);
    let a = sketch.conv(x, 8, 1, 3, 2, [1, 1]);
    let b = sketch.conv(a, 8, 8, 3, 1, [1, 1]);
    let b = sketch.conv(b, 8, 1, 1, 1, [0, 0]);
    let a = sketch.wire(add(), &[b, a]);
    let op = MaxPool { pool_spec: spec(8, 8, 2, 2, [0, 0]), with_index_outputs: None };
    let a = sketch.wire(op, &[a]);
    let a = sketch.wire(Reduce::new(tvec!(2, 3), Reducer::Sum), &[a]);
    sketch.compare(a);
}

#[test]
fn what_is_not_known_is_left_to_tract() {
    let (mut sketch, x) = Sketch::new(&[1, 4, 9, 9]);
    let weights = sketch.constant(&[8, 2, 3, 3]);
    let bias = sketch.constant(&[8]);
    // Two groups of two channels, and a kernel with gaps.
    let mut pool_spec = spec(4, 8, 3, 1, [2, 2]);
    pool_spec.dilations = Some(tvec!(2, 2));
    let a = sketch.wire(
        Conv { pool_spec, kernel_fmt: KernelFormat::OIHW, group: 2, q_params: None },
        &[x, weights, bias],
    );
    let a = sketch.conv(a, 8, 1, 1, 1, [0, 0]);
    let names = sketch.compare(a);
    assert_eq!(count(&names, "Conv"), 1, "{names:?}");
    assert_eq!(count(&names, "ChannelsLast.Conv"), 1, "{names:?}");
}

/// A model of the demo, from its file and from its golden picture, both ways.
fn compare_model(folder: &str) {
    let read = |name: &str| {
        let path = format!("{}/models/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
    };
    let manifest: serde_json::Value = serde_json::from_slice(&read("model.json")).unwrap();
    let side = |name: &str| usize::try_from(manifest["input"][name].as_u64().unwrap()).unwrap();
    let shape = [1, side("channels"), side("height"), side("width")];
    let file = read("model.onnx");
    let model = tract_onnx::onnx().model_for_read(&mut &*file).unwrap();
    let model = model.with_input_fact(0, f32::fact(shape).into()).unwrap().into_typed().unwrap();
    let input: TValue = numbers(&shape, 5).into();
    let run = |model: TypedModel| {
        model.into_optimized().unwrap().into_runnable().unwrap().run(tvec!(input.clone())).unwrap()
    };
    let new = channels_last(model.clone()).unwrap();
    assert!(
        new.nodes.iter().all(|n| !n.op_is::<Conv>() && !n.op_is::<EinSum>()),
        "every product is replaced"
    );
    for (want, got) in run(model).into_iter().zip(run(new)) {
        want.close_enough(&got, Approximation::Approximate).unwrap();
    }
}

#[test]
fn the_garment_model_gives_what_tract_gives() {
    compare_model("fashion-cnn");
}

#[test]
fn the_symbol_model_gives_what_tract_gives() {
    compare_model("detypify");
}
