//! "Accept when at least 95 % right": which confidence earns that promise, and whether it is kept.
//!
//! Audits are answers of the person to items that were drawn at random, put without the prediction and
//! never used for training. [`certify`] finds the least confidence from which on the model may settle
//! items alone, [`Monitor`] watches afterwards whether the promise still holds.
//!
//! # What is promised
//!
//! Let the audits be a random sample of a stream of items, each with the confidence and the label that
//! one fixed model gives it. With probability of at least [`Target::confidence`] over that sample, the
//! threshold that [`certify`] earns has this property: of the items of that stream with a confidence at
//! or above it, a share of at least [`Target::accuracy`] is labelled right. Nothing is assumed about the
//! model: it may be badly calibrated, and it may be worse where it is more confident.
//!
//! It is fixed-sequence testing, as in selective classification with guaranteed risk (Geifman & El-Yaniv,
//! NeurIPS 2017, arXiv 1705.08500) and Learn then Test (Angelopoulos et al., 2021, arXiv 2110.01052):
//! "the `n` most confident audits are too bad" is tested for one `n` after the other in an order fixed by
//! the confidences alone, each time at the full level δ = 1 − confidence with the exact binomial tail
//! (Clopper & Pearson, *Biometrika* 26, 1934), up to the first that cannot be refuted. A false promise
//! needs the first false step to pass, which has probability δ at most, however many steps there are.
//!
//! # What is assumed, and when the promise is void
//!
//! - *A random sample.* Each item at or above a threshold is audited with the same chance. Answers to items
//!   that were chosen because they are doubtful must not be given to [`certify`].
//! - *Held out.* An audit that has trained the head that is judged by it says nothing.
//! - *Right answers.* The promise is agreement with the person who answers.
//! - *The same stream.* Items that come later look like those that were audited: [`Monitor`] watches this.
//! - *One look at a time.* The guarantee of [`certify`] holds at any one moment fixed beforehand, for what the
//!   threshold of that moment accepts. It does not hold at all moments at once: who certifies again after each
//!   audit, and counts the worst moment, finds a shortfall far more often than δ. [`Looks::Any`] holds
//!   at all moments at once, and asks for more audits; so does the monitor's guarantee, whichever is used.

use super::label::LabelId;
use super::order::most_confident_first;

/// What the person asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The least share of right labels among what the model settles: 0.5 or more, below 1.
    pub accuracy: f64,
    /// How sure that must be, 1 − δ: above 0, below 1.
    pub confidence: f64,
}

impl Default for Target {
    /// 95 % right, with 90 % confidence.
    fn default() -> Self {
        Self { accuracy: 0.95, confidence: 0.90 }
    }
}

impl Target {
    /// A target, or `None` if no number of audits could ever show that it is met.
    #[must_use]
    pub fn new(accuracy: f64, confidence: f64) -> Option<Self> {
        let possible = (0.5..1.0).contains(&accuracy) && confidence > 0.0 && confidence < 1.0;
        possible.then_some(Self { accuracy, confidence })
    }

    /// Whether so many errors in so many audits show that the target is met.
    fn passes(&self, errors: usize, n: usize) -> bool {
        tail(errors, n, 1.0 - self.accuracy) <= 1.0 - self.confidence
    }
}

/// P(X ≤ `errors`) of X ~ Binomial(`n`, `rate`).
///
/// The terms are added from the greatest outwards on the side that does not hold the mean, so that no
/// digits are lost; relative error below 1e-11 for `n` up to a million.
#[allow(clippy::cast_precision_loss)]
fn tail(errors: usize, n: usize, rate: f64) -> f64 {
    if errors >= n || rate <= 0.0 {
        return 1.0;
    }
    if rate >= 1.0 {
        return 0.0;
    }
    let odds = rate / (1.0 - rate);
    let below = errors as f64 <= n as f64 * rate;
    let first = if below { errors } else { errors + 1 };
    // ln of C(n, first) · rateᶠ · (1 − rate)ⁿ⁻ᶠ
    let fewer = first.min(n - first);
    let ways: f64 = (1..=fewer).map(|i| ((n - fewer + i) as f64 / i as f64).ln()).sum();
    let mut term = (ways + first as f64 * rate.ln() + (n - first) as f64 * (-rate).ln_1p()).exp();
    let (mut sum, mut at) = (0.0, first);
    while term > sum * 1e-18 {
        sum += term;
        if below {
            term *= at as f64 / (odds * (n - at + 1) as f64);
            at = at.wrapping_sub(1);
        } else {
            term *= odds * (n - at) as f64 / (at + 1) as f64;
            at += 1;
        }
    }
    if below { sum.min(1.0) } else { (1.0 - sum).max(0.0) }
}

