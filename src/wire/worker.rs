//! What the page and its workers say to each other.
//!
//! A message is one JavaScript object of two fields: [`HEAD`] holds a [`Request`] or [`Reply`] (by
//! `serde-wasm-bindgen`), [`PARTS`] a list with what travels beside it without being written out: buffers,
//! Blobs, ImageData. Each variant says what its parts are; buffers are transferred, not copied.
//!
//! The worker speaks first ([`Reply::Ready`]): what is posted before its Wasm is up would be lost.

use serde::{Deserialize, Serialize};

use crate::domain::item::ItemKey;
use crate::domain::item::{AsideReason, Failed};
use crate::domain::label::LabelId;
use crate::domain::learning::learner;
use crate::domain::learning::slips::Slip;
use crate::domain::prediction::{Confidence, Prediction, TOP, Temperature};
use crate::domain::session::Learned;
use crate::input::InputSpec;
use crate::reader::{Problem, Problems};

/// The message's field for the head.
pub const HEAD: &str = "head";

/// The message's field for the parts.
pub const PARTS: &str = "parts";

/// What the page asks of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Load a model in place of the one before; answered by [`Reply::Loaded`] or [`Reply::Rejected`].
    /// Parts: the ONNX file as an `ArrayBuffer` or `Uint8Array`.
    Load {
        /// The manifest as it was fetched.
        manifest: String,
        /// Pictures of more pixels are refused before they are decoded.
        pixel_limit: u64,
    },
    /// Predict items; answered by one [`Reply::Predicted`] a request, as soon as its items are there: not
    /// always in the order of the requests. What comes while another one runs is fetched and decoded
    /// meanwhile: two requests in flight keep a worker busy.
    /// Parts: one an item, in order; what [`Source`] says.
    Predict {
        /// The page's number for this request.
        ticket: u32,
        /// Where each item's content is.
        items: Vec<Source>,
        /// Whether the model's features are wanted too, if it has any.
        features: bool,
    },
    /// Become the learner in place of a model; answered by [`Reply::Studying`].
    /// Parts: weights and bias of a head to start from, `Float32Array`s, or null twice.
    Study(StudyRules),
    /// Keep these items' numbers and say what is to be said of them; answered by [`Reply::Taken`].
    /// Parts: rows of scores, a `Float32Array` (empty for a model without scores), and of features, or null.
    Take {
        /// The page's number for this request.
        ticket: u32,
        /// Each item's key, in the order of the rows.
        items: Vec<u32>,
    },
    /// What is in force for an item. No reply.
    Answer {
        /// The item's key.
        item: u32,
        /// The answer's label; none takes the answer back.
        label: Option<u16>,
        /// Inverse of the share in which answers like this are kept from training; 0 trains on it.
        hold_out: f32,
        /// The answer's record, a UUID: its order is that of the answers.
        record: String,
    },
    /// There are so many labels now. No reply.
    Labels {
        /// How many.
        count: u32,
    },
    /// Refit; answered by [`Reply::Learned`].
    Learn,
    /// Write the head and temperature in force into a model; answered by [`Reply::Exported`].
    /// Parts: the ONNX file as a `Uint8Array`.
    Export {
        /// Its manifest as it was fetched.
        manifest: String,
        /// Id and name of each label in turn: the person may have added some.
        labels: Vec<String>,
    },
    /// Give out the head in force; answered by [`Reply::Head`].
    Head,
    /// Note a record of a person: an answer, or the taking back of one. No reply.
    Record {
        /// Its line.
        line: String,
    },
    /// Reckon every figure; answered by [`Reply::Evaluated`].
    /// Parts: when each item was settled that the model settles now, a `Float64Array` of milliseconds since 1970.
    Evaluate {
        /// Items that have come in.
        arrived: u32,
        /// Items that wait for the person.
        waiting: u32,
        /// The accuracy that is promised, if one is.
        target: Option<f64>,
        /// The threshold in force, if there is one.
        threshold: Option<f32>,
        /// Whether charts are wanted, too.
        charts: bool,
        /// BCP 47, for the figures in the charts.
        locale: String,
        /// The words of the charts, in the order of [`ChartWord`].
        words: Vec<String>,
        /// Id and name of each label in turn.
        labels: Vec<String>,
    },
}

