//! The work list as annotators meet it, whatever the database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::suite::{Answer, Collector, JSON, LINES, agent, answer, id, lines, record};

fn items(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({"id": format!("i{n:03}"), "image": format!("pictures/{n}.png"), "meta": {"n": n}}))
        .collect()
}

fn start(options: &[&str]) -> (TempDir, Collector) {
    let data = TempDir::new().unwrap();
    let collector = Collector::start(data.path(), options);
    (data, collector)
}

fn load(collector: &Collector, method: &str, body: &str) -> Answer {
    let url = format!("{}/items", collector.url);
    let request = if method == "PUT" { agent().put(url) } else { agent().post(url) };
    answer(request.header("content-type", LINES).send(body.as_bytes())).unwrap()
}

fn ask(collector: &Collector, annotator: &str, count: usize) -> Vec<String> {
    ask_for(collector, annotator, count, 600)
}

fn ask_for(collector: &Collector, annotator: &str, count: usize, lease: u32) -> Vec<String> {
    let answer = collector.get(&format!("/items?lease={lease}&annotator={annotator}&count={count}"));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The `n`th record: `annotator` says `label` of `item`.
fn said(n: u64, annotator: &str, item: &str, label: &str) -> Value {
    let mut value = record(n);
    (value["item_id"], value["annotator"], value["answer"]["label"]) =
        (json!(item), json!(annotator), json!(label));
    value
}

fn send(collector: &Collector, record: &Value) {
    assert_eq!(collector.send(JSON, record.to_string()).statuses(), ["stored"]);
}

#[test]
fn items_are_handed_out_as_the_element_reads_them_with_the_end_of_their_lease() {
    let (_data, collector) = start(&[]);
    let list = items(5);
    let loaded = load(&collector, "POST", &lines(&list));
    assert_eq!((loaded.status, loaded.json()["stored"].clone()), (200, json!(5)), "{}", loaded.text);
    let given = collector.get("/items?lease=600&annotator=anna&count=2");
    assert_eq!((given.header("content-type"), given.header("cache-control")), (LINES, "no-store"));
    let read: Vec<Value> = given.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, list[..2]);
    let until = given.header("lease-until");
    assert!(until.len() == 24 && until.ends_with('Z'), "{until}");
    let mut stream = hitl_labeler::wire::items::ItemStream::new();
    let (mut good, resolve) = (0, |address: &str| Some(address.to_owned()));
    stream.push(given.text.as_bytes(), &resolve, |item| good += u32::from(item.is_ok())).unwrap();
    assert_eq!(good, 2);
    let counts = collector.get("/counts").json();
    assert_eq!(counts["work"], json!({"items": 5, "leases": 2}));
}

#[test]
fn nobody_gets_what_another_has_and_asking_again_gives_the_same() {
    let (_data, collector) = start(&[]);
    load(&collector, "POST", &lines(&items(5)));
    assert_eq!(ask(&collector, "anna", 2), ["i000", "i001"]);
    assert_eq!(ask(&collector, "ben", 2), ["i002", "i003"]);
    assert_eq!(ask(&collector, "anna", 2), ["i000", "i001"], "a page that is loaded again");
    send(&collector, &said(1, "anna", "i000", "Coat"));
    assert_eq!(ask(&collector, "anna", 2), ["i001", "i004"], "answered is done");
    assert_eq!(ask(&collector, "cleo", 9), Vec::<String>::new());
    // A look that takes nothing.
    let head = answer(agent().head(format!("{}/items?lease=9&annotator=x", collector.url)).call()).unwrap();
    assert_eq!(head.status, 405);
}

#[test]
fn a_lease_that_is_over_lets_another_have_the_item() {
    let (_data, collector) = start(&[]);
    load(&collector, "POST", &lines(&items(1)));
    assert_eq!(ask_for(&collector, "anna", 1, 1), ["i000"]);
    assert_eq!(ask(&collector, "ben", 1), Vec::<String>::new());
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(ask(&collector, "ben", 1), ["i000"]);
    assert_eq!(ask(&collector, "anna", 1), Vec::<String>::new());
}

