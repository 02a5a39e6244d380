//! The driver's part that learns: it takes rows to the learner, lessons to the session, and improved models out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use gloo::timers::callback::Timeout;
use js_sys::{Function, Uint8Array};
use leptos::prelude::*;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::AbortSignal;

use super::desk::{ChartView, Download, Figures, Panel, Trouble};
use super::driver::{Driver, set, spec};
use super::learner::{HeadOut, Learner, Said};
use super::workers::Rows;
use super::{download, events, model};
use crate::domain::correction::Correction;
use crate::domain::correction::{PredictionShown, Role};
use crate::domain::dispatch::{Ticket, WorkerId};
use crate::domain::few::Few;
use crate::domain::item::Failed;
use crate::domain::label::{Label, LabelId};
use crate::domain::learning::learner::Gate;
use crate::domain::prediction::Prediction;
use crate::domain::promise::Verdict;
use crate::domain::session::{self, ModelSpec, Notice};
use crate::input::InputSpec;
use crate::wire::config::Learning;
use crate::wire::head;
use crate::wire::worker::{Chart, Loaded, Request, StudyRules};

/// The setting that holds the answers that were added, a line each.
const LABELS: &str = "labels";

/// How often the address of newer models is looked at, milliseconds.
const LOOK_EVERY_MS: u32 = 600_000;
/// And the first time.
const LOOK_AFTER_MS: u32 = 3_000;
/// How often the figures are reckoned at most.
const FIGURES_EVERY_MS: u32 = 250;
/// By then the item after the one that was answered has been painted.
const PAINTED_MS: u32 = 60;
/// How often it is looked whether the learner has said anything, while it owes a word. One silent span alone may be a
/// device that slept.
const SILENCE_MS: u32 = 120_000;

/// Rows that wait for the learner's word.
struct Pending {
    worker: WorkerId,
    ticket: Ticket,
    rows: Rows,
}

/// A newer model that was found, where, and which one it is to follow.
struct Newer {
    manifest: Box<model::Manifest>,
    url: String,
    present: String,
}

/// What learns, and how it came to be.
#[derive(Default)]
pub struct Study {
    learner: RefCell<Option<Rc<Learner>>>,
    /// Before the first refit the learner has nothing to add: nobody waits for it.
    consulted: Cell<bool>,
    pending: RefCell<Few<u32, Pending>>,
    /// It is to be told to refit once the next item is painted.
    fit_soon: RefCell<Option<Timeout>>,
    /// It is to say what it has learned.
    fitting: Cell<bool>,
    /// Looks since its last word.
    silent: Cell<u32>,
    silence: RefCell<Option<Timeout>>,
    rules: RefCell<Option<StudyRules>>,
    learns: Cell<bool>,
    head: RefCell<Option<(Vec<f32>, Vec<f32>)>>,
    /// Labels that the head to start from has beyond the manifest's.
    added: RefCell<Vec<Arc<str>>>,
    spec: RefCell<Option<ModelSpec>>,
    /// What the model in use reads.
    input: RefCell<Option<InputSpec>>,
    exports: RefCell<Vec<(Download, Function, Function)>>,
    newer: RefCell<Option<Newer>>,
    look: RefCell<Option<Timeout>>,
    /// Whether the items that differ most are asked first.
    pub(super) diverse: Cell<bool>,
    figures_soon: RefCell<Option<Timeout>>,
    reckoning: Cell<bool>,
    figures: RefCell<Value>,
}

impl Study {
    /// Gives everything back.
    pub fn stop(&self) {
        self.learner.take();
        self.pending.borrow_mut().clear();
        self.forget_silence();
        self.reject_exports("the element was taken off the page or began anew: ask again");
        self.look.take();
        self.figures_soon.take();
        self.reckoning.set(false);
        self.figures.take();
        self.newer.take();
    }

    /// Whether there is anything for a learner to do: without learning it reckons the figures all the same.
    fn needs_learner(&self) -> bool {
        self.rules.borrow().is_some()
    }

