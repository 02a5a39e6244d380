//! Every figure of the panel, from the records alone, so that the export gives the same figures again.
//!
//! Only records in force count ([`super::current`]): what was taken back or replaced is as if it had never
//! been, its time included. Each figure is a number or a label's id; words and drawing are elsewhere.

use std::sync::Arc;

use super::correction::{Correction, Kind, PredictionSaid, PredictionShown, Role};
use super::current::current_by_item;
use super::ident::{RecordId, Timestamp};
use super::order::{median, most_confident_first, sort};
use super::policy::Outcome;
use super::promise::interval;
use super::value::Value;

/// The most points of a curve; curves with more are thinned evenly, first and last kept.
pub const MOST_POINTS: usize = 200;
/// Into how many equal parts the confidences are divided for a reliability diagram.
pub const BINS: usize = 15;
/// The most labels that a confusion matrix names; the others are taken together.
pub const MOST_LABELS: usize = 12;
/// Into how many parts of equally many answers the work is divided, at most.
pub const MOST_STRETCHES: usize = 12;
/// The confidence of the interval around an accuracy.
pub const INTERVAL: f64 = 0.90;

/// What records cannot know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Items that have come in.
    pub arrived: usize,
    /// Items that wait for the person.
    pub waiting: usize,
}

/// How many items were settled at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settled {
    /// Time that the person had spent on the answers up to then, in seconds.
    pub seconds: f64,
    /// When.
    pub at: Timestamp,
    /// Items settled by the model.
    pub by_model: usize,
    /// Items that the person had answered.
    pub answered: usize,
}

/// A number of predictions, and how many of them were right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub n: usize,
    /// Those whose label was the person's.
    pub right: usize,
}

impl Tally {
    fn note(&mut self, right: bool) {
        self.n += 1;
        self.right += usize::from(right);
    }

    /// Share of right ones; `None` of none.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.right, self.n)
    }

    /// Exact two-sided interval of the accuracy at [`INTERVAL`].
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        interval(self.n - self.right, self.n, INTERVAL)
    }
}

/// What would be if everything with at least this confidence were accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AtThreshold {
    /// The threshold.
    pub confidence: f32,
    /// Share of the items that it accepts.
    pub coverage: f64,
    /// Share of right labels among them.
    pub accuracy: f64,
}

/// Predictions of nearly the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// How many, and how many were right.
    pub tally: Tally,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
}

/// Whether confidences mean what they say.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// Equal parts of 0 to 1, each without its lower end.
    pub bins: [Bin; BINS],
    /// Expected calibration error: mean distance of confidence and accuracy over the predictions, bin by bin
    /// (Naeini et al., AAAI 2015). `None` without any prediction.
    pub ece: Option<f64>,
}

/// What the model said against what the person said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Ids of the labels that were said most often by either, most frequent first; at most [`MOST_LABELS`].
    pub labels: Vec<Arc<str>>,
    /// Whether the last row and column stand for all other labels together.
    pub other: bool,
    /// Row by row: a row for what the model said, a column for what the person said.
    pub counts: Vec<usize>,
    /// All of them, and those in which both said the same. In the cell of others with others may be such that
    /// differ, so the diagonal can be more than `right`.
    pub tally: Tally,
}

impl Confusion {
    /// Rows, and columns.
    #[must_use]
    pub fn side(&self) -> usize {
        self.labels.len() + usize::from(self.other)
    }
}

/// How often model and person agree under one way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Whether the person saw the prediction.
    pub shown: PredictionShown,
    /// Why the person was asked.
    pub role: Role,
    /// Answers with a prediction, and those that agree with it.
    pub tally: Tally,
}

/// A stretch of the work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How many items the person had answered at its end.
    pub answers: usize,
    /// Items settled in it, by whomever.
    pub settled: usize,
    /// Time that the person spent on answers in it, in seconds.
    pub seconds: f64,
}

impl Stretch {
    /// Items settled for a minute of the person's time; `None` without any time.
    #[must_use]
    pub fn per_minute(&self) -> Option<f64> {
        per_minute(self.settled, self.seconds)
    }
}

/// Answers in force, by why the person was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// The model was not sure enough.
    pub deferred: usize,
    /// Blind checks.
    pub audit: usize,
    /// Looked through afterwards.
    pub review: usize,
    /// Without a prediction.
    pub manual: usize,
}

