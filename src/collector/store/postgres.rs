//! Records in PostgreSQL, for several collectors beside one another.
//!
//! Collectors never speak to each other: the unique index on `id` decides which of two equal records was first,
//! and every statement reads one state of the database. A request's records are one statement, so they are
//! committed together, and the answer comes after the commit.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, TimeoutType, Timeouts,
};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, IsolationLevel, NoTls};

use super::{OpenError, Outcome, StoreError};
use crate::collector::aggregate::{Answers, Gathering};
use crate::collector::outflow::{Export, Outflow, Pour, Spout, What, pipe};
use crate::collector::tally::{Counts, Row, Tally, row};
use crate::wire::record::Record;
use uuid::Uuid;

/// Raised with every change of the tables.
const VERSION: i32 = 1;

/// The number of the lock under which the tables are made, so that collectors that start together do not meet:
/// any number that nobody else uses.
const LOCK: i64 = 0x6869_746c_6162_656c;

/// The tables. Texts are compared byte by byte (`COLLATE "C"`), as SQLite does, whatever the database's language.
/// The index on items takes a part of their ids only, as an entry has room for 2,700 bytes.
const TABLES: &str = r#"
CREATE SEQUENCE hitl_arrival;
CREATE TABLE hitl_records (
    seq bigint PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    item_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    role text NOT NULL,
    label text,
    annotator text COLLATE "C",
    supersedes uuid,
    answered_at text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    record text NOT NULL
);
CREATE INDEX hitl_records_by_item ON hitl_records (left(item_id, 300), seq);
CREATE TABLE hitl_items (
    seq bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    item text NOT NULL,
    answers integer NOT NULL DEFAULT 0
);
CREATE INDEX hitl_items_by_need ON hitl_items (answers, seq);
CREATE TABLE hitl_leases (
    item bigint NOT NULL REFERENCES hitl_items (seq) ON DELETE CASCADE,
    annotator text COLLATE "C" NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (item, annotator)
);
CREATE INDEX hitl_leases_by_annotator ON hitl_leases (annotator, until);
CREATE INDEX hitl_leases_by_end ON hitl_leases (until);
CREATE TABLE hitl_version (version integer NOT NULL);
"#;

/// Keeps a request's records. They get their numbers in the order of the body; they are written in the order of
/// their ids, so that two requests with the same records wait for each other and never in a circle. Only what is new ends leases
/// and lets items be counted again.
const PUT: &str = "
WITH body AS MATERIALIZED (
    SELECT nextval('hitl_arrival') AS seq, b.* FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[],
        $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[])
        AS b(id, item_id, kind, role, label, annotator, supersedes, answered_at, record)
), new AS (
    INSERT INTO hitl_records (seq, id, item_id, kind, role, label, annotator, supersedes, answered_at, record)
    SELECT seq, id, item_id, kind, role, label, annotator, supersedes, answered_at, record FROM body ORDER BY id, seq
    ON CONFLICT (id) DO NOTHING RETURNING id, item_id, kind, annotator, supersedes
), ended AS (
    DELETE FROM hitl_leases l USING new n, hitl_items i
    WHERE n.kind = 'correction' AND i.id = n.item_id AND l.item = i.seq
      AND l.annotator = coalesce(n.annotator, l.annotator)
), reopened AS (
    UPDATE hitl_items i SET answers = 0 FROM new n WHERE n.supersedes IS NOT NULL AND i.id = n.item_id
)
SELECT id FROM new";

/// Every record in the order of the items; `column` is read besides.
macro_rules! rows {
    ($column:literal) => {
        concat!(
            "SELECT item_id, id::text, kind, role, answered_at, annotator, supersedes::text, ",
            $column,
            " FROM hitl_records ORDER BY left(item_id, 300), item_id, seq"
        )
    };
}

/// Rows that the server hands over at a time.
const PIECE: i32 = 500;

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a statement is tried again that the database broke off for the sake of another.
const TRIES: u32 = 8;

