//! The browser's store in a real browser: Chromium's own IndexedDB, Web Locks and BroadcastChannel.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::cell::RefCell;
use std::rc::Rc;

use hitl_labeler::domain::correction::Correction;
use hitl_labeler::domain::ident::{Chance, RecordId, Timestamp};
use hitl_labeler::domain::outbox::Batch;
use hitl_labeler::page::store::{Durability, Lead, OtherTab, Store, StoreError, open, open_in};
use hitl_labeler::wire::correction::{from_record, to_record};
use hitl_labeler::wire::record::Record;
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::*;

wasm_bindgen_test_configure!(run_in_browser);

// ---------------------------------------------------------------------------------------- a visit

const NOW: Timestamp = Timestamp(1_790_000_000_000);

thread_local! {
    static CHANCE: RefCell<Chance> = RefCell::new(Chance::new([
        js_sys::Math::random().to_bits(),
        js_sys::Math::random().to_bits(),
    ]));
}

fn chance<T>(draw: impl FnOnce(&mut Chance) -> T) -> T {
    CHANCE.with_borrow_mut(draw)
}

/// A project that no other test and no earlier run has used, in a browser as it should be.
fn project(name: &str) -> String {
    // A test that panics drops nothing.
    js("if (globalThis.realTransaction) IDBDatabase.prototype.transaction = realTransaction;
        if (globalThis.realTimeout) window.setTimeout = realTimeout;
        if (globalThis.realNow) Date.now = realNow;
        if (globalThis.realRequest) LockManager.prototype.request = realRequest;
        delete navigator.locks");
    format!("{name} {:x}", chance(Chance::bits))
}

fn answers(count: usize) -> Vec<Correction> {
    let golden = Record::parse(include_str!("fixtures/record.v1.correction.json")).unwrap();
    let golden = from_record(&golden);
    (0..count)
        .map(|i| Correction {
            id: chance(|chance| chance.record_id(NOW)),
            item_id: format!("item {i} <b>\u{2028}ä").into(),
            ..golden.clone()
        })
        .collect()
}

fn ids(records: &[Correction]) -> Vec<RecordId> {
    records.iter().map(|record| record.id).collect()
}

fn batch(records: &[RecordId], attempts: u32) -> Batch {
    let id = chance(|chance| chance.batch_id(NOW));
    Batch { id, records: records.to_vec(), attempts, not_before: NOW.plus(i64::from(attempts)) }
}

async fn durable(project: &str) -> Store {
    let (store, why) = open(project, Durability::Strict).await;
    assert_eq!(why, None);
    store
}

async fn sleep(ms: i32) {
    let timer = |done: Function, _| {
        let window = web_sys::window().unwrap();
        window.set_timeout_with_callback_and_timeout_and_arguments_0(&done, ms).unwrap();
    };
    JsFuture::from(Promise::new(&mut { timer })).await.unwrap();
}

fn now_ms() -> f64 {
    web_sys::window().unwrap().performance().unwrap().now()
}

async fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(2, what, holds).await;
}

async fn within(seconds: u32, what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..seconds * 100 {
        if holds() {
            return;
        }
        sleep(10).await;
    }
    panic!("{what} did not happen within {seconds} seconds");
}

fn js(body: &str) -> JsValue {
    Function::new_no_args(body).call0(&JsValue::NULL).unwrap()
}

/// Every transaction goes through `meddle(transaction, mode)` while this lives.
struct Meddling;

impl Meddling {
    fn with(meddle: &str) -> Self {
        js(&format!(
            "const real = globalThis.realTransaction ??= IDBDatabase.prototype.transaction;
             globalThis.seen = [];
             // As when the disk is full: the requests are issued, the end is an abort.
             const failing = (transaction) => {{
                 transaction.commit = () => {{}};
                 queueMicrotask(() => transaction.abort());
             }};
             const meddle = {meddle};
             IDBDatabase.prototype.transaction = function (stores, mode, options) {{
                 const transaction = real.call(this, stores, mode, options);
                 meddle(transaction, mode);
                 return transaction;
             }}"
        ));
        Self
    }

    fn aborting_writes() -> Self {
        Self::with("(transaction, mode) => { if (mode === 'readwrite') failing(transaction) }")
    }

    fn seen(&self) -> Vec<String> {
        js("return globalThis.seen")
            .unchecked_into::<Array>()
            .iter()
            .map(|s| s.as_string().unwrap())
            .collect()
    }
}

impl Drop for Meddling {
    fn drop(&mut self) {
        js("IDBDatabase.prototype.transaction = globalThis.realTransaction");
    }
}

/// Patience runs out fifty times as fast while this lives.
struct Haste;

