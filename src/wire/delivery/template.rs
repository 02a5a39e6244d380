//! Templates: texts and JSON with places that are filled when a request is made.
//!
//! `{record.meta.task_id}` names a value by its path; `{record.note?}` may be absent; `{record|json}` passes it
//! through a filter; `{{` and `}}` are braces. A text that is one place alone keeps the value's JSON type. An
//! object `{"$if": "{…}", "then": …, "else": …}` stands for one of the two. `docs/backends.md` is the reference.
//!
//! Templates are checked once, by [`check`] when the configuration is read; what is filled in later can only
//! lack a value, and [`Lack`] says which.

use serde_json::Value;

use crate::reader::{Node, json_text};
use crate::wire::moment::Moment;

/// Filters that take no argument, in the order of the documentation.
const FILTERS: &[&str] = &["json", "jsonl", "base64", "unix", "path", "raw"];
/// Filters with one.
const FILTERS_OF: &[&str] = &["map", "is"];
/// Marks an object that stands for one of two templates.
const IF: &str = "$if";

/// What is under a name in braces.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    /// A value with paths into it.
    Json(&'a Value),
    /// The record in hand: its line as it is stored, and the same as a value.
    Record(&'a str, &'a Value),
    /// The batch's records, each filled into the template of one.
    Lines(&'a [String]),
    /// A text that is a value as a whole.
    Text(&'a str),
}

/// The names that a template may use and what they stand for.
pub(super) type Scope<'a> = [(&'static str, Given<'a>)];

/// A value that a template needs and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// The record has it not: that record cannot be sent.
    Record(String),
    /// Neither page nor configuration has it: nothing can be sent.
    Page(String),
    /// No token was given.
    Token,
}

/// What a template makes use of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// A single record: a request can hold no more than one.
    pub(super) record: bool,
    /// The batch's records.
    pub(super) records: bool,
    /// The token that the page gives while it runs.
    pub(super) token: bool,
}

impl Used {
    /// Adds what another template makes use of.
    pub(super) fn add(&mut self, own: Self) {
        self.record |= own.record;
        self.records |= own.records;
        self.token |= own.token;
    }
}

/// Where a text goes, which says how values are written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As it stands.
    Plain,
    /// An address: percent-encoded, but for one that stands at its very beginning.
    Address,
}

/// One place in braces, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole<'t> {
    /// All that stands between the braces.
    pub(super) text: &'t str,
    /// Which value, without the mark that it may be absent.
    path: &'t str,
    /// The first name of the path.
    pub(super) root: &'t str,
    /// The path from there on; `""`: all of it.
    pub(super) inner: &'t str,
    /// The value may be absent.
    optional: bool,
}

impl<'t> Hole<'t> {
    fn of(text: &'t str) -> Self {
        let path = text.split_once('|').map_or(text, |(path, _)| path);
        let (path, optional) = path.strip_suffix('?').map_or((path, false), |path| (path, true));
        let (root, inner) = path.split_once('.').unwrap_or((path, ""));
        Self { text, path, root, inner, optional }
    }

    /// The filters in their order, each with its argument.
    fn filters(self) -> impl Iterator<Item = &'t str> {
        self.text.split('|').skip(1)
    }

    /// Whose lack it is if the value is not there.
    fn lack(self, says: String) -> Lack {
        match self.root {
            "record" => Lack::Record(says),
            "token" => Lack::Token,
            _ => Lack::Page(says),
        }
    }
}

enum Piece<'t> {
    Text(String),
    Hole(Hole<'t>),
}

/// A text cut into what stands and what is filled in; `None` if its braces do not match.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain.push_str(&rest[..at]);
        let (brace, after) = (&rest[at..=at], &rest[at + 1..]);
        if let Some(after) = after.strip_prefix(brace) {
            plain.push_str(brace);
            rest = after;
            continue;
        }
        let end = after.find(['{', '}']).filter(|end| brace == "{" && after[*end..].starts_with('}'))?;
        if !plain.is_empty() {
            found.push(Piece::Text(std::mem::take(&mut plain)));
        }
        found.push(Piece::Hole(Hole::of(&after[..end])));
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        found.push(Piece::Text(plain));
    }
    Some(found)
}

