//! How the cycle goes: what the model has learned, how good it is, how that is known, and how to take it home.

use std::sync::Arc;

use leptos::prelude::*;

use crate::domain::correction::{PredictionShown, Role};
use crate::domain::decimal::shortest;
use crate::domain::item::ItemKey;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::learning::learner::{Gate, Lesson};
use crate::domain::progress::Progress;
use crate::domain::promise::{Looks, Verdict};
use crate::domain::session::PromiseView;
use crate::page::desk::{ChartView, Download, Figures, SlipView};
use crate::page::text::{Words, fill};

use super::figures::{count, number, percent};
use super::lean::{clicked, derived, lazy};

/// Answers kept from training before an average over them says something of the calibration.
const ENOUGH: usize = 30;

/// The pane.
#[component]
pub fn Cycle(
    words: &'static Words,
    #[prop(into)] labels: Signal<LabelSet>,
    #[prop(into)] counts: Signal<Progress>,
    #[prop(into)] figures: Signal<Figures>,
    #[prop(into)] charts: Signal<Vec<ChartView>>,
    #[prop(into)] slips: Signal<Vec<SlipView>>,
    #[prop(into)] lesson: Signal<Option<Lesson>>,
    #[prop(into)] promise: Signal<Option<PromiseView>>,
    /// Whether answers make the model better.
    #[prop(into)]
    learns: Signal<bool>,
    on_open: Callback<ItemKey>,
    /// Saves a file of this name and text.
    on_save: Callback<(String, String)>,
    on_download: Callback<Download>,
) -> AnyView {
    let learned = move || match (learns.get(), lesson.get()) {
        (false, _) => Vec::new(),
        (true, None) => vec![words.nothing_learned.to_owned()],
        (true, Some(lesson)) => learned(&lesson, words),
    };
    let lines =
        move || learned().into_iter().map(|line| view! { <p>{line}</p> }.into_any()).collect::<Vec<_>>();
    let rows = move || {
        let name =
            |id: LabelId| labels.with(|l| l.get(id).map_or_else(|| "".into(), |label| label.name.clone()));
        let row = |slip: SlipView| {
            let said =
                fill(words.slip, &[("given", &name(slip.given)), ("suggested", &name(slip.suggested))]);
            let key = slip.key;
            view! {
                <li><button type="button" class="slip" on:click=clicked(move |_| on_open.run(key))><bdi>{slip.item}</bdi><span>{said}</span></button></li>
            }
            .into_any()
        };
        slips.get().into_iter().map(row).collect::<Vec<_>>()
    };
    let no_slips = move || slips.with(Vec::is_empty);
    let drawn =
        move || charts.get().into_iter().map(|drawn| chart(drawn, words, on_save)).collect::<Vec<_>>();
    let take = move |what: Download, word: &'static str| {
        view! { <button type="button" class="button" on:click=clicked(move |_| on_download.run(what))>{word}</button> }.into_any()
    };
    view! {
        <section class="pane pane--cycle" aria-labelledby="cycle-name">
            <div class="pane__head"><div><h2 id="cycle-name" tabindex="-1">{words.cycle}</h2><p>{words.cycle_hint}</p></div></div>
            <div class="pane__scroll cycle">
                {lazy(move || promise.get().map(|p| promised(&p, labels.with(|labels| groups(&p, labels, words)), words)))}
                <dl class="facts">{lazy(move || figures.with(|figures| facts(figures, counts.get(), words)))}</dl>
                <div class="cycle__said" hidden=derived(move || !learns.get())>{lazy(lines)}</div>
                <div class="slips" hidden=derived(no_slips)><h3>{words.slips}</h3><p>{words.slips_hint}</p><ul>{lazy(rows)}</ul></div>
                <div class="charts">{lazy(drawn)}</div>
                <div class="agreement" hidden=derived(move || figures.with(|f| f.agreement.is_empty()))>
                    <h3>{words.agreement}</h3><ul>{lazy(move || figures.with(|figures| agreement(figures, words)))}</ul>
                </div>
                <div class="take" hidden=derived(move || !learns.get())>
                    <h3>{words.take_home}</h3><p>{words.take_home_hint}</p>
                    <div class="buttons">
                        {take(Download::Model, words.download_model)}{take(Download::Manifest, words.download_manifest)}{take(Download::Head, words.download_head)}
                    </div>
                </div>
            </div>
        </section>
    }
    .into_any()
}

