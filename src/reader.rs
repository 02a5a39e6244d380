//! Loose JSON read strictly: every problem is kept with its path, what was found and what was expected.
//!
//! Used for everything that a person writes by hand (manifest, configuration, items). Derived
//! deserialisers stop at the first problem and name no path; a person who writes a file by hand wants
//! all of them at once, each with the mend.
//!
//! ```
//! use hitl_labeler::reader::{Node, read};
//!
//! let json = serde_json::json!({"width": "28", "hieght": 28});
//! let problems = read(&json, |node: Node| {
//!     let fields = node.object(&["width", "height"])?;
//!     let width = fields.required("width").and_then(|n| n.integer(1..=4096));
//!     let height = fields.required("height").and_then(|n| n.integer(1..=4096));
//!     Some((width?, height?))
//! })
//! .unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "`hieght`: found an unknown key, expected one of width, height (did you mean `height`?)\n\
//!      `width`: found \"28\", expected a whole number from 1 to 4096\n\
//!      `height`: found nothing, expected a value"
//! );
//! ```

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::domain::decimal::shortest;

/// How many problems of one document are kept: nobody reads more, and a hostile one may have millions.
const MOST: usize = 100;

/// The longest key that is compared with known ones, bytes.
const LONGEST: usize = 64;

/// One thing that is wrong in a document, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `input.mean[2]`; empty for the document itself.
    pub path: String,
    /// What stands there, shortened.
    pub found: String,
    /// What would be right, with how to mend it.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(the whole document)" } else { &self.path };
        write!(f, "`{path}`: found {}, expected {}", self.found, self.expected)
    }
}

/// What is wrong in a document, in the order in which it was read: all of it, but for what comes after a hundred;
/// never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Reads `document` with `reader`; fails if that reported any problem.
///
/// # Errors
/// All [`Problems`] that `reader` met. A reader that answers `None` must have reported why.
pub fn read<T>(document: &Value, reader: impl FnOnce(Node<'_>) -> Option<T>) -> Result<T, Problems> {
    let sink = RefCell::new(Vec::new());
    let read = reader(Node { value: document, path: String::new(), sink: &sink });
    let problems = sink.into_inner();
    match read {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(Problems(problems)),
    }
}

/// Parses `text` as JSON, then reads it.
///
/// # Errors
/// Not JSON (one problem with line and column), or what [`read`] reports.
pub fn read_text<T>(text: &str, reader: impl FnOnce(Node<'_>) -> Option<T>) -> Result<T, Problems> {
    // As bytes, here as everywhere: texts would bring a second JSON reader along.
    match serde_json::from_slice::<Value>(text.as_bytes()) {
        Ok(document) => read(&document, reader),
        Err(why) => Err(Problems(vec![Problem {
            path: String::new(),
            found: format!("text that is not JSON ({why})"),
            expected: expected_json(text),
        }])),
    }
}

fn expected_json(text: &str) -> String {
    // The most frequent cause by far: a static server's "not found" page with status 200.
    if text.trim_start().starts_with('<') {
        "JSON; this looks like an HTML page: check the address".into()
    } else {
        "JSON".into()
    }
}

fn keep(sink: &RefCell<Vec<Problem>>, problem: Problem) {
    let mut kept = sink.borrow_mut();
    if kept.len() < MOST {
        kept.push(problem);
    }
}

/// One value in a document, with its path.
#[derive(Clone)]
pub struct Node<'a> {
    value: &'a Value,
    path: String,
    sink: &'a RefCell<Vec<Problem>>,
}

/// The fields of an object.
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    sink: &'a RefCell<Vec<Problem>>,
}

impl<'a> Node<'a> {
    /// The value as it stands.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// Where in the document this value stands.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports that this value is not what was `expected`; always `None`, for use with `?`.
    pub fn wrong<T>(&self, expected: impl Into<String>) -> Option<T> {
        self.report(shortened(self.value), expected)
    }

