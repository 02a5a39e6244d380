//! The element's attributes written into the configuration, so that there is one parser for both.

use serde_json::{Map, Value as Json};

use super::config;
use crate::reader::{Problem, Problems, decimal, read};
use crate::wire::address;
use crate::wire::delivery::preset;

/// Each attribute that is a shorthand, with the keys that it stands for.
pub const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("model", &["model", "url"]),
    ("items", &["items", "url"]),
    ("endpoint", &["delivery", "url"]),
    ("accept-at", &["policy", "accept_at"]),
    ("annotator", &["annotator"]),
    ("lang", &["lang"]),
];

/// Writes attributes over a configuration. An attribute without visible characters counts as absent, one
/// that is none of [`ATTRIBUTES`] is not looked at.
///
/// # Errors
/// Attributes whose values are wrong; each problem's path is the attribute as it stands: `accept-at="abc"`.
pub fn overlay(document: Json, attributes: &[(&str, &str)]) -> Result<Json, Problems> {
    let mut document = if document.is_null() { Json::Object(Map::new()) } else { document };
    let mut problems = Vec::new();
    for (name, value) in attributes.iter().filter(|(_, value)| !value.trim().is_empty()) {
        let Some((_, keys)) = ATTRIBUTES.iter().find(|(known, _)| known == name) else { continue };
        let json = match decimal(value.trim()) {
            Some(number) if *name == "accept-at" && number.is_finite() => Json::from(number),
            _ => Json::from(value.trim()),
        };
        // Alone in a document, so that what is wrong is known to be the attribute's.
        let mut alone = Json::Object(Map::new());
        place(&mut alone, keys, json.clone());
        match read(&alone, |node| config(&node)) {
            Ok(_) => {
                place(&mut document, keys, json);
                // A threshold takes the place of a target, as it does while the page is open.
                if *name == "accept-at"
                    && let Some(Json::Object(policy)) = document.get_mut("policy")
                {
                    policy.remove("target");
                }
            }
            Err(why) => problems.extend(why.0.into_iter().map(|problem| Problem {
                path: format!("{name}=\"{}\"", value.chars().take(60).collect::<String>()),
                ..problem
            })),
        }
    }
    if problems.is_empty() { Ok(document) } else { Err(Problems(problems)) }
}

/// Puts a value under nested keys. What stands in the way and is no object stays: the parser reports it.
fn place(document: &mut Json, keys: &[&str], value: Json) {
    let (Json::Object(fields), [key, rest @ ..]) = (document, keys) else { return };
    if rest.is_empty() {
        fields.insert((*key).to_owned(), value);
        return;
    }
    let inner = fields.entry((*key).to_owned()).or_insert(Json::Null);
    // `"model": "address"` is short for `"model": {"url": "address"}`.
    if inner.is_null() || (rest == ["url"] && inner.is_string()) {
        *inner = Json::Object(Map::new());
    }
    place(inner, rest, value);
}

/// One configuration over another: what `above` says wins, objects are merged key by key.
#[must_use]
pub fn merge(below: Json, above: Json) -> Json {
    match (below, above) {
        (Json::Object(mut below), Json::Object(above)) => {
            for (key, value) in above {
                let merged = match below.remove(&key) {
                    Some(under) => merge(under, value),
                    None => value,
                };
                below.insert(key, merged);
            }
            Json::Object(below)
        }
        (_, above) => above,
    }
}

/// Makes the relative addresses of a configuration file absolute: they are meant relative to the file.
#[must_use]
pub fn rebase(mut document: Json, resolve: &dyn Fn(&str) -> Option<String>) -> Json {
    for pointer in ["/model", "/model/url", "/model/head", "/items", "/items/url"] {
        if let Some(Json::String(text)) = document.pointer_mut(pointer) {
            absolute(text, text.len(), resolve);
        }
    }
    for pointer in ["/delivery/url", "/delivery/params/url"] {
        if let Some(Json::String(text)) = document.pointer_mut(pointer) {
            // What is filled in later is no address yet.
            absolute(text, text.find('{').unwrap_or(text.len()), resolve);
        }
    }
    let presets = match document.pointer_mut("/delivery/preset") {
        Some(Json::Array(several)) => several,
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for preset in presets {
        if let Json::String(text) = preset
            && !preset::is_name(text)
        {
            absolute(text, text.len(), resolve);
        }
    }
    document
}

/// Makes the first `length` bytes of an address absolute, if they are a relative one.
fn absolute(text: &mut String, length: usize, resolve: &dyn Fn(&str) -> Option<String>) {
    let (start, rest) = text.split_at(length);
    if !start.trim().is_empty()
        && address::scheme(start).is_none()
        && let Some(resolved) = resolve(start)
    {
        *text = resolved + rest;
    }
}
