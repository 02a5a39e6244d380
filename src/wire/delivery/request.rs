//! A batch of records -> the HTTP request that delivers it, as the configuration describes it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::template::{self, Given, Lack, Place, text_lines};
use super::verdict::judge;
use super::{BodyFormat, Credentials, Delivery};
use crate::domain::credential::{Token, fits_header};
use crate::domain::ident::{BatchId, RecordId, Timestamp};
use crate::domain::outbox::{Reply, Verdict};
use crate::wire::address;
use crate::wire::correction::to_moment;
use crate::wire::reply::Answer;

/// What is to be sent, and what only the page knows.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The batch; its id is the same at each attempt.
    pub batch: BatchId,
    /// Its records.
    pub ids: &'a [RecordId],
    /// The same as JSON, in the same order.
    pub lines: &'a [String],
    /// What the page's `authorize` gave, if it was asked.
    pub token: Option<&'a str>,
    /// This moment.
    pub now: Timestamp,
    /// The parameters of the page's own address, an object of texts.
    pub query: &'a Value,
}

/// An HTTP request, complete but for what only a browser can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Absolute, or relative to the page.
    pub url: String,
    /// Names and values; no name stands twice.
    pub headers: Vec<(String, String)>,
    /// UTF-8.
    pub body: String,
    /// A signature that is still to be made and put into a header.
    pub sign: Option<ToSign>,
    /// Whether cookies go along.
    pub credentials: Credentials,
    /// Whether a redirect is followed; if not, it is [`Answer::Redirected`].
    pub follow: bool,
}

/// HMAC-SHA256 with the page's token as the key (see [`signing_key`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToSign {
    /// What is signed, UTF-8.
    pub text: String,
    /// The header's name.
    pub header: String,
    before: String,
    after: String,
}

impl ToSign {
    /// The header's value with the signature's bytes in it, as base64.
    #[must_use]
    pub fn value(&self, signature: &[u8]) -> String {
        [&self.before, &*template::base64(signature), &self.after].concat()
    }
}

/// A server's words without the token, in every form in which a template can have sent it: some servers repeat what
/// they refuse, and their words are kept and shown.
#[must_use]
pub fn without_token(text: &str, token: &Token) -> String {
    let secret = token.secret();
    let mut hidden = token.hidden_in(text);
    // As short as this it is no secret: see there.
    if secret.len() >= 4 {
        let mut percent = String::new();
        template::percent(secret, &mut percent);
        let quoted = Value::from(secret).to_string();
        for form in [&*template::base64(secret.as_bytes()), &*percent, quoted.trim_matches('"')] {
            hidden = hidden.replace(form, "…");
        }
    }
    hidden
}

/// The key that a token stands for: base64 after `whsec_` (Standard Webhooks 1.0), else the token's own bytes.
#[must_use]
pub fn signing_key(token: &str) -> Vec<u8> {
    let Some(text) = token.strip_prefix("whsec_") else { return token.as_bytes().to_vec() };
    let (mut key, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            key.push((bits >> count & 255) as u8);
        }
    }
    key
}

/// A batch on its way: the request for what can be sent, and what cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `None`: not one of the records can be sent.
    pub request: Option<Request>,
    /// The records in the request.
    ids: Vec<RecordId>,
    /// Those that lack what the configuration needs of them.
    refused: Vec<(RecordId, Verdict)>,
}

impl Outgoing {
    /// What the whole batch comes to, once the server has answered the request; `None` if there was none.
    #[must_use]
    pub fn reply(mut self, to: &Delivery, answer: Option<&Answer>) -> Reply {
        let Some(answer) = answer else { return Reply::Verdicts(self.refused) };
        match judge(&to.answers, to.results.as_ref(), to.confirm, answer, &self.ids) {
            Reply::Verdicts(mut verdicts) => {
                // What a server says of others is none of this request's business.
                verdicts.retain(|(id, _)| self.ids.contains(id));
                verdicts.append(&mut self.refused);
                Reply::Verdicts(verdicts)
            }
            // What is lacking is noticed again with the next attempt.
            reply => reply,
        }
    }
}

