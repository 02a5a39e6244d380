//! A worker as the learner: keeps the items' numbers, refits the head, says what it makes of each item.

use std::collections::{HashMap, HashSet};

use js_sys::{Array, Float32Array, Float64Array, Intl, Object, Reflect, Uint8Array, Uint32Array};
use wasm_bindgen::{JsCast, JsValue};

use super::post::{self, Parts, post};
use crate::domain::chart::{self, Drawing, Words};
use crate::domain::correction::Correction;
use crate::domain::evaluation::{Evaluation, Now};
use crate::domain::ident::RecordId;
use crate::domain::item::ItemKey;
use crate::domain::label::{Label, LabelId, LabelSet};
use crate::domain::learning::head::{FitRules, Head, HeadKind};
use crate::domain::learning::learner::{Gate, Learner, LearnerRules, Use};
use crate::domain::learning::slips::Slip;
use crate::domain::prediction::{Activation, Prediction, ScoreScale, Temperature};
use crate::infer::export::{self, HeadParts};
use crate::wire::correction::from_record;
use crate::wire::record::Record;
use crate::wire::worker::{
    Chart, ChartWord, Lesson, PREDICTION, Reply, Request, StudyRules, write_prediction,
};
use crate::wire::{figures, manifest};

/// What differs most is asked first up to so many answers: then the model knows enough to say what it doubts.
const SPREAD_UNTIL: usize = 100;
/// Answers after which slips are looked for again, at least.
const SLIPS_EVERY: usize = 10;
/// And so many are given.
const SPREAD: usize = 20;
/// A logit that leaves a label no probability, in single precision and in half.
const NEVER: f32 = -60_000.0;

/// The learner with what the page was told last.
pub(super) struct Student {
    learner: Learner,
    rules: StudyRules,
    told: HashMap<ItemKey, Option<Prediction>>,
    answered: HashSet<ItemKey>,
    /// Their answers were taken back since the last lesson, and the page went back to what it had asked with: it is
    /// told anew what holds, also if that is what it was told before.
    undone: HashSet<ItemKey>,
    /// Answers that may be slips, and at how many answers they were looked for.
    slips: Vec<Slip>,
    looked_at: usize,
    /// Of persons, for the figures.
    records: Vec<Correction>,
}

impl Student {
    /// A learner by these rules; `parts` are a head to start from.
    ///
    /// # Errors
    /// The manifest or the head does not fit.
    pub(super) fn new(rules: StudyRules, parts: &Array) -> Result<Self, String> {
        let card = manifest::parse(&rules.manifest).map_err(|problems| problems.to_string())?;
        let (labels, features) = (rules.labels as usize, rules.features as usize);
        let prior = match (numbers(&parts.get(0)), numbers(&parts.get(1))) {
            (Some(weights), Some(bias)) => {
                let kind = if features > 0 { HeadKind::Linear } else { HeadKind::VectorScaling };
                // The model's labels, and behind them those that were added where it was learned.
                let head = Head::from_parts(kind, labels.max(bias.len()), features, weights, bias);
                Some(head.ok_or("the head to start from has another shape than the model")?)
            }
            _ => None,
        };
        let scores = card.scores.as_ref();
        let learner = Learner::new(LearnerRules {
            labels,
            scores: scores.is_some(),
            features,
            scale: scores.map_or(ScoreScale::Logits, |scores| scores.scale),
            activation: scores.map_or(Activation::Softmax, |scores| scores.activation),
            temperature: Temperature::new(rules.temperature).unwrap_or(Temperature::ONE),
            prior,
            fit: match (scores.is_some(), features) {
                (false, _) => FitRules::from_nothing(),
                (true, 0) => FitRules::scaling_a_model(),
                (true, _) => FitRules::beside_a_model(),
            },
            memory_bytes: (rules.memory_mb as usize) << 20,
        });
        Ok(Self {
            learner,
            rules,
            told: HashMap::new(),
            answered: HashSet::new(),
            undone: HashSet::new(),
            slips: Vec::new(),
            looked_at: 0,
            records: Vec::new(),
        })
    }

