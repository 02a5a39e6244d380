//! From an answer to the server: the store, who sends, the page's token, what is shown of all that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use gloo::timers::callback::Timeout;
use js_sys::{Function, Object, Promise, Reflect};
use leptos::prelude::*;
use serde_json::json;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::backend::{self, Urgency};
use super::desk::{Opening, Trouble};
use super::driver::{Driver, set};
use super::store::{self, OtherTab, StoreError};
use super::time::{now, sleep};
use super::{events, probe};
use crate::domain::correction::Correction;
use crate::domain::credential::{Credential, Standing, Token};
use crate::domain::ident::{BatchId, RecordId, Timestamp};
use crate::domain::outbox::{Batch, Errand, Hold, Reply, Verdict};
use crate::domain::session::{DeliveryView, Kept, Notice};
use crate::wire::config::Config;
use crate::wire::correction::to_record;
use crate::wire::delivery;

/// A store that has not answered after this is said not to: the person must hear of it within two seconds.
const SLOW_MS: u32 = 1_500;
/// How often what could not be stored is tried again.
const AGAIN_MS: u32 = 5_000;
/// How soon a store that could not be read is read again by who leads.
const READ_AGAIN_MS: i64 = 1_000;
/// How often the test of the connection looks for the token that it waits for, milliseconds.
const TOKEN_LOOK_MS: i64 = 200;
/// Times that a record is looked for in vain before it is taken for lost.
const GONE_AFTER: u32 = 3;
/// Records that have waited for longer than this are worth a word.
const OLD_MS: i64 = 24 * 3_600_000;
/// How long the page's `authorize` is waited for before the person is told, milliseconds: a log-in by hand may take so long.
const TOKEN_MS: u32 = 60_000;
/// How long [`Driver::finish`] waits for a server that is expected to come back.
const FINISH_MS: u32 = 60_000;

/// What delivery needs beside the session.
#[derive(Default)]
pub struct Courier {
    lead: RefCell<Option<store::Lead>>,
    credential: RefCell<Credential>,
    /// Wakes the asking for a token that is not to be asked for at once, or ends the waiting for one.
    ask: RefCell<Option<Timeout>>,
    /// How often the page was asked.
    asked: Cell<u32>,
    /// Records of transactions that failed.
    unstored: RefCell<Vec<RecordId>>,
    again: RefCell<Option<Timeout>>,
    /// The page is hidden, and may be gone at any moment.
    hidden: Cell<bool>,
    /// What other tabs said while the store is being read.
    early: RefCell<Option<Vec<Notice>>>,
    /// The store has been read: what is counted is the truth.
    watching: Cell<bool>,
    /// A new log has been begun: once is enough, however often the element starts anew.
    log_begun: Cell<bool>,
    /// The batch whose records were not all to be had, and how often in a row.
    missed: Cell<Option<(BatchId, u32)>>,
    counted: Cell<Option<usize>>,
    /// What earlier visits left in the store is not known, as it could not be read.
    unread: Cell<bool>,
    /// Who waits for everything to be stored and delivered: what resolves and what rejects.
    flushing: RefCell<Vec<(Function, Function)>>,
    finishing: RefCell<Option<Finishing>>,
}

/// Who waits for the end.
struct Finishing {
    resolve: Function,
    reject: Function,
    _limit: Timeout,
}

impl Courier {
    /// Gives everything back, and forgets the token.
    pub fn stop(&self) {
        self.lead.take();
        self.credential.take();
        self.ask.take();
        self.again.take();
        self.unstored.take();
        self.early.take();
        self.watching.set(false);
        self.counted.set(None);
    }

    /// Whether the element that was here before has left records that no store holds.
    pub fn has_unstored(&self) -> bool {
        !self.unstored.borrow().is_empty()
    }

    /// From now on what the store holds is counted, to notice when it is gone.
    pub fn watch(&self) {
        self.watching.set(true);
    }

    /// What other tabs said since the store was read, oldest first: a record that one of them delivered meanwhile
    /// would otherwise seem to wait for ever.
    pub fn said_early(&self) -> Vec<Notice> {
        self.early.take().unwrap_or_default()
    }
}