/// The figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What records cannot know.
    pub now: Now,
    /// Items that the model settled and nobody answered.
    pub by_model: usize,
    /// Items that persons answered.
    pub answered: usize,
    /// Answers; more than items if several persons answer the same ones.
    pub roles: Roles,
    /// Time that persons spent on these answers, in seconds.
    pub seconds: f64,
    /// Median seconds an answer, of those that were asked for.
    pub seconds_per_answer: Option<f64>,
    /// How many items were settled when: as the first question was put, at each answer, and at the end. At each of
    /// these times the model's accepts and the answers *that are in force now* and were given by then.
    pub settled: Vec<Settled>,
    /// The work in stretches of equally many answers.
    pub stretches: Vec<Stretch>,
    /// Of what the model would have settled, what was checked blind.
    pub accepted: Tally,
    /// All blind checks by confidence: a point for each threshold, strictest first.
    pub risk_coverage: Vec<AtThreshold>,
    /// Confidences of the blind checks before calibration.
    pub raw: Reliability,
    /// And after it.
    pub calibrated: Reliability,
    /// Model against person.
    pub confusion: Confusion,
    /// Agreement by way of asking; only ways that occurred.
    pub agreement: Vec<Agreement>,
}

impl Evaluation {
    /// The figures of these records: of all kinds, in any order, repetitions allowed.
    #[must_use]
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Correction>, now: Now) -> Self {
        evaluate(&records.into_iter().collect::<Vec<_>>(), now)
    }

    /// The figures where only persons' records are at hand: of what the model settles now, `settled` says when
    /// each item was settled, in milliseconds since 1970. The same as [`Evaluation::of`] with an accept for each.
    #[must_use]
    pub fn with_settled(records: &[Correction], settled: &[f64], now: Now) -> Self {
        let accepts: Vec<_> = (0..).zip(settled).map(|(number, &at)| accept(number, at)).collect();
        evaluate(&records.iter().chain(&accepts).collect::<Vec<_>>(), now)
    }

    /// Items that need nobody any more.
    #[must_use]
    pub fn settled_now(&self) -> usize {
        self.by_model + self.answered
    }

    /// Share of the decided items that the model settles, as [`super::progress::Progress::share_by_model`].
    #[must_use]
    pub fn share_by_model(&self) -> Option<f64> {
        ratio(self.by_model, self.settled_now() + self.now.waiting)
    }

    /// Items settled for a minute of the persons' time; `None` before any time was spent.
    #[must_use]
    pub fn per_minute(&self) -> Option<f64> {
        per_minute(self.settled_now(), self.seconds)
    }
}

/// A record of an item that the model settled, of which no more is known than when. No item of a page bears such
/// an id: a NUL stands in it.
fn accept(number: u128, at: f64) -> Correction {
    #[allow(clippy::cast_possible_truncation)]
    let answered_at = Timestamp(at as i64);
    Correction {
        id: RecordId(uuid::Uuid::from_u128(number)),
        item_id: format!("\0{number}").into(),
        kind: Kind::Accepted,
        role: Role::Deferred,
        answer: None,
        supersedes: None,
        prediction: None,
        policy: None,
        prediction_shown: PredictionShown::Hidden,
        annotator: None,
        session: "".into(),
        shown_at: None,
        answered_at,
        seconds: 0.0,
        skipped_before: 0,
        flagged: false,
        note: None,
        meta: Value::Null.into(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn ratio(part: usize, all: usize) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[allow(clippy::cast_precision_loss)]
fn per_minute(items: usize, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| items as f64 * 60.0 / seconds)
}

/// An answer to an item that the model had said something of.
#[derive(Clone, Copy)]
struct Judged<'a> {
    record: &'a Correction,
    said: &'a PredictionSaid,
    answer: &'a Arc<str>,
}

impl Judged<'_> {
    fn right(&self) -> bool {
        self.said.label == *self.answer
    }

    /// Whether the policy of that time would have accepted it, had the person not been asked blind.
    fn acceptable(&self) -> bool {
        self.record.policy.as_ref().is_some_and(|(outcome, reasons)| {
            *outcome == Outcome::Audit
                && reasons.iter().any(|reason| reason.rule == "accept_at" && reason.held)
        })
    }
}

const SHOWN: [PredictionShown; 3] = [PredictionShown::Hidden, PredictionShown::Shown, PredictionShown::After];
const ROLES: [Role; 4] = [Role::Deferred, Role::Audit, Role::Review, Role::Manual];

