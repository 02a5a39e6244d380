//! Who is let in, what is logged, and what is measured.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::keep;
use super::suite::{Answer, Collector, JSON, agent, answer, kill, record};

const WRITER: &str = "writer-0123456789abcdef0123";
const READER: &str = "reader-0123456789abcdef0123";

struct Guarded {
    folder: TempDir,
    collector: Collector,
}

impl Guarded {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let tokens = folder.path().join("tokens");
        let text = format!(
            "anna {WRITER} write rate=60 max-body=2k\nreports {READER} read,work\nboss boss-0123456789abcdef0123 admin\n"
        );
        std::fs::write(&tokens, text).unwrap();
        let data = folder.path().join("data");
        let collector =
            Collector::start(&data, &["--tokens", tokens.to_str().unwrap(), "--allow-origin", "*"]);
        Self { folder, collector }
    }

    fn post(&self, token: &str, body: &str) -> Answer {
        let request = agent().post(format!("{}/records", self.collector.url)).header("content-type", JSON);
        answer(request.header("authorization", format!("Bearer {token}")).send(body.as_bytes())).unwrap()
    }

    fn get(&self, token: &str, path: &str) -> Answer {
        let request = agent().get(format!("{}{path}", self.collector.url));
        answer(request.header("authorization", format!("Bearer {token}")).call()).unwrap()
    }
}

#[test]
fn a_token_opens_what_it_is_for_and_nothing_else() {
    let guarded = Guarded::start();
    let missing = guarded.collector.send(JSON, record(1).to_string());
    missing.error(401, "token_missing");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"hitl-labeler\"");
    let unknown = guarded.post("wrong-0123456789abcdef0123", "[]");
    unknown.error(401, "token_unknown");
    assert!(unknown.header("www-authenticate").contains("invalid_token"));
    assert_eq!(guarded.post(WRITER, &record(1).to_string()).statuses(), ["stored"]);
    guarded.post(READER, "[]").error(403, "token_not_for_this");
    guarded.get(WRITER, "/export").error(403, "token_not_for_this");
    assert_eq!(guarded.get(READER, "/export?what=all").text.lines().count(), 1);
    for path in ["/export", "/counts", "/metrics", "/items?lease=9"] {
        guarded.collector.get(path).error(401, "token_missing");
        assert_eq!(guarded.get(READER, path).status, 200, "{path}");
    }
    let put = agent().put(format!("{}/items", guarded.collector.url)).header("content-type", JSON);
    let put = put.header("authorization", format!("Bearer {READER}")).send("[]".as_bytes());
    answer(put).unwrap().error(403, "token_not_for_this");
    assert_eq!(guarded.get("boss-0123456789abcdef0123", "/counts").status, 200);
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(guarded.collector.get(path).status, 200, "{path} needs none");
    }
    assert!(guarded.folder.path().exists());
}

#[test]
fn a_token_has_its_own_limits_and_a_page_can_read_when_to_come_again() {
    let guarded = Guarded::start();
    let mut large = record(1);
    large["note"] = json!("x".repeat(3_000));
    guarded.post(WRITER, &large.to_string()).error(413, "body_too_large");
    let body = large.to_string();
    let mut reader = body.as_bytes();
    let request = agent().post(format!("{}/records", guarded.collector.url)).header("content-type", JSON);
    let request = request.header("authorization", format!("Bearer {WRITER}"));
    answer(request.send(ureq::SendBody::from_reader(&mut reader))).unwrap().error(413, "body_too_large");
    // 60 a minute are ten at once.
    let refused = (0..20).map(|_| guarded.post(WRITER, "[]")).find(|answer| answer.status != 200).unwrap();
    refused.error(429, "too_many_requests");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    assert!(refused.header("access-control-expose-headers").contains("retry-after"));
    assert_eq!(guarded.get(READER, "/counts").status, 200, "others go on");
}