/// The accuracy at which so few errors have the chance `chance`.
fn accuracy_at(errors: usize, n: usize, chance: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // Each step halves the interval: 60 leave less than an f64 near 1 tells apart.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if tail(errors, n, 1.0 - middle) > chance { high = middle } else { low = middle }
    }
    f64::midpoint(low, high)
}

/// The accuracy that `errors` errors in `n` audits show with `confidence`: one-sided, exact.
///
/// Clopper–Pearson: the quantile 1 − `confidence` of Beta(`n − errors`, `errors + 1`). 0 if `n` is 0.
#[must_use]
pub fn lower_bound(errors: usize, n: usize, confidence: f64) -> f64 {
    if errors >= n { 0.0 } else { accuracy_at(errors, n, 1.0 - confidence) }
}

/// The least and the greatest accuracy that agree with `errors` errors in `n` audits: two-sided, exact.
///
/// Clopper–Pearson with (1 − `confidence`) / 2 on each side; (0, 1) if `n` is 0.
#[must_use]
pub fn interval(errors: usize, n: usize, confidence: f64) -> (f64, f64) {
    let side = (1.0 - confidence) / 2.0;
    let lower = lower_bound(errors, n, 1.0 - side);
    let upper = if errors == 0 { 1.0 } else { accuracy_at(errors - 1, n, 1.0 - side) };
    (lower, upper)
}

/// How many errors `n` audits may hold and still show that the target is met; `None` if not even none.
#[must_use]
pub fn errors_allowed(n: usize, target: &Target) -> Option<usize> {
    if n == 0 || !target.passes(0, n) {
        return None;
    }
    let (mut passes, mut fails) = (0, n);
    while fails - passes > 1 {
        let middle = passes.midpoint(fails);
        if target.passes(middle, n) { passes = middle } else { fails = middle }
    }
    Some(passes)
}

/// How many audits it takes to show that the target is met when `errors` of them are wrong.
///
/// For 95 % at 90 % confidence: 45 without an error, 77 with one, 105 with two. `usize::MAX` for a target
/// that cannot be shown ([`Target::new`]).
#[must_use]
pub fn audits_needed(errors: usize, target: &Target) -> usize {
    if Target::new(target.accuracy, target.confidence).is_none() {
        return usize::MAX;
    }
    let (mut low, mut high) = (errors, errors + 1);
    while !target.passes(errors, high) {
        (low, high) = (high, high.saturating_mul(2));
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if target.passes(errors, middle) { high = middle } else { low = middle }
    }
    high
}

/// One blind check: what the model says now of an item that was drawn at random, and whether it is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// Under the model that is judged, calibrated or not: only the order counts. 0 to 1.
    pub confidence: f32,
    /// Whether the model's label is the person's.
    pub right: bool,
}

/// Whether the promise is earned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// What has at least this confidence may be settled by the model.
    Earned {
        /// The least confidence that is accepted.
        threshold: f32,
        /// Audits at or above it.
        audits: usize,
        /// Those of them that were wrong.
        errors: usize,
        /// The accuracy at or above the threshold is at least this ([`lower_bound`] of the two).
        bound: f64,
    },
    /// Nothing may be settled by the model yet.
    NotYet {
        /// The most confident audits, which have to pass before any others are looked at; all, if there
        /// are too few yet.
        audits: usize,
        /// Those of them that were wrong.
        errors: usize,
        /// How many more audits it takes if all of them turn out right and are as confident, in the mix, as
        /// those so far: without an error, `audits + needed` is [`audits_needed`] without an error. At
        /// least 1.
        needed: usize,
    },
}

/// The test begins with this part of the audits, the most confident ones, but never with fewer than can pass.
///
/// With few audits that is the least number that can pass at all, which allows no error; a single slip of
/// the person would then forbid everything for ever, however many audits follow. A fifth, once it is more
/// than that, allows the errors that even a good model makes. Simulated at 95 % with 400 audits (400 runs):
/// for a model that is 98.5 % right whatever its confidence the promise covers 54 % in place of 32 %, for
/// models whose confidence sorts well the same as before; only a model that is right in no more than its
/// topmost tenth loses by it (1 % in place of 3 %).
const BEGIN: usize = 5;

/// How many of `audits` audits are tested first: the most that allow no more errors than a fifth does.
fn first_step(audits: usize, target: &Target) -> usize {
    let allowed = errors_allowed(audits / BEGIN, target).unwrap_or(0);
    audits_needed(allowed, target)
}

