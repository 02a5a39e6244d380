//! IndexedDB with the two promises that matter here: done means *on disk*, and nothing hangs.
//!
//! Every transaction issues all its requests at once and is awaited as a whole: results are read after
//! `complete`, so nothing depends on microtasks keeping a transaction alive.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Event, IdbDatabase, IdbFactory, IdbKeyRange, IdbOpenDbRequest, IdbRequest, IdbTransaction};

use super::StoreError;
use super::rows::{LEASE, Row, Table, read_lease};

const VERSION: u32 = 1;
/// Browsers are known to leave an open request without any answer; then labels stay in memory.
const OPEN_MS: i32 = 5_000;
/// A disk that takes longer than this is as good as none.
const TRANSACTION_MS: i32 = 20_000;

#[wasm_bindgen]
extern "C" {
    /// `web-sys` has the third argument only as an unstable interface.
    #[wasm_bindgen(extends = IdbDatabase)]
    type DurableDatabase;

    #[wasm_bindgen(method, catch)]
    fn transaction(
        this: &DurableDatabase,
        stores: &Array,
        mode: &str,
        options: &Object,
    ) -> Result<IdbTransaction, JsValue>;

    /// `web-sys` calls `commit` deprecated, which no specification does.
    #[wasm_bindgen(extends = IdbTransaction)]
    type EagerTransaction;

    #[wasm_bindgen(method, catch)]
    fn commit(this: &EagerTransaction) -> Result<(), JsValue>;
}

