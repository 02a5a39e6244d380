//! Runs the session's commands and feeds back what comes of them. No rule of the product stands here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use gloo::timers::callback::Timeout;
use js_sys::{Array, Date, Float32Array, Function, Promise};
use leptos::prelude::*;
use serde_json::{Value, json};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, File, HtmlElement};

use super::courier::Courier;
use super::desk::{Broken, Desk, Download, Opening, Order, Panel, ReviewPage, SlipView, Trouble};
use super::keys::{Deed, KeyMap};
use super::settings::Settings;
use super::source::{self, Held};
use super::store::Store;
use super::study::Study;
use super::time::now;
use super::workers::{Heard, ModelFile, Workers};
use super::{events, model};
use crate::domain::correction::ModelName;
use crate::domain::dispatch::{self, DispatchRules};
use crate::domain::ident::Timestamp;
use crate::domain::item::{Aside, AsideReason, Content, ImageSource, Item, ItemKey};
use crate::domain::label::LabelSet;
use crate::domain::policy::{Policy, Sampling};
use crate::domain::prediction::{Activation, ScoreScale};
use crate::domain::promise::Target;
use crate::domain::queue::Strategy;
use crate::domain::session::{
    self, Command, LearningRules, Milestone, ModelSpec, Notice, Rules, Session, TargetRules,
};
use crate::input::InputSpec;
use crate::input::card::ModelCard;
use crate::reader::Problems;
use crate::wire::config::{self, Config, KeyDeed, Theme};
use crate::wire::correction::to_record;
use crate::wire::worker::Source;
use crate::wire::{export, worker::Kernel};

/// Most set-aside items that are listed: nobody reads more, and the page stays quick.
const ASIDES_LISTED: usize = 1_000;

/// How often counts are brought up to date while the person has a question.
const REFRESH_EVERY_MS: u32 = 100;

/// What the host page gives when it mounts the element.
pub struct Given {
    /// Where the configuration stands.
    pub settings: Rc<Settings>,
    /// Items from a property: an array, iterable or async iterable; undefined if there are none.
    pub items: JsValue,
    /// What else came, to be read again at each start: iterables, and lists of files.
    pub added: Array,
    /// Asks the page for a token: takes `{reason, status}`, gives a promise.
    pub authorize: Function,
    /// Makes a worker that loads the worker's Wasm.
    pub spawn_worker: Function,
    /// Name of the store where the configuration has none.
    pub project: String,
}

/// One element's inside.
pub struct Driver {
    pub(super) host: HtmlElement,
    /// Of the signals.
    pub owner: Owner,
    /// Signals of the view.
    pub desk: Desk,
    pub(super) given: RefCell<Given>,
    pub(super) config: RefCell<Rc<Config>>,
    // Boxed: it is large, and moves through a future while the store is being opened.
    pub(super) session: RefCell<Option<Box<Session>>>,
    /// Notices that came while another one was being dealt with, or before there was a session.
    notices: RefCell<VecDeque<Notice>>,
    /// Items are not taken in before the store has said what was answered in earlier visits.
    reading: Cell<bool>,
    busy: Cell<bool>,
    pub(super) store: RefCell<Option<Store>>,
    /// Store, server and the page's tokens.
    pub(super) courier: Courier,
    pub(super) workers: RefCell<Option<Rc<Workers>>>,
    /// What learns, and how it came to be.
    pub(super) study: Study,
    kernels: RefCell<Vec<Kernel>>,
    /// Pictures in the page's hands; outlives a restart.
    pub held: Rc<Held>,
    wake: RefCell<Option<(i64, Timeout)>>,
    soon: RefCell<Option<Timeout>>,
    later: RefCell<Option<Timeout>>,
    me: Weak<Self>,
    pub(super) abort: RefCell<AbortController>,
    /// Whether to predict and ask, once the page or the person said so; `None`: as configured.
    running: Cell<Option<bool>>,
    /// The keys that the person chose in an earlier visit, as stored, until there are labels for them.
    pub(super) chosen_keys: RefCell<Option<String>>,
    /// Who waits for the store to be read.
    store_read: RefCell<Vec<Function>>,
    /// What the host page asked for in place of the configuration's target or threshold.
    chosen: Cell<Option<Chosen>>,
    /// Work of an earlier start must not act on a later one.
    pub(super) generation: Cell<u32>,
}

/// When the model may settle an item, as the host page says while it is open.
#[derive(Clone, Copy)]
enum Chosen {
    /// `None`: the configuration's threshold.
    Target(Option<f64>),
    Threshold(f32),
}

impl Drop for Driver {
    /// Whatever comes back later holds the driver, so nobody reads the signals any more.
    fn drop(&mut self) {
        self.owner.cleanup();
    }
}

