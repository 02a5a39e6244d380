//! The browser's own store: what is in it survives reload, crash and closing.
//!
//! Every change is one transaction that is awaited until it is on disk. A change whose transaction fails
//! stays in memory, counts for every reading, and is taken along by the next transaction. Without
//! IndexedDB everything stays in memory and the person is told.

mod database;
mod lead;
mod rows;
mod tabs;
mod witness;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, IdbFactory};

use self::database::{Ask, Database, OnClose};
pub use self::lead::Lead;
use self::rows::{Delivery, Row, Table, Unconfirmed, batch_row, is_senders, read_batch};
use self::tabs::Channel;
pub use self::tabs::OtherTab;
pub use self::witness::Witness;
use crate::domain::correction::Correction;
use crate::domain::ident::{BatchId, RecordId};
use crate::domain::lease::Lease;
use crate::domain::outbox::Batch;
use crate::domain::session::Kept;
pub use crate::wire::config::Durability;
use crate::wire::correction::{from_record, to_record};
use crate::wire::record::Record;

/// Records that are read between two turns of the browser: few enough not to be felt.
const PAGE: u32 = 200;

/// Why the store did not do what it was asked, in words for the person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No IndexedDB.
    #[error("this browser offers no store to this page")]
    Missing,
    /// The quota is used up.
    #[error("the browser's store is full")]
    Full,
    /// A newer version of this software has used the store.
    #[error("a newer version of this page has used the browser's store: reload the page")]
    Newer,
    /// Another tab does not let go of it.
    #[error("another tab keeps the browser's store closed: close the page's other tabs and reload")]
    Blocked,
    /// No answer in time.
    #[error("the browser's store does not answer")]
    Silent,
    /// Another tab has taken over the sending.
    #[error("another tab sends by now")]
    Fenced,
    /// Whatever else the browser says.
    #[error("the browser's store failed ({0})")]
    Failed(Arc<str>),
    /// This record is not in the store: somebody deleted it.
    #[error("record {0} is no longer in the browser's store")]
    Gone(RecordId),
}

thread_local! {
    /// Stores of elements that went before everything was written: the next element of the project does it.
    static LEFT: RefCell<Vec<Rc<Inner>>> = RefCell::default();
}

/// Bytes after which LevelDB has begun a new log for certain.
const LOG: usize = 6 << 20;
/// Bytes of a row of blanks: Chromium puts values of 64 KiB and more into files of their own.
const BLANK: usize = 60_000;
/// And so many in a transaction, which the person's answers wait for.
const BLANKS: usize = 4;

/// The store of one project; clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Rc<Inner>,
}

struct Inner {
    me: Weak<Inner>,
    name: String,
    /// `None`: memory only, for good.
    factory: Option<IdbFactory>,
    /// The connection, while it is open.
    database: RefCell<Option<Rc<Database>>>,
    unconfirmed: RefCell<Unconfirmed>,
    channel: Option<Channel>,
    durability: &'static str,
    /// The lease to send, where there are no locks.
    lease: Cell<Option<Lease>>,
    /// The element is gone: nobody waits for the lock or the lease any more.
    left: Cell<bool>,
    /// Ends the waiting for the lock.
    waits: RefCell<Option<AbortController>>,
    persistence_asked: Cell<bool>,
    persisted: Cell<Option<bool>>,
    /// The browser has emptied the store while this page was using it.
    emptied: Cell<bool>,
    /// Hears of a connection that was closed from outside.
    closed: OnClose,
}

/// Opens the store of `project`; where there is none, one in memory, and why.
pub async fn open(project: &str, durability: Durability) -> (Store, Option<Arc<str>>) {
    let factory = match web_sys::window().map(|window| window.indexed_db()) {
        Some(Ok(Some(factory))) => Ok(factory),
        Some(Err(error)) => Err(database::exception(&error)),
        _ => Err(StoreError::Missing),
    };
    open_in(factory, project, durability).await
}