impl Haste {
    fn now() -> Self {
        js("const real = globalThis.realTimeout ??= window.setTimeout;
            window.setTimeout = (call, ms) => real.call(window, call, ms / 50)");
        Self
    }
}

impl Drop for Haste {
    fn drop(&mut self) {
        js("window.setTimeout = globalThis.realTimeout");
    }
}

// ------------------------------------------------------------------------------------ what is kept

#[wasm_bindgen_test]
async fn answers_are_there_after_a_reload_oldest_first_and_unchanged() {
    let project = project("reload");
    let answers = answers(450); // more than two pages of reading
    let store = durable(&project).await;
    // Committed out of order: the id decides, not the moment of writing.
    assert_eq!(store.commit(&answers[200..]).await, Ok(true));
    assert_eq!(store.commit(&answers[..200]).await, Ok(true));
    drop(store);

    let (records, kept) = durable(&project).await.load().await.unwrap();
    assert_eq!(records, answers);
    assert_eq!(kept.waiting, ids(&answers));
    assert_eq!((kept.batches.len(), kept.refused.len(), kept.sent), (0, 0, 0));
}

#[wasm_bindgen_test]
async fn an_answer_counts_as_saved_only_when_its_strict_transaction_is_complete() {
    let project = project("strict");
    let store = durable(&project).await;
    // The transaction stays open for 300 ms after its puts have succeeded.
    let meddling = Meddling::with(
        "(transaction, mode) => {
            transaction.commit = () => {};
            transaction.addEventListener('complete', () => seen.push(mode + ' ' + transaction.durability));
            const until = performance.now() + 300, settings = transaction.objectStore('settings');
            (function again() {
                if (performance.now() < until) settings.get('x').onsuccess = again;
            })();
        }",
    );
    let began = now_ms();
    assert_eq!(store.commit(&answers(1)).await, Ok(true));
    assert!(now_ms() - began >= 299.0, "said to be saved after {} ms", now_ms() - began);
    assert_eq!(meddling.seen(), ["readwrite strict"]);
}

#[wasm_bindgen_test]
async fn frozen_batches_come_back_as_they_were() {
    let project = project("frozen");
    let answers = answers(9);
    let ids = ids(&answers);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let (later, earlier) = (batch(&[ids[5], ids[4]], 3), batch(&ids[..3], 7));
    assert_eq!(store.freeze(&later).await, Ok(true));
    assert_eq!(store.freeze(&earlier).await, Ok(true));
    // A failed attempt freezes it again.
    let again = Batch { attempts: 8, not_before: NOW.plus(60_000), ..earlier.clone() };
    assert_eq!(store.freeze(&again).await, Ok(true));
    drop(store);

    let kept = durable(&project).await.kept().await.unwrap();
    assert_eq!(kept.batches, [again, later]);
    assert_eq!(kept.waiting, ids);
}

#[wasm_bindgen_test]
async fn a_settled_batch_moves_its_records_on_and_leaves_the_batches_that_take_its_place() {
    let project = project("settle");
    let answers = answers(6);
    let ids = ids(&answers);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let whole = batch(&ids[..5], 1);
    store.freeze(&whole).await.unwrap();
    let halves = [batch(&ids[2..4], 0), batch(&ids[4..5], 0)];
    let why = "no such label: <script>\nsecond line";
    let done = store.settle(whole.id, &ids[..1], &[(ids[1], why.into())], &halves).await;
    assert_eq!(done, Ok(true));
    drop(store);

    let store = durable(&project).await;
    let kept = store.kept().await.unwrap();
    assert_eq!(kept.sent, 1);
    assert_eq!(kept.refused, [(ids[1], why.into())]);
    assert_eq!(kept.batches, halves);
    assert_eq!(kept.waiting, ids[2..]);

    // The person has the refused one sent again: in a batch it is on its way, whatever was said before.
    let again = batch(&ids[1..2], 0);
    store.freeze(&again).await.unwrap();
    let kept = durable(&project).await.kept().await.unwrap();
    assert!(kept.refused.is_empty() && kept.waiting == ids[1..], "{kept:?}");
    // Refused once more, this time without a reason.
    store.settle(again.id, &[], &[(ids[1], "".into())], &[]).await.unwrap();
    assert_eq!(durable(&project).await.kept().await.unwrap().refused, [(ids[1], "".into())]);

    for half in &halves {
        store.settle(half.id, &half.records, &[], &[]).await.unwrap();
    }
    let (records, kept) = durable(&project).await.load().await.unwrap();
    assert_eq!((records.len(), kept.sent, kept.waiting), (6, 4, vec![ids[5]]));
    assert!(kept.batches.is_empty());
}

#[wasm_bindgen_test]
async fn a_refused_record_that_is_given_up_is_neither_sent_nor_counted_as_sent_and_stays() {
    let project = project("discard");
    let answers = answers(3);
    let ids = ids(&answers);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let whole = batch(&ids, 1);
    store.freeze(&whole).await.unwrap();
    let refused = [(ids[1], "no such label".into()), (ids[2], "no such item".into())];
    store.settle(whole.id, &ids[..1], &refused, &[]).await.unwrap();
    assert_eq!(store.discard(&ids[1..2]).await, Ok(true));
    let (records, kept) = durable(&project).await.load().await.unwrap();
    assert_eq!((records.len(), kept.sent), (3, 1));
    assert_eq!((kept.waiting, kept.refused), (vec![], refused[1..].to_vec()));
}