impl Driver {
    /// A driver for the element `host`; nothing starts before [`Driver::start`].
    #[must_use]
    pub fn new(host: HtmlElement, given: Given, abort: AbortController) -> Rc<Self> {
        Rc::new_cyclic(|me: &Weak<Self>| {
            let held = Rc::new(Held::default());
            let (for_notice, for_order, for_images) = (me.clone(), me.clone(), me.clone());
            let owner = Owner::new();
            let desk = owner.with(|| {
                Desk::new(
                    move |notice| {
                        for_notice.upgrade().iter().for_each(|driver| driver.person_did(notice.clone()))
                    },
                    move |order| for_order.upgrade().iter().for_each(|driver| driver.order(order.clone())),
                    // The view outlives the driver, the pictures must not.
                    move |number| for_images.upgrade()?.held.url(number),
                )
            });
            Self {
                host,
                owner,
                desk,
                given: RefCell::new(given),
                config: RefCell::default(),
                session: RefCell::new(None),
                notices: RefCell::default(),
                reading: Cell::new(false),
                busy: Cell::new(false),
                store: RefCell::new(None),
                courier: Courier::default(),
                workers: RefCell::new(None),
                study: Study::default(),
                kernels: RefCell::default(),
                held,
                wake: RefCell::new(None),
                soon: RefCell::new(None),
                later: RefCell::new(None),
                me: me.clone(),
                abort: RefCell::new(abort),
                running: Cell::new(None),
                chosen_keys: RefCell::default(),
                store_read: RefCell::default(),
                chosen: Cell::new(None),
                generation: Cell::new(0),
            }
        })
    }

    pub(super) fn me(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// Gives this driver to what comes back later, as long as it has not been stopped or started anew meanwhile.
    pub(super) fn still(&self) -> impl Fn() -> Option<Rc<Self>> + Clone + 'static + use<> {
        let (me, generation) = (self.me(), self.generation.get());
        move || me.upgrade().filter(|driver| driver.generation.get() == generation)
    }

    /// Starts from the beginning.
    pub fn start(self: &Rc<Self>) {
        self.generation.set(self.generation.get() + 1);
        self.reading.set(false);
        self.desk.opening.set(Opening::Starting);
        self.desk.connection.set(None);
        // Of another model, perhaps: nothing is offered that only a session can do.
        self.desk.labels.set(LabelSet::default());
        let (driver, generation) = (self.clone(), self.generation.get());
        spawn_local(async move {
            // What fails because it was stopped meanwhile concerns nobody.
            if let Err((what, problems)) = driver.open().await
                && driver.generation.get() == generation
            {
                driver.broken(what, problems);
            }
        });
    }

    /// Gives everything back: workers, timers, requests, the store's lock.
    pub fn stop(&self) {
        self.generation.set(self.generation.get() + 1);
        self.abort.borrow().abort();
        self.workers.take();
        self.study.stop();
        self.wake.take();
        self.soon.take();
        self.later.take();
        self.courier.stop();
        self.session.take();
        self.store.take().iter().for_each(Store::leave);
        self.notices.borrow_mut().clear();
        self.reading.set(false);
        self.tell_store_read();
    }

    /// The element looks as it did before a configuration gave it a theme.
    pub fn take_back_theme(&self) {
        if self.config.borrow().theme != Theme::Auto {
            let _ = self.host.remove_attribute("theme");
        }
    }

    async fn open(self: &Rc<Self>) -> Result<(), (Broken, Vec<String>)> {
        let generation = self.generation.get();
        let signal = self.abort.borrow().signal();
        let settings = self.given.borrow().settings.clone();
        let written = settings.read(&signal).await.map_err(|problems| (Broken::Configuration, problems))?;
        if self.generation.get() != generation {
            return Ok(());
        }
        let config = Rc::new(config::parse(&written).map_err(in_configuration)?);
        *self.config.borrow_mut() = config.clone();
        self.desk.open_labels.set(config.open_labels);
        match config.theme {
            Theme::Auto => {}
            Theme::Light => drop(self.host.set_attribute("theme", "light")),
            Theme::Dark => drop(self.host.set_attribute("theme", "dark")),
        }
        let workers = config.workers.unwrap_or_else(usual_workers);
        if config.model.is_some() {
            self.prepare_workers(workers);
        }
        // Before the model: what earlier visits left can be downloaded whatever becomes of that.
        let restored = self.open_store(&config).await;
        if self.generation.get() != generation {
            return Ok(());
        }
        let watch = restored.is_some();
        // And before what the page and the person have asked for meanwhile.
        restored.into_iter().for_each(|notice| self.notices.borrow_mut().push_front(notice));
        if watch {
            self.tell_store_read();
        }
        let manifest = match &config.model {
            Some(at) => {
                let manifest = model::manifest(&at.url, &signal).await;
                Some(Box::new(manifest.map_err(|problems| (Broken::Model, problems))?))
            }
            None => None,
        };
        if self.generation.get() != generation {
            return Ok(());
        }
        let head = config.model.as_ref().and_then(|at| at.head.as_deref());
        self.study.diverse.set(config.order.by == Strategy::Diverse);
        let prepared = self.study.prepare(manifest.as_deref(), config.learning, head, &signal).await;
        prepared.map_err(|why| (Broken::Model, why))?;
        if self.generation.get() != generation {
            return Ok(());
        }
        let session = self.session_for(&config, manifest.as_ref().map(|manifest| &manifest.card), workers)?;
        let labels = self.known_labels().await;
        if self.generation.get() != generation {
            return Ok(());
        }
        *self.session.borrow_mut() = Some(session);
        self.tell_store_read();
        // The records speak of them.
        labels
            .into_iter()
            .rev()
            .for_each(|label| self.notices.borrow_mut().push_front(Notice::LabelAdded(label)));
        self.notice(Notice::Tick);
        self.show_labels();
        if let Some(keys) = self.chosen_keys.take() {
            let labels = self.desk.labels.get_untracked();
            self.desk.keys.update(|own| own.apply(&keys, &labels));
        }
        // Asked for before there was anything that could do it.
        match self.chosen.get() {
            Some(Chosen::Target(accuracy)) => self.set_target(accuracy),
            Some(Chosen::Threshold(threshold)) => self.accept_at(threshold),
            None => {}
        }
        if watch {
            self.courier.watch();
        }
        if self.courier.has_unstored() {
            // Waited for from now on, and done at once.
            self.store_again();
            self.store_now();
        }
        self.courier.said_early().into_iter().for_each(|said| self.notice(said));
        self.delivery_changed();
        self.take_lead();
        self.read_items();
        match manifest {
            None => {
                self.desk.opening.set(Opening::Open);
                self.run();
            }
            Some(manifest) => self.fetch_model(manifest, &config),
        }
        Ok(())
    }

