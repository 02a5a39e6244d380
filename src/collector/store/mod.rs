//! Records and work, kept in SQLite or PostgreSQL: an answer is given only for what a power cut would not take
//! away.
//!
//! [`Store`] is the one interface; nothing above it knows which engine is behind. Both engines keep the same
//! promises, and the same tests run over both.

mod postgres;
mod postgres_work;
mod sqlite;
mod sqlite_work;

use std::path::PathBuf;

use super::aggregate::Answers;
use super::outflow::{Export, Outflow};
use super::tally::Counts;
use super::work::{Entry, Handed, Loaded, Wanted, WorkCounts};
use crate::wire::record::Record;

pub use postgres::Postgres;
pub use sqlite::Sqlite;

/// What became of one record, or one item of the work list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was new and is on the disk now.
    Stored,
    /// It was there already, with the same content.
    Duplicate,
    /// Another one has its id; nothing was changed.
    Conflict,
}

/// Why nothing could be kept or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the database's disk is full")]
    Full,
    /// The database's own words.
    #[error("the database failed: {0}")]
    Failed(String),
    /// No connection to the database.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The collector ends.
    #[error("the collector is stopping")]
    Stopped,
}

/// Why the records cannot be kept where they are to be kept.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made.
    #[error("--data {}: the folder cannot be made ({why}): check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// The file is not a database that can be written.
    #[error("{}: cannot be used as the database ({why}): check its permissions, or give another --data", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        why: rusqlite::Error,
    },
    /// The database comes from a newer collector.
    #[error("{database}: is of version {found}, this collector knows {known}: start a newer collector")]
    Newer {
        /// The file, or the database's name.
        database: String,
        /// Its version.
        found: i32,
        /// The newest that this collector reads.
        known: i32,
    },
    /// The address is none.
    #[error("--database: {0}: expected an address such as postgres://user:password@host:5432/name")]
    Address(String),
    /// The address asks for TLS.
    #[error(
        "--database: asks for sslmode={0}, and the collector speaks no TLS to its database: reach it by a socket, \
         loopback or a private network with sslmode=disable, or put a TLS proxy such as stunnel or PgBouncer between"
    )]
    Tls(&'static str),
    /// PostgreSQL does not answer, or not as it should.
    #[error(
        "the database {database} cannot be used ({why}): check the address, its password and that it runs"
    )]
    Server {
        /// Host and name, never the password.
        database: String,
        /// Its words.
        why: String,
    },
    /// Texts could not be kept unchanged.
    #[error("the database {database} has the encoding {found}: make one with ENCODING 'UTF8'")]
    Encoding {
        /// Host and name.
        database: String,
        /// What it has.
        found: String,
    },
}

/// The records and the work list, shared by all requests.
#[derive(Clone, Debug)]
pub enum Store {
    /// One file, for one machine.
    Sqlite(Sqlite),
    /// A server, for several collectors beside one another.
    Postgres(Postgres),
}

/// Calls the same method of whichever engine is there.
macro_rules! either {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Store::Sqlite($store) => $call,
            Store::Postgres($store) => $call,
        }
    };
}

impl Store {
    /// Keeps `records`, all or none; answers with one outcome for each once they are on the disk.
    ///
    /// # Errors
    /// Why none of them is known to be stored.
    pub async fn put(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        either!(self, store => store.put(records).await)
    }

    /// Counts the records as they are at one moment.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        either!(self, store => store.counts().await)
    }

    /// Streams the records as they are at the moment of the call.
    ///
    /// # Errors
    /// Why they cannot be read; what fails later breaks the stream off.
    pub async fn export(&self, export: Export) -> Result<Outflow, StoreError> {
        either!(self, store => store.export(export).await)
    }

    /// The current answers of all annotators, as they are at one moment.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn answers(&self) -> Result<Answers, StoreError> {
        either!(self, store => store.answers().await)
    }

    /// Whether the database is reached: SQLite's thread that writes takes jobs and its file can be read, PostgreSQL
    /// gives a connection that can read the table of the version. Nothing is written.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check(&self) -> Result<(), StoreError> {
        either!(self, store => store.check().await)
    }

    /// Puts `items` on the work list, all or none; with `only` the list holds nothing else afterwards.
    ///
    /// # Errors
    /// Why nothing is known to be changed.
    pub async fn load(&self, items: Vec<Entry>, only: bool) -> Result<Loaded, StoreError> {
        either!(self, store => store.load(items, only).await)
    }

    /// Hands out work, see [`Wanted`].
    ///
    /// # Errors
    /// Why nothing is handed out.
    pub async fn hand_out(&self, wanted: Wanted) -> Result<Handed, StoreError> {
        either!(self, store => store.hand_out(wanted).await)
    }

    /// How much work there is.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn work(&self) -> Result<WorkCounts, StoreError> {
        either!(self, store => store.work().await)
    }
}
