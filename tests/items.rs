//! Items as a page gives them: one by one, as JSON Lines, as a list, as a table; whole and cut anywhere.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use hitl_labeler::domain::item::{Aside, AsideReason, Content, ImageSource, Item};
use hitl_labeler::domain::value::Value as Meta;
use hitl_labeler::wire::items::{ItemStream, MAX_ITEM_BYTES, StreamError, item};
use hitl_labeler::wire::table::{TableError, TableStream};
use proptest::prelude::*;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../www/schema/item.v1.schema.json");

type Read = (Vec<Result<Item, Aside>>, Result<(), StreamError>);

/// Against `https://host/data/`, as a browser would.
fn resolve(address: &str) -> Option<String> {
    (!address.contains("??")).then(|| match address.strip_prefix('/') {
        Some(absolute) => format!("https://host/{absolute}"),
        None => format!("https://host/data/{address}"),
    })
}

fn one(json: &Value) -> Result<Item, Aside> {
    item(json, "item 1", &resolve)
}

fn said(result: Result<Item, Aside>) -> String {
    match result.unwrap_err().reason {
        AsideReason::Malformed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn read_in<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut stream, mut items) = (ItemStream::new(), Vec::new());
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and(stream.push(chunk, &resolve, |item| items.push(item)));
    }
    let finished = stream.finish(&resolve, |item| items.push(item));
    (items, ended.and(finished))
}

fn read(text: &str) -> Read {
    read_in([text.as_bytes()])
}

fn ids(items: &[Result<Item, Aside>]) -> Vec<String> {
    let id = |item: &Result<Item, Aside>| match item {
        Ok(item) => item.id.to_string(),
        Err(aside) => format!("!{}", aside.id),
    };
    items.iter().map(id).collect()
}

fn good() -> Vec<(&'static str, Value)> {
    vec![
        ("a picture", json!({"id": "a", "image": "a.png"})),
        ("a row", json!({"id": "a", "numbers": [1, 2.5, -3e4]})),
        ("a number as id", json!({"id": 7, "image": "a.png"})),
        ("a picture in itself", json!({"id": "a", "image": "data:image/png;base64,AAAA"})),
        ("another server", json!({"id": "a", "image": "https://cdn/a.png?x=1#y"})),
        ("a blob", json!({"id": "a", "image": "blob:https://host/1-2"})),
        ("no scheme", json!({"id": "a", "image": "//cdn/a.png"})),
        ("blanks in the name", json!({"id": "a", "image": "my photo.png"})),
        ("any meta", json!({"id": "a", "image": "a.png", "meta": {"deep": [1, {"x": null}]}})),
        ("meta that is no object", json!({"id": "a", "image": "a.png", "meta": "x"})),
        ("null for nothing", json!({"id": "a", "image": "a.png", "numbers": null, "meta": null})),
        ("the longest id", json!({"id": "é".repeat(1000), "image": "a.png"})),
    ]
}

