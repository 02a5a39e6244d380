//! The drawings of the panel: what they show, what they say to who does not see them, and that they are files
//! that other programs read.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use hitl_labeler::domain::chart::{
    Anchor, Drawing, Mark, WIDTH, Words, confusion, reliability, risk_coverage, settled, to_svg, workload,
};
use hitl_labeler::domain::evaluation::{
    AtThreshold, Bin, Confusion, Evaluation, Now, Settled, Stretch, Tally,
};
use hitl_labeler::domain::ident::{Chance, Timestamp};
use hitl_labeler::wire::figures::{Chart, csv};

const NASTY: &str = "=<script>&\"'\u{1}";

fn number(n: f64) -> String {
    n.to_string()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn words<'a>(title: &'a str, across: &'a str, up: &'a str, series: [&'a str; 2], mark: &'a str) -> Words<'a> {
    Words { title, across, up, series, mark, other: "others", number: &number, percent: &percent }
}

/// A visit of some length, with labels that nobody should trust.
fn figures(answers: usize) -> Evaluation {
    let mut chance = Chance::new([5, 7]);
    let mut figures = Evaluation::of([], Now { arrived: 2000, waiting: 300 });
    let (mut seconds, mut by_model) = (0.0, 40);
    for answered in 0..=answers {
        figures.settled.push(Settled {
            seconds,
            at: Timestamp(1_767_225_600_000 + 1000 * i64::try_from(answered).unwrap()),
            by_model,
            answered,
        });
        seconds += 1.0 + 4.0 * chance.unit();
        by_model += if answered % 16 == 15 { answered } else { 1 };
    }
    for part in 0..12 {
        let (from, to) = (figures.settled[answers * part / 12], figures.settled[answers * (part + 1) / 12]);
        figures.stretches.push(Stretch {
            answers: to.answered,
            settled: to.by_model + to.answered - from.by_model - from.answered,
            seconds: to.seconds - from.seconds,
        });
    }
    let (mut right, mut n) = (0, 0);
    for i in 0..150_u16 {
        n += 1;
        right += usize::from(chance.unit() < 1.0 - 0.3 * (f64::from(i) / 150.0).powi(3));
        figures.risk_coverage.push(AtThreshold {
            confidence: 1.0 - f32::from(i) / 200.0,
            coverage: f64::from(i + 1) / 150.0,
            accuracy: right as f64 / n as f64,
        });
    }
    for (at, (raw, calibrated)) in
        figures.raw.bins.iter_mut().zip(&mut figures.calibrated.bins).enumerate().skip(4)
    {
        let middle = (at as f64 + 0.5) / 15.0;
        let n = 3 + at * at;
        let bin =
            |share: f64| Bin { tally: Tally { n, right: (share * n as f64) as usize }, confidence: middle };
        (*raw, *calibrated) = (bin(middle * middle), bin(middle + 0.02));
    }
    let mut names =
        vec!["T-shirt/top", "Trouser", "Pullover", "Ein Kleid mit langem Namen", "Coat", "Sandal"];
    names.extend(["Shirt", "Sneaker", "Bag", "Ankle boot", "ندى", NASTY]);
    figures.confusion = Confusion {
        labels: names.into_iter().map(Into::into).collect(),
        other: true,
        ..Confusion::default()
    };
    for row in 0..13_usize {
        for column in 0..13_usize {
            let near = row.abs_diff(column);
            figures.confusion.counts.push(match near {
                0 => 1300 / (row + 1) + 3,
                1 => 7,
                4 => 1,
                _ => 0,
            });
        }
    }
    figures
}

fn drawings(figures: &Evaluation) -> Vec<(&'static str, Drawing)> {
    let time = words(
        "Settled over time",
        "minutes of your time",
        "items settled",
        ["settled by the model", "settled by you"],
        "",
    );
    let risk = words(
        "What a threshold would give",
        "share that the model settles",
        "of it right",
        ["as checked blind", "in force now"],
        "promised",
    );
    let trust = words(
        "Does the confidence mean what it says?",
        "confidence",
        "of it right",
        ["before calibration", "after calibration"],
        "exact",
    );
    let matrix = words("Model against person", "the person said", "the model said", ["", ""], "");
    let pace = words("Items settled a minute", "answers", "items for a minute of your time", ["", ""], "");
    vec![
        ("settled", settled(figures, &time)),
        ("risk-coverage", risk_coverage(figures, Some(0.95), Some(0.6), &risk)),
        ("reliability", reliability(figures, &trust)),
        ("confusion", confusion(figures, &matrix)),
        ("workload", workload(figures, &pace)),
    ]
}

