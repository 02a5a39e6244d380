//! The collector as its senders meet it, with SQLite: the suite of every collector, and what is the file's alone.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "collector/gate.rs"]
mod gate;
#[path = "collector/sqlite.rs"]
mod keep;
#[path = "collector/suite.rs"]
mod suite;
#[path = "collector/work.rs"]
mod work;

use std::process::{Command, Output};

use hitl_labeler::wire::record::Record;
use serde_json::{Value, json};
use suite::{Collector, JSON, record};
use tempfile::TempDir;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_collector")).args(arguments).output().unwrap()
}

/// The fenced blocks of a language in `docs/backend.md`.
fn blocks(language: &str) -> Vec<&'static str> {
    let page = include_str!("../docs/backend.md");
    page.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(&format!("{language}\n")))
        .collect()
}

#[test]
fn a_disk_that_takes_no_more_is_an_answer_that_can_be_retried_and_stores_nothing_of_the_batch() {
    let data = TempDir::new().unwrap();
    // No file of this process may grow beyond 512 blocks of 512 bytes (dash) or 1024 (bash).
    let line = format!(
        "trap '' XFSZ; ulimit -f 512; exec {} --data {} --port 0",
        env!("CARGO_BIN_EXE_collector"),
        data.path().display()
    );
    let collector = Collector::spawn(Command::new("sh").args(["-c", &line]));
    let mut stored = 0;
    let refused = (0..200)
        .find_map(|batch| {
            let answer = collector
                .send(JSON, json!((batch * 50..batch * 50 + 50).map(record).collect::<Vec<_>>()).to_string());
            stored += if answer.status == 200 { 50 } else { 0 };
            (answer.status != 200).then_some(answer)
        })
        .unwrap();
    assert!(matches!(refused.status, 503 | 507), "{}", refused.text);
    assert_eq!(refused.header("retry-after"), "5");
    assert!(!refused.json()["error"]["mend"].as_str().unwrap().is_empty());
    assert_eq!(collector.all().len(), stored);
    drop(collector);
    // With room again, the same database goes on.
    let collector = Collector::start(data.path(), &[]);
    assert_eq!(collector.all().len(), stored);
    assert_eq!(collector.send(JSON, record(999_999).to_string()).statuses(), ["stored"]);
}

#[test]
fn no_body_of_sixteen_mebibytes_takes_more_than_a_gibibyte_of_memory() {
    let data = TempDir::new().unwrap();
    let line = format!(
        "ulimit -v 1200000; exec {} --data {} --port 0",
        env!("CARGO_BIN_EXE_collector"),
        data.path().display()
    );
    let collector = Collector::spawn(Command::new("sh").args(["-c", &line]));
    let full = |text: &str| text.repeat((16 << 20) / text.len() - 20);
    collector.send(JSON, format!("[{}{{}}]", full("{},"))).error(413, "body_too_large");
    collector.send(JSON, format!("[{}{{}}]", "{},".repeat(900_000))).error(400, "too_many_wrong");
    let dense = format!("{{\"meta\":[{}0]}}", full("{\"a\":1},"));
    collector.send(JSON, dense).error(413, "body_too_large");
    let long = collector.send(JSON, format!("{{\"{}\":1}}", full("a")));
    assert_eq!(long.statuses(), ["refused"]);
    let list = collector.send(JSON, format!("{{\"policy\":{{\"reasons\":[{}1]}}}}", "1,".repeat(7_000_000)));
    assert_eq!(list.json()["results"][0]["problems"][0]["path"], "policy.reasons");
    let keys: Vec<String> = (0..1_300_000).map(|n| format!("\"{n}\":1")).collect();
    let many = collector.send(JSON, format!("{{{}}}", keys.join(",")));
    assert_eq!(many.json()["results"][0]["problems"].as_array().unwrap().len(), 21);
    assert_eq!(collector.send(JSON, record(1).to_string()).statuses(), ["stored"]);
}