/// The records, shared by all requests.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    /// Connects to the database at `address` and makes the tables that are missing.
    ///
    /// # Errors
    /// Why the database cannot be used.
    pub async fn open(address: &str, connections: usize) -> Result<Self, OpenError> {
        let mut config: Config = address.parse().map_err(|why| OpenError::Address(said(&why)))?;
        // `NoTls` would refuse it at the first connection, with words that name no mend.
        if config.get_ssl_mode() == SslMode::Require {
            return Err(OpenError::Tls("require"));
        }
        if config.get_hosts().is_empty() {
            return Err(OpenError::Address("no host".into()));
        }
        // Of several servers use the one that takes changes; after a failover that is another one. What accepts no
        // connection, with two addresses even, must leave time for the others.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX);
        config.connect_timeout(PATIENCE / hosts.saturating_add(1));
        // A server that vanishes without a word is given up after 30 s: while it owes us an acknowledgement by the
        // first, while it owes us an answer by the others.
        config.tcp_user_timeout(Duration::from_secs(30));
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(4);
        if config.get_application_name().is_none() {
            config.application_name("hitl-labeler collector");
        }
        let database = name(&config);
        let manager =
            Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
        let pool = Pool::builder(manager)
            .max_size(connections)
            .timeouts(timeouts)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move { prepare(client).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|why| OpenError::Server { database: database.clone(), why: why.to_string() })?;
        let fails = |why: String| OpenError::Server { database: database.clone(), why };
        let mut client = pool.get().await.map_err(|why| fails(pool_words(&why)))?;
        let encoding =
            client.query_one("SHOW server_encoding", &[]).await.map_err(|why| fails(said(&why)))?;
        let found: String = encoding.get(0);
        if found != "UTF8" {
            return Err(OpenError::Encoding { database, found });
        }
        let version = tables(&mut client).await.map_err(|why| fails(said(&why)))?;
        if version > VERSION {
            return Err(OpenError::Newer { database, found: version, known: VERSION });
        }
        Ok(Self { pool })
    }

    pub(super) async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|why| StoreError::Unreachable(pool_words(&why)))
    }

    pub(super) async fn put(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        self.changing(self.put_now(records)).await
    }

    /// Makes a change. Where the server can take none (any more), the connections to it are let go of: they may be
    /// open still when it has become read-only, and new ones find the server that takes changes.
    pub(super) async fn changing<T>(
        &self,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let done = change.await;
        if matches!(done, Err(StoreError::Unreachable(_))) {
            self.pool.retain(|_, _| false);
        }
        done
    }

    async fn put_now(&self, records: Vec<Record>) -> Result<Vec<Outcome>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let body = Body::of(&records);
        let client = self.client().await?;
        let put = client.prepare_cached(PUT).await?;
        let b = &body;
        let new = again(|| async {
            client
                .query(
                    &put,
                    &[
                        &b.id,
                        &b.item_id,
                        &b.kind,
                        &b.role,
                        &b.label,
                        &b.annotator,
                        &b.supersedes,
                        &b.answered_at,
                        &b.record,
                    ],
                )
                .await
        })
        .await?;
        // Of a record that comes twice in one body the first is stored.
        let mut new: HashSet<Uuid> = new.iter().map(|row| row.get(0)).collect();
        let stored: Vec<bool> = records.iter().map(|record| new.remove(&record.id)).collect();
        let known: Vec<Uuid> = records
            .iter()
            .zip(&stored)
            .filter(|(_, stored)| !**stored)
            .map(|(record, _)| record.id)
            .collect();
        let mut there: HashMap<Uuid, String> = HashMap::new();
        if !known.is_empty() {
            let select =
                client.prepare_cached("SELECT id, record FROM hitl_records WHERE id = ANY($1)").await?;
            let rows = client.query(&select, &[&known]).await?;
            there = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        }
        let outcome = |(place, record): (usize, &Record)| {
            if stored[place] {
                return Outcome::Stored;
            }
            // Compared as records where the texts differ: the order of the keys in `meta` says nothing.
            let same = there.get(&record.id).is_some_and(|line| {
                *line == body.record[place] || Record::parse(line).as_ref() == Ok(record)
            });
            if same { Outcome::Duplicate } else { Outcome::Conflict }
        };
        Ok(records.iter().enumerate().map(outcome).collect())
    }

    pub(super) async fn counts(&self) -> Result<Counts, StoreError> {
        let mut tally = Tally::new();
        self.each(rows!("label"), |row| {
            tally.push(read_row(row)?);
            Ok(())
        })
        .await?;
        Ok(tally.end())
    }

    pub(super) async fn answers(&self) -> Result<Answers, StoreError> {
        let mut gathering = Gathering::default();
        self.each(rows!("record"), |row| gathering.row(read_row(row)?).map_err(broken)).await?;
        gathering.end().map_err(broken)
    }

    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let client = self.client().await?;
        client.simple_query("SELECT 1 FROM hitl_version").await?;
        Ok(())
    }

    pub(super) async fn export(&self, export: Export) -> Result<Outflow, StoreError> {
        // Connected here, so that what is wrong with the database is an answer and not a torn download.
        let client = self.client().await?;
        client.simple_query("SELECT 1").await?;
        let (spout, outflow) = pipe();
        tokio::spawn(async move {
            if let Err(why) = pour(client, export, &spout).await {
                spout.fail(why).await;
            }
        });
        Ok(outflow)
    }

    /// Visits the rows of one statement, which is one state of the database, a piece at a time.
    async fn each(
        &self,
        statement: &str,
        mut visit: impl FnMut(&tokio_postgres::Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let change = client.build_transaction().read_only(true).start().await?;
        let cursor = change.bind(statement, &[]).await?;
        loop {
            let rows = change.query_portal(&cursor, PIECE).await?;
            if rows.is_empty() {
                break;
            }
            rows.iter().try_for_each(&mut visit)?;
        }
        change.rollback().await?;
        Ok(())
    }
}

