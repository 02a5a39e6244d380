//! Several collectors on one PostgreSQL, which know nothing of one another.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::keep;
use super::suite::{Collector, JSON, LINES, agent, answer, id, kill, lines, record};

const SENDERS: u64 = 20;
const BATCH: u64 = 50;
/// `make load` does the same with 100,000.
const RECORDS: u64 = 10_000;

/// Sends all records from all senders at once; calls `after_a_third` when so many are acknowledged. How many requests
/// had to be sent again.
fn pour(urls: &[String], after_a_third: impl FnOnce()) -> usize {
    let (acknowledged, retried) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (acknowledged, retried) = (&acknowledged, &retried);
            scope.spawn(move || {
                let agent = agent();
                let share = RECORDS / SENDERS;
                for batch in 0..share / BATCH {
                    let from = sender * share + batch * BATCH;
                    let body = lines(&(from..from + BATCH).map(record).collect::<Vec<_>>());
                    let begun = Instant::now();
                    // Whoever gets no answer asks the next one.
                    for attempt in 0.. {
                        let url = &urls[usize::try_from(sender + attempt).unwrap() % urls.len()];
                        let post = agent.post(format!("{url}/records")).header("content-type", LINES);
                        match answer(post.send(body.as_bytes())) {
                            Ok(answer) if answer.status == 200 => {
                                assert_eq!(answer.json()["refused"], json!(0), "{}", answer.text);
                                acknowledged.fetch_add(usize::try_from(BATCH).unwrap(), Ordering::SeqCst);
                                break;
                            }
                            Ok(answer) => assert_eq!(
                                (answer.status, answer.header("retry-after")),
                                (503, "5"),
                                "{}",
                                answer.text
                            ),
                            // Broken off.
                            Err(_) => {}
                        }
                        retried.fetch_add(1, Ordering::SeqCst);
                        assert!(begun.elapsed() < Duration::from_secs(30), "nobody takes the batch");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
        let begun = Instant::now();
        while acknowledged.load(Ordering::SeqCst) < usize::try_from(RECORDS / 3).unwrap() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no third is acknowledged");
            std::thread::sleep(Duration::from_millis(5));
        }
        after_a_third();
    });
    retried.into_inner()
}

/// Every record that was sent is there, once.
fn all_are_there(collector: &Collector) {
    let kept = collector.all();
    let ids: BTreeSet<String> = kept.iter().map(|record| record.id.to_string()).collect();
    assert_eq!(kept.len(), ids.len(), "doubled");
    assert_eq!(ids, (0..RECORDS).map(id).collect(), "lost");
}

#[test]
fn three_collectors_one_of_them_killed_lose_and_double_nothing() {
    let data = TempDir::new().unwrap();
    let mut three: Vec<Collector> = (0..3).map(|_| Collector::start(data.path(), &[])).collect();
    let urls: Vec<String> = three.iter().map(|collector| collector.url.clone()).collect();
    let retried = pour(&urls, || kill(three[0].process.id(), "KILL"));
    three.remove(0);
    assert!(retried > 0, "nobody was under way at the killed one: nothing was tested");
    all_are_there(&three[0]);
    assert_eq!(three[0].get("/export").text, three[1].get("/export").text);
}

#[test]
fn a_server_that_is_lost_is_followed_by_its_standby_with_every_record_that_was_acknowledged() {
    let first = keep::Server::start();
    first.sql("postgres", "CREATE DATABASE records");
    // An acknowledged record is on both servers all the same: the collector raises this.
    first.sql("postgres", "ALTER DATABASE records SET synchronous_commit = local");
    let second = first.standby();
    let url = either(&second, &first);
    let two: Vec<Collector> = (0..2)
        .map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
            Collector::spawn(command.args(["--port", "0", "--database", &url]))
        })
        .collect();
    let urls: Vec<String> = two.iter().map(|collector| collector.url.clone()).collect();
    let retried = pour(&urls, || {
        first.kill();
        second.promote();
    });
    assert!(retried > 0, "nobody was under way at the killed one: nothing was tested");
    all_are_there(&two[0]);
    assert_eq!(second.sql("records", "SELECT count(*) FROM hitl_records"), format!("{RECORDS}\n"));
}

/// The address of two servers, of which one takes changes.
fn either(one: &keep::Server, other: &keep::Server) -> String {
    format!("postgres://hitl@127.0.0.1:{},127.0.0.1:{}/records", one.port, other.port)
}

#[test]
fn a_server_that_takes_no_more_changes_is_left_for_the_one_that_does() {
    let first = keep::Server::start();
    first.sql("postgres", "CREATE DATABASE records");
    let second = first.standby();
    let mut command = Command::new(env!("CARGO_BIN_EXE_collector"));
    let collector = Collector::spawn(command.args(["--port", "0", "--database", &either(&first, &second)]));
    assert_eq!(collector.send(JSON, record(1).to_string()).statuses(), ["stored"]);
    first.fence();
    second.promote();
    let begun = Instant::now();
    loop {
        let sent = collector.send(JSON, record(2).to_string());
        if sent.status == 200 {
            assert_eq!(sent.statuses(), ["stored"]);
            break;
        }
        assert_eq!((sent.status, sent.header("retry-after")), (503, "5"), "{}", sent.text);
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays at the server that it had");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(second.sql("records", "SELECT count(*) FROM hitl_records"), "2\n");
}

#[test]
fn collectors_that_start_at_once_on_an_empty_database_all_come_up() {
    let data = TempDir::new().unwrap();
    keep::database(data.path());
    let all: Vec<Collector> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..6).map(|_| scope.spawn(|| Collector::start(data.path(), &[]))).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (n, collector) in (0..).zip(&all) {
        assert_eq!(collector.send(JSON, record(n).to_string()).statuses(), ["stored"]);
    }
    assert_eq!(all[0].all().len(), 6);
}

