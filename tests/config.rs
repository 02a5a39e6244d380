//! The configuration's parser, its published schema and its documentation say the same; attributes are a
//! shorthand of it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic)]
#![recursion_limit = "256"]

use hitl_labeler::domain::correction::PredictionShown;
use hitl_labeler::domain::label::{Label, LabelId, LabelSet};
use hitl_labeler::domain::policy::{Bound, Condition, MetaTest, NOTHING, Policy, Sampling};
use hitl_labeler::domain::promise::{Looks, Target};
use hitl_labeler::domain::queue::Strategy;
use hitl_labeler::domain::session::TargetRules;
use hitl_labeler::domain::value::Value as Meta;
use hitl_labeler::wire::config::{
    BodyFormat, Config, KeyDeed, Learning, Theme, document, overlay, parse, rebase,
};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../www/schema/config.v1.schema.json");
const DOCS: &str = include_str!("../docs/config.md");

fn labels() -> LabelSet {
    let label = |id: &str| Label { id: id.into(), name: id.into() };
    LabelSet::new(["cat", "dog", "owl"].map(label).to_vec()).unwrap()
}

fn everything() -> Value {
    json!({
        "$schema": "https://example.org/config.v1.schema.json", "schema": "hitl-labeler/config/1",
        "model": {"url": "models/pets/model.json", "max_bytes": 1_000_000, "head": "../heads/pets.json"},
        "items": {"url": "https://cdn.example.org/items.jsonl", "pixel_limit": 1_000_000},
        "question": "Which animal?", "open_labels": true,
        "learning": {"hold_out": 0.2, "seed": 4, "memory_mb": 64},
        "policy": {
            "accept_at": 0.8, "per_label": {"owl": 0.99},
            "defer_when": {"any": [
                {"margin_below": 0.1}, {"entropy_at_least": 0.5}, {"label_in": ["dog"]},
                {"meta": {"path": "source.camera", "in": ["front", 3, true]}},
                {"all": [{"confidence_below": 0.95}, {"meta": {"path": "age", "at_least": 30}}]}
            ]},
            "audit_when": {"sample": {"percent": 5, "seed": 7}}
        },
        "order": {"by": "entropy", "random_share": 0.2, "seed": 9_007_199_254_740_991_i64},
        "predictions": "after", "annotator": "ada", "project": "pets", "workers": 3, "item_deadline_ms": 2000,
        "autostart": false,
        "keys": {"enabled": true, "labels": {"cat": "C", "dog": "ArrowLeft"}, "undo": "u", "skip": " ", "accept": "é"},
        "lang": "pt-BR", "theme": "dark",
        "delivery": {
            "params": {"list": "pets", "known": {"a": 1}},
            "url": "/api/records/{params.list}?at={batch.time|unix}", "method": "PUT",
            "headers": {"X-Team": "blue", "Authorization": "Bearer abc", "X-Batch": "{batch.id}"}, "insecure_static_secrets": true,
            "batch_size": 10, "batch_bytes": 65536, "format": "jsonl", "accepted": true,
            "record": [{"{params.list}": "{record.answer.label?|map:params.known}"}, "{record}"], "body": "{records}",
            "retry": {"base_ms": 500, "cap_ms": 60000, "for_ms": 86_400_000}, "timeout_ms": 5000, "confirm": "status",
            "idempotency": {"header": "X-Id", "quoted": false}, "authorization": {"header": "X-Key", "value": "Key {token|base64}"},
            "sign": {"header": "X-Sign", "value": "v1={signature}", "text": "{batch.now}.{body}"},
            "credentials": "include", "redirect": "follow",
            "answers": [
                {"status": [201, "5xx"], "html": true, "body": {"any": [{"path": "a.0", "is": 1}, {"not": {"contains": "{params.list}"}}]}, "means": "duplicate", "why": "b"}
            ],
            "results": {"path": "items", "lines": false, "id": "id", "stored": {"all": [{"path": "s", "in": [200, true, "x"]}]},
                "duplicate": {"path": "s", "exists": true}, "again": null, "refused": {"path": "s", "exists": false}, "why": "why"},
            "finish": {"form": {"action": "{query.to}/x", "fields": {"a": "{delivered}"}}, "allow": ["https://a.example"]}
        }
    })
}

/// A policy that defers when this holds.
fn when(condition: Value) -> Value {
    json!({"policy": {"defer_when": condition}})
}

/// A configuration that promises this.
fn promise(target: Value) -> Value {
    json!({"policy": {"target": target}})
}