    /// Shows the task and makes its session.
    fn session_for(
        &self,
        config: &Config,
        card: Option<&ModelCard>,
        workers: usize,
    ) -> Result<Box<Session>, (Broken, Vec<String>)> {
        let labels = config.labels(card.map(|card| &card.labels)).map_err(in_configuration)?;
        let policy = config.policy(&labels).map_err(in_configuration)?;
        self.show_task(
            config,
            &labels,
            card.and_then(|card| card.question.as_deref()),
            card.map(|c| &c.input),
        )?;
        let rules = Rules {
            model: card.and_then(|card| spec(card, config.learning.is_some())),
            labels,
            policy,
            target: config.target(),
            learning: config.learning.map(|learning| LearningRules {
                hold_out: Sampling { share: learning.hold_out, seed: learning.seed },
            }),
            strategy: config.order.by,
            random_share: config.order.random_share,
            seed: config.order.seed,
            prediction_shown: config.predictions,
            annotator: config.annotator.clone(),
            session: visit_name().into(),
            delivery: config.delivery.url.is_some().then_some(config.delivery.rules),
            deliver_accepted: config.delivery.accepted,
            dispatch: DispatchRules {
                workers,
                item_deadline_ms: config.item_deadline_ms,
                spares_a_core: workers >= cores(),
                ..DispatchRules::default()
            },
        };
        self.desk.has_model.set(rules.model.is_some());
        Ok(Box::new(Session::new(rules, random_seed())))
    }

    /// Shows how far the start is, unless it has failed meanwhile.
    fn opened(&self, far: Opening) {
        if !self.is_broken() {
            set(self.desk.opening, far);
        }
    }

    fn broken(&self, what: Broken, problems: Vec<String>) {
        let message = problems.join("\n");
        let code = match what {
            Broken::Configuration => "configuration",
            Broken::Model => "model",
            Broken::Items => "items",
        };
        self.desk.opening.set(Opening::Broken { what, problems });
        self.tell_store_read();
        self.give_up_if_broken();
        events::dispatch(&self.host, "hitl-error", &json!({ "code": code, "message": message }));
    }

    fn show_task(
        &self,
        config: &Config,
        labels: &LabelSet,
        question: Option<&str>,
        input: Option<&InputSpec>,
    ) -> Result<(), (Broken, Vec<String>)> {
        let task = config.question.clone().or_else(|| question.map(Arc::from));
        self.desk.task.set(task.unwrap_or_else(|| "".into()));
        self.desk.labels.set(labels.clone());
        if let Some(InputSpec::Numbers(numbers)) = input {
            self.desk.columns.set(numbers.columns.iter().map(|name| Arc::from(name.as_str())).collect());
        }
        let mut keys = KeyMap::standard(labels.len());
        keys.enabled = config.keys.enabled;
        let of_labels = config.label_keys(labels).map_err(in_configuration)?;
        let of_labels = of_labels.iter().map(|(label, key)| (Deed::Answer(*label), key));
        let of_deeds = config.keys.deeds.iter().map(|(deed, key)| (deed_of(*deed), key));
        let wanted: Vec<_> = of_labels.chain(of_deeds).collect();
        for (_, key) in &wanted {
            // What the configuration gives to one deed is taken from another that has it by standard only.
            if let Some(other) = keys.deed(key)
                && !wanted.iter().any(|(wanted, _)| *wanted == other)
            {
                keys.unbind(other);
            }
        }
        for (deed, key) in wanted {
            if keys.bind(deed, key).is_err() {
                let problem = format!("`keys`: the key {key:?} is given twice; give each deed its own");
                return Err((Broken::Configuration, vec![problem]));
            }
        }
        self.desk.usual_keys.set(keys.clone());
        self.desk.keys.set(keys);
        Ok(())
    }

