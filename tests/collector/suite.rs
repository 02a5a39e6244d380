//! What every collector does, whatever its database: the real binary, real HTTP on loopback.
//!
//! `keep` is the database: `collector/sqlite.rs` or `collector/postgres.rs`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitl_labeler::wire::current::current_records;
use hitl_labeler::wire::export::{csv, json_lines};
use hitl_labeler::wire::record::Record;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::keep;

pub const JSON: &str = "application/json";
pub const LINES: &str = "application/x-ndjson";

/// A collector that runs until it is dropped.
pub struct Collector {
    pub process: Child,
    pub url: String,
}

pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|why| panic!("{why}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Each result's status, in order.
    pub fn statuses(&self) -> Vec<String> {
        let results = self.json()["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["status"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks that it is an error of that status and code with its message and mend; gives the message.
    pub fn error(&self, status: u16, code: &str) -> String {
        let error = &self.json()["error"];
        assert_eq!((self.status, error["code"].as_str().unwrap()), (status, code), "{}", self.text);
        assert!(!error["mend"].as_str().unwrap().is_empty());
        error["message"].as_str().unwrap().to_owned()
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

pub fn answer(
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, ureq::Error> {
    let mut response = response?;
    let text = response.body_mut().with_config().limit(1 << 30).read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), text })
}

impl Collector {
    pub fn start(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
        command.args(keep::arguments(data)).args(["--port", "0"]).args(options);
        Self::spawn(&mut command)
    }

    pub fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://127.0.0.1:") && line.ends_with("/\n"), "{line:?}");
        Self { process, url: line.trim_end_matches("/\n").to_owned() }
    }

    pub fn send(&self, kind: &str, body: impl AsRef<[u8]>) -> Answer {
        self.try_send(&agent(), kind, body.as_ref()).unwrap()
    }

    pub fn try_send(&self, agent: &ureq::Agent, kind: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        answer(agent.post(format!("{}/records", self.url)).header("content-type", kind).send(body))
    }

    pub fn get(&self, path: &str) -> Answer {
        answer(agent().get(format!("{}{path}", self.url)).call()).unwrap()
    }

    pub fn all(&self) -> Vec<Record> {
        let text = self.get("/export?what=all").text;
        text.lines().map(|line| Record::parse(line).unwrap()).collect()
    }

    /// Says `request` byte for byte; gives all that comes back.
    pub fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The `n`th record, a correction of the item `n`.
pub fn record(n: u64) -> Value {
    let mut value: Value =
        serde_json::from_str(include_str!("../fixtures/record.v1.correction.json")).unwrap();
    value["id"] = json!(id(n));
    value["item_id"] = json!(format!("item-{n:06}"));
    value
}

pub fn id(n: u64) -> String {
    format!("019b76da-{:04x}-7000-8000-{:012x}", n >> 48, n & 0xffff_ffff_ffff)
}

pub fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

pub fn start() -> (TempDir, Collector) {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &[]);
    (data, collector)
}

// Taking records.

#[test]
fn one_record_a_list_and_lines_are_taken_once_each_and_stand_in_the_database_and_in_the_export() {
    let (data, collector) = start();
    let answer = collector.send(JSON, record(1).to_string());
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(
        answer.json(),
        json!({"results": [{"id": id(1), "status": "stored"}], "stored": 1, "duplicate": 0, "refused": 0})
    );
    let list = json!([record(2), record(1), record(2)]);
    assert_eq!(collector.send(JSON, list.to_string()).statuses(), ["stored", "duplicate", "duplicate"]);
    let text = lines(&[record(3), record(4)]);
    assert_eq!(collector.send(LINES, &text).statuses(), ["stored", "stored"]);
    // As a page sends it that must do without a preflight, and as a text editor saves it.
    assert_eq!(collector.send("text/plain;charset=UTF-8", &text).statuses(), ["duplicate", "duplicate"]);
    let edited = format!("\u{feff}{}\r\n\r\n{}", record(5), record(3));
    assert_eq!(collector.send("text/plain", edited).statuses(), ["stored", "duplicate"]);
    assert_eq!(collector.send(JSON, "[]").json()["results"], json!([]));

    let expected: Vec<Record> = (1..=5).map(|n| Record::from_json(&record(n)).unwrap()).collect();
    assert_eq!(collector.all(), expected);
    let rows: Vec<_> = expected
        .iter()
        .map(|r| (r.id.to_string(), r.item_id.clone(), "Shirt".to_owned(), r.to_string()))
        .collect();
    assert_eq!(keep::rows(data.path()), rows, "they stand in the database as `docs/backend.md` says");
}

#[test]
fn each_record_is_judged_by_itself_and_the_refused_say_why() {
    let (_data, collector) = start();
    let mut wrong = record(2);
    wrong["answer"] = json!({"label": ""});
    wrong["colour"] = json!("red");
    let answer = collector.send(JSON, json!([record(1), wrong, 42, record(3)]).to_string());
    assert_eq!(answer.statuses(), ["stored", "refused", "refused", "stored"]);
    let body = answer.json();
    assert_eq!((&body["stored"], &body["refused"]), (&json!(2), &json!(2)));
    assert_eq!(body["results"][1]["id"], json!(id(2)));
    let problems = body["results"][1]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0]["path"], "colour");
    assert_eq!(
        problems[1],
        json!({"path": "answer.label", "found": "\"\"", "expected": "a text that is not empty"})
    );
    assert_eq!(
        body["results"][2],
        json!({"id": null, "status": "refused",
               "problems": [{"path": "", "found": "42", "expected": "an object"}]})
    );
    assert_eq!(collector.all().len(), 2);
}