#[test]
fn only_a_record_that_is_stored_ends_a_lease() {
    let (_data, collector) = start(&[]);
    load(&collector, "POST", &lines(&items(1)));
    send(&collector, &said(1, "anna", "elsewhere", "Coat"));
    assert_eq!(ask(&collector, "anna", 1), ["i000"]);
    assert_eq!(collector.send(JSON, said(1, "anna", "i000", "Coat").to_string()).statuses(), ["refused"]);
    assert_eq!(ask(&collector, "ben", 1), Vec::<String>::new(), "anna has not answered it");
    let answer = said(2, "anna", "i000", "Coat");
    send(&collector, &answer);
    let mut undo = said(3, "anna", "i000", "");
    (undo["kind"], undo["answer"], undo["supersedes"]) = (json!("undo"), json!(null), json!(id(2)));
    send(&collector, &undo);
    assert_eq!(ask(&collector, "anna", 1), ["i000"]);
    assert_eq!(collector.send(JSON, answer.to_string()).statuses(), ["duplicate"]);
    assert_eq!(ask(&collector, "ben", 1), Vec::<String>::new(), "she has it before her again");
}

#[test]
fn an_item_gets_as_many_annotators_as_it_wants_and_one_undone_answer_is_wanted_again() {
    let (_data, collector) = start(&["--answers-per-item", "2"]);
    load(&collector, "POST", &lines(&items(2)));
    assert_eq!(ask(&collector, "anna", 1), ["i000"]);
    assert_eq!(ask(&collector, "ben", 1), ["i000"]);
    assert_eq!(ask(&collector, "cleo", 1), ["i001"], "two have the first before them");
    send(&collector, &said(1, "anna", "i000", "Coat"));
    send(&collector, &said(2, "ben", "i000", "Bag"));
    assert_eq!(ask(&collector, "dora", 9), ["i001"]);
    let mut undo = said(3, "ben", "i000", "");
    (undo["kind"], undo["answer"], undo["supersedes"]) = (json!("undo"), json!(null), json!(id(2)));
    send(&collector, &undo);
    assert_eq!(ask(&collector, "anna", 9), Vec::<String>::new(), "she has answered it");
    assert_eq!(ask(&collector, "ben", 9), ["i000"], "he took it back");
}

#[test]
fn an_answer_that_another_replaces_is_wanted_again_and_its_item_is_given_once() {
    let replaced = |wanted: &str, look: &dyn Fn(&Collector)| {
        let (_data, collector) = start(&["--answers-per-item", wanted]);
        load(&collector, "POST", &lines(&items(1)));
        send(&collector, &said(1, "anna", "i000", "Coat"));
        send(&collector, &said(2, "ben", "i000", "Bag"));
        look(&collector);
        let mut review = said(3, "ben", "i000", "Bag");
        review["supersedes"] = json!(id(1));
        send(&collector, &review);
        assert_eq!(ask(&collector, "dora", 9), ["i000"], "{wanted} answers wanted, ben's is there");
    };
    replaced("2", &|collector| assert_eq!(ask(collector, "cleo", 9), Vec::<String>::new(), "it has both"));
    replaced("3", &|collector| {
        assert_eq!(ask_for(collector, "cleo", 9, 1), ["i000"], "two of three are there");
        std::thread::sleep(Duration::from_millis(1_200));
    });
}

