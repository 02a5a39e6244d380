//! The Web Worker around `infer`: answers each [`Request`] with a [`Reply`].
//!
//! All items of a request are fetched and decoded side by side, and those of the next request while this
//! one's are in the model. A panic ends the worker: the page hears of it first and starts another one.

mod decode;
mod post;
mod study;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Float32Array, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessageEvent;

use crate::domain::item::{AsideReason, Failed};
use crate::infer::engine::{Rows, TractEngine, kernels};
use crate::infer::pipeline::Pipeline;
use crate::input::{InputSpec, Raw};
use crate::wire::manifest;
use crate::wire::worker::{Fault, Loaded, ModelFault, Predicted, Reply, Request, Source};
use decode::{Content, Surface};
use post::{Parts, post};
use study::Student;

/// Listens to the page for as long as the worker lives.
///
/// Says [`Reply::Ready`] first. To be called once, after the constructors of the Wasm module ran.
pub fn listen() {
    std::panic::set_hook(Box::new(|info| {
        // The trap that follows leaves the page with no more than "unreachable".
        post(&Reply::Fatal { message: info.to_string() }, &Parts::none());
    }));
    let worker: &'static Worker = Box::leak(Box::default());
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(|event: MessageEvent| worker.hear(&event.data()));
    post::scope().set_onmessage(Some(wasm_bindgen::JsCast::unchecked_ref(on_message.as_ref())));
    on_message.forget();
    post(
        &Reply::Ready { kernels: kernels(), relaxed: cfg!(target_feature = "relaxed-simd") },
        &Parts::none(),
    );
}

#[derive(Default)]
struct Worker {
    model: RefCell<Option<Model>>,
    student: RefCell<Option<Student>>,
    surface: RefCell<Surface>,
    pixel_limit: Cell<u64>,
}

struct Model {
    pipeline: Pipeline<TractEngine>,
    input: InputSpec,
    loaded: Loaded,
}

/// One [`Request::Predict`] on its way.
struct Batch {
    ticket: u32,
    features: bool,
    arrived: f64,
    items: RefCell<Vec<Option<Result<Content, Failed>>>>,
    waiting: Cell<usize>,
}

impl Worker {
    fn hear(&'static self, data: &JsValue) {
        match post::open(data) {
            Ok((Request::Load { manifest, pixel_limit }, parts)) => {
                self.pixel_limit.set(pixel_limit);
                let reply = match self.load(&manifest, &parts) {
                    Ok(loaded) => Reply::Loaded(loaded),
                    Err(faults) => Reply::Rejected { faults },
                };
                post(&reply, &Parts::none());
            }
            Ok((Request::Predict { ticket, items, features }, parts)) => {
                self.gather(ticket, items, features, &parts);
            }
            Ok((Request::Study(rules), parts)) => match Student::new(rules, &parts) {
                Ok(student) => {
                    self.student.replace(Some(student));
                    post(&Reply::Studying, &Parts::none());
                }
                Err(message) => post(&Reply::Fatal { message }, &Parts::none()),
            },
            Ok((request, parts)) => match &mut *self.student.borrow_mut() {
                Some(student) => student.hear(request, &parts),
                None => post(&Reply::Fatal { message: "this worker is no learner".into() }, &Parts::none()),
            },
            Err(message) => post(&Reply::Fatal { message }, &Parts::none()),
        }
    }

    fn load(&self, manifest: &str, parts: &Array) -> Result<Loaded, Vec<ModelFault>> {
        // Gone before the next one comes: two large models would not fit side by side.
        self.model.replace(None);
        let card = manifest::parse(manifest).map_err(ModelFault::of_manifest)?;
        let file = Uint8Array::new(&parts.get(0)).to_vec();
        let (pipeline, loaded) = Pipeline::load(&card, file, post::now).map_err(|why| vec![why.fault()])?;
        self.model.replace(Some(Model { pipeline, input: card.input, loaded }));
        Ok(loaded)
    }

