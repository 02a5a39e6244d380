//! Items from bytes that come bit by bit: JSON Lines or one JSON list, told apart by the first character.
//!
//! Neither the whole document nor more than one item is ever held.

use serde_json::Value as Json;

use super::{Resolve, item, malformed};
use crate::domain::item::{Aside, Item};

/// The longest description of one item, bytes: a picture of 12 MB as a `data:` address fits.
pub const MAX_ITEM_BYTES: usize = 16 << 20;

/// Why a stream cannot be read on; the items before stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A page in place of data, by far most often a server's "not found" with status 200.
    #[error("this is an HTML page and no items: check the address")]
    Html,
    /// UTF-16 or another encoding.
    #[error("this is not UTF-8: save the items as UTF-8")]
    NotUtf8,
    /// One JSON object over several lines.
    #[error("this is one JSON object over several lines: items must be a list in [ ], or one item a line")]
    OneObject,
    /// A list that is not JSON at some place; what follows cannot be trusted.
    #[error("the list is not JSON at line {line}, column {column} (in or after item {item}): {why}")]
    BrokenList {
        /// Number of the item, from 1.
        item: usize,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// A list without its end.
    #[error("the list breaks off after item {items}: the file or the connection was cut")]
    CutOff {
        /// How many items were complete.
        items: usize,
    },
    /// An item of a list that is too long to be one.
    #[error("item {item} is longer than {} MiB: close its texts and brackets, or give pictures by address", MAX_ITEM_BYTES >> 20)]
    TooLong {
        /// Number of the item, from 1.
        item: usize,
    },
}

/// A parser that is given bytes as they come, cut anywhere.
#[derive(Debug, Default)]
pub struct ItemStream {
    state: State,
    /// What has come of the item at hand.
    buffer: Vec<u8>,
    /// Lines that are over.
    lines: usize,
    /// Bytes of the present line that are over.
    column: usize,
    /// Lines and bytes before the present item of a list.
    from: (usize, usize),
    /// Items that are over.
    items: usize,
    /// Bytes of the byte-order mark that were seen.
    mark: usize,
    failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks so far.
    #[default]
    Start,
    /// JSON Lines; in a line.
    Line,
    /// JSON Lines; in a line that is too long.
    LongLine,
    /// In a list, before an item; `first`: nothing stood before, so it may end.
    Before { first: bool },
    /// In an item of a list.
    Inside(Scan),
    /// In a list, after an item.
    After,
    /// After the list.
    End,
}

/// How far an item of a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scan {
    /// Open brackets.
    depth: u32,
    /// In a text.
    quoted: bool,
    /// After a backslash.
    escaped: bool,
}

impl ItemStream {
    /// A parser at the start of a document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many items have come, those that were set aside included.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }

    /// Takes the next bytes; `each` gets every item that they complete.
    ///
    /// # Errors
    /// [`StreamError`], once; whatever is pushed afterwards is not looked at.
    pub fn push(
        &mut self,
        chunk: &[u8],
        resolve: Resolve<'_>,
        mut each: impl FnMut(Result<Item, Aside>),
    ) -> Result<(), StreamError> {
        if self.failed {
            return Ok(());
        }
        let taken = self.take(chunk, resolve, &mut each);
        self.failed = taken.is_err();
        taken
    }

    /// Says that no more bytes will come.
    ///
    /// # Errors
    /// [`StreamError::CutOff`] for a list without its end.
    pub fn finish(
        mut self,
        resolve: Resolve<'_>,
        mut each: impl FnMut(Result<Item, Aside>),
    ) -> Result<(), StreamError> {
        if self.failed {
            return Ok(());
        }
        match self.state {
            State::Start | State::End => Ok(()),
            State::Line => self.end_line(&[], resolve, &mut each),
            State::LongLine => {
                each(Err(self.long_line()));
                Ok(())
            }
            State::Before { .. } | State::Inside(_) | State::After => {
                Err(StreamError::CutOff { items: self.items })
            }
        }
    }

