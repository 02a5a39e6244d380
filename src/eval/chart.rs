//! A chart as an SVG file that stands alone, light and dark, with its figures as text.

use std::fmt::Write as _;

use super::stats::significant;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 256.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;
/// More room for names, which are turned.
const NAMED: f64 = 64.0;
/// Okabe and Ito's colours, which the colour-blind tell apart.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"];

/// One line of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Where it goes: x ascending.
    pub points: Vec<(f64, f64)>,
}

/// Figures over something, at least one series of at least one point.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, in a sentence.
    pub title: String,
    /// What stands along the x axis.
    pub across: String,
    /// What stands along the y axis.
    pub up: String,
    /// Names of x = 0, 1, 2, … in place of numbers; points are then not joined.
    pub names: Vec<String>,
    /// The figures.
    pub series: Vec<Series>,
    /// A line across with what it means.
    pub mark: Option<(f64, String)>,
}

impl Chart {
    /// The file.
    #[must_use]
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let ys = || points().map(|(_, y)| *y).chain(self.mark.iter().map(|(y, _)| *y));
        let (x_from, x_to) = range(points().map(|(x, _)| *x));
        let (y_from, y_to) = range(ys());
        let step = step(y_to - y_from);
        let (y_from, y_to) = ((y_from / step).floor() * step, (y_to / step).ceil() * step);
        let margin = if self.names.is_empty() { 0.0 } else { 0.5 };
        let (x_from, x_to) = (x_from - margin, x_to + margin);
        let height = if self.names.is_empty() { HEIGHT } else { HEIGHT + NAMED };
        let x = |at: f64| LEFT + (at - x_from) / (x_to - x_from) * (WIDTH - LEFT - RIGHT);
        let y = |at: f64| HEIGHT - BOTTOM - (at - y_from) / (y_to - y_from) * (HEIGHT - TOP - BOTTOM);

        let mut svg = String::new();
        let title = escaped(&self.title);
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
             <title id=\"t\">{title}</title>\n<desc id=\"d\">{}</desc>\n\
             <style>svg{{font:13px system-ui,sans-serif;background:#fff;color:#1b1b1b}}text{{fill:currentColor}}\
             .grid{{stroke:currentColor;opacity:.15}}.mark{{stroke:currentColor;stroke-dasharray:5 4}}\
             polyline{{fill:none;stroke-width:2}}@media(prefers-color-scheme:dark){{svg{{background:#161616;color:#eee}}}}</style>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>\n",
            escaped(&self.described()),
        );
        let mut at = y_from;
        while at <= y_to + step / 2.0 {
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{1:.1}\"/><text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
                y(at),
                WIDTH - RIGHT,
                LEFT - 8.0,
                y(at) + 4.0,
                significant(at)
            );
            at += step;
        }
        let ticks: Vec<(f64, String)> = if self.names.is_empty() {
            let step = self::step(x_to - x_from);
            let first = (x_from / step).ceil();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = ((x_to - first * step) / step + 1e-9).floor() as u32;
            (0..=count)
                .map(|i| (first + f64::from(i)) * step)
                .map(|at| (at, significant(at).to_string()))
                .collect()
        } else {
            self.names.iter().zip(0_u32..).map(|(name, at)| (f64::from(at), name.clone())).collect()
        };
        for (at, name) in ticks {
            let (x, y) = (x(at), HEIGHT - BOTTOM + 18.0);
            let (turned, anchor) = match self.names.is_empty() {
                true => (String::new(), "middle"),
                false => (format!(" transform=\"rotate(-40 {x:.1} {y})\""), "end"),
            };
            let name = escaped(&name);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\" font-size=\"11\"{turned}>{name}</text>"
            );
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{0}\" text-anchor=\"middle\">{2}</text>\n\
             <text x=\"16\" y=\"{1}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {1})\">{3}</text>",
            height - 6.0,
            TOP + (HEIGHT - TOP - BOTTOM) / 2.0,
            escaped(&self.across),
            escaped(&self.up),
        );
        if let Some((at, name)) = &self.mark {
            let (y, right) = (y(*at), WIDTH - RIGHT);
            let name = escaped(name);
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{0}\" y=\"{1:.1}\" font-size=\"11\">{name}</text>",
                LEFT + 6.0,
                y - 5.0
            );
        }
        for ((series, colour), place) in self.series.iter().zip(COLOURS.iter().cycle()).zip(0_u32..) {
            if self.names.is_empty() {
                let joined: Vec<String> =
                    series.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
                let _ = writeln!(svg, "<polyline stroke=\"{colour}\" points=\"{}\"/>", joined.join(" "));
            }
            for (a, b) in &series.points {
                let _ = write!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                    x(*a),
                    y(*b)
                );
            }
            let (left, line) = (WIDTH - RIGHT + 14.0, TOP + 6.0 + 20.0 * f64::from(place));
            let _ = writeln!(
                svg,
                "\n<rect x=\"{left}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                line - 9.0,
                left + 16.0,
                line,
                escaped(&series.name)
            );
        }
        svg + "</svg>\n"
    }

    /// Every figure in words.
    fn described(&self) -> String {
        let of = |series: &Series| {
            let name = |x: f64| match self.names.get(x.max(0.0).round() as usize) {
                Some(name) => name.clone(),
                None => significant(x).to_string(),
            };
            let said: Vec<_> =
                series.points.iter().map(|(x, y)| format!("{}: {}", name(*x), significant(*y))).collect();
            format!("{}: {}", series.name, said.join(", "))
        };
        let all: Vec<_> = self.series.iter().map(of).collect();
        format!("{} over {}. {}.", self.up, self.across, all.join(". "))
    }
}