/// [`open`] with the browser's answer to the question for IndexedDB.
pub async fn open_in(
    factory: Result<IdbFactory, StoreError>,
    project: &str,
    durability: Durability,
) -> (Store, Option<Arc<str>>) {
    let name = format!("hitl-labeler:{project}");
    let durability = match durability {
        Durability::Strict => "strict",
        Durability::Relaxed => "relaxed",
    };
    let closed = OnClose::default();
    let opened = match &factory {
        Ok(factory) => Database::open(factory, &name, durability, &closed).await,
        Err(why) => Err(why.clone()),
    };
    let (database, why) = match opened {
        Ok(database) => (Some(Rc::new(database)), None),
        Err(why) => (None, Some(why.to_string().into())),
    };
    let inner = Rc::new_cyclic(|me| Inner {
        me: me.clone(),
        factory: factory.ok().filter(|_| database.is_some()),
        // What nobody else can read is not worth telling.
        channel: database.as_ref().and_then(|_| Channel::open(&name)),
        database: RefCell::new(database),
        unconfirmed: RefCell::default(),
        durability,
        lease: Cell::new(None),
        left: Cell::new(false),
        waits: RefCell::default(),
        persistence_asked: Cell::new(false),
        persisted: Cell::new(None),
        emptied: Cell::new(false),
        closed,
        name,
    });
    inner.take_over();
    (Store { inner }, why)
}