fn bad() -> Vec<(&'static str, Value, &'static str)> {
    let image = |address: &str| json!({"id": "a", "image": address});
    vec![
        ("no object", json!("a.png"), "`(the whole document)`: found \"a.png\", expected an object"),
        ("no id", json!({"image": "a.png"}), "`id`: found nothing, expected a value"),
        (
            "an empty id",
            json!({"id": " ", "image": "a.png"}),
            "`id`: found \" \", expected a text of 1 to 1000",
        ),
        ("a list as id", json!({"id": [], "image": "a.png"}), "`id`: found a list of 0, expected a text"),
        ("a long id", json!({"id": "é".repeat(1001), "image": "a.png"}), "`id`: found \"é"),
        (
            "nothing to see",
            json!({"id": "a"}),
            "`(the whole document)`: found neither image nor numbers, expected one of the two",
        ),
        (
            "both",
            json!({"id": "a", "image": "a.png", "numbers": [1]}),
            "`(the whole document)`: found image and numbers, expected one of the two",
        ),
        (
            "a misspelt key",
            json!({"id": "a", "imgae": "a.png"}),
            "`imgae`: found an unknown key, expected one of id, image, numbers, meta (did you mean `image`?)",
        ),
        (
            "a script",
            image("javascript:alert(1)"),
            "`image`: found \"javascript:alert(1)\", expected an http",
        ),
        ("a script in disguise", image("java\nscript:alert(1)"), "`image`: found \"java\\nscript:alert(1)\""),
        ("a file", image("file:///etc/passwd"), "`image`: found \"file:///etc/passwd\", expected an http"),
        (
            "a page in itself",
            image("data:text/html,<p>"),
            "`image`: found \"data:text/html,<p>\", expected an http",
        ),
        ("no address", image(""), "`image`: found \"\", expected a text that is not empty"),
        ("a number as picture", json!({"id": "a", "image": 5}), "`image`: found 5, expected a text"),
        (
            "credentials",
            image("https://me:pw@cdn/a.png"),
            "`image`: found \"https://me:pw@cdn/a.png\", expected",
        ),
        (
            "no numbers",
            json!({"id": "a", "numbers": []}),
            "`numbers`: found a list of 0, expected a list of 1 to",
        ),
        (
            "a text as row",
            json!({"id": "a", "numbers": "1,2"}),
            "`numbers`: found \"1,2\", expected a list of 1 to",
        ),
        (
            "a text in a row",
            json!({"id": "a", "numbers": [1, "2"]}),
            "`numbers[1]`: found \"2\", expected a number",
        ),
        (
            "a hole in a row",
            json!({"id": "a", "numbers": [null]}),
            "`numbers[0]`: found null, expected a number",
        ),
        (
            "too large a number",
            json!({"id": "a", "numbers": [1e39]}),
            "`numbers[0]`: found 1e+39, expected a number",
        ),
    ]
}

#[test]
fn reader_and_schema_agree_on_items() {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (what, json) in good() {
        assert!(one(&json).is_ok(), "{what}: {:?}", one(&json));
        let said: Vec<_> = schema.iter_errors(&json).map(|why| why.to_string()).collect();
        assert!(said.is_empty(), "{what}: the schema says {said:?}");
    }
    for (what, json, expected) in bad() {
        let said = said(one(&json));
        assert!(said.starts_with(expected), "{what}: the reader says\n{said}\nnot\n{expected}");
        assert!(!schema.is_valid(&json), "{what}: the schema finds nothing wrong");
    }
}

#[test]
fn what_is_read_is_what_stands_there() {
    let item = one(&json!({"id": 7.0, "image": "../a.png", "meta": {"place": "Kyiv"}})).unwrap();
    assert_eq!(&*item.id, "7");
    assert_eq!(item.content, Content::Image(ImageSource::Url("https://host/data/../a.png".into())));
    assert_eq!(item.meta.at("place"), Some(&Meta::Text("Kyiv".into())));
    let absolute = one(&json!({"id": "a", "image": "https://cdn/a.png"})).unwrap();
    assert_eq!(absolute.content, Content::Image(ImageSource::Url("https://cdn/a.png".into())));
    let row = one(&json!({"id": "a", "numbers": [1, 0.1]})).unwrap();
    assert_eq!(row.content, Content::Numbers([1.0, 0.1].into()));
    assert_eq!(*row.meta, Meta::Null);
}

#[test]
fn an_item_that_is_wrong_keeps_its_name_and_says_all_that_is_wrong() {
    let aside = one(&json!({"id": "a", "image": 5, "label": "x"})).unwrap_err();
    assert_eq!(&*aside.id, "a");
    assert_eq!(said(Err(aside)).lines().count(), 2);
    assert_eq!(&*one(&json!({"image": 5})).unwrap_err().id, "item 1");
    let row = json!({"id": "a", "numbers": ["x", "x", "x", "x", "x"]});
    assert_eq!(said(one(&row)).lines().last(), Some("and 1 more"));
    assert!(said(one(&json!({"id": "a", "image": "a??"}))).contains("can be resolved"));
}