    /// Answers a request that is for a learner.
    pub(super) fn hear(&mut self, request: Request, parts: &Array) {
        match request {
            Request::Take { ticket, items } => self.take(ticket, &items, parts),
            Request::Answer { item, label, hold_out, record } => {
                let used = label.zip(record.parse::<RecordId>().ok()).map(|(label, record)| {
                    let label = LabelId(label);
                    (if hold_out > 0.0 { Use::HoldOut(label, hold_out) } else { Use::Train(label) }, record)
                });
                let item = ItemKey(item);
                match used {
                    Some(_) => self.answered.insert(item),
                    None => self.answered.remove(&item),
                };
                if used.is_none() {
                    self.undone.insert(item);
                }
                self.learner.answer(item, used.map(|(used, _)| used));
            }
            Request::Labels { count } => {
                self.rules.labels = count;
                self.learner.add_labels(count as usize);
            }
            Request::Learn => self.learn(),
            Request::Export { manifest, labels } => {
                self.export(&manifest, &labels, &Uint8Array::new(&parts.get(0)).to_vec());
            }
            Request::Head => self.give_head(),
            Request::Record { line } => {
                // The page writes no other lines.
                self.records.extend(Record::parse(&line).ok().map(|record| from_record(&record)));
            }
            request @ Request::Evaluate { .. } => self.evaluate(&request, &parts.get(0)),
            Request::Load { .. } | Request::Predict { .. } | Request::Study(_) => {}
        }
    }

    fn take(&mut self, ticket: u32, items: &[u32], parts: &Array) {
        let scores = numbers(&parts.get(0)).unwrap_or_default();
        let features = numbers(&parts.get(1)).unwrap_or_default();
        let (of_scores, of_features) =
            (scores.len() / items.len().max(1), features.len() / items.len().max(1));
        let mut said = Vec::with_capacity(items.len() * PREDICTION);
        for (at, item) in items.iter().enumerate() {
            let key = ItemKey(*item);
            let (scores, features) = (row(&scores, at, of_scores), row(&features, at, of_features));
            let prediction = self.learner.take(key, scores, features);
            write_prediction(prediction.as_ref(), &mut said);
            self.told.insert(key, prediction);
        }
        let mut parts = Parts::none();
        parts.transfer(&Float32Array::from(&*said));
        post(&Reply::Taken { ticket }, &parts);
    }

    fn learn(&mut self) {
        let began = post::now();
        let found = self.learner.learn();
        let fitted = post::now();
        let (mut keys, mut said) = (Vec::new(), Vec::new());
        let mut now: HashMap<ItemKey, Prediction> = self.learner.predictions().collect();
        for (&key, told) in &mut self.told {
            let prediction = now.remove(&key);
            // What stays the same need not travel, nor be decided anew; what is not kept keeps its prediction.
            let differs = *told != prediction || self.undone.contains(&key);
            if differs && (prediction.is_some() || self.learner.memory().get(key).is_some()) {
                *told = prediction;
                keys.push(key.0);
                write_prediction(prediction.as_ref(), &mut said);
            }
        }
        self.undone.clear();
        let scored = post::now();
        // Four more fits: now and then is enough for what can wait.
        if found.trained.abs_diff(self.looked_at) >= SLIPS_EVERY.max(found.trained / 10) {
            self.looked_at = found.trained;
            self.slips = self.learner.slips();
        }
        let slips = &self.slips;
        // An order by doubt never asks about a label of which the head knows nothing.
        let unknown = self.learner.taking_part().contains(&false);
        let diverse = (self.rules.diverse || unknown) && self.answered.len() < SPREAD_UNTIL;
        let spread = match diverse || self.told.values().all(Option::is_none) {
            true => {
                let open = self.told.keys().copied().filter(|key| !self.answered.contains(key));
                let mut open: Vec<_> = open.collect();
                open.sort_unstable();
                self.learner.spread(&open, SPREAD)
            }
            false => Vec::new(),
        };
        let (kept, worse_by) = match found.gate {
            Gate::Kept { answers, worse_by, standard_error } => {
                (Some(narrow(answers)), [worse_by, standard_error])
            }
            Gate::NoEvidence | Gate::Passed => (None, [0.0, 0.0]),
        };
        #[allow(clippy::cast_precision_loss)]
        let slips = slips.iter().flat_map(|slip| {
            let (given, suggested) = (slip.given as f64, slip.suggested as f64);
            [f64::from(slip.item.0), given, suggested, f64::from(slip.p_given), f64::from(slip.p_suggested)]
        });
        let lesson = Lesson {
            version: found.version,
            trained: narrow(found.trained),
            held_out: narrow(found.held_out),
            temperature: found.temperature.get(),
            judged: found.gate != Gate::NoEvidence,
            kept,
            worse_by,
            log_loss: found.log_loss.map(|(before, after)| [before, after]),
            calibration_error: found.calibration_error.map(|(before, after)| [before, after]),
            ms: [fitted - began, scored - fitted],
            slips: slips.collect(),
            lacks: self.learner.lacks().into_iter().map(|key| key.0).collect(),
            spread: spread.into_iter().map(|key| key.0).collect(),
        };
        let mut parts = Parts::none();
        parts.transfer_keys(&Uint32Array::from(&*keys));
        parts.transfer(&Float32Array::from(&*said));
        post(&Reply::Learned(Box::new(lesson)), &parts);
    }

