//! Records in SQLite: an answer is given only for what a power cut would not take away.
//!
//! The journal is a write-ahead log with `synchronous=FULL`: a commit returns once the log is on the
//! disk. One thread writes; requests that arrive while it waits for the disk share the next commit, so
//! many senders cost hardly more commits than one.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::outflow::{Export, Outflow};
use super::tally::{Counts, count};
use crate::wire::moment::Moment;
use crate::wire::record::Record;

/// The database's file within the data folder.
pub const FILE: &str = "records.sqlite";

/// Raised with every change of the tables.
const VERSION: i32 = 1;

/// `seq` is the order of arrival. The columns beside `record` repeat what queries need of it.
const TABLES: &str = "
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    item_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    label TEXT,
    annotator TEXT,
    supersedes TEXT,
    answered_at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE INDEX records_by_item ON records (item_id, seq);
";

/// Records in one commit at most, so that no request waits for many others.
const GROUP: usize = 5_000;

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was new and is on the disk now.
    Stored,
    /// It was there already, with the same content.
    Duplicate,
    /// Another record has its id; nothing was changed.
    Conflict,
}

/// Why the records could not be kept or read; nothing of the request was stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("the disk of the data folder is full")]
    Full,
    /// SQLite's own words.
    #[error("the database failed: {0}")]
    Failed(String),
    /// The writer is gone.
    #[error("the collector is stopping")]
    Stopped,
}

/// Why the data folder cannot be used.
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
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        why: rusqlite::Error,
    },
    /// The file comes from a newer collector.
    #[error("{}: is of version {found}, this collector knows {VERSION}: start a newer collector", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

struct Job {
    records: Vec<Record>,
    done: oneshot::Sender<Result<Vec<Outcome>, StoreError>>,
}

/// The records, shared by all requests.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
}

/// The thread that writes; ends once every [`Store`] is dropped.
#[derive(Debug)]
pub struct Writer(std::thread::JoinHandle<()>);

impl Writer {
    /// Waits until everything is written and the database is closed.
    pub fn finish(self) {
        // A panic of the writer was reported by the panic hook, and its requests were answered.
        let _ = self.0.join();
    }
}

impl Store {
    /// Opens the database in `folder`; makes what is missing.
    ///
    /// # Errors
    /// Why the folder cannot be used.
    pub fn open(folder: &Path) -> Result<(Self, Writer), OpenError> {
        std::fs::create_dir_all(folder).map_err(|why| OpenError::Folder { path: folder.to_owned(), why })?;
        let path = folder.join(FILE);
        let fails = |why| OpenError::Database { path: path.clone(), why };
        let mut db = Connection::open(&path).map_err(fails)?;
        let found = prepare(&mut db).map_err(fails)?;
        if found > VERSION {
            return Err(OpenError::Newer { path, found });
        }
        let (jobs, waiting) = mpsc::channel(64);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || write(db, waiting));
        let thread = thread.map_err(|why| OpenError::Folder { path: folder.to_owned(), why })?;
        Ok((Self { path, jobs }, Writer(thread)))
    }

    /// Keeps `records`, all or none; answers with one outcome for each once they are on the disk.
    ///
    /// # Errors
    /// Why none of them was stored.
    pub async fn put(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.jobs.send(Job { records, done }).await.map_err(|_| StoreError::Stopped)?;
        outcome.await.map_err(|_| StoreError::Stopped)?
    }

    /// Counts the records as they are at one moment.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.reading(|db| count(&db)).await
    }

    /// Streams the records as they are at the moment of the call.
    ///
    /// # Errors
    /// Why they cannot be read; what fails later breaks the stream off.
    pub async fn export(&self, export: Export) -> Result<Outflow, StoreError> {
        // Opened here, so that what is wrong with the database is an answer and not a torn download.
        let db = self.reading(Ok).await?;
        Ok(Outflow::start(db, export))
    }

    /// Whether records can be read and the writer runs.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.put(Vec::new()).await?;
        self.reading(|db| db.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", (), |_| Ok(()))).await
    }

    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(PATIENCE)?;
            read(db)
        });
        Ok(task.await.map_err(|_| StoreError::Stopped)??)
    }
}

/// How long one connection waits for another, also of another process, before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sets the journal and the tables up; answers with the version that the file had, or has now.
fn prepare(db: &mut Connection) -> rusqlite::Result<i32> {
    db.busy_timeout(PATIENCE)?;
    let found = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > VERSION {
        return Ok(found);
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another collector may have made the tables in the meantime.
    if change.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))? == 0 {
        change.execute_batch(TABLES)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(VERSION)
}

fn write(mut db: Connection, mut waiting: mpsc::Receiver<Job>) {
    while let Some(job) = waiting.blocking_recv() {
        let mut size = job.records.len();
        let mut group = vec![job];
        while size < GROUP
            && let Ok(job) = waiting.try_recv()
        {
            size += job.records.len();
            group.push(job);
        }
        match commit(&mut db, &group) {
            Ok(outcomes) => {
                for (job, outcomes) in group.into_iter().zip(outcomes) {
                    // A sender that hung up asks again and is told "duplicate".
                    let _ = job.done.send(Ok(outcomes));
                }
            }
            Err(why) => {
                let why = StoreError::from(why);
                for job in group {
                    let _ = job.done.send(Err(why.clone()));
                }
            }
        }
    }
}

fn commit(db: &mut Connection, group: &[Job]) -> rusqlite::Result<Vec<Vec<Outcome>>> {
    if group.iter().all(|job| job.records.is_empty()) {
        return Ok(vec![Vec::new(); group.len()]);
    }
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let received_at = Moment::from_epoch_ms(u64::try_from(since_1970.as_millis()).unwrap_or(0)).to_string();
    // Dropped without a commit, it is rolled back.
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = group
        .iter()
        .map(|job| job.records.iter().map(|record| keep(&change, record, &received_at)).collect())
        .collect::<rusqlite::Result<_>>()?;
    change.commit()?;
    Ok(outcomes)
}

fn keep(db: &Connection, record: &Record, received_at: &str) -> rusqlite::Result<Outcome> {
    let (id, line) = (record.id.to_string(), record.to_string());
    let new = db
        .prepare_cached(
            "INSERT INTO records (id, item_id, kind, role, label, annotator, supersedes, answered_at,
                 received_at, record)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            id,
            record.item_id,
            record.kind.word(),
            record.role.word(),
            record.answer.as_ref().map(|answer| &answer.label),
            record.annotator,
            record.supersedes.map(|id| id.to_string()),
            record.answered_at.to_string(),
            received_at,
            line,
        ])?;
    if new == 1 {
        return Ok(Outcome::Stored);
    }
    let stored: Option<String> = db
        .prepare_cached("SELECT record FROM records WHERE id = ?")?
        .query_row([&id], |row| row.get(0))
        .optional()?;
    // Compared as records where the texts differ: the order of the keys in `meta` says nothing.
    let same = stored.is_some_and(|stored| stored == line || Record::parse(&stored).as_ref() == Ok(record));
    Ok(if same { Outcome::Duplicate } else { Outcome::Conflict })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_commit_waits_for_the_disk() {
        // A killed process does not show it (the system still has the pages), only a power cut would.
        let folder = tempfile::tempdir().unwrap();
        let mut db = Connection::open(folder.path().join(FILE)).unwrap();
        assert_eq!(prepare(&mut db).unwrap(), VERSION);
        let set =
            |name| db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        assert_eq!(set("journal_mode"), rusqlite::types::Value::Text("wal".into()));
        assert_eq!(set("synchronous"), rusqlite::types::Value::Integer(2), "2 is FULL");
    }
}