/// Makes the request for a batch. The same batch gives the same bytes at each attempt, unless the
/// configuration asks for `{batch.now}` or the token has changed.
///
/// # Errors
/// Nothing can be sent: the token is needed and not there, or the page lacks something that is needed.
pub fn build(to: &Delivery, sending: &Sending<'_>) -> Result<Outgoing, Reply> {
    let batch = batch_values(sending);
    let mut outer: Vec<(&'static str, Given<'_>)> = vec![
        ("params", Given::Json(&to.params)),
        ("query", Given::Json(sending.query)),
        ("batch", Given::Json(&batch)),
    ];
    if let Some(token) = sending.token {
        outer.push(("token", Given::Text(token)));
    } else if to.needs_token {
        return Err(no_token());
    }
    let mut outgoing = Outgoing { request: None, ids: Vec::new(), refused: Vec::new() };
    let mut rendered = Vec::new();
    let mut single = None;
    for (id, line) in sending.ids.iter().zip(sending.lines) {
        // Parsed only where somebody looks inside.
        let record = match to.opens_records {
            true => serde_json::from_slice(line.as_bytes()).unwrap_or_default(),
            false => Value::Null,
        };
        let mut scope = outer.clone();
        scope.push(("record", Given::Record(line, &record)));
        let written = match &to.record {
            None => Ok(line.clone()),
            // A list of lines: Elasticsearch's action and document.
            Some(Value::Array(lines)) if to.format == BodyFormat::JsonLines => lines_of(lines, &scope),
            Some(template) => template::json(template, &scope),
        };
        let done = match written {
            Ok(written) if to.one_by_one => {
                let made = request(to, &scope, &[written], sending);
                made.map(|request| single = Some(request))
            }
            Ok(written) => {
                rendered.push(written);
                Ok(())
            }
            Err(lack) => Err(lack),
        };
        match done {
            Ok(()) => outgoing.ids.push(*id),
            Err(Lack::Record(why)) => {
                let why: Arc<str> =
                    [&why, ": this backend cannot take the record without it"].concat().into();
                outgoing.refused.push((*id, Verdict::Refused(why)));
            }
            Err(lack) => return Err(stopped(lack)),
        }
        if single.is_some() {
            break;
        }
    }
    outgoing.request = match single {
        None if rendered.is_empty() => None,
        None => Some(request(to, &outer, &rendered, sending).map_err(stopped)?),
        single => single,
    };
    Ok(outgoing)
}

fn no_token() -> Reply {
    Reply::Unauthorized("delivery needs a token, and the page has given none (property `authorize`)".into())
}

fn stopped(lack: Lack) -> Reply {
    match lack {
        Lack::Token => no_token(),
        Lack::Page(why) | Lack::Record(why) => Reply::WrongAddress(why.into()),
    }
}

/// `batch.id`, `batch.time` (when it was frozen: part of its id) and `batch.now` (this attempt).
fn batch_values(sending: &Sending<'_>) -> Value {
    let time = |at: Timestamp| Value::from(to_moment(at).to_string());
    let mut batch = Map::new();
    batch.insert("id".into(), sending.batch.to_string().into());
    batch.insert("time".into(), time(sending.batch.made_at()));
    batch.insert("now".into(), time(sending.now));
    Value::Object(batch)
}

fn lines_of(lines: &[Value], scope: &template::Scope<'_>) -> Result<String, Lack> {
    let mut written = Vec::new();
    for line in lines {
        written.push(template::json(line, scope)?);
    }
    Ok(written.join("\n"))
}