#[test]
fn a_list_is_added_to_or_replaced_and_a_wrong_item_is_named() {
    let (_data, collector) = start(&[]);
    let list = items(3);
    load(&collector, "POST", &lines(&list));
    let mut changed = list[0].clone();
    changed["meta"] = json!("new");
    let added = load(
        &collector,
        "POST",
        &lines(&[changed.clone(), list[1].clone(), json!({"id": "x"}), json!({"id": "y", "numbers": [1.5]})]),
    );
    assert_eq!(added.statuses(), ["refused", "duplicate", "refused", "stored"]);
    let problem = &added.json()["results"][2]["problems"][0];
    assert_eq!(problem["path"], "[2]");
    assert!(problem["found"].as_str().unwrap().contains("neither image nor numbers"), "{problem}");
    let twice = format!("{}\n{{\"id\":\"z\",\"id\":\"z\"}}", list[1]);
    assert_eq!(load(&collector, "POST", &twice).json()["results"][1]["problems"][0]["path"], "[1]");
    let message = load(&collector, "PUT", &twice).error(400, "items_wrong");
    assert!(message.contains("`[1]`") && message.contains("the key \"id\" twice"), "{message}");
    let wrong = load(&collector, "PUT", &lines(&[list[0].clone(), list[0].clone()]));
    assert!(wrong.error(400, "items_wrong").contains("a second time"));
    let replaced = load(&collector, "PUT", &lines(&[changed.clone(), list[2].clone()]));
    assert_eq!(replaced.json(), json!({"stored": 1, "duplicate": 1, "removed": 2}));
    let given = collector.get("/items?lease=600&annotator=anna").text;
    let read: Vec<Value> = given.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, [changed, list[2].clone()]);
}

#[test]
fn a_question_for_work_that_is_not_understood_says_what_is_expected() {
    let (_data, collector) = start(&[]);
    for (query, said) in [
        ("annotator=a", "lease is missing"),
        ("lease=60", "annotator is missing"),
        ("lease=0&annotator=a", "lease=0: expected a number from 1 to 86400"),
        ("lease=60&annotator=", "expected a name"),
        ("lease=60&annotator=a&count=2000", "expected a number from 1 to 1000"),
        ("lease=60&annotator=a&size=1", "size=1 is not known"),
    ] {
        let message = collector.get(&format!("/items?{query}")).error(400, "unknown_parameter");
        assert!(message.contains(said), "{query}: {message}");
    }
}

#[test]
fn many_annotators_at_once_never_hold_more_than_an_item_wants() {
    let (_data, collector) = start(&["--answers-per-item", "2"]);
    load(&collector, "POST", &lines(&items(60)));
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..12)
            .map(|n| {
                let collector = &collector;
                scope.spawn(move || ask(collector, &format!("a{n}"), 8))
            })
            .collect();
        for one in all {
            one.join().unwrap().into_iter().for_each(|item| *held.entry(item).or_default() += 1);
        }
    });
    assert!(held.values().all(|holders| *holders <= 2), "{held:?}");
    // What was passed by in the rush is there on the next call. With eight each for twelve there is always an item
    // with a free place that one does not hold already; with ten, all 120 places, there need not be.
    let given: usize = (0..12).map(|n| ask(&collector, &format!("a{n}"), 8).len()).sum();
    assert_eq!(given, 96);
}

#[test]
fn a_list_can_be_replaced_again_and_again_while_many_ask_for_work() {
    let (_data, collector) = start(&["--answers-per-item", "3"]);
    let list = items(300);
    load(&collector, "POST", &lines(&list));
    // Two answers each, so that whoever looks at an item notes something.
    for (from, who) in [(0, "x"), (1_000, "y")] {
        let records: Vec<Value> =
            (0..300).map(|n| said(from + n, who, &format!("i{n:03}"), "Coat")).collect();
        assert_eq!(collector.send(JSON, json!(records).to_string()).json()["stored"], json!(300));
    }
    let done = AtomicBool::new(false);
    let replaced: Vec<Answer> = std::thread::scope(|scope| {
        for n in 0..6 {
            let (collector, done) = (&collector, &done);
            scope.spawn(move || {
                // More rounds than there will be time for.
                for round in (0..5_000).take_while(|_| !done.load(Ordering::SeqCst)) {
                    ask_for(collector, &format!("a{n}-{round}"), 20, 1);
                }
            });
        }
        let parts = [&list[..200], &list[100..]];
        let replaced = (0..40).map(|round| load(&collector, "PUT", &lines(parts[round % 2]))).collect();
        done.store(true, Ordering::SeqCst);
        replaced
    });
    for answer in replaced {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[test]
fn a_list_that_is_worked_off_by_many_gives_each_item_as_often_as_it_wants_and_no_more() {
    let (_data, collector) = start(&["--answers-per-item", "3"]);
    load(&collector, "POST", &lines(&items(100)));
    let mut given: BTreeMap<String, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8_u64)
            .map(|n| {
                let collector = &collector;
                scope.spawn(move || {
                    let (who, mut mine) = (format!("a{n}"), Vec::new());
                    loop {
                        let some = ask(collector, &who, 4);
                        if some.is_empty() {
                            return mine;
                        }
                        let from = (n << 20) + mine.len() as u64;
                        let records: Vec<Value> =
                            (from..).zip(&some).map(|(id, item)| said(id, &who, item, "Coat")).collect();
                        assert_eq!(
                            collector.send(JSON, json!(records).to_string()).json()["stored"],
                            json!(some.len())
                        );
                        mine.extend(some);
                    }
                })
            })
            .collect();
        for one in all {
            one.join().unwrap().into_iter().for_each(|item| *given.entry(item).or_default() += 1);
        }
    });
    let other: Vec<_> = given.iter().filter(|(_, times)| **times != 3).collect();
    assert!(other.is_empty() && given.len() == 100, "{} items, {other:?}", given.len());
}