    /// Whether answers are learned from.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.learns.get()
    }

    /// Settles how to learn, and fetches the head to start from.
    ///
    /// # Errors
    /// The head cannot be had or is of another model, with the mend.
    pub async fn prepare(
        &self,
        manifest: Option<&model::Manifest>,
        learning: Option<Learning>,
        head: Option<&str>,
        signal: &AbortSignal,
    ) -> Result<(), Vec<String>> {
        self.consulted.set(false);
        self.learns.set(false);
        *self.rules.borrow_mut() = None;
        *self.head.borrow_mut() = None;
        self.added.borrow_mut().clear();
        *self.input.borrow_mut() = manifest.map(|manifest| manifest.card.input.clone());
        *self.spec.borrow_mut() = manifest.and_then(|manifest| spec(&manifest.card, learning.is_some()));
        let Some(manifest) = manifest.filter(|_| self.spec.borrow().is_some()) else {
            self.learner.take();
            return Ok(());
        };
        let card = &manifest.card;
        let mut temperature = card.temperature.get();
        if let Some(url) = head.filter(|_| learning.is_some()) {
            let said = |why: String| vec![format!("The head {url}: {why}")];
            let text = model::text(url, signal).await.map_err(said)?;
            let head = head::parse(&text, card).map_err(|problems| {
                problems.0.iter().flat_map(|problem| said(problem.to_string())).collect::<Vec<_>>()
            })?;
            temperature = head.temperature;
            *self.head.borrow_mut() = Some((head.weights, head.bias));
            *self.added.borrow_mut() = head.added;
            self.consulted.set(true);
        }
        *self.rules.borrow_mut() = Some(StudyRules {
            labels: u32::try_from(card.labels.len()).unwrap_or(u32::MAX),
            manifest: manifest.text.clone(),
            temperature,
            features: 0,
            memory_mb: learning.map_or(0, |learning| learning.memory_mb),
            diverse: self.diverse.get(),
        });
        self.learns.set(learning.is_some());
        Ok(())
    }

    /// Tells those who wait for an export that there will be none.
    fn reject_exports(&self, why: &str) {
        for (_, _, reject) in self.exports.take() {
            let _ = reject.call1(&JsValue::NULL, &js_sys::Error::new(why));
        }
    }

    fn owes_a_word(&self) -> bool {
        let up = self.learner.borrow().as_ref().is_some_and(|learner| learner.is_up());
        up && (self.fitting.get() || !self.pending.borrow().is_empty())
    }

    /// Whoever comes next owes nothing yet.
    fn forget_silence(&self) {
        self.fit_soon.take();
        self.fitting.set(false);
        self.silent.set(0);
        self.silence.take();
    }

    /// Tells the learner what the session has to say.
    fn tell(&self, study: session::Study) {
        let learn = study == session::Study::Learn;
        self.consulted.set(self.consulted.get() || learn);
        self.fitting.set(self.fitting.get() || learn);
        if let Some(learner) = &*self.learner.borrow() {
            learner.study(study);
        }
    }
}

impl Driver {
    /// Tells the learner what the session has to say.
    pub(super) fn tell_learner(&self, study: session::Study) {
        if study == session::Study::Learn && self.desk.question.with_untracked(Option::is_some) {
            // A refit takes a core for a while, which the page wants now: the person waits for the next item.
            let me = self.me();
            *self.study.fit_soon.borrow_mut() = Some(Timeout::new(PAINTED_MS, move || {
                let Some(driver) = me.upgrade() else { return };
                driver.study.tell(session::Study::Learn);
                driver.watch_learner();
            }));
            return;
        }
        self.study.tell(study);
        self.watch_learner();
    }

    /// A learner that is silent for good keeps back what the workers read: it is given up then.
    fn watch_learner(&self) {
        let mut silence = self.study.silence.borrow_mut();
        if silence.is_some() {
            return;
        }
        let me = self.me();
        *silence = Some(Timeout::new(SILENCE_MS, move || {
            let Some(driver) = me.upgrade() else { return };
            let study = &driver.study;
            study.silence.take();
            if !study.owes_a_word() {
                return study.silent.set(0);
            }
            study.silent.set(study.silent.get() + 1);
            // The first look came some time after its last word: so many spans are at least one less.
            if study.silent.get() > 2 {
                driver.learner_lost("it has not said a word for minutes");
            } else {
                driver.watch_learner();
            }
        }));
    }