#[test]
fn an_id_keeps_the_content_it_came_with_first() {
    let (_data, collector) = start();
    collector.send(JSON, record(1).to_string());
    let mut other = record(1);
    other["answer"]["label"] = json!("Coat");
    let answer = collector.send(JSON, json!([other, record(1)]).to_string());
    assert_eq!(answer.statuses(), ["refused", "duplicate"]);
    assert_eq!(answer.json()["results"][0]["problems"][0]["path"], "id");
    // The same content in another spelling: other order of keys, other white space, nulls left out.
    let mut value = record(1);
    value.as_object_mut().unwrap().remove("supersedes");
    value["seconds"] = json!(2.1480);
    let spelled = serde_json::to_string_pretty(&value).unwrap();
    let spelled = spelled
        .replace(r#""index": 42,"#, "")
        .replace(r#""source": "test set""#, r#""source":"test\u0020set","index":42"#);
    assert_ne!(spelled, serde_json::to_string_pretty(&value).unwrap());
    assert_eq!(collector.send(JSON, spelled).statuses(), ["duplicate"]);
    assert_eq!(collector.all()[0].answer.as_ref().unwrap().label, "Shirt");
}

#[test]
fn an_export_can_be_sent_back_as_it_is() {
    let (_data, collector) = start();
    let mut exact = record(1);
    // Shortest forms of doubles that a careless reader gets wrong in the last bit.
    exact["prediction"]["confidence"] = json!(0.123_456_789_012_345_67);
    exact["meta"] = json!([2.225_073_858_507_201_4e-308, 9_007_199_254_740_993_i64, u64::MAX, 1e23, -0.0]);
    exact["seconds"] = json!(8.98846567431158e15);
    collector.send(JSON, exact.to_string());
    let exported = collector.get("/export?what=all").text;
    assert_eq!(collector.send(LINES, exported).statuses(), ["duplicate"]);
}

#[test]
fn a_body_that_cannot_be_read_is_named_and_nothing_of_it_is_stored() {
    let (_data, collector) = start();
    let good = record(1).to_string();
    let message = collector.send(JSON, format!("[{good},\n  {{\"id\": }}]")).error(400, "not_json");
    assert!(message.contains("line 2 column 10"), "{message}");
    let message = collector.send(LINES, format!("{good}\n{{\"cut")).error(400, "not_json");
    assert!(message.contains("line 2 column 5"), "{message}");
    collector.send(JSON, format!("{good}\n{good}")).error(400, "not_json");
    collector.send(JSON, "<html>").error(400, "not_json");
    collector.send(JSON, "").error(400, "empty_body");
    collector.send(LINES, " \r\n\n").error(400, "empty_body");
    let message = collector.send(JSON, [good.as_bytes(), b"\xff"].concat()).error(400, "not_utf8");
    assert!(message.contains(&format!("byte {}", good.len())), "{message}");
    for kind in [
        "application/x-www-form-urlencoded",
        "application/xml",
        "text/html",
        "application/json; charset=latin1",
    ] {
        let message = collector.send(kind, &good).error(415, "unknown_content_type");
        assert!(message.contains(kind), "{message}");
    }
    let request = agent().post(format!("{}/records", collector.url)).header("content-type", JSON);
    let gzip = answer(request.header("content-encoding", "gzip").send(good.as_bytes())).unwrap();
    gzip.error(415, "unknown_content_type");
    assert_eq!(collector.all(), []);
}

#[test]
fn a_key_twice_a_depth_bomb_and_a_half_character_are_refused_alone() {
    let (_data, collector) = start();
    let good = record(1).to_string();
    let twice = record(2).to_string().replace("\"flagged\":true", "\"flagged\":false,\"flagged\":true");
    let hidden = record(3).to_string().replace("\"index\":42", "\"a\":{\"b\":1,\"\\u0062\":2}");
    let deep = record(4)
        .to_string()
        .replace("\"index\":42", &format!("\"d\":{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let half = record(5).to_string().replace("test set", "\\ud83d");
    let huge = record(6).to_string().replace("42,", "1e999,");
    let answer = collector.send(JSON, format!("[{twice},{hidden},{deep},{half},{huge},{good}]"));
    assert_eq!(answer.statuses(), ["refused", "refused", "refused", "refused", "refused", "stored"]);
    let found = |n: usize| answer.json()["results"][n]["problems"][0]["found"].as_str().unwrap().to_owned();
    assert!(found(0).contains("the key \"flagged\" twice"), "{}", found(0));
    assert!(found(1).contains("the key \"b\" twice"), "{}", found(1));
    assert!(found(2).contains("recursion limit"), "{}", found(2));
    assert!(found(3).contains("hex escape") || found(3).contains("surrogate"), "{}", found(3));
    assert!(found(4).contains("out of range"), "{}", found(4));
    // Nothing but depth: a whole body of brackets neither crashes nor hangs it.
    let bomb = format!("{}{}", "[".repeat(4 << 20), "]".repeat(4 << 20));
    assert_eq!(collector.send(JSON, bomb).statuses(), ["refused"]);
    collector.send(JSON, "[".repeat(8 << 20)).error(400, "not_json");
    assert_eq!(collector.all().len(), 1);
}

#[test]
fn every_script_and_a_huge_note_come_back_unchanged() {
    let (_data, collector) = start();
    let texts = [
        "日本語 – עברית ‏ – 👩‍👩‍👧‍👦",
        "\u{0}\u{1}\u{7f}\u{2028}\r\n\t",
        "<script>alert(1)</script>",
        "'; DROP TABLE records; --",
        "e\u{301} ≠ é",
    ];
    let mut sent: Vec<Value> = Vec::new();
    for (n, text) in (0..).zip(texts) {
        let mut value = record(n);
        for key in ["item_id", "note", "annotator", "session"] {
            value[key] = json!(text);
        }
        value["answer"]["label"] = json!(text);
        value["meta"] = json!({text: text});
        sent.push(value);
    }
    let mut huge = record(99);
    huge["note"] = json!("ü".repeat(4 << 20));
    sent.push(huge);
    let answer = collector.send(JSON, json!(sent).to_string());
    assert_eq!(answer.json()["stored"], json!(sent.len()), "{}", answer.text);
    let expected: Vec<Record> = sent.iter().map(|value| Record::from_json(value).unwrap()).collect();
    assert_eq!(collector.all(), expected);
    let counts = collector.get("/counts").json();
    assert_eq!(counts["current"]["by_label"]["<script>alert(1)</script>"], json!(1));
}

#[test]
fn ten_thousand_records_in_one_body_are_all_answered_for() {
    let (_data, collector) = start();
    let sent: Vec<Value> = (0..10_000).map(record).collect();
    let answer = collector.send(JSON, json!(sent).to_string());
    assert_eq!((&answer.json()["stored"], answer.statuses().len()), (&json!(10_000), 10_000));
    assert_eq!(collector.send(LINES, lines(&sent)).json()["duplicate"], json!(10_000));
    assert_eq!(collector.all().len(), 10_000);
}

#[test]
fn a_body_of_nothing_but_mistakes_is_told_the_first_of_them() {
    let (_data, collector) = start();
    let mut odd = record(1);
    for n in 0..50 {
        odd[format!("odd{n}")] = json!(n);
    }
    let answer = collector.send(JSON, json!([odd, record(2)]).to_string());
    assert_eq!(answer.statuses(), ["refused", "stored"]);
    let problems = answer.json()["results"][0]["problems"].as_array().unwrap().clone();
    assert_eq!(problems.len(), 21);
    assert_eq!(problems[20]["found"], "more problems than these 20");
    let wrong = format!("[{}{{}}]", "{},".repeat(10_000));
    let message = collector.send(JSON, wrong).error(400, "too_many_wrong");
    assert!(message.contains("`schema`: found nothing, expected a value"), "{message}");
    let many = format!("[{}1]", "1,".repeat(1_000_000));
    let message = collector.send(JSON, &many).error(413, "body_too_large");
    assert!(message.contains("more than 1000000 values"), "{message}");
    collector.send(LINES, many.replace(',', "\n").trim_matches(['[', ']'])).error(413, "body_too_large");
    assert_eq!(collector.all().len(), 1);
}

#[test]
fn a_body_above_the_limit_is_turned_away_whether_it_says_its_length_or_not() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &["--max-body", "10k"]);
    let mut large = record(1);
    large["note"] = json!("x".repeat(11_000));
    // Said beforehand: turned away before the body is read.
    let said = collector.raw(
        "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{",
    );
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("\"code\":\"body_too_large\""), "{said}");
    let body = large.to_string();
    let request = agent().post(format!("{}/records", collector.url)).header("content-type", JSON);
    let mut reader = body.as_bytes();
    let chunked = answer(request.send(ureq::SendBody::from_reader(&mut reader)));
    chunked.unwrap().error(413, "body_too_large");
    assert_eq!(collector.send(JSON, record(1).to_string()).statuses(), ["stored"]);
    assert_eq!(collector.all().len(), 1);
}

// Handing out.

/// Answers, an accept reviewed by a person, and an undo, of two annotators.
pub fn story() -> Vec<Value> {
    let of = |n: u64, item: &str, who: Value, label: &str, at: &str| {
        let mut value = record(n);
        value["item_id"] = json!(item);
        value["annotator"] = who;
        value["answer"]["label"] = json!(label);
        value["answered_at"] = json!(format!("2026-01-01T00:{at}.000Z"));
        value
    };
    let mut accepted = of(1, "a", json!(null), "Coat", "00:01");
    accepted["kind"] = json!("accepted");
    accepted["role"] = json!("review");
    let mut alone = accepted.clone();
    (alone["id"], alone["item_id"]) = (json!(id(2)), json!("b"));
    let mut reviewed = of(3, "a", json!("anna"), "Dress", "00:09");
    reviewed["role"] = json!("review");
    reviewed["supersedes"] = json!(id(1));
    let first = of(4, "c", json!("anna"), "Bag", "00:02");
    let mut undo = of(5, "c", json!("anna"), "", "00:03");
    undo["kind"] = json!("undo");
    undo["answer"] = json!(null);
    undo["supersedes"] = json!(id(4));
    let again = of(6, "c", json!("anna"), "Sandal", "00:04");
    let other = of(7, "c", json!("ben"), "Boot", "00:05");
    vec![accepted, alone, reviewed, first, undo, again, other]
}

#[test]
fn the_export_of_current_labels_and_the_counts_follow_undo_review_and_several_annotators() {
    let (_data, collector) = start();
    collector.send(JSON, json!(story()).to_string());
    let all: Vec<Record> = story().iter().map(|value| Record::from_json(value).unwrap()).collect();
    let current = current_records(&all);
    let labels: Vec<_> =
        current.iter().map(|r| (r.item_id.as_str(), r.answer.as_ref().unwrap().label.as_str())).collect();
    assert_eq!(labels, [("a", "Dress"), ("b", "Coat"), ("c", "Sandal"), ("c", "Boot")]);

    let answer = collector.get("/export");
    assert_eq!(answer.text, json_lines(current.iter().copied()));
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"records-current.jsonl\"");
    let answer = collector.get("/export?format=csv&what=current");
    assert_eq!(answer.text, csv(current.iter().copied()));
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8; header=present");
    assert_eq!(collector.get("/export?format=csv&what=all").text, csv(&all));
    assert_eq!(collector.get("/export?format=jsonl&what=all").text, json_lines(&all));
    let message = collector.get("/export?format=xlsx").error(400, "unknown_parameter");
    assert_eq!(message, "format=xlsx is not known");

    assert_eq!(
        collector.get("/counts").json(),
        json!({
            "records": 7, "items": 3,
            "kinds": {"correction": 4, "accepted": 2, "undo": 1},
            "roles": {"deferred": 4, "audit": 0, "review": 3, "manual": 0},
            "current": {"labels": 4, "corrections": 3, "accepted": 1,
                        "by_label": {"Boot": 1, "Coat": 1, "Dress": 1, "Sandal": 1}},
        })
    );
}

