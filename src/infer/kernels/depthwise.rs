//! The convolution that keeps its channels apart: 4 pixels by 8 channels at a time, every tap by its own pointer.
#![allow(unsafe_code)]

use super::lanes::{Lanes, four};

const TILE: usize = 4;

/// Channels of one step.
const STEP: usize = 8;

/// Where the values of a depthwise convolution lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reach {
    /// Rows and pixels in a row of the input.
    pub(super) input: [usize; 2],
    /// Channels of a pixel.
    pub(super) channels: usize,
    /// Height and width of the kernel.
    pub(super) kernel: [usize; 2],
    /// Steps of the kernel downwards and to the right.
    pub(super) stride: [usize; 2],
    /// Rows above and pixels left of the input that count as zero.
    pub(super) before: [usize; 2],
    /// Rows and pixels in a row of the output.
    pub(super) output: [usize; 2],
}

/// `weights` (`[channels, height, width]`) as `[height * width][channels]`.
pub(super) fn pack(weights: &[f32], channels: usize, taps: usize) -> Vec<f32> {
    let mut packed = vec![0.0; taps * channels];
    for c in 0..channels {
        for tap in 0..taps {
            packed[tap * channels + c] = weights[c * taps + tap];
        }
    }
    packed
}

/// One picture: `output = within(limits, input * weights + bias)`, channel by channel.
///
/// `input` and `output` are `[height, width, channels]`, `weights` come from [`pack`], `zeros` are as many as channels.
pub(super) fn convolve(
    reach: &Reach,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    zeros: &[f32],
    limits: [f32; 2],
    output: &mut [f32],
) {
    let channels = reach.channels;
    let taps = reach.kernel[0] * reach.kernel[1];
    let pixels = reach.output[0] * reach.output[1];
    // Everything that the pointers below rely on.
    assert!(input.len() == reach.input[0] * reach.input[1] * channels && output.len() == pixels * channels);
    assert!(weights.len() == taps * channels && bias.len() == channels && zeros.len() == channels);

    let (low, high) = (Lanes::splat(limits[0]), Lanes::splat(limits[1]));
    let mut from = vec![[zeros.as_ptr(); TILE]; taps];
    let mut pixel = 0;
    while pixel < pixels {
        let tile = TILE.min(pixels - pixel);
        for m in 0..TILE {
            // The last tile computes its last pixel again instead of having loops of its own.
            let pixel = (pixel + m).min(pixels - 1);
            let y = (pixel / reach.output[1]) * reach.stride[0];
            let x = (pixel % reach.output[1]) * reach.stride[1];
            for (tap, from) in from.iter_mut().enumerate() {
                // Before the first row or pixel these wrap around and are larger than any picture.
                let y = (y + tap / reach.kernel[1]).wrapping_sub(reach.before[0]);
                let x = (x + tap % reach.kernel[1]).wrapping_sub(reach.before[1]);
                let inside = y < reach.input[0] && x < reach.input[1];
                from[m] = if inside {
                    input[(y * reach.input[1] + x) * channels..].as_ptr()
                } else {
                    zeros.as_ptr()
                };
            }
        }
        let mut c = 0;
        // SAFETY: every pointer of `from` is the start of `channels` readable values (a pixel of `input`, or `zeros`),
        // `bias` and each tap of `weights` hold as many; below, values from `c` on are read only while they are fewer
        // than `channels`. Written are `channels` values for each of `tile` pixels from `pixel` on, all in `output`.
        unsafe {
            let to = output.as_mut_ptr().add(pixel * channels);
            while c + STEP <= channels {
                let bias = bias.as_ptr().add(c);
                let start = [Lanes::load(bias), Lanes::load(bias.add(4))];
                let mut sums: [[Lanes; 2]; TILE] = [start, start, start, start];
                let mut w = weights.as_ptr().add(c);
                for from in &from {
                    let (w0, w1) = (Lanes::load(w), Lanes::load(w.add(4)));
                    four!(|M| {
                        let x = from[M].add(c);
                        sums[M][0] = sums[M][0].plus_product(Lanes::load(x), w0);
                        sums[M][1] = sums[M][1].plus_product(Lanes::load(x.add(4)), w1);
                    });
                    // One past the last tap, this is never read.
                    w = w.wrapping_add(channels);
                }
                four!(|M| if M < tile {
                    sums[M][0].within(low, high).store(to.add(M * channels + c));
                    sums[M][1].within(low, high).store(to.add(M * channels + c + 4));
                });
                c += STEP;
            }
        }
        for c in c..channels {
            for m in 0..tile {
                let mut sum = bias[c];
                for (tap, from) in from.iter().enumerate() {
                    // SAFETY: as above, with `c` below `channels`.
                    sum += weights[tap * channels + c] * unsafe { *from[m].add(c) };
                }
                output[(pixel + m) * channels + c] = clamp(sum, limits);
            }
        }
        pixel += tile;
    }
}

/// `x` within the limits; what is not a number stays so.
fn clamp(x: f32, [low, high]: [f32; 2]) -> f32 {
    let x = if x < low { low } else { x };
    if high < x { high } else { x }
}