/// The value at a dotted path, `""` being the value itself; a list's elements count from 0.
pub(in crate::wire) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if path.is_empty() {
        return Some(value);
    }
    path.split('.').try_fold(value, |value, step| match value {
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    })
}

/// A value as part of a text: null is none.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(json_text(value)),
    }
}

/// What a place is filled with: a value, or JSON that is taken over to the byte.
enum Filling {
    Value(Value),
    Json(String),
}

impl Filling {
    fn into_json(self) -> String {
        match self {
            Filling::Value(value) => json_text(&value),
            Filling::Json(text) => text,
        }
    }

    fn into_text(self) -> Option<String> {
        match self {
            Filling::Value(value) => as_text(&value),
            Filling::Json(text) => Some(text),
        }
    }
}

/// Fills one place.
fn fill(hole: Hole<'_>, scope: &Scope<'_>) -> Result<Filling, Lack> {
    let Hole { path, root, inner, optional, .. } = hole;
    let nothing = || hole.lack([path, ": found nothing, expected a value"].concat());
    let given = scope.iter().find(|(name, _)| *name == root).ok_or_else(nothing)?.1;
    let mut filling = match given {
        Given::Record(line, _) if inner.is_empty() => Filling::Json(line.to_owned()),
        Given::Lines(lines) if hole.filters().next() == Some("jsonl") => {
            Filling::Value(text_lines(lines).into())
        }
        Given::Lines(lines) => Filling::Json(["[", &lines.join(","), "]"].concat()),
        Given::Text(text) => Filling::Value(text.into()),
        Given::Json(value) | Given::Record(_, value) => match at(value, inner) {
            Some(value) => Filling::Value(value.clone()),
            None if optional => Filling::Value(Value::Null),
            None => return Err(nothing()),
        },
    };
    for filter in hole.filters() {
        let (name, argument) = filter.split_once(':').unwrap_or((filter, ""));
        let absent = matches!(filling, Filling::Value(Value::Null)) && name != "json" && name != "is";
        if absent && optional {
            break;
        }
        let value = match name {
            "json" => filling.into_json().into(),
            "base64" => base64(filling.into_text().ok_or_else(nothing)?.as_bytes()).into(),
            "unix" => {
                let text = filling.into_text().unwrap_or_default();
                let moment = text.parse::<Moment>();
                let moment =
                    moment.map_err(|_| hole.lack([path, ": found ", &text, ", expected a time"].concat()))?;
                (moment.epoch_ms() / 1000).into()
            }
            "map" => {
                let key = filling.into_text().ok_or_else(nothing)?;
                let entry = match fill(Hole::of(argument), scope)? {
                    Filling::Value(map) => map.get(&key).cloned(),
                    Filling::Json(_) => None,
                };
                entry.ok_or_else(|| {
                    hole.lack([path, ": found ", &key, ", expected a key of ", argument].concat())
                })?
            }
            "is" => (filling.into_text().as_deref() == Some(argument)).into(),
            // How a value stands in an address is for the one who writes it there.
            _ => continue,
        };
        filling = Filling::Value(value);
    }
    Ok(filling)
}

/// Each text as a line of its own.
pub(super) fn text_lines(texts: &[String]) -> String {
    let mut lines = String::new();
    for text in texts {
        lines.push_str(text);
        lines.push('\n');
    }
    lines
}

/// Which of two templates an `$if` stands for; any other template is itself.
fn choose<'t>(template: &'t Value, scope: &Scope<'_>) -> Result<&'t Value, Lack> {
    let Some(condition) = template.get(IF).and_then(Value::as_str) else { return Ok(template) };
    let pieces = pieces(condition).unwrap_or_default();
    let holds = match &pieces[..] {
        [Piece::Hole(hole)] => match fill(*hole, scope)? {
            Filling::Value(value) => !matches!(value, Value::Null | Value::Bool(false)),
            Filling::Json(_) => true,
        },
        _ => false,
    };
    choose(template.get(if holds { "then" } else { "else" }).unwrap_or(&Value::Null), scope)
}

/// A template as text; one that is no text is written as JSON.
pub(super) fn text(template: &Value, scope: &Scope<'_>) -> Result<String, Lack> {
    match choose(template, scope)? {
        Value::String(template) => words(template, scope, Place::Plain),
        template => json(template, scope),
    }
}