/// The promise in a few words, for the line that is always there.
pub(crate) fn promise_short(promise: &PromiseView, words: &Words) -> String {
    let target = percent(promise.target.accuracy, words);
    let (template, needed) = match promise.verdict {
        Verdict::Earned { .. } => (words.promise_short_earned, 0),
        Verdict::NotYet { needed, .. } if promise.lost => (words.promise_short_broken, needed),
        Verdict::NotYet { needed, .. } => (words.promise_short, needed),
    };
    fill(template, &[("target", &target), ("needed", &count(needed, words))])
}

/// Where the promise of each label stands, if labels have their own; nothing while all are judged together.
fn groups(promise: &PromiseView, labels: &LabelSet, words: &Words) -> Vec<AnyView> {
    if promise.groups.len() < 2 {
        return Vec::new();
    }
    let line = |(label, verdict): &(Option<LabelId>, Verdict)| {
        let name = match label {
            Some(id) => labels.get(*id).map_or_else(|| "".into(), |label| label.name.clone()),
            None => words.promise_others.into(),
        };
        let (template, audits, errors, last) = match *verdict {
            Verdict::Earned { threshold, audits, errors, .. } => {
                let threshold = percent(f64::from(threshold), words);
                (words.promise_group_earned, audits, errors, ("threshold", threshold))
            }
            Verdict::NotYet { audits, errors, needed } => {
                (words.promise_group_not_yet, audits, errors, ("needed", count(needed, words)))
            }
        };
        let (errors, n) = (count(errors, words), count(audits, words));
        let gaps = [("label", &*name), ("errors", &errors), ("n", &n), (last.0, &last.1)];
        view! { <li>{fill(template, &gaps)}</li> }.into_any()
    };
    promise.groups.iter().map(line).collect()
}

fn promised(promise: &PromiseView, groups: Vec<AnyView>, words: &Words) -> AnyView {
    let target = percent(promise.target.accuracy, words);
    let confidence = percent(promise.target.confidence, words);
    let is = if promise.looks == Looks::Any { words.promise_is_always } else { words.promise_is };
    let said = fill(is, &[("target", &target), ("confidence", &confidence)]);
    let stands = match promise.verdict {
        Verdict::Earned { threshold, audits, errors, bound } => fill(
            words.promise_earned,
            &[
                ("errors", &count(errors, words)),
                ("n", &count(audits, words)),
                ("bound", &percent(bound, words)),
                ("threshold", &percent(f64::from(threshold), words)),
            ],
        ),
        Verdict::NotYet { audits, errors, needed } => fill(
            words.promise_not_yet,
            &[
                ("errors", &count(errors, words)),
                ("n", &count(audits, words)),
                ("needed", &count(needed, words)),
            ],
        ),
    };
    let width = shortest(promise.share() * 100.0) + "%";
    let broken =
        promise.lost.then(|| view! { <p class="promise__broken">{words.promise_broken}</p> }.into_any());
    view! {
        <div class="promise" class:promise--earned=promise.is_earned()>
            <h3>{words.promise}</h3><p>{said}</p>
            <i class="gauge" aria-hidden="true"><i style:inline-size=width></i></i>
            <p>{stands}</p>{broken}
            {(!groups.is_empty()).then(|| view! { <ul class="promise__groups">{groups}</ul> }.into_any())}
        </div>
    }
    .into_any()
}

/// What came of learning, a sentence each.
fn learned(lesson: &Lesson, words: &Words) -> Vec<String> {
    #[allow(clippy::cast_possible_truncation)]
    let figure = |n: f64| number((n as f32 * 100.0).round() / 100.0, words);
    let mut said = vec![fill(words.learned, &[("n", &count(lesson.trained, words))])];
    match lesson.log_loss {
        Some((before, after)) if lesson.gate != Gate::NoEvidence => said.push(fill(
            words.learned_checked,
            &[
                ("held", &count(lesson.held_out, words)),
                ("before", &figure(before)),
                ("after", &figure(after)),
            ],
        )),
        _ => said.push(words.learned_unchecked.to_owned()),
    }
    if let Gate::Kept { answers, .. } = lesson.gate {
        said.push(fill(words.learned_kept, &[("answers", &count(answers, words))]));
    }
    if let Some((before, after)) = lesson.calibration_error.filter(|_| lesson.held_out >= ENOUGH) {
        said.push(fill(
            words.calibrated,
            &[("before", &percent(before, words)), ("after", &percent(after, words))],
        ));
    }
    said
}

