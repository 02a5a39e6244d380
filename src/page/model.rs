//! Fetches the manifest and the model it names, telling how far the download is.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, ReadableStreamReadResult, RequestInit, Response};

use crate::input::card::ModelCard;
use crate::wire::manifest;

/// What the manifest says, as text and as card, and where the model is.
pub struct Manifest {
    /// As it was fetched.
    pub text: String,
    /// Checked.
    pub card: ModelCard,
    /// Absolute address of the ONNX file.
    pub file: String,
    /// Absolute address of the manifest that will name a newer model.
    pub updates: Option<String>,
}

/// Fetches and checks a manifest.
///
/// # Errors
/// What is wrong, one problem a line, each with the mend.
pub async fn manifest(url: &str, signal: &AbortSignal) -> Result<Manifest, Vec<String>> {
    let response = get(url, signal).await.map_err(|why| vec![format!("The manifest {url}: {why}")])?;
    let text = JsFuture::from(response.text().map_err(words)?).await.map_err(words)?;
    let text = text.as_string().unwrap_or_default();
    let card = manifest::parse(&text).map_err(|problems| {
        problems.0.iter().map(|problem| format!("The manifest {url}: {problem}")).collect::<Vec<_>>()
    })?;
    let absolute =
        |address: &str| web_sys::Url::new_with_base(address, url).map(|url| url.href()).map_err(words);
    let file = absolute(&card.file)?;
    let updates = card.updates.as_deref().map(absolute).transpose()?;
    Ok(Manifest { text, card, file, updates })
}

/// Fetches the model; `received` is told how many bytes are there.
///
/// The worker checks the digest; a file that is longer than the manifest says is not read to its end.
///
/// # Errors
/// What is wrong, with the mend.
pub async fn model(
    manifest: &Manifest,
    max_bytes: u64,
    signal: &AbortSignal,
    received: impl Fn(u64),
) -> Result<Uint8Array, Vec<String>> {
    let (url, expected) = (&manifest.file, manifest.card.bytes);
    if expected > max_bytes {
        return Err(vec![format!(
            "The model has {} MB, the limit is {} MB: raise model.max_bytes in the configuration if the visitors' \
             machines can bear it",
            expected >> 20,
            max_bytes >> 20
        )]);
    }
    let response = get(url, signal).await.map_err(|why| vec![format!("The model {url}: {why}")])?;
    let length = u32::try_from(expected).unwrap_or(u32::MAX);
    let bytes = Uint8Array::new_with_length(length);
    let body = response.body().ok_or_else(|| vec![format!("The model {url}: the answer is empty")])?;
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let wrong_length = |found: String| {
        vec![format!(
            "The model {url}: found {found}, expected {expected} bytes (`bytes` in the manifest); was the file \
             cut off, or replaced without its manifest?"
        )]
    };
    let mut filled = 0_u32;
    loop {
        let chunk: ReadableStreamReadResult = JsFuture::from(reader.read())
            .await
            .map_err(|_| vec![format!("The model {url}: the download broke off; try again")])?
            .unchecked_into();
        if chunk.get_done() == Some(true) {
            break;
        }
        let chunk: Uint8Array = Reflect::get(&chunk, &"value".into()).map_err(words)?.unchecked_into();
        if chunk.length() > length - filled {
            return Err(wrong_length("a longer file".into()));
        }
        bytes.set(&chunk, filled);
        filled += chunk.length();
        received(u64::from(filled));
    }
    if filled < length { Err(wrong_length(format!("{filled} bytes"))) } else { Ok(bytes) }
}

/// Fetches what is to be there.
///
/// # Errors
/// The status or the network's failure, in words.
async fn get(url: &str, signal: &AbortSignal) -> Result<Response, String> {
    let window = web_sys::window().ok_or("there is no window")?;
    let options = RequestInit::new();
    options.set_signal(Some(signal));
    let response = JsFuture::from(window.fetch_with_str_and_init(url, &options)).await.map_err(|_| {
        "it could not be fetched; check the address, the network, and that its server allows this page (CORS)"
            .to_owned()
    })?;
    let response: Response = response.unchecked_into();
    if response.ok() { Ok(response) } else { Err(format!("the server answered {}", response.status())) }
}

/// Fetches what is to be there, as text; what breaks off or is no text is empty, which no reader takes.
///
/// # Errors
/// As [`get`].
pub async fn text(url: &str, signal: &AbortSignal) -> Result<String, String> {
    let response = get(url, signal).await?;
    let text = match response.text() {
        Ok(text) => JsFuture::from(text).await.ok().and_then(|text| text.as_string()),
        Err(_) => None,
    };
    Ok(text.unwrap_or_default())
}

fn words(why: JsValue) -> Vec<String> {
    vec![
        why.dyn_ref::<js_sys::Error>()
            .map_or_else(|| "the browser refused".into(), |why| String::from(why.message())),
    ]
}