/// Finds the least confidence from which on the target is met, or says how much is missing.
///
/// The most confident audits are tested first, then one less confident after the other is added; the last
/// that passed gives the threshold. Audits of equal confidence are added together, since no threshold can
/// tell them apart. What is accepted is always all of confidence ≥ threshold. The result does not depend
/// on the order of `audits`.
#[must_use]
pub fn certify(audits: &[Audit], target: &Target) -> Verdict {
    let order = most_confident_first(audits.iter().map(|audit| audit.confidence));
    match earned(&order, audits, target) {
        Ok(earned) => earned,
        Err((n, errors)) => NotYet::of(&order, audits, n, errors, target),
    }
}

/// [`Verdict::Earned`], or how many of the audits, the most confident first, were tested in vain, and how many of
/// these are wrong.
fn earned(order: &[usize], audits: &[Audit], target: &Target) -> Result<Verdict, (usize, usize)> {
    let first = first_step(audits.len(), target);
    let mut errors = 0;
    let mut earned = None;
    for (place, &at) in order.iter().enumerate() {
        let audit = &audits[at];
        errors += usize::from(!audit.right);
        let n = place + 1;
        let tied = order.get(n).is_some_and(|&next| audits[next].confidence >= audit.confidence);
        if n < first || tied {
            continue;
        }
        if !target.passes(errors, n) {
            if earned.is_none() {
                return Err((n, errors));
            }
            break;
        }
        earned = Some((audit.confidence, n, errors));
    }
    match earned {
        Some((threshold, audits, errors)) => {
            let bound = lower_bound(errors, audits, target.confidence);
            Ok(Verdict::Earned { threshold, audits, errors, bound })
        }
        None => Err((audits.len(), errors)),
    }
}

/// Makes [`Verdict::NotYet`].
struct NotYet;

impl NotYet {
    fn of(order: &[usize], audits: &[Audit], n: usize, errors: usize, target: &Target) -> Verdict {
        let all = order.len();
        let ranks = Self::ranks(order, audits);
        let passes = |more: usize| Self::would_pass(&ranks, all, more, target);
        let least = audits_needed(0, target).saturating_sub(all).max(1);
        // All known errors are allowed for at the latest when a fifth of the audits allows them.
        let most = audits_needed(ranks.len(), target).saturating_mul(BEGIN).saturating_sub(all).max(least);
        // Not quite monotone, since the first step moves; doubling and halving finds a passing number that
        // is near the least.
        let (mut low, mut high) = (least - 1, least);
        while high < most && !passes(high) {
            (low, high) = (high, (high * 2).min(most));
        }
        while high - low > 1 {
            let middle = low.midpoint(high);
            if passes(middle) { high = middle } else { low = middle }
        }
        Verdict::NotYet { audits: n, errors, needed: high }
    }

    /// Which of the audits, the most confident first, are wrong.
    fn ranks(order: &[usize], audits: &[Audit]) -> Vec<usize> {
        (0..order.len()).filter(|&rank| !audits[order[rank]].right).collect()
    }

    /// Whether the first step passes with `more` right audits of the same mix as the `all` of now, whose wrong
    /// ones have these ranks: the errors known so far then lie that much lower.
    fn would_pass(ranks: &[usize], all: usize, more: usize, target: &Target) -> bool {
        let first = first_step(all + more, target);
        let lower = |rank: usize| (rank as u64 + 1) * (all + more + 1) as u64 / (all as u64 + 1);
        let above = |rank: &&usize| lower(**rank) <= first as u64;
        first <= all + more && target.passes(ranks.iter().filter(above).count(), first)
    }
}

/// When the audits are looked at, and so what the promise is worth over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Looks {
    /// After each audit, each look at the full δ: the promise holds at a moment fixed beforehand.
    #[default]
    Fixed,
    /// At numbers of audits that double, δ divided over them: it holds at all moments at once.
    Any,
}

impl Looks {
    /// What the audits so far, in order of answering, are worth. With [`Looks::Fixed`] that is [`certify`].
    ///
    /// With [`Looks::Any`], for who looks after each audit, the promise holds at all moments at once.
    ///
    /// `audits` are in order of answering. Only those count that were there at the last look; looks are at numbers
    /// of audits that are fixed beforehand, n₀ · 2ᵏ for k = 0, 1, …, with the part δₖ = δ · 0.4 · 0.6ᵏ of δ each
    /// (α-spending; Bonferroni over the looks). So with probability of at least 1 − δ every threshold that is
    /// ever in force under one model keeps the target, whoever stops or goes on when: between two looks the same
    /// audits are judged. n₀ is the least number that can pass at δ₀: 63 for 95 % at 90 % confidence, where
    /// [`certify`] asks for 45.
    ///
    /// A new head is judged on the audits of the last look, too. No look is counted for it: the heads are trained
    /// on other answers, but many of them are as many chances.
    ///
    /// [`Verdict::NotYet`] tells of all audits, and `needed` is how many are lacking to the first look that would
    /// pass if all of these turn out right.
    #[must_use]
    pub fn certify(self, audits: &[Audit], target: &Target) -> Verdict {
        match self {
            Self::Fixed => certify(audits, target),
            Self::Any => certify_at_looks(audits, target),
        }
    }

