//! tract operators around the loops: pictures are `[n, height, width, channels]`.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::{dense, depthwise, pooling};

/// The limits of a fused activation, as bits: an operator has to be comparable and hashable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Limits {
    low: u32,
    high: u32,
}

impl Limits {
    /// No activation at all.
    pub(super) const NONE: Limits =
        Limits { low: f32::NEG_INFINITY.to_bits(), high: f32::INFINITY.to_bits() };

    /// These limits with everything below `low` lifted to it.
    pub(super) fn lifted(self, low: f32) -> Limits {
        let [a, b] = self.values();
        Limits { low: a.max(low).to_bits(), high: b.max(low).to_bits() }
    }

    /// These limits with everything above `high` lowered to it.
    pub(super) fn lowered(self, high: f32) -> Limits {
        let [a, b] = self.values();
        Limits { low: a.min(high).to_bits(), high: b.min(high).to_bits() }
    }

    fn values(self) -> [f32; 2] {
        [f32::from_bits(self.low), f32::from_bits(self.high)]
    }
}

/// A convolution over all channels, or a matrix product, with bias, shortcut (the second input, if any) and activation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DenseConv {
    pub(super) reach: dense::Reach,
    /// Rows above and pixels left of the input that count as zero.
    pub(super) before: [usize; 2],
    /// Rows and pixels in a row of the input, without padding.
    pub(super) input: [usize; 2],
    pub(super) weights: Arc<Tensor>,
    pub(super) bias: Arc<Tensor>,
    pub(super) limits: Limits,
    pub(super) output_shape: TVec<usize>,
}

/// A convolution channel by channel with bias and activation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DepthwiseConv {
    pub(super) reach: depthwise::Reach,
    pub(super) weights: Arc<Tensor>,
    pub(super) bias: Arc<Tensor>,
    pub(super) limits: Limits,
}

/// The largest value of each window.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LargestOf {
    pub(super) reach: depthwise::Reach,
}

/// The sum over all pixels: `[n, height, width, channels]` becomes `[n, 1, 1, channels]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SumPixels;

impl DenseConv {
    /// Whether a copy with a border of zeros (or without what no window reaches) has to be made first.
    fn is_padded(&self) -> bool {
        self.input != [self.reach.in_height, self.reach.in_width]
    }

    /// The picture as the windows see it.
    fn pad(&self, from: &[f32], to: &mut [f32]) {
        let c = self.reach.in_channels;
        let [height, width] = self.input;
        let columns = width.min(self.reach.in_width - self.before[1]);
        for y in 0..height.min(self.reach.in_height - self.before[0]) {
            let at = ((y + self.before[0]) * self.reach.in_width + self.before[1]) * c;
            to[at..at + columns * c].copy_from_slice(&from[y * width * c..][..columns * c]);
        }
    }
}

impl EvalOp for DenseConv {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let shortcut = match inputs.get(1) {
            Some(tensor) => Some(tensor.try_as_plain_ram()?.as_slice::<f32>()?),
            None => None,
        };
        let weights = self.weights.try_as_plain_ram()?.as_slice::<f32>()?;
        let bias = self.bias.try_as_plain_ram()?.as_slice::<f32>()?;
        let out_len = self.reach.out_height * self.reach.out_width * self.reach.out_channels;
        let in_len = self.input[0] * self.input[1] * self.reach.in_channels;
        let mut padded = match self.is_padded() {
            true => vec![0.0; self.reach.in_height * self.reach.in_width * self.reach.in_channels],
            false => Vec::new(),
        };
        let mut output = fresh(&self.output_shape)?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let pictures = plain.as_slice_mut::<f32>()?.chunks_exact_mut(out_len).zip(input.chunks_exact(in_len));
        for (n, (to, from)) in pictures.enumerate() {
            let from = match self.is_padded() {
                true => {
                    self.pad(from, &mut padded);
                    &padded
                }
                false => from,
            };
            let shortcut = shortcut.map(|all| &all[n * out_len..][..out_len]);
            dense::convolve(&self.reach, from, weights, bias, shortcut, self.limits.values(), to);
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl EvalOp for DepthwiseConv {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let weights = self.weights.try_as_plain_ram()?.as_slice::<f32>()?;
        let bias = self.bias.try_as_plain_ram()?.as_slice::<f32>()?;
        let zeros = vec![0.0; self.reach.channels];
        each_picture(&self.reach, &inputs[0], |from, to| {
            depthwise::convolve(&self.reach, from, weights, bias, &zeros, self.limits.values(), to);
        })
    }
}

impl EvalOp for LargestOf {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        each_picture(&self.reach, &inputs[0], |from, to| pooling::largest(&self.reach, from, to))
    }
}

impl EvalOp for SumPixels {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let shape = inputs[0].shape();
        let [n, height, width, channels] = [shape[0], shape[1], shape[2], shape[3]];
        let input = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let mut output = fresh(&[n, 1, 1, channels])?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let pictures = plain.as_slice_mut::<f32>()?.chunks_exact_mut(channels);
        for (to, from) in pictures.zip(input.chunks_exact(height * width * channels)) {
            pooling::sum_pixels(from, to);
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

/// Runs `f` for each picture of `input`.
fn each_picture(
    reach: &depthwise::Reach,
    input: &Tensor,
    mut f: impl FnMut(&[f32], &mut [f32]),
) -> TractResult<TVec<TValue>> {
    let from = input.try_as_plain_ram()?.as_slice::<f32>()?;
    let in_len = reach.input[0] * reach.input[1] * reach.channels;
    let out_len = reach.output[0] * reach.output[1] * reach.channels;
    let mut output = fresh(&[input.shape()[0], reach.output[0], reach.output[1], reach.channels])?;
    let mut plain = output.try_as_plain_ram_mut()?;
    for (to, from) in plain.as_slice_mut::<f32>()?.chunks_exact_mut(out_len).zip(from.chunks_exact(in_len)) {
        f(from, to);
    }
    Ok(tvec!(output.into_tvalue()))
}

/// A tensor whose numbers are all written before anyone reads them.
fn fresh(shape: &[usize]) -> TractResult<Tensor> {
    // SAFETY: every caller's loops write each element of the result, and f32 has no invalid bits.
    #[allow(unsafe_code)]
    unsafe {
        Tensor::uninitialized::<f32>(shape)
    }
}

/// The plain parts of an operator: its name and what comes out.
macro_rules! operator {
    ($op:ident, $name:literal, |$this:ident, $inputs:ident| $shape:expr) => {
        impl Op for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            fn validation(&self) -> Validation {
                Validation::Rounding
            }

            op_as_typed_op!();
        }

        impl TypedOp for $op {
            fn output_facts(&self, $inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let $this = self;
                Ok(tvec!(f32::fact($shape)))
            }

            as_op!();
        }
    };
}

operator!(DenseConv, "ChannelsLast.Conv", |op, _inputs| &*op.output_shape);
operator!(DepthwiseConv, "ChannelsLast.DepthwiseConv", |op, inputs| pooled_shape(&op.reach, inputs[0])?);
operator!(LargestOf, "ChannelsLast.MaxPool", |op, inputs| pooled_shape(&op.reach, inputs[0])?);
operator!(SumPixels, "ChannelsLast.Sum", |_op, inputs| [
    inputs[0].shape[0].to_usize()?,
    1,
    1,
    inputs[0].shape[3].to_usize()?
]);

fn pooled_shape(reach: &depthwise::Reach, input: &TypedFact) -> TractResult<[usize; 4]> {
    Ok([input.shape[0].to_usize()?, reach.output[0], reach.output[1], reach.channels])
}