#[test]
fn a_broken_line_is_set_aside_and_the_rest_comes() {
    let text = "\u{feff}\n{\"id\": \"a\", \"image\": \"a.png\"}\r\n{\"id\": \"b\", \n\n{\"id\": \"c\", \"numbers\": [1]}";
    let (items, ended) = read(text);
    assert_eq!(ids(&items), ["a", "!line 3", "c"]);
    assert_eq!(ended, Ok(()));
    assert_eq!(
        said(items[1].clone()),
        "`line 3`: found text that is not JSON (EOF while parsing a value at column 11), expected one item"
    );
}

#[test]
fn a_list_gives_each_item_as_soon_as_it_is_complete() {
    let (mut stream, mut items) = (ItemStream::new(), Vec::new());
    let mut push = |text: &str| {
        stream.push(text.as_bytes(), &resolve, |item| items.push(item)).unwrap();
        items.len()
    };
    assert_eq!(push(" [ {\"id\": \"}],{\\\"\", \"numbers\": [1"), 0);
    assert_eq!(push("]}"), 1);
    assert_eq!(push(" , {\"id\": 2, \"numb"), 1);
    assert_eq!(push("ers\": [[]]}, 5"), 2);
    assert_eq!(push("]\n"), 3);
    stream.finish(&resolve, |_| panic!("nothing is left")).unwrap();
    assert_eq!(ids(&items), ["}],{\"", "!2", "!item 3"]);
}

#[test]
fn a_broken_list_is_reported_once_and_what_came_before_stands() {
    let first = "[{\"id\": 1, \"numbers\": [1]},\n";
    let broken = |rest: &str| {
        let (items, ended) = read(&format!("{first}{rest}"));
        assert_eq!(ids(&items)[0], "1");
        ended.unwrap_err().to_string()
    };
    for (rest, said) in [
        ("{\"id\": 2, \"numbers\": [1}]", "the list is not JSON at line 2, column 24 (in or after item 2): "),
        (
            "]",
            "the list is not JSON at line 2, column 1 (in or after item 2): an item is missing before this",
        ),
        ("{\"id\": 2", "the list breaks off after item 1: "),
        ("", "the list breaks off after item 1: "),
        ("{\"id\": 2}", "the list breaks off after item 2: "),
        ("{} {}]", "the list is not JSON at line 2, column 4 (in or after item 2): expected , or ]"),
        (
            "{}]x",
            "the list is not JSON at line 2, column 4 (in or after item 2): expected nothing after the list",
        ),
        ("{\"id\":\n 2,,}]", "the list is not JSON at line 3, column 4 (in or after item 2): "),
        ("{id: 2}]", "the list is not JSON at line 2, column 2 (in or after item 2): key must be a string"),
    ] {
        assert!(broken(rest).starts_with(said), "{rest}: {}", broken(rest));
    }
}

#[test]
fn nothing_and_empty_lists_are_no_items_and_no_error() {
    for text in ["", "\u{feff}", " \r\n\n", "[]", "\n[ ]\n"] {
        assert_eq!(read(text), (vec![], Ok(())), "{text:?}");
    }
}

#[test]
fn what_is_no_item_list_at_all_gets_one_clear_error() {
    let error = |bytes: &[u8]| {
        let (items, ended) = read_in([bytes]);
        assert!(items.is_empty(), "{items:?}");
        ended.unwrap_err()
    };
    assert_eq!(error(b"\n<!doctype html>\n<title>404</title>\n"), StreamError::Html);
    assert_eq!(error(b"\xff\xfe[\0]\0"), StreamError::NotUtf8);
    assert_eq!(error(b"{\n  \"items\": [\n    {\"id\": 1}\n  ]\n}\n"), StreamError::OneObject);
}

