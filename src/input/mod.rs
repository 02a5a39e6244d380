//! What a model eats: one file an input kind, and one line in [`input_kinds!`] below.
//!
//! A kind's file holds its manifest fields, the check of an item's content, and the way from content to
//! the model's tensor, with the name of the training-time function that it mirrors. Decoding files is
//! the browser's, but for the small plain ones of [`png`]: a kind gets [`Raw`] content.

pub mod card;
pub mod data_url;
pub mod image;
pub mod numbers;
pub mod png;

use crate::domain::item::AsideReason;
use crate::reader::{Fields, Node};

/// Decoded content of one item, before preparation.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// A decoded picture.
    Pixels(image::Pixels<'a>),
    /// One row of a table.
    Numbers(&'a [f32]),
}

/// One input kind; implemented once a file.
pub trait Kind: Sized {
    /// What the manifest's `input.kind` says.
    const NAME: &'static str;
    /// What the model reads, in words for the person whose item is of another kind.
    const READS: &'static str;
    /// The kind's own manifest fields.
    const KEYS: &'static [&'static str];

    /// Reads the kind's own manifest fields; reports every problem.
    fn read(fields: &Fields<'_>) -> Option<Self>;

    /// The tensor's shape for one item, batch dimension (1) included.
    fn shape(&self) -> Vec<usize>;

    /// Writes the tensor of one item into `tensor`, whose length is the product of [`Kind::shape`].
    ///
    /// # Errors
    /// The reason to set the item aside.
    fn prepare(&self, raw: Raw<'_>, tensor: &mut [f32]) -> Result<(), AsideReason>;
}

macro_rules! input_kinds {
    ($($(#[$doc:meta])* $variant:ident($kind:ty),)+) => {
        /// What one item must be and how it becomes the model's tensor.
        #[derive(Clone, Debug, PartialEq)]
        pub enum InputSpec { $($(#[$doc])* $variant($kind),)+ }

        impl InputSpec {
            /// What the models of each kind read, in words.
            pub const READS: &[&'static str] = &[$(<$kind>::READS,)+];

            /// Reads the manifest's `input`: the graph input's name, if it says one, and the kind.
            pub(crate) fn read(node: &Node<'_>) -> Option<(Option<String>, Self)> {
                let kind = node.open_object()?.required("kind")?
                    .choice(&[$((<$kind>::NAME, <$kind>::NAME),)+])?;
                $(if kind == <$kind>::NAME {
                    let fields = node.object(&[&["kind", "name"], <$kind>::KEYS].concat())?;
                    let name = fields.optional("name").map(|node| node.name().map(str::to_owned));
                    let spec = <$kind>::read(&fields);
                    return Some((name.map_or(Some(None), |name| name.map(Some))?, Self::$variant(spec?)));
                })+
                None
            }

            /// The tensor's shape for one item, batch dimension (1) included.
            #[must_use]
            pub fn shape(&self) -> Vec<usize> {
                match self { $(Self::$variant(kind) => kind.shape(),)+ }
            }

            /// What the model reads, in words.
            #[must_use]
            pub fn reads(&self) -> &'static str {
                match self { $(Self::$variant(_) => <$kind>::READS,)+ }
            }

            /// Writes the tensor of one item into `tensor`, whose length is [`InputSpec::tensor_len`].
            ///
            /// # Errors
            /// The reason to set the item aside.
            pub fn prepare(&self, raw: Raw<'_>, tensor: &mut [f32]) -> Result<(), AsideReason> {
                match self { $(Self::$variant(kind) => kind.prepare(raw, tensor),)+ }
            }
        }
    };
}

input_kinds! {
    /// Pictures.
    Image(image::ImageInput),
    /// Rows of numbers.
    Numbers(numbers::NumbersInput),
}

impl InputSpec {
    /// How many numbers the tensor of one item holds.
    #[must_use]
    pub fn tensor_len(&self) -> usize {
        self.shape().iter().product()
    }
}