#[wasm_bindgen_test]
async fn a_batch_that_keeps_its_key_stays_when_it_is_settled_into_itself() {
    let project = project("same key");
    let answers = answers(2);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let before = batch(&ids(&answers), 1);
    store.freeze(&before).await.unwrap();
    let after = Batch { not_before: NOW.plus(500), ..before.clone() };
    store.settle(before.id, &[], &[], std::slice::from_ref(&after)).await.unwrap();
    assert_eq!(durable(&project).await.kept().await.unwrap().batches, [after]);
}

#[wasm_bindgen_test]
async fn a_retry_sends_the_same_bytes_in_the_order_asked_for() {
    let project = project("bodies");
    let answers = answers(3);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let asked = [answers[2].id, answers[0].id];
    let expected = [to_record(&answers[2]).to_string(), to_record(&answers[0]).to_string()];
    assert_eq!(store.bodies(&asked).await.unwrap(), expected);
    assert_eq!(durable(&project).await.bodies(&asked).await.unwrap(), expected);
    assert_eq!(store.bodies(&[]).await.unwrap(), Vec::<String>::new());
    let nobody = self::answers(1)[0].id;
    assert_eq!(store.bodies(&[answers[0].id, nobody]).await, Err(StoreError::Gone(nobody)));
}

#[wasm_bindgen_test]
async fn settings_survive_and_projects_do_not_mix() {
    let (one, other) = (project("keys"), project("keys"));
    let store = durable(&one).await;
    assert_eq!(store.setting("keys").await, None);
    store.set_setting("keys", "{\"undo\":\"z\"}").await.unwrap();
    store.set_setting("keys", "{\"undo\":\"u\"}").await.unwrap();
    assert_eq!(durable(&one).await.setting("keys").await.as_deref(), Some("{\"undo\":\"u\"}"));
    assert_eq!(durable(&other).await.setting("keys").await, None);
}

#[wasm_bindgen_test]
async fn a_record_of_another_version_is_still_delivered() {
    let project = project("version");
    let store = durable(&project).await;
    let answers = answers(2);
    store.commit(&answers).await.unwrap();
    let rewrite = format!(
        "return new Promise((done) => {{
            indexedDB.open('hitl-labeler:{project}').onsuccess = ({{ target: {{ result: db }} }}) => {{
                const change = db.transaction('records', 'readwrite');
                change.objectStore('records').put('{{\"schema\":\"hitl-labeler/record/9\"}}', '{}');
                change.oncomplete = () => {{ db.close(); done() }};
            }};
        }})",
        answers[0].id
    );
    JsFuture::from(js(&rewrite).unchecked_into::<Promise>()).await.unwrap();
    let (records, kept) = store.load().await.unwrap();
    assert_eq!(records, answers[1..]);
    assert_eq!(kept.waiting, ids(&answers));
    assert_eq!(store.bodies(&ids(&answers)[..1]).await.unwrap(), ["{\"schema\":\"hitl-labeler/record/9\"}"]);
}

// ------------------------------------------------------------------------------------------ trouble

#[wasm_bindgen_test]
async fn an_aborted_transaction_is_an_error_and_the_next_one_takes_its_records_along() {
    let project = project("abort");
    let answers = answers(3);
    let store = durable(&project).await;
    let meddling = Meddling::aborting_writes();
    let failed = store.commit(&answers[..2]).await.unwrap_err();
    assert!(matches!(failed, StoreError::Failed(_)), "{failed}");
    // They still count, in memory …
    let (records, kept) = store.load().await.unwrap();
    assert_eq!((records, kept.waiting), (answers[..2].to_vec(), ids(&answers[..2])));
    assert_eq!(store.bodies(&ids(&answers[..1])).await.unwrap(), [to_record(&answers[0]).to_string()]);
    // … and nowhere else.
    assert!(durable(&project).await.load().await.unwrap().0.is_empty());
    drop(meddling);

    assert_eq!(store.commit(&answers[2..]).await, Ok(true));
    let (records, kept) = durable(&project).await.load().await.unwrap();
    assert_eq!((records, kept.waiting), (answers.clone(), ids(&answers)));
    // Written once, held no longer.
    assert_eq!(store.load().await.unwrap().0, answers);
}

#[wasm_bindgen_test]
async fn a_settlement_happens_as_a_whole_or_not_at_all() {
    let project = project("atomic");
    let answers = answers(4);
    let ids = ids(&answers);
    let store = durable(&project).await;
    store.commit(&answers).await.unwrap();
    let whole = batch(&ids, 2);
    store.freeze(&whole).await.unwrap();
    let rest = [batch(&ids[2..], 0)];
    let meddling = Meddling::aborting_writes();
    let refused = [(ids[1], "why".into())];
    assert!(store.settle(whole.id, &ids[..1], &refused, &rest).await.is_err());
    // After a crash now, the old batch is sent once more under its old key.
    let kept = durable(&project).await.kept().await.unwrap();
    assert_eq!((kept.batches, kept.waiting, kept.sent), (vec![whole], ids.clone(), 0));
    // This tab knows better.
    let kept = store.kept().await.unwrap();
    assert_eq!((kept.batches, kept.refused, kept.sent), (rest.to_vec(), refused.to_vec(), 1));
    drop(meddling);
    // And says so with whatever it writes next.
    store.set_setting("any", "thing").await.unwrap();
    let kept = durable(&project).await.kept().await.unwrap();
    assert_eq!((kept.batches, kept.refused, kept.sent), (rest.to_vec(), refused.to_vec(), 1));
}