fn request(
    to: &Delivery,
    outer: &template::Scope<'_>,
    records: &[String],
    sending: &Sending<'_>,
) -> Result<Request, Lack> {
    let mut scope = outer.to_vec();
    scope.push(("records", Given::Lines(records)));
    let url = template::words(to.url.as_deref().unwrap_or_default(), &scope, Place::Address)?;
    if let Some(expected) = address::problem(&url, &["http", "https"], "an http or https address") {
        return Err(Lack::Record(["found the address ", &url, ", expected ", &expected].concat()));
    }
    let method = template::text(&to.method, &scope)?;
    let boundary = ["hitl-", &sending.batch.to_string()].concat();
    let (content_type, body) = match (to.format, &to.body) {
        (BodyFormat::Single, None) => ("application/json".to_owned(), records.concat()),
        (BodyFormat::Array, None) => ("application/json".into(), ["[", &records.join(","), "]"].concat()),
        (BodyFormat::Single | BodyFormat::Array, Some(body)) => {
            ("application/json".into(), template::json(body, &scope)?)
        }
        (BodyFormat::JsonLines, None) => ("application/x-ndjson".into(), text_lines(records)),
        (BodyFormat::JsonLines, Some(Value::Array(lines))) => {
            ("application/x-ndjson".into(), lines_of(lines, &scope)? + "\n")
        }
        (BodyFormat::JsonLines, Some(body)) => {
            ("application/x-ndjson".into(), template::json(body, &scope)? + "\n")
        }
        (BodyFormat::Form, body) => {
            let mut written = String::new();
            for field in fields(body.as_ref(), &scope)? {
                if !written.is_empty() {
                    written.push('&');
                }
                template::percent(&field.name, &mut written);
                written.push('=');
                template::percent(&field.value, &mut written);
            }
            ("application/x-www-form-urlencoded;charset=UTF-8".into(), written)
        }
        (BodyFormat::Multipart, body) => (
            ["multipart/form-data; boundary=", &boundary].concat(),
            multipart(&fields(body.as_ref(), &scope)?, &boundary),
        ),
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    if let Some((name, quoted)) = &to.idempotency {
        let quote = if *quoted { "\"" } else { "" };
        headers.push((name.to_string(), [quote, &sending.batch.to_string(), quote].concat()));
    }
    for (name, value) in to.headers.iter().chain(&to.authorization) {
        let value = template::words(value, &scope, Place::Plain)?;
        if !fits_header(&value) {
            // Not what was found: a token may be part of it, and reasons are kept and shown.
            let says = [name, ": found a sign that no header can hold, expected Latin-1"].concat();
            return Err(Lack::Record(says));
        }
        headers.push((name.to_string(), value));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Type")) {
        headers.push(("Content-Type".into(), content_type));
    }
    let sign = match &to.sign {
        Some(sign) => {
            scope.push(("body", Given::Text(&body)));
            let (before, after) = sign.value.split_once("{signature}").unwrap_or((&sign.value, ""));
            Some(ToSign {
                text: template::words(&sign.text, &scope, Place::Plain)?,
                header: sign.header.to_string(),
                before: before.into(),
                after: after.into(),
            })
        }
        None => None,
    };
    Ok(Request { method, url, headers, body, sign, credentials: to.credentials, follow: to.follow })
}

/// A field of a form.
struct Field {
    name: String,
    value: String,
    /// Name and media type, if it is sent as a file.
    file: Option<(String, String)>,
}

/// A form's fields: those of the object under `"..."`, then the others by name, files at the end, where S3
/// wants them.
fn fields(body: Option<&Value>, scope: &template::Scope<'_>) -> Result<Vec<Field>, Lack> {
    let (mut fields, mut files) = (Vec::new(), Vec::new());
    for (name, value) in body.and_then(Value::as_object).into_iter().flatten() {
        if name == "..." {
            let spread: Value =
                serde_json::from_slice(template::json(value, scope)?.as_bytes()).unwrap_or_default();
            for (name, value) in spread.as_object().into_iter().flatten() {
                let value = template::text(&Value::from("{it}"), &[("it", Given::Json(value))])?;
                fields.push(Field { name: name.clone(), value, file: None });
            }
            continue;
        }
        let name = template::words(name, scope, Place::Plain)?;
        match value.get("file") {
            Some(file) => {
                let part =
                    |key: &str| value.get(key).map_or(Ok(String::new()), |part| template::text(part, scope));
                files.push(Field {
                    name,
                    value: part("content")?,
                    file: Some((template::text(file, scope)?, part("type")?)),
                });
            }
            None => fields.push(Field { name, value: template::text(value, scope)?, file: None }),
        }
    }
    fields.append(&mut files);
    Ok(fields)
}

/// RFC 7578, names escaped as the HTML standard has it (§4.10.21.8).
fn multipart(fields: &[Field], boundary: &str) -> String {
    let escaped = |name: &str| name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22");
    let mut body = String::new();
    for field in fields {
        for part in
            ["--", boundary, "\r\nContent-Disposition: form-data; name=\"", &escaped(&field.name), "\""]
        {
            body.push_str(part);
        }
        if let Some((name, kind)) = &field.file {
            for part in ["; filename=\"", &escaped(name), "\"\r\nContent-Type: ", kind] {
                body.push_str(part);
            }
        }
        for part in ["\r\n\r\n", &field.value, "\r\n"] {
            body.push_str(part);
        }
    }
    for part in ["--", boundary, "--\r\n"] {
        body.push_str(part);
    }
    body
}
