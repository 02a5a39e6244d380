//! The learned correction of a model's scores, and how it is fitted.

use super::super::prediction::Activation;
use super::lanes::{add_scaled, dot, dots_f32, product};

/// What a head corrects the scores with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// `logit_k = base_k + w_k · features + b_k`.
    Linear,
    /// `logit_k = (1 + a_k) · base_k + b_k`, for models that give no features (vector scaling: Guo et al.,
    /// *On Calibration of Modern Neural Networks*, ICML 2017).
    VectorScaling,
}

/// A correction of a model's own logits (`base`). All zeros is the model exactly as it came, so that a
/// pretrained head of any form is the prior of what is learned.
///
/// A label beyond those that the model scores has as its base the least of the model's logits for the item
/// (zero if the model gives none): the model cannot speak for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    kind: HeadKind,
    labels: usize,
    features: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    /// The head that changes nothing. `features` is ignored by vector scaling.
    #[must_use]
    pub fn none(kind: HeadKind, labels: usize, features: usize) -> Self {
        let features = if kind == HeadKind::Linear { features } else { 0 };
        let weights = vec![0.0; Self::weights_needed(kind, labels, features)];
        Self { kind, labels, features, weights, bias: vec![0.0; labels] }
    }

    /// A head from its numbers: `weights` is labels × features, row by row (one number a label for vector
    /// scaling), `bias` one number a label. `None` if the lengths disagree or a number is not finite.
    #[must_use]
    pub fn from_parts(
        kind: HeadKind,
        labels: usize,
        features: usize,
        weights: Vec<f32>,
        bias: Vec<f32>,
    ) -> Option<Self> {
        let features = if kind == HeadKind::Linear { features } else { 0 };
        let fits = weights.len() == Self::weights_needed(kind, labels, features) && bias.len() == labels;
        let finite = weights.iter().chain(&bias).all(|w| w.is_finite());
        (fits && finite).then_some(Self { kind, labels, features, weights, bias })
    }

    fn weights_needed(kind: HeadKind, labels: usize, features: usize) -> usize {
        match kind {
            HeadKind::Linear => labels * features,
            HeadKind::VectorScaling => labels,
        }
    }

    /// What it corrects with.
    #[must_use]
    pub fn kind(&self) -> HeadKind {
        self.kind
    }

    /// How many labels it knows.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// How many features it reads; zero for vector scaling.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// Labels × features, row by row; one number a label for vector scaling.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// One number a label.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The weights of one label.
    fn row(&self, label: usize) -> &[f32] {
        let width = self.weights.len() / self.labels.max(1);
        &self.weights[label * width..(label + 1) * width]
    }

    /// Whether it changes nothing at all.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.weights.iter().chain(&self.bias).all(|w| *w == 0.0)
    }

    /// Whether it says anything of this label.
    #[must_use]
    pub fn speaks_of(&self, label: usize) -> bool {
        label < self.labels && (self.bias[label] != 0.0 || self.row(label).iter().any(|w| *w != 0.0))
    }

    /// The corrected logits of one item, one a label, in place of what `into` held.
    ///
    /// `base` are the model's own logits (fewer than the labels, or none: see [`Head`]), `features` what the
    /// model gave, of the width that the head reads.
    pub fn logits(&self, base: &[f32], features: &[f32], into: &mut Vec<f64>) {
        into.clear();
        let own = Base::of(base);
        match self.kind {
            HeadKind::VectorScaling => {
                let pairs = self.weights.iter().zip(&self.bias).enumerate();
                into.extend(pairs.map(|(k, (a, b))| (1.0 + f64::from(*a)) * own.at(k) + f64::from(*b)));
            }
            HeadKind::Linear if self.features == 0 => {
                into.extend(self.bias.iter().enumerate().map(|(k, b)| own.at(k) + f64::from(*b)));
            }
            HeadKind::Linear => {
                debug_assert_eq!(features.len(), self.features);
                let mut k = 0;
                dots_f32(&features[..self.features], &self.weights, |sum| {
                    into.push(own.at(k) + (f64::from(sum) + f64::from(self.bias[k])));
                    k += 1;
                });
            }
        }
    }

    /// The same head for this many labels: those that come in anew start at zero, those beyond go.
    #[must_use]
    pub fn with_labels(&self, labels: usize) -> Self {
        let mut head = self.clone();
        head.weights.resize(Self::weights_needed(self.kind, labels, self.features), 0.0);
        head.bias.resize(labels, 0.0);
        head.labels = labels;
        head
    }

    /// A head of only these labels, in this order.
    pub(super) fn only(&self, labels: &[usize]) -> Self {
        Self {
            labels: labels.len(),
            weights: labels.iter().flat_map(|k| self.row(*k)).copied().collect(),
            bias: labels.iter().map(|k| self.bias[*k]).collect(),
            ..*self
        }
    }

    /// This head with the rows of `labels` taken from `part`, which is of only those labels.
    pub(super) fn with_rows(&self, labels: &[usize], part: &Self) -> Self {
        let mut head = self.clone();
        let width = self.weights.len() / self.labels.max(1);
        for (at, &k) in labels.iter().enumerate() {
            head.weights[k * width..(k + 1) * width].copy_from_slice(part.row(at));
            head.bias[k] = part.bias[at];
        }
        head
    }
}