/// A question to the database.
pub enum Ask<'a> {
    /// Every key of a table after this one, at most so many (0: all): a list.
    Keys(Table, Option<&'a str>, u32),
    /// The values of the same rows: a list.
    Values(Table, Option<&'a str>, u32),
    /// One value, or undefined.
    Value(Table, &'a str),
    /// How many rows.
    Count(Table),
}

/// What is to stand in a row in place of what stands there; `None` leaves it.
pub type Decide = Box<dyn FnOnce(Option<String>) -> Option<String>>;

/// Who hears that a connection was closed from outside.
pub type OnClose = Rc<RefCell<Option<Rc<dyn Fn()>>>>;

/// An open connection; dropping it closes it once its transactions are over.
pub struct Database {
    db: IdbDatabase,
    /// What a commit promises: "strict" or "relaxed".
    durability: &'static str,
    /// There was none of this name before.
    pub fresh: bool,
    closed: Rc<Cell<bool>>,
    _on_close: Closure<dyn FnMut()>,
}

impl Database {
    /// Opens the database, creating its tables where it is new.
    pub async fn open(
        factory: &IdbFactory,
        name: &str,
        durability: &'static str,
        on_close: &OnClose,
    ) -> Result<Self, StoreError> {
        let fresh = Rc::new(Cell::new(false));
        let request = factory.open_with_u32(name, VERSION).map_err(|error| exception(&error))?;
        let build = Closure::once({
            let (request, fresh) = (request.clone(), fresh.clone());
            move || {
                fresh.set(true);
                create_tables(&request)
            }
        });
        request.set_onupgradeneeded(Some(build.as_ref().unchecked_ref()));
        let opened = heard(OPEN_MS, &|done, failed| {
            request.set_onsuccess(Some(done));
            request.set_onerror(Some(failed));
            request.set_onblocked(Some(failed));
        });
        if let Err(why) = opened.await {
            // An open that was given up may still succeed, and must then neither leave a database without tables nor
            // stay open.
            request.set_onupgradeneeded(Some(build.into_js_value().unchecked_ref()));
            let late = request.clone();
            let close = Closure::once_into_js(move || {
                if let Ok(db) = late.result() {
                    db.unchecked_into::<IdbDatabase>().close();
                }
            });
            request.set_onsuccess(Some(close.unchecked_ref()));
            return Err(why);
        }
        request.set_onupgradeneeded(None);
        let db: IdbDatabase = request.result().map_err(|error| exception(&error))?.unchecked_into();
        let closed = Rc::new(Cell::new(false));
        // Another tab wants to delete or upgrade it, or the browser closed it (site data cleared, disk
        // failure): let go at once, the next use opens it anew.
        let on_close = Closure::<dyn FnMut()>::new({
            let (db, closed, hear) = (db.clone(), closed.clone(), on_close.clone());
            move || {
                closed.set(true);
                db.close();
                let hear = hear.borrow().clone();
                hear.iter().for_each(|hear| hear());
            }
        });
        db.set_onversionchange(Some(on_close.as_ref().unchecked_ref()));
        db.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Ok(Self { db, durability, fresh: fresh.get(), closed, _on_close: on_close })
    }

    /// Whether it was closed from outside.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Writes all rows or none; returns when they are on disk. With a `fence`, only while the lease of this
    /// number is in force: [`StoreError::Fenced`] if another tab has taken it.
    pub async fn write(&self, rows: &[Row], fence: Option<u64>) -> Result<(), StoreError> {
        let transaction = self.begin(&Table::ALL, "readwrite")?;
        let fenced = Rc::new(Cell::new(false));
        let check = fence.map(|fence| {
            let (transaction, fenced) = (transaction.clone(), fenced.clone());
            move |stored: Option<String>| {
                if stored.as_deref().and_then(read_lease).is_some_and(|lease| lease.fence != fence) {
                    fenced.set(true);
                    let _ = transaction.abort();
                }
                None
            }
        });
        let check = check.map(|check| self.answer(&transaction, LEASE, Box::new(check))).transpose();
        let issued = rows.iter().try_for_each(|((table, key), value)| {
            let store = transaction.object_store(table.name())?;
            let key = JsValue::from_str(key);
            match value {
                Some(value) => store.put_with_key(&JsValue::from_str(value), &key),
                None => store.delete(&key),
            }
            .map(drop)
        });
        let issued = check.as_ref().map(drop).map_err(Clone::clone).and(issued);
        // One that is being committed cannot be aborted any more.
        let ended = finish(&transaction, issued, fence.is_none()).await;
        if fenced.get() { Err(StoreError::Fenced) } else { ended }
    }

    /// Writes to the settings' row `key` what `decide` makes of what stands there, if anything; nobody else writes
    /// in between.
    pub async fn exchange(&self, key: &str, decide: Decide) -> Result<(), StoreError> {
        let transaction = self.begin(&[Table::Settings], "readwrite")?;
        let answer = self.answer(&transaction, key, decide);
        finish(&transaction, answer.as_ref().map(drop).map_err(Clone::clone), false).await
    }

    /// Reads a settings' row within a transaction and writes what `decide` makes of it. What is given back has to
    /// live until the transaction is over.
    fn answer(
        &self,
        transaction: &IdbTransaction,
        key: &str,
        decide: Decide,
    ) -> Result<Closure<dyn FnMut()>, JsValue> {
        let store = transaction.object_store(Table::Settings.name())?;
        let key = JsValue::from_str(key);
        let request = store.get(&key)?;
        let decide = RefCell::new(Some(decide));
        let hear = Closure::<dyn FnMut()>::new({
            let request = request.clone();
            move || {
                let stored = request.result().ok().and_then(|value| value.as_string());
                let decided = decide.borrow_mut().take().and_then(|decide| decide(stored));
                if let Some(text) = decided {
                    let _ = store.put_with_key(&JsValue::from_str(&text), &key);
                }
            }
        });
        request.set_onsuccess(Some(hear.as_ref().unchecked_ref()));
        Ok(hear)
    }

    /// Answers all questions from one moment.
    pub async fn read(&self, asks: &[Ask<'_>]) -> Result<Vec<JsValue>, StoreError> {
        let mut tables: Vec<_> = asks.iter().map(Ask::table).collect();
        tables.dedup();
        let transaction = self.begin(&tables, "readonly")?;
        let mut requests = Vec::with_capacity(asks.len());
        let issued = asks.iter().try_for_each(|ask| {
            requests.push(ask.request(&transaction)?);
            Ok(())
        });
        finish(&transaction, issued, true).await?;
        requests.iter().map(|request| request.result().map_err(|error| exception(&error))).collect()
    }

    fn begin(&self, tables: &[Table], mode: &str) -> Result<IdbTransaction, StoreError> {
        let names = Array::new();
        for table in tables {
            names.push(&JsValue::from_str(table.name()));
        }
        let options = Object::new();
        // Chromium's default has been "relaxed" since version 121: done before it is on disk.
        let _ = Reflect::set(&options, &"durability".into(), &self.durability.into());
        let db: &DurableDatabase = self.db.unchecked_ref();
        db.transaction(&names, mode, &options).map_err(|error| {
            // Closed by the browser without an event: the next use opens it anew.
            self.closed.set(true);
            exception(&error)
        })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.db.set_onversionchange(None);
        self.db.set_onclose(None);
        self.db.close();
    }
}

impl Ask<'_> {
    fn table(&self) -> Table {
        match *self {
            Self::Keys(table, ..) | Self::Values(table, ..) | Self::Value(table, _) | Self::Count(table) => {
                table
            }
        }
    }

    fn request(&self, transaction: &IdbTransaction) -> Result<IdbRequest, JsValue> {
        let store = transaction.object_store(self.table().name())?;
        match *self {
            Self::Keys(_, after, most) => store.get_all_keys_with_key_and_limit(&range(after)?, most),
            Self::Values(_, after, most) => store.get_all_with_key_and_limit(&range(after)?, most),
            Self::Value(_, key) => store.get(&JsValue::from_str(key)),
            Self::Count(_) => store.count(),
        }
    }
}

fn range(after: Option<&str>) -> Result<JsValue, JsValue> {
    match after {
        Some(key) => Ok(IdbKeyRange::lower_bound_with_open(&JsValue::from_str(key), true)?.into()),
        None => Ok(JsValue::UNDEFINED),
    }
}

fn create_tables(request: &IdbOpenDbRequest) -> Result<(), JsValue> {
    let db: IdbDatabase = request.result()?.unchecked_into();
    for table in Table::ALL {
        db.create_object_store(table.name())?;
    }
    Ok(())
}

/// Waits for `complete`; where not every request could be issued, takes all of them back. `eager`: no answer has to
/// be heard before it commits.
async fn finish(
    transaction: &IdbTransaction,
    issued: Result<(), JsValue>,
    eager: bool,
) -> Result<(), StoreError> {
    let ended = heard(TRANSACTION_MS, &|done, failed| {
        transaction.set_oncomplete(Some(done));
        transaction.set_onabort(Some(failed));
    });
    match &issued {
        // Saves waiting for the answer of each request; an old browser that lacks it commits by itself.
        Ok(()) if eager => drop(transaction.unchecked_ref::<EagerTransaction>().commit()),
        Ok(()) => {}
        Err(_) => drop(transaction.abort()),
    }
    let ended = ended.await;
    if let Err(StoreError::Silent) = ended {
        // Whether it still takes place is unknown; the same rows are written again by the next one.
        let _ = transaction.abort();
    }
    issued.map_err(|error| exception(&error)).and(ended)
}

/// Waits until one of two JavaScript handlers is called, or `patience_ms` are over.
fn heard(
    patience_ms: i32,
    attach: &dyn Fn(&Function, &Function),
) -> impl Future<Output = Result<(), StoreError>> + use<> {
    let window = web_sys::window();
    let mut timer = None;
    let promise = Promise::new(&mut |done, failed| {
        attach(&done, &failed);
        timer = window.as_ref().and_then(|window| {
            window.set_timeout_with_callback_and_timeout_and_arguments_0(&failed, patience_ms).ok()
        });
    });
    async move {
        let outcome = JsFuture::from(promise).await;
        if let (Some(window), Some(timer)) = (window, timer) {
            window.clear_timeout_with_handle(timer);
        }
        outcome.map(drop).map_err(|event| failure(&event))
    }
}

/// What an event says; a timer calls without one.
fn failure(event: &JsValue) -> StoreError {
    let Some(event) = event.dyn_ref::<Event>() else { return StoreError::Silent };
    if event.type_() == "blocked" {
        return StoreError::Blocked;
    }
    let error = event.target().and_then(|target| Reflect::get(&target, &"error".into()).ok());
    exception(&error.unwrap_or_default())
}

/// What an exception says.
pub fn exception(error: &JsValue) -> StoreError {
    let field = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|text| text.as_string());
    match (field("name").as_deref(), field("message")) {
        (Some("QuotaExceededError"), _) => StoreError::Full,
        (Some("VersionError"), _) => StoreError::Newer,
        (Some(name), Some(message)) => StoreError::Failed(format!("{name}: {message}").into()),
        _ => StoreError::Failed("the transaction was aborted".into()),
    }
}