#[test]
fn what_stands_in_the_way_of_a_start_is_said_with_its_mend() {
    let data = TempDir::new().unwrap();
    let path = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let fails = |arguments: &[&str], code: i32, said: &str| {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.starts_with("collector: ") && text.contains(said), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty() && text.lines().count() == 1, "{text}");
    };
    fails(&[], 2, "--data is missing");
    fails(&["--data", "x", "--prot", "1"], 2, "invalid option '--prot'");
    fails(&["--data", &path("d"), "--dir", &path("no")], 1, "there is no such folder");
    // The database would lie among the files.
    std::fs::create_dir(data.path().join("site")).unwrap();
    fails(&["--data", &path("site/d"), "--dir", &path("site")], 1, "everybody could download the database");
    fails(&["--data", &path("site"), "--dir", &path("site")], 1, "everybody could download the database");
    // The tokens would.
    let token = "anna token-0123456789abcdef0123 write\n";
    std::fs::write(data.path().join("site/tokens"), token).unwrap();
    std::fs::write(data.path().join("tokens"), token).unwrap();
    std::os::unix::fs::symlink(data.path().join("tokens"), data.path().join("site/link")).unwrap();
    for name in ["site/tokens", "site/link"] {
        let line = ["--data", &path("d"), "--dir", &path("site"), "--tokens", &path(name)];
        fails(&line, 1, "everybody could download it");
    }
    std::fs::write(data.path().join("file"), "x").unwrap();
    fails(&["--data", &path("file")], 1, "the folder cannot be made");
    std::fs::create_dir(data.path().join("other")).unwrap();
    std::fs::write(data.path().join("other/records.sqlite"), "this is a letter, not a database".repeat(99))
        .unwrap();
    fails(&["--data", &path("other"), "--port", "0"], 1, "cannot be used as the database");
    let running = Collector::start(&data.path().join("d"), &[]);
    let port = running.url.rsplit_once(':').unwrap().1;
    fails(&["--data", &path("e"), "--port", port], 1, "cannot listen there");
    let db = rusqlite::Connection::open(data.path().join("e/records.sqlite")).unwrap();
    db.pragma_update(None, "user_version", 3).unwrap();
    fails(&["--data", &path("e"), "--port", "0"], 1, "start a newer collector");

    let help = run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--allow-origin"));
    assert!(String::from_utf8_lossy(&run(&["--version"]).stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_examples_of_the_page_for_backends_do_what_it_says() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &["--allow-origin", "https://example.org"]);
    let port = collector.url.rsplit_once(':').unwrap().1;
    let mut said = blocks("sh").into_iter().filter(|block| block.contains("curl ")).map(|block| {
        let script = format!("set -e\n{}", block.replace("127.0.0.1:8787", &format!("127.0.0.1:{port}")));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{block}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    let shown: Vec<Value> = blocks("json").iter().map(|block| serde_json::from_str(block).unwrap()).collect();
    let [example, answer, error, counts] = shown.as_slice() else { panic!("{} blocks", shown.len()) };
    Record::from_json(example).unwrap();
    assert_eq!(&serde_json::from_str::<Value>(&said.next().unwrap()).unwrap(), answer);
    assert_eq!(&serde_json::from_str::<Value>(&said.next().unwrap()).unwrap(), error);
    let preflight = said.next().unwrap();
    for line in blocks("http")[0].lines() {
        assert!(
            preflight.lines().any(|said| said.trim_end().eq_ignore_ascii_case(line)),
            "{line}: {preflight}"
        );
    }
    let reading = said.next().unwrap();
    assert_eq!(&collector.get("/counts").json(), counts);
    assert_eq!(reading.matches("019b76da-a82a-7c3e-9d41-5b6f0a1c2e3d").count(), 3);
    assert!(reading.contains("\"status\":\"ok\"") && reading.contains("\"alpha\":null"), "{reading}");
    assert!(reading.contains("\"confidence\":1.0,\"answers\":1,\"by\":\"person\""), "{reading}");
    let work = said.next().unwrap();
    assert!(
        work.contains("\"stored\":2") && work.to_ascii_lowercase().contains("\nlease-until: 2"),
        "{work}"
    );
    assert!(work.contains(r#"{"id":"part-1","image":"https://example.org/1.png"}"#), "{work}");
    assert!(said.next().is_none());
}