/// A model's own logits of one item, also for labels that it does not score.
#[derive(Clone, Copy)]
struct Base<'a> {
    own: &'a [f32],
    beyond: f64,
}

impl<'a> Base<'a> {
    fn of(own: &'a [f32]) -> Self {
        let least = own.iter().copied().reduce(f32::min);
        Self { own, beyond: f64::from(least.unwrap_or(0.0)) }
    }

    fn at(self, label: usize) -> f64 {
        self.own.get(label).map_or(self.beyond, |z| f64::from(*z))
    }
}

/// One answered item to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The model's own logits, in label order; see [`Head`] for labels beyond them.
    pub base: &'a [f32],
    /// The model's features; empty for vector scaling.
    pub features: &'a [f32],
    /// What the person said.
    pub label: usize,
}

/// How a head is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitRules {
    /// Strength of the pull to the prior, greater than 0; see [`fit`] for its units.
    pub l2: f64,
    /// How far, at most, a correction of the logits may be from the optimum (for an item whose features are
    /// of the usual size).
    pub tolerance: f64,
    /// The temperature under which the probabilities are read that the fit makes right: that of the manifest.
    pub temperature: f64,
    /// Whether the learner finds the strength on the answers, among [`STRENGTHS`]; `l2` counts before there are
    /// [`ENOUGH_TO_CHOOSE`].
    pub adapts: bool,
}

/// The strengths among which a learner chooses, weakest first. The last one leaves a model practically as it is.
pub const STRENGTHS: [f64; 4] = [0.3, 3.0, 30.0, 300.0];

/// Answers before the strength is chosen on them.
pub const ENOUGH_TO_CHOOSE: usize = 8;

impl FitRules {
    /// For a model that gives features only: everything has to come from the answers.
    ///
    /// On the 8 × 8 digits' pixels, asked by margin, 0.01 reaches 90, 93 and 95 % accuracy with the fewest labels
    /// (70, 100, 160; random order 130, 220, over 400; six seeds). From 0.001 to 0.1 these hardly change; the
    /// confidences do, and the temperature takes that back.
    #[must_use]
    pub fn from_nothing() -> Self {
        Self { l2: 0.01, tolerance: 1e-6, temperature: 1.0, adapts: false }
    }

    /// For a model that has scores of its own, beside its features: a few answers must not overrule it.
    ///
    /// No one strength fits all: of a model that is at its best on the stream the weak ones lose 3 points of what it
    /// settles at equal accuracy (Fashion-MNIST, 200 answers), behind another camera they win 65 and the strong
    /// ones 10. So it is found on the answers; until there are a few, the model hardly moves.
    #[must_use]
    pub fn beside_a_model() -> Self {
        Self { l2: 10.0, adapts: true, ..Self::from_nothing() }
    }

    /// For a model that gives scores only (vector scaling), measured as [`FitRules::beside_a_model`].
    #[must_use]
    pub fn scaling_a_model() -> Self {
        Self { l2: 10.0, adapts: true, ..Self::from_nothing() }
    }
}

