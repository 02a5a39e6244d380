//! What is stored, as rows of text, and the rows that the browser has not confirmed yet.
//!
//! A record never changes once it is written; whether the server has it stands beside it. So every
//! write is a blind put or delete, can be repeated, and never has to read within its transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::ident::{BatchId, RecordId, Timestamp};
use crate::domain::lease::Lease;
use crate::domain::outbox::Batch;

/// The object stores; keys and values are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Record id to its JSON line: the log, nothing is ever taken out.
    Records,
    /// Record id to [`Delivery`]: what the server does not have yet.
    Outbox,
    /// Batch id to the frozen batch.
    Batches,
    /// What the person has set.
    Settings,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Records, Self::Outbox, Self::Batches, Self::Settings];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Outbox => "outbox",
            Self::Batches => "batches",
            Self::Settings => "settings",
        }
    }
}

/// Names a row.
pub type Key = (Table, String);

/// A row with what it is to hold; `None` takes it out.
pub type Row = (Key, Option<String>);

/// A row of [`Table::Outbox`].
pub enum Delivery {
    /// Not delivered yet.
    Waiting,
    /// The server does not want it.
    Refused(Arc<str>),
    /// The server does not want it, and the person has given it up. It keeps its row: without one it would count
    /// as sent.
    Discarded,
}

const WAITING: &str = "waiting";
const DISCARDED: &str = "discarded";
const REFUSED: &str = "refused: ";

impl Delivery {
    /// As it is stored.
    pub fn to_text(&self) -> String {
        match self {
            Self::Waiting => WAITING.to_owned(),
            Self::Refused(why) => [REFUSED, why].concat(),
            Self::Discarded => DISCARDED.to_owned(),
        }
    }

    /// As it was stored; what cannot be read waits, since sending twice does no harm.
    pub fn from_text(text: &str) -> Self {
        match text.strip_prefix(REFUSED) {
            Some(why) => Self::Refused(why.into()),
            None if text == DISCARDED => Self::Discarded,
            None => Self::Waiting,
        }
    }
}

/// A batch as text: attempts and moment, then a line for each record.
pub fn batch_row(batch: &Batch) -> Row {
    let mut text = format!("{} {}", batch.attempts, batch.not_before.0);
    for record in &batch.records {
        text.push('\n');
        text.push_str(&record.to_string());
    }
    ((Table::Batches, batch.id.to_string()), Some(text))
}

/// The batch of a row; without one its records go into a new batch.
pub fn read_batch(id: &str, text: &str) -> Option<Batch> {
    let id: BatchId = id.parse().ok()?;
    let mut lines = text.lines();
    let (attempts, not_before) = lines.next()?.split_once(' ')?;
    let records: Vec<RecordId> = lines.map(|line| line.parse().ok()).collect::<Option<_>>()?;
    let (attempts, not_before) = (attempts.parse().ok()?, Timestamp(not_before.parse().ok()?));
    (!records.is_empty()).then_some(Batch { id, records, attempts, not_before })
}

/// The row of [`Table::Settings`] that holds the lease.
pub const LEASE: &str = "lease";

/// A lease as text: number, holder, until when.
pub fn lease_text(lease: Lease) -> String {
    format!("{} {} {}", lease.fence, lease.holder, lease.until.0)
}

/// The lease of a row; what cannot be read is none.
pub fn read_lease(text: &str) -> Option<Lease> {
    let mut parts = text.split(' ');
    let (fence, holder) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Lease { fence, holder, until: Timestamp(parts.next()?.parse().ok()?) })
}

/// Whether a row is about the work of whoever sends: not a record, and not that it waits or was given up, which is
/// the person's.
pub fn is_senders((table, _): &Key, value: Option<&str>) -> bool {
    match table {
        Table::Batches => true,
        Table::Outbox => value != Some(WAITING) && value != Some(DISCARDED),
        Table::Records | Table::Settings => false,
    }
}

struct Held {
    value: Option<String>,
    stamp: u64,
    /// The transaction that was to write it failed; the next one takes it along.
    failed: bool,
}

/// Rows that are not known to be in the database: under way, failed, or without any database.
#[derive(Default)]
pub struct Unconfirmed {
    rows: BTreeMap<Key, Held>,
    stamp: u64,
}

impl Unconfirmed {
    /// Holds rows for a transaction; says under which stamp.
    pub fn hold(&mut self, rows: Vec<Row>) -> u64 {
        self.stamp += 1;
        for (key, value) in rows {
            self.rows.insert(key, Held { value, stamp: self.stamp, failed: false });
        }
        self.stamp
    }

    /// The rows of `stamp` and all that failed before: from now on they are rows of `stamp`.
    pub fn take_along(&mut self, stamp: u64) -> Vec<Row> {
        let mut taken = Vec::new();
        for (key, held) in &mut self.rows {
            if held.failed || held.stamp == stamp {
                (held.stamp, held.failed) = (stamp, false);
                taken.push((key.clone(), held.value.clone()));
            }
        }
        taken
    }

    /// The transaction of `stamp` is complete.
    pub fn confirm(&mut self, stamp: u64) {
        self.rows.retain(|_, held| held.stamp != stamp);
    }

    /// The transaction of `stamp` failed, or was given up.
    pub fn fail(&mut self, stamp: u64) {
        for held in self.rows.values_mut().filter(|held| held.stamp == stamp) {
            held.failed = true;
        }
    }

    /// Another tab sends by now: what this one has to say of its batches is out of date.
    pub fn forget_senders(&mut self) {
        self.rows.retain(|key, held| !is_senders(key, held.value.as_deref()));
    }

    /// Takes over rows that an element which is gone has not written: the next transaction does. What is said there of
    /// records that other tabs can read is out of date by now, unless there was no database (`alone`).
    pub fn take_over(&mut self, left: Self, alone: bool) {
        let unread: Vec<_> = left.of(Table::Records).map(|(id, _)| id.to_owned()).collect();
        for (key, Held { value, .. }) in left.rows {
            let ours = key.0 == Table::Outbox && unread.binary_search(&key.1).is_ok();
            if alone || ours || !is_senders(&key, value.as_deref()) {
                self.rows.insert(key, Held { value, stamp: 0, failed: true });
            }
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// There is no database: what is taken out needs no trace.
    pub fn settle_in_memory(&mut self) {
        self.rows.retain(|_, held| held.value.is_some());
    }

    /// What a row holds: `Some(None)` if it is to be taken out.
    pub fn get(&self, key: &Key) -> Option<Option<&str>> {
        self.rows.get(key).map(|held| held.value.as_deref())
    }

    /// Every row of a table, as key and value.
    pub fn of(&self, table: Table) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.rows
            .range((table, String::new())..)
            .take_while(move |((of, _), _)| *of == table)
            .map(|((_, key), held)| (key.as_str(), held.value.as_deref()))
    }
}
