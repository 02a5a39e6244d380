//! Whether the promise holds: simulated streams whose true accuracy is known.
//!
//! The mechanics are the session's: checks are a random sample of the stream (a large share of it until the promise
//! is earned, a small one afterwards); after each check the threshold is certified anew on all checks that stand; the
//! monitor is fed the checks of what would have been accepted, and an alarm voids what was checked before its start.
//! A run ends with the stream, a moment fixed beforehand. Then all items that nobody checked and that lie at or above
//! the threshold are accepted, and their true accuracy is the mean of their chances of being right.
//!
//! Beside it, for streams that do not change: the runs in which the threshold was false at *any* moment, with looks
//! after each check and with the looks that a promise for all moments has.

use super::Sink;
use super::chance::Chance;
use super::chart::{Chart, Series};
use super::options::Options;
use super::report::{Figure, Target as Held};
use super::stats::{mean, median, parallel, share};
use crate::domain::promise::{Audit, Looks, Monitor, Target, Verdict};

/// Share that is checked until the promise is earned, and afterwards: the configuration's defaults.
const AUDIT_SHARE: f64 = 0.3;
const MONITOR_SHARE: f64 = 0.05;
/// Where the drifting stream changes, as a share of its items.
const CHANGE: f64 = 0.4;

const TARGETS: [f64; 3] = [0.90, 0.95, 0.98];

/// A threshold that no confidence reaches: nothing is accepted.
const NOTHING: f32 = f32::INFINITY;

/// One item: what the model says, and the chance that it is right.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Item {
    confidence: f32,
    chance: f64,
}