async fn pour(mut client: Object, export: Export, spout: &Spout) -> Result<(), StoreError> {
    let mut pour = Pour::new(export);
    // A cursor of the server's: it keeps the state at its beginning, and hands over a piece when it is asked.
    let change = client.build_transaction().read_only(true).start().await?;
    let statement = match export.what {
        What::All => "SELECT record FROM hitl_records ORDER BY seq",
        What::Current | What::Training => rows!("record"),
    };
    let cursor = change.bind(statement, &[]).await?;
    loop {
        let rows = change.query_portal(&cursor, PIECE).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            match export.what {
                What::All => pour.record(row.try_get(0)?).map_err(broken)?,
                What::Current | What::Training => pour.row(read_row(row)?).map_err(broken)?,
            }
            if !spout.flow(&mut pour, false).await {
                return Ok(());
            }
        }
    }
    pour.end().map_err(broken)?;
    spout.flow(&mut pour, true).await;
    change.rollback().await?;
    Ok(())
}

/// A request's records by columns.
#[derive(Default)]
struct Body {
    id: Vec<Uuid>,
    item_id: Vec<String>,
    kind: Vec<&'static str>,
    role: Vec<&'static str>,
    label: Vec<Option<String>>,
    annotator: Vec<Option<String>>,
    supersedes: Vec<Option<Uuid>>,
    answered_at: Vec<String>,
    record: Vec<String>,
}

impl Body {
    fn of(records: &[Record]) -> Self {
        let mut body = Self::default();
        for record in records {
            body.id.push(record.id);
            body.item_id.push(folded(&record.item_id));
            body.kind.push(record.kind.word());
            body.role.push(record.role.word());
            body.label.push(record.answer.as_ref().map(|answer| folded(&answer.label)));
            body.annotator.push(record.annotator.as_deref().map(folded));
            body.supersedes.push(record.supersedes);
            body.answered_at.push(record.answered_at.to_string());
            body.record.push(record.to_string());
        }
        body
    }
}

/// A text as PostgreSQL can keep it, which has no character 0: 0 becomes 1 1, and 1 becomes 1 2, so that nothing
/// is confused and the order of texts stays. (In `record` and `item` JSON has its own way to write it.)
pub(super) fn folded(text: &str) -> String {
    match text.contains(['\0', '\u{1}']) {
        true => text.replace('\u{1}', "\u{1}\u{2}").replace('\0', "\u{1}\u{1}"),
        false => text.to_owned(),
    }
}

/// The text that was [`folded`].
pub(super) fn unfolded(text: String) -> String {
    match text.contains('\u{1}') {
        true => text.replace("\u{1}\u{1}", "\0").replace("\u{1}\u{2}", "\u{1}"),
        false => text,
    }
}

/// A row of `item_id, id, kind, role, answered_at, annotator, supersedes` and one column more.
pub(super) fn read_row(of: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let columns = [of.try_get(1)?, of.try_get(2)?, of.try_get(3)?, of.try_get(4)?];
    let annotator = of.try_get::<_, Option<String>>(5)?.map(unfolded);
    let text = of.try_get::<_, Option<String>>(7)?.map(unfolded);
    row(unfolded(of.try_get(0)?), columns, annotator, of.try_get(6)?, text).map_err(broken)
}