// -------------------------------------------------------------------------------------- the store

impl Driver {
    pub(super) async fn open_store(self: &Rc<Self>, config: &Config) -> Option<Notice> {
        *self.courier.credential.borrow_mut() = Credential::new(config.delivery.needs_token);
        let project =
            config.project.as_deref().map_or_else(|| self.given.borrow().project.clone(), str::to_owned);
        let slow = self.warn_if_slow();
        let still = self.still();
        let (store, trouble) = store::open(&project, config.delivery.durability).await;
        let me = Rc::downgrade(self);
        self.courier.early.replace(Some(Vec::new()));
        store.listen(move |said| {
            let Some(driver) = me.upgrade() else { return };
            let notice = match said {
                OtherTab::Committed(records) => {
                    driver.meet_labels(&records);
                    Notice::Elsewhere(records)
                }
                OtherTab::Sent(records) => Notice::SentElsewhere(records),
                OtherTab::Refused(refused) => Notice::RefusedElsewhere(refused),
                OtherTab::Retried(records) => Notice::RetryRefused(records),
                OtherTab::Discarded(records) => Notice::DiscardedElsewhere(records),
            };
            if let Some(early) = &mut *driver.courier.early.borrow_mut() {
                return early.push(notice);
            }
            driver.notice(notice);
        });
        let me = self.me();
        store.when_closed(move || me.upgrade().iter().for_each(|driver| driver.store_now()));
        self.chosen_keys.replace(store.setting("keys").await);
        let loaded = store.load().await;
        drop(slow);
        if still().is_none() {
            // Stopped meanwhile: what it took over from an earlier element is the next one's.
            store.leave();
            return None;
        }
        let expected = store.witness().map_or(0, |witness| witness.count());
        self.courier.unstored.replace(store.unstored());
        *self.store.borrow_mut() = Some(store);
        let silent = trouble.as_deref() == Some(&*StoreError::Silent.to_string());
        self.courier.unread.set(silent || loaded.is_err());
        match loaded {
            Ok((records, kept)) => {
                self.no_store(trouble);
                if records.is_empty() && expected > 0 {
                    self.emptied(expected);
                }
                Some(Notice::Restored(records, kept))
            }
            Err(why) => {
                self.no_store(Some(why.to_string().into()));
                None
            }
        }
    }

    /// The browser threw away what only it had.
    fn emptied(&self, lost: usize) {
        let says = format!("the browser cleared its store: {lost} records that only it had are gone");
        self.trouble(|trouble| matches!(trouble, Trouble::Emptied(_)), Some(Trouble::Emptied(lost)));
        events::dispatch(&self.host, "hitl-error", &json!({ "code": "store", "message": says }));
    }

    /// Shows that nothing is stored, and why; or that everything is again.
    fn no_store(&self, why: Option<Arc<str>>) {
        let known = |trouble: &Trouble| matches!(trouble, Trouble::NoStore(_));
        let news = why.is_some() && !self.desk.troubles.with_untracked(|all| all.iter().any(known));
        self.trouble(known, why.clone().map(Trouble::NoStore));
        if let Some(why) = why.filter(|_| news) {
            events::dispatch(&self.host, "hitl-error", &json!({ "code": "store", "message": &*why }));
        }
    }

    fn warn_if_slow(&self) -> Timeout {
        let still = self.still();
        Timeout::new(SLOW_MS, move || {
            still().iter().for_each(|driver| driver.no_store(Some(StoreError::Silent.to_string().into())));
        })
    }

    pub(super) fn commit(&self, records: Vec<Correction>) {
        let Some((store, _)) = self.store() else { return };
        let (still, slow) = (self.still(), self.warn_if_slow());
        spawn_local(async move {
            let ids = records.iter().map(|record| record.id).collect();
            let kept = store.commit(&records).await;
            drop(slow);
            // A restart reads the store anew.
            if let Some(driver) = still() {
                driver.stored(ids, kept);
            }
        });
    }

