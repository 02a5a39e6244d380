//! The worker binary: a Web Worker that predicts.

fn main() {}