/// The head that explains the examples best while it stays near the prior.
///
/// Multinomial logistic regression. It minimises the sum of the examples' cross-entropies (for sigmoids: of all
/// labels' binary cross-entropies, the answer against the rest) plus `l2 / 2` times the squared distance from
/// the prior, over weights and bias. Features are divided by one number first, their root-mean-square norm over
/// the examples (for vector scaling: the root mean square of the logits), so that `l2` means the same for every
/// model; the bias is the weight of a constant feature of 1 and is pulled alike, since otherwise the first
/// answers, all of one label, would drive it to infinity. A temperature divides the logits beforehand.
///
/// The objective is strictly convex, so the head is determined by the examples alone: it starts at the prior
/// each time and knows nothing of earlier fits. Their order matters by rounding only.
///
/// Every correction in reach is a sum of the examples' features, so the unknowns are one number an example and
/// label, whatever the width: Newton's method, its steps by conjugate gradients in the inner product of the
/// examples' Gram matrix (kernel logistic regression). With fewer examples than features one product with that
/// matrix is a step; otherwise two with the features.
#[must_use]
pub fn fit(prior: &Head, examples: &[Example<'_>], activation: Activation, rules: &FitRules) -> Head {
    fit_on(prior, examples, None, activation, rules)
}

/// [`fit`], with the dot products of the examples' features (n × n) if the caller has them.
pub(super) fn fit_on(
    prior: &Head,
    examples: &[Example<'_>],
    dots: Option<Vec<f64>>,
    activation: Activation,
    rules: &FitRules,
) -> Head {
    debug_assert!(examples.iter().all(|e| e.label < prior.labels));
    let (n, labels) = (examples.len(), prior.labels);
    if n == 0 || labels == 0 {
        return prior.clone();
    }
    let per_logit = 1.0 / rules.temperature;
    let mut start = vec![0.0; n * labels];
    let mut logits = Vec::with_capacity(labels);
    let plain = prior.is_none();
    for (i, example) in examples.iter().enumerate() {
        if plain {
            let base = Base::of(example.base);
            logits.clear();
            logits.extend((0..labels).map(|k| base.at(k)));
        } else {
            prior.logits(example.base, example.features, &mut logits);
        }
        for (k, z) in logits.iter().enumerate() {
            start[k * n + i] = z * per_logit;
        }
    }
    let kernel = Kernel::new(prior, examples, dots);
    let targets: Vec<usize> = examples.iter().map(|example| example.label).collect();
    let task = Task { start, targets, kernel, labels, activation, l2: rules.l2 };
    let alpha = task.solve(rules.tolerance * rules.l2);
    corrected(prior, examples, &task.kernel, &alpha, rules.temperature)
}

/// The prior plus the sum of the examples' features by their weights.
fn corrected(
    prior: &Head,
    examples: &[Example<'_>],
    kernel: &Kernel,
    alpha: &[f64],
    temperature: f64,
) -> Head {
    let n = examples.len();
    let mut head = prior.clone();
    let width = prior.weights.len() / prior.labels;
    let mut columns = vec![0.0; if prior.kind == HeadKind::Linear { width * n } else { 0 }];
    for (i, example) in examples.iter().enumerate() {
        (0..columns.len() / n).for_each(|j| columns[j * n + i] = f64::from(example.features[j]));
    }
    let scale = kernel.scale * kernel.scale * temperature;
    let mut sums = vec![0.0; prior.weights.len()];
    match prior.kind {
        HeadKind::Linear => product(&columns, n, alpha, &mut sums),
        HeadKind::VectorScaling => {
            for (k, (sum, alpha)) in sums.iter_mut().zip(alpha.chunks_exact(n)).enumerate() {
                *sum = examples.iter().zip(alpha).map(|(e, a)| a * Base::of(e.base).at(k)).sum();
            }
        }
    }
    for (weight, sum) in head.weights.iter_mut().zip(&sums) {
        *weight = narrow(f64::from(*weight) + scale * sum);
    }
    for (bias, alpha) in head.bias.iter_mut().zip(alpha.chunks_exact(n)) {
        *bias = narrow(f64::from(*bias) + temperature * alpha.iter().sum::<f64>());
    }
    head
}

#[allow(clippy::cast_possible_truncation)]
fn narrow(x: f64) -> f32 {
    x as f32
}

/// The inner products of the examples' scaled features, a constant 1 among them.
struct Kernel {
    /// What features are multiplied with.
    scale: f64,
    form: Form,
}

enum Form {
    /// The matrix itself, n × n.
    Gram(Vec<f64>),
    /// The features (n × width) and the same transposed.
    Rows { rows: Vec<f64>, columns: Vec<f64>, width: usize },
    /// Each label has one feature of its own: labels × n.
    Own(Vec<f64>),
}

impl Kernel {
    fn new(prior: &Head, examples: &[Example<'_>], dots: Option<Vec<f64>>) -> Self {
        match prior.kind {
            HeadKind::Linear => Self::of_features(prior.features, examples, dots),
            HeadKind::VectorScaling => Self::of_logits(prior.labels, examples),
        }
    }

    fn of_logits(labels: usize, examples: &[Example<'_>]) -> Self {
        let n = examples.len();
        let mut own = vec![0.0; labels * n];
        for (i, example) in examples.iter().enumerate() {
            let base = Base::of(example.base);
            (0..labels).for_each(|k| own[k * n + i] = base.at(k));
        }
        let scale = per_root_mean(dot(&own, &own), own.len());
        own.iter_mut().for_each(|x| *x *= scale);
        Self { scale, form: Form::Own(own) }
    }

    fn of_features(features: usize, examples: &[Example<'_>], dots: Option<Vec<f64>>) -> Self {
        let n = examples.len();
        if n > features {
            let width = features + 1;
            let mut rows = vec![1.0; n * width];
            for (row, example) in rows.chunks_exact_mut(width).zip(examples) {
                for (x, f) in row.iter_mut().zip(example.features) {
                    *x = f64::from(*f);
                }
            }
            let squares = rows.chunks_exact(width).map(|row| dot(&row[..features], row)).sum();
            let scale = per_root_mean(squares, n);
            let mut columns = vec![0.0; n * width];
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                for (j, x) in row.iter_mut().enumerate() {
                    if j < features {
                        *x *= scale;
                    }
                    columns[j * n + i] = *x;
                }
            }
            return Self { scale, form: Form::Rows { rows, columns, width } };
        }
        let mut gram = dots.unwrap_or_else(|| {
            let rows: Vec<f64> =
                examples.iter().flat_map(|example| example.features).map(|x| f64::from(*x)).collect();
            let mut gram = vec![0.0; n * n];
            product(&rows, features, &rows, &mut gram);
            gram
        });
        let scale = per_root_mean((0..n).map(|i| gram[i * n + i]).sum(), n);
        gram.iter_mut().for_each(|x| *x = *x * scale * scale + 1.0);
        Self { scale, form: Form::Gram(gram) }
    }

    /// The matrix times `v` (labels × n).
    fn times(&self, v: &[f64], out: &mut [f64], n: usize) {
        match &self.form {
            Form::Gram(gram) => product(gram, n, v, out),
            Form::Rows { rows, columns, width } => {
                let mut sums = vec![0.0; v.len() / n * width];
                product(columns, n, v, &mut sums);
                product(rows, *width, &sums, out);
            }
            Form::Own(own) => {
                for ((v, out), own) in v.chunks_exact(n).zip(out.chunks_exact_mut(n)).zip(own.chunks_exact(n))
                {
                    let (along, constant) = (dot(own, v), v.iter().sum::<f64>());
                    for (out, x) in out.iter_mut().zip(own) {
                        *out = along * x + constant;
                    }
                }
            }
        }
    }
}

/// One over the root of the mean of `count` squares; 0 if all are 0.
#[allow(clippy::cast_precision_loss)]
fn per_root_mean(squares: f64, count: usize) -> f64 {
    if squares > 0.0 { (count as f64 / squares).sqrt() } else { 0.0 }
}

/// Newton steps at most; a dozen is usual.
const MOST_STEPS: usize = 100;
/// Conjugate gradients within one step at most.
const MOST_GRADIENTS: usize = 400;

/// One fit. Vectors are labels × n: the examples of label 0, then of label 1, …
struct Task {
    /// Logits under the prior.
    start: Vec<f64>,
    /// The right label of each example.
    targets: Vec<usize>,
    kernel: Kernel,
    labels: usize,
    activation: Activation,
    l2: f64,
}

impl Task {
    /// The weight of each example in each label's correction.
    ///
    /// With correction D = Σ αᵢxᵢ the gradient in D's space is Xᵀρ, ρ = l2·α + p − y: its squared norm is
    /// ρᵀKρ. Strong convexity bounds the distance from the optimum by the gradient's norm divided by l2.
    fn solve(&self, enough: f64) -> Vec<f64> {
        let n = self.targets.len();
        let size = n * self.labels;
        let mut alpha = vec![0.0; size];
        let mut z = self.start.clone();
        let mut p = vec![0.0; size];
        let mut rho = vec![0.0; size];
        let mut moved = vec![0.0; size];
        let mut cg = Gradients::new(size);
        let mut value = self.loss(&z, &mut p);
        let mut first = None;
        for _ in 0..MOST_STEPS {
            rho.iter_mut().zip(&p).zip(&alpha).for_each(|((rho, p), a)| *rho = self.l2 * a + p);
            self.targets.iter().enumerate().for_each(|(i, k)| rho[k * n + i] -= 1.0);
            let norm = cg.begin(self, &rho);
            if norm <= enough || !norm.is_finite() {
                break;
            }
            // Hardly exact far from the optimum, more so near it (Eisenstat & Walker, SIAM J. Sci. Comput. 17, 1996).
            let first = *first.get_or_insert(norm);
            let exact = (norm / first).sqrt().min(0.1).max(0.3 * enough / norm);
            cg.run(self, &p, exact * norm);
            // Down the step, halved until it pays; a rounding's worth of loss is no reason to stop short.
            let slope = dot(&rho, &cg.k_delta);
            let mut length = 1.0;
            let mut advanced = false;
            while length > 1e-6 {
                for ((to, from), step) in moved.iter_mut().zip(&z).zip(&cg.k_delta) {
                    *to = from + length * step;
                }
                let mut pull = 0.0;
                for (((a, d), z), start) in alpha.iter().zip(&cg.delta).zip(&moved).zip(&self.start) {
                    pull += (a + length * d) * (z - start);
                }
                let next = self.loss(&moved, &mut p) + self.l2 / 2.0 * pull;
                if next <= value + 1e-4 * length * slope + 1e-12 * value.abs() {
                    value = next;
                    advanced = true;
                    break;
                }
                length /= 2.0;
            }
            if !advanced {
                break;
            }
            add_scaled(&mut alpha, length, &cg.delta);
            // Afresh from the sum, so that roundings do not add up.
            self.kernel.times(&alpha, &mut z, n);
            z.iter_mut().zip(&self.start).for_each(|(z, start)| *z += start);
            self.loss(&z, &mut p);
        }
        alpha
    }

    /// The sum of cross-entropies of logits `z`; `p` becomes their probabilities.
    fn loss(&self, z: &[f64], p: &mut [f64]) -> f64 {
        let n = self.targets.len();
        let mut loss = 0.0;
        match self.activation {
            Activation::Softmax => {
                let mut greatest = vec![f64::NEG_INFINITY; n];
                for z in z.chunks_exact(n) {
                    greatest.iter_mut().zip(z).for_each(|(most, z)| *most = most.max(*z));
                }
                let mut sums = vec![0.0; n];
                for (z, p) in z.chunks_exact(n).zip(p.chunks_exact_mut(n)) {
                    for (((p, z), most), sum) in p.iter_mut().zip(z).zip(&greatest).zip(&mut sums) {
                        *p = (z - most).exp();
                        *sum += *p;
                    }
                }
                for p in p.chunks_exact_mut(n) {
                    p.iter_mut().zip(&sums).for_each(|(p, sum)| *p /= sum);
                }
                for (i, k) in self.targets.iter().enumerate() {
                    loss += sums[i].ln() + greatest[i] - z[k * n + i];
                }
            }
            Activation::Sigmoid => {
                for (p, z) in p.iter_mut().zip(z) {
                    *p = 1.0 / (1.0 + (-z).exp());
                    loss += z.max(0.0) + (-z.abs()).exp().ln_1p();
                }
                self.targets.iter().enumerate().for_each(|(i, k)| loss -= z[k * n + i]);
            }
        }
        loss
    }

    /// `l2·v + W·kv`, W being the curvature of the cross-entropies at probabilities `p`.
    fn curve(&self, p: &[f64], v: &[f64], kv: &[f64], out: &mut [f64]) {
        let n = self.targets.len();
        match self.activation {
            Activation::Softmax => {
                let mut means = vec![0.0; n];
                for (p, kv) in p.chunks_exact(n).zip(kv.chunks_exact(n)) {
                    means.iter_mut().zip(p.iter().zip(kv)).for_each(|(mean, (p, u))| *mean += p * u);
                }
                let rows = p.chunks_exact(n).zip(kv.chunks_exact(n)).zip(v.chunks_exact(n));
                for (((p, kv), v), out) in rows.zip(out.chunks_exact_mut(n)) {
                    for i in 0..n {
                        out[i] = self.l2 * v[i] + p[i] * (kv[i] - means[i]);
                    }
                }
            }
            Activation::Sigmoid => {
                for (((out, p), v), u) in out.iter_mut().zip(p).zip(v).zip(kv) {
                    *out = self.l2 * v + p * (1.0 - p) * u;
                }
            }
        }
    }
}

/// Conjugate gradients for `(l2 + W K) δ = −ρ` in the inner product of K, in which that operator is symmetric:
/// the same steps as in the space of the corrections, at one product with K each.
struct Gradients {
    delta: Vec<f64>,
    k_delta: Vec<f64>,
    rest: Vec<f64>,
    k_rest: Vec<f64>,
    way: Vec<f64>,
    k_way: Vec<f64>,
    bent: Vec<f64>,
    norm2: f64,
}

impl Gradients {
    fn new(size: usize) -> Self {
        let zeros = || vec![0.0; size];
        Self {
            delta: zeros(),
            k_delta: zeros(),
            rest: zeros(),
            k_rest: zeros(),
            way: zeros(),
            k_way: zeros(),
            bent: zeros(),
            norm2: 0.0,
        }
    }

    /// Sets out from `rho`; gives the norm of the gradient.
    fn begin(&mut self, task: &Task, rho: &[f64]) -> f64 {
        self.rest.iter_mut().zip(rho).for_each(|(rest, rho)| *rest = -rho);
        task.kernel.times(&self.rest, &mut self.k_rest, task.targets.len());
        self.norm2 = dot(&self.rest, &self.k_rest).max(0.0);
        self.norm2.sqrt()
    }

    fn run(&mut self, task: &Task, p: &[f64], enough: f64) {
        self.delta.fill(0.0);
        self.k_delta.fill(0.0);
        self.way.copy_from_slice(&self.rest);
        self.k_way.copy_from_slice(&self.k_rest);
        for _ in 0..MOST_GRADIENTS {
            task.curve(p, &self.way, &self.k_way, &mut self.bent);
            let bend = dot(&self.k_way, &self.bent);
            if bend.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
                break;
            }
            let length = self.norm2 / bend;
            add_scaled(&mut self.delta, length, &self.way);
            add_scaled(&mut self.k_delta, length, &self.k_way);
            add_scaled(&mut self.rest, -length, &self.bent);
            task.kernel.times(&self.rest, &mut self.k_rest, task.targets.len());
            let norm2 = dot(&self.rest, &self.k_rest).max(0.0);
            let turn = norm2 / self.norm2;
            self.norm2 = norm2;
            if norm2.sqrt() <= enough {
                break;
            }
            for (way, rest) in [(&mut self.way, &self.rest), (&mut self.k_way, &self.k_rest)] {
                way.iter_mut().zip(rest).for_each(|(way, rest)| *way = rest + turn * *way);
            }
        }
    }
}