    /// Fetches and decodes all items; the last one that is there takes the batch to the model.
    fn gather(&'static self, ticket: u32, sources: Vec<Source>, features: bool, parts: &Array) {
        let batch = Rc::new(Batch {
            ticket,
            features,
            arrived: post::now(),
            items: RefCell::new(sources.iter().map(|_| None).collect()),
            waiting: Cell::new(sources.len()),
        });
        let (mut places, mut files) = (vec![], vec![]);
        for (at, (source, part)) in (0..).zip(sources.into_iter().zip(parts.iter())) {
            if let Some(content) = decode::at_once(&source, &part, self.pixel_limit.get()) {
                batch.arrive(at, content);
            } else if let (Source::Blob, Some(file)) = (&source, decode::small_file(&part)) {
                places.push(at);
                files.push(file);
            } else {
                self.fetch(&batch, at, source, part, None);
            }
        }
        if !files.is_empty() {
            let batch = batch.clone();
            spawn_local(async move {
                // If one of them cannot be read, each has to say for itself whether it can.
                let mut contents = decode::together(&files).await.unwrap_or_default().into_iter();
                for (at, file) in places.into_iter().zip(files) {
                    self.fetch(&batch, at, Source::Blob, file.into(), contents.next());
                }
            });
        }
        // Otherwise the last of those that are still on their way will do it.
        if batch.waiting.get() == 0 {
            self.predict(&batch);
        }
    }

    fn fetch(
        &'static self,
        batch: &Rc<Batch>,
        at: usize,
        source: Source,
        part: JsValue,
        file: Option<Uint8Array>,
    ) {
        let batch = batch.clone();
        spawn_local(async move {
            batch.arrive(at, decode::fetched(source, part, file, self.pixel_limit.get()).await);
            if batch.waiting.get() == 0 {
                self.predict(&batch);
            }
        });
    }

    fn predict(&self, batch: &Batch) {
        let mut items: Vec<_> = batch.items.take().into_iter().flatten().collect();
        let mut model = self.model.borrow_mut();
        if let Some(model) = &*model {
            self.surface.borrow_mut().read(&mut items, &model.input);
        }
        let decoded = post::now();
        let mut rows = Rows { scores: vec![], features: batch.features.then(Vec::new) };
        let mut faults = vec![];
        #[allow(clippy::cast_possible_truncation)]
        let count = items.len() as u32;
        for (at, item) in (0..).zip(items) {
            let said = match (&mut *model, item) {
                (None, _) => Err(Failed::Unpredictable("no model is loaded".into())),
                (Some(_), Err(why)) => Err(why),
                (Some(model), Ok(content)) => match content.raw() {
                    Some(raw) => model.pipeline.predict(raw, &mut rows),
                    None => Err(Failed::Unreadable(AsideReason::NotAnImage)),
                },
            };
            if let Err(why) = said {
                faults.push(Fault { at, why: why.into() });
            }
        }
        let features = rows.features.filter(|_| model.as_ref().is_some_and(|m| m.loaded.features > 0));
        let predicted = Predicted {
            ticket: batch.ticket,
            count,
            faults,
            ms_decode: decoded - batch.arrived,
            ms_infer: post::now() - decoded,
        };
        let mut parts = Parts::none();
        parts.transfer(&Float32Array::from(&*rows.scores));
        match features {
            Some(features) => parts.transfer(&Float32Array::from(&*features)),
            None => parts.nothing(),
        }
        post(&Reply::Predicted(predicted), &parts);
    }
}

impl Batch {
    fn arrive(&self, at: usize, item: Result<Content, Failed>) {
        self.items.borrow_mut()[at] = Some(item);
        self.waiting.set(self.waiting.get() - 1);
    }
}

impl Content {
    /// The content as the pipeline takes it; `None` for a picture that was never read from its bitmap.
    fn raw(&self) -> Option<Raw<'_>> {
        match self {
            Self::Numbers(row) => Some(Raw::Numbers(row)),
            Self::Pixels { width, height, rgba } => {
                Some(Raw::Pixels(crate::input::image::Pixels { width: *width, height: *height, rgba }))
            }
            Self::Bitmap(_) => None,
        }
    }
}