impl Store {
    /// Every record, oldest first, and the state of delivery. A record that this version cannot read is
    /// left out of the first and kept in the second: it is delivered as it is. Other elements of the project hear
    /// of the newest that wait.
    ///
    /// # Errors
    /// The browser's store cannot be read.
    pub async fn load(&self) -> Result<(Vec<Correction>, Kept), StoreError> {
        let mut records = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let from = after.as_deref();
            let page = [Ask::Keys(Table::Records, from, PAGE), Ask::Values(Table::Records, from, PAGE)];
            let page = self.inner.read(&page).await?;
            let keys = texts(&page[0]);
            for line in texts(&page[1]) {
                remember(&mut records, &line);
            }
            let full = keys.len() == PAGE as usize;
            after = keys.into_iter().next_back();
            if !full {
                break;
            }
        }
        // After the records: one that another tab adds in between is then heard of, not lost.
        let kept = self.kept().await?;
        for (_, line) in self.inner.unconfirmed.borrow().of(Table::Records) {
            line.into_iter().for_each(|line| remember(&mut records, line));
        }
        if let Some(channel) = &self.inner.channel {
            // A page that was killed may have stored its last transaction and told nobody who could send it.
            let last = kept.waiting.iter().rev().take(PAGE as usize).rev();
            let last = last.filter(|id| !self.is_unconfirmed(**id));
            let lines: Vec<_> = last.filter_map(|id| Some(to_record(records.get(id)?).to_string())).collect();
            channel.committed(lines.iter().map(String::as_str));
        }
        Ok((records.into_values().collect(), kept))
    }

    /// The state of delivery as it is now.
    ///
    /// # Errors
    /// The browser's store cannot be read.
    pub async fn kept(&self) -> Result<Kept, StoreError> {
        let asks = [
            Ask::Keys(Table::Outbox, None, 0),
            Ask::Values(Table::Outbox, None, 0),
            Ask::Keys(Table::Batches, None, 0),
            Ask::Values(Table::Batches, None, 0),
            Ask::Count(Table::Records),
        ];
        let read = self.inner.read(&asks).await?;
        let outbox = self.inner.merged(Table::Outbox, &read[0], &read[1]);
        let stored = read[4].as_f64().unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let records = stored as usize + self.inner.unconfirmed.borrow().of(Table::Records).count();
        // What the server has is safe without a store.
        let mut volatile = self.unstored();
        volatile.retain(|id| outbox.contains_key(&id.to_string()));
        let mut kept = Kept { sent: records.saturating_sub(outbox.len()), volatile, ..Kept::default() };
        for (id, text) in self.inner.merged(Table::Batches, &read[2], &read[3]) {
            // A batch that no record waits for was settled by a tab that could not say so.
            let batch = read_batch(&id, &text);
            let batch =
                batch.filter(|batch| batch.records.iter().any(|id| outbox.contains_key(&id.to_string())));
            if let Some(batch) = batch {
                let at = kept.batches.partition_point(|other| other.records.first() < batch.records.first());
                kept.batches.insert(at, batch);
            }
        }
        let mut batched = BTreeSet::<RecordId>::new();
        batched.extend(kept.batches.iter().flat_map(|batch| &batch.records));
        for (id, text) in outbox {
            let Ok(id) = id.parse() else { continue };
            match Delivery::from_text(&text) {
                // Refused before, and on its way once more.
                Delivery::Refused(why) if !batched.contains(&id) => kept.refused.push((id, why)),
                Delivery::Discarded => kept.discarded.push(id),
                _ => kept.waiting.push(id),
            }
        }
        Ok(kept)
    }

    /// Stores records, all or none. `Ok(true)`: these are on disk, with everything that had failed
    /// before. `Ok(false)`: there is no store, they are held in memory.
    ///
    /// # Errors
    /// The transaction failed: they are held in memory, and the next transaction takes them along.
    pub async fn commit(&self, records: &[Correction]) -> Result<bool, StoreError> {
        if !self.inner.persistence_asked.replace(true) && self.inner.factory.is_some() {
            let inner = self.inner.clone();
            spawn_local(async move { inner.persisted.set(persist().await) });
        }
        let rows = records.iter().flat_map(|correction| {
            let id = correction.id.to_string();
            let line = to_record(correction).to_string();
            [
                ((Table::Records, id.clone()), Some(line)),
                ((Table::Outbox, id), Some(Delivery::Waiting.to_text())),
            ]
        });
        self.inner.write(rows.collect()).await
    }

    /// Stores a batch before its first attempt, or after one that failed. Answers as [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn freeze(&self, batch: &Batch) -> Result<bool, StoreError> {
        self.inner.write(vec![batch_row(batch)]).await
    }

    /// Stores that a batch is over: what the server has, what it does not want, and the batches that
    /// take its place. Answers as [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn settle(
        &self,
        batch: BatchId,
        sent: &[RecordId],
        refused: &[(RecordId, Arc<str>)],
        remaining: &[Batch],
    ) -> Result<bool, StoreError> {
        let mut rows = vec![((Table::Batches, batch.to_string()), None)];
        rows.extend(sent.iter().map(|id| ((Table::Outbox, id.to_string()), None)));
        rows.extend(refused.iter().map(|(id, why)| {
            ((Table::Outbox, id.to_string()), Some(Delivery::Refused(why.clone()).to_text()))
        }));
        // Last, since one of them may be the batch itself once more.
        rows.extend(remaining.iter().map(batch_row));
        let written = self.inner.write(rows).await;
        if let Some(channel) = &self.inner.channel {
            channel.sent(sent);
            channel.refused(refused);
        }
        written
    }

    /// Stores that these refused records are not to be sent any more. Answers as [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn discard(&self, records: &[RecordId]) -> Result<bool, StoreError> {
        let row = |id: &RecordId| ((Table::Outbox, id.to_string()), Some(Delivery::Discarded.to_text()));
        let written = self.inner.write(records.iter().map(row).collect()).await;
        if let Some(channel) = &self.inner.channel {
            channel.discarded(records);
        }
        written
    }

    /// Has whoever sends, in another tab perhaps, try these refused records once more.
    pub fn retried(&self, records: &[RecordId]) {
        self.inner.channel.iter().for_each(|channel| channel.retried(records));
    }

    /// The records' JSON lines, in this order, byte for byte as they were stored.
    ///
    /// # Errors
    /// The browser's store cannot be read, or lacks one of them.
    pub async fn bodies(&self, records: &[RecordId]) -> Result<Vec<String>, StoreError> {
        let ids: Vec<_> = records.iter().map(ToString::to_string).collect();
        let asks: Vec<_> = ids.iter().map(|id| Ask::Value(Table::Records, id)).collect();
        let read = self.inner.read(&asks).await?;
        let unconfirmed = self.inner.unconfirmed.borrow();
        let lines = records.iter().zip(ids).zip(read).map(|((record, id), stored)| {
            let held = || unconfirmed.get(&(Table::Records, id)).flatten().map(str::to_owned);
            stored.as_string().or_else(held).ok_or(StoreError::Gone(*record))
        });
        lines.collect()
    }

    /// Those of these records that the store has and that this version can read, oldest first. None where it fails: who
    /// sends then knows less of their order.
    pub async fn records(&self, ids: &[RecordId]) -> Vec<Correction> {
        let mut records = BTreeMap::new();
        for some in ids.chunks(PAGE as usize) {
            let ids: Vec<_> = some.iter().map(ToString::to_string).collect();
            let asks: Vec<_> = ids.iter().map(|id| Ask::Value(Table::Records, id)).collect();
            let read = self.inner.read(&asks).await.unwrap_or_default();
            read.iter().filter_map(JsValue::as_string).for_each(|line| remember(&mut records, &line));
        }
        records.into_values().collect()
    }

    /// Writes what has failed to be written, if anything has. Answers as [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn retry(&self) -> Result<bool, StoreError> {
        self.inner.write(Vec::new()).await
    }

    /// Whether the browser has promised to keep the store until the person clears it; `None` as long as it has not
    /// been asked or does not say.
    pub fn persisted(&self) -> Option<bool> {
        self.inner.persisted.get()
    }

    /// Whether the browser has emptied the store under this page since it was last asked.
    pub fn was_emptied(&self) -> bool {
        self.inner.emptied.take()
    }

    /// What outlives the store, to notice that it is gone; in memory there is nothing to notice.
    pub fn witness(&self) -> Option<Witness> {
        self.inner.factory.as_ref().and_then(|_| Witness::of(&self.inner.name))
    }

    /// Has a Chromium browser begin a new log file for this origin's databases; of no effect elsewhere.
    ///
    /// Its LevelDB goes on in the log of the last visit, also behind a record that was cut off because the browser
    /// was killed while it wrote. The start after that takes the log for broken, and throws all databases of the
    /// origin away, however long ago their rows were stored: <https://github.com/google/leveldb/issues/1287>. It
    /// begins a new log once there are 4 MiB in one, so some rows of blanks are put there, and taken out again.
    pub async fn begin_new_log(&self) {
        let agent = web_sys::window().and_then(|window| window.navigator().user_agent().ok());
        if !agent.is_some_and(|agent| agent.contains("Chrome/")) {
            return;
        }
        // On a connection of its own: nothing of this has to be on the disk before anything else.
        let Some(factory) = &self.inner.factory else { return };
        let Ok(database) = Database::open(factory, &self.inner.name, "relaxed", &OnClose::default()).await
        else {
            return;
        };
        let rows = |value: Option<String>| -> Vec<Row> {
            (0..BLANKS).map(|at| ((Table::Settings, format!("blank-{at}")), value.clone())).collect()
        };
        let blank = rows(Some(" ".repeat(BLANK)));
        // A store that fails here fails with the next answer, too, and says so then.
        for _ in 0..LOG / (BLANK * BLANKS) {
            if database.write(&blank, None).await.is_err() {
                break;
            }
        }
        let _ = database.write(&rows(None), None).await;
    }

    /// Whether this record is not known to be on the disk.
    pub fn is_unconfirmed(&self, id: RecordId) -> bool {
        self.inner.unconfirmed.borrow().get(&(Table::Records, id.to_string())).is_some()
    }

    /// The records that are not known to be on the disk.
    pub fn unstored(&self) -> Vec<RecordId> {
        let unconfirmed = self.inner.unconfirmed.borrow();
        unconfirmed.of(Table::Records).filter_map(|(id, _)| id.parse().ok()).collect()
    }

    /// Calls `hear` when the browser or another tab has closed the connection: the store may be empty by now.
    pub fn when_closed(&self, hear: impl Fn() + 'static) {
        self.inner.closed.borrow_mut().replace(Rc::new(hear));
    }

    /// Resolves when this element is the only one of the project that sends; until the lead is dropped.
    pub async fn lead(&self) -> Lead {
        // What is only in this element's memory nobody else can send.
        if self.inner.factory.is_none() { Lead::alone() } else { Lead::take(&self.inner).await }
    }

    /// The element is gone: it waits for no lock and no lease any more, and what it could not write is left to the
    /// next one of the project on this page.
    pub fn leave(&self) {
        self.inner.left.set(true);
        self.inner.hand_over();
        self.inner.waits.take().iter().for_each(AbortController::abort);
    }

    /// Calls `hear` when another element of the project, here or in another tab, stored or delivered
    /// something; in place of an earlier listener. `hear` lives as long as the store: let it own none.
    pub fn listen(&self, hear: impl Fn(OtherTab) + 'static) {
        if let Some(channel) = &self.inner.channel {
            channel.listen(hear);
        }
    }

    /// What was set under `key`; `None` also when the store cannot be read.
    pub async fn setting(&self, key: &str) -> Option<String> {
        let held = self
            .inner
            .unconfirmed
            .borrow()
            .get(&(Table::Settings, key.to_owned()))
            .map(|value| value.map(str::to_owned));
        match held {
            Some(value) => value,
            None => self.inner.read(&[Ask::Value(Table::Settings, key)]).await.ok()?.first()?.as_string(),
        }
    }

    /// Sets `key`. Answers as [`Store::commit`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn set_setting(&self, key: &str, value: &str) -> Result<bool, StoreError> {
        self.inner.write(vec![((Table::Settings, key.to_owned()), Some(value.to_owned()))]).await
    }
}