    /// Replaces the troubles of one sort.
    pub(super) fn trouble(&self, same: impl Fn(&Trouble) -> bool, now: Option<Trouble>) {
        let troubles = self.desk.troubles.get_untracked();
        let kept: Vec<_> = troubles.iter().filter(|trouble| !same(trouble)).cloned().chain(now).collect();
        set(self.desk.troubles, kept);
    }

    fn prepare_workers(self: &Rc<Self>, count: usize) {
        let me = Rc::downgrade(self);
        let spawn = self.given.borrow().spawn_worker.clone();
        let workers = Workers::new(spawn, move |heard| {
            me.upgrade().iter().for_each(|driver| driver.heard(&heard));
        });
        workers.prewarm(count);
        *self.workers.borrow_mut() = Some(workers);
        self.prepare_learner();
    }

    fn heard(&self, heard: &Heard) {
        match heard {
            Heard::Up(kernels) => self.kernels.borrow_mut().clone_from(kernels),
            Heard::Ready(worker, loaded) => {
                self.opened(Opening::Open);
                self.begin_study(loaded);
                self.notice(Notice::WorkerReady(*worker));
            }
            Heard::Rejected(faults) => {
                self.workers.borrow().iter().for_each(|workers| workers.stop_all());
                self.notice(Notice::Paused);
                self.broken(Broken::Model, faults.iter().map(|fault| fault.message.clone()).collect());
            }
            Heard::Predicted(worker, ticket, rows) => self.predicted(*worker, *ticket, rows),
            Heard::Lost(worker, why) => {
                web_sys::console::warn_1(&format!("hitl-labeler: a worker was lost: {why}").into());
                self.notice(Notice::WorkerLost(*worker));
            }
        }
    }

    fn fetch_model(self: &Rc<Self>, manifest: Box<model::Manifest>, config: &Config) {
        let (driver, generation) = (self.clone(), self.generation.get());
        let pixel_limit = config.items.pixel_limit;
        let max_bytes = config.model.as_ref().map_or(u64::MAX, |at| at.max_bytes);
        let total = manifest.card.bytes;
        self.opened(Opening::Downloading { received: 0, total });
        spawn_local(async move {
            let signal = driver.abort.borrow().signal();
            let telling = driver.clone();
            let progress = move |received| telling.opened(Opening::Downloading { received, total });
            let fetched = model::model(&manifest, max_bytes, &signal, progress).await;
            if driver.generation.get() != generation {
                return;
            }
            match fetched {
                Ok(bytes) => {
                    // A halted session starts no worker that would be waited for.
                    let far = if driver.is_running() { Opening::Preparing } else { Opening::Open };
                    driver.opened(far);
                    driver.set_model(&manifest, bytes, pixel_limit);
                    driver.watch_for_newer(&manifest);
                    driver.run();
                }
                Err(problems) => driver.broken(Broken::Model, problems),
            }
        });
    }

    pub(super) fn set_model(&self, manifest: &model::Manifest, bytes: js_sys::Uint8Array, pixel_limit: u64) {
        let features = self.study.learns() && manifest.card.features.is_some();
        if let Some(workers) = &*self.workers.borrow() {
            workers.set_model(ModelFile { manifest: manifest.text.clone(), bytes, pixel_limit, features });
        }
    }

    fn run(&self) {
        if self.is_running() {
            self.notice(Notice::Started);
        }
    }

    /// As the page or the person said it last.
    pub fn was_set_running(&self) -> Option<bool> {
        self.running.get()
    }

    fn is_running(&self) -> bool {
        self.running.get().unwrap_or_else(|| self.config.borrow().autostart)
    }

    /// Predicts and asks, or halts; remembered until the model is there.
    pub fn set_running(&self, running: bool) {
        self.running.set(Some(running));
        let ready = matches!(self.desk.opening.get_untracked(), Opening::Open | Opening::Preparing);
        if ready {
            self.notice(if running { Notice::Started } else { Notice::Paused });
        }
    }

    fn read_items(self: &Rc<Self>) {
        self.reading.set(true);
        let (url, items) = (self.config.borrow().items.url.clone(), self.given.borrow().items.clone());
        let none = url.is_none() && (items.is_undefined() || items.is_null());
        if !items.is_undefined() && !items.is_null() {
            self.gather(items, None);
        } else if let Some(url) = url {
            let (driver, generation) = (self.clone(), self.generation.get());
            spawn_local(async move {
                let signal = driver.abort.borrow().signal();
                let arrived = driver.arrivals(generation);
                let ended = source::stream(&url, &driver.columns(), &signal, arrived).await;
                driver.source_ended(generation, ended.err().map(|why| why.to_string()));
            });
        }
        // What came beside them in an earlier life of this element.
        let added = self.given.borrow().added.clone();
        added.iter().for_each(|items| self.take_in(items));
        if none {
            self.notice(Notice::SourceEnded);
        }
    }

    /// Takes in items from a property.
    pub fn add_items(self: &Rc<Self>, items: JsValue) {
        self.given.borrow().added.push(&items);
        if self.reading.get() {
            self.take_in(items);
        }
    }

