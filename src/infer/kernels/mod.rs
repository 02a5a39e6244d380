//! Convolution networks, channels last: what tract runs slowly in a browser, replaced node by node.
//!
//! tract's own way through a convolution is to copy the picture into packed panels and multiply those
//! with an 8x8 tile. On x86 the browser's compiler cannot keep that tile's sixteen accumulators in
//! registers, and the copying is a third of the work of a small network. [`channels_last`] rewrites a
//! model, before tract optimises it, into operators that keep the channels of a pixel side by side:
//! then a convolution reads the picture where it lies, with a 4x8 tile that fits the registers (the one
//! that XNNPACK chooses for Wasm on x86), and an activation, a bias or a shortcut is applied before the
//! result is stored.
//!
//! | module | what |
//! |---|---|
//! | [`rewrite`] | finds what can be replaced and decides the layout of every wire |
//! | [`ops`] | tract operators around the loops |
//! | [`dense`], [`depthwise`], [`pooling`] | the loops, over plain slices |
//! | [`lanes`] | four numbers at once: Wasm SIMD, or an array anywhere else |
//!
//! Measured in Chromium 156 on a Zen 3 server core, one thread, interleaved, against onnxruntime-web 1.30 (how many
//! times as fast; the machine was busy, so only the ratios tell):
//!
//! | model | tract's own way | channels last |
//! |---|---|---|
//! | fashion_cnn | 0.55 | 1.9 |
//! | detypify_i8 | 0.96 | 2.0 |
//! | efficientnet_lite0_i8 | 1.2 | 2.1 |
//!
//! A 5x8 or 6x8 tile runs at half the speed of the 4x8 one: its sums are spilled.
//!
//! Whatever is not recognised stays tract's: an unusual model is slower, never wrong.

mod dense;
mod depthwise;
mod lanes;
mod ops;
mod pooling;
mod rewrite;
#[cfg(test)]
mod tests;

pub use rewrite::channels_last;