    /// The audits, of the `audits` answered so far, that count now, and the target that they have to show.
    #[must_use]
    pub fn last(self, audits: usize, target: &Target) -> (usize, Target) {
        match self {
            Self::Fixed => (audits, *target),
            Self::Any => {
                let (mut last, mut look) = ((0, share_of(0, target)), 0);
                while look_at(look, target) <= audits && look < MOST_LOOKS {
                    last = (look_at(look, target), share_of(look, target));
                    look += 1;
                }
                last
            }
        }
    }

    /// How many audits of those that count next are still to be answered, at least 1.
    #[must_use]
    pub fn until_next(self, audits: usize, target: &Target) -> usize {
        match self {
            Self::Fixed => 1,
            Self::Any => {
                let next = (0..MOST_LOOKS).map(|look| look_at(look, target)).find(|at| *at > audits);
                next.map_or(usize::MAX, |next| next - audits)
            }
        }
    }
}

/// The share of what is left of δ that each look takes.
///
/// Of the divisions that were simulated (geometric with 0.2 to 0.5, even over three or four looks, 1/k², with looks
/// 1.25 to 2 times as far each), this one with doubling looks settles nearly as much as the best in each of the
/// streams of `make eval`, and can earn nearly as early as the earliest.
const A_LOOK: f64 = 0.4;
/// So many doublings are beyond what a browser holds.
const MOST_LOOKS: i32 = 30;

/// The target at one look: δ · 0.4 · 0.6ᵏ of the δ. All looks together add up to δ.
fn share_of(look: i32, target: &Target) -> Target {
    Target { confidence: 1.0 - (1.0 - target.confidence) * A_LOOK * (1.0 - A_LOOK).powi(look), ..*target }
}

/// The number of audits of a look: as many as the first can pass with, and twice as many each time.
fn look_at(look: i32, target: &Target) -> usize {
    audits_needed(0, &share_of(0, target)).saturating_mul(1 << look)
}

/// What [`Looks::certify`] says of [`Looks::Any`].
fn certify_at_looks(audits: &[Audit], target: &Target) -> Verdict {
    let by_confidence = |audits: &[Audit]| most_confident_first(audits.iter().map(|audit| audit.confidence));
    let (count, share) = Looks::Any.last(audits.len(), target);
    let looked_at = &audits[..count.min(audits.len())];
    if let Ok(earned) = earned(&by_confidence(looked_at), looked_at, &share) {
        return earned;
    }
    let order = by_confidence(audits);
    let ranks = NotYet::ranks(&order, audits);
    let mut needed = usize::MAX;
    for look in 0..MOST_LOOKS {
        let more = look_at(look, target).saturating_sub(audits.len());
        if more > 0 && NotYet::would_pass(&ranks, audits.len(), more, &share_of(look, target)) {
            needed = more;
            break;
        }
    }
    Verdict::NotYet { audits: audits.len(), errors: ranks.len(), needed }
}

/// Verdicts for single labels and for all the rest together.
#[derive(Clone, Debug, PartialEq)]
pub struct PerLabel {
    /// Labels with audits enough for a verdict of their own, in label order.
    pub own: Vec<(LabelId, Verdict)>,
    /// The verdict for whatever else is predicted; over all audits if no label has its own.
    pub rest: Verdict,
}

/// Like [`certify`] for single labels, where there are audits enough.
///
/// `audits` names with each audit the label that the model *predicts*, since that is all that is known of an
/// item that nobody looks at. Predicted labels with audits enough are tested alone, the others together as
/// one group. δ is divided evenly over the groups (Bonferroni), so with probability of at least 1 − δ the
/// target is met *in each group at once*, and so by all that is accepted. Which labels are tested alone
/// depends on numbers of audits only, never on their outcomes, and "enough" is twice what a label without
/// an error needs at its share of δ.
///
/// This is a stronger promise than that of [`certify`] and asks for more audits: there, an easy label can
/// make up for a hard one; here it cannot, and a label that is not yet earned is not accepted, though the
/// threshold over all labels might have let it pass. A threshold of [`certify`] must not be used for the
/// labels that are left over: what it promises holds for all labels together, not for those alone.
#[must_use]
pub fn certify_per_label(audits: &[(LabelId, Audit)], target: &Target) -> PerLabel {
    let mut counts: Vec<(LabelId, usize)> = Vec::new();
    for (label, _) in audits {
        let at = counts.partition_point(|(known, _)| known < label);
        match counts.get_mut(at) {
            Some((known, count)) if known == label => *count += 1,
            _ => counts.insert(at, (*label, 1)),
        }
    }
    let divided = |groups: usize| {
        #[allow(clippy::cast_precision_loss)]
        Target { confidence: 1.0 - (1.0 - target.confidence) / groups as f64, ..*target }
    };
    // Fewer groups need fewer audits each; what falls out stays out, so this ends.
    let mut groups = counts.len() + 1;
    let share = loop {
        let share = divided(groups);
        let enough = audits_needed(0, &share).saturating_mul(2);
        counts.retain(|(_, count)| *count >= enough);
        if counts.len() + 1 == groups {
            break share;
        }
        groups = counts.len() + 1;
    };
    let of = |wanted: Option<LabelId>| {
        let belongs = |label: &LabelId| match wanted {
            Some(wanted) => *label == wanted,
            None => counts.iter().all(|(own, _)| own != label),
        };
        let group: Vec<Audit> = audits.iter().filter(|(l, _)| belongs(l)).map(|(_, audit)| *audit).collect();
        certify(&group, &share)
    };
    PerLabel { own: counts.iter().map(|(label, _)| (*label, of(Some(*label)))).collect(), rest: of(None) }
}

