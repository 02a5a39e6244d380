//! The worker that learns: one for an element, beside those that predict.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo::events::EventListener;
use js_sys::{Array, Float32Array, Float64Array, Function, Uint8Array, Uint32Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Worker};

use super::post::{floats, open, post_and_give};
use crate::domain::ident::RecordId;
use crate::domain::item::ItemKey;
use crate::domain::learning::learner::Use;
use crate::domain::prediction::Prediction;
use crate::domain::session::{Learned, Study};
use crate::wire::correction::to_record;
use crate::wire::worker::{Chart, PREDICTION, Reply, Request, StudyRules, read_prediction};

/// What comes from the learner.
pub enum Said {
    /// What it makes of the items of a [`Learner::take`].
    Taken(u32, Vec<Option<Prediction>>),
    /// A refit.
    Learned(Box<Learned>),
    /// The improved model with its manifest, or why there is none.
    Exported(Result<(Uint8Array, String), String>),
    /// The head in force.
    Head(HeadOut),
    /// Every figure, as JSON, and the charts.
    Evaluated(String, Vec<Chart>),
    /// It is gone.
    Lost(String),
}

/// A head as the learner gives it out.
pub struct HeadOut {
    /// Training answers in it.
    pub answers: u32,
    /// The temperature in force.
    pub temperature: f32,
    /// Whether it scales the scores.
    pub scaling: bool,
    /// Labels × features, row by row.
    pub weights: Vec<f32>,
    /// One a label.
    pub bias: Vec<f32>,
}

/// The learner of one element; dropping it terminates it.
pub struct Learner {
    worker: Worker,
    up: Cell<bool>,
    begun: Cell<bool>,
    /// What is said before its Wasm is up would be lost, and before it has its rules would not be understood.
    waiting: RefCell<Vec<(Request, Array, Array)>>,
    next_ticket: Cell<u32>,
    _listeners: RefCell<Vec<EventListener>>,
}

impl Drop for Learner {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

impl Learner {
    /// A worker that will learn; `None`: the browser starts none.
    pub fn new(spawn: &Function, hear: impl Fn(Said) + 'static) -> Option<Rc<Self>> {
        let worker: Worker = spawn.call0(&JsValue::NULL).ok()?.dyn_into().ok()?;
        let learner = Rc::new(Self {
            worker: worker.clone(),
            up: Cell::new(false),
            begun: Cell::new(false),
            waiting: RefCell::default(),
            next_ticket: Cell::new(0),
            _listeners: RefCell::default(),
        });
        let hear = Rc::new(hear);
        let listen = |kind: &'static str| {
            let (me, hear) = (Rc::downgrade(&learner), hear.clone());
            EventListener::new(&worker, kind, move |event| {
                let Some(learner) = me.upgrade() else { return };
                match event.dyn_ref::<MessageEvent>() {
                    Some(message) => learner.heard(&message.data(), &*hear),
                    None => hear(Said::Lost("the worker stopped".into())),
                }
            })
        };
        *learner._listeners.borrow_mut() = vec![listen("message"), listen("error"), listen("messageerror")];
        Some(learner)
    }

    /// Gives it its rules; `head` is what to start from, weights and bias.
    pub fn begin(&self, rules: StudyRules, head: Option<&(Vec<f32>, Vec<f32>)>) {
        if self.begun.replace(true) {
            return;
        }
        let parts = match head {
            Some((weights, bias)) => {
                Array::of2(&Float32Array::from(&**weights).into(), &Float32Array::from(&**bias).into())
            }
            None => Array::of2(&JsValue::NULL, &JsValue::NULL),
        };
        self.waiting.borrow_mut().insert(0, (Request::Study(rules), parts, Array::new()));
        self.flush();
    }

    /// Whether it can answer.
    pub fn is_up(&self) -> bool {
        self.up.get() && self.begun.get()
    }

    fn say(&self, request: Request, parts: Array, given: Array) {
        self.waiting.borrow_mut().push((request, parts, given));
        self.flush();
    }