/// Configurations that are right.
fn good() -> Vec<(&'static str, Value)> {
    vec![
        ("nothing", json!({})),
        ("everything", everything()),
        ("a model's address", json!({"model": "model.json"})),
        ("the items' address", json!({"items": "//cdn/items.jsonl"})),
        ("a limit for items of the property", json!({"items": {"pixel_limit": 1}})),
        ("answers without a model", json!({"labels": ["cat", {"id": "dog", "name": "Dog"}]})),
        ("a blob", json!({"items": "blob:https://host/1-2"})),
        (
            "null for everything",
            json!({"schema": null, "model": null, "labels": null, "policy": null, "keys": null, "lang": null, "theme": null, "delivery": null, "order": null, "learning": null, "open_labels": null}),
        ),
        (
            "null inside",
            json!({"model": {"url": "a", "max_bytes": null, "head": null}, "policy": {"accept_at": null, "defer_when": null, "target": null}, "learning": {"hold_out": null, "seed": null, "memory_mb": null}, "order": {"by": null}, "keys": {"undo": null}, "delivery": {"url": null, "format": "single", "batch_size": null}}),
        ),
        ("labels beside no model", json!({"model": null, "labels": ["a", "b"]})),
        ("numbers as JavaScript writes them", json!({"workers": 2.0, "order": {"seed": 1.0}})),
        ("always accept", json!({"policy": {"accept_at": 0}})),
        ("never accept", json!({"policy": {"accept_at": 1}})),
        ("meta that is there", when(json!({"meta": {"path": "a", "exists": true}}))),
        ("meta that equals", when(json!({"meta": {"path": "a", "equals": false}}))),
        ("meta below", when(json!({"meta": {"path": "a", "below": -1e9}}))),
        ("sixty-three conditions", when(json!({"any": vec![json!({"margin_below": 0.1}); 62]}))),
        ("one record a request", json!({"delivery": {"format": "single", "batch_size": 1}})),
        (
            "a template that is one of two",
            json!({"delivery": {"url": "/r", "format": "single", "body": {"a": {"$if": "{record.answer}", "then": "{record.answer.label}", "else": null}}, "method": {"$if": "{record.kind|is:undo}", "then": "DELETE", "else": "POST"}}}),
        ),
        ("braces themselves", json!({"delivery": {"url": "/r", "headers": {"X-A": "{{a}}"}}})),
        (
            "an item's own address",
            json!({"delivery": {"url": "{record.meta.upload}", "method": "PUT", "format": "single"}}),
        ),
        ("a form", json!({"delivery": {"url": "/form", "format": "form", "body": {"r": "{record|json}"}}})),
        ("no key for the batch", json!({"delivery": {"idempotency": false, "authorization": {}}})),
        (
            "a secret that comes from the page",
            json!({"delivery": {"headers": {"Authorization": "Bearer {token}"}}}),
        ),
        (
            "where to go at the end",
            json!({"delivery": {"finish": {"redirect": "https://a.example/x?cc={query.c}"}}}),
        ),
        (
            "a batch of singles around a list",
            json!({"delivery": {"format": "single", "body": {"all": "{records}"}, "batch_size": 50}}),
        ),
        ("what the model settled, kept in the browser", json!({"delivery": {"accepted": true}})),
        ("keys off", json!({"keys": {"enabled": false}})),
        ("a function key", json!({"keys": {"help": "F1"}})),
        ("a promise", promise(json!(0.95))),
        ("the least promise", promise(json!(0.5))),
        (
            "a promise with everything",
            promise(
                json!({"accuracy": 0.999, "confidence": 0.95, "audits": 1, "monitor": 0, "seed": 9, "per_label": true, "looks": "any"}),
            ),
        ),
        (
            "a promise and what a person decides in any case",
            json!({"policy": {"target": 0.95, "defer_when": {"label_in": ["owl"]}, "accept_at": null}}),
        ),
        ("null inside a promise", promise(json!({"accuracy": 0.9, "confidence": null, "monitor": null}))),
        (
            "sixty-three conditions beside a promise",
            json!({"policy": {"target": 0.95, "defer_when": {"any": vec![json!({"margin_below": 0.1}); 62]}}}),
        ),
        ("learning off", json!({"learning": false})),
        ("learning on", json!({"learning": true})),
        ("learning as usual", json!({"learning": {}})),
        ("nothing held out", json!({"learning": {"hold_out": 0}})),
        ("answers of the person's", json!({"labels": ["cat", "dog"], "open_labels": true})),
        ("a head to start from", json!({"model": {"url": "m.json", "head": "head.json"}})),
        ("the least certain first", json!({"order": {"by": "least_confidence"}})),
        ("by lot", json!({"order": {"by": "random"}})),
        ("what differs most first", json!({"order": {"by": "diverse"}})),
        ("an empty header", json!({"delivery": {"headers": {"X-Empty": "", "x-latin": "é"}}})),
    ]
}