#[test]
fn a_training_set_weighs_each_item_once() {
    let (_data, collector) = start();
    collector.send(JSON, json!(story()).to_string());
    let lines = collector.get("/export?what=training").text;
    let examples: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = examples
        .iter()
        .map(|e| (e["item_id"].as_str().unwrap(), e["label"].as_str().unwrap(), e["by"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("a", "Dress", "person"),
            ("b", "Coat", "model"),
            ("c", "Sandal", "person"),
            ("c", "Boot", "person")
        ]
    );
    let accepted = &story()[1]["prediction"]["confidence"];
    assert_eq!(examples[0]["weight"], json!(1.0));
    assert_eq!(examples[1]["weight"], *accepted, "what only the model labelled weighs as it was sure");
    assert_eq!((&examples[2]["weight"], &examples[3]["weight"]), (&json!(0.5), &json!(0.5)));
    let csv = collector.get("/export?what=training&format=csv");
    assert_eq!(csv.text.lines().next(), Some("item_id,label,weight,by,role"));
    assert_eq!(csv.text.lines().nth(1), Some("\"a\",\"Dress\",1,person,review"));
    assert_eq!(csv.text.lines().count(), 5);
}

#[test]
fn an_empty_collector_hands_out_empty_files() {
    let (_data, collector) = start();
    assert_eq!(collector.get("/export").text, "");
    assert_eq!(collector.get("/export?format=csv").text.lines().count(), 1);
    assert_eq!(collector.get("/counts").json()["records"], json!(0));
    let health = collector.get("/health").json();
    assert_eq!(health, json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}));
}

