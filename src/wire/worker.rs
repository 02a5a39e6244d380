//! What the page and its workers say to each other.
//!
//! A message is one JavaScript object of two fields: [`HEAD`] holds a [`Request`] or [`Reply`] (by
//! `serde-wasm-bindgen`), [`PARTS`] a list with what travels beside it without being written out: buffers,
//! Blobs, ImageData. Each variant says what its parts are; buffers are transferred, not copied.
//!
//! The worker speaks first ([`Reply::Ready`]): what is posted before its Wasm is up would be lost.

use serde::{Deserialize, Serialize};

use crate::domain::item::{AsideReason, Failed};
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
    /// The worker is lost (panic, or a message that it cannot read): replace it.
    Fatal {
        /// What happened.
        message: String,
    },
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
            found @ (AsideReason::DuplicateId | AsideReason::Malformed(_)) => {
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