#[test]
fn answers_of_several_annotators_come_out_as_one_label_and_an_agreement() {
    let (_data, collector) = start(&[]);
    let mut records = Vec::new();
    let mut n = 0;
    let mut add = |who: &str, item: String, label: &str| {
        n += 1;
        records.push(said(n, who, &item, label));
    };
    for item in 0..20 {
        let truth = if item % 2 == 0 { "Coat" } else { "Bag" };
        add("anna", format!("i{item:02}"), truth);
        add("ben", format!("i{item:02}"), truth);
        add("cleo", format!("i{item:02}"), if item % 3 == 0 { "Coat" } else { "Bag" });
    }
    add("anna", "tie".into(), "Coat");
    add("cleo", "tie".into(), "Bag");
    let mut accepted = said(900, "", "model", "Dress");
    (accepted["kind"], accepted["annotator"]) = (json!("accepted"), json!(null));
    records.push(accepted.clone());
    collector.send(JSON, json!(records).to_string());

    let read = |path: &str| -> Vec<Value> {
        let answer = collector.get(path);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let majority = read("/export?what=aggregate&method=majority");
    assert_eq!(majority.len(), 22);
    assert_eq!(majority[20]["by"], "model");
    assert_eq!(
        (&majority[20]["label"], &majority[20]["confidence"]),
        (&json!("Dress"), &accepted["prediction"]["confidence"])
    );
    assert_eq!(
        majority[21],
        json!({"item_id": "tie", "label": "Bag", "confidence": 0.5, "answers": 2, "by": "person", "tie": ["Bag", "Coat"]})
    );
    let model = read("/export?what=aggregate&method=dawid_skene");
    assert_eq!(
        (&model[21]["label"], &model[21]["tie"]),
        (&json!("Coat"), &json!([])),
        "anna is the better one"
    );
    assert!(model[21]["confidence"].as_f64().unwrap() > 0.6);
    let csv = collector.get("/export?what=aggregate&format=csv").text;
    assert_eq!(csv.lines().next(), Some("item_id,label,confidence,answers,by,tie"));
    assert_eq!(csv.lines().last(), Some("\"tie\",\"Bag\",0.5,2,person,\"[\"\"Bag\"\",\"\"Coat\"\"]\""));
    let agreement = collector.get("/export?what=agreement").json();
    assert_eq!((&agreement["items"], &agreement["answers"]), (&json!(21), &json!(62)));
    assert!((0.2..0.8).contains(&agreement["alpha"].as_f64().unwrap()), "{agreement}");
    let accuracy = |n: usize| agreement["annotators"][n]["accuracy"].as_f64().unwrap();
    assert_eq!(agreement["annotators"][0]["annotator"], "anna");
    assert!(accuracy(0) > accuracy(2) + 0.2, "{agreement}");
    collector.get("/export?what=all&method=majority").error(400, "unknown_parameter");
}