    /// Has a worker compile for the learner while the model is on its way.
    pub(super) fn prepare_learner(self: &Rc<Self>) {
        let me = Rc::downgrade(self);
        let spawn = self.given.borrow().spawn_worker.clone();
        let learner = Learner::new(&spawn, move |said| {
            me.upgrade().iter().for_each(|driver| driver.learner_said(&said));
        });
        *self.study.learner.borrow_mut() = learner;
    }

    /// The model is there, and how wide its rows are.
    pub(super) fn begin_study(&self, loaded: &Loaded) {
        // There are none without learning, nor after the learner was lost.
        let Some(rules) = self.study.rules.borrow().clone() else { return };
        if let Some(learner) = &*self.study.learner.borrow() {
            let head = self.study.head.borrow();
            learner.begin(StudyRules { features: loaded.features, ..rules }, head.as_ref());
        } else {
            self.learner_lost("the browser starts no worker for it");
        }
    }

    /// A worker's rows: to the learner, and to the session once it has something to say of them.
    pub(super) fn predicted(&self, worker: WorkerId, ticket: Ticket, rows: &Rows) {
        let learner = self.study.learner.borrow().clone();
        let Some(learner) = learner.filter(|_| self.study.learns() && !rows.is_empty()) else {
            return self.tell_predicted(worker, ticket, rows, None);
        };
        let keys = rows.outcomes.iter().filter(|(_, row)| row.is_ok()).map(|(key, _)| key.0).collect();
        let number = learner.take(keys, &rows.scores, &rows.features, rows.buffer());
        if self.study.consulted.get() {
            let pending = Pending { worker, ticket, rows: rows.clone() };
            self.study.pending.borrow_mut().insert(number, pending);
            // The worker has done its part, however long the learner takes.
            self.notice(Notice::Returned(worker, ticket));
            self.watch_learner();
        } else {
            self.tell_predicted(worker, ticket, rows, None);
        }
    }

    /// Tells the session; without the learner's word the model's own counts.
    fn tell_predicted(
        &self,
        worker: WorkerId,
        ticket: Ticket,
        rows: &Rows,
        said: Option<&[Option<Prediction>]>,
    ) {
        let spec = self.study.spec.borrow();
        let own = |row: usize| match spec.as_ref() {
            Some(spec) if !spec.from_nothing => spec.read(rows.scores_of(row)).map(Some),
            _ => Ok(None),
        };
        let results = rows.outcomes.iter().map(|(key, outcome)| {
            let result = outcome.clone().and_then(|row| match said {
                Some(said) => match said.get(row).copied().flatten() {
                    // Numbers that are not finite are the worker's to find: here nothing can be said yet.
                    None if spec.as_ref().is_some_and(|spec| !spec.from_nothing) => {
                        Err(Failed::Unpredictable("the model's numbers are not finite".into()))
                    }
                    prediction => Ok(prediction),
                },
                None => own(row),
            });
            (*key, result)
        });
        let results = results.collect();
        drop(spec);
        self.notice(Notice::Predicted { worker, ticket, results });
    }

    fn learner_said(&self, said: &Said) {
        self.study.silent.set(0);
        match said {
            Said::Taken(number, predictions) => {
                let pending = self.study.pending.borrow_mut().remove(*number);
                if let Some(Pending { worker, ticket, rows }) = pending {
                    self.tell_predicted(worker, ticket, &rows, Some(predictions));
                }
            }
            Said::Learned(learned) => {
                self.study.fitting.set(false);
                self.notice(Notice::Learned(learned.clone()));
            }
            Said::Exported(result) => self.exported(result),
            Said::Head(head) => self.head_given(head),
            Said::Evaluated(figures, charts) => self.evaluated(figures, charts),
            Said::Lost(why) => self.learner_lost(why),
        }
    }