/// The words of the charts, in their order in [`Request::Evaluate`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // Named like what they name.
#[repr(usize)]
pub enum ChartWord {
    Settled,
    Workload,
    RiskCoverage,
    Reliability,
    Confusion,
    Minutes,
    Items,
    Answers,
    PerMinute,
    Coverage,
    Accuracy,
    Confidence,
    Model,
    Person,
    Before,
    After,
    Target,
    Ideal,
    Other,
}

/// How many there are.
pub const CHART_WORDS: usize = ChartWord::Other as usize + 1;

/// A chart that was drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chart {
    /// What a file of it is called.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// The same in words and numbers.
    pub description: String,
    /// An SVG file that stands alone.
    pub svg: String,
    /// Its numbers as a table.
    pub csv: String,
}

/// What a learner has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StudyRules {
    /// How many labels there are.
    pub labels: u32,
    /// The manifest as it was fetched: scale and activation of the scores.
    pub manifest: String,
    /// The temperature to start from.
    pub temperature: f32,
    /// Numbers in a feature row; 0: the model has no features, and its scores are corrected instead.
    pub features: u32,
    /// Memory for the items' numbers, MiB.
    pub memory_mb: u32,
    /// Whether the items that differ most from the answered ones are wanted, too.
    pub diverse: bool,
}

/// Where an item's content is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "camelCase")]
pub enum Source {
    /// A picture at an address, absolute or `data:`. Part: null.
    Url {
        /// The address.
        url: String,
    },
    /// A picture file. Part: a `Blob`.
    Blob,
    /// A decoded picture. Part: an `ImageData`.
    Pixels,
    /// A row. Part: a `Float32Array`.
    Numbers,
}

/// What a worker says to the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reply {
    /// Up and listening.
    Ready {
        /// The matrix kernels that this build chose on this machine.
        kernels: Vec<Kernel>,
        /// Whether this is the relaxed-simd build.
        relaxed: bool,
    },
    /// The model is ready to predict.
    Loaded(Loaded),
    /// The model cannot be used.
    Rejected {
        /// Why; never empty.
        faults: Vec<ModelFault>,
    },
    /// What the model says of the items of one request.
    /// Parts: scores, a `Float32Array` of one row of [`Loaded::labels`] numbers for each item without a
    /// fault, in order; then features alike with rows of [`Loaded::features`], or null.
    Predicted(Predicted),
    /// The learner is ready.
    Studying,
    /// What the head in force says of the items of one [`Request::Take`].
    /// Parts: a `Float32Array` of [`PREDICTION`] numbers an item.
    Taken {
        /// The request.
        ticket: u32,
    },
    /// A refit is done.
    /// Parts: a `Uint32Array` of the keys whose predictions changed, and a `Float32Array` of these.
    Learned(Box<Lesson>),
    /// Every figure.
    Evaluated {
        /// The figures as JSON: [`crate::wire::figures`].
        figures: String,
        /// The charts, if they were wanted.
        charts: Vec<Chart>,
    },
    /// The improved model. Parts: the ONNX file, a `Uint8Array`.
    Exported {
        /// Its manifest.
        manifest: String,
    },
    /// The model cannot take the head in.
    NotExported {
        /// Why.
        why: String,
    },
    /// The head in force. Parts: weights (labels × features, row by row) and bias, `Float32Array`s.
    Head {
        /// How many training answers are in it.
        answers: u32,
        /// The temperature in force.
        temperature: f32,
        /// Whether it corrects the scores instead of adding to them.
        scaling: bool,
    },
    /// The worker is lost (panic, or a message that it cannot read): replace it.
    Fatal {
        /// What happened.
        message: String,
    },
}

/// Numbers of a prediction in a message: confidence, raw confidence, margin, entropy, head version, then label and
/// probability of the [`TOP`] best; what there is less of is −1. A confidence that is no number: no prediction.
pub const PREDICTION: usize = 5 + 2 * TOP;

