//! The figures of [`super::evaluation`] as drawings: pure, and the same on the page and in a file.
//!
//! A [`Drawing`] is a list of marks in a box [`WIDTH`] units wide, which is drawn 340 px wide on the smallest
//! screens: its texts are 11 units high. Colours belong to classes, so that the page's theme can give them;
//! [`to_svg`] brings a sheet of its own. Words and the way of writing numbers come from the caller.

use super::evaluation::{Bin, Evaluation, Reliability, Settled};

/// The width of every drawing.
pub const WIDTH: f64 = 340.0;
/// The size of its texts.
const LETTER: f64 = 11.0;
/// From one line of text to the next.
const LINE: f64 = 16.0;

/// What the caller says in a drawing, and how numbers are written.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What the horizontal axis counts.
    pub across: &'a str,
    /// What the vertical axis counts.
    pub up: &'a str,
    /// Names of what is drawn, in the order that each drawing says; empty where it draws less.
    pub series: [&'a str; 2],
    /// What the dashed line is.
    pub mark: &'a str,
    /// All the other labels.
    pub other: &'a str,
    /// Writes a number.
    pub number: &'a dyn Fn(f64) -> String,
    /// Writes a share, 0 to 1.
    pub percent: &'a dyn Fn(f64) -> String,
}

/// Where a text stands at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    /// As SVG's `text-anchor` says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// Something that is drawn. `class` is one of those that [`to_svg`] gives a colour.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A line or an area.
    Path {
        /// SVG path data.
        d: String,
        /// Its look.
        class: &'static str,
    },
    /// A rectangle.
    Rect {
        /// Left.
        x: f64,
        /// Top.
        y: f64,
        /// Width.
        width: f64,
        /// Height.
        height: f64,
        /// How strongly it is filled, 0 to 1.
        opacity: f64,
        /// Its look.
        class: &'static str,
    },
    /// A circle.
    Circle {
        /// Middle, from the left.
        x: f64,
        /// Middle, from the top.
        y: f64,
        /// Radius.
        r: f64,
        /// Its look.
        class: &'static str,
    },
    /// A line of text.
    Text {
        /// Its point, from the left.
        x: f64,
        /// Its base line, from the top.
        y: f64,
        /// What it says.
        text: String,
        /// Where it stands at its point.
        anchor: Anchor,
        /// Whether it runs upwards.
        upwards: bool,
        /// Its look.
        class: &'static str,
    },
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Of the box in which the marks lie.
    pub width: f64,
    /// Of that box.
    pub height: f64,
    /// What it shows.
    pub title: String,
    /// The same in words and numbers, for who does not see it.
    pub description: String,
    /// Drawn in this order.
    pub marks: Vec<Mark>,
}

/// Appends a coordinate to a tenth: a float's own text is long, and costs the page its printer.
fn put(out: &mut String, number: f64) {
    #[allow(clippy::cast_possible_truncation)]
    let tenths = (number * 10.0).round() as i64;
    if tenths < 0 {
        out.push('-');
    }
    let tenths = tenths.unsigned_abs();
    out.push_str(&(tenths / 10).to_string());
    if !tenths.is_multiple_of(10) {
        out.push('.');
        out.push_str(&(tenths % 10).to_string());
    }
}

/// Path data, point by point.
#[derive(Default)]
struct Pen(String);

impl Pen {
    fn to(&mut self, x: f64, y: f64) {
        self.0.push(if self.0.is_empty() { 'M' } else { 'L' });
        put(&mut self.0, x);
        self.0.push(' ');
        put(&mut self.0, y);
    }

    fn line(points: &[(f64, f64)]) -> String {
        let mut pen = Self::default();
        points.iter().for_each(|&(x, y)| pen.to(x, y));
        pen.0
    }
}

/// An axis from `from` to `to`, ticked at each multiple of `step`.
#[derive(Clone, Copy)]
struct Axis {
    from: f64,
    to: f64,
    step: f64,
    percent: bool,
}

