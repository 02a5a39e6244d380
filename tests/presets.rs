//! Every preset against answers of its backend, real or by its documentation (each fixture says which): what is sent for the block of `docs/backends.md`, and what each answer
//! is taken for, those that say 2xx and failed among them. `tests/fixtures/backends` holds both.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hitl_labeler::domain::credential::Token;
use hitl_labeler::domain::ident::{BatchId, RecordId, Timestamp};
use hitl_labeler::domain::outbox::{Reply, Verdict};
use hitl_labeler::wire::config::{document, parse};
use hitl_labeler::wire::delivery::{
    Delivery, Navigation, Outgoing, Request, Sending, build, finish, preset, signing_key, without_token,
};
use hitl_labeler::wire::record::Record;
use hitl_labeler::wire::reply::Answer;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const DOCS: &str = include_str!("../docs/backends.md");
const TOKEN: &str = "whsec_c2VjcmV0";
/// 2026-01-01T00:00:10Z.
const NOW: Timestamp = Timestamp(1_767_225_610_000);

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(root(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Names of the presets, by their files.
fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root("www/presets"))
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn preset(name: &str) -> Value {
    read(&format!("www/presets/{name}.json"))
}

/// What an element with this configuration would deliver by.
fn configured(document: Value) -> Result<Delivery, String> {
    let presets: Vec<_> = preset::wanted(&document).into_iter().map(preset).collect();
    let document = preset::apply(document, &presets).map_err(|why| why.to_string())?;
    parse(&document).map(|config| config.delivery).map_err(|why| why.to_string())
}

/// The block under a preset's heading in the documentation.
fn block(name: &str) -> Value {
    let section =
        DOCS.split(&format!("\n### {name}\n")).nth(1).unwrap_or_else(|| panic!("no section {name}"));
    let section = section.split("\n### ").next().unwrap();
    let block = section.split("```json\n").nth(1).unwrap_or_else(|| panic!("no block under {name}"));
    document(block.split("```").next().unwrap()).unwrap()
}

fn delivery(name: &str) -> Delivery {
    configured(block(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// An answer, and its taking back.
fn records() -> [Value; 2] {
    let answer = json!({
        "schema": "hitl-labeler/record/1", "id": "019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d", "item_id": "pets/1 ä", "kind": "correction",
        "role": "manual", "answer": {"label": "cat"}, "supersedes": null, "prediction": null,
        "policy": {"decision": "defer", "reasons": []}, "prediction_shown": "hidden", "annotator": "ada", "session": "s",
        "shown_at": "2026-01-01T00:00:00.042Z", "answered_at": "2026-01-01T00:00:02.190Z", "seconds": 2.148,
        "skipped_before": 0, "flagged": false, "note": "\"a\" {b} & c=d",
        "meta": {"task_id": 7, "record_id": "8c1f2d3e", "example_id": 3}
    });
    let mut undo = answer.clone();
    undo["id"] = "019b76da-c3d5-7abc-8def-0123456789ab".into();
    (undo["kind"], undo["answer"]) = ("undo".into(), Value::Null);
    undo["supersedes"] = answer["id"].clone();
    [answer, undo]
}

fn id(record: &Value) -> RecordId {
    record["id"].as_str().unwrap().parse().unwrap()
}

fn batch() -> BatchId {
    "019b76da-b4c8-7000-8000-00000000000b".parse().unwrap()
}

fn outgoing(to: &Delivery, records: &[Value], token: Option<&str>) -> Result<Outgoing, Reply> {
    let ids: Vec<_> = records.iter().map(id).collect();
    let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
    let query = json!({"assignmentId": "A1", "turkSubmitTo": "https://workersandbox.mturk.com"});
    build(to, &Sending { batch: batch(), ids: &ids, lines: &lines, token, now: NOW, query: &query })
}

/// The records as they are sent, a request's worth each.
fn batches(to: &Delivery) -> Vec<Vec<Value>> {
    let all = records();
    all.chunks(to.rules.batch_most).map(<[Value]>::to_vec).collect()
}

/// A request as fixtures write it: JSON bodies as JSON, records by their place.
fn told(request: &Request) -> Value {
    let [first, second] = records();
    let mut text = request.body.clone();
    for (record, name) in [(&first, "RECORD 0"), (&second, "RECORD 1")] {
        let line = record.to_string();
        let inside = Value::from(line.as_str()).to_string();
        text =
            text.replace(&line, &format!("\"<{name}>\"")).replace(&inside, &format!("\"<{name} as text>\""));
    }
    let headers: Map<_, _> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let body = serde_json::from_str::<Value>(&text).unwrap_or_else(|_| {
        let lines: Vec<_> = text.split('\n').collect();
        if lines.len() > 1 { lines.into() } else { text.into() }
    });
    let mut told = json!({"method": request.method, "url": request.url, "headers": headers, "body": body});
    if let Some(sign) = &request.sign {
        told["signed"] =
            json!({"header": sign.header, "text_without_body": sign.text.replace(&request.body, "<BODY>")});
    }
    told
}

/// What a reply means for each of `records`, in a word each; one word for a reply to the whole.
fn meaning(reply: &Reply, records: &[Value]) -> Value {
    match reply {
        Reply::Verdicts(verdicts) => {
            let word = |record: &Value| match verdicts
                .iter()
                .find(|(named, _)| *named == id(record))
                .map(|(_, verdict)| verdict)
            {
                Some(Verdict::Stored) => "stored",
                Some(Verdict::Refused(_)) => "refused",
                Some(Verdict::Later(_)) | None => "again",
            };
            let words: Vec<_> = records.iter().map(word).collect();
            if let [one] = words[..] { one.into() } else { words.into() }
        }
        Reply::TryLater { .. } => "again".into(),
        Reply::Unauthorized(_) => "pause".into(),
        Reply::WrongAddress(_) => "stop".into(),
        Reply::RefusedWhole(_) => "refuse".into(),
    }
}

/// Every reason in a reply.
fn reasons(reply: &Reply) -> String {
    match reply {
        Reply::Verdicts(verdicts) => {
            let why = |(_, verdict): &(RecordId, Verdict)| match verdict {
                Verdict::Refused(why) | Verdict::Later(why) => Some(why.to_string()),
                Verdict::Stored => None,
            };
            verdicts.iter().filter_map(why).collect::<Vec<_>>().join("; ")
        }
        Reply::TryLater { why, .. }
        | Reply::Unauthorized(why)
        | Reply::WrongAddress(why)
        | Reply::RefusedWhole(why) => why.to_string(),
    }
}

fn answer(written: &Value) -> Answer {
    let body = written["text"].as_str().map_or_else(|| written["body"].to_string(), str::to_owned);
    Answer::Http {
        status: written["status"].as_u64().unwrap().try_into().unwrap(),
        content_type: written["type"].as_str().unwrap().into(),
        retry_after: written["retry_after"].as_str().map(str::to_owned),
        body,
        sent_on: written["sent_on"].as_str().map(str::to_owned),
    }
}

/// The presets that deliver, with their fixtures.
fn delivering() -> Vec<(String, Delivery, Value)> {
    let ends = ["mturk", "prolific"];
    let all = names().into_iter().filter(|name| !ends.contains(&name.as_str()));
    all.map(|name| {
        let fixture = read(&format!("tests/fixtures/backends/{name}.json"));
        (name.clone(), delivery(&name), fixture)
    })
    .collect()
}

/// The first request's records, and how they went out.
fn first(to: &Delivery) -> (Vec<Value>, Outgoing) {
    let records = batches(to).remove(0);
    let outgoing = outgoing(to, &records, to.needs_token.then_some(TOKEN)).unwrap();
    (records, outgoing)
}

fn meant(to: &Delivery, answer: &Answer) -> (Value, Reply) {
    let (records, outgoing) = first(to);
    let reply = outgoing.reply(to, Some(answer));
    (meaning(&reply, &records), reply)
}

#[test]
fn the_samples_are_records() {
    for record in records() {
        let read: Result<Record, _> = hitl_labeler::reader::read(&record, |node| Record::read(&node));
        assert!(read.is_ok(), "{}", read.unwrap_err());
    }
}

#[test]
fn each_block_of_the_documentation_asks_for_the_request_that_the_backend_wants() {
    let all = delivering();
    assert!(all.len() >= 18);
    for (name, to, fixture) in all {
        let mut made = Vec::new();
        for batch in batches(&to) {
            let outgoing = outgoing(&to, &batch, to.needs_token.then_some(TOKEN)).unwrap();
            made.push(match &outgoing.request {
                Some(request) => told(request),
                None => {
                    let why = reasons(&outgoing.reply(&to, None));
                    json!({"refused": why.trim_end_matches(": this backend cannot take the record without it")})
                }
            });
        }
        let expected = fixture["requests"].as_array().unwrap();
        assert_eq!(&made, expected, "{name}: {}", Value::from(made.clone()));
    }
}

#[test]
fn each_answer_is_taken_for_what_it_is() {
    for (name, to, fixture) in delivering() {
        let answers = fixture["answers"].as_array().unwrap();
        let stored = answers.iter().filter(|answer| answer["means"].to_string().contains("stored")).count();
        assert!(stored >= 1 && stored < answers.len(), "{name}: one that succeeds, one that does not");
        for written in answers {
            let (means, reply) = meant(&to, &answer(written));
            assert_eq!(means, written["means"], "{name}: {}: {}", written["what"], reasons(&reply));
            let says = written["says"].as_str().unwrap_or_default();
            assert!(reasons(&reply).contains(says), "{name}: {}: {}", written["what"], reasons(&reply));
        }
    }
}

#[test]
fn an_answer_that_names_a_record_of_another_request_says_nothing_of_it() {
    const ANOTHER: &str = "019b76da-a82a-7c3e-9d41-000000000000";
    let mut named = 0;
    for (name, to, fixture) in delivering() {
        for written in fixture["answers"].as_array().unwrap() {
            let (records, outgoing) = first(&to);
            let sent: Vec<_> = records.iter().map(id).collect();
            let text = written.to_string().replace(&sent[0].to_string(), ANOTHER);
            named += usize::from(text.contains(ANOTHER));
            let reply = outgoing.reply(&to, Some(&answer(&serde_json::from_str(&text).unwrap())));
            if let Reply::Verdicts(verdicts) = reply {
                assert!(verdicts.iter().all(|(id, _)| sent.contains(id)), "{name}: {text}");
            }
        }
    }
    assert!(named >= 3, "{named} answers name a record");
}

/// Answers of hotels, proxies and servers that take anything: none of them has a record.
const NOBODY: &[(&str, &str)] = &[
    ("text/html", "<!doctype html><title>Log in</title>"),
    ("text/html; charset=utf-8", "<html><script>location='https://portal.example/'</script></html>"),
    ("application/json", "<html>"),
    ("text/plain", "\n <!DOCTYPE html>"),
    ("application/xhtml+xml", "<?xml version=\"1.0\"?><html/>"),
    ("application/json", "{\"error\":\"not stored\"}"),
    ("application/json", "{\"errors\":[\"not stored\"]}"),
    ("application/json", "{\"ok\":false}"),
    ("application/json", "{\"success\":false}"),
];

/// Those that believe a status: what they cannot know is said in the documentation.
const BELIEVE: &[&str] = &["cloudevents", "cloudevents-batch", "standard-webhooks"];

#[test]
fn nobody_elses_answer_is_a_delivery() {
    for (name, to, _) in delivering() {
        for status in [200, 201, 202, 204, 206] {
            for (content_type, body) in NOBODY {
                if BELIEVE.contains(&name.as_str()) && body.starts_with('{') {
                    continue;
                }
                let answer = Answer::Http {
                    status,
                    content_type: (*content_type).into(),
                    retry_after: None,
                    body: (*body).into(),
                    sent_on: None,
                };
                let (means, _) = meant(&to, &answer);
                assert!(!means.to_string().contains("stored"), "{name} takes {status} {body}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// An answer that says 2xx and failed stays one whatever else is in it or around it.
    #[test]
    fn no_false_success_is_ever_a_delivery(
        which in any::<prop::sample::Index>(),
        extra in prop::collection::btree_map("x_[a-z]{1,6}", "[a-z0-9]{0,8}", 0..4),
        before in "[ \\n\\t]{0,3}",
        after in "[ \\n\\t]{0,3}",
    ) {
        let mut corpus = Vec::new();
        for (name, to, fixture) in FALSE.with(Clone::clone).iter() {
            for written in fixture["answers"].as_array().unwrap() {
                let fine = (200..300).contains(&written["status"].as_u64().unwrap());
                if fine && !written["means"].to_string().contains("stored") {
                    corpus.push((name.clone(), to.clone(), written.clone()));
                }
            }
        }
        prop_assert!(corpus.len() >= 25);
        let (name, to, mut written) = which.get(&corpus).clone();
        if let Some(body) = written["body"].as_object_mut() {
            body.extend(extra.into_iter().map(|(key, value)| (key, value.into())));
        }
        let Answer::Http { status, content_type, body, .. } = answer(&written) else { unreachable!() };
        let body = [before.as_str(), &body, &after].concat();
        let answer = Answer::Http { status, content_type, retry_after: None, body, sent_on: None };
        let (means, _) = meant(&to, &answer);
        prop_assert!(!means.to_string().contains("stored"), "{name}: {written}");
    }

    /// Whatever a server says, it is about the records that were sent, and never a panic.
    #[test]
    fn an_answer_settles_only_what_was_sent(
        which in any::<prop::sample::Index>(),
        status in 100_u16..600,
        body in "\\PC{0,60}|\\{\"(items|results|offsets)\":\\[(\\{\"id\":\"([0-9a-f-]{36}|[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12})\",\"(ok|status)\":(true|\"stored\")\\}){0,1}\\]\\}",
    ) {
        let all = FALSE.with(Clone::clone);
        let (_, to, _) = which.get(&all);
        let (records, outgoing) = first(to);
        let content_type = "application/json".into();
        let answer = Answer::Http { status, content_type, retry_after: None, body, sent_on: None };
        if let Reply::Verdicts(verdicts) = outgoing.reply(to, Some(&answer)) {
            let sent: Vec<_> = records.iter().map(id).collect();
            let named = verdicts.iter().filter(|(id, _)| sent.contains(id)).count();
            prop_assert!(named <= sent.len());
            prop_assert_eq!(named, verdicts.len(), "a verdict on what was not sent");
            prop_assert!((200..300).contains(&status) || [409, 412, 422, 500].contains(&status), "{status}");
        }
    }
}

thread_local! {
    /// Read once: the cases are many.
    static FALSE: std::rc::Rc<Vec<(String, Delivery, Value)>> = std::rc::Rc::new(delivering());
}

/// 301, 302 and 303 make a GET without a body of a POST: what answers that has not seen the records.
#[test]
fn after_a_redirect_only_an_answer_that_knows_the_records_is_a_delivery() {
    const THERE: &str = "https://www.example.org/records";
    let first = records()[0]["id"].as_str().unwrap().to_owned();
    let means = |to: Delivery, status: u16, body: Value| {
        let written = json!({"status": status, "type": "application/json", "body": body, "sent_on": THERE});
        meant(&to, &answer(&written))
    };
    let with = |more: Value| {
        let mut delivery =
            json!({"url": "https://example.org/records", "redirect": "follow", "batch_size": 1});
        delivery.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        configured(json!({"labels": ["a", "b"], "delivery": delivery})).unwrap()
    };
    let follow = |name: &str| {
        let mut document = block(name);
        document["delivery"]["redirect"] = json!("follow");
        configured(document).unwrap()
    };
    let in_order = json!({"path": "items", "stored": {"path": "n", "exists": true}});
    for (to, body) in [
        (follow("json"), json!([])),
        (follow("jsonl"), json!({"records": []})),
        (follow("cloudevents"), json!({})),
        (with(json!({"confirm": "status"})), json!("welcome")),
        (with(json!({"answers": [{"status": ["2xx"], "means": "stored"}]})), json!({"id": 5})),
        (with(json!({"results": in_order})), json!({"items": [{"n": 1}]})),
    ] {
        for status in [200, 201, 204] {
            let (word, reply) = means(to.clone(), status, body.clone());
            assert_eq!(word, "stop", "{body}");
            assert!(reasons(&reply).contains(THERE), "{}", reasons(&reply));
        }
    }
    // A conflict of somebody else's is no duplicate.
    let conflict = json!({"answers": [{"status": [409], "means": "duplicate"}]});
    assert_eq!(means(with(conflict), 409, json!({})).0, "stop");
    // A server that appends a slash, and takes no GET there.
    let (word, reply) = means(with(json!({})), 405, json!({}));
    assert!(word == "stop" && reasons(&reply).contains(THERE), "{}", reasons(&reply));
    let (word, reply) = means(with(json!({})), 200, json!([]));
    assert!(word == "again" && reasons(&reply).contains(THERE), "{}", reasons(&reply));
    assert!(!reasons(&reply).contains("delivery.confirm"), "it would not help: {}", reasons(&reply));
    // These know what they speak of.
    let named = json!({"results": [{"id": first, "status": "stored"}]});
    for confirm in ["status", "records"] {
        assert_eq!(means(with(json!({"confirm": confirm})), 200, named.clone()).0, "stored");
    }
    let by_id = json!({"path": "items", "id": "id", "stored": {"path": "n", "exists": true}});
    assert_eq!(
        means(with(json!({"results": by_id})), 200, json!({"items": [{"id": first, "n": 1}]})).0,
        "stored"
    );
    let marked =
        json!({"answers": [{"status": [200], "body": {"path": "taken", "is": true}, "means": "stored"}]});
    assert_eq!(means(with(marked), 200, json!({"taken": true})).0, "stored");
    // What failed is as it is without a redirect; a hotel's log-in page passes by itself.
    assert_eq!(means(follow("json"), 503, json!({})).0, "again");
    assert_eq!(means(follow("json"), 403, json!({})).0, "pause");
    let page = json!({"status": 200, "type": "text/html", "text": "<h1>Hotel</h1>", "sent_on": THERE});
    assert_eq!(meant(&follow("json"), &answer(&page)).0, "again");
}

#[test]
fn rules_about_failures_alone_leave_success_to_what_else_is_configured() {
    let to = |more: Value| {
        let rules = json!([{"status": [404], "means": "again"}, {"status": [409], "means": "duplicate"}]);
        let mut delivery = json!({"url": "https://example.org/records", "batch_size": 1, "answers": rules});
        delivery.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        configured(json!({"labels": ["a", "b"], "delivery": delivery})).unwrap()
    };
    let means = |more: Value, status: u16, body: Value| {
        let written = json!({"status": status, "type": "application/json", "body": body});
        meant(&to(more), &answer(&written)).0
    };
    let nothing = json!({"ok": true});
    let trusting = json!({"confirm": "status"});
    assert_eq!(means(trusting.clone(), 200, nothing.clone()), json!("stored"));
    assert_eq!(means(trusting.clone(), 409, nothing.clone()), json!("stored"));
    assert_eq!(means(trusting, 404, nothing.clone()), json!("again"));
    assert_eq!(means(json!({}), 200, nothing), json!("again"), "nothing names the records");
    let results = json!({"results": {"path": "items", "stored": {"path": "ok", "is": true}}});
    let said = json!({"items": [{"ok": true}]});
    assert_eq!(means(results, 200, said), json!("stored"));
}

/// The schema of presets, with that of configurations beside it, as they lie in one folder.
fn preset_schema() -> jsonschema::Validator {
    let base = "https://example.org/schema/";
    let mut registry = jsonschema::Registry::new();
    let config = read("www/schema/config.v1.schema.json");
    registry = registry.add(format!("{base}config.v1.schema.json"), config).unwrap();
    let registry = registry.prepare().unwrap();
    let options = jsonschema::options().with_base_uri(format!("{base}preset.v1.schema.json"));
    options.with_registry(&registry).build(&read("www/schema/preset.v1.schema.json")).unwrap()
}

#[test]
fn a_misspelt_key_of_an_own_preset_is_seen_by_the_schema() {
    let preset = |delivery| json!({"schema": preset::SCHEMA, "delivery": delivery});
    assert!(preset_schema().is_valid(&preset(json!({"batch_size": 5}))));
    assert!(!preset_schema().is_valid(&preset(json!({"batch_sise": 5}))));
}

#[test]
fn a_preset_is_small_and_as_its_schema_says() {
    let schema = preset_schema();
    let config = jsonschema::validator_for(&read("www/schema/config.v1.schema.json")).unwrap();
    for name in names() {
        let text = fs::read_to_string(root(&format!("www/presets/{name}.json"))).unwrap();
        assert!(text.lines().count() <= 15, "{name} has {} lines", text.lines().count());
        let preset = preset(&name);
        let said: Vec<_> = schema.iter_errors(&preset).map(|why| why.to_string()).collect();
        assert!(said.is_empty(), "{name}: {said:?}");
        for document in [json!({"delivery": preset["delivery"]}), block(&name)] {
            let said: Vec<_> =
                config.iter_errors(&document).map(|why| format!("{}: {why}", why.instance_path())).collect();
            assert!(said.is_empty(), "{name}: {said:?}");
        }
        for (param, about) in preset["params"].as_object().into_iter().flatten() {
            assert!(
                text.contains(&format!("{{params.{param}")) || text.contains(&format!("map:params.{param}")),
                "{name}: {param}"
            );
            let mut without = block(&name);
            without["delivery"]["params"].as_object_mut().unwrap().remove(param);
            let said = configured(without).unwrap_err();
            let expected =
                format!("`delivery.params.{param}`: found nothing, expected {}", about.as_str().unwrap());
            assert!(said.contains(&expected), "{name}: {said}");
        }
    }
}

#[test]
fn schema_and_reader_agree_on_presets() {
    let schema = preset_schema();
    let bad = [
        (json!([]), "`preset own`: found a list of 0, expected an object"),
        (json!({"delivery": {}}), "`preset own: schema`: found nothing, expected a value"),
        (
            json!({"schema": "hitl-labeler/preset/2", "delivery": {}}),
            "`preset own: schema`: found \"hitl-labeler/preset/2\"",
        ),
        (json!({"schema": preset::SCHEMA}), "`preset own: delivery`: found nothing, expected a value"),
        (
            json!({"schema": preset::SCHEMA, "delivery": {}, "name": "x"}),
            "`preset own: name`: found an unknown key",
        ),
        (
            json!({"schema": preset::SCHEMA, "delivery": {}, "params": {"a": 5}}),
            "`preset own: params.a`: found 5, expected a text",
        ),
        (
            json!({"schema": preset::SCHEMA, "delivery": {"preset": "json"}}),
            "`preset own: delivery.preset`: found a preset in a preset",
        ),
    ];
    for (preset, expected) in bad {
        let said = preset::apply(json!({"delivery": {"preset": "own"}}), std::slice::from_ref(&preset))
            .unwrap_err()
            .to_string();
        assert!(said.starts_with(expected), "{said}");
        assert!(!schema.is_valid(&preset), "{preset}");
    }
}

#[test]
fn a_parameter_is_not_taken_for_one_whose_name_begins_with_its_own() {
    let about = json!({"to": "where it goes", "to_name": "what it is called"});
    let preset = json!({"schema": preset::SCHEMA, "params": about, "delivery": {"url": "/{params.to_name}"}});
    let applied = |params: Value, presets: &[Value]| {
        preset::apply(json!({"delivery": {"preset": "own", "params": params}}), presets)
            .map_err(|why| why.to_string())
    };
    let lacking = applied(json!({"to_name": "x"}), std::slice::from_ref(&preset));
    assert!(lacking.is_ok(), "{lacking:?}: nothing asks for `to`");
    let own = json!({"delivery": {"preset": "own", "url": "/{params.to-name}/{params.to_2}/{params.tos}",
        "params": {"to": "x", "to_2": "x", "to-name": "x", "tos": "x"}}});
    let preset = json!({"schema": preset::SCHEMA, "delivery": {}});
    let said = preset::apply(own, &[preset]).unwrap_err().to_string();
    assert_eq!(said, "`delivery.params.to`: found a parameter that no preset knows, expected none");
}

#[test]
fn own_keys_go_before_the_preset_and_a_misspelt_parameter_is_told() {
    let own = json!({"delivery": {
        "preset": "label-studio", "params": {"url": "/ls", "to_name": "text"}, "headers": {"X-A": "b"},
        "authorization": {"value": "Token {token}"}, "retry": {"base_ms": 500}
    }});
    let to = configured(own.clone()).unwrap();
    let request = outgoing(&to, &records()[..1], Some("t")).unwrap().request.unwrap();
    assert_eq!(request.url, "/ls/api/tasks/7/annotations/");
    assert!(request.headers.contains(&("Authorization".into(), "Token t".into())));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["result"][0]["to_name"], &body["result"][0]["from_name"]),
        (&json!("text"), &json!("label"))
    );
    let mut misspelt = own.clone();
    misspelt["delivery"]["params"]["form_name"] = "x".into();
    let said = configured(misspelt).unwrap_err();
    assert!(
        said.starts_with(
            "`delivery.params.form_name`: found a parameter that no preset knows, expected one of url"
        ),
        "{said}"
    );
    // One for a template of one's own is known.
    let mut further = own;
    further["delivery"]["params"]["team"] = "blue".into();
    further["delivery"]["headers"]["X-Team"] = "{params.team}".into();
    assert!(configured(further).is_ok());
}

#[test]
fn without_a_token_nothing_is_sent_and_nothing_is_refused() {
    let to = delivery("label-studio");
    let reply = outgoing(&to, &records()[..1], None).unwrap_err();
    assert!(matches!(&reply, Reply::Unauthorized(why) if why.contains("`authorize`")), "{reply:?}");
}

#[test]
fn a_record_that_lacks_something_is_refused_alone() {
    let to = delivery("argilla");
    let [mut lacking, good] = records();
    lacking["meta"] = json!({"record_id": null});
    lacking["item_id"] = "other".into();
    let both = [lacking.clone(), good.clone()];
    let sent = outgoing(&to, &both, Some("t")).unwrap();
    let body: Value = serde_json::from_str(&sent.request.clone().unwrap().body).unwrap();
    assert_eq!(body["items"].as_array().unwrap().len(), 2, "null is a value where JSON stands");
    lacking["meta"] = Value::Null;
    let both = [lacking.clone(), good];
    let sent = outgoing(&to, &both, Some("t")).unwrap();
    let body: Value = serde_json::from_str(&sent.request.clone().unwrap().body).unwrap();
    assert_eq!(body["items"].as_array().unwrap().len(), 1);
    let answer = answer(
        &json!({"status": 200, "type": "", "body": {"items": [{"item": {"id": "r"}, "error": null}]}}),
    );
    let reply = sent.clone().reply(&to, Some(&answer));
    assert_eq!(meaning(&reply, &both), json!(["refused", "stored"]));
    assert_eq!(
        reasons(&reply),
        "record.meta.record_id: found nothing, expected a value: this backend cannot take the record without it"
    );
    // A failure of the others leaves the batch as it is: it is cut and sent again as ever.
    assert!(matches!(sent.reply(&to, Some(&Answer::TimedOut)), Reply::TryLater { .. }));
    let alone = outgoing(&to, &[lacking], Some("t")).unwrap();
    assert_eq!(alone.request, None);
}

#[test]
fn what_an_item_says_stays_in_its_place_of_the_address() {
    let to = delivery("label-studio");
    let url = |task: Value| {
        let [mut record, _] = records();
        record["meta"]["task_id"] = task;
        let out = outgoing(&to, std::slice::from_ref(&record), Some("t")).unwrap();
        out.request.clone().map_or_else(|| reasons(&out.reply(&to, None)), |request| request.url)
    };
    assert_eq!(
        url(json!("a/b?c=d#e")),
        "https://label-studio.example.org/api/tasks/a%2Fb%3Fc%3Dd%23e/annotations/"
    );
    assert!(
        url(json!(".."))
            .starts_with("record.meta.task_id: found \"..\", expected what may stand in an address")
    );
    assert!(url(json!("")).starts_with("record.meta.task_id: found \"\", expected"));
    let own =
        configured(json!({"delivery": {"url": "{record.meta.to}", "format": "single", "method": "PUT"}}))
            .unwrap();
    for (to, good) in [
        ("https://a.example/k?sig=x", true),
        ("/k", true),
        ("javascript:x", false),
        ("https://me:pw@a.example/", false),
    ] {
        let [mut record, _] = records();
        record["meta"]["to"] = to.into();
        let out = outgoing(&own, &[record], None).unwrap();
        assert_eq!(out.request.is_some(), good, "{to}");
    }
}

#[test]
fn an_items_presigned_address_needs_no_token_and_a_second_record_there_is_not_taken_for_known() {
    let to = configured(json!({"delivery": {
        "preset": "s3-presigned", "url": "{record.meta.upload_url}", "params": {},
        "answers": [{"status": [200], "body": {"is": ""}, "html": true, "means": "stored"}]
    }}))
    .unwrap();
    let [mut record, _] = records();
    record["meta"]["upload_url"] = "https://bucket.example.org/a?X-Amz-Signature=b%2Fc".into();
    let out = outgoing(&to, std::slice::from_ref(&record), None).unwrap();
    assert_eq!(out.request.as_ref().unwrap().url, "https://bucket.example.org/a?X-Amz-Signature=b%2Fc");
    let there =
        json!({"status": 412, "type": "text/html", "text": "<Error><Code>PreconditionFailed</Code></Error>"});
    assert!(matches!(out.reply(&to, Some(&answer(&there))), Reply::RefusedWhole(_)));
}

#[test]
fn a_header_holds_no_more_than_a_header_can() {
    let to =
        configured(json!({"delivery": {"url": "/r", "headers": {"X-Item": "{record.item_id}"}}})).unwrap();
    let [mut record, _] = records();
    assert!(outgoing(&to, &[record.clone()], None).unwrap().request.is_some());
    record["item_id"] = "a\r\nX-Evil: b".into();
    let out = outgoing(&to, &[record], None).unwrap();
    let said = reasons(&out.reply(&to, None));
    assert!(said.contains("found a sign that no header can hold"), "{said}");
}

#[test]
fn no_form_of_a_token_is_left_in_what_a_server_repeats() {
    let token = Token::new("user:p\"ss wörd").unwrap();
    let said = r#"bad header: Basic dXNlcjpwInNzIHfDtnJk, token=user%3Ap%22ss%20w%C3%B6rd, {"token":"user:p\"ss wörd"}, user:p"ss wörd"#;
    let expected = r#"bad header: Basic …, token=…, {"token":"…"}, …"#;
    assert_eq!(without_token(said, &token), expected);
    // A header that cannot hold the token says so without it.
    let authorization = json!({"value": "ApiKey {params.user}:{token}"});
    let delivery = json!({"url": "/r", "params": {"user": "Łukasz"}, "authorization": authorization});
    let to = configured(json!({"labels": ["a", "b"], "delivery": delivery}));
    if let Ok(to) = to {
        let [record, _] = records();
        let said = outgoing(&to, &[record], Some(TOKEN)).map(|out| reasons(&out.reply(&to, None)));
        assert!(!format!("{said:?}").contains(TOKEN), "{said:?}");
    }
}

#[test]
fn the_same_batch_is_the_same_request_at_every_attempt() {
    for (name, to, _) in delivering().into_iter().filter(|(name, ..)| name != "standard-webhooks") {
        let records = batches(&to).remove(0);
        let (ids, lines): (Vec<_>, Vec<_>) =
            records.iter().map(|record| (id(record), record.to_string())).unzip();
        let at = |now| {
            let sending = Sending {
                batch: batch(),
                ids: &ids,
                lines: &lines,
                token: Some("t"),
                now,
                query: &Value::Null,
            };
            build(&to, &sending).unwrap().request
        };
        assert_eq!(at(NOW), at(NOW.plus(3_600_000)), "{name}");
    }
}

#[test]
fn records_go_as_they_are_stored_to_the_byte() {
    // Order of keys and digits of numbers as no JSON writer of ours would put them.
    let line = r#"{"z":1.10,"id":"019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d", "a":12345678901234567890.5}"#;
    let to = configured(json!({"delivery": {"url": "/r", "body": {"all": "{records}"}, "record": {"r": "{record}", "id": "{record.id}"}}})).unwrap();
    let ids = ["019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d".parse().unwrap()];
    let sending = Sending {
        batch: batch(),
        ids: &ids,
        lines: &[line.to_owned()],
        token: None,
        now: NOW,
        query: &Value::Null,
    };
    let body = build(&to, &sending).unwrap().request.unwrap().body;
    assert_eq!(body, format!(r#"{{"all":[{{"id":"019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d","r":{line}}}]}}"#));
}

#[test]
fn a_batch_that_was_frozen_under_other_settings_goes_one_by_one() {
    let to = delivery("label-studio");
    let out = outgoing(&to, &records(), Some("t")).unwrap();
    let reply = out.reply(&to, Some(&answer(&json!({"status": 201, "type": "", "body": {"id": 5}}))));
    assert_eq!(meaning(&reply, &records()), json!(["stored", "again"]));
}

/// Standard Webhooks 1.0's own example of a secret.
#[test]
fn a_webhooks_secret_is_base64_and_its_signature_goes_into_the_header() {
    assert_eq!(signing_key(TOKEN), b"secret");
    assert_eq!(signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").len(), 24);
    assert_eq!(signing_key("plain"), b"plain");
    let (_, out) = first(&delivery("standard-webhooks"));
    let sign = out.request.unwrap().sign.unwrap();
    assert_eq!(sign.value(&[0xfb, 0xff, 0x00, 0x01]), "v1,+/8AAQ==");
}

#[test]
fn the_page_goes_where_the_preset_says_and_nowhere_else() {
    let prolific = delivery("prolific");
    let at = finish(&prolific, &json!({}), 5).unwrap().unwrap();
    assert_eq!(
        at,
        Navigation { url: "https://app.prolific.com/submissions/complete?cc=C1ABCDEF".into(), fields: None }
    );
    let mturk = delivery("mturk");
    let query = json!({"assignmentId": "A 1", "turkSubmitTo": "https://workersandbox.mturk.com"});
    let at = finish(&mturk, &query, 5).unwrap().unwrap();
    assert_eq!(at.url, "https://workersandbox.mturk.com/mturk/externalSubmit");
    assert_eq!(at.fields.unwrap(), [("assignmentId".into(), "A 1".into()), ("delivered".into(), "5".into())]);
    for evil in [
        "https://evil.example",
        "https://www.mturk.com.evil.example",
        "https://www.mturk.com@evil.example",
        "javascript:x//www.mturk.com",
        "//www.mturk.com",
        "https:/\\www.mturk.com",
    ] {
        let said =
            finish(&mturk, &json!({"assignmentId": "A", "turkSubmitTo": evil}), 0).unwrap().unwrap_err();
        assert!(said.contains("expected one of https://www.mturk.com"), "{said}");
    }
    let said = finish(&mturk, &json!({}), 0).unwrap().unwrap_err();
    assert_eq!(said, "query.turkSubmitTo: found nothing, expected a value");
    assert_eq!(finish(&delivery("collector"), &json!({}), 0), None);
}

#[test]
fn every_preset_is_in_the_documentation_and_nothing_else_is() {
    let headings: Vec<_> = DOCS
        .split("\n### ")
        .skip(1)
        .map(|section| section.lines().next().unwrap().to_owned())
        .take_while(|heading| heading != "Templates")
        .collect();
    let mut sorted = headings.clone();
    sorted.sort();
    assert_eq!(sorted, names());
    for name in names() {
        assert!(DOCS.contains(&format!("`{name}`")), "the table lacks {name}");
        let named: BTreeMap<_, _> =
            block(&name)["delivery"].as_object().unwrap().clone().into_iter().collect();
        assert!(named["preset"].to_string().contains(&format!("\"{name}\"")));
    }
    let free = DOCS.split("### What counts as delivered").nth(1).unwrap().split("```json\n").nth(1).unwrap();
    configured(document(free.split("```").next().unwrap()).unwrap()).unwrap();
    let own = DOCS.split("### A preset of your own").nth(1).unwrap().split("```json\n").nth(1).unwrap();
    let own = document(own.split("```").next().unwrap()).unwrap();
    let merged =
        preset::apply(json!({"delivery": {"preset": "own.json", "params": {"project": "p"}}}), &[own])
            .unwrap();
    assert!(parse(&merged).is_ok());
}

#[test]
fn the_table_says_which_presets_met_a_server_and_which_only_its_documentation() {
    let mut told = BTreeMap::new();
    for row in DOCS.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, .., proof] = &cells[..] else { panic!("{row}") };
        let proofs: Vec<_> = proof.split("; ").collect();
        for (at, name) in names.split(", ").enumerate() {
            told.insert(name.trim_matches('`').to_owned(), proofs[at.min(proofs.len() - 1)].to_owned());
        }
    }
    for name in names() {
        let by_papers = told[&name] == "documentation";
        let file = format!("tests/fixtures/backends/{name}.json");
        let from = root(&file).exists().then(|| read(&file)["from"].to_string());
        let met = from.as_deref().is_some_and(|from| from.contains("a real ") || from.contains("held to"));
        let in_tests = fs::read_dir(root("tests/backends")).unwrap().any(|file| {
            let path = file.unwrap().path();
            let is_test = path.to_string_lossy().ends_with(".test.mjs");
            is_test && fs::read_to_string(path).unwrap().contains(&format!("\"{name}\""))
        });
        assert_eq!(!by_papers, met || in_tests || name.starts_with("json"), "{name}: {}", told[&name]);
    }
}