impl Inner {
    /// The open connection, opened anew if it was closed; `None` in memory only.
    async fn database(&self) -> Result<Option<Rc<Database>>, StoreError> {
        let open = self.database.borrow().clone().filter(|database| !database.is_closed());
        match (&self.factory, open) {
            (None, _) => Ok(None),
            (Some(_), Some(database)) => Ok(Some(database)),
            (Some(factory), None) => {
                let database =
                    Rc::new(Database::open(factory, &self.name, self.durability, &self.closed).await?);
                self.emptied.set(self.emptied.get() || database.fresh);
                self.database.replace(Some(database.clone()));
                Ok(Some(database))
            }
        }
    }

    async fn write(&self, rows: Vec<Row>) -> Result<bool, StoreError> {
        match self.write_once(rows).await {
            Err(StoreError::Fenced) => {
                // What the person did is not the other tab's to take back: it is written without the rest.
                self.unconfirmed.borrow_mut().forget_senders();
                self.write_once(Vec::new()).await
            }
            written => written,
        }
    }

    /// Leaves what is not written to the next element of the project.
    fn hand_over(&self) {
        if let Some(me) = self.me.upgrade().filter(|_| !self.unconfirmed.borrow().is_empty()) {
            LEFT.with_borrow_mut(|left| left.push(me));
        }
    }