    // ---- figures -------------------------------------------------------------------------------

    /// Has the figures reckoned soon: not with each of several things that happen at once.
    pub(super) fn figures_later(&self) {
        let mut soon = self.study.figures_soon.borrow_mut();
        if soon.is_none() {
            let me = self.me();
            *soon = Some(Timeout::new(FIGURES_EVERY_MS, move || {
                let Some(driver) = me.upgrade() else { return };
                driver.study.figures_soon.take();
                driver.figures_now();
            }));
        }
    }

    /// Has the figures reckoned, and drawn if the panel is open.
    pub(super) fn figures_now(&self) {
        let Some(learner) = self.study.learner.borrow().clone() else { return };
        let slot = self.session.borrow();
        let Some(session) = slot.as_ref() else { return };
        // One at a time: the next one sees what came meanwhile.
        if self.study.reckoning.replace(true) {
            return self.figures_later();
        }
        let (progress, words) = (session.progress(), self.desk.words.get_value());
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let threshold = session.policy().accept_at;
        let request = Request::Evaluate {
            arrived: narrow(progress.arrived),
            waiting: narrow(progress.waiting),
            target: session.target().map(|rules| rules.target.accuracy),
            threshold: (threshold <= 1.0).then_some(threshold),
            charts: self.desk.panel.get_untracked() == Panel::Cycle,
            locale: words.locale.into(),
            words: words.of_charts().map(str::to_owned).into(),
            labels: self.label_texts(),
        };
        learner.evaluate(request, &session.settled_at());
    }

    /// Id and name of each label in turn.
    fn label_texts(&self) -> Vec<String> {
        let labels = self.desk.labels.get_untracked();
        labels.iter().flat_map(|(_, label)| [label.id.to_string(), label.name.to_string()]).collect()
    }

    fn evaluated(&self, figures: &str, charts: &[Chart]) {
        self.study.reckoning.set(false);
        let json: Value = serde_json::from_slice(figures.as_bytes()).unwrap_or_default();
        set(self.desk.figures, self::figures(&json));
        if !charts.is_empty() {
            let chart = |chart: &Chart| ChartView {
                name: chart.name.as_str().into(),
                title: chart.title.as_str().into(),
                description: chart.description.as_str().into(),
                svg: chart.svg.as_str().into(),
                csv: chart.csv.as_str().into(),
            };
            set(self.desk.charts, charts.iter().map(chart).collect());
        }
        *self.study.figures.borrow_mut() = json;
        events::dispatch(&self.host, "hitl-progress", &self.figures());
    }

    /// The figures with what the session knows beside them.
    fn with_promise(&self, figures: Value) -> Value {
        let slot = self.session.borrow();
        let Some(session) = slot.as_ref() else { return figures };
        let parts = |verdict: Verdict| match verdict {
            Verdict::Earned { threshold, audits, errors, bound } => {
                (true, Some(threshold), audits, errors, 0, Some(bound))
            }
            Verdict::NotYet { audits, errors, needed } => (false, None, audits, errors, needed, None),
        };
        let promise = session.promise().map(|promise| {
            let group = |(label, verdict): &(Option<LabelId>, Verdict)| {
                let (earned, threshold, audits, errors, needed, bound) = parts(*verdict);
                let label = label.and_then(|id| session.labels().get(id)).map(|label| &*label.id);
                json!({
                    "label": label, "earned": earned, "threshold": threshold, "audits": audits,
                    "errors": errors, "needed": needed, "bound": bound,
                })
            };
            let groups: Vec<Value> = promise.groups.iter().map(group).collect();
            let (earned, threshold, audits, errors, needed, bound) = parts(promise.verdict);
            json!({
                "target": promise.target.accuracy, "confidence": promise.target.confidence, "earned": earned,
                "threshold": threshold, "audits": audits, "errors": errors, "needed": needed, "bound": bound,
                "answered": promise.answered, "waiting": promise.waiting, "lost": promise.lost,
                "alarms": promise.alarms, "evidence": promise.evidence, "groups": groups,
            })
        });
        let lesson = session.lesson().map(|lesson| {
            let kept = match lesson.gate {
                Gate::Kept { answers, .. } => Some(answers),
                Gate::NoEvidence | Gate::Passed => None,
            };
            json!({
                "head_version": lesson.version, "trained": lesson.trained, "held_out": lesson.held_out,
                "kept": kept, "temperature": lesson.temperature.get(), "log_loss": lesson.log_loss,
                "calibration_error": lesson.calibration_error,
            })
        });
        let slips = session.slips().count();
        let mut figures = figures;
        for (name, value) in [("promise", json!(promise)), ("lesson", json!(lesson)), ("slips", json!(slips))]
        {
            figures[name] = value;
        }
        figures
    }

