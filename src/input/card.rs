//! What a model is, reads and answers, checked: past this type nobody validates a manifest again.

use std::fmt;

use super::InputSpec;
use crate::domain::label::LabelSet;
use crate::domain::prediction::{Activation, ScoreScale, Temperature};

/// A model as its manifest describes it; made by [`crate::wire::manifest::parse`] only.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// The model's name, as records say it.
    pub name: String,
    /// The model's version, as records say it.
    pub version: String,
    /// Address of the ONNX file, relative to the manifest's.
    pub file: String,
    /// Digest of the ONNX file.
    pub sha256: Digest,
    /// Size of the ONNX file.
    pub bytes: u64,
    /// The graph's input by name; `None`: it has one only.
    pub input_name: Option<String>,
    /// What an item must be and how it becomes the input tensor.
    pub input: InputSpec,
    /// The output that holds one score a label; `None` for a model that gives features only.
    pub scores: Option<ScoresOutput>,
    /// The graph's feature output by name, if there is one.
    pub features: Option<String>,
    /// The answers, in the order of the scores; of a model without scores there may be less than two.
    pub labels: LabelSet,
    /// Calibration that the model's maker measured.
    pub temperature: Temperature,
    /// The question that the person is asked.
    pub question: Option<String>,
    /// The licence, as an SPDX expression or in words.
    pub licence: Option<String>,
    /// Address of the model card, relative to the manifest's.
    pub card: Option<String>,
    /// Address of a manifest, relative to this one, that will name a newer model once there is one.
    pub updates: Option<String>,
}

impl ModelCard {
    /// Whether this model can go on where another one stood, which read `before`, with answers among `labels`.
    ///
    /// Pictures are prepared anew for each model, so their size may differ; a row's numbers are what they are. The
    /// answers may be more than the model's labels: persons add some.
    ///
    /// # Errors
    /// What differs, with the mend.
    pub fn follows(&self, labels: &LabelSet, before: &InputSpec) -> Result<(), String> {
        match (&self.input, before) {
            (InputSpec::Image(_), InputSpec::Image(_)) => {}
            (InputSpec::Numbers(now), InputSpec::Numbers(then)) => {
                let differs = now.columns.iter().zip(&then.columns).position(|(now, then)| now != then);
                let unlike = |found: String, expected: String| {
                    Err(format!("input: found {found}, expected {expected}, as the items have it"))
                };
                if let Some(at) = differs {
                    let found = format!("the column {:?} at place {at}", now.columns[at]);
                    return unlike(found, format!("{:?}", then.columns[at]));
                }
                if now.columns.len() != then.columns.len() {
                    return unlike(format!("{} columns", now.columns.len()), then.columns.len().to_string());
                }
            }
            (now, then) => {
                let (now, then) = (now.reads(), then.reads());
                return Err(format!(
                    "input: found a model of {now}, expected one of {then}, as the items are"
                ));
            }
        }
        let mut ours = labels.iter();
        for (at, (_, label)) in self.labels.iter().enumerate() {
            match ours.next() {
                Some((_, ours)) if ours.id == label.id => {}
                Some((_, ours)) => {
                    return Err(format!("labels[{at}]: found {:?}, expected {:?}", label.id, ours.id));
                }
                None => return Err(format!("labels: found {:?} beyond the {at} that there are", label.id)),
            }
        }
        Ok(())
    }
}

/// Which output holds the scores, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoresOutput {
    /// The output by name; `None`: it is the only one beside the features.
    pub name: Option<String>,
    /// Logits or probabilities.
    pub scale: ScoreScale,
    /// How logits become probabilities.
    pub activation: Activation,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads 64 hexadecimal digits in either case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let text = text.as_bytes();
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