impl Axis {
    /// From 0 to `most` or a little more, in at most five steps of 1, 2 or 5 times a power of ten that are no
    /// smaller than `least`.
    fn up_to(most: f64, least: f64) -> Self {
        let most = most.max(least);
        let mut step = least;
        let mut next = [2.0, 2.5, 2.0].into_iter().cycle();
        while most > step * 5.0 {
            step *= next.next().unwrap_or(2.0);
        }
        Self { from: 0.0, to: (most / step).ceil() * step, step, percent: false }
    }

    /// The same, but ending with `most`: time that was not spent takes no room.
    fn just_to(most: f64, least: f64) -> Self {
        Self { to: most.max(least), ..Self::up_to(most, least) }
    }

    /// Shares from `from` to 1.
    fn shares(from: f64) -> Self {
        let step = if from < 0.5 {
            0.25
        } else if from < 0.8 {
            0.1
        } else {
            0.05
        };
        Self { from: (from / step + 1e-9).floor() * step, to: 1.0, step, percent: true }
    }

    /// Where a value lies, 0 to 1; what is outside at the nearer end.
    fn place(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn ticks(&self) -> Vec<f64> {
        let steps = ((self.to - self.from) / self.step + 1e-6).floor() as usize;
        (0..=steps).map(|i| self.from + self.step * i as f64).collect()
    }

    fn says(&self, value: f64, words: &Words<'_>) -> String {
        if self.percent { (words.percent)(value) } else { (words.number)((value * 1e6).round() / 1e6) }
    }
}

/// A pair of axes with what is drawn between them.
struct Plot<'a> {
    words: &'a Words<'a>,
    across: Axis,
    up: Axis,
    height: f64,
    marks: Vec<Mark>,
    /// Lines below the axis that say what is what.
    keys: Vec<(&'static str, &'a str)>,
    description: String,
}

const LEFT: f64 = 44.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;

