//! The page writes and reads what it says to its workers field by field, the worker by `serde`: both must
//! mean the same.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, missing_docs)]

use hitl_labeler::page::post::{reply, written};
use hitl_labeler::page::text::ENGLISH;
use hitl_labeler::wire::worker::{
    CHART_WORDS, Chart, Fault, ItemFault, Kernel, Lesson, Loaded, ModelFault, Predicted, Reply, Request,
    Source, StudyRules,
};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn the_worker_reads_every_request_that_the_page_writes() {
    let sources = vec![Source::Url { url: "a.png".into() }, Source::Blob, Source::Pixels, Source::Numbers];
    for request in [
        Request::Load { manifest: "{}".into(), pixel_limit: 64_000_000 },
        Request::Predict { ticket: 7, items: sources, features: true },
        Request::Predict { ticket: u32::MAX, items: Vec::new(), features: false },
        Request::Study(StudyRules {
            labels: 10,
            manifest: "{}".into(),
            temperature: 0.75,
            features: 64,
            memory_mb: 256,
            diverse: true,
        }),
        Request::Take { ticket: 3, items: vec![0, 5, u32::MAX] },
        Request::Answer { item: 5, label: Some(9), hold_out: 2.5, record: "01890a5d".into() },
        Request::Answer { item: 5, label: None, hold_out: 0.0, record: String::new() },
        Request::Labels { count: 11 },
        Request::Learn,
        Request::Export { manifest: "{}".into(), labels: vec!["a".into(), "A".into()] },
        Request::Head,
        Request::Record { line: "{\"id\": 1}".into() },
        Request::Evaluate {
            arrived: 1000,
            waiting: 7,
            target: Some(0.95),
            threshold: Some(0.5),
            charts: true,
            locale: "en".into(),
            words: vec!["Who settled how much".into(); CHART_WORDS],
            labels: Vec::new(),
        },
        Request::Evaluate {
            arrived: 0,
            waiting: 0,
            target: None,
            threshold: None,
            charts: false,
            locale: "ar".into(),
            words: Vec::new(),
            labels: Vec::new(),
        },
    ] {
        let read: Request = serde_wasm_bindgen::from_value(written(&request)).unwrap();
        assert_eq!(read, request);
    }
}

#[wasm_bindgen_test]
fn the_charts_have_a_word_for_everything() {
    assert_eq!(ENGLISH.of_charts().len(), CHART_WORDS);
}

#[wasm_bindgen_test]
fn the_page_reads_every_reply_that_a_worker_writes() {
    let faults = [
        ItemFault::NotFound { status: 404 },
        ItemFault::Unreachable,
        ItemFault::NotAnImage,
        ItemFault::TooManyPixels { width: 60_000, height: 60_000, limit: 64_000_000 },
        ItemFault::WrongColumns { found: 3, expected: 7 },
        ItemFault::NotFinite { column: 2 },
        ItemFault::WrongKind { expected: "pictures".into() },
        ItemFault::Unpredictable { message: "an answer that is not finite".into() },
    ];
    let faults: Vec<_> = (0..).zip(faults).map(|(at, why)| Fault { at, why }).collect();
    let model_fault = |path: Option<String>| ModelFault {
        code: "digest".into(),
        message: "another file".into(),
        path,
        found: "a".into(),
        expected: "b".into(),
    };
    for said in [
        Reply::Ready {
            kernels: vec![Kernel { purpose: "f32 matrix × matrix".into(), name: "wasm_f32_8x8".into() }],
            relaxed: true,
        },
        Reply::Loaded(Loaded { labels: 10, features: 0, ms_parse: 1.5, ms_optimise: 0.0, ms_probe: 3.25 }),
        Reply::Rejected { faults: vec![model_fault(None), model_fault(Some("sha256".into()))] },
        Reply::Predicted(Predicted { ticket: 9, count: 8, faults, ms_decode: 0.5, ms_infer: 12.0 }),
        Reply::Studying,
        Reply::Taken { ticket: 3 },
        Reply::Learned(Box::new(Lesson {
            version: 4,
            trained: 60,
            held_out: 12,
            temperature: 0.5,
            judged: true,
            kept: Some(32),
            worse_by: [0.25, 0.125],
            log_loss: Some([0.5, 0.25]),
            calibration_error: Some([0.0625, 0.03125]),
            ms: [12.5, 3.0],
            slips: vec![3.0, 1.0, 2.0, 0.125, 0.875],
            lacks: vec![7],
            spread: vec![1, 2],
        })),
        Reply::Learned(Box::default()),
        Reply::Evaluated {
            figures: "{}".into(),
            charts: vec![Chart { name: "settled".into(), svg: "<svg/>".into(), ..Chart::default() }],
        },
        Reply::Exported { manifest: "{}".into() },
        Reply::NotExported { why: "a graph without a place for it".into() },
        Reply::Head { answers: 60, temperature: 0.5, scaling: true },
        Reply::Fatal { message: "out of memory".into() },
    ] {
        assert_eq!(reply(&serde_wasm_bindgen::to_value(&said).unwrap()), Some(said));
    }
}

#[wasm_bindgen_test]
fn what_is_no_reply_is_none() {
    for head in [serde_json::json!({}), serde_json::json!({"type": "loaded"}), serde_json::json!(7)] {
        let head = js_sys::JSON::parse(&head.to_string()).unwrap();
        assert_eq!(reply(&head), None);
    }
}