/// xorshift64*: the same deliveries in every run.
pub fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }
}

#[test]
fn any_order_and_any_repetition_of_deliveries_gives_the_same_labels() {
    let mut exports = BTreeMap::new();
    for seed in 1..=12 {
        let mut dice = dice(seed);
        let (_data, collector) = start();
        let mut waiting = story();
        waiting.extend((0..dice(8)).map(|n| story()[usize::try_from(n % 7).unwrap()].clone()));
        while !waiting.is_empty() {
            let size = usize::try_from(dice(3) + 1).unwrap().min(waiting.len());
            let batch: Vec<Value> = (0..size)
                .map(|_| waiting.swap_remove(usize::try_from(dice(waiting.len() as u64)).unwrap()))
                .collect();
            assert_eq!(collector.send(JSON, json!(batch).to_string()).json()["refused"], json!(0));
        }
        let found = (collector.get("/export").text, collector.get("/counts").text);
        exports.entry(found).or_insert_with(Vec::new).push(seed);
    }
    assert_eq!(exports.len(), 1, "{exports:#?}");
}

// Faults.

#[test]
fn what_was_acknowledged_survives_kill_9_in_mid_write() {
    let data = TempDir::new().unwrap();
    let mut dice = dice(42);
    let mut acknowledged: Vec<String> = Vec::new();
    let mut next = 0;
    for _ in 0..12 {
        let mut collector = Collector::start(data.path(), &[]);
        // Four senders at once; the first batch each is one that may have been stored without an answer.
        let (from, stopping) = (next, AtomicBool::new(false));
        next += 1 << 20;
        let wait = Duration::from_millis(dice(250));
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..4_u64)
                .map(|sender| {
                    let (collector, stopping) = (&collector, &stopping);
                    let url = collector.url.clone();
                    scope.spawn(move || {
                        let (agent, mut acknowledged) = (agent(), Vec::new());
                        for batch in 0.. {
                            let start = from + (sender << 18) + batch * 20;
                            let body = lines(&(start..start + 20).map(record).collect::<Vec<_>>());
                            let post = agent.post(format!("{url}/records")).header("content-type", LINES);
                            match answer(post.send(body.as_bytes())) {
                                Ok(answer) if answer.status == 200 => {
                                    let body = answer.json();
                                    assert_eq!(body["stored"], json!(20), "{body}");
                                    let ids = body["results"].as_array().unwrap().iter();
                                    acknowledged.extend(ids.map(|r| r["id"].as_str().unwrap().to_owned()));
                                }
                                _ => assert!(
                                    stopping.load(Ordering::SeqCst),
                                    "a sender failed before the kill"
                                ),
                            }
                            if stopping.load(Ordering::SeqCst) {
                                break;
                            }
                        }
                        acknowledged
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(60) + wait);
            stopping.store(true, Ordering::SeqCst);
            // SIGKILL, while the senders wait for their answers.
            kill(collector.process.id(), "KILL");
            for sender in senders {
                acknowledged.extend(sender.join().unwrap());
            }
        });
        collector.process.wait().unwrap();
    }
    assert!(
        acknowledged.len() > 200,
        "only {} records were acknowledged: nothing was tested",
        acknowledged.len()
    );
    let collector = Collector::start(data.path(), &[]);
    let kept: std::collections::BTreeSet<String> = collector.all().iter().map(|r| r.id.to_string()).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !kept.contains(*id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    // A batch is stored as a whole or not at all, acknowledged or not.
    assert_eq!(kept.len() % 20, 0, "half a batch was stored");
    assert_eq!(collector.all().len(), kept.len());
    keep::sound(data.path());
}

pub fn kill(process: u32, signal: &str) {
    let done = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn the_same_batch_from_many_senders_at_once_is_stored_once() {
    let (_data, collector) = start();
    let body = json!((0..50).map(record).collect::<Vec<_>>()).to_string();
    let mut stored = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| collector.send(JSON, &body).json())).collect();
        for sender in senders {
            let body = sender.join().unwrap();
            assert_eq!(body["refused"], json!(0));
            stored += body["stored"].as_u64().unwrap();
        }
    });
    assert_eq!((stored, collector.all().len()), (50, 50));
}