    fn export(&self, manifest: &str, labels: &[String], file: &[u8]) {
        match self.improved(manifest, labels, file) {
            Ok((file, manifest)) => {
                let mut parts = Parts::none();
                parts.transfer_bytes(&Uint8Array::from(&*file));
                post(&Reply::Exported { manifest }, &parts);
            }
            Err(why) => post(&Reply::NotExported { why }, &Parts::none()),
        }
    }

    fn improved(&self, manifest: &str, labels: &[String], file: &[u8]) -> Result<(Vec<u8>, String), String> {
        let card = manifest::parse(manifest).map_err(|problems| problems.to_string())?;
        let labels =
            labels.chunks_exact(2).map(|label| Label { id: (*label[0]).into(), name: (*label[1]).into() });
        let labels = LabelSet::new(labels.collect()).map_err(|why| why.to_string())?;
        let head = self.learner.head();
        // A label that takes no part has probability 0 here, and so it shall be there.
        let part = self.learner.taking_part();
        let bias = head.bias().iter().enumerate();
        let bias: Vec<_> =
            bias.map(|(k, b)| if part.get(k).copied().unwrap_or(true) { *b } else { NEVER }).collect();
        let head = HeadParts {
            kind: match head.kind() {
                HeadKind::Linear => export::HeadKind::Linear,
                HeadKind::VectorScaling => export::HeadKind::VectorScaling,
            },
            labels: head.labels(),
            features: head.features(),
            weights: head.weights(),
            bias: &bias,
        };
        let answers = self.learner.answers();
        let temperature = self.learner.temperature().get();
        let count = answers.to_string();
        let metadata = [("hitl-labeler.answers", count.as_str())];
        let improved = export::with_head(file, &card, &head, temperature, &metadata);
        let improved = improved.map_err(|why| why.to_string())?;
        let manifest = export::improved_manifest(manifest, &improved, "model.onnx", answers, &labels);
        Ok((improved.file, manifest.map_err(|why| why.to_string())?))
    }

    fn evaluate(&self, request: &Request, settled: &JsValue) {
        let Request::Evaluate { arrived, waiting, target, threshold, charts, locale, words, labels } =
            request
        else {
            return;
        };
        let settled = settled.dyn_ref::<Float64Array>().map(Float64Array::to_vec).unwrap_or_default();
        let now = Now { arrived: *arrived as usize, waiting: *waiting as usize };
        let mut evaluation = Evaluation::with_settled(&self.records, &settled, now);
        let figures = figures::to_json(&evaluation);
        for label in &mut evaluation.confusion.labels {
            let mut pairs = labels.chunks_exact(2);
            if let Some(pair) = pairs.find(|pair| *pair[0] == **label) {
                *label = pair[1].as_str().into();
            }
        }
        let charts = match charts {
            true => draw(&evaluation, *target, *threshold, locale, words),
            false => Vec::new(),
        };
        post(&Reply::Evaluated { figures, charts }, &Parts::none());
    }