#[wasm_bindgen_test]
async fn answers_given_at_once_are_all_kept_though_one_transaction_fails() {
    let project = project("at once");
    let answers = answers(30);
    let store = durable(&project).await;
    let meddling = Meddling::with(
        "(transaction, mode) => {
            if (mode === 'readwrite' && seen.push(mode) % 3 === 0) failing(transaction)
        }",
    );
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    for answer in &answers {
        let (store, answer, outcomes) = (store.clone(), answer.clone(), outcomes.clone());
        spawn_local(async move {
            let outcome = store.commit(&[answer]).await.is_ok();
            outcomes.borrow_mut().push(outcome);
        });
    }
    eventually("thirty commits", || outcomes.borrow().len() == 30).await;
    assert!(outcomes.borrow().contains(&false));
    assert_eq!(store.load().await.unwrap().0, answers);
    drop(meddling);
    store.set_setting("any", "thing").await.unwrap();
    assert_eq!(durable(&project).await.load().await.unwrap().0, answers);
}

#[wasm_bindgen_test]
async fn without_indexeddb_everything_works_in_memory_and_says_why() {
    let (store, why) = open_in(Err(StoreError::Missing), &project("memory"), Durability::Strict).await;
    assert_eq!(why.as_deref(), Some("this browser offers no store to this page"));
    let answers = answers(4);
    let ids = ids(&answers);
    assert_eq!(store.commit(&answers).await, Ok(false));
    let whole = batch(&ids[..3], 1);
    assert_eq!(store.freeze(&whole).await, Ok(false));
    assert_eq!(store.kept().await.unwrap().batches, std::slice::from_ref(&whole));
    assert_eq!(store.settle(whole.id, &ids[..1], &[(ids[1], "why".into())], &[]).await, Ok(false));
    let (records, kept) = store.load().await.unwrap();
    assert_eq!(records, answers);
    assert_eq!((kept.waiting, kept.sent), (ids[2..].to_vec(), 1));
    assert_eq!(kept.refused, [(ids[1], "why".into())]);
    assert_eq!(store.bodies(&ids[3..]).await.unwrap(), [to_record(&answers[3]).to_string()]);
    assert_eq!(store.set_setting("a", "b").await, Ok(false));
    assert_eq!(store.setting("a").await.as_deref(), Some("b"));
    // Nobody else holds these records: this element sends them, whoever else leads.
    let (_one, _two): (Lead, Lead) = (store.lead().await, store.lead().await);
}

#[wasm_bindgen_test]
async fn what_an_element_could_not_store_the_next_one_of_its_project_takes_over() {
    let project = project("left");
    let in_memory = || async { open_in(Err(StoreError::Missing), &project, Durability::Strict).await.0 };
    let first = in_memory().await;
    let answers = answers(3);
    first.commit(&answers[..2]).await.unwrap();
    first.leave();
    // Another element of the project, gone as well; and what the server has is not left to be sent.
    let second = in_memory().await;
    assert_eq!(second.kept().await.unwrap().volatile, ids(&answers[..2]));
    let third = in_memory().await;
    third.commit(&answers[2..]).await.unwrap();
    second.settle(batch(&ids(&answers), 1).id, &ids(&answers[..1]), &[], &[]).await.unwrap();
    second.leave();
    third.leave();
    let (records, kept) = in_memory().await.load().await.unwrap();
    assert_eq!(records, answers);
    assert_eq!((kept.sent, kept.waiting, kept.volatile), (1, ids(&answers[1..]), ids(&answers[1..])));
}

#[wasm_bindgen_test]
async fn what_failed_to_be_stored_is_stored_by_the_next_element() {
    let project = project("left on disk");
    let first = durable(&project).await;
    let answers = answers(2);
    let failing = Meddling::aborting_writes();
    first.commit(&answers[..1]).await.unwrap_err();
    // This one still fails when its element has gone.
    let last = spawn_commit(&first, answers[1..].to_vec());
    first.leave();
    eventually("the last commit has failed", || last.borrow().is_some()).await;
    drop(failing);
    let second = durable(&project).await;
    let (records, kept) = second.load().await.unwrap();
    assert_eq!((records, kept.volatile), (answers.clone(), ids(&answers)));
    assert_eq!(second.retry().await, Ok(true));
    let (records, kept) = durable(&project).await.load().await.unwrap();
    assert_eq!((records, kept.waiting, kept.volatile), (answers.clone(), ids(&answers), vec![]));
}