/// What every new connection is told.
async fn prepare(client: &deadpool_postgres::ClientWrapper) -> Result<(), tokio_postgres::Error> {
    // An answer promises that the record is on the disk, and on that of a synchronous standby. What is stricter
    // than "on" stays.
    // And a plan is made for what the tables hold now: one that was kept from when they were empty would read all
    // of them for every item. Compiling it would take longer than all of these statements do.
    client
        .batch_execute(
            "SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write');
             SELECT set_config('plan_cache_mode', 'force_custom_plan', false)
             WHERE current_setting('plan_cache_mode', true) IS NOT NULL;
             SELECT set_config('jit', 'off', false) WHERE current_setting('jit', true) IS NOT NULL",
        )
        .await
}

/// Makes the tables, unless they are there; gives their version.
async fn tables(client: &mut Object) -> Result<i32, tokio_postgres::Error> {
    let change = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    change.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let there = change.query_one("SELECT to_regclass('hitl_version') IS NOT NULL", &[]).await?;
    if !there.get::<_, bool>(0) {
        change.batch_execute(TABLES).await?;
        change.execute("INSERT INTO hitl_version VALUES ($1)", &[&VERSION]).await?;
    }
    let version = change.query_one("SELECT max(version) FROM hitl_version", &[]).await?.get(0);
    change.commit().await?;
    Ok(version)
}

/// Tries again what the database broke off for the sake of another statement (a deadlock, or a serialisation
/// failure in databases that know no weaker isolation): nothing of it was done.
pub(super) async fn again<T, E, F>(run: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, E>>,
    Trouble: From<E>,
{
    let mut tries = 1;
    loop {
        match run().await.map_err(Trouble::from) {
            Err(Trouble::Database(why)) if tries < TRIES && broken_off(&why) => {
                tokio::time::sleep(Duration::from_millis(5 << tries)).await;
                tries += 1;
            }
            done => return Ok(done?),
        }
    }
}

pub(super) fn broken_off(why: &tokio_postgres::Error) -> bool {
    matches!(why.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
}

/// What a statement or a transaction came to grief by.
pub(super) enum Trouble {
    /// The database's own error.
    Database(tokio_postgres::Error),
    /// No connection, or rows that cannot be read.
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(why: tokio_postgres::Error) -> Self {
        Self::Database(why)
    }
}

impl From<StoreError> for Trouble {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Database(why) => why.into(),
            Trouble::Store(why) => why,
        }
    }
}

fn broken(why: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(why.to_string())
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(why: tokio_postgres::Error) -> Self {
        match why.code() {
            Some(&SqlState::DISK_FULL) => Self::Full,
            Some(
                &SqlState::ADMIN_SHUTDOWN
                | &SqlState::CRASH_SHUTDOWN
                | &SqlState::CANNOT_CONNECT_NOW
                | &SqlState::TOO_MANY_CONNECTIONS
                | &SqlState::READ_ONLY_SQL_TRANSACTION,
            ) => Self::Unreachable(said(&why)),
            None if why.is_closed() => Self::Unreachable(said(&why)),
            _ => Self::Failed(said(&why)),
        }
    }
}

fn pool_words(why: &PoolError) -> String {
    match why {
        PoolError::Backend(why) => said(why),
        PoolError::Timeout(TimeoutType::Create) => format!("no answer within {} s", PATIENCE.as_secs()),
        PoolError::Timeout(_) => format!("no connection became free within {} s", PATIENCE.as_secs()),
        why => why.to_string(),
    }
}

/// The error with its cause: its own words alone are "db error".
fn said(why: &tokio_postgres::Error) -> String {
    match std::error::Error::source(why) {
        Some(cause) => format!("{why}: {cause}"),
        None => why.to_string(),
    }
}

/// Hosts, ports and name of the database; never the password.
fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let host = |(at, host): (usize, &Host)| {
        let host = match host {
            Host::Tcp(host) => host.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        match ports.get(at).or(ports.first()) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    };
    let hosts: Vec<_> = config.get_hosts().iter().enumerate().map(host).collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or("(unnamed)");
    format!("{database} at {}", hosts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_keeps_its_place_in_the_order() {
        let texts = [
            "",
            "\0",
            "\0\0",
            "\0\u{1}",
            "\u{1}",
            "\u{1}\0",
            "\u{1}\u{1}",
            "\u{1}\u{2}",
            "\u{2}",
            "a",
            "a\0",
            "a\0b",
            "b",
        ];
        for (place, text) in texts.iter().enumerate() {
            assert!(!folded(text).contains('\0'));
            assert_eq!(unfolded(folded(text)), *text);
            assert!(texts[..place].iter().all(|before| folded(before) < folded(text)), "{text:?}");
        }
    }
}
