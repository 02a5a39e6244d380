//! What the page says of the configuration: a file, a property and attributes, read anew at each start.

use serde_json::{Map, Value};
use web_sys::{AbortSignal, Url};

use super::model;
use crate::reader::Problems;
use crate::wire::config;
use crate::wire::delivery::preset;

/// Where the configuration stands.
pub struct Settings {
    /// Absolute address of a JSON file.
    pub file: Option<String>,
    /// The property of that name; null if there is none.
    pub property: Value,
    /// Attributes by name, without `config`.
    pub attributes: Vec<(String, String)>,
    /// What addresses outside the file are relative to.
    pub base: String,
    /// Address of the folder with the presets that come with the element, with a slash at its end.
    pub presets: String,
}

impl Settings {
    /// All of them as one configuration, its addresses absolute.
    ///
    /// # Errors
    /// What is wrong, one problem a line, each with the mend.
    pub async fn read(&self, signal: &AbortSignal) -> Result<Value, Vec<String>> {
        let mut document = match &self.property {
            Value::Null => Value::Object(Map::new()),
            property => property.clone(),
        };
        if let Some(url) = &self.file {
            let said = |why| vec![format!("The configuration {url}: {why}")];
            let text = model::text(url, signal).await.map_err(said)?;
            let file = config::document(&text).map_err(lines)?;
            let file = config::rebase(file, &|address| absolute(url, address));
            document =
                config::merge(file, config::rebase(document, &|address| absolute(&self.base, address)));
        }
        let attributes = self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let document = config::overlay(document, &attributes.collect::<Vec<_>>()).map_err(lines)?;
        let document = config::rebase(document, &|address| absolute(&self.base, address));
        let mut presets = Vec::new();
        for name in preset::wanted(&document) {
            let url =
                if preset::is_name(name) { [&self.presets, name, ".json"].concat() } else { name.to_owned() };
            let said = |why| vec![format!("`delivery.preset`: found {name:?}, which cannot be had: {why}")];
            let text = model::text(&url, signal).await.map_err(said)?;
            presets.push(config::document(&text).map_err(|why| said(why.to_string()))?);
        }
        if presets.is_empty() { Ok(document) } else { preset::apply(document, &presets).map_err(lines) }
    }
}

fn lines(problems: Problems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

fn absolute(base: &str, address: &str) -> Option<String> {
    Some(Url::new_with_base(address, base).ok()?.href())
}