/// Configurations that are wrong, and what the parser says of them.
fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let delivery = |delivery: Value| json!({"delivery": delivery});
    vec![
        ("no object", json!([]), "`(the whole document)`: found a list of 0, expected an object"),
        (
            "another version",
            json!({"schema": "hitl-labeler/config/2"}),
            "`schema`: found \"hitl-labeler/config/2\", expected \"hitl-labeler/config/1\"",
        ),
        (
            "a misspelt key",
            json!({"anotator": "a"}),
            "`anotator`: found an unknown key, expected one of $schema, schema, model, items, labels, open_labels, question, policy, learning, order, predictions, annotator, project, workers, item_deadline_ms, autostart, keys, lang, theme, delivery (did you mean `annotator`?)",
        ),
        (
            "a script as model",
            json!({"model": "javascript:alert(1)"}),
            "`model`: found \"javascript:alert(1)\", expected an http, https or blob address, or a relative one",
        ),
        ("no address", json!({"model": ""}), "`model`: found \"\", expected a text that is not empty"),
        (
            "a blank before the address",
            json!({"model": " model.json"}),
            "`model`: found \" model.json\", expected an address without blanks",
        ),
        (
            "a number as model",
            json!({"model": 5}),
            "`model`: found 5, expected the address of a manifest, or an object of url, max_bytes and head",
        ),
        (
            "no address of the model",
            json!({"model": {"max_bytes": 5}}),
            "`model.url`: found nothing, expected a value",
        ),
        (
            "too large a model",
            json!({"model": {"url": "a", "max_bytes": 536_870_913}}),
            "`model.max_bytes`: found 536870913, expected a whole number from 1 to 536870912",
        ),
        (
            "a head that is a script",
            json!({"model": {"url": "a", "head": "data:application/json,{}"}}),
            "`model.head`: found \"data:application/json,{}\", expected an http, https or blob address, or a relative one",
        ),
        (
            "a head without its model",
            json!({"model": {"head": "head.json"}}),
            "`model.url`: found nothing, expected a value",
        ),
        (
            "a list as items",
            json!({"items": []}),
            "`items`: found a list of 0, expected the address of the items",
        ),
        (
            "credentials in the address",
            json!({"items": "https://me:pw@host/x"}),
            "`items`: found \"https://me:pw@host/x\", expected an address without user name",
        ),
        (
            "no pixels",
            json!({"items": {"pixel_limit": 0}}),
            "`items.pixel_limit`: found 0, expected a whole number from 1 to 1000000000",
        ),
        (
            "one label",
            json!({"labels": ["cat"]}),
            "`labels`: found a list of 1, expected a list of 2 to 65535 labels",
        ),
        (
            "labels beside a model",
            json!({"model": "m", "labels": ["a", "b"]}),
            "`labels`: found labels beside a model, expected one of the two",
        ),
        (
            "an empty question",
            json!({"question": ""}),
            "`question`: found \"\", expected a text that is not empty",
        ),
        ("a long name", json!({"annotator": "é".repeat(1001)}), "`annotator`: found \"é"),
        (
            "a threshold in words",
            json!({"policy": {"accept_at": "0.9"}}),
            "`policy.accept_at`: found \"0.9\", expected a number from 0 to 1",
        ),
        (
            "a threshold in percent",
            json!({"policy": {"accept_at": 90}}),
            "`policy.accept_at`: found 90, expected a number from 0 to 1",
        ),
        (
            "a label's threshold",
            json!({"policy": {"per_label": {"cat": 2}}}),
            "`policy.per_label.cat`: found 2, expected a number from 0 to 1",
        ),
        (
            "a list of conditions",
            when(json!([])),
            "`policy.defer_when`: found a list of 0, expected an object",
        ),
        (
            "an empty condition",
            when(json!({})),
            "`policy.defer_when`: found an empty object, expected one of any, all, confidence_below",
        ),
        (
            "an empty any",
            when(json!({"any": []})),
            "`policy.defer_when.any`: found a list of 0, expected a list of conditions that is not empty",
        ),
        (
            "two conditions in one",
            when(json!({"margin_below": 0.1, "entropy_at_least": 0.5})),
            "`policy.defer_when`: found entropy_at_least beside margin_below, expected one of them",
        ),
        (
            "a misspelt condition",
            when(json!({"any": [{"margin_under": 0.1}]})),
            "`policy.defer_when.any[0].margin_under`: found an unknown key, expected one of any",
        ),
        (
            "a condition with null",
            when(json!({"margin_below": null})),
            "`policy.defer_when.margin_below`: found null, expected a number from 0 to 1",
        ),
        (
            "no labels",
            when(json!({"label_in": []})),
            "`policy.defer_when.label_in`: found a list of 0, expected a list of labels that is not empty",
        ),
        (
            "a label by number",
            when(json!({"label_in": [1]})),
            "`policy.defer_when.label_in[0]`: found 1, expected a text that is not empty",
        ),
        (
            "meta without a test",
            when(json!({"meta": {"path": "a"}})),
            "`policy.defer_when.meta`: found no test, expected one of exists, in, equals, below, at_least beside path",
        ),
        (
            "meta with two tests",
            when(json!({"meta": {"path": "a", "below": 1, "at_least": 0}})),
            "`policy.defer_when.meta`: found 2 tests, expected one of",
        ),
        (
            "meta without path",
            when(json!({"meta": {"exists": true}})),
            "`policy.defer_when.meta.path`: found nothing, expected a value",
        ),
        (
            "meta that is not there",
            when(json!({"meta": {"path": "a", "exists": false}})),
            "`policy.defer_when.meta.exists`: found false, expected true",
        ),
        (
            "meta like an object",
            when(json!({"meta": {"path": "a", "in": [{}]}})),
            "`policy.defer_when.meta.in[0]`: found an object, expected a text, a number, true or false",
        ),
        (
            "a sample of more than all",
            when(json!({"sample": {"percent": 101}})),
            "`policy.defer_when.sample.percent`: found 101, expected a number from 0 to 100",
        ),
        (
            "a negative seed",
            when(json!({"sample": {"percent": 1, "seed": -1}})),
            "`policy.defer_when.sample.seed`: found -1, expected a whole number from 0 to 9007199254740991",
        ),
        (
            "a promise in percent",
            promise(json!(95)),
            "`policy.target`: found 95, expected a number from 0.5 to 0.999",
        ),
        (
            "a promise of perfection",
            promise(json!(1)),
            "`policy.target`: found 1, expected a number from 0.5 to 0.999",
        ),
        (
            "a promise in words",
            promise(json!("95 %")),
            "`policy.target`: found \"95 %\", expected a number from 0.5 to 0.999, or an object with such an accuracy",
        ),
        (
            "a promise of nothing",
            promise(json!({"confidence": 0.9})),
            "`policy.target.accuracy`: found nothing, expected a value",
        ),
        (
            "everything wrong with a promise",
            promise(
                json!({"confidence": 1, "audits": 0, "monitor": -1, "seed": 0.5, "per_label": 1, "looks": "always"}),
            ),
            "`policy.target.accuracy`: found nothing, expected a value\n\
             `policy.target.confidence`: found 1, expected a number from 0.5 to 0.999\n\
             `policy.target.audits`: found 0, expected a number from 0.01 to 1\n\
             `policy.target.monitor`: found -1, expected a number from 0 to 0.3\n\
             `policy.target.seed`: found 0.5, expected a whole number from 0 to 9007199254740991\n\
             `policy.target.per_label`: found 1, expected true or false\n\
             `policy.target.looks`: found \"always\", expected \"fixed\" or \"any\"",
        ),
        (
            "an unknown key of a promise",
            promise(json!({"accuracy": 0.9, "delta": 0.1})),
            "`policy.target.delta`: found an unknown key, expected one of accuracy, confidence, audits, monitor, seed, per_label, looks",
        ),
        (
            "a promise and a threshold",
            json!({"policy": {"target": 0.95, "accept_at": 0.9}}),
            "`policy.accept_at`: found accept_at beside target, expected one of them: a target finds thresholds and checks by itself",
        ),
        (
            "a promise and a label's threshold",
            json!({"policy": {"target": {"accuracy": 0.95}, "per_label": {}}}),
            "`policy.per_label`: found per_label beside target, expected one of them",
        ),
        (
            "a promise and checks",
            json!({"policy": {"target": 0.95, "audit_when": {"sample": {"percent": 5}}}}),
            "`policy.audit_when`: found audit_when beside target, expected one of them",
        ),
        (
            "learning in words",
            json!({"learning": "yes"}),
            "`learning`: found \"yes\", expected true, false or an object of hold_out, seed and memory_mb",
        ),
        (
            "everything held out",
            json!({"learning": {"hold_out": 1}}),
            "`learning.hold_out`: found 1, expected a number from 0 to 0.5",
        ),
        (
            "a seed below zero",
            json!({"learning": {"seed": -1}}),
            "`learning.seed`: found -1, expected a whole number from 0 to 9007199254740991",
        ),
        (
            "no memory",
            json!({"learning": {"memory_mb": 0}}),
            "`learning.memory_mb`: found 0, expected a whole number from 1 to 2048",
        ),
        (
            "an unknown key of learning",
            json!({"learning": {"holdout": 0.1}}),
            "`learning.holdout`: found an unknown key, expected one of hold_out, seed, memory_mb (did you mean `hold_out`?)",
        ),
        (
            "which answers may be added",
            json!({"open_labels": ["owl"]}),
            "`open_labels`: found a list of 1, expected true or false",
        ),
        (
            "another order",
            json!({"order": {"by": "doubt"}}),
            "`order.by`: found \"doubt\", expected \"margin\" or \"least_confidence\" or \"entropy\" or \"random\" or \"diverse\"",
        ),
        (
            "a share in percent",
            json!({"order": {"random_share": 10}}),
            "`order.random_share`: found 10, expected a number from 0 to 1",
        ),
        (
            "another way to show",
            json!({"predictions": "visible"}),
            "`predictions`: found \"visible\", expected \"hidden\" or \"shown\" or \"after\"",
        ),
        ("no worker", json!({"workers": 0}), "`workers`: found 0, expected a whole number from 1 to 16"),
        (
            "too many workers",
            json!({"workers": 17}),
            "`workers`: found 17, expected a whole number from 1 to 16",
        ),
        (
            "no time for an item",
            json!({"item_deadline_ms": 1}),
            "`item_deadline_ms`: found 1, expected a whole number from 100 to 600000",
        ),
        ("yes for true", json!({"autostart": "yes"}), "`autostart`: found \"yes\", expected true or false"),
        (
            "a word as key",
            json!({"keys": {"undo": "backspace"}}),
            "`keys.undo`: found \"backspace\", expected a key as KeyboardEvent.key names it",
        ),
        ("no key", json!({"keys": {"undo": ""}}), "`keys.undo`: found \"\", expected a key as"),
        (
            "the key that moves the focus",
            json!({"keys": {"skip": "Tab"}}),
            "`keys.skip`: found \"Tab\", expected another key",
        ),
        (
            "a label's key as list",
            json!({"keys": {"labels": {"cat": ["c"]}}}),
            "`keys.labels.cat`: found a list of 1, expected a text",
        ),
        (
            "a language by name",
            json!({"lang": "português"}),
            "`lang`: found \"português\", expected a language tag",
        ),
        (
            "another theme",
            json!({"theme": "blue"}),
            "`theme`: found \"blue\", expected \"auto\" or \"light\" or \"dark\"",
        ),
        (
            "records into a file",
            delivery(json!({"url": "file:///tmp/x"})),
            "`delivery.url`: found \"file:///tmp/x\", expected an http or https address",
        ),
        (
            "records into a blob",
            delivery(json!({"url": "blob:x"})),
            "`delivery.url`: found \"blob:x\", expected an http or https address",
        ),
        (
            "records by GET",
            delivery(json!({"method": "GET"})),
            "`delivery.method`: found \"GET\", expected \"POST\" or \"PUT\" or \"PATCH\" or \"DELETE\"",
        ),
        (
            "a header with a line end",
            delivery(json!({"headers": {"X-A": "a\r\nX-B: b"}})),
            "`delivery.headers.X-A`: found \"a\\r\\nX-B: b\", expected a text of Latin-1",
        ),
        (
            "a header with a blank",
            delivery(json!({"headers": {"X A": "a"}})),
            "`delivery.headers[\"X A\"]`: found the header name \"X A\", expected a name of letters",
        ),
        (
            "a header that is a number",
            delivery(json!({"headers": {"X-A": 5}})),
            "`delivery.headers.X-A`: found 5, expected a text",
        ),
        (
            "batches of nothing",
            delivery(json!({"batch_size": 0})),
            "`delivery.batch_size`: found 0, expected a whole number from 1 to 1000",
        ),
        (
            "singles in batches",
            delivery(json!({"format": "single", "batch_size": 50})),
            "`delivery.batch_size`: found 50, expected 1, or no batch_size",
        ),
        (
            "another format",
            delivery(json!({"format": "csv"})),
            "`delivery.format`: found \"csv\", expected \"array\" or \"jsonl\" or \"single\" or",
        ),
        (
            "a short back-off",
            delivery(json!({"retry": {"base_ms": 1}})),
            "`delivery.retry.base_ms`: found 1, expected a whole number from 100 to 60000",
        ),
        (
            "an unknown key of the back-off",
            delivery(json!({"retry": {"times": 5}})),
            "`delivery.retry.times`: found an unknown key, expected one of base_ms, cap_ms, for_ms",
        ),
        (
            "a brace alone",
            delivery(json!({"url": "/records/{record.id"})),
            "`delivery.url`: found \"/records/{record.id\", expected a text in which {…} names a value; a brace itself is written twice",
        ),
        (
            "an $if without a condition",
            delivery(json!({"url": "/r", "body": {"a": {"$if": "record.answer", "then": "{records}"}}})),
            "`delivery.body.a[\"$if\"]`: found \"record.answer\", expected one place in braces",
        ),
        (
            "an $if with something beside",
            delivery(json!({"url": "/r", "body": {"$if": "{record.answer}", "than": 1, "then": "{record}"}})),
            "`delivery.body.than`: found an unknown key, expected one of $if, then, else (did you mean `then`?)",
        ),
        (
            "a form without fields",
            delivery(json!({"url": "/r", "format": "form"})),
            "`delivery.body`: found nothing, expected a value",
        ),
        (
            "a form of a list",
            delivery(json!({"url": "/r", "format": "multipart", "body": ["{record}"]})),
            "`delivery.body`: found a list of 1, expected an object of the form's fields",
        ),
        (
            "an authorization without a token",
            delivery(json!({"authorization": {"value": "Bearer abc"}})),
            "`delivery.authorization.value`: found \"Bearer abc\", expected a text with {token} in it, which the element's property `authorize` gives",
        ),
        (
            "a signature of nothing",
            delivery(json!({"sign": {"header": "X", "value": "{signature}", "text": "{batch.id}"}})),
            "`delivery.sign.text`: found \"{batch.id}\", expected a text with {body} in it",
        ),
        (
            "a key that is sent by default or not",
            delivery(json!({"idempotency": true})),
            "`delivery.idempotency`: found true, expected false, or an object of header and quoted",
        ),
        (
            "an answer of no status",
            delivery(json!({"answers": [{"status": [], "means": "stored"}]})),
            "`delivery.answers[0].status`: found a list of 0, expected a list of statuses that is not empty",
        ),
        (
            "an answer of many statuses",
            delivery(json!({"answers": [{"status": ["20x"], "means": "stored"}]})),
            "`delivery.answers[0].status[0]`: found \"20x\", expected a status such as 201, or \"2xx\"",
        ),
        (
            "an answer with another meaning",
            delivery(json!({"answers": [{"status": [200], "means": "ok"}]})),
            "`delivery.answers[0].means`: found \"ok\", expected \"stored\" or \"duplicate\" or \"again\" or \"pause\"",
        ),
        (
            "any page as a success",
            delivery(json!({"answers": [{"status": [200], "html": true, "means": "stored"}]})),
            "`delivery.answers[0].html`: found true, expected `body` beside it, with words that only your server's page has",
        ),
        (
            "a test of nothing",
            delivery(json!({"answers": [{"status": [200], "body": {"path": "ok"}, "means": "stored"}]})),
            "`delivery.answers[0].body`: found no test, or several, expected one of all, any, not, is, in, exists, contains",
        ),
        (
            "two tests in one",
            delivery(json!({"results": {"stored": {"path": "ok", "is": true, "exists": true}}})),
            "`delivery.results.stored`: found no test, or several",
        ),
        (
            "a test for nothing",
            delivery(json!({"results": {"stored": {"contains": ""}}})),
            "`delivery.results.stored.contains`: found \"\", expected a text that is not empty",
        ),
        (
            "a path beside tests",
            delivery(json!({"results": {"stored": {"path": "a", "all": [{"is": 1}]}}})),
            "`delivery.results.stored.path`: found a path beside tests with paths of their own, expected none",
        ),
        (
            "results that are never stored",
            delivery(json!({"results": {"path": "items"}})),
            "`delivery.results.stored`: found nothing, expected a value",
        ),
        (
            "two ends",
            delivery(
                json!({"finish": {"redirect": "https://a.example/", "form": {"action": "https://a.example/", "fields": {}}}}),
            ),
            "`delivery.finish`: found neither or both, expected one of redirect and form",
        ),
        (
            "a path among the origins",
            delivery(json!({"finish": {"redirect": "https://a.example/", "allow": ["https://a.example/x"]}})),
            "`delivery.finish.allow[0]`: found \"https://a.example/x\", expected an origin",
        ),
        (
            "a confirmation of another kind",
            delivery(json!({"confirm": "maybe"})),
            "`delivery.confirm`: found \"maybe\", expected \"records\" or \"status\"",
        ),
        (
            "no time to answer",
            delivery(json!({"timeout_ms": 10})),
            "`delivery.timeout_ms`: found 10, expected a whole number from 1000 to 600000",
        ),
    ]
}