#[test]
fn no_item_is_held_that_is_longer_than_an_item_can_be() {
    let endless = vec![b'x'; MAX_ITEM_BYTES + 1];
    let line =
        [b"{\"id\": 1, \"numbers\": [1]}\n", &endless[..], b"\n{\"id\": 3, \"numbers\": [1]}"].concat();
    let (items, ended) = read_in(line.chunks(1 << 16));
    assert_eq!((ids(&items), ended), (vec!["1".into(), "!line 2".into(), "3".into()], Ok(())));
    let list = [b"[{\"id\": 1, \"numbers\": [1]}, \"", &endless[..]].concat();
    let (items, ended) = read_in(list.chunks(1 << 16));
    assert_eq!((items.len(), ended), (1, Err(StreamError::TooLong { item: 2 })));
}

#[test]
fn a_hundred_thousand_items_take_less_than_a_second() {
    let item =
        |i: usize| format!("{{\"id\":\"item-{i}\",\"image\":\"pictures/{i}.png\",\"meta\":{{\"n\":{i}}}}}");
    let items: Vec<_> = (0..100_000).map(item).collect();
    for text in [items.join("\n"), format!("[{}]", items.join(","))] {
        let started = std::time::Instant::now();
        let (items, ended) = read_in(text.as_bytes().chunks(1 << 16));
        let took = started.elapsed();
        assert_eq!((items.len(), ended), (100_000, Ok(())));
        assert!(items.iter().all(Result::is_ok));
        // The promise is for code as it is shipped; unoptimised it is let off with ten times that.
        let limit = if cfg!(debug_assertions) { 10_000 } else { 1_000 };
        assert!(took.as_millis() < limit, "{took:?}");
    }
}

fn table(chunks: &[&[u8]], model: &[&str]) -> (Vec<Result<Item, Aside>>, Result<(), TableError>) {
    let model: Vec<_> = model.iter().map(ToString::to_string).collect();
    let (mut stream, mut items) = (TableStream::new("t.csv", &model), Vec::new());
    let mut ended = Ok(());
    for chunk in chunks {
        ended = ended.and(stream.push(chunk, &resolve, |item| items.push(item)));
    }
    let finished = stream.finish(&resolve, |item| items.push(item));
    (items, ended.and(finished))
}

#[test]
fn a_table_of_numbers_is_read_by_the_names_of_its_columns() {
    let text = "\u{feff}wind;id;rain;place\r\n2.5;a;1;\"Kyiv; \"\"Podil\"\"\nleft bank\"\r\n\r\n3;b;x;\n1;2\n4;;5;007\n";
    let (items, ended) = table(&[text.as_bytes()], &["rain", "wind"]);
    assert_eq!(ended, Ok(()));
    assert_eq!(ids(&items), ["a", "!b", "!2", "t.csv:4"]);
    let first = items[0].clone().unwrap();
    assert_eq!(first.content, Content::Numbers([1.0, 2.5].into()));
    assert_eq!(first.meta.at("place"), Some(&Meta::Text("Kyiv; \"Podil\"\nleft bank".into())));
    assert_eq!(said(items[1].clone()), "line 5, column `rain`: found \"x\", expected a number");
    assert_eq!(said(items[2].clone()), "line 6: found 2 columns, expected 4");
    assert_eq!(items[3].clone().unwrap().meta.at("place"), Some(&Meta::Text("007".into())));
}

#[test]
fn a_table_of_pictures_keeps_its_other_columns_as_meta() {
    let (items, ended) = table(&[b"image,year,meta.by\na.png,1999,me\njavascript:x,,\n"], &[]);
    assert_eq!((ids(&items), ended), (vec!["t.csv:1".into(), "!t.csv:2".into()], Ok(())));
    let first = items[0].clone().unwrap();
    assert_eq!(first.content, Content::Image(ImageSource::Url("https://host/data/a.png".into())));
    assert_eq!(
        (first.meta.at("year"), first.meta.at("by")),
        (Some(&Meta::Integer(1999)), Some(&Meta::Text("me".into())))
    );
}