    /// The figures as they were reckoned last, with where promise and learning stand now; null before the start.
    #[must_use]
    pub fn figures(&self) -> Value {
        if self.session.borrow().is_none() {
            return Value::Null;
        }
        self.with_promise(self.study.figures.borrow().clone())
    }

    /// Goes on without: what was learned so far stays, the records are not touched.
    fn learner_lost(&self, why: &str) {
        web_sys::console::warn_1(&format!("hitl-labeler: the learner was lost: {why}").into());
        self.study.learner.take();
        self.study.rules.take();
        self.study.reckoning.set(false);
        self.study.reject_exports(&format!("the learner was lost: {why}"));
        let lost = self.study.learns().then_some(Trouble::NoLearner);
        self.trouble(|trouble| *trouble == Trouble::NoLearner, lost);
        // Before what comes without it: the session must not take that for the learner's word.
        self.notice(Notice::LearnerLost);
        let pending = std::mem::take(&mut *self.study.pending.borrow_mut());
        for (_, Pending { worker, ticket, rows }) in pending.iter() {
            self.tell_predicted(*worker, *ticket, rows, None);
        }
    }

    /// Has the browser save what was learned as a file.
    pub(super) fn save_learned(&self, what: Download) {
        let name = match what {
            Download::Head => "head.json",
            Download::Manifest => "model.json",
            _ => "model.onnx",
        };
        let save = Closure::once_into_js(move |blob: web_sys::Blob| download::save_blob(name, &blob));
        let refuse = Closure::once_into_js(|why: JsValue| {
            web_sys::console::error_2(&"hitl-labeler: the file could not be made".into(), &why);
        });
        self.give_out(what, save.unchecked_into(), refuse.unchecked_into());
    }

    /// Gives out what was learned; `resolve` gets a Blob, `reject` an error that says what to do.
    pub fn give_out(&self, what: Download, resolve: Function, reject: Function) {
        let refuse = |why: &str| drop(reject.call1(&JsValue::NULL, &js_sys::Error::new(why)));
        let Some(learner) = self.study.learner.borrow().clone().filter(|_| self.study.learns()) else {
            return refuse("nothing is learned here: it takes a model, and `learning` not false");
        };
        let model = self.workers.borrow().as_ref().and_then(|workers| workers.model());
        let Some(model) = model else { return refuse("the model is not there yet: wait for hitl-ready") };
        match what {
            Download::Head => learner.head(),
            _ => {
                learner.export(model.manifest.clone(), self.label_texts(), &model.bytes);
            }
        }
        self.study.exports.borrow_mut().push((what, resolve, reject));
    }

    /// The oldest of those who wait for this.
    fn waiting_for(&self, wanted: impl Fn(Download) -> bool) -> Option<(Download, Function, Function)> {
        let mut waiting = self.study.exports.borrow_mut();
        let at = waiting.iter().position(|(what, ..)| wanted(*what))?;
        Some(waiting.remove(at))
    }

    fn exported(&self, result: &Result<(Uint8Array, String), String>) {
        let Some((what, resolve, reject)) = self.waiting_for(|what| what != Download::Head) else { return };
        let blob = match (result, what) {
            (Ok((_, manifest)), Download::Manifest) => download::blob("application/json", manifest),
            (Ok((file, _)), _) => download::bytes("application/octet-stream", file),
            (Err(why), _) => Err(js_sys::Error::new(why).into()),
        };
        let _ = match blob {
            Ok(blob) => resolve.call1(&JsValue::NULL, &blob),
            Err(why) => reject.call1(&JsValue::NULL, &why),
        };
    }