/// A text with its places filled; null is written as nothing if the place allows it (`?`), and lacks otherwise.
pub(super) fn words(template: &str, scope: &Scope<'_>, place: Place) -> Result<String, Lack> {
    joined(pieces(template).unwrap_or_default(), scope, place)
}

fn joined(pieces: Vec<Piece<'_>>, scope: &Scope<'_>, place: Place) -> Result<String, Lack> {
    let mut written = String::new();
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let hole = match piece {
            Piece::Text(text) => {
                written.push_str(&text);
                continue;
            }
            Piece::Hole(hole) => hole,
        };
        let filled = match fill(hole, scope)?.into_text() {
            Some(text) => text,
            None if hole.optional => continue,
            None => return Err(hole.lack([hole.text, ": found null, expected a value"].concat())),
        };
        let filter = |name: &str| hole.filters().any(|filter| filter == name);
        if place == Place::Plain || filter("raw") {
            written.push_str(&filled);
        } else if written.is_empty() {
            let slash = matches!(pieces.peek(), Some(Piece::Text(next)) if next.starts_with('/'));
            written.push_str(if slash { filled.trim_end_matches('/') } else { &filled });
        } else {
            // A part of dots alone would lead out of the place that the configuration names, an empty one to another.
            let dots = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte == b'.');
            if filled.is_empty() || filled.split('/').any(dots) {
                let says = [hole.text, ": found \"", &filled, "\", expected what may stand in an address"];
                return Err(hole.lack(says.concat()));
            }
            if filter("path") {
                let mut parts = filled.split('/').filter(|part| !part.is_empty());
                if let Some(first) = parts.next() {
                    percent(first, &mut written);
                }
                for part in parts {
                    written.push('/');
                    percent(part, &mut written);
                }
            } else {
                percent(&filled, &mut written);
            }
        }
    }
    Ok(written)
}

/// A template as JSON. Records go in as they are stored, to the byte.
pub(super) fn json(template: &Value, scope: &Scope<'_>) -> Result<String, Lack> {
    Ok(match choose(template, scope)? {
        Value::String(one) => match &pieces(one).unwrap_or_default()[..] {
            [Piece::Hole(hole)] => fill(*hole, scope)?.into_json(),
            _ => json_text(&words(one, scope, Place::Plain)?.into()),
        },
        Value::Array(list) => {
            let mut written = String::from("[");
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    written.push(',');
                }
                written.push_str(&json(value, scope)?);
            }
            written.push(']');
            written
        }
        Value::Object(map) => {
            let mut written = String::from("{");
            for (i, (key, value)) in map.iter().enumerate() {
                if i > 0 {
                    written.push(',');
                }
                written.push_str(&json_text(&words(key, scope, Place::Plain)?.into()));
                written.push(':');
                written.push_str(&json(value, scope)?);
            }
            written.push('}');
            written
        }
        plain => json_text(plain),
    })
}