/// Writes a prediction as [`PREDICTION`] numbers.
pub fn write_prediction(prediction: Option<&Prediction>, into: &mut Vec<f32>) {
    let end = into.len() + PREDICTION;
    match prediction {
        None => into.push(f32::NAN),
        Some(said) => {
            into.extend([said.confidence.get(), said.confidence_raw.get(), said.margin, said.entropy]);
            // Exact up to 16 million refits.
            #[allow(clippy::cast_precision_loss)]
            into.push(said.head_version as f32);
            into.extend(said.top().iter().flat_map(|&(label, p)| [f32::from(label.0), p]));
        }
    }
    into.resize(end, -1.0);
}

/// Reads what [`write_prediction`] wrote.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn read_prediction(numbers: &[f32]) -> Option<Prediction> {
    let (&[confidence, raw, margin, entropy, version], top) = numbers.split_first_chunk::<5>()?;
    if confidence.is_nan() {
        return None;
    }
    let top = top.chunks_exact(2).take_while(|pair| pair[0] >= 0.0);
    let top = top.map(|pair| (LabelId(pair[0] as u16), pair[1]));
    Prediction::from_parts(
        Confidence::new(confidence),
        Confidence::new(raw),
        margin,
        entropy,
        version as u32,
        top,
    )
}

/// A refit in figures: [`crate::domain::learning::learner::Lesson`] with what goes along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lesson {
    /// Grows when the head or temperature in force changes.
    pub version: u32,
    /// Training answers.
    pub trained: u32,
    /// Answers kept from training.
    pub held_out: u32,
    /// The temperature in force.
    pub temperature: f32,
    /// Whether there is evidence enough to judge heads by.
    pub judged: bool,
    /// Answers in the head that stays because the new one is worse; none: the new one is in force.
    pub kept: Option<u32>,
    /// How much worse the new one is, in log-loss, and the standard error of that.
    pub worse_by: [f64; 2],
    /// Log-loss on the answers kept from training: of the model as it came, of the head in force.
    pub log_loss: Option<[f64; 2]>,
    /// Expected calibration error on those: before calibration, after.
    pub calibration_error: Option<[f64; 2]>,
    /// Milliseconds for the refit; for predicting everything anew.
    pub ms: [f64; 2],
    /// Possible slips, five numbers each: item, given label, suggested label, their probabilities.
    pub slips: Vec<f64>,
    /// Items whose numbers are wanted again.
    pub lacks: Vec<u32>,
    /// Items that differ most from the answered ones.
    pub spread: Vec<u32>,
}

impl Lesson {
    /// The refit as the session takes it in, with each key's new prediction.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn learned(&self, keys: &[u32], predictions: Vec<Option<Prediction>>) -> Learned {
        let gate = match self.kept {
            Some(answers) => learner::Gate::Kept {
                answers: answers as usize,
                worse_by: self.worse_by[0],
                standard_error: self.worse_by[1],
            },
            None if !self.judged => learner::Gate::NoEvidence,
            None => learner::Gate::Passed,
        };
        let keyed = |keys: &[u32]| keys.iter().map(|key| ItemKey(*key)).collect::<Vec<_>>();
        let slips = self.slips.chunks_exact(5).map(|slip| Slip {
            item: ItemKey(slip[0] as u32),
            given: slip[1] as usize,
            suggested: slip[2] as usize,
            p_given: slip[3] as f32,
            p_suggested: slip[4] as f32,
        });
        Learned {
            lesson: learner::Lesson {
                version: self.version,
                trained: self.trained as usize,
                held_out: self.held_out as usize,
                gate,
                temperature: Temperature::new(self.temperature).unwrap_or(Temperature::ONE),
                log_loss: self.log_loss.map(|[before, after]| (before, after)),
                calibration_error: self.calibration_error.map(|[before, after]| (before, after)),
            },
            predictions: keyed(keys).into_iter().zip(predictions).collect(),
            slips: slips.collect(),
            lacks: keyed(&self.lacks),
            spread: keyed(&self.spread),
        }
    }
}