#[test]
fn told_to_stop_it_answers_what_is_under_way_and_ends_well() {
    for signal in ["TERM", "INT"] {
        let (_data, mut collector) = start();
        let address = collector.url.trim_start_matches("http://").to_owned();
        let body = record(1).to_string();
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!(
            "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (first, rest) = body.split_at(100);
        write!(stream, "{head}{first}").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        kill(collector.process.id(), signal);
        std::thread::sleep(Duration::from_millis(200));
        assert!(TcpStream::connect(&address).is_err(), "no new connections");
        write!(stream, "{rest}").unwrap();
        let mut said = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.contains("\"status\":\"stored\""), "{said}");
        assert!(collector.process.wait().unwrap().success());
    }
}

// Pages of other origins.

pub fn with_origin(collector: &Collector, origin: &str) -> Answer {
    let post = agent().post(format!("{}/records", collector.url)).header("content-type", "text/plain");
    answer(post.header("origin", origin).send(record(1).to_string().as_bytes())).unwrap()
}

pub fn preflight(collector: &Collector, origin: &str) -> String {
    collector
        .raw(&format!(
            "OPTIONS /records HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
             Access-Control-Request-Headers: authorization,content-type,idempotency-key\r\nConnection: close\r\n\r\n"
        ))
        .to_ascii_lowercase()
}

