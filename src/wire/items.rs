//! Items as a page gives them: `{"id", "image" | "numbers", "meta"?}`, one by one or as a stream.
//!
//! Published as `www/schema/item.v1.schema.json`. An item that is wrong becomes an [`Aside`] with everything
//! that is wrong with it, and never stops the rest.

mod stream;

use std::sync::Arc;

use serde_json::Value as Json;

use super::address;
use super::correction::from_json;
use super::manifest::optional;
use crate::domain::decimal::shortest;
use crate::domain::item::{Aside, AsideReason, Content, ImageSource, Item};
use crate::domain::value::Value;
use crate::input::numbers::MAX_COLUMNS;
use crate::reader::{Fields, Node, Problems, read};

pub use stream::{ItemStream, MAX_ITEM_BYTES, StreamError};

/// The longest id, characters.
pub const MAX_ID: usize = 1_000;

/// How many of an item's problems are told; a row of text would have one a column.
const MOST_PROBLEMS: usize = 3;

/// Makes a relative address absolute; `None` where that cannot be.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads one item; `place` says where it stands ("line 7") and names it when it has no id.
///
/// # Errors
/// The item with everything that is wrong with it.
pub fn item(json: &Json, place: &str, resolve: Resolve<'_>) -> Result<Item, Aside> {
    let read = read(json, |node| {
        let fields = node.object(&["id", "image", "numbers", "meta"])?;
        let id = id(&fields);
        let image = optional(&fields, "image", |node| image(&node, resolve));
        let numbers = optional(&fields, "numbers", |node| numbers(&node));
        let meta = meta(&fields);
        let content = match (image?, numbers?) {
            (Some(image), None) => Content::Image(image),
            (None, Some(numbers)) => Content::Numbers(numbers),
            (Some(_), Some(_)) => return node.report("image and numbers", "one of the two"),
            (None, None) => return node.report("neither image nor numbers", "one of the two"),
        };
        Some(Item { id: id?, content, meta })
    });
    read.map_err(|problems| aside(json, place, &problems))
}

/// Reads an item whose content is in the page's hands already: `json` holds `id` and `meta` only.
///
/// # Errors
/// As [`item`].
pub fn item_around(content: Content, json: &Json, place: &str) -> Result<Item, Aside> {
    let read = read(json, |node| {
        let fields = node.object(&["id", "meta"])?;
        Some(Item { id: id(&fields)?, content, meta: meta(&fields) })
    });
    read.map_err(|problems| aside(json, place, &problems))
}

/// An item set aside for what is wrong with its description.
#[must_use]
pub fn malformed(id: &str, why: impl Into<String>) -> Aside {
    Aside { id: id.into(), item: None, reason: AsideReason::Malformed(why.into()) }
}

fn aside(json: &Json, place: &str, problems: &Problems) -> Aside {
    let told: Vec<_> = problems.0.iter().take(MOST_PROBLEMS).map(ToString::to_string).collect();
    let more = match problems.0.len().saturating_sub(MOST_PROBLEMS) {
        0 => String::new(),
        more => format!("\nand {more} more"),
    };
    let id = json.get("id").and_then(id_text).filter(|id| is_id(id)).unwrap_or_else(|| place.to_owned());
    malformed(&id, told.join("\n") + &more)
}

fn id(fields: &Fields<'_>) -> Option<Arc<str>> {
    let node = fields.required("id")?;
    let text = id_text(node.value()).filter(|text| is_id(text));
    text.map(Arc::from).or_else(|| node.wrong(format!("a text of 1 to {MAX_ID} characters, or a number")))
}

fn is_id(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().nth(MAX_ID).is_none()
}

fn id_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        // JavaScript has one kind of number: what another reader writes as 7 may come as 7.0.
        Json::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() => shortest(float),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

fn meta(fields: &Fields<'_>) -> Arc<Value> {
    Arc::new(fields.optional("meta").map_or(Value::Null, |node| from_json(node.value())))
}

fn image(node: &Node<'_>, resolve: Resolve<'_>) -> Option<ImageSource> {
    const EXPECTED: &str = "an http, https, blob or data:image address, or a relative one";
    let text = node.value().as_str().unwrap_or_default();
    if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data:")) {
        // Not through the address check: it is long, and a picture's bytes are judged by the decoder.
        return match text.get(5..11).is_some_and(|kind| kind.eq_ignore_ascii_case("image/")) {
            true => Some(ImageSource::Url(text.into())),
            false => node.wrong(EXPECTED),
        };
    }
    let address = address::read(node, &["http", "https", "blob"], EXPECTED)?;
    if address::scheme(&address).is_some() {
        return Some(ImageSource::Url(address.into()));
    }
    match resolve(&address) {
        Some(absolute) => Some(ImageSource::Url(absolute.into())),
        None => node.wrong("an address that can be resolved against that of the items"),
    }
}

fn numbers(node: &Node<'_>) -> Option<Arc<[f32]>> {
    let list = node.value().as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() || list.len() > MAX_COLUMNS {
        return node.wrong(format!("a list of 1 to {MAX_COLUMNS} numbers"));
    }
    #[allow(clippy::cast_possible_truncation)]
    let narrow = |json: &Json| json.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    // The paths of all elements are made only when one is wrong.
    let numbers: Option<Arc<[f32]>> = list.iter().map(narrow).collect();
    numbers.or_else(|| {
        for node in node.list()?.iter().filter(|node| narrow(node.value()).is_none()).take(MOST_PROBLEMS + 1)
        {
            let _: Option<()> = node.wrong("a number that 32 bits can hold");
        }
        None
    })
}