impl<'a> Plot<'a> {
    fn new(words: &'a Words<'a>, across: Axis, up: Axis, height: f64) -> Self {
        let mut description = String::from(words.title);
        description.push_str(". ");
        let mut plot = Self { words, across, up, height, marks: Vec::new(), keys: Vec::new(), description };
        for tick in up.ticks() {
            let y = plot.y(tick);
            let d = Pen::line(&[(LEFT, y), (WIDTH - RIGHT, y)]);
            plot.marks.push(Mark::Path { d, class: "chart-grid" });
            plot.text(LEFT - 6.0, y + 4.0, up.says(tick, words), Anchor::End, "chart-soft");
        }
        plot.text(0.0, LETTER, words.up.into(), Anchor::Start, "chart-text");
        plot
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.across.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (1.0 - self.up.place(value)) * self.height
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x(x), self.y(y))
    }

    fn text(&mut self, x: f64, y: f64, text: String, anchor: Anchor, class: &'static str) {
        self.marks.push(Mark::Text { x, y, text, anchor, upwards: false, class });
    }

    fn path(&mut self, d: String, class: &'static str) {
        if !d.is_empty() {
            self.marks.push(Mark::Path { d, class });
        }
    }

    /// Adds a line under the axis that says what is drawn so.
    fn key(&mut self, class: &'static str, name: &'a str) {
        if !name.is_empty() {
            self.keys.push((class, name));
        }
    }

    /// Adds to the description.
    fn tell(&mut self, parts: &[&str]) {
        for part in parts {
            self.description.push_str(part);
        }
    }

    /// The lower axis and the keys, drawn over the rest.
    fn done(mut self) -> Drawing {
        let (words, bottom) = (self.words, TOP + self.height);
        self.path(Pen::line(&[(LEFT, bottom), (WIDTH - RIGHT, bottom)]), "chart-axis");
        let mut ticks = self.across.ticks();
        // A row of digits as wide as the axis would run together.
        if ticks.len() > 7 {
            ticks = ticks.into_iter().step_by(2).collect();
        }
        for tick in ticks {
            let x = self.x(tick);
            self.path(Pen::line(&[(x, bottom), (x, bottom + 4.0)]), "chart-axis");
            self.text(x, bottom + LINE, self.across.says(tick, words), Anchor::Middle, "chart-soft");
        }
        let mut y = bottom + 2.0 * LINE + 1.0;
        self.text(WIDTH - RIGHT, y, words.across.into(), Anchor::End, "chart-text");
        for (class, name) in std::mem::take(&mut self.keys) {
            y += LINE;
            let middle = y - 4.0;
            self.marks.push(if class.starts_with("chart-area") {
                Mark::Rect { x: LEFT, y: middle - 5.0, width: 16.0, height: 10.0, opacity: 1.0, class }
            } else if class == "chart-dot" {
                Mark::Circle { x: LEFT + 8.0, y: middle, r: 5.0, class }
            } else {
                Mark::Path { d: Pen::line(&[(LEFT, middle), (LEFT + 16.0, middle)]), class }
            });
            self.text(LEFT + 22.0, y, name.into(), Anchor::Start, "chart-text");
        }
        Drawing {
            width: WIDTH,
            height: y + 7.0,
            title: words.title.into(),
            description: self.description,
            marks: self.marks,
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn count(n: usize) -> f64 {
    n as f64
}

/// Items settled against minutes of the persons' time: the persons' below, the model's upon them.
///
/// `series`: settled by the model, by the person.
#[must_use]
pub fn settled(figures: &Evaluation, words: &Words<'_>) -> Drawing {
    let points = &figures.settled;
    let both = |p: &Settled| count(p.answered + p.by_model);
    let persons = |p: &Settled| count(p.answered);
    let minutes = |p: &Settled| p.seconds / 60.0;
    let most = points.last().map_or((0.0, 0.0), |end| (minutes(end), both(end)));
    let mut plot = Plot::new(words, Axis::just_to(most.0, 0.1), Axis::up_to(most.1, 1.0), 150.0);
    // What was settled at an answer stays so up to the next one: steps.
    let steps = |plot: &Plot<'_>, value: &dyn Fn(&Settled) -> f64| {
        let mut line: Vec<(f64, f64)> = Vec::with_capacity(points.len() * 2);
        for point in points {
            let (x, y) = plot.at((minutes(point), value(point)));
            if let Some(&(_, before)) = line.last() {
                line.push((x, before));
            }
            line.push((x, y));
        }
        line
    };
    let (ground, middle, top) = (steps(&plot, &|_| 0.0), steps(&plot, &persons), steps(&plot, &both));
    let area = |upper: &[(f64, f64)], lower: &[(f64, f64)]| {
        let around: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
        Pen::line(&around)
    };
    plot.path(area(&top, &middle), "chart-area chart-model");
    plot.path(area(&middle, &ground), "chart-area chart-person");
    plot.path(Pen::line(&top), "chart-line");
    plot.key("chart-area chart-model", words.series[0]);
    plot.key("chart-area chart-person", words.series[1]);
    if let Some(end) = points.last() {
        let (model, person) = ((words.number)(count(end.by_model)), (words.number)(count(end.answered)));
        let time = (words.number)((minutes(end) * 10.0).round() / 10.0);
        plot.tell(&[words.series[0], ": ", &model, "; ", words.series[1], ": ", &person, "; "]);
        plot.tell(&[words.across, ": ", &time, "."]);
    }
    plot.done()
}

/// Accuracy of what would be accepted, against how much that is: with the promised accuracy as a dashed line
/// and the threshold in force as a dot, if there are any.
///
/// `series`: the curve, the threshold in force. `mark`: the promise.
#[must_use]
pub fn risk_coverage(
    figures: &Evaluation,
    target: Option<f64>,
    threshold: Option<f32>,
    words: &Words<'_>,
) -> Drawing {
    let curve = &figures.risk_coverage;
    // The strictest thresholds accept a handful: their ups and downs say nothing and would flatten the rest.
    let told = curve.iter().filter(|point| point.coverage >= 0.1);
    let least = told.map(|point| point.accuracy).fold(target.unwrap_or(1.0) - 0.05, f64::min);
    let mut plot = Plot::new(words, Axis::shares(0.0), Axis::shares(least.max(0.0)), 150.0);
    let line: Vec<_> = curve.iter().map(|p| plot.at((p.coverage, p.accuracy))).collect();
    plot.path(Pen::line(&line), "chart-line");
    plot.key("chart-line", words.series[0]);
    if let Some(target) = target {
        let y = plot.y(target);
        plot.path(Pen::line(&[(LEFT, y), (WIDTH - RIGHT, y)]), "chart-target");
        plot.key("chart-target", words.mark);
        plot.tell(&[words.mark, ": ", &(words.percent)(target), ". "]);
    }
    // In eight steps: who listens does not want two hundred points.
    for i in 1..=8 {
        let until = f64::from(i) / 8.0;
        let near = curve.partition_point(|point| point.coverage <= until + 1e-9);
        if let Some(point) = near.checked_sub(1).map(|at| curve[at]) {
            let (covered, right) = ((words.percent)(point.coverage), (words.percent)(point.accuracy));
            plot.tell(&[words.across, " ", &covered, ": ", words.up, " ", &right, ". "]);
        }
    }
    let in_force = threshold.map_or(0, |t| curve.partition_point(|point| point.confidence >= t));
    if let Some(point) = in_force.checked_sub(1).map(|at| curve[at]) {
        let (x, y) = plot.at((point.coverage, point.accuracy));
        plot.marks.push(Mark::Circle { x, y, r: 5.0, class: "chart-dot" });
        plot.key("chart-dot", words.series[1]);
        let (covered, right) = ((words.percent)(point.coverage), (words.percent)(point.accuracy));
        plot.tell(&[words.series[1], ": ", words.across, " ", &covered, ", ", words.up, " ", &right, "."]);
    }
    plot.done()
}

/// How right the model is against how sure it says to be, before calibration and after it; the diagonal is
/// where both are the same. A dot's area grows with the number of predictions behind it.
///
/// `series`: before, after. `mark`: the diagonal.
#[must_use]
pub fn reliability(figures: &Evaluation, words: &Words<'_>) -> Drawing {
    let mut plot = Plot::new(words, Axis::shares(0.0), Axis::shares(0.0), 220.0);
    plot.path(Pen::line(&[plot.at((0.0, 0.0)), plot.at((1.0, 1.0))]), "chart-target");
    let filled = |bins: &Reliability| -> Vec<Bin> {
        bins.bins.iter().filter(|bin| bin.tally.n > 0).copied().collect()
    };
    let series = [
        (filled(&figures.raw), words.series[0], "chart-line chart-before", "chart-dot chart-before"),
        (filled(&figures.calibrated), words.series[1], "chart-line", "chart-dot"),
    ];
    let most = series.iter().flat_map(|(bins, ..)| bins).map(|bin| bin.tally.n).max().unwrap_or(1);
    for (bins, name, line, dot) in series {
        let at: Vec<_> =
            bins.iter().map(|b| plot.at((b.confidence, b.tally.accuracy().unwrap_or(0.0)))).collect();
        plot.path(Pen::line(&at), line);
        plot.tell(&[name, ": "]);
        for (bin, (x, y)) in bins.iter().zip(at) {
            let r = 1.5 + 5.0 * (count(bin.tally.n) / count(most)).sqrt();
            plot.marks.push(Mark::Circle { x, y, r, class: dot });
            let (sure, n) = ((words.percent)(bin.confidence), (words.number)(count(bin.tally.n)));
            let right = (words.percent)(bin.tally.accuracy().unwrap_or(0.0));
            plot.tell(&[&sure, " → ", &right, " (", &n, "); "]);
        }
        plot.key(line, name);
    }
    plot.key("chart-target", words.mark);
    plot.done()
}

/// Items settled for a minute of the persons' time, stretch by stretch of equally many answers.
#[must_use]
pub fn workload(figures: &Evaluation, words: &Words<'_>) -> Drawing {
    let stretches = &figures.stretches;
    let pace = |at: usize| stretches[at].per_minute().unwrap_or(0.0);
    let most = (0..stretches.len()).map(pace).fold(0.0, f64::max);
    let answers = stretches.last().map_or(0.0, |last| count(last.answers));
    let mut plot = Plot::new(words, Axis::just_to(answers, 1.0), Axis::up_to(most, 1.0), 150.0);
    let mut from = 0;
    for (at, stretch) in stretches.iter().enumerate() {
        let (x, y) = plot.at((count(from), pace(at)));
        let width = (plot.x(count(stretch.answers)) - x - 2.0).max(0.5);
        let height = plot.y(0.0) - y;
        plot.marks.push(Mark::Rect {
            x: x + 1.0,
            y,
            width,
            height,
            opacity: 1.0,
            class: "chart-area chart-person",
        });
        from = stretch.answers;
        let (until, rate) = ((words.number)(count(from)), (words.number)(pace(at).round()));
        plot.tell(&[words.across, " ", &until, ": ", &rate, "; "]);
    }
    plot.done()
}

/// The most room for a label beside the matrix, in letters; those of East Asian scripts take two.
const LABEL: usize = 12;

fn room(letter: char) -> usize {
    if letter >= '\u{1100}' { 2 } else { 1 }
}

fn short(label: &str) -> String {
    let (mut kept, mut used) = (String::new(), 0);
    for letter in label.chars() {
        used += room(letter);
        if used > LABEL {
            kept.pop();
            kept.push('…');
            break;
        }
        kept.push(letter);
    }
    kept
}

/// A count in at most three signs, four from a hundred thousand on.
fn compact(n: usize) -> String {
    match n {
        0..=999 => n.to_string(),
        1_000..=999_999 => (n / 1_000).to_string() + "k",
        _ => (n / 1_000_000).to_string() + "M",
    }
}

/// The class of a cell's number that has to fit into so much room; a digit is 0.58 of the letter's size wide.
fn in_cell(signs: usize, room: f64, on_colour: bool) -> &'static str {
    let fits = |size: f64| count(signs) * size * 0.58 <= room;
    match (on_colour, fits(LETTER), fits(9.0)) {
        (true, true, _) => "chart-on",
        (true, false, true) => "chart-on chart-small",
        (true, ..) => "chart-on chart-tiny",
        (false, true, _) => "chart-text",
        (false, false, true) => "chart-text chart-small",
        (false, ..) => "chart-text chart-tiny",
    }
}

