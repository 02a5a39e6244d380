//! The largest value of a window, and the sum of all pixels, channel by channel.
#![allow(unsafe_code)]

use super::depthwise::Reach;
use super::lanes::Lanes;

/// The largest value of each window of one picture; what lies outside the picture does not count.
///
/// `input` and `output` are `[height, width, channels]`.
pub(super) fn largest(reach: &Reach, input: &[f32], output: &mut [f32]) {
    let channels = reach.channels;
    assert!(input.len() == reach.input[0] * reach.input[1] * channels);
    assert!(output.len() == reach.output[0] * reach.output[1] * channels);
    for (pixel, to) in output.chunks_exact_mut(channels).enumerate() {
        let rows = window(reach, 0, pixel / reach.output[1]);
        let columns = window(reach, 1, pixel % reach.output[1]);
        to.fill(f32::NEG_INFINITY);
        for y in rows {
            for x in columns.clone() {
                keep_larger(to, &input[(y * reach.input[1] + x) * channels..][..channels]);
            }
        }
    }
}

/// The rows (axis 0) or pixels (axis 1) of the input under the window at `at`.
fn window(reach: &Reach, axis: usize, at: usize) -> std::ops::Range<usize> {
    let start = at * reach.stride[axis];
    let end = (start + reach.kernel[axis]).saturating_sub(reach.before[axis]).min(reach.input[axis]);
    start.saturating_sub(reach.before[axis]).min(end)..end
}

fn keep_larger(to: &mut [f32], from: &[f32]) {
    zip_lanes(to, from, |a, b| if a < b { b } else { a }, Lanes::at_least);
}

/// The sum over all pixels of one picture `[pixels, channels]`.
pub(super) fn sum_pixels(input: &[f32], output: &mut [f32]) {
    output.fill(0.0);
    for pixel in input.chunks_exact(output.len()) {
        zip_lanes(output, pixel, |a, b| a + b, Lanes::plus);
    }
}

/// `to = f(to, from)`, four at a time and then one by one.
fn zip_lanes(to: &mut [f32], from: &[f32], one: fn(f32, f32) -> f32, four: impl Fn(Lanes, Lanes) -> Lanes) {
    assert!(to.len() == from.len());
    let (fours, rest) = to.as_chunks_mut::<4>();
    let (from_fours, from_rest) = from.as_chunks::<4>();
    for (a, b) in fours.iter_mut().zip(from_fours) {
        // SAFETY: both are arrays of four numbers.
        unsafe { four(Lanes::load(a.as_ptr()), Lanes::load(b.as_ptr())).store(a.as_mut_ptr()) }
    }
    for (a, b) in rest.iter_mut().zip(from_rest) {
        *a = one(*a, *b);
    }
}