    fn stored(&self, mut ids: Vec<RecordId>, kept: Result<bool, StoreError>) {
        let Some((store, _)) = self.store() else { return };
        let emptied = store.was_emptied();
        match kept {
            Ok(true) => {
                // What had failed when this transaction began went along; what failed since is still to be written.
                let failed = self.courier.unstored.take();
                let (left, written): (Vec<_>, Vec<_>) =
                    failed.into_iter().partition(|id| store.is_unconfirmed(*id));
                ids.extend(written);
                if left.is_empty() {
                    self.no_store(None);
                    self.courier.again.take();
                }
                self.courier.unstored.replace(left);
            }
            // Nothing to be tried again where there is no store.
            Ok(false) => drop(self.courier.again.take()),
            Err(ref why) => {
                self.no_store(Some(why.to_string().into()));
                self.courier.unstored.borrow_mut().extend(&ids);
                self.store_again();
            }
        }
        self.notice(Notice::Committed(ids, matches!(kept, Ok(true))));
        if emptied {
            // Cleared under our hands: what only it had is here in memory still, and is stored once more.
            let here = self.session.borrow().as_ref().map(|session| session.only_here().cloned().collect());
            self.commit(here.unwrap_or_default());
        }
    }

    /// The connection was closed by the browser or another tab: what became of the store shows at once, not with the
    /// next answer.
    pub(super) fn store_now(&self) {
        let still = self.still();
        spawn_local(async move {
            let Some((store, _)) = still().and_then(|driver| driver.store()) else { return };
            let kept = store.retry().await;
            if let Some(driver) = still() {
                driver.stored(Vec::new(), kept);
            }
        });
    }

    /// Tries again by itself: nobody should have to answer one more question for the last one to be kept.
    pub(super) fn store_again(&self) {
        let still = self.still();
        let again = Timeout::new(AGAIN_MS, move || still().iter().for_each(|driver| driver.store_now()));
        self.courier.again.replace(Some(again));
    }

    /// What follows from other counts: who waits for them is told, what they say is shown and remembered.
    pub(super) fn delivery_changed(&self) {
        let view = self.desk.delivery.get_untracked();
        if let Some((store, desk)) = self.store() {
            set(desk.persisted, store.persisted());
            let only_here = if view.to_server {
                view.waiting + view.refused
            } else {
                view.records.saturating_sub(view.unsaved)
            };
            let count = only_here.saturating_sub(view.volatile);
            if self.courier.watching.get() && self.courier.counted.replace(Some(count)) != Some(count) {
                store.witness().iter().for_each(|witness| witness.set(count));
            }
        }
        let old = view.oldest.is_some_and(|oldest| now().since(oldest) > OLD_MS);
        self.trouble(|trouble| *trouble == Trouble::Old, old.then_some(Trouble::Old));
        // What the store holds is not counted yet.
        if self.courier.early.borrow().is_some() {
            return;
        }
        // What could not be stored is tried again, and waited for.
        let settled = view.unsaved == 0 && view.waiting == 0;
        if settled && (view.to_server || view.volatile == 0 || self.courier.again.borrow().is_none()) {
            if !view.to_server && view.volatile > 0 {
                self.give_up_flush(&in_memory(view.volatile));
            }
            if view.refused > 0 {
                self.give_up_flush(&refused(view.refused));
            }
            for (resolve, _) in self.courier.flushing.take() {
                let _ = resolve.call0(&JsValue::NULL);
            }
        }
        self.finish_if_possible(&view);
    }
}

/// Why what is settled has not arrived.
fn refused(count: usize) -> String {
    format!("the server refused {count} records; try them again, or delete them")
}

/// Why what is settled is not safe.
fn in_memory(count: usize) -> String {
    format!("{count} records are in this page's memory only, as the browser stores nothing: download them")
}

// ---------------------------------------------------------------------------------------- sending