/// How many times the promised error rate the alternatives are that the monitor holds against it.
const TIMES: [f64; 4] = [1.5, 2.0, 3.0, 5.0];

/// Watches whether what is accepted stays as accurate as promised.
///
/// It is fed the outcome of each audit of an item at or above the threshold that was in force *before* the
/// audit was answered, in order of answering. Its null hypothesis: whatever came before, the chance that
/// the next one is wrong is at most ε = 1 − accuracy.
///
/// The evidence against it is an e-process: the wealth of a gambler who bets on errors at fair odds
/// (Ramdas et al., *Game-theoretic statistics and safe anytime-valid inference*, Statistical Science 2023,
/// arXiv 2210.01948). A bet is the likelihood ratio of an error rate r·ε against ε, which is the betting
/// martingale Π(1 + λ(x − ε)) with λ = (r − 1) / (1 − ε); capital is divided evenly over r = 1.5, 2, 3 and
/// 5, and over the audit at which the bet begins with weights in proportion to 1 / (s ln² s), s = 2, 3, …,
/// which add up to 1, so that a change that comes late is found nearly as fast as an early one (1/s² would
/// cost 2.8 nats more at the thousandth audit). By Ville's inequality the evidence reaches 1 / α with
/// probability α at most, *ever*: it may be looked at after each audit. α is the target's δ.
///
/// What it does not notice: an accuracy that falls from 99 % to 96 % under a promise of 95 %, which is no
/// breach; and errors that the person makes alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    epsilon: f64,
    alarm_at: f64,
    seen: usize,
    /// For each of [`TIMES`]: the wealth of all bets begun so far.
    wealth: [f64; TIMES.len()],
    /// For each: the greatest wealth of a bet begun with 1 at one audit, and at which (CUSUM).
    best: [(f64, usize); TIMES.len()],
    not_yet_bet: f64,
    alarm: Option<Alarm>,
}

/// The promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// After how many outcomes it was noticed.
    pub at: usize,
    /// The outcome from which on it was most likely broken, counted from 0: those before it speak of a
    /// stream that has passed, and no longer for a threshold.
    pub since: usize,
}

