//! Items from a table: CSV with a header, as bytes that come bit by bit.
//!
//! | column | becomes |
//! |---|---|
//! | `id` | the item's id; without one, the file's name and the row's number |
//! | one that the model reads | a number; without any such, `image` is the picture's address |
//! | any other | a value in `meta`, numbers as numbers |
//!
//! Without a model and without `image`, each column but `id` is a number. RFC 4180; the separator is the
//! one of comma, semicolon and tab that the header has most of.

use serde_json::{Map, Value as Json, json};

use super::items::{MAX_ITEM_BYTES, Resolve, item, malformed};
use crate::domain::decimal::shortest;
use crate::domain::item::{Aside, Item};
use crate::reader::decimal;

/// Why a table cannot be read, or not on; the items before stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The first line is not UTF-8.
    #[error("the table's first line is not UTF-8: save it as CSV UTF-8")]
    NotUtf8,
    /// A page in place of data.
    #[error("this is an HTML page and no table: check the address")]
    Html,
    /// Columns that the model reads are not there.
    #[error("the table has no column {}: the first line must name the columns that the model reads", .0.join(", "))]
    MissingColumns(Vec<String>),
    /// Neither pictures nor numbers.
    #[error(
        "the table has no column but id: name a column image for the pictures' addresses, or add columns of numbers"
    )]
    NothingToShow,
    /// A column's name stands twice.
    #[error("the table has two columns {0:?}: give each its own name")]
    Twice(String),
    /// A quotation mark is never closed.
    #[error("the row at line {line} opens a quotation mark and never closes it")]
    OpenQuote {
        /// Where the row begins, from 1.
        line: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Image,
    Number(usize),
    Meta(String),
}

/// A parser that is given bytes as they come, cut anywhere.
#[derive(Debug)]
pub struct TableStream {
    name: String,
    model: Vec<String>,
    header: Option<Header>,
    /// What has come of the row at hand.
    buffer: Vec<u8>,
    /// A quotation mark is open.
    quoted: bool,
    /// Lines that are over, and the first of the row at hand.
    lines: usize,
    row_line: usize,
    rows: usize,
    failed: bool,
}

#[derive(Debug)]
struct Header {
    separator: u8,
    names: Vec<String>,
    columns: Vec<Column>,
    numbers: usize,
}

impl TableStream {
    /// A parser for the table called `name`; `model`: names of the columns that the model reads, in its
    /// order, empty for a model of pictures or none.
    #[must_use]
    pub fn new(name: &str, model: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            model: model.to_vec(),
            header: None,
            buffer: Vec::new(),
            quoted: false,
            lines: 0,
            row_line: 1,
            rows: 0,
            failed: false,
        }
    }

    /// Takes the next bytes; `each` gets every item that they complete.
    ///
    /// # Errors
    /// [`TableError`], once; whatever is pushed afterwards is not looked at.
    pub fn push(
        &mut self,
        chunk: &[u8],
        resolve: Resolve<'_>,
        mut each: impl FnMut(Result<Item, Aside>),
    ) -> Result<(), TableError> {
        if self.failed {
            return Ok(());
        }
        let mut from = 0;
        for (i, &byte) in chunk.iter().enumerate() {
            match byte {
                // A doubled mark inside quotes closes and opens: the row's end is found all the same.
                b'"' => self.quoted = !self.quoted,
                b'\n' => {
                    self.lines += 1;
                    if !self.quoted {
                        self.buffer.extend_from_slice(&chunk[from..i]);
                        from = i + 1;
                        self.end_row(resolve, &mut each)?;
                    }
                }
                _ => {}
            }
        }
        self.buffer.extend_from_slice(&chunk[from..]);
        if self.buffer.len() > MAX_ITEM_BYTES {
            return self.fail(TableError::OpenQuote { line: self.row_line });
        }
        Ok(())
    }

    /// Says that no more bytes will come.
    ///
    /// # Errors
    /// [`TableError`], if the last row has one.
    pub fn finish(
        mut self,
        resolve: Resolve<'_>,
        mut each: impl FnMut(Result<Item, Aside>),
    ) -> Result<(), TableError> {
        match (self.failed, self.quoted) {
            (true, _) => Ok(()),
            (false, true) => Err(TableError::OpenQuote { line: self.row_line }),
            (false, false) => self.end_row(resolve, &mut each),
        }
    }

    fn fail<T>(&mut self, why: TableError) -> Result<T, TableError> {
        self.failed = true;
        self.buffer = Vec::new();
        Err(why)
    }

    fn end_row(
        &mut self,
        resolve: Resolve<'_>,
        each: &mut dyn FnMut(Result<Item, Aside>),
    ) -> Result<(), TableError> {
        let row = std::mem::take(&mut self.buffer);
        let line = std::mem::replace(&mut self.row_line, self.lines + 1);
        let row = row.strip_suffix(b"\r").unwrap_or(&row);
        let Some(header) = &self.header else {
            let row = row.strip_prefix(b"\xef\xbb\xbf").unwrap_or(row);
            if row.trim_ascii().is_empty() {
                return Ok(());
            }
            return match Header::read(row, &self.model) {
                Ok(header) => {
                    self.header = Some(header);
                    Ok(())
                }
                Err(why) => self.fail(why),
            };
        };
        if row.trim_ascii().is_empty() {
            return Ok(());
        }
        self.rows += 1;
        let place = format!("{}:{}", self.name, self.rows);
        each(match std::str::from_utf8(row) {
            Ok(row) => header.item(row, &place, line, resolve),
            Err(_) => {
                Err(malformed(&place, format!("line {line} is not UTF-8: save the table as CSV UTF-8")))
            }
        });
        Ok(())
    }
}