    fn flush(&self) {
        if self.is_up() {
            for (request, parts, given) in self.waiting.take() {
                // Its buffers are our own, and there is nothing else in it that a browser cannot copy.
                drop(post_and_give(&self.worker, &request, &parts, &given));
            }
        }
    }

    /// Has it keep the rows of these items and say what it makes of them; the features' buffer is handed over.
    pub fn take(&self, items: Vec<u32>, scores: &[f32], features: &JsValue, buffer: Option<JsValue>) -> u32 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket.wrapping_add(1));
        let given = Array::new();
        if let Some(buffer) = buffer {
            given.push(&buffer);
        }
        let parts = Array::of2(&Float32Array::from(scores).into(), features);
        self.say(Request::Take { ticket, items }, parts, given);
        ticket
    }

    /// Tells it what the session has to say.
    pub fn study(&self, study: Study) {
        let request = match study {
            Study::Answer(item, used) => answer(item, used),
            Study::Labels(count) => Request::Labels { count: u32::try_from(count).unwrap_or(u32::MAX) },
            Study::Learn => Request::Learn,
            Study::Record(record) => Request::Record { line: to_record(&record).to_string() },
        };
        self.say(request, Array::new(), Array::new());
    }

    /// Asks for the improved model: answered by [`Said::Exported`].
    pub fn export(&self, manifest: String, labels: Vec<String>, file: &Uint8Array) {
        self.say(Request::Export { manifest, labels }, Array::of1(file), Array::new());
    }

    /// Asks for every figure: answered by [`Said::Evaluated`]. `settled` are the times of what the model settles.
    pub fn evaluate(&self, request: Request, settled: &[f64]) {
        let settled = Float64Array::from(settled);
        self.say(request, Array::of1(&settled), Array::of1(&settled.buffer()));
    }

    /// Asks for the head: answered by [`Said::Head`].
    pub fn head(&self) {
        self.say(Request::Head, Array::new(), Array::new());
    }

    fn heard(&self, data: &JsValue, hear: &dyn Fn(Said)) {
        let Some((reply, parts)) = open(data) else {
            return hear(Said::Lost("the learner sent a message that cannot be read".into()));
        };
        match reply {
            Reply::Ready { .. } => {
                self.up.set(true);
                self.flush();
            }
            Reply::Taken { ticket } => hear(Said::Taken(ticket, predictions(&floats(&parts, 0)))),
            Reply::Learned(lesson) => {
                let keys = parts.get(0).dyn_ref::<Uint32Array>().map(Uint32Array::to_vec).unwrap_or_default();
                let said = predictions(&floats(&parts, 1));
                hear(Said::Learned(Box::new(lesson.learned(&keys, said))));
            }
            Reply::Exported { manifest } => {
                hear(Said::Exported(Ok((Uint8Array::new(&parts.get(0)), manifest))))
            }
            Reply::Evaluated { figures, charts } => hear(Said::Evaluated(figures, charts)),
            Reply::NotExported { why } => hear(Said::Exported(Err(why))),
            Reply::Head { answers, temperature, scaling } => hear(Said::Head(HeadOut {
                answers,
                temperature,
                scaling,
                weights: floats(&parts, 0),
                bias: floats(&parts, 1),
            })),
            Reply::Fatal { message } => hear(Said::Lost(message)),
            Reply::Studying | Reply::Loaded(_) | Reply::Rejected { .. } | Reply::Predicted(_) => {}
        }
    }
}

fn predictions(numbers: &[f32]) -> Vec<Option<Prediction>> {
    numbers.chunks_exact(PREDICTION).map(read_prediction).collect()
}

fn answer(item: ItemKey, used: Option<(Use, RecordId)>) -> Request {
    let (label, hold_out, record) = match used {
        Some((Use::Train(label), record)) => (Some(label.0), 0.0, record.to_string()),
        Some((Use::HoldOut(label, weight), record)) => (Some(label.0), weight, record.to_string()),
        None => (None, 0.0, String::new()),
    };
    Request::Answer { item: item.0, label, hold_out, record }
}