impl Driver {
    pub(super) fn take_lead(self: &Rc<Self>) {
        let Some((store, _)) = self.store() else { return };
        let (driver, generation) = (self.clone(), self.generation.get());
        spawn_local(async move {
            loop {
                let lead = store.lead().await;
                // Nothing is sent on a guess: what it knows of frozen batches and of refused records counts.
                let kept = loop {
                    let kept = store.kept().await;
                    if driver.generation.get() != generation {
                        return;
                    }
                    match kept {
                        Ok(kept) => break kept,
                        Err(_) => sleep(READ_AGAIN_MS).await,
                    }
                };
                driver.meet(&store, &kept).await;
                if driver.generation.get() != generation {
                    return;
                }
                if !driver.courier.log_begun.replace(true) {
                    let store = store.clone();
                    spawn_local(async move { store.begin_new_log().await });
                }
                let lost = lead.lost();
                *driver.courier.lead.borrow_mut() = Some(lead);
                driver.notice(Notice::Leading(kept));
                let Some(lost) = lost else { return };
                let _ = JsFuture::from(lost).await;
                if driver.generation.get() != generation {
                    return;
                }
                driver.notice(Notice::LeadLost);
                driver.courier.lead.take();
            }
        });
    }

    /// Reads what waits and was never told here, as the tab that stored it was closed before it could: which item a
    /// record belongs to decides what it may not overtake.
    async fn meet(&self, store: &store::Store, kept: &Kept) {
        let waiting = kept.waiting.iter().chain(kept.batches.iter().flat_map(|batch| &batch.records));
        let unheard: Vec<_> = {
            let slot = self.session.borrow();
            let is_known =
                |id: &&RecordId| slot.as_ref().is_some_and(|session| session.record(**id).is_some());
            waiting.filter(|id| !is_known(id)).copied().collect()
        };
        let records = store.records(&unheard).await;
        if !records.is_empty() {
            self.meet_labels(&records);
            self.notice(Notice::Elsewhere(records));
        }
    }

    pub(super) fn deliver(&self, errand: Errand) {
        let Some((store, desk)) = self.store() else { return };
        if let Errand::Send(batch) = errand {
            return self.send(batch);
        }
        spawn_local(async move {
            match errand {
                // A batch that no store holds is sent all the same: after a crash its records go again, each
                // under its own id.
                Errand::Freeze(batch) => {
                    let _ = store.freeze(&batch).await;
                    desk.notice(Notice::Frozen(batch.id));
                }
                Errand::Settle { batch, sent, refused, remaining } => {
                    let _ = store.settle(batch, &sent, &refused, &remaining).await;
                    for batch in remaining {
                        desk.notice(Notice::Frozen(batch.id));
                    }
                }
                Errand::Discard(records) => drop(store.discard(&records).await),
                Errand::Send(_) => {}
            }
        });
    }

    fn send(&self, batch: Batch) {
        let Some((store, _)) = self.store() else { return };
        let token = self.courier.credential.borrow().token().map(Option::<&Token>::cloned);
        let still = self.still();
        let Ok(token) = token else {
            // Not from within the session's own work: the page's function may look at the element.
            spawn_local(async move { still().iter().for_each(|driver| driver.ask_for_token()) });
            let why = "the page gives no token".into();
            return self.notice(Notice::Replied(batch.id, Reply::Unauthorized(why)));
        };
        let hidden = self.courier.hidden.get();
        let urgency = match (hidden, batch.attempts) {
            (true, _) => Urgency::Last,
            (false, 0..=1) => Urgency::First,
            _ => Urgency::Again,
        };
        let config = self.config.borrow().clone();
        spawn_local(async move {
            let Some(driver) = still() else { return };
            // A page that is about to go has no time to read its store.
            let own = if hidden { driver.lines(&batch.records) } else { None };
            let lines = match own {
                Some(lines) => Ok(lines),
                None => store.bodies(&batch.records).await,
            };
            // Cleared under our hands, or not readable at this moment: what the session knows is the same.
            let lines = match lines {
                Ok(lines) => Ok(lines),
                Err(why) => driver.lines_one_by_one(&store, &batch.records, why).await,
            };
            let missed =
                driver.courier.missed.get().filter(|(of, _)| *of == batch.id).map_or(1, |(_, n)| n + 1);
            // Another batch may have had its turn since.
            if lines.is_err() || missed > 1 {
                driver.courier.missed.set(lines.is_err().then_some((batch.id, missed)));
            }
            drop(driver);
            let (reply, status) = match lines {
                Ok(lines) => {
                    backend::send(&config.delivery, batch.id, &batch.records, &lines, token.as_ref(), urgency)
                        .await
                }
                // Another tab that has them puts them back within moments. Those that nobody has would be tried for ever.
                Err((_, gone)) if !gone.is_empty() && missed > GONE_AFTER => {
                    let why: Arc<str> = "the browser's store lost it before it was sent".into();
                    let verdict = |id| (id, Verdict::Refused(why.clone()));
                    (Reply::Verdicts(gone.into_iter().map(verdict).collect()), None)
                }
                Err((why, _)) => (Reply::TryLater { why: why.to_string().into(), after_ms: None }, None),
            };
            if let Some(driver) = still() {
                driver.heard_of_token(&reply, status, token.as_ref());
                driver.notice(Notice::Replied(batch.id, reply));
            }
        });
    }