impl Header {
    fn read(row: &[u8], model: &[String]) -> Result<Self, TableError> {
        let row = std::str::from_utf8(row).map_err(|_| TableError::NotUtf8)?;
        if row.trim_start().starts_with('<') {
            return Err(TableError::Html);
        }
        let count = |separator: &u8| row.bytes().filter(|byte| byte == separator).count();
        // Of equals the last is taken: the comma.
        let separator = *b"\t;,".iter().max_by_key(|separator| count(separator)).unwrap_or(&b',');
        let names: Vec<String> = fields(row, separator).iter().map(|name| name.trim().to_owned()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(TableError::Twice(twice.1.clone()));
        }
        let missing: Vec<_> = model.iter().filter(|column| !names.contains(column)).cloned().collect();
        if !missing.is_empty() {
            return Err(TableError::MissingColumns(missing));
        }
        let pictures = model.is_empty() && names.iter().any(|name| name == "image");
        let mut all_numbers = 0..;
        let columns: Vec<_> = names
            .iter()
            .map(|name| match model.iter().position(|column| column == name) {
                Some(position) => Column::Number(position),
                None if name == "id" => Column::Id,
                None if pictures && name == "image" => Column::Image,
                None if pictures || !model.is_empty() => {
                    Column::Meta(name.strip_prefix("meta.").unwrap_or(name).to_owned())
                }
                None => Column::Number(all_numbers.next().unwrap_or(0)),
            })
            .collect();
        let numbers = columns.iter().filter(|column| matches!(column, Column::Number(_))).count();
        if numbers == 0 && !pictures {
            return Err(TableError::NothingToShow);
        }
        Ok(Self { separator, names, columns, numbers })
    }

    fn item(&self, row: &str, place: &str, line: usize, resolve: Resolve<'_>) -> Result<Item, Aside> {
        let fields = fields(row, self.separator);
        let named = self.columns.iter().position(|column| *column == Column::Id);
        let id = named.and_then(|at| fields.get(at)).filter(|id| !id.trim().is_empty());
        let id = id.map_or(place, |id| id.trim());
        if fields.len() != self.columns.len() {
            let (found, expected) = (fields.len(), self.columns.len());
            return Err(malformed(id, format!("line {line}: found {found} columns, expected {expected}")));
        }
        let (mut numbers, mut meta) = (vec![Json::Null; self.numbers], Map::new());
        let mut document = json!({"id": id});
        for ((column, name), field) in self.columns.iter().zip(&self.names).zip(&fields) {
            match column {
                Column::Id => {}
                Column::Image => document["image"] = field.trim().into(),
                Column::Number(at) => match decimal(field.trim()) {
                    Some(number) if number.is_finite() => numbers[*at] = number.into(),
                    _ => {
                        let found = field.chars().take(60).collect::<String>();
                        let why = format!("line {line}, column `{name}`: found {found:?}, expected a number");
                        return Err(malformed(id, why));
                    }
                },
                Column::Meta(_) if field.is_empty() => {}
                Column::Meta(name) => drop(meta.insert(name.clone(), value(field))),
            }
        }
        if self.numbers > 0 {
            document["numbers"] = numbers.into();
        }
        if !meta.is_empty() {
            document["meta"] = meta.into();
        }
        item(&document, place, resolve)
    }
}

/// A number where nothing would be lost (not 007, not 1e5, not 1.50), else the text.
fn value(field: &str) -> Json {
    let whole = field.parse::<i64>().ok().filter(|n| n.to_string() == field).map(Json::from);
    let number = || decimal(field).filter(|n| n.is_finite() && shortest(*n) == field).map(Json::from);
    whole.or_else(number).unwrap_or_else(|| field.into())
}

/// The fields of one row.
fn fields(row: &str, separator: u8) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            _ if c == char::from(separator) && !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    fields
}