/// A kernel that was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What for: `f32 matrix × matrix`.
    pub purpose: String,
    /// Its name: `wasm_f32_8x8`.
    pub name: String,
}

/// Facts of a model that was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// Width of a score row; 0 for a model without scores.
    pub labels: u32,
    /// Width of a feature row; 0 for a model without features.
    pub features: u32,
    /// Milliseconds for digest, parsing and analysis.
    pub ms_parse: f64,
    /// Milliseconds for optimising.
    pub ms_optimise: f64,
    /// Milliseconds for the probe input.
    pub ms_probe: f64,
}

/// Facts of a request that was predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// The request.
    pub ticket: u32,
    /// How many items it had.
    pub count: u32,
    /// The items without a row, in order; all others have one.
    pub faults: Vec<Fault>,
    /// Milliseconds from the request's arrival until all items were fetched and decoded.
    pub ms_decode: f64,
    /// Milliseconds in preparation and model, all items together.
    pub ms_infer: f64,
}

impl Predicted {
    /// For each item in order its row in the scores and features, or why it has none.
    pub fn outcomes(&self) -> impl Iterator<Item = Result<usize, &ItemFault>> {
        let (mut faults, mut row) = (self.faults.iter().peekable(), 0..);
        (0..self.count).map(move |at| match faults.next_if(|fault| fault.at == at) {
            Some(fault) => Err(&fault.why),
            None => Ok(row.next().unwrap_or_default()),
        })
    }
}

/// An item that was not predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Its position in the request.
    pub at: u32,
    /// Why.
    pub why: ItemFault,
}

/// Why an item was not predicted: [`Failed`], as far as a worker can find it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "camelCase")]
#[allow(missing_docs)]
pub enum ItemFault {
    NotFound { status: u16 },
    Unreachable,
    NotAnImage,
    TooManyPixels { width: u32, height: u32, limit: u64 },
    WrongColumns { found: u32, expected: u32 },
    NotFinite { column: u32 },
    WrongKind { expected: String },
    Unpredictable { message: String },
}

#[allow(clippy::cast_possible_truncation)]
impl From<AsideReason> for ItemFault {
    fn from(reason: AsideReason) -> Self {
        match reason {
            AsideReason::NotFound(status) => Self::NotFound { status },
            AsideReason::Unreachable => Self::Unreachable,
            AsideReason::NotAnImage => Self::NotAnImage,
            AsideReason::TooManyPixels { width, height, limit } => {
                Self::TooManyPixels { width, height, limit }
            }
            AsideReason::WrongColumns { found, expected } => {
                Self::WrongColumns { found: found as u32, expected: expected as u32 }
            }
            AsideReason::NotFinite(column) => Self::NotFinite { column: column as u32 },
            AsideReason::WrongKind { expected } => Self::WrongKind { expected: expected.into() },
            // Found by the page before a worker hears of the item.
            found @ (AsideReason::DuplicateId | AsideReason::Malformed(_) | AsideReason::NotShown) => {
                Self::Unpredictable { message: found.to_string() }
            }
        }
    }
}

impl From<Failed> for ItemFault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreadable(reason) => reason.into(),
            Failed::Unpredictable(message) => Self::Unpredictable { message: message.to_string() },
        }
    }
}

impl From<ItemFault> for Failed {
    fn from(fault: ItemFault) -> Self {
        Self::Unreadable(match fault {
            ItemFault::NotFound { status } => AsideReason::NotFound(status),
            ItemFault::Unreachable => AsideReason::Unreachable,
            ItemFault::NotAnImage => AsideReason::NotAnImage,
            ItemFault::TooManyPixels { width, height, limit } => {
                AsideReason::TooManyPixels { width, height, limit }
            }
            ItemFault::WrongColumns { found, expected } => {
                AsideReason::WrongColumns { found: found as usize, expected: expected as usize }
            }
            ItemFault::NotFinite { column } => AsideReason::NotFinite(column as usize),
            ItemFault::WrongKind { expected } => {
                let known = InputSpec::READS.iter().find(|reads| **reads == expected);
                AsideReason::WrongKind { expected: known.copied().unwrap_or("items of another kind") }
            }
            ItemFault::Unpredictable { message } => return Self::Unpredictable(message.into()),
        })
    }
}