    /// The records' lines, each from the store or the session, whichever has it. If some are not to be had: why the
    /// store does not give them, and those that are in neither.
    async fn lines_one_by_one(
        &self,
        store: &store::Store,
        records: &[RecordId],
        why: StoreError,
    ) -> Result<Vec<String>, (StoreError, Vec<RecordId>)> {
        if let Some(lines) = self.lines(records) {
            return Ok(lines);
        }
        let (mut lines, mut gone) = (Vec::new(), Vec::new());
        for id in records {
            let one = [*id];
            match store.bodies(&one).await {
                Ok(line) => lines.extend(line),
                Err(other) => match self.lines(&one) {
                    Some(line) => lines.extend(line),
                    None if matches!(other, StoreError::Gone(_)) => gone.push(*id),
                    None => return Err((other, Vec::new())),
                },
            }
        }
        if gone.is_empty() { Ok(lines) } else { Err((why, gone)) }
    }

    /// The records' JSON lines as the session has them, if it has all of them.
    fn lines(&self, records: &[RecordId]) -> Option<Vec<String>> {
        let slot = self.session.borrow();
        let session = slot.as_ref()?;
        records.iter().map(|id| session.record(*id).map(|record| to_record(record).to_string())).collect()
    }

    /// The page is hidden, perhaps for good: what waits out a failure is tried once more now. Its records stay in
    /// the store until an answer names them; if nobody is there to hear it, they go again on the next visit.
    pub fn hide(&self, hidden: bool) {
        self.courier.hidden.set(hidden);
        let waits = self.desk.delivery.with_untracked(|view| matches!(view.hold, Some(Hold::RetryAt { .. })));
        if hidden && waits {
            self.notice(Notice::ResumeDelivery);
        }
    }

    /// Calls `resolve` once everything is where it belongs: stored and, if there is a server, there. `reject` with an
    /// error in words if that will not be.
    pub fn when_delivered(&self, resolve: Function, reject: Function) {
        self.courier.flushing.borrow_mut().push((resolve, reject));
        self.notice(Notice::ResumeDelivery);
        self.give_up_if_broken();
    }

    /// Finds out what stands in the way of delivery.
    pub(super) fn test_connection(self: &Rc<Self>) {
        let desk = self.desk;
        desk.connection.set(Some(None));
        let (driver, generation) = (self.clone(), self.generation.get());
        spawn_local(async move {
            let config = driver.config.borrow().clone();
            let sample =
                driver.session.borrow().as_ref().and_then(|session| session.only_here().next().cloned());
            if config.delivery.needs_token {
                driver.token_for_test().await;
            }
            let token = driver.courier.credential.borrow().token().map(Option::<&Token>::cloned);
            let cause = probe::test(&config.delivery, sample.as_ref(), token).await;
            if driver.generation.get() == generation {
                desk.connection.set(Some(Some(cause)));
            }
        });
    }
}

// ---------------------------------------------------------------------------------------- the token