/// From the least to the greatest, a little apart if they are one.
fn range(of: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = of
        .filter(|x| x.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    match least.partial_cmp(&most) {
        Some(std::cmp::Ordering::Less) => (least, most),
        Some(std::cmp::Ordering::Equal) => (least - 0.5, most + 0.5),
        _ => (0.0, 1.0),
    }
}

/// A round step that divides a span into four to ten.
fn step(span: f64) -> f64 {
    let power = 10_f64.powf(span.log10().floor());
    let steps = [0.1, 0.2, 0.25, 0.5, 1.0].map(|part| part * power);
    steps.into_iter().find(|step| span / step <= 10.0).unwrap_or(power)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(names: &[&str]) -> Chart {
        Chart {
            title: "Accuracy < 1 & more".into(),
            across: "answers".into(),
            up: "accuracy".into(),
            names: names.iter().map(|name| (*name).into()).collect(),
            series: vec![Series {
                name: "margin".into(),
                points: vec![(0.0, 0.5), (1.0, 0.875), (2.0, 0.9)],
            }],
            mark: Some((0.95, "target".into())),
        }
    }

    #[test]
    fn what_is_drawn_is_said_too() {
        let svg = chart(&[]).svg();
        assert!(
            svg.contains("<desc id=\"d\">accuracy over answers. margin: 0: 0.5, 1: 0.875, 2: 0.9.</desc>"),
            "{svg}"
        );
        assert!(svg.contains("<title id=\"t\">Accuracy &lt; 1 &amp; more</title>"));
        assert_eq!((svg.matches("<circle").count(), svg.matches("<polyline").count()), (3, 1));
        let named = chart(&["easy", "hard", "both"]).svg();
        assert!(named.contains("easy: 0.5, hard: 0.875, both: 0.9") && !named.contains("<polyline"));
    }

    #[test]
    fn everything_lies_on_the_sheet() {
        let svg = chart(&[]).svg();
        for part in svg.split("<circle cx=\"").skip(1) {
            let number =
                |text: &str| text.split('"').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(-1.0);
            let x = number(part);
            let y = number(part.split("cy=\"").nth(1).unwrap_or_default());
            assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{x} {y}");
        }
    }

    #[test]
    fn steps_are_round() {
        assert_eq!(
            [1.0, 0.35, 400.0, 12.0].map(step).map(|x| significant(x).to_string()),
            ["0.1", "0.05", "50", "2"]
        );
    }
}