    /// Items besides those of the configuration: an iterable, or a list of files.
    fn take_in(self: &Rc<Self>, items: JsValue) {
        self.source_opened();
        let files = items.dyn_ref::<Array>().filter(|list| list.get(0).is_instance_of::<File>()).cloned();
        self.gather(items, files);
    }

    /// Takes items from an iterable, or from `files` where that is what it is.
    fn gather(self: &Rc<Self>, items: JsValue, files: Option<Array>) {
        let (driver, generation) = (self.clone(), self.generation.get());
        spawn_local(async move {
            let signal = driver.abort.borrow().signal();
            let arrived = driver.arrivals(generation);
            let ended = match files {
                Some(files) => source::files(&files, &driver.held, &driver.columns(), &signal, arrived).await,
                None => source::iterate(&items, &driver.held, &signal, arrived).await,
            };
            driver.source_ended(generation, ended.err().map(|why| why.to_string()));
        });
    }

    /// Other items than those that could not be had.
    fn source_opened(&self) {
        if matches!(self.desk.opening.get_untracked(), Opening::Broken { what: Broken::Items, .. }) {
            self.desk.opening.set(Opening::Open);
        }
        self.notice(Notice::SourceOpened);
    }

    /// Names of the columns that the model reads; empty if it reads pictures.
    fn columns(&self) -> Vec<String> {
        self.desk.columns.with_untracked(|columns| columns.iter().map(ToString::to_string).collect())
    }