/// What a JSON Schema cannot say, or only in words that nobody reads.
fn beyond_the_schema() -> Vec<(&'static str, Value, &'static str)> {
    let headers = |headers: Value| json!({"delivery": {"headers": headers}});
    vec![
        (
            "sixty-four conditions",
            when(json!({"any": vec![json!({"margin_below": 0.1}); 63]})),
            "`policy`: found 64 conditions, expected at most 63",
        ),
        (
            "sixty-four conditions beside a promise",
            json!({"policy": {"target": 0.95, "defer_when": {"any": vec![json!({"margin_below": 0.1}); 63]}}}),
            "`policy`: found 64 conditions, expected at most 63",
        ),
        (
            "more checks after the promise than before",
            promise(json!({"accuracy": 0.9, "audits": 0.1, "monitor": 0.2})),
            "`policy.target.monitor`: found 0.2, expected a number from 0 to 0.1",
        ),
        (
            "an unknown label",
            json!({"labels": ["cat", "dog"], "policy": {"per_label": {"cta": 1}, "audit_when": {"label_in": ["cat", "owl"]}}}),
            "`policy.per_label.cta`: found the label \"cta\", expected the id of a label: cat, dog\n`policy.audit_when.label_in[1]`: found the label \"owl\", expected",
        ),
        (
            "a key for an unknown label",
            json!({"labels": ["cat", "dog"], "keys": {"labels": {"owl": "o"}}}),
            "`keys.labels.owl`: found the label \"owl\", expected",
        ),
        (
            "two deeds on one key",
            json!({"keys": {"undo": "u", "labels": {"cat": "U"}}}),
            "`keys.labels.cat`: found \"u\", which `keys.undo` has, expected a key of its own",
        ),
        (
            "two labels of one id",
            json!({"labels": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]}),
            "`labels[1]`: found the id \"a\"",
        ),
        (
            "a header twice",
            headers(json!({"X-A": "1", "x-a": "2"})),
            "`delivery.headers.x-a`: found x-a a second time",
        ),
        (
            "a browser's own header",
            headers(json!({"Cookie": "a=b"})),
            "`delivery.headers.Cookie`: found Cookie, which browsers let no page set",
        ),
        (
            "a browser's own family",
            headers(json!({"Sec-Fetch-Mode": "x"})),
            "`delivery.headers.Sec-Fetch-Mode`: found Sec-Fetch-Mode, which",
        ),
        (
            "the delivery's own header",
            headers(json!({"idempotency-key": "1"})),
            "`delivery.headers.idempotency-key`: found Idempotency-Key, expected other headers",
        ),
        (
            "a misspelt name in a template",
            json!({"delivery": {"url": "/r/{recrod.id}"}}),
            "`delivery.url`: found {recrod.id}, expected a place that begins with one of record, params, batch, query, token",
        ),
        (
            "a misspelt filter",
            json!({"delivery": {"url": "/r", "body": {"a": "{records|bse64}"}}}),
            "`delivery.body.a`: found {records|bse64}, expected one of |json, |base64",
        ),
        (
            "a parameter that is not given",
            json!({"delivery": {"params": {"url": "/r"}, "url": "{params.url}/{params.project}"}}),
            "`delivery.url`: found {params.project}, which `delivery.params` does not give, expected `delivery.params.project`: a value",
        ),
        (
            "a map that is none",
            json!({"delivery": {"params": {"labels": 5}, "url": "/r", "format": "single", "body": "{record.answer.label|map:params.labels}"}}),
            "`delivery.body`: found {record.answer.label|map:params.labels}, expected `delivery.params.labels`: an object",
        ),
        (
            "a batch's unknown value",
            json!({"delivery": {"url": "/r/{batch.size}"}}),
            "`delivery.url`: found {batch.size}, expected batch.id, batch.time or batch.now",
        ),
        (
            "what others wrote, raw in an address",
            json!({"delivery": {"url": "/r/{record.item_id|raw}"}}),
            "`delivery.url`: found {record.item_id|raw}, expected |raw after params or token only",
        ),
        (
            "a host that an item chooses",
            json!({"delivery": {"url": "https://{record.meta.host}/records"}}),
            "`delivery.url`: found an address whose host depends on {record.meta.host}, expected an address that is fixed up to the first slash",
        ),
        (
            "the end of a host that an item chooses",
            json!({"delivery": {"url": "https://a.example{record.meta.port}/records"}}),
            "`delivery.url`: found an address whose host depends on {record.meta.port}",
        ),
        (
            "a token to wherever an item says",
            json!({"delivery": {"url": "{record.meta.upload}", "format": "single", "authorization": {}}}),
            "`delivery.url`: found an address whose host depends on {record.meta.upload}",
        ),
        (
            "a parameter that is a script",
            json!({"delivery": {"params": {"url": "javascript:x//"}, "url": "{params.url}/{record.id}"}}),
            "`delivery.url`: found \"{params.url}/{record.id}\", expected an http or https address",
        ),
        (
            "a body without records",
            json!({"delivery": {"url": "/r", "body": {"a": "{batch.id}"}}}),
            "`delivery.body`: found a body without a record in it, expected {record}, {record.…} or {records} in it",
        ),
        (
            "batches where one record is named",
            json!({"delivery": {"url": "/r/{record.id}", "batch_size": 10}}),
            "`delivery.batch_size`: found 10, expected 1, or no batch_size: what names {record…} outside of `record` holds one record",
        ),
        (
            "a secret that everybody can read",
            json!({"delivery": {"headers": {"authorization": "Bearer abc"}}}),
            "`delivery.headers.authorization`: found authorization with a value that everybody can read in the page, expected `delivery.authorization` with {token}, which the element's property `authorize` gives",
        ),
        (
            "a secret under another name",
            json!({"delivery": {"params": {"key": "abc"}, "headers": {"X-Api-Key": "{params.key}"}}}),
            "`delivery.headers.X-Api-Key`: found X-Api-Key with a value that everybody can read in the page",
        ),
        (
            "a type of one's own around a multipart form",
            json!({"delivery": {"url": "/r", "format": "multipart", "body": {"a": "{record|json}"}, "headers": {"Content-Type": "x/y"}}}),
            "`delivery.headers.Content-Type`: found Content-Type, expected other headers",
        ),
        (
            "an end that the page's address chooses",
            json!({"delivery": {"finish": {"redirect": "{query.to}/x"}}}),
            "`delivery.finish.redirect`: found \"{query.to}/x\", expected an absolute address whose host is fixed, or `allow` beside it",
        ),
        (
            "a preset that nobody fetched",
            json!({"delivery": {"preset": "collector"}}),
            "`delivery.preset`: found a preset without `delivery.url`, expected a preset that was fetched, or a url",
        ),
        (
            "a base above the cap",
            json!({"delivery": {"retry": {"base_ms": 5000, "cap_ms": 2000}}}),
            "`delivery.retry`: found a base of 5000 ms above the cap of 2000 ms, expected base_ms not above cap_ms",
        ),
    ]
}

