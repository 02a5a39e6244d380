//! Work in slices with a macrotask between them, and waiting that can be ended.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use gloo::events::EventListener;
use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, MessageChannel, MessageEvent};

use super::{Batch, SourceError};

/// Work before the batch is handed out and the page gets its turn, milliseconds. What is done with the
/// batch comes on top; together they should stay below 8.
const SLICE_MS: f64 = 4.0;

/// Items in one batch at most.
const MOST: usize = 500;

/// Ends waiting as soon as the signal is aborted, also for promises that never settle.
pub(super) struct Halt {
    signal: AbortSignal,
    waker: Rc<RefCell<Option<Waker>>>,
    _listener: EventListener,
}

impl Halt {
    pub(super) fn new(signal: &AbortSignal) -> Self {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let to_wake = waker.clone();
        let listener = EventListener::once(signal, "abort", move |_| {
            if let Some(waker) = to_wake.borrow_mut().take() {
                waker.wake();
            }
        });
        Self { signal: signal.clone(), waker, _listener: listener }
    }

    /// What became of the promise.
    ///
    /// # Errors
    /// [`SourceError::Stopped`].
    pub(super) async fn wait(&self, promise: Promise) -> Result<Result<JsValue, JsValue>, SourceError> {
        let mut promise = JsFuture::from(promise);
        poll_fn(|context| {
            if self.signal.aborted() {
                return Poll::Ready(Err(SourceError::Stopped));
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Pin::new(&mut promise).poll(context).map(Ok)
        })
        .await
    }
}

/// The batch at hand and the time that was spent on it.
pub(super) struct Slices<F: FnMut(Batch)> {
    pub(super) batch: Batch,
    on_batch: F,
    since: f64,
    channel: Option<MessageChannel>,
    /// The page's next turn, if it is waited for: one for all promises that settle before it.
    turn: Option<Promise>,
}

impl<F: FnMut(Batch)> Slices<F> {
    pub(super) fn new(on_batch: F) -> Self {
        let channel = MessageChannel::new().ok();
        Self { batch: Vec::new(), on_batch, since: now(), channel, turn: None }
    }

    /// Says that a slice begins: the page had its turn.
    pub(super) fn begin(&mut self) {
        self.since = now();
        self.turn = None;
    }

    /// Hands out what there is.
    pub(super) fn hand_out(&mut self) {
        if !self.batch.is_empty() {
            (self.on_batch)(std::mem::take(&mut self.batch));
        }
    }

    /// Hands out the batch and gives the page its turn, if it is time for that.
    pub(super) async fn breathe(&mut self, halt: &Halt) -> Result<(), SourceError> {
        if now() - self.since < SLICE_MS && self.batch.len() < MOST {
            return Ok(());
        }
        self.hand_out();
        halt.wait(self.macrotask()).await?.ok();
        self.begin();
        Ok(())
    }

    /// Waits for a promise of the page's; hands out the batch if that takes longer than a macrotask.
    pub(super) async fn wait(
        &mut self,
        promise: Promise,
        halt: &Halt,
    ) -> Result<Result<JsValue, JsValue>, SourceError> {
        if !self.batch.is_empty() {
            let turn = self.turn.take().unwrap_or_else(|| self.macrotask());
            let first = Promise::race(&js_sys::Array::of2(&promise, &turn));
            self.turn = Some(turn);
            let first = halt.wait(first).await?;
            if first.is_ok_and(|first| first.is_null() || first.is_instance_of::<MessageEvent>()) {
                self.hand_out();
                self.begin();
            }
        }
        halt.wait(promise).await
    }

    /// Settles in a task of its own. Not by a timer: those wait 4 ms when nested, and a second in a tab
    /// that is not visible.
    fn macrotask(&self) -> Promise {
        let Some(channel) = &self.channel else { return Promise::resolve(&JsValue::NULL) };
        Promise::new(&mut |resolve, _| {
            channel.port1().set_onmessage(Some(&resolve));
            if channel.port2().post_message(&JsValue::NULL).is_err() {
                resolve.call0(&JsValue::NULL).ok();
            }
        })
    }
}

impl<F: FnMut(Batch)> Drop for Slices<F> {
    fn drop(&mut self) {
        if let Some(channel) = &self.channel {
            channel.port1().set_onmessage(None);
            channel.port1().close();
        }
    }
}

fn now() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |clock| clock.now())
}
