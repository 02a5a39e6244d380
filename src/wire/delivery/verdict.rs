//! What a server's answer means where the configuration says so itself: rules over status and body, and where
//! the verdict on each record stands. Whatever they do not cover is [`super::super::reply`]'s business.

use std::sync::Arc;

use serde_json::Value;

use super::template::{self, Given, at};
use crate::domain::ident::RecordId;
use crate::domain::outbox::{Reply, Verdict};
use crate::reader::{Fields, Node, json_text};
use crate::wire::manifest::optional;
use crate::wire::reply::{Answer, Confirm, is_page, later, portal, reply_of, shortened, stored, words_of};

/// Something that is true or false of a JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// All of them hold.
    All(Vec<Test>),
    /// At least one holds.
    Any(Vec<Test>),
    /// It does not hold.
    Not(Box<Test>),
    /// The value at a path (`""`: the whole) passes.
    At(Arc<str>, Passes),
}

/// What one value has to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Passes {
    /// One of these.
    In(Vec<Value>),
    /// There and not null, or not.
    Exists(bool),
    /// A text, or JSON as text, with this in it.
    Contains(Arc<str>),
}

/// What an answer means for all records that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The server has them, now or from before; with [`Results`] it says so of each.
    Stored,
    /// It is to be tried again.
    Again,
    /// The server wants other credentials.
    Pause,
    /// Nothing can be delivered as things are.
    Stop,
    /// The server does not want what is in the request.
    Refuse,
}

/// One rule of `answers`; the first one that fits decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// First and last status of each range.
    status: Vec<(u16, u16)>,
    body: Option<Test>,
    html: bool,
    means: Means,
    why: Option<Arc<str>>,
}

/// Where an answer says what became of each record.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    path: Arc<str>,
    /// The answer is JSON Lines, or documents one after the other: they are the list.
    lines: bool,
    /// Where the record's id stands; `None`: results come in the order of the request.
    id: Option<Arc<str>>,
    stored: Test,
    again: Option<Test>,
    refused: Option<Test>,
    why: Option<Arc<str>>,
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(value)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(value)),
            Test::Not(test) => !test.holds(value),
            Test::At(path, passes) => {
                let found = at(value, path).filter(|found| !found.is_null());
                match passes {
                    Passes::Exists(there) => found.is_some() == *there,
                    Passes::In(values) => found.is_some_and(|found| values.contains(found)),
                    Passes::Contains(part) => found.is_some_and(|found| match found {
                        Value::String(text) => text.contains(&**part),
                        found => json_text(found).contains(&**part),
                    }),
                }
            }
        }
    }

    /// Reads a test; texts in it may hold parameters.
    pub(super) fn read(node: &Node<'_>, params: &Value) -> Option<Self> {
        const TESTS: [&str; 7] = ["all", "any", "not", "is", "in", "exists", "contains"];
        let fields = node.object(&["all", "any", "not", "path", "is", "in", "exists", "contains"])?;
        let mut given = TESTS.iter().filter_map(|key| Some((*key, fields.optional(key)?)));
        let (Some((key, inner)), None) = (given.next(), given.next()) else {
            return node.report("no test, or several", "one of all, any, not, is, in, exists, contains");
        };
        if let ("all" | "any" | "not", Some(path)) = (key, fields.optional("path")) {
            return path.report("a path beside tests with paths of their own", "none");
        }
        let path = fields.optional("path").map_or(Some(""), |node| node.text())?;
        let passes = match key {
            "not" => return Some(Test::Not(Box::new(Test::read(&inner, params)?))),
            "all" | "any" => {
                let mut tests = Vec::new();
                for node in inner.filled("tests")? {
                    tests.push(Test::read(&node, params)?);
                }
                return Some(if key == "all" { Test::All(tests) } else { Test::Any(tests) });
            }
            "is" => Passes::In(vec![scalar(&inner, params)?]),
            "in" => {
                let mut values = Vec::new();
                for node in inner.list()? {
                    values.push(scalar(&node, params)?);
                }
                Passes::In(values)
            }
            "exists" => Passes::Exists(inner.boolean()?),
            _ => {
                inner.name()?;
                let part = scalar(&inner, params)?;
                // Every text has an empty one in it.
                match part.as_str().filter(|part| !part.trim().is_empty()) {
                    Some(part) => Passes::Contains(part.into()),
                    None => return inner.wrong("a text that is not empty"),
                }
            }
        };
        Some(Test::At(path.into(), passes))
    }
}

