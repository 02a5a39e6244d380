//! Records in SQLite: an answer is given only for what a power cut would not take away.
//!
//! The journal is a write-ahead log with `synchronous=FULL`: a commit returns once the log is on the
//! disk. One thread writes; requests that arrive while it waits for the disk share the next commit, so
//! many senders cost hardly more commits than one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::sqlite_work;
use super::{OpenError, Outcome, StoreError};
use crate::collector::aggregate::{Answers, Gathering};
use crate::collector::observe::now;
use crate::collector::outflow::{Export, Outflow, Pour, Spout, What, pipe};
use crate::collector::tally::{Counts, Row, Tally, row};
use crate::collector::work::{Entry, Handed, Loaded, Wanted, WorkCounts};
use crate::wire::record::Record;

/// The database's file within the data folder.
pub const FILE: &str = "records.sqlite";

/// Raised with every change of the tables.
const VERSION: i32 = 2;

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

/// What version 2 brought: the work list. `answers` is how many answers an item had when it was last looked at, never
/// more than it has: a record that names another (`supersedes`) sets it to 0. Times are milliseconds since 1970.
const WORK_TABLES: &str = "
CREATE TABLE items (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    item TEXT NOT NULL,
    answers INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX items_by_need ON items (answers, seq);
CREATE TABLE leases (
    item INTEGER NOT NULL REFERENCES items (seq) ON DELETE CASCADE,
    annotator TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (item, annotator)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_annotator ON leases (annotator, until);
CREATE INDEX leases_by_end ON leases (until);
";

/// Records in one commit at most, so that no request waits for many others.
const GROUP: usize = 5_000;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Where the outcome of a job goes.
type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread that writes is asked for.
enum Job {
    /// To keep records.
    Put(Vec<Record>, Done<Vec<Outcome>>),
    /// To put items on the list; whether the list is to hold nothing else.
    Load(Vec<Entry>, bool, Done<Loaded>),
    /// To hand out work.
    HandOut(Wanted, Done<Handed>),
}

/// The records, shared by all requests.
#[derive(Clone, Debug)]
pub struct Sqlite {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
}

/// The thread that writes; ends once every [`Sqlite`] is dropped.
#[derive(Debug)]
pub struct Writer(std::thread::JoinHandle<()>);

impl Writer {
    /// Waits until everything is written and the database is closed.
    pub fn finish(self) {
        // A panic of the writer was reported by the panic hook, and its requests were answered.
        let _ = self.0.join();
    }
}

impl Sqlite {
    /// Opens the database in `folder`; makes what is missing.
    ///
    /// # Errors
    /// Why the folder cannot be used.
    pub fn open(folder: &Path) -> Result<(Self, Writer), OpenError> {
        std::fs::create_dir_all(folder).map_err(|why| OpenError::Folder { path: folder.to_owned(), why })?;
        let path = folder.join(FILE);
        let fails = |why| OpenError::File { path: path.clone(), why };
        let mut db = Connection::open(&path).map_err(fails)?;
        let found = prepare(&mut db).map_err(fails)?;
        if found > VERSION {
            let database = path.display().to_string();
            return Err(OpenError::Newer { database, found, known: VERSION });
        }
        let (jobs, waiting) = mpsc::channel(64);
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || write(db, waiting));
        let thread = thread.map_err(|why| OpenError::Folder { path: folder.to_owned(), why })?;
        Ok((Self { path, jobs }, Writer(thread)))
    }

    pub(super) async fn put(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        self.ask(|done| Job::Put(records, done)).await
    }

    pub(super) async fn load(&self, items: Vec<Entry>, only: bool) -> Result<Loaded, StoreError> {
        self.ask(|done| Job::Load(items, only, done)).await
    }

    pub(super) async fn hand_out(&self, wanted: Wanted) -> Result<Handed, StoreError> {
        self.ask(|done| Job::HandOut(wanted, done)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let (done, outcome) = oneshot::channel();
        self.jobs.send(job(done)).await.map_err(|_| StoreError::Stopped)?;
        outcome.await.map_err(|_| StoreError::Stopped)?
    }

    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        self.reading(|db| {
            let mut tally = Tally::new();
            rows(&db, "label", |row| {
                tally.push(row);
                Ok(true)
            })?;
            Ok(tally.end())
        })
        .await
    }

    pub(super) async fn answers(&self) -> Result<Answers, StoreError> {
        self.reading(|db| {
            let mut gathering = Gathering::default();
            rows(&db, "record", |row| gathering.row(row).map(|()| true).map_err(unreadable))?;
            gathering.end().map_err(unreadable)
        })
        .await
    }

    pub(super) async fn export(&self, export: Export) -> Result<Outflow, StoreError> {
        // Opened here, so that what is wrong with the database is an answer and not a torn download.
        let db = self.reading(Ok).await?;
        let (spout, outflow) = pipe();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            if let Err(why) = pour(&db, export, &spout, &runtime) {
                runtime.block_on(spout.fail(why));
            }
        });
        Ok(outflow)
    }

    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.put(Vec::new()).await?;
        self.reading(|db| db.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", (), |_| Ok(()))).await
    }

    pub(super) async fn work(&self) -> Result<WorkCounts, StoreError> {
        self.reading(|db| sqlite_work::counts(&db, now_ms())).await
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
    db.pragma_update(None, "foreign_keys", true)?;
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again: another collector may have made the tables in the meantime.
    let found: i32 = change.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found < 1 {
        change.execute_batch(TABLES)?;
    }
    if found < 2 {
        change.execute_batch(WORK_TABLES)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    change.commit()?;
    Ok(VERSION)
}

fn write(mut db: Connection, mut waiting: mpsc::Receiver<Job>) {
    // A job that was taken out of the queue and cannot share the commit of those before it.
    let mut next = None;
    while let Some(job) = next.take().or_else(|| waiting.blocking_recv()) {
        match job {
            Job::Put(records, done) => {
                let (mut size, mut group) = (records.len(), vec![(records, done)]);
                while size < GROUP
                    && let Ok(job) = waiting.try_recv()
                {
                    match job {
                        Job::Put(records, done) => {
                            size += records.len();
                            group.push((records, done));
                        }
                        other => {
                            next = Some(other);
                            break;
                        }
                    }
                }
                put(&mut db, group);
            }
            Job::Load(items, only, done) => {
                let _ = done.send(sqlite_work::load(&mut db, &items, only).map_err(StoreError::from));
            }
            Job::HandOut(wanted, done) => {
                let handed = sqlite_work::hand_out(&mut db, &wanted, now_ms());
                let _ = done.send(handed.map_err(StoreError::from));
            }
        }
    }
}

fn put(db: &mut Connection, group: Vec<(Vec<Record>, Done<Vec<Outcome>>)>) {
    let (records, waiting): (Vec<_>, Vec<_>) = group.into_iter().unzip();
    match commit(db, &records) {
        Ok(outcomes) => {
            for (done, outcomes) in waiting.into_iter().zip(outcomes) {
                // A sender that hung up asks again and is told "duplicate".
                let _ = done.send(Ok(outcomes));
            }
        }
        Err(why) => {
            let why = StoreError::from(why);
            for done in waiting {
                let _ = done.send(Err(why.clone()));
            }
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    i64::try_from(now().epoch_ms()).unwrap_or(i64::MAX)
}

fn commit(db: &mut Connection, group: &[Vec<Record>]) -> rusqlite::Result<Vec<Vec<Outcome>>> {
    if group.iter().all(Vec::is_empty) {
        return Ok(vec![Vec::new(); group.len()]);
    }
    let received_at = now().to_string();
    // Dropped without a commit, it is rolled back.
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = group
        .iter()
        .map(|records| records.iter().map(|record| keep(&change, record, &received_at)).collect())
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
        sqlite_work::arrived(db, record)?;
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

/// Visits every record in the order of the items; `column` is read besides.
fn rows(
    db: &Connection,
    column: &str,
    mut visit: impl FnMut(Row) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    // One statement reads one state of the database, whatever is written meanwhile.
    let mut query = db.prepare(&format!(
        "SELECT item_id, id, kind, role, answered_at, annotator, supersedes, {column} FROM records
         ORDER BY item_id, seq"
    ))?;
    let mut found = query.query(())?;
    while let Some(row) = found.next()? {
        if !visit(read_row(row)?)? {
            break;
        }
    }
    Ok(())
}

/// A row of `item_id, id, kind, role, answered_at, annotator, supersedes` and one column more.
pub(super) fn read_row(of: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let text = |column| -> rusqlite::Result<&str> { Ok(of.get_ref(column)?.as_str()?) };
    let supersedes = of.get_ref(6)?.as_str_or_null()?;
    let columns = [text(1)?, text(2)?, text(3)?, text(4)?];
    row(of.get(0)?, columns, of.get(5)?, supersedes, of.get(7)?).map_err(unreadable)
}

fn unreadable(why: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(why))
}

fn pour(db: &Connection, export: Export, spout: &Spout, runtime: &Handle) -> rusqlite::Result<()> {
    let mut pour = Pour::new(export);
    if export.what == What::All {
        let mut query = db.prepare("SELECT record FROM records ORDER BY seq")?;
        let mut rows = query.query(())?;
        while let Some(row) = rows.next()? {
            pour.record(row.get_ref(0)?.as_str()?).map_err(unreadable)?;
            if !runtime.block_on(spout.flow(&mut pour, false)) {
                return Ok(());
            }
        }
    } else {
        let mut read = true;
        rows(db, "record", |row| {
            pour.row(row).map_err(unreadable)?;
            read = runtime.block_on(spout.flow(&mut pour, false));
            Ok(read)
        })?;
        if !read {
            return Ok(());
        }
        pour.end().map_err(unreadable)?;
    }
    runtime.block_on(spout.flow(&mut pour, true));
    Ok(())
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
