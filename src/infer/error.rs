//! Why a model cannot be used: each says what was found, what was expected, and so the mend.

use crate::input::card::Digest;
use crate::wire::worker::ModelFault;

/// Why a model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.fault().message)]
pub enum ModelError {
    /// The file is not as long as the manifest says: cut off, or another file.
    WrongSize {
        /// Bytes of the file.
        found: u64,
        /// Bytes by the manifest.
        expected: u64,
    },
    /// The file is not the one that the manifest was written for.
    WrongDigest {
        /// Of the file.
        found: Digest,
        /// By the manifest.
        expected: Digest,
    },
    /// The file is no ONNX graph.
    NotOnnx {
        /// What it looks like.
        found: String,
    },
    /// Operators that tract does not have; sorted, each once.
    UnsupportedOperators(Vec<String>),
    /// A stored tensor whose description and content disagree, or that no worker can hold.
    BadTensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        found: String,
    },
    /// The graph contradicts itself.
    BadGraph(String),
    /// The graph's input cannot be told.
    Input {
        /// The name that the manifest says, if any.
        wanted: Option<String>,
        /// The graph's inputs.
        found: Vec<String>,
    },
    /// The graph reads another type or shape than the manifest says.
    InputShape {
        /// The graph's: `f32 [?, 3, 224, 224]`.
        found: String,
        /// The manifest's.
        expected: String,
    },
    /// One of the graph's outputs cannot be told.
    Output {
        /// The manifest's field: `outputs.scores.name`.
        path: &'static str,
        /// The name that the manifest says, if any.
        wanted: Option<String>,
        /// The graph's outputs.
        found: Vec<String>,
    },
    /// The score output has not one number a label.
    LabelCount {
        /// Numbers in the score output.
        found: usize,
        /// Labels in the manifest.
        expected: usize,
    },
    /// An output is empty or not of numbers.
    OutputShape {
        /// The manifest's field: `outputs.features`.
        path: &'static str,
        /// The graph's.
        found: String,
    },
    /// The model answers a plain probe input with numbers that are not finite.
    NotFinite {
        /// The manifest's field: `outputs.scores`.
        path: &'static str,
    },
    /// The manifest says probabilities, the model answered something else.
    NotProbabilities {
        /// What it answered.
        found: String,
    },
    /// tract could not read, analyse, optimise or run the graph.
    Engine {
        /// At which stage.
        stage: &'static str,
        /// tract's words.
        why: String,
    },
}

impl ModelError {
    /// The error as it travels to the page.
    #[must_use]
    pub fn fault(&self) -> ModelFault {
        let (code, path, found, expected) = self.parts();
        let about = path.map(|path| format!("`{path}`: ")).unwrap_or_default();
        ModelFault {
            code: code.into(),
            message: format!("{about}found {found}, expected {expected}"),
            path: path.map(Into::into),
            found,
            expected,
        }
    }

    fn parts(&self) -> (&'static str, Option<&'static str>, String, String) {
        match self {
            Self::WrongSize { found, expected } => (
                "wrong-size",
                Some("bytes"),
                format!("a model file of {found} bytes"),
                format!("{expected} bytes; the download was cut off or the manifest belongs to another file"),
            ),
            Self::WrongDigest { found, expected } => (
                "wrong-digest",
                Some("sha256"),
                format!("a model file with the SHA-256 {found}"),
                format!("{expected}; the file was changed or the manifest belongs to another one"),
            ),
            Self::NotOnnx { found } => {
                ("not-onnx", Some("file"), found.clone(), "an ONNX model; check the address".into())
            }
            Self::UnsupportedOperators(names) => (
                "unsupported-operator",
                Some("file"),
                format!("the operators {}, which this engine does not have", names.join(", ")),
                "a graph of operators that it has; export with another opset or without pre- and post-processing".into(),
            ),
            Self::BadTensor { tensor, found } => (
                "bad-tensor",
                Some("file"),
                format!("the tensor {tensor:?} with {found}"),
                "a shape and the bytes to fill it, inside the file".into(),
            ),
            Self::BadGraph(found) => {
                ("bad-graph", Some("file"), found.clone(), "a graph that is whole; export it again".into())
            }
            Self::Input { wanted, found } => {
                ("no-such-input", Some("input.name"), named("input", found), told("input", wanted.as_deref()))
            }
            Self::InputShape { found, expected } => (
                "wrong-input-shape",
                Some("input"),
                format!("a graph that reads {found}"),
                format!("{expected}, which the manifest's `input` makes of an item; change the manifest or export again"),
            ),
            Self::Output { path, wanted, found } => {
                ("no-such-output", Some(path), named("output", found), told("output", wanted.as_deref()))
            }
            Self::LabelCount { found, expected } => (
                "wrong-label-count",
                Some("labels"),
                format!("{expected} labels"),
                format!("{found}, one for each number of the model's score output, in its order"),
            ),
            Self::OutputShape { path, found } => (
                "wrong-output-shape",
                Some(path),
                format!("an output of {found}"),
                "one row of numbers for one item".into(),
            ),
            Self::NotFinite { path } => (
                "not-finite",
                Some(path),
                "numbers that are not finite in the answer to a probe input".into(),
                "finite numbers; check mean, std and the export".into(),
            ),
            Self::NotProbabilities { found } => (
                "not-probabilities",
                Some("outputs.scores.as"),
                format!("\"probabilities\" for an output that holds {found}"),
                "\"logits\", or an output behind the softmax or sigmoid".into(),
            ),
            Self::Engine { stage, why } => (
                "engine",
                Some("file"),
                format!("a graph that fails in {stage}: {why}"),
                "a graph that tract can run; export it with fixed shapes and a plain opset (9 to 18)".into(),
            ),
        }
    }
}

fn named(what: &str, found: &[String]) -> String {
    match found {
        [] => format!("a graph without {what}"),
        [one] => format!("a graph with the {what} {one:?}"),
        many => format!("a graph with the {what}s {}", many.join(", ")),
    }
}

fn told(what: &str, wanted: Option<&str>) -> String {
    match wanted {
        Some(name) => format!("an {what} called {name:?}"),
        None => format!("exactly one {what}, or its name here"),
    }
}