fn scalar(node: &Node<'_>, params: &Value) -> Option<Value> {
    match node.value() {
        Value::String(text) => {
            let rules = template::Rules { roots: &["params"], params };
            template::check(node, &rules, &mut template::Used::default())?;
            // What was just checked cannot lack.
            template::words(text, &[("params", Given::Json(params))], template::Place::Plain)
                .ok()
                .map(Value::from)
        }
        Value::Array(_) | Value::Object(_) | Value::Null => node.wrong("a text, a number, true or false"),
        value => Some(value.clone()),
    }
}

fn path(fields: &Fields<'_>, key: &str) -> Option<Arc<str>> {
    fields.optional(key).and_then(|node| node.text()).map(Arc::from)
}

impl Rule {
    /// Reads one rule of `answers`.
    pub(super) fn read(node: &Node<'_>, params: &Value) -> Option<Self> {
        let fields = node.object(&["status", "body", "html", "means", "why"])?;
        let mut status = Vec::new();
        for node in fields.required("status")?.filled("statuses")? {
            let family = node.value().as_str().and_then(|text| match text.as_bytes() {
                [digit @ b'1'..=b'5', b'x', b'x'] => Some(u16::from(digit - b'0') * 100),
                _ => None,
            });
            status.push(match family {
                Some(first) => (first, first + 99),
                None if node.value().is_string() => return node.wrong("a status such as 201, or \"2xx\""),
                None => {
                    let one = u16::try_from(node.integer(100..=599)?).ok()?;
                    (one, one)
                }
            });
        }
        let means = fields.required("means")?.choice(&[
            ("stored", Means::Stored),
            ("duplicate", Means::Stored),
            ("again", Means::Again),
            ("pause", Means::Pause),
            ("stop", Means::Stop),
            ("refuse", Means::Refuse),
        ])?;
        let body = optional(&fields, "body", |node| Test::read(&node, params))?;
        let mut html = false;
        if let Some(node) = fields.optional("html") {
            html = node.boolean()?;
            if html && means == Means::Stored && body.is_none() {
                let expected = "`body` beside it, with words that only your server's page has: a hotel's log-in page \
                                is an answer, too";
                return node.report("true", expected);
            }
        }
        Some(Self { status, body, html, means, why: path(&fields, "why") })
    }

    /// Whether it speaks of a 2xx.
    fn is_of_success(&self) -> bool {
        self.status.iter().any(|(first, last)| *first <= 299 && *last >= 200)
    }

    /// Whether it knows an answer by what stands in it: it does not fit one that says nothing.
    fn knows_its_answer(&self) -> bool {
        let takes = |body: Value| self.body.as_ref().is_none_or(|test| test.holds(&body));
        !takes(Value::Null) && !takes("".into())
    }

    fn fits(&self, status: u16, page: bool, body: &Value) -> bool {
        self.status.iter().any(|(first, last)| (*first..=*last).contains(&status))
            && (self.html || !page || self.means != Means::Stored)
            && self.body.as_ref().is_none_or(|test| test.holds(body))
    }
}

impl Results {
    /// Reads `results`.
    pub(super) fn read(node: &Node<'_>, params: &Value) -> Option<Self> {
        let fields =
            node.object(&["path", "lines", "id", "stored", "duplicate", "again", "refused", "why"])?;
        let mut lines = false;
        fields.fill("lines", &mut lines, |node| node.boolean());
        let test = |key: &str| optional(&fields, key, |node| Test::read(&node, params));
        let stored = Test::read(&fields.required("stored")?, params)?;
        let stored = match test("duplicate")? {
            Some(duplicate) => Test::Any(vec![stored, duplicate]),
            None => stored,
        };
        let (again, refused) = test("again").zip(test("refused"))?;
        Some(Self {
            path: path(&fields, "path").unwrap_or_default(),
            lines,
            id: path(&fields, "id"),
            stored,
            again,
            refused,
            why: path(&fields, "why"),
        })
    }