    /// Reports a problem whose finding is better said in words than by the value itself.
    pub fn report<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        keep(self.sink, Problem { path: self.path.clone(), found: found.into(), expected: expected.into() });
        None
    }

    /// An object that has no keys but `known`; each other key is reported, with the nearest known one.
    #[must_use]
    pub fn object(&self, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.open_object()?;
        let unknown = fields.map.keys().filter(|key| !known.contains(&key.as_str()));
        for key in unknown.take(MOST) {
            let nearest = nearest(key, known).map(|k| format!(" (did you mean `{k}`?)")).unwrap_or_default();
            keep(
                self.sink,
                Problem {
                    path: joined(&self.path, key),
                    found: "an unknown key".into(),
                    expected: format!("one of {}{nearest}", known.join(", ")),
                },
            );
        }
        Some(fields)
    }

    /// An object with any keys.
    #[must_use]
    pub fn open_object(&self) -> Option<Fields<'a>> {
        match self.value {
            Value::Object(map) => Some(Fields { map, path: self.path.clone(), sink: self.sink }),
            _ => self.wrong("an object"),
        }
    }

    /// A list, each element with its own path.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Node<'a>>> {
        match self.value {
            Value::Array(values) => Some(
                values
                    .iter()
                    .enumerate()
                    .map(|(i, value)| Node { value, path: format!("{}[{i}]", self.path), sink: self.sink })
                    .collect(),
            ),
            _ => self.wrong("a list"),
        }
    }

    /// A list with at least one element; `of` says of what.
    #[must_use]
    pub fn filled(&self, of: &str) -> Option<Vec<Node<'a>>> {
        let list = self.list()?;
        if list.is_empty() {
            return self.wrong(["a list of ", of, " that is not empty"].concat());
        }
        Some(list)
    }

    /// A text, empty or not.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) => Some(text),
            _ => self.wrong("a text"),
        }
    }

    /// A text with at least one visible character.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) if !text.trim().is_empty() => Some(text),
            _ => self.wrong("a text that is not empty"),
        }
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong("true or false"))
    }

    /// A whole number within `range`.
    #[must_use]
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        // JavaScript knows no integers: what comes over a property may be 28.0.
        let whole = self.value.as_i64().or_else(|| {
            let number = self.value.as_f64()?;
            #[allow(clippy::cast_possible_truncation)]
            (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
        });
        whole
            .filter(|n| range.contains(n))
            .or_else(|| self.wrong(format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// A finite number within `range`.
    #[must_use]
    pub fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        self.value.as_f64().filter(|n| range.contains(n)).or_else(|| {
            self.wrong(match (*range.start() > f64::MIN, *range.end() < f64::MAX) {
                (true, true) => {
                    format!("a number from {} to {}", shortest(*range.start()), shortest(*range.end()))
                }
                (true, false) => format!("a number of at least {}", shortest(*range.start())),
                (false, true) => format!("a number of at most {}", shortest(*range.end())),
                (false, false) => "a number".into(),
            })
        })
    }

    /// One of a few words, each standing for a value.
    #[must_use]
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.value.as_str().unwrap_or_default();
        choices.iter().find(|(name, _)| *name == word).map(|(_, value)| value.clone()).or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.wrong(names.join(" or "))
        })
    }
}

impl<'a> Fields<'a> {
    /// The field `key` if it is there; `null` counts as absent.
    #[must_use]
    pub fn optional(&self, key: &str) -> Option<Node<'a>> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        Some(Node { value, path: joined(&self.path, key), sink: self.sink })
    }

    /// The field `key`; its absence is reported.
    #[must_use]
    pub fn required(&self, key: &str) -> Option<Node<'a>> {
        self.optional(key).or_else(|| {
            keep(
                self.sink,
                Problem {
                    path: joined(&self.path, key),
                    found: "nothing".into(),
                    expected: "a value".into(),
                },
            );
            None
        })
    }

    /// Reads the field `key` into `place` if it is there. A wrong one leaves `place` as it is: its problem
    /// fails the whole document, and what was read is never seen.
    pub fn fill<T>(&self, key: &str, place: &mut T, reader: fn(&Node<'_>) -> Option<T>) {
        if let Some(read) = self.optional(key).and_then(|node| reader(&node)) {
            *place = read;
        }
    }

    /// All fields in the document's order.
    pub fn each(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.map.iter().map(|(key, value)| {
            (key.as_str(), Node { value, path: joined(&self.path, key), sink: self.sink })
        })
    }
}

/// A number as people write it: as JSON has it, or with a plus sign, zeros in front or a bare point.
///
/// Read by the JSON reader, since the standard library's brings tables of 10 kB into the page. Of more than
/// 15 digits the last one may be lost.
#[must_use]
pub fn decimal(text: &str) -> Option<f64> {
    let (minus, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, exponent) = rest.find(['e', 'E']).map_or((rest, ""), |at| rest.split_at(at));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !only_digits(whole) || !only_digits(fraction) {
        return None;
    }
    let or_zero = |part| if str::is_empty(part) { "0" } else { part };
    let json = [or_zero(whole.trim_start_matches('0')), ".", or_zero(fraction), exponent].concat();
    let number = serde_json::from_slice::<Value>(json.as_bytes()).ok()?.as_f64()?;
    Some(if minus { -number } else { number })
}