    fn head_given(&self, given: &HeadOut) {
        let Some((_, resolve, reject)) = self.waiting_for(|what| what == Download::Head) else { return };
        let text = {
            let session = self.session.borrow();
            session.as_ref().map(|session| {
                let out = head::HeadFile {
                    scaling: given.scaling,
                    added: Vec::new(),
                    answers: given.answers,
                    temperature: given.temperature,
                    weights: given.weights.clone(),
                    bias: given.bias.clone(),
                };
                head::write(&out, session.model_name(), session.labels())
            })
        };
        let blob = download::blob("application/json", &text.unwrap_or_default());
        let _ = match blob {
            Ok(blob) => resolve.call1(&JsValue::NULL, &blob),
            Err(why) => reject.call1(&JsValue::NULL, &why),
        };
    }

    // ---- newer models --------------------------------------------------------------------------

    /// Looks now and then whether the address that the manifest names has another model.
    pub(super) fn watch_for_newer(self: &Rc<Self>, manifest: &model::Manifest) {
        if let Some(url) = manifest.updates.clone() {
            self.look_after(url, manifest.card.sha256.to_string(), LOOK_AFTER_MS);
        }
    }

    fn look_after(self: &Rc<Self>, url: String, present: String, ms: u32) {
        let me = Rc::downgrade(self);
        *self.study.look.borrow_mut() = Some(Timeout::new(ms, move || {
            let Some(driver) = me.upgrade() else { return };
            let generation = driver.generation.get();
            spawn_local(async move {
                let signal = driver.abort.borrow().signal();
                // One that cannot be had, or is wrong, is no newer model: the next look may find it mended.
                let found = model::manifest(&url, &signal).await.ok();
                if driver.generation.get() != generation {
                    return;
                }
                match found.filter(|found| found.card.sha256.to_string() != present) {
                    Some(found) => driver.offer(Newer { manifest: Box::new(found), url, present }),
                    None => driver.look_after(url, present, LOOK_EVERY_MS),
                }
            });
        }));
    }

    fn offer(&self, newer: Newer) {
        let found = &newer.manifest;
        let why = match (self.session.borrow().as_ref(), self.study.input.borrow().as_ref()) {
            (Some(session), Some(input)) => found.card.follows(session.labels(), input).err(),
            _ => Some("no model is in use".to_owned()),
        };
        let fits = why.is_none();
        let version: Arc<str> = found.card.version.as_str().into();
        let detail = json!({ "version": &*version, "fits": fits, "why": why });
        if fits {
            *self.study.newer.borrow_mut() = Some(newer);
            set(self.desk.newer, Some(version));
        }
        events::dispatch(&self.host, "hitl-model", &detail);
    }

    /// Moves over to the newer model: answers stay, everything is predicted again in the background.
    pub fn take_newer(self: &Rc<Self>) {
        let Some(Newer { manifest, url: from, present }) = self.study.newer.take() else { return };
        let (driver, generation) = (self.clone(), self.generation.get());
        let config = self.config.borrow().clone();
        spawn_local(async move {
            let signal = driver.abort.borrow().signal();
            let most = config.model.as_ref().map_or(u64::MAX, |at| at.max_bytes);
            let fetched = model::model(&manifest, most, &signal, |_| {}).await;
            if driver.generation.get() != generation {
                return;
            }
            set(driver.desk.newer, None);
            let bytes = match fetched {
                Ok(bytes) => bytes,
                Err(why) => {
                    let message = why.join("\n");
                    events::dispatch(
                        &driver.host,
                        "hitl-error",
                        &json!({ "code": "model", "message": message }),
                    );
                    return driver.look_after(from, present, LOOK_EVERY_MS);
                }
            };
            let prepared = driver.study.prepare(Some(&manifest), config.learning, None, &signal).await;
            if driver.study.needs_learner() && prepared.is_ok() {
                // What the old learner was asked it does not answer any more.
                driver.study.pending.borrow_mut().clear();
                driver.study.forget_silence();
                driver.study.reckoning.set(false);
                driver.study.reject_exports("the model was changed for a newer one: ask again");
                driver.prepare_learner();
            }
            driver.set_model(&manifest, bytes, config.items.pixel_limit);
            if let Some(spec) = spec(&manifest.card, config.learning.is_some()) {
                driver.notice(Notice::ModelChanged(spec));
            }
            driver.watch_for_newer(&manifest);
        });
    }

