//! What a server's answer to a batch means: the one place that says what counts as delivered.
//!
//! A status of 2xx alone proves little: captive portals, proxies and single-page hosts answer 200 with a
//! page, and many services answer 200 with failures inside. Unless the configuration says otherwise, a
//! record counts as delivered only when the answer names it (`docs/backend.md`).

use std::sync::Arc;

use serde_json::Value;

use super::delivery::at;
use crate::domain::ident::RecordId;
use crate::domain::outbox::{Reply, Verdict};
use crate::reader::json_text;

/// How a server says that it has a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// It names each record in its answer: `{"results": [{"id", "status"}]}`.
    #[default]
    Records,
    /// Any 2xx that is not a web page.
    Status,
}

/// An HTTP answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server answered.
    Http {
        /// Status code.
        status: u16,
        /// `Content-Type`, empty if there is none.
        content_type: String,
        /// `Retry-After` as it stands, if the server lets the page read it.
        retry_after: Option<String>,
        /// The body as text.
        body: String,
        /// The address that answered, if the request was sent on there (a redirect that was followed).
        sent_on: Option<String>,
    },
    /// No answer in time.
    TimedOut,
    /// No connection, or the browser may not let the page see the answer (CORS).
    Unreachable,
    /// The server sends the request on to another address, which the configuration does not allow.
    Redirected,
}

/// What `answer` means for the records of a batch.
#[must_use]
pub fn reply_of(answer: &Answer, sent: &[RecordId], confirm: Confirm) -> Reply {
    let (status, content_type, retry_after, body, sent_on) = match answer {
        Answer::TimedOut => return later("the server did not answer in time"),
        Answer::Unreachable => {
            return later("the server could not be reached, or does not allow this page (CORS)");
        }
        Answer::Redirected => {
            return Reply::WrongAddress(
                "the server sends the request on to another address: give that one, or set delivery.redirect to \"follow\""
                    .into(),
            );
        }
        Answer::Http { status, content_type, retry_after, body, sent_on } => {
            (*status, content_type, retry_after, body, sent_on.as_deref())
        }
    };
    let said = || {
        let said = match words_of(body) {
            Some(words) => format!("{status}: {}", shortened(&words)),
            None => format!("status {status}"),
        };
        match sent_on {
            Some(address) => by_way(&said, address),
            None => said,
        }
    };
    let refusal = || words_of(body).map_or_else(said, |words| shortened(&words));
    match status {
        200..=299 => confirmed(content_type, body, sent, confirm, sent_on),
        401 | 403 => Reply::Unauthorized(said().into()),
        // A wrong address or format would refuse every record there will ever be: nothing is sorted out.
        404 | 405 | 406 | 410 | 415 | 300..=399 => Reply::WrongAddress(said().into()),
        408 | 409 | 425 | 429 | 500..=599 => Reply::TryLater {
            why: format!("the server answered {status}").into(),
            after_ms: retry_after.as_deref().and_then(seconds),
        },
        _ => Reply::RefusedWhole(refusal().into()),
    }
}

/// The server has all of these, by an answer that names none of them.
///
/// Where a redirect was followed that proves nothing: browsers repeat a POST as a GET without its body (301, 302, 303),
/// and whoever answers that has never seen the records.
pub(super) fn stored(sent: &[RecordId], sent_on: Option<&str>) -> Reply {
    match sent_on {
        Some(address) => Reply::WrongAddress(
            [
                "the request was sent on to ",
                address,
                ", whose answer does not name the records: give that address",
            ]
            .concat()
            .into(),
        ),
        None => Reply::Verdicts(sent.iter().map(|id| (*id, Verdict::Stored)).collect()),
    }
}

pub(super) fn later(why: &str) -> Reply {
    Reply::TryLater { why: why.into(), after_ms: None }
}

/// Whether a web page answered.
#[must_use]
pub fn is_page(content_type: &str, body: &str) -> bool {
    content_type.contains("html") || body.trim_start().starts_with('<')
}

pub(super) fn portal() -> Reply {
    later("a web page answered in place of the server: is this network asking for a log-in?")
}

fn confirmed(
    content_type: &str,
    body: &str,
    sent: &[RecordId],
    confirm: Confirm,
    sent_on: Option<&str>,
) -> Reply {
    if is_page(content_type, body) {
        return portal();
    }
    let json: Option<Value> = serde_json::from_slice(body.as_bytes()).ok();
    let results = json.as_ref().and_then(|json| json.get("results")?.as_array());
    match (results, confirm) {
        (Some(results), _) => Reply::Verdicts(results.iter().filter_map(verdict).collect()),
        (None, Confirm::Status) => stored(sent, sent_on),
        (None, Confirm::Records) => {
            let says = "the server's answer does not name the records that it has";
            let advice = "; if it answers by status alone, set delivery.confirm to \"status\"";
            later(&sent_on.map_or_else(|| [says, advice].concat(), |address| by_way(says, address)))
        }
    }
}

fn by_way(words: &str, address: &str) -> String {
    [words, " (the request was sent on to ", address, ")"].concat()
}

fn verdict(result: &Value) -> Option<(RecordId, Verdict)> {
    let id = result.get("id")?.as_str()?.parse().ok()?;
    match result.get("status")?.as_str()? {
        "stored" | "duplicate" => Some((id, Verdict::Stored)),
        "refused" => Some((id, Verdict::Refused(problems(result)))),
        _ => None,
    }
}

fn problems(result: &Value) -> Arc<str> {
    let problems = result.get("problems").and_then(Value::as_array);
    let word =
        |problem: &Value, key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines = problems.into_iter().flatten().map(|problem| {
        let (path, found, expected) =
            (word(problem, "path"), word(problem, "found"), word(problem, "expected"));
        format!("{path}: found {found}, expected {expected}")
    });
    let said = lines.collect::<Vec<_>>().join("; ");
    if said.is_empty() { "refused without a reason".into() } else { shortened(&said).into() }
}