/// Reads XML as strictly as these files need: nesting, attributes, entities and forbidden characters.
/// Gives the texts between tags.
fn texts(xml: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), xml.trim_end());
    let plain = |text: &str| {
        assert!(!text.contains(['<', '>']), "{text}");
        assert!(text.chars().all(|c| c >= ' '), "{text:?}");
        for entity in text.split('&').skip(1) {
            let name = entity.split_once(';').expect(text).0;
            assert!(["amp", "lt", "gt", "quot"].contains(&name), "&{name};");
        }
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    };
    loop {
        let (text, after) = rest.split_once('<').unwrap_or((rest, ""));
        assert!(text.is_empty() || !open.is_empty(), "{text} outside of the root");
        if !text.is_empty() {
            texts.push(plain(text));
        }
        let Some((tag, after)) = after.split_once('>') else { break };
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let closed = tag.ends_with('/');
        let (name, mut attributes) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag, ""));
        let mut seen = Vec::new();
        while let Some((attribute, after)) = attributes.split_once("=\"") {
            let (value, after) = after.split_once('"').expect(tag);
            assert!(!seen.contains(&attribute.trim()), "{attribute} twice");
            seen.push(attribute.trim());
            plain(value);
            attributes = after;
        }
        assert_eq!(attributes, "", "{tag}");
        if !closed {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
    texts
}

#[test]
fn a_drawing_is_a_file_that_programs_read() {
    for (name, drawing) in drawings(&figures(200)) {
        let svg = to_svg(&drawing);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{name}");
        let texts = texts(&svg);
        assert_eq!(
            (&texts[0], &texts[1]),
            (&drawing.title, &drawing.description.replace('\u{1}', "\u{fffd}"))
        );
        assert!(texts[2].contains("prefers-color-scheme:dark"));
        assert!(svg.len() < 40_000, "{name}: {} bytes", svg.len());
    }
}

#[test]
fn a_label_never_becomes_markup() {
    let (_, matrix) = drawings(&figures(200)).swap_remove(3);
    let svg = to_svg(&matrix);
    assert!(!svg.contains("<script") && svg.contains("=&lt;script&gt;&amp;&quot;'\u{fffd}"));
    // In the matrix as far as there is room, in the description to the end.
    let texts = texts(&svg);
    assert!(texts.iter().any(|text| text == "=<script>&\"…"));
    assert!(texts[1].contains("=<script>&\"'\u{fffd} → "));
}

#[test]
fn every_mark_lies_in_the_box_and_every_class_has_a_look() {
    for (name, drawing) in drawings(&figures(200)).into_iter().chain(drawings(&figures(12))) {
        assert_eq!(drawing.width, WIDTH);
        let sheet = to_svg(&drawing);
        let sheet = &sheet[sheet.find("<style>").unwrap()..sheet.find("</style>").unwrap()];
        for mark in &drawing.marks {
            let (class, corners) = match mark {
                Mark::Path { d, class } => {
                    let numbers: Vec<f64> = d.split(['M', 'L', ' ']).filter_map(|n| n.parse().ok()).collect();
                    (class, numbers.chunks(2).map(|xy| (xy[0], xy[1])).collect())
                }
                Mark::Rect { x, y, width, height, class, .. } => {
                    (class, vec![(*x, *y), (x + width, y + height)])
                }
                Mark::Circle { x, y, r, class } => (class, vec![(x - r, y - r), (x + r, y + r)]),
                Mark::Text { x, y, class, .. } => (class, vec![(*x, *y)]),
            };
            for (x, y) in corners {
                assert!(
                    (0.0..=WIDTH).contains(&x) && (0.0..=drawing.height).contains(&y),
                    "{name}: {mark:?}"
                );
            }
            for class in class.split(' ').filter(|class| *class != "chart-text") {
                assert!(sheet.contains(&format!(".{class}")), "{class} has no look");
            }
        }
    }
}

