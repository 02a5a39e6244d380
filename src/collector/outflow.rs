//! Exports, streamed: memory does not grow with the number of records.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use tokio::sync::mpsc;

use super::tally::{ByItem, Foreign, Row, current_of};
use crate::reader::Problems;
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

/// Where an engine pours its rows; the other end is an [`Outflow`].
#[derive(Debug)]
pub(super) struct Spout(mpsc::Sender<Result<Bytes, io::Error>>);

/// Both ends of an export.
pub(super) fn pipe() -> (Spout, Outflow) {
    let (sender, receiver) = mpsc::channel(4);
    (Spout(sender), Outflow(receiver))
}

impl Spout {
    /// Hands on what is ready in `pour`, if that is much or the `end`; says whether there is still somebody who
    /// reads.
    pub async fn flow(&self, pour: &mut Pour, end: bool) -> bool {
        let ready = pour.ready.len() >= CHUNK || (end && !pour.ready.is_empty());
        !ready || self.send(Ok(std::mem::take(&mut pour.ready).into())).await
    }

    /// Breaks the export off.
    pub async fn fail(&self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.send(Err(io::Error::other(why))).await;
    }

    async fn send(&self, part: Result<Bytes, io::Error>) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.0.send(part)).await, Ok(Ok(())))
    }
}

/// What stands in the table and is no record.
#[derive(Debug, thiserror::Error)]
pub(super) enum PourError {
    /// A record that cannot be read.
    #[error("a stored record cannot be read: {0}")]
    Record(#[from] Problems),
    /// A column that cannot be read.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// It cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Makes the export's bytes of rows that come one by one.
#[derive(Debug)]
pub(super) struct Pour {
    export: Export,
    by_item: ByItem,
    ready: Vec<u8>,
}

impl Pour {
    /// With the header, if there is one.
    pub fn new(export: Export) -> Self {
        let header = match (export.format, export.what) {
            (Format::JsonLines, _) => String::new(),
            (Format::Csv, What::Training) => "item_id,label,weight,by,role\r\n".to_owned(),
            (Format::Csv, _) => csv_header(),
        };
        Self { export, by_item: ByItem::default(), ready: header.into_bytes() }
    }

    /// Takes the next record of [`What::All`], in the order of arrival.
    pub fn record(&mut self, line: &str) -> Result<(), PourError> {
        match self.export.format {
            Format::JsonLines => {
                self.ready.extend_from_slice(line.as_bytes());
                self.ready.push(b'\n');
            }
            Format::Csv => self.ready.extend_from_slice(csv_row(&Record::parse(line)?).as_bytes()),
        }
        Ok(())
    }

    /// Takes the next row in the order of the items; its `text` is the record.
    pub fn row(&mut self, row: Row) -> Result<(), PourError> {
        self.by_item.push(row).map_or(Ok(()), |rows| self.item(rows))
    }

    /// Takes the end.
    pub fn end(&mut self) -> Result<(), PourError> {
        self.by_item.end().map_or(Ok(()), |rows| self.item(rows))
    }

    fn item(&mut self, rows: Vec<Row>) -> Result<(), PourError> {
        let current = current_of(rows);
        let share = 1.0 / current.len().max(1) as f64;
        for line in current.into_iter().filter_map(|row| row.text) {
            match self.export.what {
                What::Training => {
                    let line = example(self.export.format, &line, share)?;
                    self.ready.extend_from_slice(line.as_bytes());
                }
                What::Current | What::All => self.record(&line)?,
            }
        }
        Ok(())
    }
}

/// One line of a training set; `share` is 1 over the number of current answers to the item.
fn example(format: Format, line: &str, share: f64) -> Result<String, PourError> {
    let record = Record::parse(line)?;
    let Some(answer) = &record.answer else { return Ok(String::new()) };
    let (by, weight) = match record.kind {
        Kind::Accepted => ("model", record.prediction.as_ref().map_or(0.0, |said| said.confidence)),
        Kind::Correction | Kind::Undo => ("person", share),
    };
    let role = Role::WORDS.iter().find(|(_, role)| *role == record.role).map_or("", |(word, _)| word);
    let example = Example { item_id: &record.item_id, label: &answer.label, weight, by, role };
    match format {
        Format::JsonLines => Ok(serde_json::to_string(&example)? + "\n"),
        Format::Csv => {
            let (item, label) = (text(Some(example.item_id)), text(Some(example.label)));
            Ok(format!("{item},{label},{weight},{by},{role}\r\n"))
        }
    }
}