#[test]
fn a_listed_page_may_send_and_an_unlisted_one_may_not_even_without_a_preflight() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(
        data.path(),
        &["--allow-origin", "https://a.example", "--allow-origin", "http://localhost:3000"],
    );
    with_origin(&collector, "https://evil.example").error(403, "origin_not_allowed");
    with_origin(&collector, "null").error(403, "origin_not_allowed");
    assert_eq!(collector.all(), []);
    for origin in ["https://a.example", "http://localhost:3000"] {
        let answer = with_origin(&collector, origin);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, origin));
        assert_eq!(
            answer.header("access-control-expose-headers").to_ascii_lowercase(),
            "retry-after,lease-until"
        );
        let said = preflight(&collector, origin);
        assert!(said.starts_with("http/1.1 200"), "{said}");
        assert!(said.contains(&format!("access-control-allow-origin: {origin}\r\n")), "{said}");
        for allowed in ["authorization", "content-type", "idempotency-key"] {
            let line = said.lines().find(|line| line.starts_with("access-control-allow-headers:")).unwrap();
            assert!(line.contains(allowed), "{line}");
        }
    }
    assert!(!preflight(&collector, "https://evil.example").contains("access-control-allow-origin"));
    // Its own page needs no leave.
    assert_eq!(with_origin(&collector, &collector.url).status, 200);
    // Errors can be read by the page as well.
    let post = agent().post(format!("{}/records", collector.url)).header("content-type", JSON);
    let broken = answer(post.header("origin", "https://a.example").send("{".as_bytes())).unwrap();
    broken.error(400, "not_json");
    assert_eq!(broken.header("access-control-allow-origin"), "https://a.example");
}

