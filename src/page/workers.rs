//! Starts, feeds and stops the Web Workers as the dispatcher orders.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::{Array, Float32Array, Function, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Worker};

use super::post::{floats, open, post};
use crate::domain::dispatch::{Ticket, WorkerId};
use crate::domain::few::Few;
use crate::domain::item::{Failed, ItemKey};
use crate::wire::worker::{Kernel, Loaded, ModelFault, Reply, Request, Source};

/// What comes from a worker.
pub enum Heard {
    /// It runs, with these kernels.
    Up(Vec<Kernel>),
    /// It has the model, with rows so wide.
    Ready(WorkerId, Loaded),
    /// The model cannot be used.
    Rejected(Vec<ModelFault>),
    /// The rows of a ticket's items.
    Predicted(WorkerId, Ticket, Rows),
    /// It is gone.
    Lost(WorkerId, String),
}

/// What a worker's model says of the items of a ticket.
#[derive(Clone)]
pub struct Rows {
    /// Each item's row, or why it has none.
    pub outcomes: Vec<(ItemKey, Result<usize, Failed>)>,
    /// Scores, row by row.
    pub scores: Vec<f32>,
    /// Features, row by row; null for a model without.
    pub features: JsValue,
}

impl Rows {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The scores of one row.
    #[must_use]
    pub fn scores_of(&self, row: usize) -> &[f32] {
        let width = self.scores.len() / self.len().max(1);
        self.scores.get(row * width..(row + 1) * width).unwrap_or_default()
    }

    /// The features' buffer, to be handed over.
    #[must_use]
    pub fn buffer(&self) -> Option<JsValue> {
        self.features.dyn_ref::<Float32Array>().map(|features| features.buffer().into())
    }
}

/// The model as the workers get it.
pub struct ModelFile {
    /// The manifest as it was fetched.
    pub manifest: String,
    /// The ONNX file.
    pub bytes: Uint8Array,
    /// Pictures of more pixels are refused.
    pub pixel_limit: u64,
    /// Whether features are wanted, too.
    pub features: bool,
}

/// The workers of one element; dropping it terminates them.
pub struct Workers {
    spawn: Function,
    hear: Rc<dyn Fn(Heard)>,
    model: RefCell<Option<Rc<ModelFile>>>,
    spare: RefCell<Vec<Rc<Live>>>,
    live: RefCell<Few<WorkerId, Rc<Live>>>,
}

struct Live {
    worker: Worker,
    /// Unset while it is a spare one.
    id: Cell<Option<WorkerId>>,
    up: Cell<bool>,
    loaded: Cell<bool>,
    /// Items of the tickets that are out, in order.
    tickets: RefCell<Few<u32, Vec<ItemKey>>>,
    listeners: RefCell<Vec<EventListener>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

impl Workers {
    /// No worker yet; `spawn()` makes one that loads the worker's Wasm, `hear` is told what comes.
    pub fn new(spawn: Function, hear: impl Fn(Heard) + 'static) -> Rc<Self> {
        Rc::new(Self {
            spawn,
            hear: Rc::new(hear),
            model: RefCell::new(None),
            spare: RefCell::new(Vec::new()),
            live: RefCell::default(),
        })
    }

    /// Has workers compile while the model is still on its way.
    pub fn prewarm(self: &Rc<Self>, count: usize) {
        for _ in 0..count {
            let spare = self.spawned();
            self.spare.borrow_mut().extend(spare);
        }
    }

    fn spawned(self: &Rc<Self>) -> Option<Rc<Live>> {
        let worker: Worker = self.spawn.call0(&JsValue::NULL).ok()?.dyn_into().ok()?;
        let live = Rc::new(Live {
            worker: worker.clone(),
            id: Cell::new(None),
            up: Cell::new(false),
            loaded: Cell::new(false),
            tickets: RefCell::default(),
            listeners: RefCell::default(),
        });
        let listen = |kind: &'static str| {
            let (workers, live) = (Rc::downgrade(self), Rc::downgrade(&live));
            EventListener::new(&worker, kind, move |event| {
                let (Some(workers), Some(live)) = (workers.upgrade(), live.upgrade()) else { return };
                match event.dyn_ref::<MessageEvent>() {
                    Some(message) => workers.heard(&live, &message.data()),
                    None => workers.lost(&live, "the worker stopped"),
                }
            })
        };
        *live.listeners.borrow_mut() = vec![listen("message"), listen("error"), listen("messageerror")];
        Some(live)
    }