fn evaluate(records: &[&Correction], now: Now) -> Evaluation {
    // Of each item: the accept, or the answers. The earliest answer is the one that settled it.
    let (mut accepts, mut answers, mut first) = (Vec::new(), Vec::new(), vec![false; records.len()]);
    for places in current_by_item(records) {
        let earliest = |a: usize, b: usize| if time_key(records[b]) < time_key(records[a]) { b } else { a };
        let settled = places.iter().fold(places[0], |a, &b| earliest(a, b));
        match records[settled].kind {
            Kind::Accepted => accepts.push(settled),
            _ => {
                first[settled] = true;
                answers.extend(places);
            }
        }
    }
    by_time(&mut accepts, records);
    by_time(&mut answers, records);

    let mut roles = Roles::default();
    let mut judged = Vec::new();
    for &place in &answers {
        let record = records[place];
        *match record.role {
            Role::Deferred => &mut roles.deferred,
            Role::Audit => &mut roles.audit,
            Role::Review => &mut roles.review,
            Role::Manual => &mut roles.manual,
        } += 1;
        if let (Some(said), Some(answer)) = (&record.prediction, &record.answer) {
            judged.push(Judged { record, said, answer });
        }
    }
    let audits: Vec<Judged<'_>> = judged.iter().filter(|j| j.record.role == Role::Audit).copied().collect();
    let mut accepted = Tally::default();
    audits.iter().filter(|j| j.acceptable()).for_each(|j| accepted.note(j.right()));
    let settled = settled_over_time(records, &accepts, &answers, &first);
    Evaluation {
        now,
        by_model: accepts.len(),
        answered: first.iter().filter(|first| **first).count(),
        roles,
        seconds: settled.last().map_or(0.0, |end| end.seconds),
        seconds_per_answer: median(
            answers.iter().filter(|&&at| records[at].shown_at.is_some()).map(|&at| records[at].seconds),
        ),
        stretches: stretches(&settled),
        settled: thinned(settled),
        accepted,
        risk_coverage: thinned(risk_coverage(&audits)),
        raw: reliability(&audits, |said| said.confidence_raw),
        calibrated: reliability(&audits, |said| said.confidence),
        confusion: confusion(&judged),
        agreement: agreement(&judged),
    }
}

fn time_key(record: &Correction) -> (Timestamp, super::ident::RecordId) {
    (record.answered_at, record.id)
}

/// Brings places into the order of their times; those of one time into the order of their ids.
fn by_time(places: &mut Vec<usize>, records: &[&Correction]) {
    // As they came first, which is nearly the order of their ids: little is left to do among equal times.
    let mut as_they_came: Vec<u64> = places.iter().map(|&at| at as u64).collect();
    sort(&mut as_they_came);
    #[allow(clippy::cast_possible_truncation)]
    let places_in: Vec<usize> = as_they_came.into_iter().map(|at| at as usize).collect();
    let mut ordered: Vec<usize> = Vec::with_capacity(places_in.len());
    let start = places_in.iter().map(|&at| records[at].answered_at.0).min().unwrap_or(0);
    let mut keys: Vec<u64> = places_in
        .iter()
        .zip(0_u64..)
        .map(|(&at, rank)| {
            #[allow(clippy::cast_sign_loss)]
            let late = records[at].answered_at.0.saturating_sub(start) as u64;
            // 40 bits of milliseconds are 34 years, 24 bits 16 million records.
            late.min((1 << 40) - 1) << 24 | rank
        })
        .collect();
    sort(&mut keys);
    for key in keys {
        #[allow(clippy::cast_possible_truncation)]
        let place = places_in[(key & 0x00ff_ffff) as usize];
        let mut at = ordered.len();
        while at > 0 && time_key(records[ordered[at - 1]]) > time_key(records[place]) {
            at -= 1;
        }
        ordered.insert(at, place);
    }
    *places = ordered;
}

fn settled_over_time(
    records: &[&Correction],
    accepts: &[usize],
    answers: &[usize],
    first: &[bool],
) -> Vec<Settled> {
    let time = |place: usize| records[place].answered_at;
    let before = |until: Timestamp| accepts.partition_point(|&at| time(at) <= until);
    let asked = answers.first().map(|&at| records[at].shown_at.unwrap_or(time(at)).min(time(at)));
    let Some(at) = asked.or(accepts.last().map(|&at| time(at))) else { return Vec::new() };
    let mut now = Settled { seconds: 0.0, at, by_model: before(at), answered: 0 };
    let mut points = vec![now];
    for &place in answers {
        now.at = time(place);
        now.seconds += records[place].seconds.max(0.0);
        now.by_model = before(now.at);
        now.answered += usize::from(first[place]);
        points.push(now);
    }
    if let Some(&last) = accepts.last().filter(|_| now.by_model < accepts.len()) {
        points.push(Settled { at: time(last), by_model: accepts.len(), ..now });
    }
    points
}

