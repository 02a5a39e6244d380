//! A request's body taken apart: records that can be stored, and refused ones with their problems.
//!
//! Syntax is all or nothing: a body that is not JSON may have been cut off, so none of it is taken.
//! Content is judged record by record.
//!
//! A body of a few bytes a value must not become many times its size in memory: values, what is told of wrong ones,
//! and the room that all of it takes are bounded.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use super::work::Entry;
use crate::reader::{Problem, Problems};
use crate::wire::record::Record;

/// Records or items in one body at most.
pub const MAX_VALUES: usize = 1_000_000;

/// Wrong ones among them at most.
pub const MAX_WRONG: usize = 10_000;

/// How many problems of one value are told.
const MAX_PROBLEMS: usize = 20;

/// How long the lists of a record may be that are read element by element, each with its path.
const MAX_LIST: usize = 100_000;

/// What a body may take in memory, in JSON values (32 bytes): a record of 1 kB takes 300.
const ROOM: usize = 8_000_000;

/// What an object takes beside its values: room for eleven.
const OBJECT: usize = 20;

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
    /// More than [`MAX_VALUES`].
    #[error("the body holds more than {MAX_VALUES} values")]
    TooMany,
    /// More than [`MAX_WRONG`].
    #[error("more than {MAX_WRONG} values of the body are wrong; the first of them: {first}")]
    TooManyWrong {
        /// What is wrong with the first.
        first: Box<Problem>,
    },
    /// More than [`ROOM`].
    #[error("the body holds too many JSON values for its size")]
    TooDense,
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
    let mut wrong = Wrong::default();
    each_value(layout, body, |_, read| {
        let (id, problems) = match read {
            Ok(value) => match too_long(&value).map_or_else(|| Record::from_json(&value), Err) {
                Ok(record) => return Ok(Candidate::Good(Box::new(record))),
                Err(problems) => {
                    let id = value.get("id").and_then(Value::as_str).filter(|id| id.len() <= 100);
                    (id.map(str::to_owned), problems.0)
                }
            },
            Err(problem) => (None, vec![problem]),
        };
        wrong.note(problems.first())?;
        Ok(Candidate::Bad { id, problems: few(problems) })
    })
}

/// Takes a body of items for the work list apart; each that is wrong with what is wrong.
///
/// # Errors
/// Why nothing was taken.
pub fn read_items(layout: Layout, body: &[u8]) -> Result<Vec<Result<Entry, Problem>>, BodyError> {
    let mut wrong = Wrong::default();
    each_value(layout, body, |place, read| {
        let entry = read
            .map_err(|problem| Problem { path: format!("[{place}]{}", problem.path), ..problem })
            .and_then(|value| Entry::read(&value, place));
        if let Err(problem) = &entry {
            wrong.note(Some(problem))?;
        }
        Ok(entry)
    })
}

fn too_long(record: &Value) -> Option<Problems> {
    [["policy", "reasons"], ["prediction", "top"]].into_iter().find_map(|[outer, inner]| {
        let list = record.get(outer)?.get(inner)?.as_array().filter(|list| list.len() > MAX_LIST)?;
        Some(Problems(vec![Problem {
            path: format!("{outer}.{inner}"),
            found: format!("a list of {}", list.len()),
            expected: format!("at most {MAX_LIST}"),
        }]))
    })
}

/// Counts what is wrong.
#[derive(Default)]
struct Wrong {
    count: usize,
    first: Option<Problem>,
}

impl Wrong {
    fn note(&mut self, problem: Option<&Problem>) -> Result<(), BodyError> {
        self.count += 1;
        if self.first.is_none() {
            self.first = problem.cloned();
        }
        match &self.first {
            Some(first) if self.count > MAX_WRONG => {
                Err(BodyError::TooManyWrong { first: Box::new(first.clone()) })
            }
            _ => Ok(()),
        }
    }
}

/// The first of them, and that there are more.
fn few(mut problems: Vec<Problem>) -> Vec<Problem> {
    if problems.len() > MAX_PROBLEMS {
        problems.truncate(MAX_PROBLEMS);
        problems.push(Problem {
            path: String::new(),
            found: format!("more problems than these {MAX_PROBLEMS}"),
            expected: "a record as docs/backend.md has it".into(),
        });
    }
    problems
}

/// Takes `body` apart; `form` gets each value with its place, from 0, or what is wrong with its JSON.
fn each_value<T>(
    layout: Layout,
    body: &[u8],
    mut form: impl FnMut(usize, Result<Value, Problem>) -> Result<T, BodyError>,
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
        Layout::Lines => {
            let mut documents = Vec::new();
            for document in parser.into_iter() {
                let document = document.map_err(not_json)?;
                if documents.len() <= MAX_VALUES {
                    documents.push(document);
                }
            }
            documents
        }
    };
    if documents.len() > MAX_VALUES {
        return Err(BodyError::TooMany);
    }
    let room = Cell::new(ROOM.max(body.len() / 2));
    let mut formed = Vec::new();
    for document in documents {
        // The outer level of a list is read without its elements, so that one that cannot be read
        // (nested too deep, a key twice) is refused alone.
        let elements = match document.get().starts_with('[') {
            true => serde_json::from_str::<Elements>(document.get()).map_err(not_json)?.0,
            false => vec![document],
        };
        if formed.len() + elements.len() > MAX_VALUES {
            return Err(BodyError::TooMany);
        }
        for element in elements {
            let value = value(element, &room);
            if room.get() == 0 {
                return Err(BodyError::TooDense);
            }
            formed.push(form(formed.len(), value)?);
        }
    }
    Ok(formed)
}

/// The elements of a list, as they stand, and one more than [`MAX_VALUES`] at most.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements<'de>, A::Error> {
                let mut elements = Vec::new();
                while elements.len() <= MAX_VALUES
                    && let Some(element) = list.next_element()?
                {
                    elements.push(element);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Elements(elements))
            }
        }

        from.deserialize_seq(List)
    }
}

fn value(raw: &RawValue, room: &Cell<usize>) -> Result<Value, Problem> {
    let mut parser = serde_json::Deserializer::from_str(raw.get());
    let read = KeysOnce { room }.deserialize(&mut parser);
    read.map_err(|why| Problem {
        path: String::new(),
        found: why.to_string(),
        expected: "each key once, at most 127 levels, and numbers and characters that exist".into(),
    })
}

/// Reads a JSON value no object of which has a key twice: which of the two was meant cannot be known.
#[derive(Clone, Copy)]
struct KeysOnce<'a> {
    /// What may still be taken; 0 once it was not enough.
    room: &'a Cell<usize>,
}

impl KeysOnce<'_> {
    fn take<E: serde::de::Error>(self, room: usize) -> Result<(), E> {
        let left = self.room.get().saturating_sub(room);
        self.room.set(left);
        if left == 0 { Err(E::custom("too many JSON values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for KeysOnce<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.take(1)?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeysOnce<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if values.is_empty() {
                self.take(OBJECT)?;
            }
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} twice in one object")));
            }
            let value = object.next_value_seed(self)?;
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}