#[test]
fn parser_and_schema_agree_on_what_is_right() {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (what, config) in good() {
        assert!(parse(&config).is_ok(), "{what}: the parser says {}", parse(&config).unwrap_err());
        let said: Vec<_> = schema.iter_errors(&config).map(|why| why.to_string()).collect();
        assert!(said.is_empty(), "{what}: the schema says {said:?}");
    }
    for (what, config, expected) in bad() {
        let said = parse(&config).expect_err(what).to_string();
        assert!(said.starts_with(expected), "{what}: the parser says\n{said}\nnot\n{expected}");
        assert!(!schema.is_valid(&config), "{what}: the schema finds nothing wrong");
    }
    for (what, config, expected) in beyond_the_schema() {
        let said = parse(&config).expect_err(what).to_string();
        assert!(said.starts_with(expected), "{what}: the parser says\n{said}\nnot\n{expected}");
        assert!(schema.is_valid(&config), "{what}: the schema says it, too: move it to the bad ones");
    }
    assert!(good().len() + bad().len() >= 40);
}

#[test]
fn what_is_read_is_what_stands_there() {
    let config = parse(&everything()).unwrap();
    let model = config.model.as_ref().unwrap();
    assert_eq!((&*model.url, model.max_bytes), ("models/pets/model.json", 1_000_000));
    assert_eq!(model.head.as_deref(), Some("../heads/pets.json"));
    assert_eq!(config.learning, Some(Learning { hold_out: 0.2, seed: 4, memory_mb: 64 }));
    assert_eq!((config.open_labels, config.order.by), (true, Strategy::Entropy));
    assert_eq!(config.target(), None);
    assert_eq!(config.items.url.as_deref(), Some("https://cdn.example.org/items.jsonl"));
    assert_eq!(config.items.pixel_limit, 1_000_000);
    assert_eq!(config.question.as_deref(), Some("Which animal?"));
    assert_eq!((config.order.random_share, config.order.seed), (0.2, 9_007_199_254_740_991));
    assert_eq!(config.predictions, PredictionShown::After);
    assert_eq!((config.annotator.as_deref(), config.project.as_deref()), (Some("ada"), Some("pets")));
    assert_eq!((config.workers, config.item_deadline_ms, config.autostart), (Some(3), 2_000, false));
    assert_eq!((config.lang.as_deref(), config.theme), (Some("pt-BR"), Theme::Dark));
    let keys = [(KeyDeed::Undo, "u".into()), (KeyDeed::Skip, " ".into()), (KeyDeed::Accept, "é".into())];
    assert_eq!((config.keys.enabled, &config.keys.deeds[..]), (true, &keys[..]));
    let keys = [(LabelId(0), "c".into()), (LabelId(1), "ArrowLeft".into())];
    assert_eq!(config.label_keys(&labels()).unwrap(), keys);
    let delivery = &config.delivery;
    assert_eq!(delivery.url.as_deref(), Some("/api/records/{params.list}?at={batch.time|unix}"));
    assert_eq!(delivery.headers.len(), 3);
    assert_eq!(delivery.idempotency, Some(("X-Id".into(), false)));
    assert_eq!(delivery.authorization, Some(("X-Key".into(), "Key {token|base64}".into())));
    assert!(delivery.needs_token && delivery.follow);
    assert_eq!((delivery.rules.batch_bytes, delivery.rules.retry_for_ms), (65_536, Some(86_400_000)));
    assert_eq!((delivery.format, delivery.accepted), (BodyFormat::JsonLines, true));
    assert_eq!((delivery.rules.batch_most, delivery.timeout_ms), (10, 5_000));
    assert_eq!((delivery.rules.retry_base_ms, delivery.rules.retry_cap_ms), (500, 60_000));

    let policy = config.policy(&labels()).unwrap();
    let meta = |path: &str, test| Condition::Meta { path: path.into(), test };
    let cameras = vec![Meta::Text("front".into()), Meta::Integer(3), Meta::Boolean(true)];
    let expected = Policy {
        accept_at: 0.8,
        accept_at_label: vec![(LabelId(2), 0.99)],
        defer_when: Some(Condition::Any(vec![
            Condition::Margin(Bound::Below(0.1)),
            Condition::Entropy(Bound::AtLeast(0.5)),
            Condition::LabelIn(vec![LabelId(1)]),
            meta("source.camera", MetaTest::In(cameras)),
            Condition::All(vec![
                Condition::Confidence(Bound::Below(0.95)),
                meta("age", MetaTest::AtLeast(30.0)),
            ]),
        ])),
        audit_when: Some(Condition::Sample { percent: 5.0, seed: 7 }),
        blind: None,
    };
    assert_eq!(policy, expected);
}