/// A row for what the model said, a column for what the person said, the share of its row as the colour's
/// strength.
///
/// `up`: what the rows are. `across`: what the columns are. `other`: all other labels.
#[must_use]
pub fn confusion(figures: &Evaluation, words: &Words<'_>) -> Drawing {
    const BESIDE: f64 = 76.0;
    let matrix = &figures.confusion;
    let side = matrix.side();
    let name = |at: usize| matrix.labels.get(at).map_or(words.other, |label| label);
    let cell = ((WIDTH - BESIDE - 2.0) / count(side.max(1))).min(44.0);
    let mut marks = Vec::new();
    let mut text = |x, y, text: String, anchor, upwards, class| {
        marks.push(Mark::Text { x, y, text, anchor, upwards, class });
    };
    text(0.0, LETTER, words.up.into(), Anchor::Start, false, "chart-text");
    let bottom = TOP + cell * count(side);
    for at in 0..side {
        let middle = cell * (count(at) + 0.5) + 4.0;
        text(BESIDE - 5.0, TOP + middle, short(name(at)), Anchor::End, false, "chart-soft");
        text(BESIDE + middle, bottom + 6.0, short(name(at)), Anchor::End, true, "chart-soft");
    }
    let longest = (0..side).map(|at| short(name(at)).chars().map(room).sum::<usize>()).max().unwrap_or(0);
    let end = bottom + 6.0 + count(longest) * 6.4 + LINE;
    text(WIDTH - 2.0, end, words.across.into(), Anchor::End, false, "chart-text");
    let mut description = String::from(words.title);
    description.push_str(". ");
    for (row, counts) in matrix.counts.chunks(side.max(1)).enumerate() {
        let all = count(counts.iter().sum::<usize>().max(1));
        for (column, &n) in counts.iter().enumerate() {
            let (x, y) = (BESIDE + cell * count(column), TOP + cell * count(row));
            let same = row == column;
            let share = count(n) / all;
            marks.push(Mark::Rect {
                x: x + 0.5,
                y: y + 0.5,
                width: cell - 1.0,
                height: cell - 1.0,
                opacity: if n == 0 { 0.0 } else { 0.15 + 0.85 * share },
                class: if same { "chart-cell chart-same" } else { "chart-cell chart-differs" },
            });
            if n == 0 {
                continue;
            }
            let text = compact(n);
            let class = in_cell(text.len(), cell - 3.0, share > 0.4);
            let (x, y) = (x + cell / 2.0, y + cell / 2.0 + 4.0);
            marks.push(Mark::Text { x, y, text, anchor: Anchor::Middle, upwards: false, class });
            for part in [name(row), " → ", name(column), ": ", &(words.number)(count(n)), "; "] {
                description.push_str(part);
            }
        }
    }
    Drawing { width: WIDTH, height: end + 7.0, title: words.title.into(), description, marks }
}