    /// Takes over what earlier elements of the project have left.
    fn take_over(&self) {
        for left in LEFT.take() {
            if left.name == self.name {
                let rows = left.unconfirmed.take();
                if !rows.is_empty() {
                    self.unconfirmed.borrow_mut().take_over(rows, left.factory.is_none());
                }
            } else {
                LEFT.with_borrow_mut(|all| all.push(left));
            }
        }
    }

    async fn write_once(&self, rows: Vec<Row>) -> Result<bool, StoreError> {
        let mut under_way =
            UnderWay { of: self, stamp: self.unconfirmed.borrow_mut().hold(rows), done: false };
        let Some(database) = self.database().await? else {
            self.unconfirmed.borrow_mut().settle_in_memory();
            return Ok(false);
        };
        let rows = self.unconfirmed.borrow_mut().take_along(under_way.stamp);
        let senders = rows.iter().any(|(key, value)| is_senders(key, value.as_deref()));
        let fence = self.lease.get().filter(|_| senders).map(|lease| lease.fence);
        database.write(&rows, fence).await?;
        under_way.done = true;
        if let Some(channel) = &self.channel {
            // Only what every tab can read by now: whoever leads may send it.
            let records = rows.iter().filter(|((table, _), _)| *table == Table::Records);
            channel.committed(records.filter_map(|(_, line)| line.as_deref()));
        }
        Ok(true)
    }

    /// In memory only, every answer is undefined.
    async fn read(&self, asks: &[Ask<'_>]) -> Result<Vec<JsValue>, StoreError> {
        match self.database().await? {
            // A transaction over no table is an error.
            Some(database) if !asks.is_empty() => database.read(asks).await,
            _ => Ok(vec![JsValue::UNDEFINED; asks.len()]),
        }
    }

    /// The rows of a table as they will be once everything is on disk.
    fn merged(&self, table: Table, keys: &JsValue, values: &JsValue) -> BTreeMap<String, String> {
        let mut rows = BTreeMap::new();
        rows.extend(texts(keys).into_iter().zip(texts(values)));
        for (key, value) in self.unconfirmed.borrow().of(table) {
            match value {
                Some(value) => rows.insert(key.to_owned(), value.to_owned()),
                None => rows.remove(key),
            };
        }
        rows
    }
}

/// Rows of a transaction: confirmed when it is complete, failed in every other case.
struct UnderWay<'a> {
    of: &'a Inner,
    stamp: u64,
    done: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut unconfirmed = self.of.unconfirmed.borrow_mut();
        if self.done {
            return unconfirmed.confirm(self.stamp);
        }
        unconfirmed.fail(self.stamp);
        drop(unconfirmed);
        if self.of.left.get() {
            self.of.hand_over();
        }
    }
}

fn remember(records: &mut BTreeMap<RecordId, Correction>, line: &str) {
    match Record::parse(line) {
        Ok(record) => {
            let correction = from_record(&record);
            records.insert(correction.id, correction);
        }
        Err(why) => web_sys::console::warn_2(
            &"hitl-labeler: a stored record cannot be read".into(),
            &why.to_string().into(),
        ),
    }
}

fn texts(list: &JsValue) -> Vec<String> {
    let list = list.dyn_ref::<Array>().map(Array::iter);
    list.into_iter().flatten().map(|value| value.as_string().unwrap_or_default()).collect()
}

/// Asks the browser not to evict the store under pressure. Whatever it answers, work goes on; where there is nobody to
/// ask, it does not answer.
async fn persist() -> Option<bool> {
    let storage = web_sys::window()?.navigator().storage();
    let asked = Reflect::get(&storage, &"persist".into()).ok()?.dyn_into::<Function>().ok()?.call0(&storage);
    JsFuture::from(asked.ok()?.dyn_into::<Promise>().ok()?).await.ok()?.as_bool()
}