#[test]
fn a_foreign_page_takes_no_work_with_a_picture_or_a_link() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &["--allow-origin", "http://localhost:3000"]);
    let post = agent().post(format!("{}/items", collector.url)).header("content-type", JSON);
    answer(post.send(r#"{"id": "a", "image": "a.png"}"#.as_bytes())).unwrap();
    let ask = |site: Option<&str>, origin: Option<&str>| {
        let mut get = agent().get(format!("{}/items?lease=60&annotator=anna", collector.url));
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            get = if let Some(value) = value { get.header(name, value) } else { get };
        }
        answer(get.call()).unwrap()
    };
    for site in ["cross-site", "same-site"] {
        ask(Some(site), None).error(403, "origin_not_allowed");
        ask(Some(site), Some("http://evil.example")).error(403, "origin_not_allowed");
    }
    assert_eq!(collector.get("/counts").json()["work"]["leases"], json!(0));
    // A page that is allowed, the collector's own, an address that a person opens, and a program.
    for (site, origin) in [
        (Some("same-site"), Some("http://localhost:3000")),
        (Some("cross-site"), Some("http://localhost:3000")),
        (Some("same-origin"), None),
        (Some("none"), None),
        (None, None),
    ] {
        let given = ask(site, origin);
        assert!(given.status == 200 && given.text.contains("\"a\""), "{site:?} {origin:?}: {}", given.text);
    }
}