#[test]
fn a_database_that_is_gone_for_a_while_is_an_answer_that_can_be_retried() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &[]);
    collector.send(JSON, record(1).to_string());
    let (server, database) = (keep::server(), keep::database(data.path()));
    server.allow(&database, false);
    let refused = collector.send(JSON, record(2).to_string());
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{}", refused.text);
    assert_eq!(collector.get("/health").status, 503);
    assert_eq!(collector.get("/health/live").status, 200);
    assert!(collector.get("/metrics").text.contains("hitl_database_up 0"));
    server.allow(&database, true);
    let begun = Instant::now();
    while collector.send(JSON, record(2).to_string()).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not connect again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(collector.all().len(), 2);
}

#[test]
fn batches_that_overlap_in_other_orders_do_not_block_one_another() {
    let data = TempDir::new().unwrap();
    let two = [Collector::start(data.path(), &[]), Collector::start(data.path(), &[])];
    let mut records: Vec<Value> = (0..200).map(record).collect();
    let forth = json!(records).to_string();
    records.reverse();
    let back = json!(records).to_string();
    let stored: u64 = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|n| {
                let (collector, body) = (&two[n % 2], if n < 4 { &forth } else { &back });
                scope.spawn(move || collector.send(JSON, body).json())
            })
            .collect();
        senders.into_iter().map(|one| one.join().unwrap()["stored"].as_u64().unwrap()).sum()
    });
    assert_eq!((stored, two[0].all().len()), (200, 200));
}

#[test]
fn what_is_wrong_with_a_database_is_said_with_its_mend_and_without_its_password() {
    let fails = |url: &str, said: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_collector"))
            .args(["--port", "0"])
            .env("DATABASE_URL", url)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{url}: {text}");
        assert!(text.contains(said) && !text.contains("secret"), "{url}: {text}");
    };
    let data = TempDir::new().unwrap();
    let (server, database) = (keep::server(), keep::database(data.path()));
    let url = server.url(&database);
    fails("mysql://u:secret@h/d", "expected an address such as postgres://");
    fails(&format!("{url}?sslmode=require"), "speaks no TLS");
    fails("postgres://u:secret@127.0.0.1:1/d", "check the address, its password and that it runs");
    fails(&server.url("nothing"), "does not exist");
    drop(Collector::start(data.path(), &[]));
    server.sql(&database, "UPDATE hitl_version SET version = 9");
    fails(&url, "start a newer collector");
    server.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    fails(&server.url("latin"), "make one with ENCODING 'UTF8'");
}

/// What is handed out to `who`, at most ten items.
fn asked(collector: &Collector, who: &str) -> String {
    collector.get(&format!("/items?lease=600&annotator={who}")).text
}

#[test]
fn an_item_whose_answer_arrives_while_its_holder_asks_again_is_not_given_again() {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), &["--answers-per-item", "2"]);
    let post = agent().post(format!("{}/items", collector.url)).header("content-type", JSON);
    answer(post.send(r#"{"id": "item-000001", "image": "a.png"}"#.as_bytes())).unwrap();
    let mut sent = record(1);
    sent["annotator"] = json!("anna");
    assert!(asked(&collector, "anna").contains("item-000001"));
    // The answer, as the collector stores it, two seconds before its commit.
    let answers = format!(
        "BEGIN;
         INSERT INTO hitl_records (seq, id, item_id, kind, role, label, annotator, answered_at, record)
         VALUES (nextval('hitl_arrival'), '{}', 'item-000001', 'correction', 'deferred', 'Shirt', 'anna',
           '2026-01-01T00:00:02.190Z', '{sent}');
         DELETE FROM hitl_leases WHERE annotator = 'anna';
         SELECT pg_sleep(2); COMMIT",
        id(1)
    );
    std::thread::scope(|scope| {
        let under_way = scope.spawn(|| keep::server().sql(&keep::database(data.path()), &answers));
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(asked(&collector, "anna"), "", "it is being answered");
        under_way.join().unwrap();
    });
    assert_eq!(asked(&collector, "anna"), "", "it is answered");
    // Nor where a lease was left behind.
    let left = "INSERT INTO hitl_leases SELECT seq, 'anna', now() + interval '1 hour' FROM hitl_items";
    keep::server().sql(&keep::database(data.path()), left);
    assert_eq!(asked(&collector, "anna"), "");
    assert!(asked(&collector, "ben").contains("item-000001"), "one more answer is wanted");
}