/// The work in at most [`MOST_STRETCHES`] parts; what the model settled before the first answer is in none.
fn stretches(settled: &[Settled]) -> Vec<Stretch> {
    let steps = settled.len().saturating_sub(1);
    let count = steps.min(MOST_STRETCHES);
    let step = |part: usize| {
        let (from, to) = (settled[steps * part / count], settled[steps * (part + 1) / count]);
        let total = |at: Settled| at.by_model + at.answered;
        Stretch {
            answers: to.answered,
            settled: total(to).saturating_sub(total(from)),
            seconds: to.seconds - from.seconds,
        }
    };
    (0..count).map(step).collect()
}

/// At most [`MOST_POINTS`], evenly, with the first and the last.
fn thinned<T: Copy>(points: Vec<T>) -> Vec<T> {
    let n = points.len();
    if n <= MOST_POINTS {
        return points;
    }
    (0..MOST_POINTS).map(|i| points[i * (n - 1) / (MOST_POINTS - 1)]).collect()
}

fn risk_coverage(audits: &[Judged<'_>]) -> Vec<AtThreshold> {
    let order = most_confident_first(audits.iter().map(|j| j.said.confidence));
    let (mut tally, mut points) = (Tally::default(), Vec::new());
    for (place, &at) in order.iter().enumerate() {
        tally.note(audits[at].right());
        let confidence = audits[at].said.confidence;
        // A threshold cannot part equal confidences.
        let tied = order.get(place + 1).is_some_and(|&next| audits[next].said.confidence >= confidence);
        if let (false, Some(coverage), Some(accuracy)) = (tied, ratio(tally.n, order.len()), tally.accuracy())
        {
            points.push(AtThreshold { confidence, coverage, accuracy });
        }
    }
    points
}

#[allow(clippy::cast_precision_loss)]
fn reliability(audits: &[Judged<'_>], confidence: fn(&PredictionSaid) -> f32) -> Reliability {
    let mut bins = [Bin::default(); BINS];
    for judged in audits {
        let confidence = f64::from(confidence(judged.said)).clamp(0.0, 1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        bin.confidence += confidence;
        bin.tally.note(judged.right());
    }
    let mut apart = 0.0;
    for bin in bins.iter_mut().filter(|bin| bin.tally.n > 0) {
        apart += (bin.confidence - bin.tally.right as f64).abs();
        bin.confidence /= bin.tally.n as f64;
    }
    let ece = (!audits.is_empty()).then(|| apart / audits.len() as f64);
    Reliability { bins, ece }
}

fn confusion(judged: &[Judged<'_>]) -> Confusion {
    // Labels in order of their ids, with how often either said them.
    let mut known: Vec<(&Arc<str>, u64)> = Vec::new();
    for label in judged.iter().flat_map(|j| [&j.said.label, j.answer]) {
        let at = known.partition_point(|(other, _)| *other < label);
        match known.get_mut(at) {
            Some((other, count)) if *other == label => *count += 1,
            _ => known.insert(at, (label, 1)),
        }
    }
    let mut keys: Vec<u64> =
        known.iter().zip(0_u64..).map(|((_, count), at)| (u64::from(u32::MAX) - count) << 32 | at).collect();
    sort(&mut keys);
    let labels: Vec<Arc<str>> = keys
        .iter()
        .take(MOST_LABELS)
        .map(|key| {
            #[allow(clippy::cast_possible_truncation)]
            let at = *key as u32 as usize;
            Arc::clone(known[at].0)
        })
        .collect();
    let mut confusion =
        Confusion { other: known.len() > labels.len(), labels, counts: Vec::new(), tally: Tally::default() };
    let side = confusion.side();
    confusion.counts = vec![0; side * side];
    let place = |label: &Arc<str>| confusion.labels.iter().position(|own| own == label).unwrap_or(side - 1);
    for j in judged {
        confusion.counts[place(&j.said.label) * side + place(j.answer)] += 1;
        confusion.tally.note(j.right());
    }
    confusion
}

fn agreement(judged: &[Judged<'_>]) -> Vec<Agreement> {
    let mut found: Vec<Agreement> = Vec::new();
    for shown in SHOWN {
        for role in ROLES {
            let mut tally = Tally::default();
            let asked_so = |j: &&Judged<'_>| j.record.prediction_shown == shown && j.record.role == role;
            judged.iter().filter(asked_so).for_each(|j| tally.note(j.right()));
            if tally.n > 0 {
                found.push(Agreement { shown, role, tally });
            }
        }
    }
    found
}