fn spawn_commit(store: &Store, records: Vec<Correction>) -> Rc<RefCell<Option<Result<bool, StoreError>>>> {
    let outcome: Rc<RefCell<Option<_>>> = Rc::default();
    let (store, said) = (store.clone(), outcome.clone());
    spawn_local(async move {
        let committed = store.commit(&records).await;
        said.replace(Some(committed));
    });
    outcome
}

#[wasm_bindgen_test]
async fn a_browser_that_refuses_throws_or_never_answers_leaves_a_store_in_memory() {
    let refusing = [
        (
            "throw new DOMException('denied by the sandbox', 'SecurityError')",
            "SecurityError: denied by the sandbox",
        ),
        (
            "const request = { error: new DOMException('private', 'InvalidStateError') };
             setTimeout(() => {
                 const target = new EventTarget();
                 target.error = request.error;
                 target.addEventListener('error', (event) => request.onerror(event));
                 target.dispatchEvent(new Event('error'));
             });
             return request",
            "InvalidStateError: private",
        ),
        (
            "const request = {}; setTimeout(() => request.onblocked(new Event('blocked'))); return request",
            "another tab",
        ),
        ("return {}", "does not answer"),
    ];
    let _haste = Haste::now();
    for (open, reason) in refusing {
        let factory = js(&format!("return {{ open() {{ {open} }} }}")).unchecked_into();
        let (store, why) = open_in(Ok(factory), &project("refused"), Durability::Strict).await;
        assert!(why.as_deref().is_some_and(|why| why.contains(reason)), "{why:?}");
        assert_eq!(store.commit(&answers(1)).await, Ok(false));
    }
}

#[wasm_bindgen_test]
async fn a_transaction_that_does_not_end_is_given_up_and_repeated() {
    let project = project("endless");
    let answers = answers(2);
    let store = durable(&project).await;
    let (haste, meddling) = (
        Haste::now(),
        Meddling::with(
            "(transaction, mode) => {
                transaction.commit = () => {};
                const settings = transaction.objectStore('settings');
                (function again() { settings.get('x').onsuccess = again })();
            }",
        ),
    );
    assert_eq!(store.commit(&answers[..1]).await, Err(StoreError::Silent));
    drop((haste, meddling));
    assert_eq!(store.commit(&answers[1..]).await, Ok(true));
    assert_eq!(durable(&project).await.load().await.unwrap().0, answers);
}

#[wasm_bindgen_test]
async fn an_opening_that_was_given_up_does_no_harm_when_it_succeeds_after_all() {
    let project = project("late");
    drop(durable(&project).await);
    // Somebody deletes the database, which a connection holds up, which holds up everybody.
    js(&format!(
        "indexedDB.open('hitl-labeler:{project}').onsuccess = (event) => {{
            globalThis.holdUp = event.target.result;
            indexedDB.deleteDatabase('hitl-labeler:{project}').onsuccess = () => {{ globalThis.deleted = true }};
        }}"
    ));
    eventually("the hold-up", || js("return !!globalThis.holdUp").is_truthy()).await;
    let haste = Haste::now();
    let (given_up, why) = open(&project, Durability::Strict).await;
    drop(haste);
    assert_eq!(why.as_deref(), Some("the browser's store does not answer"));
    assert_eq!(given_up.commit(&answers(1)).await, Ok(false));
    js("globalThis.holdUp.close()");
    eventually("the deletion", || js("return !!globalThis.deleted").is_truthy()).await;
    // The late opening has made its tables and closed, so the next visit has a store that can be deleted.
    assert_eq!(durable(&project).await.commit(&answers(1)).await, Ok(true));
    let delete = format!(
        "return new Promise((done, failed) => {{
            const request = indexedDB.deleteDatabase('hitl-labeler:{project}');
            request.onsuccess = done; request.onblocked = failed;
        }})"
    );
    JsFuture::from(js(&delete).unchecked_into::<Promise>()).await.expect("not blocked");
}

#[wasm_bindgen_test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let project = project("newer");
    let newer = format!(
        "return new Promise((done) => {{
            indexedDB.open('hitl-labeler:{project}', 7).onsuccess = (event) => {{ event.target.result.close(); done() }};
        }})"
    );
    JsFuture::from(js(&newer).unchecked_into::<Promise>()).await.unwrap();
    let (_, why) = open(&project, Durability::Strict).await;
    assert!(why.as_deref().is_some_and(|why| why.contains("newer version")), "{why:?}");
}

#[wasm_bindgen_test]
async fn deleting_the_site_data_is_not_held_up_and_labeling_goes_on() {
    let project = project("deleted");
    let answers = answers(2);
    let store = durable(&project).await;
    store.commit(&answers[..1]).await.unwrap();
    let delete = format!(
        "return new Promise((done, failed) => {{
            const request = indexedDB.deleteDatabase('hitl-labeler:{project}');
            request.onsuccess = done; request.onblocked = failed;
        }})"
    );
    JsFuture::from(js(&delete).unchecked_into::<Promise>()).await.expect("not blocked");
    assert_eq!(store.commit(&answers[1..]).await, Ok(true));
    assert_eq!(durable(&project).await.load().await.unwrap().0, answers[1..]);
}