/// The sheet of a drawing that stands alone. No custom properties: programs that draw do not know them.
const STYLE: &str = "\
text{font:11px ui-sans-serif,system-ui,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;fill:#1c1d1a;font-variant-numeric:tabular-nums;unicode-bidi:plaintext}\
.chart-title{font-weight:600;font-size:13px}.chart-soft{fill:#5c5f58}.chart-ground{fill:#fff}\
path{fill:none}.chart-grid{stroke:#e2e2db}.chart-axis{stroke:#8b8e85}\
.chart-area{stroke:none}.chart-model{fill:#a1c8c4}.chart-person{fill:#0b6b62}\
.chart-line{stroke:#0b6b62;stroke-width:2;stroke-linejoin:round}.chart-dot{fill:#0b6b62;stroke:#fff}\
.chart-line.chart-before{stroke:#8b8e85}.chart-dot.chart-before{fill:#8b8e85}\
.chart-target{stroke:#a92a1c;stroke-width:1.5;stroke-dasharray:5 4}\
.chart-cell{stroke:#e2e2db}.chart-same{fill:#0b6b62}.chart-differs{fill:#a92a1c}.chart-on{fill:#fff}.chart-small{font-size:9px}.chart-tiny{font-size:7px}\
@media(prefers-color-scheme:dark){\
text{fill:#ecece7}.chart-soft{fill:#a5a89f}.chart-ground{fill:#191a18}\
.chart-grid,.chart-cell{stroke:#30322e}.chart-axis{stroke:#73766d}\
.chart-model{fill:#396059}.chart-person,.chart-same{fill:#6fd3c4}\
.chart-line{stroke:#6fd3c4}.chart-dot{fill:#6fd3c4;stroke:#191a18}\
.chart-line.chart-before{stroke:#8b8e85}.chart-dot.chart-before{fill:#8b8e85}\
.chart-target{stroke:#ff9a8c}.chart-differs{fill:#ff9a8c}.chart-on{fill:#191a18}}";