fn joined(path: &str, key: &str) -> String {
    // Letters of other scripts are not told from their signs here: that would take a table.
    let simple = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "_-@".contains(c);
    let plain = !key.is_empty() && key.chars().all(simple);
    match (path.is_empty(), plain) {
        (_, false) => format!("{path}[{}]", json_text(&Value::from(key))),
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
    }
}

/// A value as JSON; its `Display` would bring a second writer into the page, and an indenting one.
#[must_use]
pub fn json_text(value: &Value) -> String {
    // Writing to memory with text keys cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

fn shortened(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::Object(_) => "an object".into(),
        Value::Null => "null".into(),
        scalar => {
            let text = json_text(scalar);
            match text.char_indices().nth(60) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

/// The known word nearest to `word`, if it is near enough to be meant: at most a third of it changed.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // What is longer is no slip of the hand, and would take long to compare.
    if word.len() > LONGEST {
        return None;
    }
    known
        .iter()
        .map(|candidate| (edit_distance(word, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .map(|(_, candidate)| candidate)
}

/// Damerau–Levenshtein distance (optimal string alignment), in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // Three rows in turn: that of the character at hand and the two before it.
    let mut rows = vec![vec![0; b.len() + 1]; 3];
    for i in 0..=a.len() {
        let (row, before, before_that) = (i % 3, (i + 2) % 3, (i + 1) % 3);
        for j in 0..=b.len() {
            rows[row][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[before][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut best = changed.min(rows[before][j] + 1).min(rows[row][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(rows[before_that][j - 2] + 1);
                }
                best
            };
        }
    }
    rows[a.len() % 3][b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn problem_of(value: Value, reader: impl FnOnce(Node<'_>) -> Option<()>) -> String {
        read(&value, reader).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_type_names_its_path_inside_lists() {
        let said = problem_of(json!({"mean": [0.5, "x"]}), |node| {
            for each in node.object(&["mean"])?.required("mean")?.list()? {
                let _ = each.number(f64::MIN..=f64::MAX);
            }
            Some(())
        });
        assert_eq!(said, "`mean[1]`: found \"x\", expected a number");
    }

    #[test]
    fn an_html_page_in_place_of_json_is_recognised() {
        let why = read_text("<!doctype html><title>404</title>", |_| Some(())).unwrap_err();
        assert!(why.to_string().contains("looks like an HTML page"), "{why}");
    }

    #[test]
    fn whole_floats_from_javascript_are_whole_numbers() {
        assert_eq!(read(&json!(28.0), |n| n.integer(1..=99)).unwrap(), 28);
        assert!(read(&json!(28.5), |n| n.integer(1..=99)).is_err());
    }

    #[test]
    fn a_far_off_key_gets_no_suggestion() {
        let said = problem_of(json!({"zzz": 1}), |n| n.object(&["width"]).map(|_| ()));
        assert_eq!(said, "`zzz`: found an unknown key, expected one of width");
    }

    #[test]
    fn a_slip_of_the_hand_is_recognised_with_letters_that_changed_places() {
        for (slip, meant) in [("widht", "width"), ("hieght", "height"), ("meen", "mean"), ("wdth", "width")] {
            assert_eq!(nearest(slip, &["height", "mean", "width"]), Some(meant), "{slip}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("ca", "abc"), 3, "no letter is moved twice");
        assert_eq!(edit_distance("", "abc") + edit_distance("abc", ""), 6);
    }

    #[test]
    fn a_document_of_nothing_but_mistakes_tells_a_hundred_of_them() {
        let keys = (0..100_000).map(|n| (format!("k{n}"), json!(1)));
        let why =
            read(&Value::Object(keys.collect()), |n| n.object(&["width"])?.required("width").map(|_| ()));
        assert_eq!(why.unwrap_err().0.len(), 100);
        let said = problem_of(json!({"w".repeat(5_000_000): 1}), |n| n.object(&["width"]).map(|_| ()));
        assert!(
            said.ends_with("expected one of width"),
            "no word is looked for that is near to millions of letters"
        );
    }

    #[test]
    fn a_long_value_is_shortened_at_a_character_border() {
        let said = problem_of(json!("é".repeat(100)), |n| n.boolean().map(|_| ()));
        assert!(said.len() < 250 && said.contains('…'));
    }

    #[test]
    fn a_number_is_read_as_people_write_it() {
        for (text, number) in [
            ("0", 0.0),
            ("007", 7.0),
            ("+5", 5.0),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("2.5E-2", 0.025),
            ("0.1", 0.1),
            ("123456789.012345", 123_456_789.012_345),
        ] {
            assert_eq!(decimal(text), Some(number), "{text}");
            assert_eq!(text.parse(), Ok(number), "{text}");
        }
        for text in ["", "-", ".", "e5", "1e", "1,5", "0x10", "1 2", "NaN", "inf", "--1", "1e999", "١"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