#[test]
fn a_table_that_cannot_be_read_says_what_to_do() {
    let error = |text: &str, model: &[&str]| table(&[text.as_bytes()], model).1.unwrap_err();
    assert_eq!(error("id,rain\n", &["rain", "wind"]), TableError::MissingColumns(vec!["wind".into()]));
    assert_eq!(error("id\n1\n", &[]), TableError::NothingToShow);
    assert_eq!(error("a,b,a\n", &[]), TableError::Twice("a".into()));
    assert_eq!(error("<html>,\n", &[]), TableError::Html);
    assert_eq!(error("a,b\n1,2\n\"3,4\n5,6\n", &[]), TableError::OpenQuote { line: 3 });
    assert_eq!(table(&[b"a,b\n1,2"], &[]).0.len(), 1, "without a model all columns are numbers");
}

/// Documents of both kinds, some right, some broken somewhere, with all that makes cutting hard.
fn documents() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(r#"{"id": "a", "image": "a.png"}"#.to_owned()),
        Just(r#"{"id": 7, "numbers": [1, -2.5e3]}"#.to_owned()),
        Just(r#"{"id": "é😀 \"]}, \\", "image": "ü.png", "meta": {"x": ["[", "\u00e9"]}}"#.to_owned()),
        Just(r#"{"id": "b"}"#.to_owned()),
        Just(r#"{"id": "b", "#.to_owned()),
        Just("5".to_owned()),
        Just("\"x\"".to_owned()),
        Just("[]".to_owned()),
        Just("}".to_owned()),
        Just(String::new()),
    ];
    let ends = prop_oneof![Just("\n"), Just("\r\n"), Just(",\n"), Just(","), Just(" , "), Just("\n\n")];
    let starts = prop_oneof![Just(""), Just("\u{feff}"), Just("["), Just("\u{feff} \n["), Just(" [ ")];
    let last = prop_oneof![Just(""), Just("]"), Just("\n]\n"), Just("\n")];
    (
        starts,
        prop::collection::vec((part, ends.clone()), 0..8),
        any::<bool>(),
        ends,
        last,
        prop::option::of(any::<u8>()),
    )
        .prop_map(|(start, parts, even, end, last, broken)| {
            let parts: Vec<_> =
                parts.iter().map(|(part, own)| (part, if even { end } else { *own })).collect();
            let joined = parts.iter().enumerate().fold(start.to_owned(), |text, (i, (part, end))| {
                text + part + if i + 1 < parts.len() { end } else { "" }
            });
            let mut bytes = (joined + last).into_bytes();
            if let Some(byte) = broken.filter(|_| !bytes.is_empty()) {
                let at = usize::from(byte) * 7 % bytes.len();
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_does_not_matter_where_a_stream_is_cut(bytes in documents(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let bounds: Vec<_> = [0].into_iter().chain(cuts).chain([bytes.len()]).collect();
        let whole = read_in([&bytes[..]]);
        prop_assert_eq!(&whole, &read_in(bounds.windows(2).map(|pair| &bytes[pair[0]..pair[1]])));
        prop_assert_eq!(&whole, &read_in(bytes.chunks(1)));
    }

    #[test]
    fn a_list_and_its_lines_give_the_same_items(count in 0_usize..20) {
        let items: Vec<_> = (0..count).map(|i| json!({"id": i, "numbers": [i]}).to_string()).collect();
        let (list, lines) = (format!("[{}]", items.join(",")), items.join("\n"));
        prop_assert_eq!(read(&list), read(&lines));
    }

    #[test]
    fn it_does_not_matter_where_a_table_is_cut(cut in 0_usize..=46) {
        let text = "id,image\na,\"x \"\"y\"\"\"\r\nb,é.png\n\n\"c\nd\",z.png\n";
        let bytes = text.as_bytes();
        let cut = cut.min(bytes.len());
        prop_assert_eq!(table(&[bytes], &[]), table(&[&bytes[..cut], &bytes[cut..]], &[]));
    }
}
