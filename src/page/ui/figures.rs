//! Numbers as the language of the table writes them, by the browser's own `Intl`.

use std::cell::RefCell;

use js_sys::{Array, Function, Intl, Object, Reflect};
use wasm_bindgen::JsValue;

use crate::page::text::{Words, fill, upper};

/// How a number is written.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Count,
    Value,
    Percent { digits: u32 },
    Megabytes { digits: u32 },
}

thread_local! {
    /// Making a format takes the browser a good part of a millisecond, and each key press shows several numbers.
    static FORMATS: RefCell<Vec<(Form, &'static str, Function)>> = const { RefCell::new(Vec::new()) };
}

fn written(number: f64, words: &Words, form: Form) -> String {
    let known = FORMATS.with_borrow(|formats| {
        let same = formats.iter().find(|(own, locale, _)| *own == form && *locale == words.locale);
        same.map(|(_, _, format)| format.clone())
    });
    let format = known.unwrap_or_else(|| {
        let format = format(form, words.locale);
        FORMATS.with_borrow_mut(|formats| formats.push((form, words.locale, format.clone())));
        format
    });
    let text = format.call1(&JsValue::UNDEFINED, &number.into());
    text.ok().and_then(|text| text.as_string()).unwrap_or_default()
}

fn format(form: Form, locale: &str) -> Function {
    let settings = Object::new();
    let set = |name: &str, value: JsValue| {
        // Setting a field of a fresh object cannot fail.
        let _ = Reflect::set(&settings, &name.into(), &value);
    };
    match form {
        Form::Count => set("maximumFractionDigits", 0.into()),
        // The digits that an f32 can hold.
        Form::Value => set("maximumSignificantDigits", 7.into()),
        Form::Percent { digits } => {
            set("style", "percent".into());
            set("maximumFractionDigits", digits.into());
        }
        Form::Megabytes { digits } => {
            set("style", "unit".into());
            set("unit", "megabyte".into());
            set("maximumFractionDigits", digits.into());
        }
    }
    Intl::NumberFormat::new(&Array::of1(&locale.into()), &settings).format()
}

/// A count: `1,000`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn count(n: usize, words: &Words) -> String {
    written(n as f64, words, Form::Count)
}

/// A value of a table, with the seven digits that an f32 can hold.
pub(crate) fn number(n: f32, words: &Words) -> String {
    written(f64::from(n), words, Form::Value)
}

/// A probability in per cent, rounded down: 89.7 % must not read as the 90 % that was asked for, nor 99.96 % as certainty.
pub(crate) fn percent(p: f64, words: &Words) -> String {
    let near_certain = (0.99..1.0).contains(&p);
    let steps = if near_certain { 1000.0 } else { 100.0 };
    // An f32 of 0.9 is a little less than 0.9.
    let shown = (p * steps + 1e-3).floor() / steps;
    written(shown, words, Form::Percent { digits: near_certain.into() })
}

/// A length of data: `1.9 MB`.
pub(crate) fn megabytes(bytes: f64, words: &Words) -> String {
    let mb = bytes / 1e6;
    written(mb, words, Form::Megabytes { digits: u32::from(mb < 100.0) })
}

/// A length of time, roughly: seconds, minutes, or hours and tens of minutes.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn duration(seconds: f64, words: &Words) -> String {
    let say = |form, n: usize| words.counted(form, n, &count(n, words));
    let minutes = (seconds / 60.0).round() as usize;
    match minutes {
        0 => say(words.seconds, (((seconds / 10.0).ceil() * 10.0) as usize).max(10)),
        1..90 => say(words.minutes, minutes),
        _ => say(words.hours, (minutes + 30) / 60),
    }
}

/// `14 a minute, about 18 minutes left`; nothing before the first answer.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
pub(crate) fn pace(seconds_per_answer: Option<f64>, waiting: usize, words: &Words) -> String {
    let Some(each) = seconds_per_answer.filter(|seconds| *seconds > 0.0) else { return String::new() };
    let a_minute = count((60.0 / each).round().max(1.0) as usize, words);
    let left = (waiting > 0).then(|| duration(each * waiting as f64, words));
    let template = if left.is_some() { words.pace_left } else { words.pace };
    fill(template, &[("n", &a_minute), ("time", left.as_deref().unwrap_or_default())])
}

/// What stands on a key: letters as on the keyboard, the others by their sign.
pub(crate) fn cap(key: &str, words: &Words) -> String {
    match key {
        " " => words.key_space.to_owned(),
        "Enter" => "\u{21b5}".to_owned(),
        "Backspace" => "\u{232b}".to_owned(),
        "Escape" => "Esc".to_owned(),
        "ArrowLeft" => "\u{2190}".to_owned(),
        "ArrowUp" => "\u{2191}".to_owned(),
        "ArrowRight" => "\u{2192}".to_owned(),
        "ArrowDown" => "\u{2193}".to_owned(),
        _ => upper(key),
    }
}
