//! From a model file to a ready model, and from an item's content to its rows.

use sha2::{Digest as _, Sha256};

use super::engine::{Analysed, Engine, Rows, TractEngine};
use super::error::ModelError;
use crate::domain::item::Failed;
use crate::domain::prediction::{Activation, ScoreScale};
use crate::input::card::{Digest, ModelCard};
use crate::input::{InputSpec, Raw};
use crate::wire::worker::Loaded;

/// A model that is ready to predict, one item at a time.
#[derive(Debug)]
pub struct Pipeline<E> {
    input: InputSpec,
    engine: E,
    /// Kept between items.
    tensor: Vec<f32>,
}

impl Pipeline<TractEngine> {
    /// Checks a model file against its card, makes it ready and probes it; `clock` tells milliseconds.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn load(
        card: &ModelCard,
        file: Vec<u8>,
        clock: impl Fn() -> f64,
    ) -> Result<(Self, Loaded), ModelError> {
        let start = clock();
        check_file(card, &file)?;
        let analysed = Analysed::read(card, &file)?;
        // The weights are in the graph now; a large model would otherwise be held once more while it is packed.
        drop(file);
        let parsed = clock();
        let engine = analysed.optimised()?;
        let optimised = clock();
        let (labels, features) = (engine.scores(), engine.features());
        let mut pipeline = Self::new(card.input.clone(), engine);
        pipeline.probe(card)?;
        #[allow(clippy::cast_possible_truncation)]
        let width = |width: Option<usize>| width.unwrap_or(0) as u32;
        let loaded = Loaded {
            labels: width(labels),
            features: width(features),
            ms_parse: parsed - start,
            ms_optimise: optimised - parsed,
            ms_probe: clock() - optimised,
        };
        Ok((pipeline, loaded))
    }
}

impl<E: Engine> Pipeline<E> {
    /// A pipeline over any engine.
    #[must_use]
    pub fn new(input: InputSpec, engine: E) -> Self {
        let tensor = vec![0.0; input.tensor_len()];
        Self { input, engine, tensor }
    }

    /// Predicts one item and appends its rows; appends nothing if it fails.
    ///
    /// # Errors
    /// The item cannot be read, or the model failed on it or gave numbers that are not finite.
    pub fn predict(&mut self, raw: Raw<'_>, rows: &mut Rows) -> Result<(), Failed> {
        self.input.prepare(raw, &mut self.tensor).map_err(Failed::Unreadable)?;
        let (scores, features) = (rows.scores.len(), rows.features.as_ref().map_or(0, Vec::len));
        let said = match self.engine.run(&self.tensor, rows) {
            Err(why) => Err(why.to_string()),
            Ok(()) => finite(&rows.scores[scores..])
                .and_then(|()| finite(rows.features.as_ref().map_or(&[], |rows| &rows[features..])))
                .ok_or_else(|| "the model's answer holds numbers that are not finite".to_owned()),
        };
        said.map_err(|why| {
            rows.scores.truncate(scores);
            if let Some(rows) = &mut rows.features {
                rows.truncate(features);
            }
            Failed::Unpredictable(why.into())
        })
    }

    /// Runs a plain input and checks that the answer is one.
    fn probe(&mut self, card: &ModelCard) -> Result<(), ModelError> {
        // Neither constant (a normalising layer may divide by the spread) nor far from what items give.
        for (place, step) in self.tensor.iter_mut().zip([0.25, 0.5, 0.75, 0.625, 0.375].into_iter().cycle()) {
            *place = step;
        }
        let mut rows = Rows { scores: vec![], features: Some(vec![]) };
        let ran = self.engine.run(&self.tensor, &mut rows);
        ran.map_err(|why| ModelError::Engine { stage: "the probe input", why: why.to_string() })?;
        finite(&rows.scores).ok_or(ModelError::NotFinite { path: "outputs.scores" })?;
        finite(rows.features.as_deref().unwrap_or_default())
            .ok_or(ModelError::NotFinite { path: "outputs.features" })?;
        match &card.scores {
            Some(scores) if scores.scale == ScoreScale::Probabilities => {
                are_probabilities(&rows.scores, scores.activation)
            }
            _ => Ok(()),
        }
    }
}

/// Holds a file's size and digest against its card's.
pub(super) fn check_file(card: &ModelCard, file: &[u8]) -> Result<(), ModelError> {
    let size = file.len() as u64;
    if size != card.bytes {
        return Err(ModelError::WrongSize { found: size, expected: card.bytes });
    }
    let found = Digest(Sha256::digest(file).into());
    if found == card.sha256 { Ok(()) } else { Err(ModelError::WrongDigest { found, expected: card.sha256 }) }
}

fn finite(row: &[f32]) -> Option<()> {
    row.iter().all(|number| number.is_finite()).then_some(())
}

fn are_probabilities(row: &[f32], activation: Activation) -> Result<(), ModelError> {
    // Wide enough for quantised and half-precision outputs, narrow enough to tell logits.
    const SLACK: f32 = 0.02;
    let sum: f32 = row.iter().sum();
    if let Some(outside) = row.iter().find(|p| !(-SLACK..=1.0 + SLACK).contains(*p)) {
        Err(ModelError::NotProbabilities { found: format!("the number {outside}") })
    } else if activation == Activation::Softmax && (sum - 1.0).abs() > SLACK {
        Err(ModelError::NotProbabilities { found: format!("numbers that sum to {sum}") })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::engine::EngineError;
    use super::*;
    use crate::input::numbers::NumbersInput;

    /// Answers with the row it was given.
    struct Echo;

    impl Engine for Echo {
        fn run(&mut self, tensor: &[f32], rows: &mut Rows) -> Result<(), EngineError> {
            rows.scores.extend(tensor.iter().map(|x| 1.0 / x));
            if tensor[0] < 0.0 { Err(EngineError("below zero".into())) } else { Ok(()) }
        }
    }

    #[test]
    fn an_item_that_fails_leaves_no_row() {
        let input = InputSpec::Numbers(NumbersInput { columns: vec!["a".into()] });
        let (mut pipeline, mut rows) = (Pipeline::new(input, Echo), Rows::default());
        pipeline.predict(Raw::Numbers(&[2.0]), &mut rows).unwrap();
        assert!(matches!(pipeline.predict(Raw::Numbers(&[0.0]), &mut rows), Err(Failed::Unpredictable(_))));
        let failed = pipeline.predict(Raw::Numbers(&[-1.0]), &mut rows);
        assert_eq!(failed, Err(Failed::Unpredictable("below zero".into())));
        assert!(matches!(pipeline.predict(Raw::Numbers(&[]), &mut rows), Err(Failed::Unreadable(_))));
        assert_eq!(rows.scores, [0.5]);
    }

    #[test]
    fn logits_are_not_taken_for_probabilities() {
        assert!(are_probabilities(&[0.2, 0.8], Activation::Softmax).is_ok());
        assert!(are_probabilities(&[0.9, 0.8], Activation::Sigmoid).is_ok());
        for logits in [[4.0, -3.0], [0.9, 0.8]] {
            assert!(are_probabilities(&logits, Activation::Softmax).is_err());
        }
    }
}