/// A stream by its name: place in it, 0 to 1 → item.
type Stream = (&'static str, fn(f64, &mut Chance) -> Item);

const STREAMS: [Stream; 5] = [
    ("easy", easy),
    ("hard", hard),
    ("badly_calibrated", badly_calibrated),
    ("drifting", drifting),
    (CREEPING, creeping),
];

/// The stream that is held to nothing.
const CREEPING: &str = "creeping";

fn logistic(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[allow(clippy::cast_possible_truncation)]
fn item(z: f64, chance: f64) -> Item {
    Item { confidence: logistic(z) as f32, chance }
}

/// 94 % right in all, and each confidence means what it says.
fn easy(_: f64, chance: &mut Chance) -> Item {
    let z = 4.0 + 2.0 * chance.normal();
    item(z, logistic(z))
}

/// 69 % right in all, calibrated.
fn hard(_: f64, chance: &mut Chance) -> Item {
    let z = 1.2 + 1.8 * chance.normal();
    item(z, logistic(z))
}

/// Far too sure, and worst where it is surest: above a logit of 6 (0.9975) each further one costs it accuracy.
fn badly_calibrated(_: f64, chance: &mut Chance) -> Item {
    let z = 4.0 + 2.0 * chance.normal();
    let of_confidence = logistic(0.8 * z.min(6.0));
    item(z, of_confidence - 0.04 * (z - 6.0).clamp(0.0, 5.0))
}

/// Easy at first; from [`CHANGE`] on a third of the items are of a kind that the model does not know: as confident as
/// before, right half of the time.
fn drifting(place: f64, chance: &mut Chance) -> Item {
    let known = easy(place, chance);
    let foreign = chance.unit() < 1.0 / 3.0;
    if place >= CHANGE && foreign { Item { chance: 0.5, ..known } } else { known }
}

/// Easy at first; from [`CHANGE`] on the logits are twice as great as they should be. What is accepted under a target
/// of 98 % is then right to about 97 %, which a few dozen checks cannot show: a limit, not a promise, so held to nothing.
fn creeping(place: f64, chance: &mut Chance) -> Item {
    let z = 4.0 + 2.0 * chance.normal();
    item(z, logistic(if place < CHANGE { z } else { z / 2.0 }))
}

/// Just short of the target whatever the confidence: each threshold that is earned is a false one.
const JUST_SHORT: &str = "just_short";
/// How far.
const SHORT_BY: f64 = 1e-4;

/// The streams that do not change, so that what is true of a threshold is true of it at all times.
fn steady(target: &Target) -> impl Iterator<Item = (&'static str, impl Fn(&mut Chance) -> Item + Sync)> {
    let names = STREAMS.iter().map(|stream| stream.0).filter(|name| !["drifting", CREEPING].contains(name));
    let chance_of = target.accuracy - SHORT_BY;
    names.chain([JUST_SHORT]).map(move |name| {
        let draw = STREAMS.iter().find(|stream| stream.0 == name).map(|stream| stream.1);
        (name, move |chance: &mut Chance| match draw {
            Some(draw) => draw(0.0, chance),
            None => Item { confidence: chance.unit() as f32, chance: chance_of },
        })
    })
}

/// What is true of the thresholds of a steady stream: of very many items, the surest first, how right all so far are.
struct Truth(Vec<(f32, f64)>);

impl Truth {
    fn of(draw: impl Fn(&mut Chance) -> Item) -> Self {
        const MANY: usize = 200_000;
        let mut chance = Chance::new(0, "truth");
        let mut items: Vec<Item> = (0..MANY).map(|_| draw(&mut chance)).collect();
        items.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mut sum = 0.0;
        let each = items.iter().zip(1..).map(|(item, n)| {
            sum += item.chance;
            (item.confidence, sum / f64::from(n))
        });
        Self(each.collect())
    }

    /// How right what lies at or above a threshold is; the surest item's chance above all of them.
    fn accuracy(&self, threshold: f32) -> f64 {
        let n = self.0.partition_point(|(confidence, _)| *confidence >= threshold);
        self.0[n.saturating_sub(1)].1
    }
}

/// How a run over a steady stream went.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Course {
    /// Whether a false threshold was in force at some moment.
    ever_wrong: bool,
    /// Checks until a threshold was earned.
    earned_after: Option<usize>,
    /// Share of the stream that was accepted as it came.
    settled: f64,
}

fn course(
    draw: &impl Fn(&mut Chance) -> Item,
    truth: &Truth,
    target: &Target,
    looks: Looks,
    count: usize,
    seed: u64,
) -> Course {
    let mut chance = Chance::new(seed, "course");
    let mut session = Session::new(*target, looks);
    let (mut ever_wrong, mut earned_after, mut settled) = (false, None, 0);
    for _ in 0..count {
        let item = draw(&mut chance);
        let share = if session.threshold < NOTHING { MONITOR_SHARE } else { AUDIT_SHARE };
        let (checked, right) = (chance.unit() < share, chance.unit() < item.chance);
        if !checked {
            settled += usize::from(item.confidence >= session.threshold);
            continue;
        }
        session.note(Audit { confidence: item.confidence, right });
        if session.threshold < NOTHING {
            earned_after = earned_after.or(Some(session.checks.len()));
            ever_wrong |= truth.accuracy(session.threshold) < target.accuracy;
        }
    }
    Course { ever_wrong, earned_after, settled: share(settled, count).unwrap_or(0.0) }
}

/// Measures how often a promise was false at any moment, with either kind of looks.
fn at_any_moment(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let (runs, items) = (options.runs, options.items);
    for accuracy in TARGETS {
        let target = Target::new(accuracy, 0.90).ok_or("no target")?;
        for (name, draw) in steady(&target) {
            let truth = Truth::of(&draw);
            let courses =
                |looks| parallel(runs, |seed| course(&draw, &truth, &target, looks, items, seed as u64 + 1));
            let (fixed, any) = (courses(Looks::Fixed), courses(Looks::Any));
            let wrong = |courses: &[Course]| share(courses.iter().filter(|c| c.ever_wrong).count(), runs);
            let settled = |courses: &[Course]| {
                mean(&courses.iter().map(|c| c.settled).collect::<Vec<_>>()).map(|mean| mean.mean)
            };
            #[allow(clippy::cast_precision_loss)]
            let earned_after = |courses: &[Course]| {
                let checks = courses.iter().filter_map(|c| c.earned_after).map(|checks| checks as f64);
                median(&checks.collect::<Vec<_>>())
            };
            let earning = |courses: &[Course]| courses.iter().filter(|c| c.earned_after.is_some()).count();
            let figure = Figure::new(
                format!("promise_ever_wrong_{name}_{:.0}", accuracy * 100.0),
                wrong(&any),
                "share",
            )
            .beside("looks: fixed", wrong(&fixed))
            .held_to(Held::AtMost(allowed(runs)))
            .with("runs", runs)
            .with("items", items)
            .with("settled", settled(&any))
            .with("settled_fixed", settled(&fixed))
            .with("runs_earning", earning(&any))
            .with("runs_earning_fixed", earning(&fixed))
            .with("median_checks_to_earn", earned_after(&any))
            .with("median_checks_to_earn_fixed", earned_after(&fixed));
            sink.figure(figure)?;
        }
    }
    Ok(())
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Outcome {
    /// True accuracy of what the certified threshold accepts; `None`: nothing.
    kept: Option<f64>,
    /// The same of the threshold whose accuracy on the same checks reaches the target.
    plug_in: Option<f64>,
    /// Share of the stream that the certified threshold accepts.
    accepted: f64,
    checks: usize,
    alarms: usize,
}

fn simulated(stream: &Stream, target: &Target, count: usize, seed: u64) -> Outcome {
    let mut chance = Chance::new(seed, stream.0);
    #[allow(clippy::cast_precision_loss)]
    let place = |at: usize| at as f64 / count as f64;
    let items: Vec<Item> = (0..count).map(|at| (stream.1)(place(at), &mut chance)).collect();
    let mut session = Session::new(*target, Looks::Fixed);
    let mut unchecked = Vec::with_capacity(count);
    for item in &items {
        // One draw an item, whatever the share is: the smaller sample is a part of the greater.
        let share = if session.threshold < NOTHING { MONITOR_SHARE } else { AUDIT_SHARE };
        let checked = chance.unit() < share;
        let right = chance.unit() < item.chance;
        if checked {
            session.note(Audit { confidence: item.confidence, right });
        } else {
            unchecked.push(*item);
        }
    }
    let all: Vec<Audit> = session.checks.iter().map(|(audit, _)| *audit).collect();
    let above = |threshold: f32| {
        let chances: Vec<f64> =
            unchecked.iter().filter(|item| item.confidence >= threshold).map(|item| item.chance).collect();
        (mean(&chances).map(|mean| mean.mean), share(chances.len(), count).unwrap_or(0.0))
    };
    let (kept, accepted) = above(session.threshold);
    let plug_in = above(plug_in(&all, target.accuracy)).0;
    Outcome { kept, plug_in, accepted, checks: all.len(), alarms: session.alarms }
}

/// The checks of a session under a target, as `domain::session` treats them.
struct Session {
    target: Target,
    looks: Looks,
    /// In order of answering, with whether the item would have been accepted when it was asked about.
    checks: Vec<(Audit, bool)>,
    /// The first that still counts.
    since: usize,
    monitor: Monitor,
    /// Of the checks that the monitor has seen since it began.
    watched: Vec<usize>,
    threshold: f32,
    alarms: usize,
}

impl Session {
    fn new(target: Target, looks: Looks) -> Self {
        let monitor = Monitor::new(&target);
        Self {
            target,
            looks,
            checks: vec![],
            since: 0,
            monitor,
            watched: vec![],
            threshold: NOTHING,
            alarms: 0,
        }
    }

    fn note(&mut self, audit: Audit) {
        let sure = audit.confidence >= self.threshold;
        self.checks.push((audit, sure));
        if sure {
            self.watched.push(self.checks.len() - 1);
            self.monitor.note(audit.right);
            if let Some(alarm) = self.monitor.alarm() {
                self.since = self.watched.get(alarm.since).copied().unwrap_or(self.checks.len() - 1);
                self.alarms += 1;
                self.watched.clear();
                self.monitor = Monitor::new(&self.target);
            }
        }
        let standing: Vec<Audit> = self.checks[self.since..].iter().map(|(audit, _)| *audit).collect();
        self.threshold = match self.looks.certify(&standing, &self.target) {
            Verdict::Earned { threshold, .. } => threshold,
            Verdict::NotYet { .. } => NOTHING,
        };
    }
}

/// The least confidence at or above which so large a share of the checks is right; [`NOTHING`] if there is none.
fn plug_in(audits: &[Audit], accuracy: f64) -> f32 {
    let mut sorted = audits.to_vec();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let (mut right, mut threshold) = (0, NOTHING);
    for (place, audit) in sorted.iter().enumerate() {
        right += usize::from(audit.right);
        let tied = sorted.get(place + 1).is_some_and(|next| next.confidence >= audit.confidence);
        if !tied && share(right, place + 1).is_some_and(|share| share >= accuracy) {
            threshold = audit.confidence;
        }
    }
    threshold
}

/// Measures how often the promise is broken.
///
/// # Errors
/// Nobody reads the figures.
pub fn run(options: &Options, sink: &mut Sink<'_>) -> Result<(), String> {
    let (runs, items) = (options.runs, options.items);
    sink.say(&format!("promise: {} settings, {runs} runs each", TARGETS.len() * STREAMS.len()))?;
    let (mut names, mut kept, mut plugged, mut plug_in_fails) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (stream, accuracy) in STREAMS.iter().flat_map(|stream| TARGETS.map(|accuracy| (stream, accuracy))) {
        let target = Target::new(accuracy, 0.90).ok_or("no target")?;
        let outcomes = parallel(runs, |seed| simulated(stream, &target, items, seed as u64 + 1));
        let short = |of: fn(&Outcome) -> Option<f64>| {
            let short = |outcome: &&Outcome| of(outcome).is_some_and(|found| found < accuracy);
            share(outcomes.iter().filter(short).count(), runs)
        };
        let average = |of: fn(&Outcome) -> f64| {
            mean(&outcomes.iter().map(of).collect::<Vec<_>>()).map(|mean| mean.mean)
        };
        let (broken, plug_in_broken) = (short(|o| o.kept), short(|o| o.plug_in));
        let allowed = allowed(runs);
        plug_in_fails += usize::from(plug_in_broken.is_some_and(|share| share > allowed));
        let name = format!("{}_{:.0}", stream.0, accuracy * 100.0);
        let figure =
            Figure::new(format!("promise_broken_{name}"), broken, "share").beside("plug-in", plug_in_broken);
        let figure = if stream.0 == CREEPING { figure } else { figure.held_to(Held::AtMost(allowed)) };
        #[allow(clippy::cast_precision_loss)]
        let figure = figure
            .with("runs", runs)
            .with("items", items)
            .with("accepted_share", average(|o| o.accepted))
            .with(
                "accepted_right",
                mean(&outcomes.iter().filter_map(|o| o.kept).collect::<Vec<_>>()).map(|m| m.mean),
            )
            .with("runs_accepting", outcomes.iter().filter(|o| o.kept.is_some()).count())
            .with("checks", average(|o| o.checks as f64))
            .with("alarms", average(|o| o.alarms as f64));
        sink.figure(figure)?;
        #[allow(clippy::cast_precision_loss)]
        let at = names.len() as f64;
        kept.extend(broken.map(|share| (at, share)));
        plugged.extend(plug_in_broken.map(|share| (at, share)));
        names.push(name.replace('_', " "));
    }
    let figure = Figure::new("promise_plug_in_breaks_it", share(plug_in_fails, names.len()), "share");
    sink.figure(figure.with("settings", names.len()))?;
    at_any_moment(options, sink)?;
    sink.chart(
        "promise",
        &Chart {
            title: "Runs in which what is accepted falls short of the target".into(),
            across: "stream and target in %".into(),
            up: "share of runs".into(),
            names,
            series: vec![
                Series { name: "certified".into(), points: kept },
                Series { name: "plug-in".into(), points: plugged },
            ],
            mark: Some((0.1, "10 % allowed".into())),
        },
    )
}

/// 10 % and two standard errors of a share of so many runs.
#[allow(clippy::cast_precision_loss)]
fn allowed(runs: usize) -> f64 {
    0.1 + 2.0 * (0.1 * 0.9 / runs as f64).sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn audit(confidence: f32, right: bool) -> Audit {
        Audit { confidence, right }
    }

    #[test]
    fn the_plug_in_threshold_takes_the_checks_at_their_word() {
        let audits = [audit(0.9, true), audit(0.8, true), audit(0.7, false), audit(0.6, true)];
        assert_eq!(plug_in(&audits, 1.0).to_bits(), 0.8_f32.to_bits());
        assert_eq!(plug_in(&audits, 0.75).to_bits(), 0.6_f32.to_bits());
        assert_eq!(plug_in(&[audit(0.9, false)], 0.5).to_bits(), NOTHING.to_bits());
    }

    #[test]
    fn a_stream_that_turns_bad_raises_an_alarm_and_its_past_counts_no_more() {
        let target = Target::new(0.95, 0.90).unwrap();
        let mut session = Session::new(target, Looks::Fixed);
        // So many that the threshold alone would take long to give way.
        (0..1_000).for_each(|_| session.note(audit(0.9, true)));
        assert!(session.threshold <= 0.9);
        let mut after = 0;
        while session.alarms == 0 {
            session.note(audit(0.9, after % 3 != 0));
            after += 1;
            assert!(after < 100, "no alarm");
        }
        assert!((995..1_005).contains(&session.since), "{}", session.since);
        assert_eq!(session.threshold.to_bits(), NOTHING.to_bits(), "it has to be earned again");
    }

    #[test]
    fn the_streams_are_what_they_are_called() {
        let right = |stream: fn(f64, &mut Chance) -> Item, place: f64| {
            let mut chance = Chance::new(5, "streams");
            let chances: Vec<f64> = (0..20_000).map(|_| stream(place, &mut chance).chance).collect();
            assert!(chances.iter().all(|p| (0.0..=1.0).contains(p)));
            mean(&chances).unwrap().mean
        };
        assert!((right(easy, 0.0) - 0.94).abs() < 0.01, "{}", right(easy, 0.0));
        assert!((right(hard, 0.0) - 0.69).abs() < 0.01, "{}", right(hard, 0.0));
        assert!(right(creeping, CHANGE) < right(easy, 0.0) - 0.05);
        assert!(right(drifting, CHANGE) < right(easy, 0.0) - 0.1);
    }

    #[test]
    fn what_is_true_of_a_threshold_is_the_mean_of_what_it_accepts() {
        let truth = Truth::of(|chance| easy(0.0, chance));
        let (all, sure) = (truth.accuracy(0.0), truth.accuracy(0.9));
        assert!((all - 0.94).abs() < 0.01 && sure > 0.97, "{all} of all, {sure} of the sure ones");
        let target = Target::new(0.95, 0.90).unwrap();
        let (name, draw) = steady(&target).last().unwrap();
        assert_eq!(name, JUST_SHORT);
        assert!((Truth::of(draw).accuracy(0.5) - 0.9499).abs() < 1e-9);
    }

    #[test]
    fn a_run_is_the_same_each_time() {
        let target = Target::new(0.95, 0.90).unwrap();
        assert_eq!(simulated(&STREAMS[0], &target, 500, 7), simulated(&STREAMS[0], &target, 500, 7));
    }
}