/// Three digits in thirteen columns, and more in fewer: no number reaches over its cell's edge.
#[test]
fn numbers_stay_within_their_cells() {
    for (labels, n) in [(12, 999), (12, 123_456), (9, 999), (9, 654_321), (2, 100)] {
        let mut figures = figures(16);
        figures.confusion.labels.truncate(labels);
        figures.confusion.counts = vec![n; figures.confusion.side().pow(2)];
        let drawing = confusion(&figures, &words("", "", "", ["", ""], ""));
        let cell = drawing.marks.iter().find_map(|mark| match mark {
            Mark::Rect { width, .. } => Some(*width),
            _ => None,
        });
        for mark in &drawing.marks {
            let Mark::Text { text, class, anchor: Anchor::Middle, .. } = mark else { continue };
            let size = match class.split_once(' ') {
                Some((_, "chart-small")) => 9.0,
                Some((_, "chart-tiny")) => 7.0,
                _ => 11.0,
            };
            // Tabular digits of the usual fonts: 0.55 to 0.57 of the size; a k is narrower.
            let wide = text.len() as f64 * size * 0.57;
            assert!(wide < cell.unwrap(), "{text} is {wide} wide in {cell:?}, {labels} labels");
        }
    }
}

#[test]
fn who_does_not_see_it_hears_the_numbers() {
    let said: Vec<String> =
        drawings(&figures(16)).into_iter().map(|(_, drawing)| drawing.description).collect();
    assert!(
        said[0].contains("settled by the model: 70; settled by you: 16; minutes of your time: 0."),
        "{}",
        said[0]
    );
    assert!(
        said[1].contains("promised: 95 %")
            && said[1].contains("in force now: share that the model settles 54 %")
    );
    assert!(said[2].contains("before calibration: 30 % → 5 % (19); "), "{}", said[2]);
    assert!(said[3].contains("Trouser → Pullover: 7; ") && said[3].contains("others → others: 103; "));
    assert!(said[4].contains("answers 16: "), "{}", said[4]);
}

#[test]
fn nothing_to_show_is_shown_without_a_fault() {
    let nothing = Evaluation::of([], Now::default());
    for (name, drawing) in drawings(&nothing) {
        let svg = to_svg(&drawing);
        texts(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        assert!(drawing.height < 400.0, "{name}");
    }
}

#[test]
fn tables_are_quoted_and_no_label_becomes_a_formula() {
    let figures = figures(200);
    let read = |chart| {
        let text = csv(chart, &figures);
        let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        (header, rows)
    };
    let (header, rows) = read(Chart::Confusion);
    assert_eq!((header, rows.len()), (vec!["model".to_owned(), "person".into(), "count".into()], 13 * 13));
    assert_eq!(rows[11 * 13 + 11], [format!("'{NASTY}"), format!("'{NASTY}"), "111".into()]);
    assert_eq!(rows[13 * 13 - 1], ["", "", "103"]);
    let (_, rows) = read(Chart::Settled);
    assert_eq!(rows[0], ["0", "2026-01-01T00:00:00.000Z", "40", "0"]);
    assert_eq!(rows.len(), figures.settled.len());
    assert_eq!(read(Chart::RiskCoverage).1.len(), 150);
    let (_, rows) = read(Chart::Reliability);
    assert_eq!((rows.len(), &rows[0]), (30, &["false", "1", "0", "0", "", ""].map(str::to_owned).to_vec()));
    assert_eq!(read(Chart::Workload).1.len(), 12);
    assert_eq!(Chart::WORDS.len(), 5);
}

/// `cargo test --test chart -- --ignored` writes them to the target directory's `tmp`.
#[test]
#[ignore = "writes the drawings, for a person to look at"]
fn drawings_to_look_at() {
    let to = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (name, drawing) in drawings(&figures(200)) {
        std::fs::write(to.join(format!("{name}.svg")), to_svg(&drawing)).unwrap();
    }
}