#[wasm_bindgen_test]
async fn the_browser_is_asked_once_to_keep_the_data() {
    js("globalThis.asked = 0; navigator.storage.persist = async () => { asked += 1; return false }");
    let store = durable(&project("persist")).await;
    assert_eq!(js("return asked"), 0, "not before there is something to keep");
    store.commit(&answers(1)).await.unwrap();
    store.clone().commit(&answers(1)).await.unwrap();
    assert_eq!(js("return asked"), 1);
    js("delete navigator.storage.persist");
}

// ---------------------------------------------------------------------------------------- other tabs

fn heard_by(store: &Store) -> Rc<RefCell<Vec<OtherTab>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    store.listen({
        let heard = heard.clone();
        move |news| heard.borrow_mut().push(news)
    });
    heard
}

#[wasm_bindgen_test]
async fn elements_of_one_project_hear_of_each_other_and_of_nobody_else() {
    let (ours, theirs) = (project("channel"), project("channel"));
    let (one, two, stranger) = (durable(&ours).await, durable(&ours).await, durable(&theirs).await);
    let (at_one, at_two, at_stranger) = (heard_by(&one), heard_by(&two), heard_by(&stranger));
    let answers = answers(2);
    one.commit(&answers).await.unwrap();
    eventually("the news of two answers", || at_two.borrow().len() == 1).await;
    let whole = batch(&ids(&answers), 1);
    two.freeze(&whole).await.unwrap();
    two.settle(whole.id, &ids(&answers), &[], &[]).await.unwrap();
    eventually("the news of the delivery", || at_one.borrow().len() == 1).await;
    sleep(50).await;
    assert_eq!(*at_two.borrow(), [OtherTab::Committed(answers.clone())]);
    assert_eq!(*at_one.borrow(), [OtherTab::Sent(ids(&answers))]);
    assert!(at_stranger.borrow().is_empty());
}

#[wasm_bindgen_test]
async fn what_is_not_on_disk_is_told_to_nobody_until_it_is() {
    let project = project("untold");
    let (one, two) = (durable(&project).await, durable(&project).await);
    let at_two = heard_by(&two);
    let answers = answers(2);
    let meddling = Meddling::aborting_writes();
    one.commit(&answers[..1]).await.unwrap_err();
    drop(meddling);
    sleep(50).await;
    assert!(at_two.borrow().is_empty(), "whoever leads could not send it");
    one.commit(&answers[1..]).await.unwrap();
    eventually("the news", || at_two.borrow().len() == 1).await;
    assert_eq!(*at_two.borrow(), [OtherTab::Committed(answers)]);
}

#[wasm_bindgen_test]
async fn what_a_killed_page_told_nobody_the_next_one_tells() {
    let project = project("killed");
    let answers = answers(3);
    let one = durable(&project).await;
    one.commit(&answers).await.unwrap();
    let whole = batch(&ids(&answers[..1]), 1);
    one.freeze(&whole).await.unwrap();
    one.settle(whole.id, &whole.records, &[], &[]).await.unwrap();
    // Whoever leads was deaf when the answers came.
    let at_one = heard_by(&one);
    durable(&project).await.load().await.unwrap();
    eventually("what waits", || at_one.borrow().len() == 1).await;
    assert_eq!(*at_one.borrow(), [OtherTab::Committed(answers[1..].to_vec())]);
}

#[wasm_bindgen_test]
async fn a_dropped_store_listens_no_more() {
    let project = project("dropped");
    let (one, two) = (durable(&project).await, durable(&project).await);
    let at_two = heard_by(&two);
    assert_eq!(Rc::strong_count(&at_two), 2);
    drop(two);
    assert_eq!(Rc::strong_count(&at_two), 1, "the listener is given back");
    one.commit(&answers(1)).await.unwrap();
    sleep(50).await;
    assert!(at_two.borrow().is_empty());
}

#[wasm_bindgen_test]
async fn one_element_sends_and_the_next_takes_over() {
    let project = project("lead");
    let (one, two) = (durable(&project).await, durable(&project).await);
    let first = one.lead().await;
    let second = will_lead(&two);
    sleep(200).await;
    assert!(second.borrow().is_none(), "two senders at once");
    // Another project is not held up.
    let _elsewhere = durable(&self::project("lead")).await.lead().await;
    drop(first);
    eventually("the second element's turn", || second.borrow().is_some()).await;
}