    fn arrivals(self: &Rc<Self>, generation: u32) -> impl FnMut(Vec<Result<Item, Aside>>) + 'static {
        let driver = self.clone();
        move |items| {
            if driver.generation.get() == generation {
                driver.notice(Notice::Arrived(items));
            }
        }
    }

    fn source_ended(&self, generation: u32, failure: Option<String>) {
        if self.generation.get() != generation {
            return;
        }
        self.notice(Notice::SourceEnded);
        let Some(why) = failure else { return };
        // Where others still come, or have come, this one is no reason to show nothing else.
        let any = self.session.borrow().as_ref().is_some_and(|session| {
            let progress = session.progress();
            progress.arrived > 0 || progress.more_coming
        });
        if any {
            let trouble = Trouble::ItemsBrokeOff(why.as_str().into());
            self.trouble(|trouble| matches!(trouble, Trouble::ItemsBrokeOff(_)), Some(trouble));
            events::dispatch(&self.host, "hitl-error", &json!({ "code": "items", "message": why }));
        } else {
            self.broken(Broken::Items, vec![why]);
        }
    }

    fn person_did(&self, notice: Notice) {
        if matches!(notice, Notice::WithoutModel) {
            self.workers.borrow().iter().for_each(|workers| workers.stop_all());
            self.desk.opening.set(Opening::Open);
            self.desk.has_model.set(false);
            self.notice(notice);
            return self.run();
        }
        if matches!(notice, Notice::Started) {
            return self.set_running(true);
        }
        if let (Notice::RetryRefused(records), Some((store, _))) = (&notice, self.store()) {
            store.retried(records);
        }
        self.notice(notice);
    }

    /// Changes the target at once; `None`: the threshold counts again.
    pub fn set_target(&self, accuracy: Option<f64>) {
        self.chosen.set(Some(Chosen::Target(accuracy)));
        let Some(accuracy) = accuracy else {
            let threshold = self.config.borrow().accept_at();
            return self.settle_from(threshold);
        };
        let own = match self.session.borrow().as_ref() {
            Some(session) => session.target().cloned(),
            None => return,
        };
        // One that was given up meanwhile still says how to check.
        let own = own.or_else(|| self.config.borrow().target());
        let usual = own.unwrap_or_else(|| TargetRules::usual(accuracy));
        let target = Target { accuracy, ..usual.target };
        self.notice(Notice::TargetChanged(Some(TargetRules { target, ..usual })));
    }

    /// Changes the least confidence at once; a target is given up for it.
    pub fn accept_at(&self, threshold: f32) {
        self.chosen.set(Some(Chosen::Threshold(threshold)));
        self.settle_from(threshold);
    }

    fn settle_from(&self, threshold: f32) {
        if self.session.borrow().as_ref().is_some_and(|session| session.target().is_some()) {
            self.notice(Notice::TargetChanged(None));
        }
        let policy = self.session.borrow().as_ref().map(|session| session.policy().clone());
        if let Some(policy) = policy {
            // A target had put its own in place of the configuration's.
            let labels = self.desk.labels.get_untracked();
            let configured = self.config.borrow().policy(&labels);
            let accept_at_label = configured.map(|policy| policy.accept_at_label).unwrap_or_default();
            let accept_at = threshold;
            self.notice(Notice::PolicyChanged(Policy { accept_at, accept_at_label, ..policy }));
        }
    }

    /// Tells the session, runs what it commands, and brings the view up to date.
    pub fn notice(&self, notice: Notice) {
        self.notices.borrow_mut().push_back(notice);
        if self.busy.replace(true) {
            return;
        }
        let mut told = Vec::new();
        let mut unhurried = true;
        while let Some(notice) = self.next_notice() {
            unhurried &=
                matches!(notice, Notice::Returned(..) | Notice::Predicted { .. } | Notice::Arrived(_));
            let mut slot = self.session.borrow_mut();
            let Some(session) = slot.as_mut() else { break };
            session.notice(notice, now());
            while let Some(command) = session.next_command() {
                self.run_command(command, session, &mut told);
            }
        }
        self.busy.set(false);
        // While the person has a question, counts that grow by the thousand are shown now and then: the next
        // key press finds the page free.
        if unhurried && self.desk.question.with_untracked(Option::is_some) {
            self.refresh_later();
        } else {
            self.refresh();
        }
        self.set_alarm();
        // Last, since the host page may call us from its listeners.
        for (name, detail) in told {
            events::dispatch(&self.host, name, &detail);
        }
    }

    fn next_notice(&self) -> Option<Notice> {
        if self.session.borrow().is_none() {
            return None;
        }
        self.notices.borrow_mut().pop_front()
    }

    fn run_command(&self, command: Command, session: &Session, told: &mut Vec<(&'static str, Value)>) {
        match command {
            Command::Worker(order) => self.run_order(order, session),
            Command::Commit(records) => self.commit(records),
            Command::Deliver(errand) => self.deliver(errand),
            Command::Study(study) => {
                // Also one of another tab or of an earlier visit changes the figures.
                if matches!(study, session::Study::Record(_)) {
                    self.figures_later();
                }
                self.tell_learner(study);
            }
            Command::Tell(milestone) => {
                if milestone == Milestone::WorkersFailed {
                    self.trouble(|trouble| *trouble == Trouble::NoWorkers, Some(Trouble::NoWorkers));
                    self.notices.borrow_mut().push_back(Notice::WithoutModel);
                    self.desk.opening.set(Opening::Open);
                }
                match events::told(&milestone, session) {
                    Some(event) => told.push(event),
                    // Told with its figures, which take a while.
                    None => self.figures_later(),
                }
            }
            Command::Continue => self.come_back(),
        }
    }

    fn run_order(&self, order: dispatch::Order, session: &Session) {
        let workers = self.workers.borrow();
        let Some(workers) = workers.as_ref() else { return };
        match order {
            dispatch::Order::Start(worker) => workers.start(worker),
            dispatch::Order::Stop(worker) => workers.stop(worker),
            dispatch::Order::Predict { worker, ticket, items } => {
                let parts = items.iter().filter_map(|key| self.part(*key, session)).collect();
                workers.predict(worker, ticket, parts);
            }
        }
    }

    fn part(&self, key: ItemKey, session: &Session) -> Option<(ItemKey, Source, JsValue)> {
        let item = session.item(key)?;
        let (source, part) = match &item.content {
            Content::Numbers(row) => (Source::Numbers, Float32Array::from(&row[..]).into()),
            Content::Image(ImageSource::Url(url)) => (Source::Url { url: url.to_string() }, JsValue::NULL),
            Content::Image(ImageSource::Held(number)) => {
                let held = self.held.get(*number).unwrap_or_default();
                let pixels = held.is_instance_of::<web_sys::ImageData>();
                (if pixels { Source::Pixels } else { Source::Blob }, held)
            }
        };
        Some((key, source, part))
    }

    pub(super) fn store(&self) -> Option<(Store, Desk)> {
        self.store.borrow().clone().map(|store| (store, self.desk))
    }

    fn come_back(&self) {
        // A timer, not a microtask: the browser is to paint and hear the keys between two slices.
        let desk = self.desk;
        *self.soon.borrow_mut() = Some(Timeout::new(0, move || desk.notice(Notice::Tick)));
    }

    fn set_alarm(&self) {
        let at = self.session.borrow().as_ref().and_then(|session| session.wake_at());
        let mut wake = self.wake.borrow_mut();
        match at {
            None => *wake = None,
            Some(Timestamp(at)) if wake.as_ref().is_none_or(|(set, _)| *set != at) => {
                let wait = u32::try_from((at - now().0).clamp(0, 86_400_000)).unwrap_or(0);
                let me = self.me.clone();
                *wake = Some((
                    at,
                    Timeout::new(wait, move || {
                        let Some(driver) = me.upgrade() else { return };
                        // It has rung. A clock that was set back meanwhile may want it for the same moment again.
                        if let Some((set, _)) = &mut *driver.wake.borrow_mut() {
                            *set = i64::MIN;
                        }
                        driver.notice(Notice::Tick);
                    }),
                ));
            }
            Some(_) => {}
        }
    }

    fn refresh_later(&self) {
        let mut later = self.later.borrow_mut();
        if later.is_none() {
            let me = self.me.clone();
            *later = Some(Timeout::new(REFRESH_EVERY_MS, move || {
                let Some(driver) = me.upgrade() else { return };
                driver.later.take();
                driver.refresh();
            }));
        }
    }

    /// Brings every signal up to date; those that stay the same wake nobody.
    pub fn refresh(&self) {
        let slot = self.session.borrow();
        let Some(session) = slot.as_ref() else { return };
        let desk = &self.desk;
        set(desk.question, session.question());
        set(
            desk.next_image,
            session.on_deck().and_then(|item| match &item.content {
                Content::Image(source) => Some(source.clone()),
                Content::Numbers(_) => None,
            }),
        );
        set(desk.phase, session.phase());
        set(desk.last_answer, session.last_answer().cloned());
        set(desk.undo_depth, session.undo_depth());
        set(desk.progress, session.progress());
        set(desk.pace, session.seconds_per_answer());
        let delivery = session.delivery(now());
        set(desk.delivery, delivery);
        set(desk.promise, session.promise());
        set(desk.learns, session.learns());
        set(desk.lesson, session.lesson().copied());
        set(desk.slips, session.slips().count());
        match desk.panel.get_untracked() {
            Panel::Cycle => set(desk.slip_list, slips(session)),
            Panel::Review => {
                let (offset, count) = desk.review_at.get_untracked();
                // The last page may be gone meanwhile.
                let last = session.progress().accepted.saturating_sub(1) / count.max(1) * count;
                let offset = offset.min(last);
                set(desk.review_at, (offset, count));
                set(desk.review, ReviewPage { offset, items: session.accepted(offset, count) });
            }
            Panel::Aside => set(desk.asides, session.asides().take(ASIDES_LISTED).cloned().collect()),
            Panel::Delivery => {
                let refused = session.refused().map(|(id, why)| {
                    let item = session
                        .record(id)
                        .map_or_else(|| id.to_string().into(), |record| record.item_id.clone());
                    (id, item, why)
                });
                set(desk.refused, refused.collect());
            }
            Panel::None => {}
        }
        drop(slot);
        self.delivery_changed();
    }

    fn order(self: &Rc<Self>, order: Order) {
        match order {
            Order::Retry => {
                self.stop();
                if let Ok(abort) = AbortController::new() {
                    *self.abort.borrow_mut() = abort;
                }
                self.start();
            }
            Order::Download(what @ (Download::Model | Download::Manifest | Download::Head)) => {
                self.save_learned(what)
            }
            Order::Download(kind) => {
                if let Some((name, kind, text)) = self.file(kind) {
                    super::download::save(&name, kind, &text);
                }
            }
            // A list of its own: the browser empties the input's when it is used again.
            Order::AddFiles(files) => self.add_items(Array::from(files.as_ref()).into()),
            Order::LogIn => self.log_in(),
            Order::TestConnection => self.test_connection(),
            Order::TakeNewer => self.take_newer(),
            Order::AddLabel(name) => self.add_label(&name),
            Order::Save(name, text) => super::download::save(&name, "application/octet-stream", &text),
            Order::Seen(size) => self.seen(size),
            Order::UseKeys(mut keys) => {
                let labels = self.desk.labels.get_untracked();
                keys.grow(labels.len());
                let text = self.desk.usual_keys.with_untracked(|usual| keys.to_text(usual, &labels));
                self.desk.keys.set(keys);
                // Until there is a task they are nobody's keys, and those of earlier visits still count.
                if let (Some((store, _)), true) = (self.store(), self.session.borrow().is_some()) {
                    spawn_local(async move {
                        let _ = store.set_setting("keys", &text).await;
                    });
                }
            }
        }
    }

    /// Where no model looks at the pictures, what cannot be shown or is too large is found only here.
    fn seen(&self, size: Option<(u32, u32)>) {
        let limit = self.config.borrow().items.pixel_limit;
        match size {
            Some((width, height)) if u64::from(width) * u64::from(height) > limit => {
                self.notice(Notice::Unseen(AsideReason::TooManyPixels { width, height, limit }));
            }
            None => self.notice(Notice::Unseen(AsideReason::NotShown)),
            _ => {}
        }
    }

    /// Everything as a file: its name, media type and text; `None` while the store is being read.
    pub fn file(&self, kind: Download) -> Option<(String, &'static str, String)> {
        let refused_only = matches!(kind, Download::Refused);
        let records: Vec<_> = match &mut *self.session.borrow_mut() {
            Some(session) if refused_only => {
                let refused: Vec<_> = session.refused().map(|(id, _)| id).collect();
                refused.into_iter().filter_map(|id| session.record(id).map(to_record)).collect()
            }
            Some(session) => session.everything(now()).iter().map(to_record).collect(),
            // There is no task to show, but there is what earlier visits left.
            None => self.notices.borrow().iter().find_map(|notice| match notice {
                Notice::Restored(records, _) => Some(records.iter().map(to_record).collect()),
                _ => None,
            })?,
        };
        let day = String::from(Date::new_0().to_iso_string()).chars().take(10).collect::<String>();
        let what = if refused_only { "refused" } else { "labels" };
        Some(match kind {
            Download::Csv => (format!("{what}-{day}.csv"), "text/csv", export::csv(&records)),
            _ => (format!("{what}-{day}.jsonl"), "application/x-ndjson", export::json_lines(&records)),
        })
    }

    /// The same, once the store has been read.
    ///
    /// # Errors
    /// It will not be, in words.
    pub async fn file_once_read(&self, kind: Download) -> Result<(String, &'static str, String), String> {
        if self.file(kind).is_none() && !self.is_broken() {
            let read = Promise::new(&mut |resolve, _| self.store_read.borrow_mut().push(resolve));
            drop(JsFuture::from(read).await);
        }
        self.file(kind).ok_or_else(|| match self.desk.opening.get_untracked() {
            Opening::Broken { problems, .. } => problems.join("\n"),
            _ => "the element was removed or began anew meanwhile: ask again".to_owned(),
        })
    }

    fn is_broken(&self) -> bool {
        self.desk.opening.with_untracked(|now| matches!(now, Opening::Broken { .. }))
    }

    /// Nobody has to wait any longer for what the store holds.
    fn tell_store_read(&self) {
        for resolve in self.store_read.take() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    }

    /// Counts as the host page reads them.
    pub fn progress(&self) -> Value {
        let slot = self.session.borrow();
        let Some(session) = slot.as_ref() else { return Value::Null };
        let (progress, delivery) = (session.progress(), session.delivery(now()));
        json!({
            "arrived": progress.arrived, "predicting": progress.predicting, "waiting": progress.waiting,
            "accepted": progress.accepted, "answered": progress.answered, "confirmed": progress.confirmed,
            "aside": progress.aside, "share_by_model": progress.share_by_model(),
            "seconds_per_answer": session.seconds_per_answer(),
            "records": delivery.records, "unsaved": delivery.unsaved, "undelivered": delivery.waiting,
            "delivered": delivery.sent, "refused": delivery.refused,
        })
    }

    /// How many items each of these thresholds would settle, with how many predictions there are.
    pub fn coverage(&self, thresholds: &[f32]) -> Value {
        let slot = self.session.borrow();
        let Some(session) = slot.as_ref() else { return Value::Null };
        let coverage = session.coverage();
        let counts: Vec<_> = thresholds.iter().map(|threshold| coverage.at_least(*threshold)).collect();
        json!({ "predicted": coverage.total(), "settled": counts, "accept_at": session.policy().accept_at })
    }

    /// The kernels that the workers chose.
    pub fn kernels(&self) -> Value {
        let kernels = self.kernels.borrow();
        kernels.iter().map(|each| json!({ "purpose": each.purpose, "name": each.name })).collect()
    }
}

