//! Exports, streamed: memory does not grow with the number of records.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::tally::each_item;
use crate::wire::export::{csv_header, csv_row, text};
use crate::wire::record::{Kind, Record, Role};

/// Bytes gathered before they are handed on.
const CHUNK: usize = 64 << 10;

/// A reader that takes nothing for so long is taken to be gone; it would hold the database's log.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which records, in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Export {
    /// Which records.
    pub what: What,
    /// In which form.
    pub format: Format,
}

/// Which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Those that count now (see [`crate::wire::current`]), by item.
    Current,
    /// Every record in the order of arrival.
    All,
    /// A training set: [`Example`] for each current label, by item.
    Training,
}

/// A line of a training set, for a trainer of the whole model.
#[derive(Debug, serde::Serialize)]
struct Example<'a> {
    item_id: &'a str,
    label: &'a str,
    /// An item that persons answered weighs 1, shared evenly among its current answers; one that only the model
    /// labelled weighs as much as the model was sure.
    weight: f64,
    /// `person` or `model`.
    by: &'static str,
    /// Why the person was asked: `audit` answers are blind, and best kept for testing.
    role: &'a str,
}

/// The form of a file (see [`crate::wire::export`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON Lines.
    JsonLines,
    /// CSV.
    Csv,
}

/// An export on its way out; ends with an error if the database fails, so that a torn file is noticed.
#[derive(Debug)]
pub struct Outflow(mpsc::Receiver<Result<Bytes, io::Error>>);

impl Stream for Outflow {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

impl Outflow {
    /// Starts to read `db` on a thread for blocking work.
    pub(super) fn start(db: Connection, export: Export) -> Self {
        let (sender, receiver) = mpsc::channel(4);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut spout = Spout { buffer: Vec::new(), sender, runtime };
            if let Err(why) = pour(&db, export, &mut spout) {
                spout.send(Err(io::Error::other(why)));
            }
        });
        Self(receiver)
    }
}

struct Spout {
    buffer: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
    runtime: Handle,
}

impl Spout {
    /// Whether there is still somebody who reads.
    fn push(&mut self, text: &str) -> bool {
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.len() < CHUNK || self.flush()
    }

    fn flush(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.buffer);
        bytes.is_empty() || self.send(Ok(bytes.into()))
    }

    fn send(&self, part: Result<Bytes, io::Error>) -> bool {
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send(part)).await };
        matches!(self.runtime.block_on(sent), Ok(Ok(())))
    }
}

fn pour(db: &Connection, export: Export, spout: &mut Spout) -> rusqlite::Result<()> {
    // One statement reads one state of the database, whatever is written meanwhile.
    match (export.format, export.what) {
        (Format::Csv, What::Training) => {
            spout.push("item_id,label,weight,by,role\r\n");
        }
        (Format::Csv, _) => {
            spout.push(&csv_header());
        }
        (Format::JsonLines, _) => {}
    }
    match export.what {
        What::Training => return pour_current(db, spout, |line, share| example(export.format, &line, share)),
        What::All => {
            let mut query = db.prepare("SELECT record FROM records ORDER BY seq")?;
            let mut rows = query.query(())?;
            while let Some(row) = rows.next()? {
                let line = formed(export.format, row.get(0)?)?;
                if !spout.push(&line) {
                    return Ok(());
                }
            }
        }
        What::Current => return pour_current(db, spout, |line, _| formed(export.format, line)),
    }
    spout.flush();
    Ok(())
}

/// Every current record by item; `form` gets its line and 1 over the number of current records of its item.
fn pour_current(
    db: &Connection,
    spout: &mut Spout,
    form: impl Fn(String, f64) -> rusqlite::Result<String>,
) -> rusqlite::Result<()> {
    let mut failed = None;
    each_item(db, "record", |records, current| {
        let share = 1.0 / current.len().max(1) as f64;
        current.into_iter().all(|place| match form(records[place].1.clone().unwrap_or_default(), share) {
            Ok(line) => spout.push(&line),
            Err(why) => {
                failed = Some(why);
                false
            }
        })
    })?;
    if let Some(why) = failed {
        return Err(why);
    }
    spout.flush();
    Ok(())
}

/// One line of a training set; `share` is 1 over the number of current answers to the item.
fn example(format: Format, line: &str, share: f64) -> rusqlite::Result<String> {
    let record = Record::parse(line).map_err(unreadable)?;
    let Some(answer) = &record.answer else { return Ok(String::new()) };
    let (by, weight) = match record.kind {
        Kind::Accepted => ("model", record.prediction.as_ref().map_or(0.0, |said| said.confidence)),
        Kind::Correction | Kind::Undo => ("person", share),
    };
    let role = Role::WORDS.iter().find(|(_, role)| *role == record.role).map_or("", |(word, _)| word);
    let example = Example { item_id: &record.item_id, label: &answer.label, weight, by, role };
    match format {
        Format::JsonLines => {
            let mut line = serde_json::to_string(&example).map_err(unreadable)?;
            line.push('\n');
            Ok(line)
        }
        Format::Csv => {
            let (item, label) = (text(Some(example.item_id)), text(Some(example.label)));
            Ok(format!("{item},{label},{weight},{by},{role}\r\n"))
        }
    }
}

fn unreadable(why: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(why))
}

fn formed(format: Format, mut line: String) -> rusqlite::Result<String> {
    match format {
        Format::JsonLines => {
            line.push('\n');
            Ok(line)
        }
        Format::Csv => Record::parse(&line).map(|record| csv_row(&record)).map_err(unreadable),
    }
}
