//! The rules of the house that the compiler does not enforce; `docs/ARCHITECTURE.md` says why they are there.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `src`, by its path from there.
fn sources() -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 20, "the sources are there");
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(named).collect()
}

/// Lines of code (no comments) in files that `file` chooses and that hold what `line` finds.
fn offences(file: impl Fn(&str) -> bool, line: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| file(name)) {
        for (number, code) in text.lines().enumerate() {
            if !code.trim_start().starts_with("//") && line(code) {
                found.push(format!("src/{name}:{}: {}", number + 1, code.trim()));
            }
        }
    }
    found
}

#[track_caller]
fn none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}:\n{}", offences.join("\n"));
}

fn under(name: &str, module: &str) -> bool {
    name == format!("{module}.rs") || name.starts_with(&format!("{module}/"))
}

#[test]
fn the_view_names_only_the_domain_the_desk_keys_and_words() {
    const MAY: &[&str] = &["desk", "keys", "text", "ui"];
    let foreign = |code: &str| {
        let of_page = |path: &str| {
            code.match_indices(path).any(|(at, _)| {
                let rest = &code[at + path.len()..];
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                !MAY.contains(&name.as_str())
            })
        };
        let layers = ["wire", "input", "infer", "worker", "collector", "reader"];
        of_page("crate::page::") || layers.iter().any(|layer| code.contains(&format!("crate::{layer}")))
    };
    none(
        &offences(|name| under(name, "page/ui"), foreign),
        "src/page/ui reads the desk and gives it deeds, nothing else",
    );
    let parts = ["driver", "store", "backend", "workers"];
    let climbs = |code: &str| parts.iter().any(|part| code.contains(&format!("super::{part}")));
    none(
        &offences(|name| under(name, "page/ui"), climbs),
        "src/page/ui does not climb to the page's machinery",
    );
}

#[test]
fn only_the_page_the_worker_and_the_binaries_touch_the_browser() {
    let may = |name: &str| ["page", "worker", "bin"].iter().any(|module| under(name, module));
    let touches =
        |code: &str| ["web_sys", "js_sys", "wasm_bindgen", "gloo"].iter().any(|name| code.contains(name));
    none(&offences(|name| !may(name), touches), "no browser outside page, worker and bin");
}

#[test]
fn text_never_becomes_markup() {
    let markup = ["inner_html", "set_outer_html", "insert_adjacent_html", "document.write", "innerHTML"];
    none(
        &offences(|_| true, |code| markup.iter().any(|way| code.contains(way))),
        "no way from text to markup",
    );
}

#[test]
fn the_domain_knows_no_format_no_clock_and_no_chance() {
    let foreign = [
        "serde",
        "SystemTime",
        "Instant::now",
        "use rand",
        "new_v7",
        "new_v4",
        "now_v7",
        "crate::wire",
        "crate::input",
        "crate::reader",
        "crate::page",
    ];
    let names = |code: &str| foreign.iter().any(|name| code.contains(name));
    none(&offences(|name| under(name, "domain"), names), "the domain is pure");
}

#[test]
fn only_the_binaries_export_to_javascript() {
    let exports = |code: &str| {
        let code = code.trim_start();
        code.starts_with("#[wasm_bindgen") && !code.contains("module") && !code.contains("extends")
    };
    // An import block (`extern "C"`) bears the same attribute and is no export.
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !under(name, "bin")) {
        let lines: Vec<_> = text.lines().collect();
        for (number, code) in lines.iter().enumerate().filter(|(_, code)| exports(code)) {
            let next = lines[number + 1..].iter().find(|line| !line.trim_start().starts_with('#')).copied();
            let inside_import = code.starts_with(' ');
            if !inside_import && !next.unwrap_or_default().contains("extern \"C\"") {
                found.push(format!("src/{name}:{}: {code}", number + 1));
            }
        }
    }
    none(&found, "#[wasm_bindgen] exports live in src/bin");
}

#[test]
fn nothing_is_leaked_to_keep_it_alive() {
    let leaks =
        |code: &str| code.contains(".forget()") || code.contains("mem::forget") || code.contains("Box::leak");
    // A worker listens for as long as it lives; its end is that of its whole memory.
    let lends = |name: &str| !under(name, "bin") && name != "worker/mod.rs";
    none(&offences(lends, leaks), "an element that is removed gives everything back");
}

/// Every `hitl-…` event that stands in quotes in a text.
fn events(text: &str) -> std::collections::BTreeSet<String> {
    let quoted = text.split('"').filter(|word| word.starts_with("hitl-") && !word.contains(['/', ' ', ':']));
    quoted.filter(|word| *word != "hitl-labeler").map(str::to_owned).collect()
}

#[test]
fn every_event_that_is_told_is_in_the_public_face_and_none_besides() {
    let of_page = sources().into_iter().filter(|(name, _)| under(name, "page"));
    let told = events(&of_page.map(|(_, text)| text).collect::<String>());
    let face = events(&fs::read_to_string(root().join("www/element.d.ts")).unwrap());
    assert!(told.len() >= 10, "{told:?}");
    assert_eq!(told, face);
}

#[test]
fn the_record_has_the_same_fields_in_its_schema_and_in_its_type() {
    let schema = fs::read_to_string(root().join("www/schema/record.v1.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let of_schema: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let face = fs::read_to_string(root().join("www/record.d.ts")).unwrap();
    let outer = face
        .lines()
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with([' ', '}', '/'])));
    let mut of_type: Vec<_> = outer.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect();
    of_type.sort();
    let mut of_schema = of_schema;
    of_schema.sort();
    assert_eq!(of_type, of_schema);
}

/// Names of all packages that a browser build with this feature links.
fn tree(feature: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let arguments =
        ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--target", "wasm32-unknown-unknown", "--no-default-features", "--features", feature])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn tract_is_not_in_the_page_and_leptos_not_in_the_worker() {
    let (page, worker) = (tree("page"), tree("worker"));
    let has = |tree: &[String], start: &str| tree.iter().any(|name| name.starts_with(start));
    assert!(has(&page, "leptos") && !has(&page, "tract"), "the page's Wasm: {page:?}");
    assert!(has(&worker, "tract-onnx") && !has(&worker, "leptos"), "the worker's Wasm: {worker:?}");
}