    fn take(
        &mut self,
        chunk: &[u8],
        resolve: Resolve<'_>,
        each: &mut dyn FnMut(Result<Item, Aside>),
    ) -> Result<(), StreamError> {
        let mut rest = chunk;
        while let Some(&byte) = rest.first() {
            let used = match self.state {
                State::Start => self.start(byte)?,
                State::Line | State::LongLine => self.line(rest, resolve, each)?,
                State::Inside(scan) => self.inside(rest, scan, resolve, each)?,
                _ if byte.is_ascii_whitespace() => 1,
                State::Before { first } => match byte {
                    b']' if first => {
                        self.state = State::End;
                        1
                    }
                    b']' | b',' => return self.broken("an item is missing before this"),
                    _ => {
                        self.from = (self.lines, self.column);
                        self.state = State::Inside(Scan { depth: 0, quoted: false, escaped: false });
                        0
                    }
                },
                State::After => match byte {
                    b',' => {
                        self.state = State::Before { first: false };
                        1
                    }
                    b']' => {
                        self.state = State::End;
                        1
                    }
                    _ => return self.broken("expected , or ] after the item"),
                },
                State::End => return self.broken("expected nothing after the list"),
            };
            self.count(&rest[..used]);
            rest = &rest[used..];
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        // A line's bytes are counted by the line itself: its end is the only line end in it.
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
                self.column = bytes.len() - last - 1;
            }
            None => self.column += bytes.len(),
        }
    }

    fn start(&mut self, byte: u8) -> Result<usize, StreamError> {
        const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
        if self.lines == 0 && self.column == self.mark && MARK.get(self.mark) == Some(&byte) {
            self.mark += 1;
            return Ok(1);
        }
        match byte {
            _ if byte.is_ascii_whitespace() => Ok(1),
            b'[' => {
                self.state = State::Before { first: true };
                Ok(1)
            }
            b'<' => Err(StreamError::Html),
            // No UTF-8 text holds these; they begin UTF-16.
            0xfe | 0xff | 0 => Err(StreamError::NotUtf8),
            _ => {
                self.state = State::Line;
                Ok(0)
            }
        }
    }

    /// Takes the present line as far as it is there.
    fn line(
        &mut self,
        rest: &[u8],
        resolve: Resolve<'_>,
        each: &mut dyn FnMut(Result<Item, Aside>),
    ) -> Result<usize, StreamError> {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let part = &rest[..end.unwrap_or(rest.len())];
        if self.state == State::LongLine || self.buffer.len() + part.len() > MAX_ITEM_BYTES {
            self.buffer = Vec::new();
            self.state = State::LongLine;
            if end.is_some() {
                each(Err(self.long_line()));
                self.state = State::Line;
            }
        } else if end.is_some() {
            self.end_line(part, resolve, each)?;
        } else {
            self.buffer.extend_from_slice(part);
        }
        Ok(end.map_or(rest.len(), |end| end + 1))
    }

    fn long_line(&mut self) -> Aside {
        self.items += 1;
        let place = format!("line {}", self.lines + 1);
        let why = format!("`{place}`: found more than {} MiB, expected one item", MAX_ITEM_BYTES >> 20);
        malformed(&place, why)
    }

    fn end_line(
        &mut self,
        part: &[u8],
        resolve: Resolve<'_>,
        each: &mut dyn FnMut(Result<Item, Aside>),
    ) -> Result<(), StreamError> {
        let kept = std::mem::take(&mut self.buffer);
        let line = if kept.is_empty() { part } else { &[&kept, part].concat() };
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        // What every formatter makes of an object. Else each of its lines would be set aside.
        if self.items == 0 && line == b"{" {
            return Err(StreamError::OneObject);
        }
        self.items += 1;
        let place = format!("line {}", self.lines + 1);
        each(match serde_json::from_slice::<Json>(line) {
            Ok(json) => item(&json, &place, resolve),
            Err(why) => {
                let (why, at) = (reason(&why), why.column());
                Err(malformed(
                    &place,
                    format!(
                        "`{place}`: found text that is not JSON ({why} at column {at}), expected one item"
                    ),
                ))
            }
        });
        Ok(())
    }

    /// Takes the present item of a list as far as it is there.
    fn inside(
        &mut self,
        rest: &[u8],
        mut scan: Scan,
        resolve: Resolve<'_>,
        each: &mut dyn FnMut(Result<Item, Aside>),
    ) -> Result<usize, StreamError> {
        let mut over = None;
        for (i, &byte) in rest.iter().enumerate() {
            if scan.escaped {
                scan.escaped = false;
                continue;
            }
            match byte {
                b'\\' if scan.quoted => scan.escaped = true,
                b'"' => scan.quoted = !scan.quoted,
                _ if scan.quoted => {}
                b'{' | b'[' => scan.depth += 1,
                // A value without brackets (which is no item, but may be JSON) ends before these.
                b',' | b']' | b'}' if scan.depth == 0 => {
                    over = Some(i);
                    break;
                }
                b'}' | b']' => {
                    scan.depth -= 1;
                    if scan.depth == 0 {
                        over = Some(i + 1);
                        break;
                    }
                }
                _ => {}
            }
        }
        let part = &rest[..over.unwrap_or(rest.len())];
        if self.buffer.len() + part.len() > MAX_ITEM_BYTES {
            return Err(StreamError::TooLong { item: self.items + 1 });
        }
        if over.is_none() {
            self.buffer.extend_from_slice(part);
            self.state = State::Inside(scan);
            return Ok(part.len());
        }
        let kept = std::mem::take(&mut self.buffer);
        let text = if kept.is_empty() { part } else { &[&kept, part].concat() };
        match serde_json::from_slice::<Json>(text) {
            Ok(json) => {
                self.items += 1;
                self.state = State::After;
                each(item(&json, &format!("item {}", self.items), resolve));
                Ok(part.len())
            }
            Err(why) => {
                // The parser counts from the item's first byte.
                self.column = why.column().saturating_sub(1) + if why.line() > 1 { 0 } else { self.from.1 };
                self.lines = self.from.0 + why.line().saturating_sub(1);
                self.broken(&reason(&why))
            }
        }
    }

    fn broken<T>(&self, why: &str) -> Result<T, StreamError> {
        let (line, column) = (self.lines + 1, self.column + 1);
        // After an item, the number is that of the item; within and before one, that of the one at hand.
        let item = self.items + usize::from(matches!(self.state, State::Before { .. } | State::Inside(_)));
        Err(StreamError::BrokenList { item, line, column, why: why.to_owned() })
    }
}

/// The parser's reason without its line and column, which count from the item and not from the document.
fn reason(why: &serde_json::Error) -> String {
    let said = why.to_string();
    said.split_once(" at line ").map_or(said.clone(), |(reason, _)| reason.to_owned())
}