    /// Gives every worker the model, those to come as well.
    pub fn set_model(&self, model: ModelFile) {
        *self.model.borrow_mut() = Some(Rc::new(model));
        for (_, live) in self.live.borrow().iter() {
            self.load(live);
        }
    }

    /// The model that the workers have.
    #[must_use]
    pub fn model(&self) -> Option<Rc<ModelFile>> {
        self.model.borrow().clone()
    }

    /// Starts a worker.
    pub fn start(self: &Rc<Self>, id: WorkerId) {
        let spare = self.spare.borrow_mut().pop();
        let Some(live) = spare.or_else(|| self.spawned()) else {
            return (self.hear)(Heard::Lost(id, "the browser does not start workers".into()));
        };
        live.id.set(Some(id));
        self.live.borrow_mut().insert(id, live.clone());
        self.load(&live);
    }

    /// Terminates a worker.
    pub fn stop(&self, id: WorkerId) {
        self.live.borrow_mut().remove(id);
    }

    /// Terminates all.
    pub fn stop_all(&self) {
        self.live.borrow_mut().clear();
        self.spare.borrow_mut().clear();
    }

    /// Sends items; each source comes with its part.
    pub fn predict(&self, id: WorkerId, ticket: Ticket, items: Vec<(ItemKey, Source, JsValue)>) {
        let Some(live) = self.live.borrow().get(id).cloned() else { return };
        let (mut keys, mut sources) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        let parts = Array::new();
        for (key, source, part) in items {
            keys.push(key);
            sources.push(source);
            parts.push(&part);
        }
        live.tickets.borrow_mut().insert(ticket.0, keys);
        let features = self.model.borrow().as_ref().is_some_and(|model| model.features);
        let request = Request::Predict { ticket: ticket.0, items: sources, features };
        if post(&live.worker, &request, &parts).is_err() {
            self.lost(&live, "the items could not be sent");
        }
    }

    fn load(&self, live: &Live) {
        let Some(model) = self.model.borrow().clone() else { return };
        if !live.up.get() || live.id.get().is_none() || live.loaded.replace(true) {
            return;
        }
        let request = Request::Load { manifest: model.manifest.clone(), pixel_limit: model.pixel_limit };
        let _ = post(&live.worker, &request, &Array::of1(&model.bytes));
    }

    fn lost(&self, live: &Rc<Live>, why: &str) {
        let known = live.id.get().and_then(|id| self.live.borrow_mut().remove(id).map(|_| id));
        // A spare one that dies is simply no spare any more.
        self.spare.borrow_mut().retain(|spare| !Rc::ptr_eq(spare, live));
        if let Some(id) = known {
            (self.hear)(Heard::Lost(id, why.to_owned()));
        }
    }

    fn heard(&self, live: &Rc<Live>, data: &JsValue) {
        let Some((reply, parts)) = open(data) else {
            return self.lost(live, "the worker sent a message that cannot be read");
        };
        match reply {
            Reply::Ready { kernels, .. } => {
                if !live.up.replace(true) {
                    (self.hear)(Heard::Up(kernels));
                }
                self.load(live);
            }
            Reply::Loaded(loaded) => {
                live.id.get().into_iter().for_each(|id| (self.hear)(Heard::Ready(id, loaded)));
            }
            Reply::Rejected { faults } => (self.hear)(Heard::Rejected(faults)),
            Reply::Predicted(predicted) => {
                let ticket = predicted.ticket;
                let (Some(id), Some(keys)) = (live.id.get(), live.tickets.borrow_mut().remove(ticket)) else {
                    return;
                };
                let outcomes = predicted.outcomes().map(|outcome| outcome.map_err(|why| why.clone().into()));
                let outcomes = keys.into_iter().zip(outcomes).collect();
                let rows = Rows { outcomes, scores: floats(&parts, 0), features: parts.get(1) };
                (self.hear)(Heard::Predicted(id, Ticket(ticket), rows));
            }
            Reply::Fatal { message } => self.lost(live, &message),
            // The learner is asked elsewhere.
            _ => {}
        }
    }
}
