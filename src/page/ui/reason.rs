//! Why the person is asked, in plain words; nothing here gives away what the model thinks.

use crate::domain::item::AsideReason;
use crate::domain::label::LabelSet;
use crate::domain::session::{Question, Why};
use crate::page::text::{Words, fill};

use super::figures::{count, percent};

/// The sentence below the question.
pub(crate) fn reason(question: &Question, labels: &LabelSet, words: &Words) -> String {
    match &question.why {
        Why::NoModel => words.doubt_no_model.to_owned(),
        Why::Unpredictable(why) => fill(words.doubt_failed, &[("why", why)]),
        Why::NotSure { confidence, threshold } => {
            let (p, limit) = (f64::from(confidence.get()), f64::from(*threshold));
            fill(words.doubt_low, &[("p", &percent(p, words)), ("limit", &percent(limit, words))])
        }
        Why::Rule(rules) => fill(words.doubt_rule, &[("rule", rules.first().map_or("", String::as_str))]),
        Why::SecondLook => words.doubt_second_look.to_owned(),
        Why::NotSureOrCheck => words.doubt_or_check.to_owned(),
        Why::SetAside(reason) => fill(words.doubt_aside, &[("why", &aside(reason, words))]),
        Why::Review => review(question, labels, words),
    }
}

fn review(question: &Question, labels: &LabelSet, words: &Words) -> String {
    let name = question.present.and_then(|id| labels.get(id)).map_or("", |label| &*label.name);
    match &question.suggestion {
        Some(said) if question.present == Some(said.label()) => {
            let p = percent(f64::from(said.confidence.get()), words);
            fill(words.review_accepted, &[("label", name), ("p", &p)])
        }
        _ => fill(words.review_answered, &[("label", name)]),
    }
}

/// Why an item was set aside.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn aside(reason: &AsideReason, words: &Words) -> String {
    let figure = |n: usize| count(n, words);
    match reason {
        AsideReason::DuplicateId => words.duplicate_id.to_owned(),
        AsideReason::Malformed(problem) => problem.clone(),
        AsideReason::NotFound(status) => fill(words.not_found, &[("status", &figure(usize::from(*status)))]),
        AsideReason::Unreachable => words.unreachable.to_owned(),
        AsideReason::NotAnImage => words.not_an_image.to_owned(),
        AsideReason::NotShown => words.picture_gone.to_owned(),
        AsideReason::TooManyPixels { width, height, limit } => fill(
            words.too_many_pixels,
            &[
                ("width", &figure(*width as usize)),
                ("height", &figure(*height as usize)),
                ("limit", &figure(*limit as usize)),
            ],
        ),
        AsideReason::WrongColumns { found, expected } => {
            fill(words.wrong_columns, &[("found", &figure(*found)), ("expected", &figure(*expected))])
        }
        AsideReason::NotFinite(column) => fill(words.not_finite, &[("n", &figure(column + 1))]),
        AsideReason::WrongKind { expected } => fill(words.wrong_kind, &[("expected", expected)]),
    }
}