#[test]
fn a_log_line_tells_of_each_request_and_never_of_tokens_or_records() {
    for form in ["json", "text"] {
        let folder = TempDir::new().unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, format!("anna {WRITER} write\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
        command
            .args(keep::arguments(folder.path()))
            .args(["--port", "0", "--log", form, "--tokens"])
            .arg(&tokens);
        let mut collector = Collector::spawn(command.stderr(Stdio::piped()));
        let request =
            agent().post(format!("{}/records?secret=query", collector.url)).header("content-type", JSON);
        let body = json!([record(1), record(1), 42]).to_string();
        answer(request.header("authorization", format!("Bearer {WRITER}")).send(body.as_bytes())).unwrap();
        collector.get("/counts");
        kill(collector.process.id(), "TERM");
        let mut text = String::new();
        collector.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(collector.process.wait().unwrap().success());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for secret in [WRITER, "query", "Shirt", "fashion"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        if form == "json" {
            let line: Value = serde_json::from_str(lines[0]).unwrap();
            let told = ["method", "path", "status", "records", "stored", "duplicate", "refused", "token"]
                .map(|key| line[key].clone());
            assert_eq!(json!(told), json!(["POST", "/records", 200, 3, 1, 1, 1, "anna"]));
            assert!(line["ms"].as_f64().unwrap() > 0.0 && line["time"].as_str().unwrap().ends_with('Z'));
            assert_eq!(serde_json::from_str::<Value>(lines[1]).unwrap()["status"], json!(401));
        } else {
            assert!(
                lines[0].contains(" 200 POST /records ") && lines[0].ends_with(" 3 records anna"),
                "{text}"
            );
        }
    }
}

/// Every sample of a metrics page by its name and labels; panics at what Prometheus' text format 0.0.4 has not.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut found, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name.to_owned(), kind).is_none(), "{name} is declared twice");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').unwrap()));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (key, value) = label.split_once('=').unwrap();
                assert!(key.bytes().all(|b| b.is_ascii_lowercase()) && value.len() > 2, "{line}");
                assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
            }
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|base| kinds.get(*base) == Some(&"histogram"));
            assert!(kinds.contains_key(base.unwrap_or(name)), "{line}: no TYPE before it");
            assert!(
                found.insert(series.to_owned(), value.parse().unwrap()).is_none(),
                "{series} stands there twice"
            );
        }
    }
    found
}

#[test]
fn the_metrics_are_prometheus_text_and_count_what_happened() {
    let folder = TempDir::new().unwrap();
    let collector = Collector::start(folder.path(), &[]);
    collector.send(JSON, json!([record(1), record(2), record(1), 42]).to_string());
    collector.send(JSON, "{");
    for path in ["/export", "/health", "/\"}{", "/anything"] {
        collector.get(path);
    }
    let items = agent().post(format!("{}/items", collector.url)).header("content-type", JSON);
    answer(items.send(r#"[{"id": "a", "numbers": [1]}, {"id": "b", "numbers": [2]}]"#.as_bytes())).unwrap();
    collector.get("/items?lease=60&annotator=x&count=1");
    collector.get("/items?lease=60&annotator=x&count=2");
    let answer = collector.get("/metrics");
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let samples = samples(&answer.text);
    for (series, value) in [
        ("hitl_records_total{outcome=\"stored\"}", 2.0),
        ("hitl_records_total{outcome=\"duplicate\"}", 1.0),
        ("hitl_records_total{outcome=\"refused\"}", 1.0),
        ("hitl_requests_total{method=\"POST\",route=\"/records\",status=\"200\"}", 1.0),
        ("hitl_requests_total{method=\"POST\",route=\"/records\",status=\"400\"}", 1.0),
        ("hitl_requests_total{method=\"GET\",route=\"files\",status=\"404\"}", 2.0),
        ("hitl_request_seconds_count{route=\"/records\"}", 2.0),
        ("hitl_request_seconds_bucket{route=\"/records\",le=\"+Inf\"}", 2.0),
        ("hitl_leases_total{kind=\"new\"}", 2.0),
        ("hitl_leases_total{kind=\"again\"}", 1.0),
        ("hitl_work_items", 2.0),
        ("hitl_work_leases", 2.0),
        ("hitl_database_up", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}: {}", answer.text);
    }
    let buckets: Vec<f64> = answer
        .text
        .lines()
        .filter(|line| line.starts_with("hitl_request_seconds_bucket{route=\"/records\""))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(buckets.len() == 13 && buckets.is_sorted(), "{buckets:?}");
}

#[test]
fn told_to_stop_it_waits_ten_seconds_for_a_sender_that_hangs_and_ends_well() {
    let folder = TempDir::new().unwrap();
    let mut collector = Collector::start(folder.path(), &[]);
    let mut stream = TcpStream::connect(collector.url.trim_start_matches("http://")).unwrap();
    let head = "POST /records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n[";
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    kill(collector.process.id(), "TERM");
    assert!(collector.process.wait().unwrap().success());
    let took = begun.elapsed().as_secs();
    assert!((9..20).contains(&took), "it ended after {took} s");
}