    fn reply(&self, body: &Value, text: &str, sent: &[RecordId]) -> Reply {
        let documents: Vec<Value>;
        let list = if self.lines {
            let all = serde_json::Deserializer::from_slice(text.as_bytes()).into_iter();
            documents = all.map_while(Result::ok).collect();
            &documents
        } else {
            match at(body, &self.path).and_then(Value::as_array) {
                Some(list) => list,
                None => return later("the server's answer does not say what became of each record"),
            }
        };
        if self.id.is_none() && list.len() != sent.len() {
            return later("the server's answer speaks of more or fewer records than were sent");
        }
        let mut verdicts = Vec::new();
        for (i, result) in list.iter().enumerate() {
            let id = match &self.id {
                Some(path) => at(result, path).and_then(Value::as_str).and_then(|id| id.parse().ok()),
                None => sent.get(i).copied(),
            };
            let Some(id) = id else { continue };
            let holds = |test: &Option<Test>| test.as_ref().map(|test| test.holds(result));
            let why = || -> Arc<str> { why(self.why.as_deref(), result).into() };
            // `again` goes before `refused`. What none of them fits is tried again, or refused if there is no
            // `refused`.
            let verdict = if self.stored.holds(result) {
                Verdict::Stored
            } else if holds(&self.again) != Some(true) && holds(&self.refused) != Some(false) {
                Verdict::Refused(why())
            } else {
                Verdict::Later(why())
            };
            verdicts.push((id, verdict));
        }
        Reply::Verdicts(verdicts)
    }
}

/// The server's words at a path, or else what it said as a whole.
fn why(path: Option<&str>, said: &Value) -> String {
    let words = path.and_then(|path| at(said, path)).filter(|words| !words.is_null()).unwrap_or(said);
    shortened(&words.as_str().map_or_else(|| json_text(words), str::to_owned))
}

/// What `answer` means for the records `sent`, by the rules of a configuration.
pub(super) fn judge(
    rules: &[Rule],
    results: Option<&Results>,
    confirm: Confirm,
    answer: &Answer,
    sent: &[RecordId],
) -> Reply {
    let Answer::Http { status, content_type, body: text, sent_on, .. } = answer else {
        return reply_of(answer, sent, confirm);
    };
    if rules.is_empty() && results.is_none() {
        return reply_of(answer, sent, confirm);
    }
    let page = is_page(content_type, text);
    let body = serde_json::from_slice(text.as_bytes()).unwrap_or_else(|_| Value::from(text.as_str()));
    let said = |rule: &Rule| -> Arc<str> {
        match (&rule.why, words_of(text)) {
            (None, Some(words)) => shortened(&words).into(),
            _ => why(rule.why.as_deref(), &body).into(),
        }
    };
    // Results in the order of the request name no record.
    let all = |sent_on: Option<&str>| match results {
        Some(results) if results.id.is_some() || sent_on.is_none() => results.reply(&body, text, sent),
        _ => stored(sent, sent_on),
    };
    // Rules about failures alone leave success to `results` or to `confirm`.
    let say_what_is_stored = || rules.iter().any(|rule| rule.means == Means::Stored && rule.is_of_success());
    match rules.iter().find(|rule| rule.fits(*status, page, &body)) {
        Some(rule) => match rule.means {
            Means::Stored => {
                let sent_on = sent_on.as_deref().filter(|_| !rule.knows_its_answer());
                if (200..=299).contains(status) { all(sent_on) } else { stored(sent, sent_on) }
            }
            Means::Again => match reply_of(answer, sent, confirm) {
                // With the server's wish when.
                again @ Reply::TryLater { .. } if !(200..=299).contains(status) => again,
                _ => Reply::TryLater { why: said(rule), after_ms: None },
            },
            Means::Pause => Reply::Unauthorized(said(rule)),
            Means::Stop => Reply::WrongAddress(said(rule)),
            Means::Refuse => Reply::RefusedWhole(said(rule)),
        },
        None if !(200..=299).contains(status) => reply_of(answer, sent, confirm),
        None if page => portal(),
        None if !say_what_is_stored() => match results {
            Some(_) => all(sent_on.as_deref()),
            None => reply_of(answer, sent, confirm),
        },
        None => later("the server's answer is not the one that says that it has the records"),
    }
}