impl Driver {
    /// Asks the page for a token, if it is time to.
    fn ask_for_token(&self) {
        let Some(given) = self.ask_page() else {
            // While it is being asked, nothing else is to ring.
            let at = self.courier.credential.borrow().wake_at();
            if let Some(Timestamp(at)) = at {
                let wait = u32::try_from((at - now().0).clamp(0, 86_400_000)).unwrap_or(0);
                let still = self.still();
                let ask = move || still().iter().for_each(|driver| driver.ask_for_token());
                self.courier.ask.replace(Some(Timeout::new(wait, ask)));
            }
            return self.show_token();
        };
        spawn_local(self.token_from(given));
    }

    /// Calls the page's function, if it is time to.
    fn ask_page(&self) -> Option<Promise> {
        let occasion = self.courier.credential.borrow_mut().ask(now())?;
        let wish = Object::new();
        let _ = Reflect::set(&wish, &"reason".into(), &occasion.word().into());
        let _ = Reflect::set(&wish, &"status".into(), &occasion.status().into());
        self.courier.asked.set(self.courier.asked.get() + 1);
        let still = self.still();
        let too_long = move || still().iter().for_each(|driver| driver.no_token_for_long());
        self.courier.ask.replace(Some(Timeout::new(TOKEN_MS, too_long)));
        let asked = self.given.borrow().authorize.call1(&JsValue::NULL, &wish);
        Some(asked.map_or_else(|why| Promise::reject(&why), |given| Promise::resolve(&given)))
    }

    /// Waits for what the page's promise comes to; a page that refuses gives none.
    fn token_from(&self, given: Promise) -> impl Future<Output = ()> + use<> {
        let (still, number) = (self.still(), self.courier.asked.get());
        async move {
            let given = JsFuture::from(given).await.ok().and_then(|given| given.as_string());
            let token = given.and_then(|text| Token::new(&text));
            let Some(driver) = still() else { return };
            // That an earlier asking comes to nothing says nothing of the present one.
            if token.is_some() || driver.courier.asked.get() == number {
                driver.token_given(token);
            }
        }
    }

    fn token_given(&self, token: Option<Token>) {
        let none = token.is_none();
        if !self.courier.credential.borrow_mut().given(token) {
            return;
        }
        self.courier.ask.take();
        self.show_token();
        if none {
            self.tell_of_no_token("authorize gave no token: sending waits until it does");
        } else {
            self.notice(Notice::ResumeDelivery);
        }
    }

    /// The page's promise is neither kept nor broken: the person can have it asked once more.
    fn no_token_for_long(&self) {
        self.courier.credential.borrow_mut().waited_too_long();
        self.show_token();
        self.tell_of_no_token("authorize has not answered for a minute: sending waits until it does");
    }

    fn tell_of_no_token(&self, says: &str) {
        events::dispatch(&self.host, "hitl-error", &json!({ "code": "authorize", "message": says }));
    }

    /// Asks the page if there is no token yet, and waits for it.
    async fn token_for_test(&self) {
        let missing = self.courier.credential.borrow().standing() == Standing::Missing;
        if missing {
            self.courier.credential.borrow_mut().log_in();
            if let Some(given) = self.ask_page() {
                spawn_local(self.token_from(given));
            }
            // Not for the promise itself: that may never be kept.
            let still = self.still();
            while still().is_some() && self.courier.credential.borrow().standing() == Standing::Asking {
                sleep(TOKEN_LOOK_MS).await;
            }
        }
    }

    fn heard_of_token(&self, reply: &Reply, status: Option<u16>, token: Option<&Token>) {
        let mut credential = self.courier.credential.borrow_mut();
        match reply {
            Reply::Unauthorized(_) => credential.was_refused(token, status.unwrap_or(401), now()),
            Reply::Verdicts(_) | Reply::RefusedWhole(_) if status.is_some() => credential.was_taken(),
            _ => return,
        }
        drop(credential);
        self.ask_for_token();
    }

    fn show_token(&self) {
        let missing = self.courier.credential.borrow().standing() == Standing::Missing;
        self.trouble(|trouble| *trouble == Trouble::NoToken, missing.then_some(Trouble::NoToken));
    }