/// Appends text with what XML gives a meaning written out, and what it forbids replaced (XML 1.0, §2.2).
fn escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}

/// An element that is being written.
struct Tag<'a>(&'a mut String);

impl Tag<'_> {
    fn number(self, name: &str, value: f64) -> Self {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push_str("=\"");
        put(self.0, value);
        self.0.push('"');
        self
    }

    fn word(self, name: &str, value: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(name);
        self.0.push_str("=\"");
        escaped(self.0, value);
        self.0.push('"');
        self
    }

    /// A share to a hundredth.
    fn share(self, name: &str, share: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let hundredths = (share.clamp(0.0, 1.0) * 100.0).round() as u8;
        let digits = [b'0' + hundredths / 100, b'.', b'0' + hundredths / 10 % 10, b'0' + hundredths % 10];
        let text: String = digits.into_iter().map(char::from).collect();
        self.word(name, &text)
    }

    fn empty(self) {
        self.0.push_str("/>");
    }

    fn holds(self, text: &str, end: &str) {
        self.0.push('>');
        escaped(self.0, text);
        self.0.push_str(end);
    }
}

fn tag<'a>(out: &'a mut String, name: &str) -> Tag<'a> {
    out.push('<');
    out.push_str(name);
    Tag(out)
}

/// The drawing as an SVG file that stands alone: with its title over it, in light and dark.
#[must_use]
pub fn to_svg(drawing: &Drawing) -> String {
    const ABOVE: f64 = 30.0;
    const AROUND: f64 = 10.0;
    let mut out = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"");
    let (width, height) = (drawing.width + 2.0 * AROUND, drawing.height + ABOVE + AROUND);
    for (number, after) in [(-AROUND, ' '), (-ABOVE, ' '), (width, ' '), (height, '"')] {
        put(&mut out, number);
        out.push(after);
    }
    Tag(&mut out).number("width", 2.0 * width).number("height", 2.0 * height).holds("", "<title>");
    escaped(&mut out, &drawing.title);
    out.push_str("</title><desc>");
    escaped(&mut out, &drawing.description);
    out.push_str("</desc><style>");
    out.push_str(STYLE);
    out.push_str("</style>");
    tag(&mut out, "rect")
        .number("x", -AROUND)
        .number("y", -ABOVE)
        .number("width", width)
        .number("height", height)
        .word("class", "chart-ground")
        .empty();
    tag(&mut out, "text")
        .number("x", 0.0)
        .number("y", -12.0)
        .word("class", "chart-title")
        .holds(&drawing.title, "</text>");
    for mark in &drawing.marks {
        match mark {
            Mark::Path { d, class } => tag(&mut out, "path").word("d", d).word("class", class).empty(),
            Mark::Rect { x, y, width, height, opacity, class } => {
                let rect = tag(&mut out, "rect").number("x", *x).number("y", *y);
                let rect = rect.number("width", *width).number("height", *height);
                rect.share("fill-opacity", *opacity).word("class", class).empty();
            }
            Mark::Circle { x, y, r, class } => {
                let circle = tag(&mut out, "circle").number("cx", *x).number("cy", *y);
                circle.number("r", *r).word("class", class).empty();
            }
            Mark::Text { x, y, text, anchor, upwards, class } => {
                let mut written = tag(&mut out, "text").number("x", *x).number("y", *y);
                if *upwards {
                    written = written.word("transform", &upwards_at(*x, *y));
                }
                written.word("text-anchor", anchor.word()).word("class", class).holds(text, "</text>");
            }
        }
    }
    out.push_str("</svg>\n");
    out
}

/// SVG's `transform` of a text at this point that runs upwards.
#[must_use]
pub fn upwards_at(x: f64, y: f64) -> String {
    let mut out = String::from("rotate(-90 ");
    put(&mut out, x);
    out.push(' ');
    put(&mut out, y);
    out.push(')');
    out
}