    fn give_head(&self) {
        let head = self.learner.head();
        let mut parts = Parts::none();
        parts.transfer(&Float32Array::from(head.weights()));
        parts.transfer(&Float32Array::from(head.bias()));
        let reply = Reply::Head {
            answers: narrow(self.learner.answers()),
            temperature: self.learner.temperature().get(),
            scaling: head.kind() == HeadKind::VectorScaling,
        };
        post(&reply, &parts);
    }
}

/// Every chart, in the words of the page.
fn draw(
    evaluation: &Evaluation,
    target: Option<f64>,
    threshold: Option<f32>,
    locale: &str,
    words: &[String],
) -> Vec<Chart> {
    let word = |word: ChartWord| words.get(word as usize).map_or("", String::as_str);
    let number = |n: f64| written(n, locale, "decimal");
    let percent = |p: f64| written(p, locale, "percent");
    let of = |title, across, up, series: [ChartWord; 2], mark| Words {
        title: word(title),
        across: word(across),
        up: word(up),
        series: series.map(word),
        mark: word(mark),
        other: word(ChartWord::Other),
        number: &number,
        percent: &percent,
    };
    use ChartWord as W;
    let both = [W::Model, W::Person];
    let settled = of(W::Settled, W::Minutes, W::Items, both, W::Target);
    let workload = of(W::Workload, W::Answers, W::PerMinute, both, W::Target);
    let risk = of(W::RiskCoverage, W::Coverage, W::Accuracy, both, W::Target);
    let reliable = of(W::Reliability, W::Confidence, W::Accuracy, [W::Before, W::After], W::Ideal);
    let confused = of(W::Confusion, W::Person, W::Model, both, W::Target);
    let one = |shows: figures::Chart, drawing: Drawing| Chart {
        name: figures::Chart::WORDS
            .iter()
            .find(|(_, chart)| *chart == shows)
            .map_or("", |(name, _)| name)
            .into(),
        svg: chart::to_svg(&drawing),
        title: drawing.title,
        description: drawing.description,
        csv: figures::csv(shows, evaluation),
    };
    use figures::Chart as C;
    // What has nothing to show yet is not shown.
    let (answers, checks) = (evaluation.answered > 0, !evaluation.risk_coverage.is_empty());
    let all = [
        answers.then(|| one(C::Settled, chart::settled(evaluation, &settled))),
        answers.then(|| one(C::Workload, chart::workload(evaluation, &workload))),
        checks.then(|| one(C::RiskCoverage, chart::risk_coverage(evaluation, target, threshold, &risk))),
        checks.then(|| one(C::Reliability, chart::reliability(evaluation, &reliable))),
        (evaluation.confusion.tally.n > 0)
            .then(|| one(C::Confusion, chart::confusion(evaluation, &confused))),
    ];
    all.into_iter().flatten().collect()
}

/// A number as the language writes it, by the browser's `Intl`.
fn written(number: f64, locale: &str, style: &str) -> String {
    let settings = Object::new();
    // Setting a field of a fresh object cannot fail.
    let _ = Reflect::set(&settings, &"style".into(), &style.into());
    let _ = Reflect::set(&settings, &"maximumFractionDigits".into(), &1.into());
    let format = Intl::NumberFormat::new(&Array::of1(&locale.into()), &settings).format();
    format
        .call1(&JsValue::UNDEFINED, &number.into())
        .ok()
        .and_then(|text| text.as_string())
        .unwrap_or_default()
}

fn numbers(part: &JsValue) -> Option<Vec<f32>> {
    part.dyn_ref::<Float32Array>().map(Float32Array::to_vec)
}

fn row(rows: &[f32], at: usize, width: usize) -> &[f32] {
    rows.get(at * width..(at + 1) * width).unwrap_or_default()
}

/// Counts of items: [`ItemKey`] holds no more.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