/// `encodeURIComponent`: right in a path's part and in a query alike (RFC 3986 §2.3, and `!'()*`).
pub(super) fn percent(text: &str, written: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~!'()*".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push('%');
            written.push(char::from(HEX[usize::from(byte >> 4)]));
            written.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// RFC 4648 §4, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0;
        for i in 0..3 {
            bits = bits << 8 | usize::from(three.get(i).copied().unwrap_or(0));
        }
        for i in 0..4 {
            let sign = ALPHABET[bits >> (18 - 6 * i) & 63];
            text.push(if i <= three.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

/// What a template is checked by.
pub(super) struct Rules<'a> {
    /// The names that may stand in it.
    pub(super) roots: &'a [&'a str],
    /// What the configuration gives under `params`.
    pub(super) params: &'a Value,
}

/// Checks a template in the configuration: braces, names, filters, and that each parameter is given. Adds to
/// `used` what it makes use of.
pub(super) fn check(node: &Node<'_>, rules: &Rules<'_>, used: &mut Used) -> Option<()> {
    match node.value() {
        Value::String(text) => check_words(node, text, rules, used),
        Value::Array(_) => {
            let mut right = Some(());
            for element in node.list()? {
                right = right.and(check(&element, rules, used));
            }
            right
        }
        Value::Object(map) if map.contains_key(IF) => {
            let fields = node.object(&[IF, "then", "else"])?;
            let condition = fields.required(IF)?;
            let text = condition.text()?;
            if !matches!(&pieces(text).unwrap_or_default()[..], [Piece::Hole(_)]) {
                return condition
                    .wrong("one place in braces, such as \"{record.answer}\" or \"{record.kind|is:undo}\"");
            }
            let mut right = check_words(&condition, text, rules, used);
            for key in ["then", "else"] {
                if let Some(node) = fields.optional(key) {
                    right = right.and(check(&node, rules, used));
                }
            }
            right
        }
        Value::Object(_) => {
            let mut right = Some(());
            for (key, node) in node.open_object()?.each() {
                right = right.and(check_words(&node, key, rules, used)).and(check(&node, rules, used));
            }
            right
        }
        _ => Some(()),
    }
}

fn check_words(node: &Node<'_>, text: &str, rules: &Rules<'_>, used: &mut Used) -> Option<()> {
    let Some(pieces) = pieces(text) else {
        return node.wrong("a text in which {…} names a value; a brace itself is written twice: {{ or }}");
    };
    for piece in pieces {
        if let Piece::Hole(hole) = piece {
            check_hole(node, hole, rules, used)?;
        }
    }
    Some(())
}

fn check_hole(node: &Node<'_>, hole: Hole<'_>, rules: &Rules<'_>, used: &mut Used) -> Option<()> {
    let Hole { text, path, root, inner, optional } = hole;
    let found = |what: &str| ["{", text, "}", what].concat();
    let whole = matches!(root, "token" | "records" | "body" | "signature" | "delivered");
    if !rules.roots.contains(&root) || (whole && !inner.is_empty()) {
        return node
            .report(found(""), ["a place that begins with one of ", &rules.roots.join(", ")].concat());
    }
    let inside = matches!(root, "params" | "query");
    let batch = root == "batch" && !matches!(inner, "id" | "time" | "now");
    if batch || (inside && inner.is_empty()) || path.ends_with('.') {
        let names = if batch { "batch.id, batch.time or batch.now" } else { "a name after the point" };
        return node.report(found(""), names);
    }
    if root == "params" && !optional && at(rules.params, inner).is_none() {
        return node.report(
            found(", which `delivery.params` does not give"),
            ["`delivery.", path, "`: a value"].concat(),
        );
    }
    used.record |= root == "record";
    used.records |= root == "records";
    used.token |= root == "token";
    for filter in hole.filters() {
        let (name, argument) = filter.split_once(':').unwrap_or((filter, ""));
        let known = match filter.contains(':') {
            true => FILTERS_OF.contains(&name),
            false => FILTERS.contains(&name),
        };
        if !known || (name == "jsonl" && root != "records") {
            let expected =
                "one of |json, |base64, |unix, |path, |raw, |map:params.NAME, |is:TEXT; |jsonl after records";
            return node.report(found(""), expected);
        }
        if name == "map" {
            let map = argument.strip_prefix("params.").and_then(|inner| at(rules.params, inner));
            if !map.is_some_and(Value::is_object) {
                return node
                    .report(found(""), ["`delivery.", argument, "`: an object of texts to values"].concat());
            }
        }
        if name == "raw" && !matches!(root, "params" | "token") {
            return node.report(found(""), "|raw after params or token only: what others write is encoded");
        }
    }
    Some(())
}

/// What stands before the first place that is not a parameter's, with the parameters filled in; and that place,
/// if there is one.
pub(super) fn fixed_start<'t>(template: &'t str, params: &Value) -> (String, Option<Hole<'t>>) {
    let mut fixed = pieces(template).unwrap_or_default();
    let open = fixed.iter().enumerate().find_map(|(at, piece)| match piece {
        Piece::Hole(hole) if hole.root != "params" => Some((at, *hole)),
        _ => None,
    });
    if let Some((at, _)) = open {
        fixed.truncate(at);
    }
    let start = joined(fixed, &[("params", Given::Json(params))], Place::Address).unwrap_or_default();
    (start, open.map(|(_, hole)| hole))
}