#[test]
fn a_promise_accepts_nothing_before_it_is_earned_and_checks_a_sample_blind() {
    let written = promise(
        json!({"accuracy": 0.98, "confidence": 0.95, "audits": 0.2, "monitor": 0.1, "seed": 9, "per_label": true, "looks": "any"}),
    );
    let config = parse(&written).unwrap();
    let rules = config.target().unwrap();
    let expected = TargetRules {
        target: Target { accuracy: 0.98, confidence: 0.95 },
        audit_share: 0.2,
        monitor_share: 0.1,
        seed: 9,
        per_label: true,
        looks: Looks::Any,
    };
    assert_eq!(rules, expected);
    let policy = config.policy(&labels()).unwrap();
    assert_eq!((policy.accept_at, policy.blind), (NOTHING, Some(Sampling { share: 0.2, seed: 9 })));

    let short = parse(&promise(json!(0.97))).unwrap().target().unwrap();
    assert_eq!(short, TargetRules::usual(0.97));
    let fewer = parse(&promise(json!({"accuracy": 0.97, "audits": 0.02}))).unwrap().target().unwrap();
    assert_eq!((fewer.audit_share, fewer.monitor_share), (0.02, 0.02), "never more checks than before");
}

#[test]
fn learning_is_on_unless_it_is_switched_off() {
    let learning = |written: Value| parse(&json!({"learning": written})).unwrap().learning;
    assert_eq!(Config::default().learning, Some(Learning::default()));
    assert_eq!(learning(json!(true)), Some(Learning::default()));
    assert_eq!(learning(json!({"memory_mb": 1})), Some(Learning { memory_mb: 1, ..Learning::default() }));
    assert_eq!(learning(json!(false)), None);
}

