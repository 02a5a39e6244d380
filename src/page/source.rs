//! Where items come from: an address, the page's own array or (async) iterable, files that were dropped.
//!
//! Everything here works in slices of a few milliseconds with a macrotask between them, so that keys and
//! paint never wait for it, and ends as soon as the signal is aborted.

mod breath;
mod files;
mod given;
mod held;

use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, ReadableStream, ReadableStreamDefaultReader, RequestInit, Response};

use crate::domain::item::{Aside, Item};
use crate::wire::address;
use crate::wire::items::{ItemStream, Resolve, StreamError};
use crate::wire::table::{TableError, TableStream};
use breath::{Halt, Slices};

pub use files::files;
pub use given::iterate;
pub use held::Held;

/// Items, and what is set aside.
pub type Batch = Vec<Result<Item, Aside>>;

/// Bytes that are parsed at a time: less than a millisecond of work.
const PIECE: u32 = 8 << 10;

/// Why items stopped coming; those before stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The server has no items there.
    #[error("the server answered {status} for {address}: check the address of the items")]
    Status {
        /// HTTP status.
        status: u16,
        /// As it was asked for.
        address: String,
    },
    /// No answer at all.
    #[error(
        "{address} could not be fetched: check the address, the network, and that its server allows this page (CORS)"
    )]
    Unreachable {
        /// As it was asked for.
        address: String,
    },
    /// The connection was lost in the middle.
    #[error("the connection broke off in the middle of the items: try again")]
    BrokeOff,
    /// What came is no list of items, or is broken.
    #[error(transparent)]
    Json(#[from] StreamError),
    /// What came is no table of items, or is broken.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The property holds something else.
    #[error("the property `items` must be an array, an iterable or an async iterable of items")]
    NotIterable,
    /// The page's iterator threw.
    #[error("the page's iterator of items failed: {0}")]
    Iterator(String),
    /// The signal was aborted: nobody waits for items any more.
    #[error("stopped")]
    Stopped,
}

/// Fetches items and hands them out as they come: a JSON list, JSON Lines or, by its type or name, CSV.
///
/// `columns`: names of those that the model reads, for CSV. Relative picture addresses are relative to
/// where the items came from, redirects included.
///
/// # Errors
/// [`SourceError`]; the items before stand.
pub async fn stream(
    url: &str,
    columns: &[String],
    signal: &AbortSignal,
    on_batch: impl FnMut(Batch),
) -> Result<(), SourceError> {
    let halt = Halt::new(signal);
    let unreachable = || SourceError::Unreachable { address: url.to_owned() };
    let window = web_sys::window().ok_or_else(unreachable)?;
    let options = RequestInit::new();
    options.set_signal(Some(signal));
    let response = halt.wait(window.fetch_with_str_and_init(url, &options)).await?;
    let response: Response = response.map_err(|_| unreachable())?.unchecked_into();
    if !response.ok() {
        return Err(SourceError::Status { status: response.status(), address: url.to_owned() });
    }
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let kind = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    let table =
        kind.to_ascii_lowercase().starts_with("text/csv") || path.to_ascii_lowercase().ends_with(".csv");
    let feed = if table { Feed::table(path, columns) } else { Feed::json() };
    let from = response.url();
    // A blob has no folder.
    let base = match address::scheme(&from).as_deref() {
        Some("http" | "https") => from,
        _ => page_address(),
    };
    let Some(body) = response.body() else { return Ok(()) };
    let resolve = |address: &str| resolved(address, &base);
    drain(&body, feed, &resolve, &halt, &mut Slices::new(on_batch)).await
}

/// The absolute form of an address.
fn resolved(address: &str, base: &str) -> Option<String> {
    web_sys::Url::new_with_base(address, base).ok().map(|url| url.href())
}

/// What addresses in the page are relative to.
fn page_address() -> String {
    let document = web_sys::window().and_then(|window| window.document());
    document.and_then(|document| document.base_uri().ok().flatten()).unwrap_or_default()
}

/// A parser for what comes.
enum Feed {
    Json(ItemStream),
    Table(TableStream),
}

impl Feed {
    fn json() -> Self {
        Self::Json(ItemStream::new())
    }

    fn table(path: &str, columns: &[String]) -> Self {
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("row");
        Self::Table(TableStream::new(name, columns))
    }

    fn push(&mut self, bytes: &[u8], resolve: Resolve<'_>, batch: &mut Batch) -> Result<(), SourceError> {
        match self {
            Self::Json(stream) => Ok(stream.push(bytes, resolve, |item| batch.push(item))?),
            Self::Table(stream) => Ok(stream.push(bytes, resolve, |item| batch.push(item))?),
        }
    }

    fn finish(self, resolve: Resolve<'_>, batch: &mut Batch) -> Result<(), SourceError> {
        match self {
            Self::Json(stream) => Ok(stream.finish(resolve, |item| batch.push(item))?),
            Self::Table(stream) => Ok(stream.finish(resolve, |item| batch.push(item))?),
        }
    }
}

/// Reads a stream of bytes to its end; what was complete before an error is handed out, too.
async fn drain<F: FnMut(Batch)>(
    body: &ReadableStream,
    mut feed: Feed,
    resolve: Resolve<'_>,
    halt: &Halt,
    slices: &mut Slices<F>,
) -> Result<(), SourceError> {
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let read = pump(&reader, &mut feed, resolve, halt, slices).await;
    let read = match read {
        Ok(()) => feed.finish(resolve, &mut slices.batch),
        Err(why) => {
            // Whoever waits for a promise takes its rejection, too: a stream that broke off rejects.
            let cancelled = wasm_bindgen_futures::JsFuture::from(reader.cancel());
            wasm_bindgen_futures::spawn_local(async move { drop(cancelled.await) });
            Err(why)
        }
    };
    if read != Err(SourceError::Stopped) {
        slices.hand_out();
    }
    read
}

async fn pump<F: FnMut(Batch)>(
    reader: &ReadableStreamDefaultReader,
    feed: &mut Feed,
    resolve: Resolve<'_>,
    halt: &Halt,
    slices: &mut Slices<F>,
) -> Result<(), SourceError> {
    let done = JsValue::from_str("done");
    let value = JsValue::from_str("value");
    loop {
        let read = halt.wait(reader.read()).await?.map_err(|_| SourceError::BrokeOff)?;
        slices.begin();
        if js_sys::Reflect::get(&read, &done).is_ok_and(|done| done.is_truthy()) {
            return Ok(());
        }
        let Ok(chunk) = js_sys::Reflect::get(&read, &value) else { return Err(SourceError::BrokeOff) };
        let chunk: js_sys::Uint8Array = chunk.unchecked_into();
        let mut from = 0;
        while from < chunk.length() {
            let to = chunk.length().min(from + PIECE);
            feed.push(&chunk.subarray(from, to).to_vec(), resolve, &mut slices.batch)?;
            from = to;
            slices.breathe(halt).await?;
        }
        slices.hand_out();
    }
}