/// The answers that may be slips, as the panel lists them.
fn slips(session: &Session) -> Vec<SlipView> {
    let slips = session.slips().filter_map(|(key, given, suggested)| {
        Some(SlipView { key, item: session.item(key)?.id.clone(), given, suggested })
    });
    slips.collect()
}

pub(super) fn set<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    // One access in place of a look and a write: this is written out anew for each type.
    signal.maybe_update(|now| {
        let other = *now != value;
        if other {
            *now = value;
        }
        other
    });
}

/// The model as the session knows it; one without scores is of use only to a session that learns.
pub(super) fn spec(card: &ModelCard, learns: bool) -> Option<ModelSpec> {
    let scores = card.scores.as_ref();
    (scores.is_some() || learns).then(|| ModelSpec {
        name: ModelName {
            name: card.name.as_str().into(),
            version: card.version.as_str().into(),
            sha256: card.sha256.to_string().into(),
        },
        scale: scores.map_or(ScoreScale::Logits, |scores| scores.scale),
        activation: scores.map_or(Activation::Softmax, |scores| scores.activation),
        temperature: card.temperature,
        from_nothing: scores.is_none(),
    })
}

fn in_configuration(problems: Problems) -> (Broken, Vec<String>) {
    (Broken::Configuration, problems.0.iter().map(ToString::to_string).collect())
}

