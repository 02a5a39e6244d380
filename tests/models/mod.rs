//! What the tests of models share: files, pictures, numbers.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A path of the repository.
pub fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A JSON file of the repository.
pub fn read_json(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(at(path)).unwrap()).unwrap()
}

/// A JSON list of numbers.
pub fn numbers(value: &Value) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation)]
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// SHA-256 in hexadecimal digits.
pub fn digest(file: &[u8]) -> String {
    Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Probabilities of logits.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|z| f64::from(z - greatest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    #[allow(clippy::cast_possible_truncation)]
    powers.iter().map(|p| (p / sum) as f32).collect()
}

/// The greatest difference.
pub fn furthest(said: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(said.len(), expected.len());
    said.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// A PNG as the browser would give it: RGBA.
pub fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let rgba = pixels[..info.buffer_size()]
        .chunks_exact(info.color_type.samples())
        .flat_map(|p| match *p {
            [grey] => [grey, grey, grey, 255],
            [grey, alpha] => [grey, grey, grey, alpha],
            [red, green, blue] => [red, green, blue, 255],
            [red, green, blue, alpha] => [red, green, blue, alpha],
            _ => unreachable!(),
        })
        .collect();
    (info.width, info.height, rgba)
}