    // ---- labels of the person ------------------------------------------------------------------

    /// Adds an answer to those that there are.
    pub fn add_label(&self, name: &str) {
        let name: Arc<str> = name.trim().into();
        if name.is_empty() || !self.config.borrow().open_labels {
            return;
        }
        self.notice(Notice::LabelAdded(Label { id: name.clone(), name: name.clone() }));
        self.show_labels();
        let Some(store) = self.store.borrow().clone() else { return };
        spawn_local(async move {
            let known = store.setting(LABELS).await.unwrap_or_default();
            if !known.lines().any(|line| *line == *name) {
                // A browser that keeps no settings keeps no answers either, and says so.
                let _ = store.set_setting(LABELS, &format!("{known}{name}\n")).await;
            }
        });
    }

    /// The answers that were added elsewhere, where the head to start from was learned, and in earlier visits. The
    /// head's come first, as its rows do.
    pub(super) async fn known_labels(&self) -> Vec<Label> {
        let mut names = self.study.added.take();
        let store = self.store.borrow().clone().filter(|_| self.config.borrow().open_labels);
        if let Some(store) = store {
            names.extend(store.setting(LABELS).await.unwrap_or_default().lines().map(Arc::from));
        }
        names.into_iter().map(|id| Label { id: id.clone(), name: id }).collect()
    }

    /// The answers that a person added in another tab. While this one still reads the store they are in there.
    pub(super) fn meet_labels(&self, records: &[Correction]) {
        if !self.config.borrow().open_labels || self.session.borrow().is_none() {
            return;
        }
        // Of what is known already the labels were known, too, or are not answers any more.
        let is_news = |record: &&Correction| {
            self.session.borrow().as_ref().is_some_and(|session| session.record(record.id).is_none())
        };
        for id in records.iter().filter(is_news).filter_map(|record| record.answer.clone()) {
            if self.desk.labels.with_untracked(|labels| labels.find(&id).is_none()) {
                self.notice(Notice::LabelAdded(Label { id: id.clone(), name: id.clone() }));
                self.show_labels();
            }
        }
    }

    /// Shows the labels that there are now, with keys for the new ones.
    pub(super) fn show_labels(&self) {
        let Some(labels) = self.session.borrow().as_ref().map(|session| session.labels().clone()) else {
            return;
        };
        self.desk.keys.update(|keys| keys.grow(labels.len()));
        set(self.desk.labels, labels);
    }
}

/// The figures that the view shows.
fn figures(json: &Value) -> Figures {
    let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    let accepted = &json["accepted"];
    let way = |way: &Value| {
        let role = match way["role"].as_str()? {
            "deferred" => Role::Deferred,
            "audit" => Role::Audit,
            "review" => Role::Review,
            _ => Role::Manual,
        };
        let shown = match way["shown"].as_str()? {
            "hidden" => PredictionShown::Hidden,
            "shown" => PredictionShown::Shown,
            _ => PredictionShown::After,
        };
        Some((role, shown, whole(&way["n"]), whole(&way["agreed"])))
    };
    Figures {
        per_minute: json["settled_per_minute"].as_f64(),
        seconds_per_answer: json["seconds_per_answer"].as_f64(),
        checked: whole(&accepted["n"]),
        accuracy: accepted["accuracy"].as_f64(),
        interval: (accepted["low"].as_f64().unwrap_or(0.0), accepted["high"].as_f64().unwrap_or(1.0)),
        agreement: json["agreement"].as_array().iter().flat_map(|ways| ways.iter()).filter_map(way).collect(),
    }
}