    /// The person wants to log in again, or the page has another way to.
    pub fn log_in(&self) {
        self.courier.credential.borrow_mut().log_in();
        self.ask_for_token();
    }

    /// The page has set another function that gives tokens: it is asked if one is missing.
    pub fn authorize_changed(&self) {
        let missing = self.desk.troubles.with_untracked(|all| all.contains(&Trouble::NoToken));
        if missing {
            self.log_in();
        }
    }
}

// -------------------------------------------------------------------------------------- the end

impl Driver {
    /// Resolves with where the page is to go once everything is delivered; rejects, in words, if that cannot be.
    pub fn finish(&self, resolve: Function, reject: Function) {
        self.give_up_finish("it was asked for once more".to_owned());
        let me = self.me();
        let limit = Timeout::new(FINISH_MS, move || {
            me.upgrade().iter().for_each(|driver| driver.give_up_finish(driver.why_not_delivered()))
        });
        self.courier.finishing.replace(Some(Finishing { resolve, reject, _limit: limit }));
        self.notice(Notice::ResumeDelivery);
        self.give_up_if_broken();
    }

    fn why_not_delivered(&self) -> String {
        self.desk.delivery.with_untracked(|view| {
            let why = view.hold.as_ref().map_or_else(|| "the server is slow".to_owned(), ToString::to_string);
            format!("{} records are not delivered yet: {why}", view.waiting + view.unsaved)
        })
    }

    /// Tells everybody who waits for the end that there will be none here.
    pub fn leave(&self) {
        let why = "the element was removed or configured anew; its records are kept";
        self.give_up_flush(why);
        self.give_up_finish(why.to_owned());
    }

    /// Without a task nothing is delivered: what is kept waits for the next start.
    pub(super) fn give_up_if_broken(&self) {
        if self.session.borrow().is_none()
            && let Opening::Broken { problems, .. } = self.desk.opening.get_untracked()
        {
            let why = problems.join("\n");
            self.give_up_flush(&why);
            self.give_up_finish(why);
        }
    }

    fn give_up_flush(&self, why: &str) {
        for (_, reject) in self.courier.flushing.take() {
            let _ = reject.call1(&JsValue::NULL, &js_sys::Error::new(&["flush: ", why].concat()));
        }
    }

    /// The page stays, and `finish` says why.
    pub fn give_up_finish(&self, why: String) {
        if let Some(Finishing { reject, .. }) = self.courier.finishing.take() {
            let _ = reject.call1(&JsValue::NULL, &js_sys::Error::new(&format!("finish: {why}")));
        }
    }

    fn finish_if_possible(&self, view: &DeliveryView) {
        if self.courier.finishing.borrow().is_none() {
            return;
        }
        let held = self.courier.credential.borrow().standing() == Standing::Missing;
        match &view.hold {
            _ if view.refused > 0 => self.give_up_finish(refused(view.refused)),
            Some(Hold::Offline | Hold::WrongAddress(_) | Hold::GaveUp { .. }) => {
                self.give_up_finish(self.why_not_delivered())
            }
            Some(Hold::Unauthorized(_)) if held => self.give_up_finish(self.why_not_delivered()),
            _ if view.unsaved + view.waiting > 0 => {}
            _ if self.courier.unread.get() => self.give_up_finish(
                "the browser's store could not be read, and answers of earlier visits may wait in it: load the page again"
                    .to_owned(),
            ),
            _ if !view.to_server && view.volatile > 0 => self.give_up_finish(in_memory(view.volatile)),
            _ => {
                let config = self.config.borrow().clone();
                let to = match delivery::finish(&config.delivery, &backend::query(), view.sent) {
                    Some(Err(why)) => return self.give_up_finish(why),
                    Some(Ok(to)) => json!({ "url": to.url, "fields": to.fields }),
                    None => serde_json::Value::Null,
                };
                let Some(Finishing { resolve, .. }) = self.courier.finishing.take() else { return };
                let _ = resolve.call1(&JsValue::NULL, &events::to_js(&to));
            }
        }
    }
}
