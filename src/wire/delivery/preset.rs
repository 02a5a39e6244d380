//! Presets: small JSON files that hold most of a `delivery` section and name what they need besides.
//!
//! Published as `www/schema/preset.v1.schema.json`. A configuration names one or several under
//! `delivery.preset`; the page fetches them, and [`apply`] lays the configuration's own keys over theirs.

use serde_json::{Map, Value};

use crate::reader::{Node, Problem, Problems, json_text, read};

/// What a preset's `schema` says.
pub const SCHEMA: &str = "hitl-labeler/preset/1";

/// Which presets a configuration names, in its order: names of our own, or addresses.
#[must_use]
pub fn wanted(document: &Value) -> Vec<&str> {
    match document.pointer("/delivery/preset") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether this names a preset that comes with the element; anything else is an address.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Lays a configuration's `delivery` over those of its presets, given in the order of [`wanted`]. A key of the
/// configuration goes before the preset's; `params`, `headers` and `retry` are merged key by key.
///
/// # Errors
/// What is wrong with a preset, its name before the path; parameters that are lacking or that no preset knows.
pub fn apply(mut document: Value, presets: &[Value]) -> Result<Value, Problems> {
    let names: Vec<String> = wanted(&document).into_iter().map(str::to_owned).collect();
    let mut problems = Vec::new();
    let mut below = Value::Object(Map::new());
    let mut known: Vec<(String, String)> = Vec::new();
    for (preset, name) in presets.iter().zip(&names) {
        match read(preset, |node| preset_of(&node)) {
            Ok((params, delivery)) => {
                known.extend(params);
                below = over(below, delivery);
            }
            Err(Problems(said)) => {
                problems.extend(said.into_iter().map(|problem| {
                    Problem {
                        path: [
                            "preset ",
                            name,
                            if problem.path.is_empty() { "" } else { ": " },
                            &problem.path,
                        ]
                        .concat(),
                        ..problem
                    }
                }))
            }
        }
    }
    let Some(own) = document.get_mut("delivery") else { return Ok(document) };
    let written = json_text(own);
    // A parameter may serve a template of one's own.
    let mentioned = |text: &str, name: &str| {
        // `params.to_name` is no mention of `to`.
        let goes_on = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "_-".contains(c);
        text.split(&["params.", name].concat()).skip(1).any(|rest| !rest.starts_with(goes_on))
    };
    let mut names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    let standard = below.get("params").and_then(Value::as_object);
    names.extend(standard.into_iter().flat_map(Map::keys).map(String::as_str));
    for name in own.get("params").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        if !names.contains(&name.as_str()) && !mentioned(&written, name) {
            problems.push(Problem {
                path: ["delivery.params.", name].concat(),
                found: "a parameter that no preset knows".into(),
                expected: if names.is_empty() {
                    "none".into()
                } else {
                    ["one of ", &names.join(", ")].concat()
                },
            });
        }
    }
    let merged = over(below, own.take());
    let written = json_text(&merged);
    for (name, about) in &known {
        let given = merged.pointer(&["/params/", name].concat()).is_some_and(|value| !value.is_null());
        if !given && mentioned(&written, name) {
            problems.push(Problem {
                path: ["delivery.params.", name].concat(),
                found: "nothing".into(),
                expected: about.clone(),
            });
        }
    }
    *own = merged;
    if problems.is_empty() { Ok(document) } else { Err(Problems(problems)) }
}

type Preset = (Vec<(String, String)>, Value);

fn preset_of(node: &Node<'_>) -> Option<Preset> {
    let fields = node.object(&["$schema", "schema", "title", "params", "delivery"])?;
    let schema = fields.required("schema").and_then(|node| node.choice(&[(SCHEMA, ())]));
    fields.fill("title", &mut (), |node| node.name().map(drop));
    let mut params = Vec::new();
    if let Some(node) = fields.optional("params") {
        for (name, node) in node.open_object()?.each() {
            params.push((name.to_owned(), node.name()?.to_owned()));
        }
    }
    let delivery = fields.required("delivery")?;
    let inner = delivery.open_object()?;
    if let Some(nested) = inner.optional("preset") {
        return nested
            .report("a preset in a preset", "a list of both under the configuration's `delivery.preset`");
    }
    schema?;
    Some((params, delivery.value().clone()))
}

/// One delivery over another.
fn over(below: Value, above: Value) -> Value {
    let (Value::Object(mut below), Value::Object(above)) = (below, above) else { return Value::Null };
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(value))
                if matches!(&*key, "params" | "headers" | "retry") =>
            {
                for (key, value) in value {
                    under.insert(key, value);
                }
            }
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
    Value::Object(below)
}
