//! Where the page goes once everything is delivered: Prolific's completion address, MTurk's form.

use std::sync::Arc;

use serde_json::Value;

use super::template::{self, Given, Lack, Place, Rules, Used, check};
use crate::reader::Node;
use crate::wire::address;

/// Where the page goes at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Template of the address.
    to: Arc<str>,
    /// Templates of the fields of a form that is posted there; `None`: the page just goes there.
    fields: Option<Value>,
    /// Origins that the address may have; empty: its template fixes it.
    allow: Vec<Arc<str>>,
}

/// A navigation of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Navigation {
    /// Absolute address.
    pub url: String,
    /// Names and values of a form that is posted; `None`: the page goes there by `location`.
    pub fields: Option<Vec<(String, String)>>,
}

const ROOTS: &[&str] = &["params", "query", "delivered"];

impl Finish {
    /// Reads `finish`.
    pub(super) fn read(node: &Node<'_>, params: &Value) -> Option<Self> {
        let fields = node.object(&["redirect", "form", "allow"])?;
        let (redirect, form) = (fields.optional("redirect"), fields.optional("form"));
        let mut allow = Vec::new();
        for node in fields.optional("allow").and_then(|node| node.list()).into_iter().flatten() {
            let origin = node.text()?;
            if origin_of(origin) != Some(origin) {
                return node.wrong("an origin such as \"https://www.mturk.com\", without a path");
            }
            allow.push(origin.into());
        }
        let rules = Rules { roots: ROOTS, params };
        let (at, form_fields) = match (redirect, form) {
            (Some(redirect), None) => (redirect, None),
            (None, Some(form)) => {
                let form = form.object(&["action", "fields"])?;
                let fields = form.required("fields")?;
                fields.open_object()?;
                check(&fields, &rules, &mut Used::default())?;
                (form.required("action")?, Some(fields.value().clone()))
            }
            _ => return node.report("neither or both", "one of redirect and form"),
        };
        let to = at.name()?;
        check(&at, &rules, &mut Used::default())?;
        let (start, open) = template::fixed_start(to, params);
        let fixed = origin_of(&start).is_some_and(|origin| open.is_none() || start.len() > origin.len());
        if !fixed && allow.is_empty() {
            return at
                .wrong("an absolute address whose host is fixed, or `allow` beside it: a list of origins");
        }
        Some(Self { to: to.into(), fields: form_fields, allow })
    }
}

/// Scheme, host and port of an http or https address.
fn origin_of(address: &str) -> Option<&str> {
    let known = matches!(address::scheme(address).as_deref(), Some("http" | "https"));
    let rest = address::authority(address).filter(|rest| known && !rest.contains('@'))?;
    let host = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    Some(&address[..address.len() - rest.len() + host]).filter(|_| host > 0)
}

/// Where the page is to go; `None` if the configuration says nothing of it.
///
/// `query` is an object of the parameters in the page's address, `delivered` how many records the server has.
///
/// # Errors
/// In words: what the page lacks, or that the address is not among those that are allowed.
pub fn finish(to: &super::Delivery, query: &Value, delivered: usize) -> Option<Result<Navigation, String>> {
    let finish = to.finish.as_ref()?;
    let delivered = Value::from(delivered);
    let scope = [
        ("params", Given::Json(&to.params)),
        ("query", Given::Json(query)),
        ("delivered", Given::Json(&delivered)),
    ];
    Some(finish.navigation(&scope).map_err(|lack| match lack {
        Lack::Record(why) | Lack::Page(why) => why,
        Lack::Token => String::new(),
    }))
}

impl Finish {
    fn navigation(&self, scope: &template::Scope<'_>) -> Result<Navigation, Lack> {
        let url = template::words(&self.to, scope, Place::Address)?;
        let origin = origin_of(&url);
        if !self.allow.is_empty() && !self.allow.iter().any(|allowed| origin == Some(&**allowed)) {
            let says = ["found the address ", &url, ", expected one of ", &self.allow.join(", ")].concat();
            return Err(Lack::Page(says));
        }
        let fields = match self.fields.as_ref().and_then(Value::as_object) {
            Some(map) => {
                let mut fields = Vec::new();
                for (name, value) in map {
                    fields.push((template::words(name, scope, Place::Plain)?, template::text(value, scope)?));
                }
                Some(fields)
            }
            None => None,
        };
        Ok(Navigation { url, fields })
    }
}