/// One thing that is wrong with a model, in words for the person who brought it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFault {
    /// Which check failed: `manifest`, or a code of `infer::error::ModelError`.
    pub code: String,
    /// All of it in one sentence.
    pub message: String,
    /// The manifest's field that the check is about, if it is about one.
    pub path: Option<String>,
    /// What was found.
    pub found: String,
    /// What would be right, with how to mend it.
    pub expected: String,
}

impl From<Problem> for ModelFault {
    fn from(problem: Problem) -> Self {
        Self {
            code: "manifest".into(),
            message: problem.to_string(),
            path: Some(problem.path),
            found: problem.found,
            expected: problem.expected,
        }
    }
}

impl ModelFault {
    /// A manifest's problems.
    #[must_use]
    pub fn of_manifest(problems: Problems) -> Vec<Self> {
        problems.0.into_iter().map(Self::from).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn predicted(count: u32, faulty: &[u32]) -> Predicted {
        let faults = faulty.iter().map(|&at| Fault { at, why: ItemFault::NotAnImage }).collect();
        Predicted { ticket: 1, count, faults, ms_decode: 0.0, ms_infer: 0.0 }
    }

    #[test]
    fn rows_are_counted_past_the_faulty_items() {
        let predicted = predicted(5, &[0, 3]);
        let rows: Vec<_> = predicted.outcomes().map(Result::ok).collect();
        assert_eq!(rows, [None, Some(0), Some(1), None, Some(2)]);
    }

    #[test]
    fn a_reason_survives_the_way_to_the_page() {
        let limit = 64_000_000;
        let reasons = [
            AsideReason::NotFound(404),
            AsideReason::Unreachable,
            AsideReason::NotAnImage,
            AsideReason::TooManyPixels { width: 60_000, height: 60_000, limit },
            AsideReason::WrongColumns { found: 3, expected: 7 },
            AsideReason::NotFinite(2),
            AsideReason::WrongKind { expected: "pictures" },
        ];
        let unpredictable = Failed::Unpredictable("an answer that is not finite".into());
        for failed in reasons.map(Failed::Unreadable).into_iter().chain([unpredictable]) {
            let sent = serde_json::to_value(ItemFault::from(failed.clone())).unwrap();
            let received: ItemFault = serde_json::from_value(sent).unwrap();
            assert_eq!(Failed::from(received), failed);
        }
    }

    #[test]
    fn a_prediction_survives_the_way_to_the_page() {
        use crate::domain::prediction::{Activation, ScoreScale, Temperature};
        for scores in [vec![0.5, 2.0, -1.0], vec![0.0; 9], vec![1.0]] {
            let said =
                Prediction::from_scores(&scores, ScoreScale::Logits, Activation::Softmax, Temperature::ONE);
            let mut numbers = Vec::new();
            write_prediction(said.as_ref(), &mut numbers);
            assert_eq!(numbers.len(), PREDICTION);
            assert_eq!(read_prediction(&numbers), said);
        }
        let mut numbers = Vec::new();
        write_prediction(None, &mut numbers);
        assert_eq!((numbers.len(), read_prediction(&numbers)), (PREDICTION, None));
    }

    #[test]
    fn the_shape_of_each_message_stays() {
        let request = Request::Predict {
            ticket: 7,
            items: vec![Source::Url { url: "a.png".into() }, Source::Pixels],
            features: false,
        };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            serde_json::json!({"type": "predict", "ticket": 7, "features": false,
                "items": [{"from": "url", "url": "a.png"}, {"from": "pixels"}]})
        );
        let reply = Reply::Predicted(predicted(1, &[0]));
        assert_eq!(
            serde_json::to_value(&reply).unwrap(),
            serde_json::json!({"type": "predicted", "ticket": 1, "count": 1, "msDecode": 0.0, "msInfer": 0.0,
                "faults": [{"at": 0, "why": {"code": "notAnImage"}}]})
        );
    }
}
