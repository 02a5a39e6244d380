//! A thing to be labelled, and why one cannot be.

use std::fmt;
use std::sync::Arc;

use super::value::Value;

/// Position of an item in its session: dense, in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey(pub u32);

/// A thing to be labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The page's own name for it; unique in a session, and what records say.
    pub id: Arc<str>,
    /// What is shown and what the model reads.
    pub content: Content,
    /// Whatever the page wants back in the record.
    pub meta: Arc<Value>,
}

/// What an item consists of.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A picture.
    Image(ImageSource),
    /// One row of a table, in the model's column order.
    Numbers(Arc<[f32]>),
}

/// Where a picture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// At an address, absolute or `data:`.
    Url(Arc<str>),
    /// In the page's hands, under this number: a file that was dropped, a Blob or ImageData.
    Held(u32),
}

/// Why an item was set aside. Each says enough to mend the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsideReason {
    /// An earlier item bears the same id.
    DuplicateId,
    /// The item's own description is wrong: path, found, expected.
    Malformed(String),
    /// The server has no such picture (HTTP status).
    NotFound(u16),
    /// The picture could not be fetched at all: network down, or the server forbids other pages (CORS).
    Unreachable,
    /// What was fetched is not a picture that this browser reads.
    NotAnImage,
    /// The page could not show the picture; browsers do not say why.
    NotShown,
    /// The picture is larger than the pixel limit.
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit in pixels.
        limit: u64,
    },
    /// The row has not as many numbers as the model has columns.
    WrongColumns {
        /// How many there are.
        found: usize,
        /// How many the model reads.
        expected: usize,
    },
    /// The row holds a number that is not finite (column index).
    NotFinite(usize),
    /// The item is of another kind than the model reads.
    WrongKind {
        /// What the model reads.
        expected: &'static str,
    },
}

impl AsideReason {
    /// Whether a person may still label the item by hand: there is one item of that name and it can be shown.
    #[must_use]
    pub fn can_be_labelled(&self) -> bool {
        !matches!(self, AsideReason::DuplicateId | AsideReason::Malformed(_))
    }
}

impl fmt::Display for AsideReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AsideReason::DuplicateId => f.write_str("an earlier item has the same id; give each item its own"),
            AsideReason::Malformed(problem) => f.write_str(problem),
            AsideReason::NotFound(status) => {
                write!(f, "the server answered {status} for the picture; check its address")
            }
            AsideReason::Unreachable => f.write_str(
                "the picture could not be fetched; check the address, the network, and that its server allows this page (CORS)",
            ),
            AsideReason::NotAnImage => f.write_str("this is not a picture that the browser can read"),
            AsideReason::NotShown => f.write_str("the picture cannot be shown; check its address"),
            AsideReason::TooManyPixels { width, height, limit } => {
                write!(f, "{width} × {height} pixels are more than the limit of {limit}; scale it down or raise the limit")
            }
            AsideReason::WrongColumns { found, expected } => {
                write!(f, "the row has {found} numbers, the model reads {expected}")
            }
            AsideReason::NotFinite(column) => write!(f, "the number in column {} is not finite", column + 1),
            AsideReason::WrongKind { expected } => write!(f, "the model reads {expected}"),
        }
    }
}

/// Why there is no prediction for an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The item itself cannot be read: it is set aside.
    Unreadable(AsideReason),
    /// The model failed on it: the person is asked.
    Unpredictable(Arc<str>),
}

/// An item that was set aside, for the visible list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The item's id, or where in the source it stood when it has none.
    pub id: Arc<str>,
    /// The item, if there is one that could be labelled by hand.
    pub item: Option<ItemKey>,
    /// Why.
    pub reason: AsideReason,
}