/// The server's own words in an error body: what JSON has under the usual names, or all of it.
pub(super) fn words_of(body: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(body.as_bytes()).ok()?;
    for path in ["error.message", "error.detail", "message", "detail", "reason", "errors.0", "error", ""] {
        if let Some(words) = at(&json, path).and_then(Value::as_str) {
            // What our collector, and who follows `docs/backend.md`, says is to be done.
            let mend = at(&json, "error.mend").and_then(Value::as_str);
            return Some(mend.map_or_else(|| words.to_owned(), |mend| [words, "; ", mend].concat()));
        }
    }
    let says_something = json.as_object().is_some_and(|fields| !fields.is_empty());
    says_something.then(|| json_text(&json))
}

pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); its date form is left to the own back-off, since the
/// clocks of server and browser need not agree. A longer wait is cut to a day.
fn seconds(text: &str) -> Option<i64> {
    let seconds: i64 = text.trim().parse().ok()?;
    (seconds >= 0).then(|| seconds.min(86_400) * 1000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ID: &str = "019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d";

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        Answer::Http {
            status,
            content_type: content_type.into(),
            retry_after: None,
            body: body.into(),
            sent_on: None,
        }
    }

    fn reply(status: u16, content_type: &str, body: &str, confirm: Confirm) -> Reply {
        reply_of(&answer(status, content_type, body), &[ID.parse().unwrap()], confirm)
    }

    #[test]
    fn only_a_record_that_the_answer_names_is_delivered() {
        let named = format!(r#"{{"results":[{{"id":"{ID}","status":"duplicate"}}]}}"#);
        let stored = Reply::Verdicts(vec![(ID.parse().unwrap(), Verdict::Stored)]);
        assert_eq!(reply(200, "application/json", &named, Confirm::Records), stored);
        for body in ["", "ok", r#"{"ok":true}"#, r#"{"results":"yes"}"#] {
            assert!(
                matches!(reply(200, "application/json", body, Confirm::Records), Reply::TryLater { .. }),
                "{body}"
            );
            assert_eq!(reply(200, "application/json", body, Confirm::Status), stored, "{body}");
        }
        let failed = format!(r#"{{"results":[{{"id":"{ID}","status":"error"}}]}}"#);
        for confirm in [Confirm::Records, Confirm::Status] {
            assert_eq!(reply(200, "application/json", &failed, confirm), Reply::Verdicts(Vec::new()));
        }
    }

    #[test]
    fn a_captive_portal_is_no_delivery_whatever_it_claims() {
        for confirm in [Confirm::Records, Confirm::Status] {
            assert!(matches!(reply(200, "text/html", "<!doctype html>", confirm), Reply::TryLater { .. }));
            assert!(matches!(reply(200, "application/json", " <html>", confirm), Reply::TryLater { .. }));
        }
    }

    #[test]
    fn each_status_is_dealt_with_by_what_can_be_done_about_it() {
        let kind = |status| reply(status, "application/json", "{}", Confirm::Records);
        for status in [401, 403] {
            assert!(matches!(kind(status), Reply::Unauthorized(_)), "{status}");
        }
        for status in [301, 404, 405, 410, 415] {
            assert!(matches!(kind(status), Reply::WrongAddress(_)), "{status}");
        }
        for status in [408, 409, 425, 429, 500, 503] {
            assert!(matches!(kind(status), Reply::TryLater { .. }), "{status}");
        }
        for status in [400, 413, 422] {
            assert!(matches!(kind(status), Reply::RefusedWhole(_)), "{status}");
        }
    }

    #[test]
    fn what_stops_everything_is_said_in_the_servers_words_with_its_mend() {
        let body =
            r#"{"error":{"code":"token_unknown","message":"nobody has this token","mend":"ask for one"}}"#;
        let said = |status, body| reply(status, "application/json", body, Confirm::Records);
        assert_eq!(said(403, body), Reply::Unauthorized("403: nobody has this token; ask for one".into()));
        assert_eq!(said(415, body), Reply::WrongAddress("415: nobody has this token; ask for one".into()));
        assert_eq!(said(401, "{}"), Reply::Unauthorized("status 401".into()));
    }

    #[test]
    fn a_refusal_says_why() {
        let body = format!(
            r#"{{"results":[{{"id":"{ID}","status":"refused","problems":[{{"path":"note","found":"5","expected":"a text"}}]}}]}}"#
        );
        let Reply::Verdicts(verdicts) = reply(200, "application/json", &body, Confirm::Records) else {
            unreachable!("a list of results");
        };
        assert_eq!(verdicts[0].1, Verdict::Refused("note: found 5, expected a text".into()));
    }

    #[test]
    fn the_server_may_say_when_to_come_back_and_a_day_is_the_longest() {
        for (said, granted) in [
            ("7", Some(7_000)),
            (" 0 ", Some(0)),
            ("86400", Some(86_400_000)),
            ("604800", Some(86_400_000)),
            ("9223372036854775807", Some(86_400_000)),
            ("-1", None),
            ("Fri, 31 Dec 2026 23:59:59 GMT", None),
        ] {
            let answer = Answer::Http {
                status: 429,
                content_type: String::new(),
                retry_after: Some(said.into()),
                body: String::new(),
                sent_on: None,
            };
            let Reply::TryLater { after_ms, .. } = reply_of(&answer, &[], Confirm::Records) else {
                unreachable!("429");
            };
            assert_eq!(after_ms, granted, "{said}");
        }
    }
}