#[test]
fn an_empty_configuration_means_the_default() {
    let config = parse(&json!({})).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.policy(&labels()).unwrap(), Policy::default());
    assert_eq!(config.delivery.rules.batch_most, 50);
    let single = parse(&json!({"delivery": {"format": "single"}})).unwrap();
    assert_eq!(single.delivery.rules.batch_most, 1);
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_parser() {
    fn defaults(schema: &Value) -> Option<Value> {
        if let Some(default) = schema.get("default") {
            return Some(default.clone());
        }
        // The object form of what may also be an address.
        let forms = schema["anyOf"].as_array().into_iter().flatten();
        let fields = std::iter::once(schema).chain(forms).find_map(|form| form["properties"].as_object())?;
        let fields: serde_json::Map<_, _> =
            fields.iter().filter_map(|(key, field)| Some((key.clone(), defaults(field)?))).collect();
        (!fields.is_empty()).then(|| fields.into())
    }
    let mut written = defaults(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    assert_eq!(written["model"], json!({"max_bytes": 134_217_728}));
    assert_eq!(written["learning"], json!({"hold_out": 0.1, "seed": 1, "memory_mb": 256}));
    // A target stands in place of the thresholds, and its accuracy has no default.
    let mut target = written["policy"].as_object_mut().unwrap().remove("target").unwrap();
    target["accuracy"] = json!(0.9);
    assert_eq!(parse(&promise(target)).unwrap(), parse(&promise(json!(0.9))).unwrap());
    written["model"]["url"] = "model.json".into();
    let expected = parse(&json!({"model": "model.json"})).unwrap();
    let policy = parse(&written).unwrap().policy(&labels()).unwrap();
    assert_eq!(policy, expected.policy(&labels()).unwrap());
    written["policy"] = Value::Null;
    assert_eq!(parse(&written).unwrap(), expected);
}

/// Amazon A2I's documentation, example 5: "always send below 60, and 5 % of those above 90".
#[test]
fn a2i_example_five_takes_no_more_than_ten_lines() {
    let lines = r#"{
      "policy": {
        "defer_when": {
          "any": [
            { "confidence_below": 0.6 },
            { "all": [{ "confidence_at_least": 0.9 }, { "sample": { "percent": 5 } }] }
          ]
        }
      }
    }"#;
    assert!(lines.lines().count() <= 10);
    let policy = parse(&document(lines).unwrap()).unwrap().policy(&labels()).unwrap();
    assert_eq!(policy.conditions(), 6);
}