fn deed_of(deed: KeyDeed) -> Deed {
    match deed {
        KeyDeed::Undo => Deed::Undo,
        KeyDeed::Skip => Deed::Skip,
        KeyDeed::Flag => Deed::Flag,
        KeyDeed::Note => Deed::Note,
        KeyDeed::Zoom => Deed::Zoom,
        KeyDeed::Help => Deed::Help,
        KeyDeed::Accept => Deed::AnswerSuggested,
    }
}

/// As many workers as the machine has cores, at most four.
fn usual_workers() -> usize {
    cores().clamp(1, 4)
}

/// As many as the browser says that there are.
fn cores() -> usize {
    let cores = web_sys::window().map_or(2.0, |window| window.navigator().hardware_concurrency());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cores = cores as usize;
    cores
}

/// 128 random bits.
fn random_seed() -> [u64; 2] {
    let mut bytes = [0_u8; 16];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    if crypto.is_none_or(|crypto| crypto.get_random_values_with_u8_array(&mut bytes).is_err()) {
        // No browser of today comes here; record ids stay distinct in one tab even so.
        let drawn = [js_sys::Math::random().to_bits(), Date::now().to_bits()];
        return drawn;
    }
    let half = |at: usize| bytes[at..at + 8].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    [half(0), half(8)]
}

fn visit_name() -> String {
    let mut chance = crate::domain::ident::Chance::new(random_seed());
    chance.record_id(now()).to_string()
}

/// A JavaScript array of numbers as thresholds.
#[must_use]
pub fn thresholds(list: &Array) -> Vec<f32> {
    #[allow(clippy::cast_possible_truncation)]
    list.iter().filter_map(|value| value.as_f64()).map(|value| value as f32).collect()
}
