//! A request's body taken apart: records that can be stored, and refused ones with their problems.
//!
//! Syntax is all or nothing: a body that is not JSON may have been cut off, so none of it is taken.
//! Content is judged record by record.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::work::Entry;
use crate::reader::Problem;
use crate::wire::record::Record;

/// What one record of a body came to.
#[derive(Debug)]
pub enum Candidate {
    /// A record of version 1.
    Good(Box<Record>),
    /// Something else.
    Bad {
        /// The `id` that it names, if it is a text of reasonable length.
        id: Option<String>,
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

/// Why no record could be taken from a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The content type is none that holds records.
    #[error("the content type {found:?} is not known")]
    UnknownType {
        /// The header as it came.
        found: String,
    },
    /// Not UTF-8.
    #[error("the body is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Bytes before the first wrong one.
        at: usize,
    },
    /// Nothing but white space.
    #[error("the body is empty")]
    Empty,
    /// Not JSON.
    #[error("the body is not JSON: {why}")]
    NotJson {
        /// With line and column.
        why: serde_json::Error,
    },
}

/// How a body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Exactly one JSON document.
    One,
    /// Any number of JSON documents, each on a line of its own.
    Lines,
}

impl Layout {
    /// The layout that a `Content-Type` announces; `text/plain` is for requests that a browser sends
    /// without a preflight, `application/x-www-form-urlencoded` (curl's default) is never JSON.
    ///
    /// # Errors
    /// [`BodyError::UnknownType`].
    pub fn of(content_type: Option<&str>) -> Result<Self, BodyError> {
        let found = content_type.unwrap_or_default();
        let mut parts = found.split(';').map(|part| part.trim().to_ascii_lowercase());
        let layout = match parts.next().unwrap_or_default().as_str() {
            "application/json" => Self::One,
            "application/x-ndjson" | "application/jsonl" | "text/plain" => Self::Lines,
            _ => return Err(BodyError::UnknownType { found: found.to_owned() }),
        };
        let foreign = |part: String| {
            part.strip_prefix("charset=")
                .is_some_and(|set| !matches!(set.trim_matches('"'), "utf-8" | "utf8"))
        };
        if parts.any(foreign) {
            return Err(BodyError::UnknownType { found: found.to_owned() });
        }
        Ok(layout)
    }
}

/// Takes a body of records apart, in the order of the records in it.
///
/// # Errors
/// Why nothing was taken.
pub fn read_body(layout: Layout, body: &[u8]) -> Result<Vec<Candidate>, BodyError> {
    each_value(layout, body, |_, read| match read {
        Ok(value) => match Record::from_json(&value) {
            Ok(record) => Candidate::Good(Box::new(record)),
            Err(problems) => {
                let id = value.get("id").and_then(Value::as_str).filter(|id| id.len() <= 100);
                Candidate::Bad { id: id.map(str::to_owned), problems: problems.0 }
            }
        },
        Err(problem) => Candidate::Bad { id: None, problems: vec![problem] },
    })
}

/// Takes a body of items for the work list apart; each that is wrong with what is wrong.
///
/// # Errors
/// Why nothing was taken.
pub fn read_items(layout: Layout, body: &[u8]) -> Result<Vec<Result<Entry, Problem>>, BodyError> {
    each_value(layout, body, |place, read| {
        let value =
            read.map_err(|problem| Problem { path: format!("[{place}]{}", problem.path), ..problem })?;
        Entry::read(&value, place)
    })
}

/// Takes `body` apart; `form` gets each value with its place, from 0, or what is wrong with its JSON.
fn each_value<T>(
    layout: Layout,
    body: &[u8],
    form: impl Fn(usize, Result<Value, Problem>) -> T,
) -> Result<Vec<T>, BodyError> {
    let text = std::str::from_utf8(body).map_err(|why| BodyError::NotUtf8 { at: why.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(BodyError::Empty);
    }
    let not_json = |why| BodyError::NotJson { why };
    let mut parser = serde_json::Deserializer::from_str(text);
    let documents: Vec<&RawValue> = match layout {
        Layout::One => {
            let document = <&RawValue>::deserialize(&mut parser).map_err(not_json)?;
            parser.end().map_err(not_json)?;
            vec![document]
        }
        Layout::Lines => parser.into_iter().collect::<Result<_, _>>().map_err(not_json)?,
    };
    let mut formed = Vec::new();
    for document in documents {
        // The outer level of a list is read without its elements, so that one that cannot be read
        // (nested too deep, a key twice) is refused alone.
        if document.get().starts_with('[') {
            let elements: Vec<&RawValue> = serde_json::from_str(document.get()).map_err(not_json)?;
            for element in elements {
                formed.push(form(formed.len(), value(element)));
            }
        } else {
            formed.push(form(formed.len(), value(document)));
        }
    }
    Ok(formed)
}

fn value(raw: &RawValue) -> Result<Value, Problem> {
    let read = serde_json::from_str::<KeysOnce>(raw.get());
    read.map(|KeysOnce(value)| value).map_err(|why| Problem {
        path: String::new(),
        found: why.to_string(),
        expected: "each key once, at most 127 levels, and numbers and characters that exist".into(),
    })
}

/// A JSON value no object of which has a key twice: which of the two was meant cannot be known.
struct KeysOnce(Value);

impl<'de> Deserialize<'de> for KeysOnce {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = KeysOnce;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<KeysOnce, E> {
                Ok(KeysOnce(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<KeysOnce, E> {
                Ok(KeysOnce(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<KeysOnce, E> {
                Ok(KeysOnce(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<KeysOnce, E> {
                Ok(KeysOnce(value.into()))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<KeysOnce, E> {
                let number =
                    Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
                Ok(KeysOnce(Value::Number(number)))
            }

            fn visit_str<E>(self, value: &str) -> Result<KeysOnce, E> {
                Ok(KeysOnce(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<KeysOnce, A::Error> {
                let mut values = Vec::new();
                while let Some(KeysOnce(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(KeysOnce(Value::Array(values)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<KeysOnce, A::Error> {
                let mut values = Map::new();
                while let Some(key) = object.next_key::<String>()? {
                    if values.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("the key {key:?} twice in one object")));
                    }
                    let KeysOnce(value) = object.next_value()?;
                    values.insert(key, value);
                }
                Ok(KeysOnce(Value::Object(values)))
            }
        }

        from.deserialize_any(Any)
    }
}