/// The figures at a glance.
fn facts(figures: &Figures, counts: Progress, words: &Words) -> Vec<AnyView> {
    let dash = || "\u{2013}".to_owned();
    #[allow(clippy::cast_possible_truncation)]
    let round = |n: f64| number((n as f32 * 10.0).round() / 10.0, words);
    let share = counts.share_by_model().map_or_else(dash, |p| percent(p, words));
    let rate = figures.per_minute.map_or_else(dash, round);
    let seconds = figures.seconds_per_answer.map_or_else(dash, round);
    let (low, high) = figures.interval;
    let known = match figures.accuracy {
        Some(_) => fill(
            words.figure_interval,
            &[
                ("low", &percent(low, words)),
                ("high", &percent(high, words)),
                ("n", &count(figures.checked, words)),
            ],
        ),
        None => words.figure_right_none.to_owned(),
    };
    let right = figures.accuracy.map_or_else(dash, |p| percent(p, words));
    [
        (share, words.figure_share, String::new()),
        (right, words.figure_right, known),
        (rate, words.figure_rate, String::new()),
        (seconds, words.figure_seconds, String::new()),
    ]
    .into_iter()
    .map(|(figure, name, more)| {
        view! { <div><dt>{name}</dt><dd>{figure}</dd><dd class="facts__more">{more}</dd></div> }.into_any()
    })
    .collect()
}

fn agreement(figures: &Figures, words: &Words) -> Vec<AnyView> {
    let line = |&(asked, seen, n, agreed): &(Role, PredictionShown, usize, usize)| {
        let gaps = [("role", role(asked, words)), ("shown", shown(seen, words))];
        let (n, agreed) = (count(n, words), count(agreed, words));
        let said = fill(words.agreement_of, &[gaps[0], gaps[1], ("n", &n), ("right", &agreed)]);
        view! { <li>{said}</li> }.into_any()
    };
    figures.agreement.iter().map(line).collect()
}

/// A chart with its words and the ways to take it along. It is drawn in a worker and shown as a picture: nothing in
/// it can become markup of this page, and it follows the element's light and dark by itself.
fn chart(drawn: ChartView, words: &'static Words, on_save: Callback<(String, String)>) -> AnyView {
    let ChartView { name, title, description, svg, csv } = drawn;
    let address = format!("data:image/svg+xml,{}", String::from(js_sys::encode_uri_component(&svg)));
    let save = move |kind: &str, text: &Arc<str>| on_save.run((format!("{name}.{kind}"), text.to_string()));
    let save = Arc::new(save);
    let other = save.clone();
    view! {
        <figure class="chart">
            <img src=address alt=format!("{title}. {description}") draggable="false" />
            <figcaption><span>{description}</span>
                <button type="button" class="tool" aria-label=format!("{title}: {}", words.save_svg) on:click=clicked(move |_| save("svg", &svg))>{words.save_svg}</button>
                <button type="button" class="tool" aria-label=format!("{title}: {}", words.save_csv) on:click=clicked(move |_| other("csv", &csv))>{words.save_csv}</button>
            </figcaption>
        </figure>
    }
    .into_any()
}

fn role(role: Role, words: &Words) -> &'static str {
    match role {
        Role::Deferred => words.role_deferred,
        Role::Audit => words.role_audit,
        Role::Review => words.role_review,
        Role::Manual => words.role_manual,
    }
}

fn shown(shown: PredictionShown, words: &Words) -> &'static str {
    match shown {
        PredictionShown::Hidden => words.shown_hidden,
        PredictionShown::Shown => words.shown_shown,
        PredictionShown::After => words.shown_after,
    }
}
