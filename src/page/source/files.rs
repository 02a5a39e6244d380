//! Items from files that a person dropped or picked.

use std::collections::HashMap;

use js_sys::{Array, Reflect};
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AbortSignal, File};

use super::breath::{Halt, Slices};
use super::{Batch, Feed, Held, SourceError, drain, page_address, resolved};
use crate::domain::item::{Content, ImageSource};
use crate::page::text::lower;
use crate::wire::items::{item_around, malformed};

/// What a file is, by its name and type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Json,
    Table,
    Hidden,
    Other,
}

/// Takes items from files: each picture is one; `.json`, `.jsonl`, `.ndjson` and `.csv` hold some. With such
/// a file in the list the pictures beside it are those that its items name, and no items of their own.
///
/// `columns`: names of those that the model reads, for tables. A file that cannot be read is set aside like
/// an item, and does not stop the others.
///
/// # Errors
/// [`SourceError::Stopped`] only.
pub async fn files(
    list: &Array,
    held: &Held,
    columns: &[String],
    signal: &AbortSignal,
    on_batch: impl FnMut(Batch),
) -> Result<(), SourceError> {
    let halt = Halt::new(signal);
    let mut slices = Slices::new(on_batch);
    let files: Vec<_> = list.iter().filter_map(|file| file.dyn_into::<File>().ok()).collect();
    let files: Vec<_> = files.into_iter().map(|file| (path(&file), kind(&file), file)).collect();
    let has_lists = files.iter().any(|(_, kind, _)| matches!(kind, Kind::Json | Kind::Table));
    let pictures = if has_lists { pictures(&files, held) } else { HashMap::new() };
    let mut seen: HashMap<String, u32> = HashMap::new();
    for (path, kind, file) in &files {
        let result = match kind {
            Kind::Hidden => continue,
            Kind::Picture if has_lists => continue,
            Kind::Picture => {
                let times = seen.entry(path.clone()).and_modify(|times| *times += 1).or_insert(1);
                let id = if *times > 1 { format!("{path} ({times})") } else { path.clone() };
                let Some(number) = held.keep(file) else { continue };
                item_around(Content::Image(ImageSource::Held(number)), &json!({"id": id}), path)
            }
            Kind::Json | Kind::Table => {
                let feed = if *kind == Kind::Json { Feed::json() } else { Feed::table(path, columns) };
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let base = page_address();
                let resolve = |address: &str| {
                    let beside = pictures.get(&joined(folder, address)).or_else(|| pictures.get(address));
                    beside.and_then(|number| held.url(*number)).or_else(|| resolved(address, &base))
                };
                match drain(&file.stream(), feed, &resolve, &halt, &mut slices).await {
                    Ok(()) => continue,
                    Err(SourceError::Stopped) => return Err(SourceError::Stopped),
                    Err(SourceError::BrokeOff) => {
                        Err(malformed(path, "this file could not be read to its end"))
                    }
                    Err(why) => Err(malformed(path, why.to_string())),
                }
            }
            Kind::Other => Err(malformed(path, "this is neither a picture nor a .jsonl, .json or .csv file")),
        };
        slices.batch.push(result);
        slices.breathe(&halt).await?;
    }
    slices.hand_out();
    Ok(())
}

/// Where the file lay in the folder that was picked, or its name.
fn path(file: &File) -> String {
    let path = Reflect::get(file, &JsValue::from_str("webkitRelativePath")).ok();
    path.and_then(|path| path.as_string()).filter(|path| !path.is_empty()).unwrap_or_else(|| file.name())
}

fn kind(file: &File) -> Kind {
    let (name, kind) = (lower(&file.name()), file.type_());
    match name.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default() {
        _ if name.starts_with('.') => Kind::Hidden,
        "json" | "jsonl" | "ndjson" => Kind::Json,
        "csv" | "tsv" => Kind::Table,
        "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "bmp" | "svg" | "ico" => Kind::Picture,
        _ if kind.starts_with("image/") => Kind::Picture,
        _ => Kind::Other,
    }
}

/// The pictures by path and, where only one bears it, by name.
fn pictures(files: &[(String, Kind, File)], held: &Held) -> HashMap<String, u32> {
    let mut pictures = HashMap::new();
    for (path, _, file) in files.iter().filter(|(_, kind, _)| *kind == Kind::Picture) {
        let Some(number) = held.keep(file) else { continue };
        pictures.insert(path.clone(), number);
        let mut same = files.iter().filter(|(_, _, other)| other.name() == file.name());
        if same.next().is_some() && same.next().is_none() {
            pictures.entry(file.name()).or_insert(number);
        }
    }
    pictures
}

/// `folder/address` without `.` and `..`.
fn joined(folder: &str, address: &str) -> String {
    let mut parts = Vec::new();
    for part in folder.split('/').chain(address.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