#[test]
fn labels_come_from_the_manifest_or_the_configuration_and_their_absence_is_said() {
    let own = parse(&json!({"labels": ["a", "b"]})).unwrap();
    assert_eq!(own.labels(None).unwrap().len(), 2);
    assert_eq!(Config::default().labels(Some(&labels())).unwrap(), labels());
    let said = Config::default().labels(None).unwrap_err().to_string();
    assert!(said.contains("found neither a model nor labels, expected `model`"), "{said}");
    let none = LabelSet::default();
    let said = Config::default().labels(Some(&none)).unwrap_err().to_string();
    let expected = "`open_labels`: found false beside a model that names less than two labels, expected true (the person adds the answers), or a manifest that names them";
    assert_eq!(said, expected);
    let open = parse(&json!({"model": "m", "open_labels": true})).unwrap();
    assert_eq!(open.labels(Some(&none)).unwrap(), none);
    let config = parse(&json!({"model": "m", "policy": {"per_label": {"fish": 1}}})).unwrap();
    let said = config.policy(&labels()).unwrap_err().to_string();
    assert_eq!(
        said,
        "`policy.per_label.fish`: found the label \"fish\", expected the id of a label: cat, dog, owl"
    );
}

#[test]
fn attributes_are_shorthands_for_keys() {
    let attributes = [
        ("model", "m.json"),
        ("items", "i.jsonl"),
        ("endpoint", "/records"),
        ("accept-at", " 0.75 "),
        ("annotator", "ada"),
        ("lang", "uk"),
        ("class", "wide"),
    ];
    let json = overlay(Value::Null, &attributes).unwrap();
    assert_eq!(
        json,
        json!({
            "model": {"url": "m.json"}, "items": {"url": "i.jsonl"}, "delivery": {"url": "/records"},
            "policy": {"accept_at": 0.75}, "annotator": "ada", "lang": "uk"
        })
    );
    assert!(parse(&json).is_ok());
}

#[test]
fn an_attribute_goes_before_the_file_and_leaves_the_rest_of_it() {
    let file = json!({"model": "a.json", "items": {"url": "a", "pixel_limit": 5}, "policy": {"accept_at": 0.5, "per_label": {"cat": 1}}});
    let config = parse(
        &overlay(file, &[("model", "b.json"), ("items", "b"), ("accept-at", "0.9"), ("lang", "")]).unwrap(),
    );
    let config = config.unwrap();
    assert_eq!(&*config.model.as_ref().unwrap().url, "b.json");
    assert_eq!((config.items.url.as_deref(), config.items.pixel_limit), (Some("b"), 5));
    let policy = config.policy(&labels()).unwrap();
    assert_eq!((policy.accept_at, policy.accept_at_label.len()), (0.9, 1));
    assert_eq!(config.lang, None);
    let broken = overlay(json!({"policy": 5}), &[("accept-at", "0.9")]).unwrap();
    assert_eq!(parse(&broken).unwrap_err().to_string(), "`policy`: found 5, expected an object");
}

/// `element.acceptAt` writes the attribute; the next mount must read what it left.
#[test]
fn a_threshold_in_an_attribute_takes_the_place_of_a_target() {
    let file = json!({"policy": {"target": {"accuracy": 0.95}, "defer_when": {"label_in": ["owl"]}}});
    let config = parse(&overlay(file, &[("accept-at", "0.8")]).unwrap()).unwrap();
    assert_eq!((config.target(), config.accept_at()), (None, 0.8));
    assert!(config.policy(&labels()).unwrap().defer_when.is_some());
}

#[test]
fn what_is_wrong_with_an_attribute_is_said_of_the_attribute() {
    let wrong = [
        ("accept-at", "abc"),
        ("accept-at", "90"),
        ("accept-at", "NaN"),
        ("endpoint", "javascript:x"),
        ("lang", "?"),
    ];
    let said = overlay(json!({}), &wrong).unwrap_err().to_string();
    assert_eq!(
        said,
        "`accept-at=\"abc\"`: found \"abc\", expected a number from 0 to 1\n\
         `accept-at=\"90\"`: found 90.0, expected a number from 0 to 1\n\
         `accept-at=\"NaN\"`: found \"NaN\", expected a number from 0 to 1\n\
         `endpoint=\"javascript:x\"`: found \"javascript:x\", expected an http or https address, or a relative one\n\
         `lang=\"?\"`: found \"?\", expected a language tag such as \"en\" or \"pt-BR\""
    );
}

#[test]
fn addresses_in_a_file_are_relative_to_the_file() {
    let file = json!({"model": {"url": "m.json", "head": "h.json"}, "items": "https://cdn/i", "delivery": {"url": "javascript:x"}});
    let resolve = |address: &str| Some(format!("https://host/config/{address}"));
    let delivery = json!({"delivery": {"preset": ["collector", "my/own.json"], "params": {"url": "r"}, "url": "a/{record.id}?b=../c"}});
    let rebased = json!({"delivery": {
        "preset": ["collector", "https://host/config/my/own.json"], "params": {"url": "https://host/config/r"},
        "url": "https://host/config/a/{record.id}?b=../c"
    }});
    assert_eq!(rebase(delivery, &resolve), rebased);
    for fixed in
        [json!({"delivery": {"url": "{params.url}/x"}}), json!({"delivery": {"preset": "label-studio"}})]
    {
        assert_eq!(rebase(fixed.clone(), &resolve), fixed);
    }
    assert_eq!(
        rebase(file, &resolve),
        json!({"model": {"url": "https://host/config/m.json", "head": "https://host/config/h.json"}, "items": "https://cdn/i", "delivery": {"url": "javascript:x"}})
    );
}

#[test]
fn a_file_that_is_no_json_is_said_to_be_none() {
    assert!(document("<!doctype html>").unwrap_err().to_string().contains("HTML page"));
    assert_eq!(document("\u{feff}{}").unwrap(), json!({}));
}

#[test]
fn the_documentation_names_every_key_and_its_examples_are_right() {
    fn keys(schema: &Value, path: &str, found: &mut Vec<String>) {
        for form in std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten()) {
            for (key, field) in form["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(field, &path, found);
                found.push(path);
            }
        }
    }
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut found = Vec::new();
    keys(&schema, "", &mut found);
    keys(&schema["$defs"]["condition"], "", &mut found);
    assert!(found.len() > 50, "{found:?}");
    for key in found.iter().filter(|key| *key != "$schema") {
        assert!(DOCS.contains(&format!("`{key}`")), "docs/config.md does not name `{key}`");
    }
    let examples: Vec<_> =
        DOCS.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        if let Err(problems) = document(example).and_then(|json| parse(&json)) {
            panic!("{example}\n{problems}");
        }
    }
}