impl Monitor {
    /// A monitor that has seen nothing.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self {
            epsilon: 1.0 - target.accuracy,
            alarm_at: 1.0 / (1.0 - target.confidence),
            seen: 0,
            wealth: [0.0; TIMES.len()],
            best: [(1.0, 0); TIMES.len()],
            not_yet_bet: 1.0,
            alarm: None,
        }
    }

    /// A monitor that has seen these outcomes, oldest first: how one is taken back.
    #[must_use]
    pub fn of(outcomes: impl IntoIterator<Item = bool>, target: &Target) -> Self {
        let mut monitor = Self::new(target);
        outcomes.into_iter().for_each(|right| monitor.note(right));
        monitor
    }

    /// Notes the next outcome; says nothing new once there is an alarm.
    #[allow(clippy::cast_precision_loss)]
    pub fn note(&mut self, right: bool) {
        let s = (self.seen + 2) as f64;
        // The sum of 1 / (s ln² s) over s ≥ 2 is 2.109743 (OEIS A115563).
        let stake = 1.0 / (s * s.ln() * s.ln() * 2.109_744);
        self.not_yet_bet -= stake;
        for ((wealth, best), times) in self.wealth.iter_mut().zip(&mut self.best).zip(TIMES) {
            // Half-way to certain error, if so many times the rate would be more than that.
            let rate = (times * self.epsilon).min(f64::midpoint(self.epsilon, 1.0));
            let ratio = if right { (1.0 - rate) / (1.0 - self.epsilon) } else { rate / self.epsilon };
            *wealth = (*wealth + stake) * ratio;
            if best.0 <= 1.0 {
                *best = (1.0, self.seen);
            }
            best.0 *= ratio;
        }
        self.seen += 1;
        if self.alarm.is_none() && self.evidence() >= self.alarm_at {
            let likeliest = self.best.iter().fold(self.best[0], |a, b| if b.0 > a.0 { *b } else { a });
            self.alarm = Some(Alarm { at: self.seen, since: likeliest.1 });
        }
    }

    /// How many outcomes it has seen.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The evidence against the promise: 1 is none, 1 / δ is an alarm. May fall again.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn evidence(&self) -> f64 {
        self.wealth.iter().sum::<f64>() / TIMES.len() as f64 + self.not_yet_bet
    }

    /// The first alarm. It stays, even if the evidence falls again.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const AT_95: Target = Target { accuracy: 0.95, confidence: 0.90 };

    fn target(accuracy: f64) -> Target {
        Target::new(accuracy, 0.90).unwrap()
    }

    /// One audit a letter, the most confident first: `r`ight or `w`rong.
    fn audits(outcomes: &str) -> Vec<Audit> {
        let confidence = |place: u16| 1.0 - f32::from(place) / 10_000.0;
        let audit = |(place, letter)| Audit { confidence: confidence(place), right: letter == 'r' };
        (0..).zip(outcomes.chars()).map(audit).collect()
    }

    fn right(count: usize) -> String {
        "r".repeat(count)
    }

    /// `scipy.stats.beta.ppf(1 - confidence, n - errors, errors + 1)` of SciPy 1.17.1.
    #[test]
    fn the_bound_is_clopper_and_pearsons() {
        let expected = [
            (0, 1, 0.9, 0.1),
            (0, 45, 0.9, 0.950118507318144),
            (1, 77, 0.9, 0.950422639560088),
            (0, 44, 0.95, 0.934181228855066),
            (3, 100, 0.95, 0.92428920625017),
            (7, 20, 0.9, 0.481969242681795),
            (19, 20, 0.9, 0.00525417406946894),
            (50, 1000, 0.99, 0.931595106304369),
            (500, 1000, 0.9, 0.479250990849775),
            (250, 10000, 0.95, 0.972276994098935),
            (40000, 100000, 0.999, 0.595201047294585),
            (3, 20000, 0.9, 0.999665991583787),
        ];
        for (errors, n, confidence, bound) in expected {
            let found = lower_bound(errors, n, confidence);
            assert!((found - bound).abs() < 1e-9, "{errors} of {n} at {confidence}: {found}, not {bound}");
        }
        assert_eq!((lower_bound(0, 0, 0.9), lower_bound(7, 7, 0.9)), (0.0, 0.0));
    }

    /// `scipy.stats.binomtest(n - errors, n).proportion_ci(confidence)` of SciPy 1.17.1.
    #[test]
    fn the_interval_is_clopper_and_pearsons() {
        let expected = [
            (0, 10, 0.9, 0.741134449106948, 1.0),
            (10, 10, 0.9, 0.0, 0.258865550893052),
            (1, 30, 0.9, 0.851403931340887, 0.998291684355534),
            (12, 400, 0.9, 0.951846078977774, 0.982600255230409),
            (12, 400, 0.95, 0.948182784569416, 0.984404447000106),
            (333, 1000, 0.99, 0.627375614178442, 0.705010945985015),
        ];
        for (errors, n, confidence, lower, upper) in expected {
            let found = interval(errors, n, confidence);
            assert!((found.0 - lower).abs() < 1e-9, "{errors} of {n} at {confidence}: {found:?}");
            assert!((found.1 - upper).abs() < 1e-9, "{errors} of {n} at {confidence}: {found:?}");
        }
        assert_eq!(interval(0, 0, 0.9), (0.0, 1.0));
    }

    #[test]
    fn so_many_audits_earn_a_promise() {
        let needed = |accuracy| [0, 1, 2].map(|errors| audits_needed(errors, &target(accuracy)));
        assert_eq!(needed(0.90), [22, 38, 52]);
        assert_eq!(needed(0.95), [45, 77, 105]);
        assert_eq!(needed(0.98), [114, 194, 265]);
        assert_eq!(needed(0.99), [230, 388, 531]);
        for errors in 0..60 {
            let n = audits_needed(errors, &AT_95);
            assert_eq!(errors_allowed(n, &AT_95), Some(errors));
            assert_eq!(errors_allowed(n - 1, &AT_95), errors.checked_sub(1));
            assert!(lower_bound(errors, n, 0.9) >= 0.95 && lower_bound(errors, n - 1, 0.9) < 0.95);
        }
    }

    #[test]
    fn a_target_that_no_audits_can_show_is_none() {
        for (accuracy, confidence) in [(1.0, 0.9), (0.3, 0.9), (0.95, 1.0), (0.95, 0.0), (f64::NAN, 0.9)] {
            assert_eq!(Target::new(accuracy, confidence), None);
            let target = Target { accuracy, confidence };
            assert_eq!(audits_needed(0, &target), usize::MAX);
            assert!(matches!(certify(&audits(&right(300)), &target), Verdict::NotYet { .. }));
        }
    }

    #[test]
    fn thirty_eight_right_audits_are_seven_short() {
        let verdict = certify(&audits(&right(38)), &AT_95);
        assert_eq!(verdict, Verdict::NotYet { audits: 38, errors: 0, needed: 7 });
        assert_eq!(certify(&[], &AT_95), Verdict::NotYet { audits: 0, errors: 0, needed: 45 });
    }

    #[test]
    fn who_looks_all_the_time_is_told_how_far_the_next_look_is() {
        let at = |outcomes: &str| certify_at_looks(&audits(outcomes), &AT_95);
        assert_eq!(at(""), Verdict::NotYet { audits: 0, errors: 0, needed: 63 });
        assert_eq!(at(&right(38)), Verdict::NotYet { audits: 38, errors: 0, needed: 25 });
        assert_eq!(at(&right(62)), Verdict::NotYet { audits: 62, errors: 0, needed: 1 });
        assert!(
            matches!(at(&right(63)), Verdict::Earned { audits: 63, errors: 0, bound, .. } if bound >= 0.95)
        );
        // What comes after a look changes nothing before the next one, neither for better nor for worse.
        assert_eq!(at(&(right(63) + &"w".repeat(60))), at(&right(63)));
        assert!(matches!(
            at(&(right(63) + &"w".repeat(63))),
            Verdict::NotYet { audits: 126, errors: 63, .. }
        ));
        assert!(matches!(at(&(right(90) + &"w".repeat(36))), Verdict::Earned { audits: 90, errors: 0, .. }));
        // A mistake at the very top is not made good by the second look, nor by the third.
        let Verdict::NotYet { audits: 40, errors: 1, needed } = at(&("w".to_owned() + &right(39))) else {
            unreachable!()
        };
        assert!((40 + needed) % 63 == 0 && needed > 212, "{needed}");
        let then = |more: usize| at(&("w".to_owned() + &right(39 + more)));
        assert!(matches!(then(needed), Verdict::Earned { errors: 1, .. }));
        assert!(matches!(then(needed - 1), Verdict::NotYet { .. }));
    }

    #[test]
    fn all_looks_together_spend_no_more_than_there_is() {
        for target in [AT_95, target(0.99), Target::new(0.6, 0.99).unwrap()] {
            let spent: f64 = (0..MOST_LOOKS).map(|look| 1.0 - share_of(look, &target).confidence).sum();
            let whole = 1.0 - target.confidence;
            assert!(spent <= whole && spent > 0.999 * whole, "{spent} of {whole}");
        }
    }

    #[test]
    fn what_is_missing_is_enough_if_all_of_it_is_right() {
        for outcomes in
            ["rrrrrrrrrrrrw", "wrrrrrrrrrr", &(right(44) + "w" + &right(20)), "wwww", "rwrrrrwrrrrw"]
        {
            let Verdict::NotYet { needed, .. } = certify(&audits(outcomes), &AT_95) else { unreachable!() };
            // So many more, all right, evenly among those that are known.
            let with = |more: usize| {
                let mut all = vec!['r'; outcomes.len() + more];
                let (now, then) = (outcomes.len() + 1, all.len() + 1);
                for (rank, letter) in outcomes.chars().enumerate() {
                    all[(rank + 1) * then / now - 1] = letter;
                }
                certify(&audits(&all.into_iter().collect::<String>()), &AT_95)
            };
            assert!(matches!(with(needed), Verdict::Earned { .. }), "{outcomes}: {needed}");
            assert!(matches!(with(needed - 1), Verdict::NotYet { .. }), "{outcomes}: {needed}");
        }
    }

    #[test]
    fn the_threshold_is_the_last_confidence_that_passed() {
        let audits = audits(&(right(50) + "w" + &right(9)));
        let Verdict::Earned { threshold, audits: n, errors, bound } = certify(&audits, &AT_95) else {
            unreachable!()
        };
        assert_eq!((threshold.to_bits(), n, errors), (audits[49].confidence.to_bits(), 50, 0));
        assert!((bound - lower_bound(0, 50, 0.9)).abs() < 1e-12 && bound >= 0.95);
    }

    #[test]
    fn the_order_of_the_audits_does_not_matter() {
        let sorted = audits(&(right(80) + "wrw" + &right(40) + "wwww"));
        let mut turned = sorted.clone();
        turned.reverse();
        turned.rotate_left(31);
        assert_eq!(certify(&sorted, &AT_95), certify(&turned, &AT_95));
    }

    #[test]
    fn equal_confidences_stand_or_fall_together() {
        let mut tied = audits(&(right(48) + "wwww"));
        // A threshold that lets 46 to 48 pass lets the four errors pass too.
        for audit in &mut tied[45..] {
            audit.confidence = 0.5;
        }
        let Verdict::Earned { threshold, audits, .. } = certify(&tied, &AT_95) else { unreachable!() };
        assert_eq!((threshold > 0.9, audits), (true, 45));
        tied.iter_mut().for_each(|audit| audit.confidence = 0.5);
        assert!(matches!(certify(&tied, &AT_95), Verdict::NotYet { audits: 52, errors: 4, .. }));
    }

    #[test]
    fn many_audits_forgive_the_most_confident_mistake() {
        assert!(matches!(certify(&audits(&("w".to_owned() + &right(300))), &AT_95), Verdict::NotYet { .. }));
        assert!(matches!(certify(&audits(&("w".to_owned() + &right(384))), &AT_95), Verdict::Earned { .. }));
    }

    fn of_label(label: u16, outcomes: &str) -> Vec<(LabelId, Audit)> {
        audits(outcomes).into_iter().map(|audit| (LabelId(label), audit)).collect()
    }

    #[test]
    fn a_hard_label_does_not_hide_behind_an_easy_one() {
        let hard = (right(9) + "w").repeat(20);
        let mut all = [of_label(0, &right(2000)), of_label(1, &hard), of_label(2, "rrrr")].concat();
        // The hard label's confidences reach as far down as the easy one's.
        for (_, audit) in &mut all[2000..2200] {
            audit.confidence = 1.0 - 10.0 * (1.0 - audit.confidence);
        }
        let common: Vec<Audit> = all.iter().map(|(_, audit)| *audit).collect();
        assert!(matches!(certify(&common, &AT_95), Verdict::Earned { audits: 2204, .. }));
        let verdicts = certify_per_label(&all, &AT_95);
        assert_eq!(verdicts.own.len(), 2);
        assert!(matches!(verdicts.own[0], (LabelId(0), Verdict::Earned { audits: 2000, .. })));
        assert!(matches!(verdicts.own[1], (LabelId(1), Verdict::NotYet { .. })));
        assert!(matches!(verdicts.rest, Verdict::NotYet { audits: 4, errors: 0, .. }));
    }

    #[test]
    fn without_evidence_for_single_labels_all_are_judged_together() {
        let all = [of_label(0, &right(40)), of_label(5, &right(40))].concat();
        let common: Vec<Audit> = all.iter().map(|(_, audit)| *audit).collect();
        let verdicts = certify_per_label(&all, &AT_95);
        assert_eq!((verdicts.own.len(), verdicts.rest), (0, certify(&common, &AT_95)));
    }

    #[test]
    fn an_outcome_that_is_taken_back_was_never_seen() {
        let outcomes: Vec<bool> = (0..200).map(|i| i % 9 != 0).collect();
        let mut monitor = Monitor::new(&AT_95);
        outcomes.iter().for_each(|right| monitor.note(*right));
        let without: Vec<bool> = outcomes[..199].to_vec();
        monitor = Monitor::of(without.iter().copied(), &AT_95);
        let mut never = Monitor::new(&AT_95);
        without.iter().for_each(|right| never.note(*right));
        assert_eq!(monitor, never);
        assert_eq!(Monitor::of([], &AT_95), Monitor::new(&AT_95));
        assert!((Monitor::new(&AT_95).evidence() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_alarm_says_since_when() {
        let outcomes = (0..400).map(|i| i < 300 || i % 4 != 0);
        let alarm = Monitor::of(outcomes, &AT_95).alarm().unwrap();
        assert_eq!(alarm.since, 300);
        assert!(alarm.at < 360, "{alarm:?}");
    }

    #[test]
    fn bets_are_fair_at_the_promised_rate() {
        // The expected evidence after the next outcome is the evidence now: a martingale, for each target.
        for accuracy in [0.5, 0.8, 0.95, 0.99] {
            let target = target(accuracy);
            for before in [vec![], vec![true; 40], vec![false, true, true, false, true]] {
                let after = |right| Monitor::of(before.iter().copied().chain([right]), &target).evidence();
                let now = Monitor::of(before.iter().copied(), &target).evidence();
                let expected = accuracy * after(true) + (1.0 - accuracy) * after(false);
                assert!((expected - now).abs() < 1e-9 * now, "{now} becomes {expected}");
            }
        }
    }
}