#[wasm_bindgen_test]
async fn an_element_that_is_removed_while_it_waits_never_gets_the_lead() {
    let project = project("waiting");
    let store = durable(&project).await;
    let first = store.lead().await;
    {
        let mut waiting = Box::pin(store.lead());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    drop(first);
    let third = will_lead(&store);
    eventually("the lead of who still waits", || third.borrow().is_some()).await;
}

/// A browser without Web Locks while this lives.
struct NoLocks;

impl NoLocks {
    fn now() -> Self {
        js("Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })");
        Self
    }
}

impl Drop for NoLocks {
    fn drop(&mut self) {
        js("delete navigator.locks");
    }
}

fn will_lead(store: &Store) -> Rc<RefCell<Option<Lead>>> {
    let lead: Rc<RefCell<Option<Lead>>> = Rc::default();
    spawn_local({
        let (store, lead) = (store.clone(), lead.clone());
        async move {
            let got = store.lead().await;
            lead.replace(Some(got));
        }
    });
    lead
}

#[wasm_bindgen_test]
async fn without_locks_a_lease_in_the_store_says_who_sends() {
    let project = project("lease");
    let _no_locks = NoLocks::now();
    let (one, two) = (durable(&project).await, durable(&project).await);
    let first = one.lead().await;
    let second = will_lead(&two);
    sleep(500).await;
    assert!(second.borrow().is_none(), "two senders at once");
    drop(first);
    within(4, "taking a lease that was given up", || second.borrow().is_some()).await;
}

#[wasm_bindgen_test]
async fn a_sender_that_slept_over_its_lease_is_fenced_and_its_records_are_kept() {
    let project = project("fenced");
    let _no_locks = NoLocks::now();
    let (one, two) = (durable(&project).await, durable(&project).await);
    let first = one.lead().await;
    let answers = answers(3);
    let frozen = batch(&ids(&answers[..2]), 1);
    one.commit(&answers[..2]).await.unwrap();
    one.freeze(&frozen).await.unwrap();
    // Sleeps: its timers stand still, the clock goes on.
    js("globalThis.realNow = Date.now; Date.now = () => realNow() + 60_000");
    let _second = two.lead().await;
    two.settle(frozen.id, &frozen.records[..1], &[], &[]).await.unwrap();
    let late = (frozen.records[1], "too late".into());
    one.settle(frozen.id, &[], &[late], std::slice::from_ref(&frozen)).await.unwrap();
    let kept = two.kept().await.unwrap();
    assert_eq!(
        (kept.batches.len(), kept.refused.len()),
        (0, 0),
        "what the earlier sender said does not count"
    );
    assert_eq!(kept.waiting, ids(&answers[1..2]));
    // What the person did goes on being stored, whoever sends.
    assert_eq!(one.commit(&answers[2..]).await, Ok(true));
    assert_eq!(two.load().await.unwrap().0, answers);
    let lost = first.lost().expect("a lease can be lost");
    JsFuture::from(lost).await.unwrap();
    js("Date.now = realNow");
}

#[wasm_bindgen_test]
async fn a_sender_that_slept_while_another_took_over_and_gave_back_knows_that_it_is_out_of_date() {
    let project = project("given back");
    let _no_locks = NoLocks::now();
    let (one, two) = (durable(&project).await, durable(&project).await);
    let first = one.lead().await;
    js("globalThis.realNow = Date.now; Date.now = () => realNow() + 60_000");
    let second = two.lead().await;
    drop(second);
    let lost = first.lost().expect("a lease can be lost");
    JsFuture::from(lost).await.unwrap();
    js("Date.now = realNow");
}

#[wasm_bindgen_test]
async fn where_locks_are_refused_a_lease_takes_their_place() {
    let project = project("opaque");
    let (one, two) = (durable(&project).await, durable(&project).await);
    js("globalThis.realRequest = LockManager.prototype.request;
        LockManager.prototype.request = async () => { throw new DOMException('opaque', 'SecurityError') }");
    let first = one.lead().await;
    let second = will_lead(&two);
    sleep(300).await;
    js("LockManager.prototype.request = globalThis.realRequest");
    assert!(first.lost().is_some() && second.borrow().is_none());
    two.leave();
}

#[wasm_bindgen_test]
async fn what_a_commit_promises_is_as_configured() {
    for (durability, word) in [(Durability::Strict, "strict"), (Durability::Relaxed, "relaxed")] {
        let (store, _) = open(&project(word), durability).await;
        let meddling = Meddling::with("(transaction) => seen.push(transaction.durability)");
        store.commit(&answers(1)).await.unwrap();
        assert_eq!(meddling.seen(), [word]);
    }
}

#[wasm_bindgen_test]
async fn a_witness_counts_what_only_the_store_has() {
    let project = project("witness");
    let store = durable(&project).await;
    let witness = store.witness().expect("there is localStorage");
    assert_eq!(witness.count(), 0);
    witness.set(7);
    assert_eq!(durable(&project).await.witness().map(|witness| witness.count()), Some(7));
    assert!(open_in(Err(StoreError::Missing), &project, Durability::Strict).await.0.witness().is_none());
}

#[wasm_bindgen_test]
async fn what_failed_is_written_by_a_retry_alone() {
    let project = project("retry");
    let store = durable(&project).await;
    let answers = answers(2);
    let meddling = Meddling::aborting_writes();
    assert!(store.commit(&answers).await.is_err());
    assert!(store.retry().await.is_err());
    drop(meddling);
    assert_eq!(store.retry().await, Ok(true));
    assert_eq!(durable(&project).await.load().await.unwrap().0, answers);
}

// ---------------------------------------------------------------------------------------- measuring

fn percentiles(mut times: Vec<f64>) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

/// `cargo test … --test store -- --ignored`: figures, no verdict.
#[wasm_bindgen_test]
#[ignore = "measures"]
async fn how_long_a_commit_and_the_start_take() {
    let project = project("measure");
    let store = durable(&project).await;
    let answers = answers(10_000);
    let mut times = Vec::new();
    for each in answers[..100].chunks(1) {
        let began = now_ms();
        assert_eq!(store.commit(each).await, Ok(true));
        times.push(now_ms() - began);
    }
    let (p50, p95) = percentiles(times);
    console_log!("{{\"metric\":\"store.commit.strict.p50\",\"value\":{p50:.2},\"unit\":\"ms\"}}");
    console_log!("{{\"metric\":\"store.commit.strict.p95\",\"value\":{p95:.2},\"unit\":\"ms\"}}");
    for each in answers[100..].chunks(100) {
        assert_eq!(store.commit(each).await, Ok(true));
    }
    let mut times = Vec::new();
    for each in answers[..1_000].chunks(50) {
        let whole = batch(&ids(each), 1);
        let began = now_ms();
        store.freeze(&whole).await.unwrap();
        store.bodies(&whole.records).await.unwrap();
        store.settle(whole.id, &whole.records, &[], &[]).await.unwrap();
        times.push(now_ms() - began);
    }
    let (p50, p95) = percentiles(times);
    console_log!("{{\"metric\":\"store.batch_of_50.p50\",\"value\":{p50:.2},\"unit\":\"ms\"}}");
    console_log!("{{\"metric\":\"store.batch_of_50.p95\",\"value\":{p95:.2},\"unit\":\"ms\"}}");
    drop(store);

    js("globalThis.longest = 0;
        new PerformanceObserver((list) => {
            for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
        }).observe({ type: 'longtask' })");
    let mut times = Vec::new();
    for _ in 0..20 {
        let began = now_ms();
        let (records, kept) = durable(&project).await.load().await.unwrap();
        times.push(now_ms() - began);
        assert_eq!((records.len(), kept.waiting.len(), kept.sent), (10_000, 9_000, 1_000));
    }
    sleep(100).await;
    let (p50, p95) = percentiles(times);
    let longest = js("return longest").as_f64().unwrap();
    console_log!("{{\"metric\":\"store.load_10000.p50\",\"value\":{p50:.1},\"unit\":\"ms\"}}");
    console_log!("{{\"metric\":\"store.load_10000.p95\",\"value\":{p95:.1},\"unit\":\"ms\"}}");
    console_log!("{{\"metric\":\"store.load_10000.longest_task\",\"value\":{longest:.1},\"unit\":\"ms\"}}");
}

#[wasm_bindgen_test]
async fn an_element_that_has_left_waits_for_the_lead_no_longer() {
    let project = project("left");
    let (one, two) = (durable(&project).await, durable(&project).await);
    let _first = one.lead().await;
    let second = will_lead(&two);
    sleep(50).await;
    assert!(second.borrow().is_none(), "two senders at once");
    two.leave();
    eventually("the end of the waiting", || second.borrow().is_some()).await;
}

#[wasm_bindgen_test]
async fn who_gives_a_lease_up_waits_for_its_loss_no_longer() {
    let project = project("given up");
    let _no_locks = NoLocks::now();
    let lead = durable(&project).await.lead().await;
    let lost = lead.lost().expect("a lease can be lost");
    let ended: Rc<RefCell<bool>> = Rc::default();
    spawn_local({
        let ended = ended.clone();
        async move {
            JsFuture::from(lost).await.unwrap();
            ended.replace(true);
        }
    });
    sleep(50).await;
    assert!(!*ended.borrow());
    drop(lead);
    eventually("the end of the waiting", || *ended.borrow()).await;
}

#[wasm_bindgen_test]
async fn what_the_person_gave_up_stays_given_up_where_another_tab_sends_by_now() {
    let project = project("given up by the person");
    let _no_locks = NoLocks::now();
    let (one, two) = (durable(&project).await, durable(&project).await);
    let first = one.lead().await;
    let answers = answers(1);
    let frozen = batch(&ids(&answers), 1);
    one.commit(&answers).await.unwrap();
    one.freeze(&frozen).await.unwrap();
    one.settle(frozen.id, &[], &[(frozen.records[0], "no such label".into())], &[]).await.unwrap();
    js("globalThis.realNow = Date.now; Date.now = () => realNow() + 60_000");
    let _second = two.lead().await;
    one.discard(&frozen.records).await.unwrap();
    let kept = two.kept().await.unwrap();
    assert_eq!((kept.refused.len(), kept.discarded), (0, frozen.records));
    js("Date.now = realNow");
    drop(first);
}