#[test]
fn with_a_star_every_page_may_send() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &["--allow-origin", "*"]);
    let answer = with_origin(&collector, "null");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, "*"));
}

#[test]
fn a_foreign_name_for_this_machine_reads_nothing() {
    let (_data, collector) = start();
    let said = collector.raw("GET /export HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 403 ") && said.contains("host_not_allowed"), "{said}");
}

// Files.

#[test]
fn the_page_is_served_with_the_right_types_and_nothing_outside_it() {
    let (data, site) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let dist = site.path().join("dist");
    std::fs::create_dir_all(dist.join("sub")).unwrap();
    std::fs::write(site.path().join("secret.txt"), "secret").unwrap();
    for (name, text) in [
        ("index.html", "<p>page"),
        ("page.wasm", "\0asm"),
        ("page.js", "x"),
        ("model.json", "{}"),
        ("sub/item 1.png", "png"),
        ("element.css", "a"),
        ("page.js.br", "brotli"),
        ("model.onnx", "onnx"),
    ] {
        std::fs::write(dist.join(name), text).unwrap();
    }
    let collector = Collector::start(data.path(), &["--dir", dist.to_str().unwrap()]);
    for (path, kind) in [
        ("/", "text/html"),
        ("/index.html", "text/html"),
        ("/page.wasm", "application/wasm"),
        ("/page.js", "text/javascript"),
        ("/model.json", JSON),
        ("/sub/item%201.png", "image/png"),
        ("/element.css", "text/css"),
        ("/model.onnx", "application/octet-stream"),
    ] {
        let answer = collector.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-cache");
        // No header that other static servers do not send: the page must not come to need one.
        assert!(answer.header("cross-origin-opener-policy").is_empty());
    }
    let modified = collector.get("/page.wasm").header("last-modified").to_owned();
    let again = agent().get(format!("{}/page.wasm", collector.url)).header("if-modified-since", modified);
    assert_eq!(answer(again.call()).unwrap().status, 304);
    let said = collector
        .raw("GET /page.js HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n");
    assert!(said.contains("content-encoding: br") && said.ends_with("brotli"), "{said}");

    collector.get("/nothing.html").error(404, "not_found");
    for path in [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..\\secret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "/sub/%2e%2e/%2e%2e/secret.txt",
        "/%00",
        "/./../secret.txt",
        "/%252e%252e/secret.txt",
    ] {
        let said =
            collector.raw(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        assert!(said.starts_with("HTTP/1.1 4"), "{path}: {said}");
        assert!(!said.contains("secret\r") && !said.ends_with("secret"), "{path}: {said}");
    }
    collector.get("/records").error(405, "wrong_method");
}

#[test]
fn two_collectors_beside_one_another_store_each_record_once() {
    let data = TempDir::new().unwrap();
    let two = [Collector::start(data.path(), &[]), Collector::start(data.path(), &[])];
    let mut stored = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = two
            .iter()
            .map(|collector| {
                scope.spawn(|| {
                    let send = |n: u64| {
                        collector.send(JSON, json!((n..n + 10).map(record).collect::<Vec<_>>()).to_string())
                    };
                    (0..20).map(|batch| send(batch * 10).json()["stored"].as_u64().unwrap()).sum::<u64>()
                })
            })
            .collect();
        stored = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    });
    assert_eq!((stored, two[0].all().len()), (200, 200));
    assert_eq!(two[0].get("/export").text, two[1].get("/export").text);
}
