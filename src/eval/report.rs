//! How a measured figure leaves: a JSON line on stdout as `make bench` prints it, and a row of the table.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::stats::{Mean, significant};

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// `value` at least this.
    AtLeast(f64),
    /// `value` at most this.
    AtMost(f64),
    /// `value` above this.
    Above(f64),
    /// `ratio` at least this.
    Ratio(f64),
}

/// One measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    metric: String,
    value: Option<f64>,
    unit: &'static str,
    peer: Option<(String, Option<f64>)>,
    ratio: Option<f64>,
    target: Option<Target>,
    more: Map<String, Json>,
}

/// A figure as it is printed.
#[derive(Serialize)]
struct Line {
    metric: String,
    value: Option<f64>,
    unit: &'static str,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    target: Option<String>,
    ok: Option<bool>,
    #[serde(flatten)]
    more: Map<String, Json>,
}

impl Figure {
    /// A figure; `None`: it came to nothing, and misses any target.
    #[must_use]
    pub fn new(metric: impl Into<String>, value: impl Into<Option<f64>>, unit: &'static str) -> Self {
        let (metric, value) = (metric.into(), value.into().filter(|value| value.is_finite()));
        Self { metric, value, unit, peer: None, ratio: None, target: None, more: Map::new() }
    }

    /// A mean over seeds, its standard error beside it.
    #[must_use]
    pub fn mean(metric: impl Into<String>, mean: Option<Mean>, unit: &'static str) -> Self {
        let figure = Self::new(metric, mean.map(|mean| mean.mean), unit);
        figure.with("standard_error", mean.map(|mean| significant(mean.error)))
    }

    /// What it is compared with.
    #[must_use]
    pub fn beside(mut self, peer: impl Into<String>, value: impl Into<Option<f64>>) -> Self {
        self.peer = Some((peer.into(), value.into()));
        self
    }

    /// Of a figure that is the better the smaller it is: how many times smaller than the peer's.
    #[must_use]
    pub fn times_fewer(mut self) -> Self {
        let peer = self.peer.as_ref().and_then(|(_, value)| *value);
        self.ratio = peer.zip(self.value).filter(|(_, value)| *value > 0.0).map(|(peer, value)| peer / value);
        self
    }

    /// What it is held to.
    #[must_use]
    pub fn held_to(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// A condition of the measurement.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// Whether the target is met; `None` without one.
    #[must_use]
    pub fn ok(&self) -> Option<bool> {
        Some(match self.target? {
            Target::AtLeast(least) => self.value.is_some_and(|value| value >= least),
            Target::AtMost(most) => self.value.is_some_and(|value| value <= most),
            Target::Above(bound) => self.value.is_some_and(|value| value > bound),
            // A ratio of two counts is compared as it is meant: 110 of 66 is 5 / 3.
            Target::Ratio(least) => self.ratio.is_some_and(|ratio| ratio >= least * (1.0 - 1e-9)),
        })
    }

    fn target(&self) -> Option<String> {
        self.target.map(|target| match target {
            Target::AtLeast(x) => format!("value >= {}", significant(x)),
            Target::AtMost(x) => format!("value <= {}", significant(x)),
            Target::Above(x) => format!("value > {}", significant(x)),
            Target::Ratio(x) => format!("ratio >= {}", significant(x)),
        })
    }

    fn line(&self) -> Line {
        let (peer, peer_value) = self.peer.clone().unzip();
        Line {
            metric: self.metric.clone(),
            value: self.value.map(significant),
            unit: self.unit,
            peer,
            peer_value: peer_value.flatten().map(significant),
            ratio: self.ratio.map(significant),
            target: self.target(),
            ok: self.ok(),
            more: self.more.clone(),
        }
    }
}

/// Where the figures go.
#[derive(Debug)]
pub struct Report<O, T> {
    lines: O,
    table: T,
    figures: Vec<Figure>,
}

impl<O: Write, T: Write> Report<O, T> {
    /// Figures as JSON to `lines`, everything for people to `table`.
    pub fn new(lines: O, table: T) -> Self {
        Self { lines, table, figures: Vec::new() }
    }

    /// Progress for the person who waits.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.table, "· {text}")
    }

    /// Prints one figure.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn figure(&mut self, figure: Figure) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, &figure.line())?;
        writeln!(self.lines)?;
        self.lines.flush()?;
        self.figures.push(figure);
        Ok(())
    }

    /// Prints the table of all figures; gives how many targets were missed.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn close(mut self) -> io::Result<usize> {
        let width = self.figures.iter().map(|figure| figure.metric.len()).max().unwrap_or(0);
        for figure in &self.figures {
            let number =
                |value: Option<f64>| value.map_or("–".into(), |value| significant(value).to_string());
            let mut row = format!("{:width$}  {:>8} {:8}", figure.metric, number(figure.value), figure.unit);
            if let Some(error) = figure.more.get("standard_error").and_then(Json::as_f64) {
                row += &format!("  ± {error}");
            }
            if let Some((peer, value)) = &figure.peer {
                row += &format!("  {peer}: {}", number(*value));
            }
            if let (Some(target), Some(ok)) = (figure.target(), figure.ok()) {
                row += &format!("  {} {target}", if ok { "✓" } else { "✗ MISSED" });
            }
            writeln!(self.table, "{}", row.trim_end())?;
        }
        Ok(self.figures.iter().filter(|figure| figure.ok() == Some(false)).count())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn printed(figure: Figure) -> (String, usize) {
        let mut lines = Vec::new();
        let mut report = Report::new(&mut lines, io::sink());
        report.figure(figure).unwrap();
        let missed = report.close().unwrap();
        (String::from_utf8(lines).unwrap(), missed)
    }

    #[test]
    fn a_line_is_one_as_the_benchmark_prints_it() {
        let figure = Figure::new("labels_to_90", 80.0, "labels").beside("random", 110.0).times_fewer();
        let (line, missed) = printed(figure.held_to(Target::Ratio(1.25)).with("seeds", 6));
        assert_eq!(missed, 0);
        assert_eq!(
            line,
            "{\"metric\":\"labels_to_90\",\"value\":80.0,\"unit\":\"labels\",\"peer\":\"random\",\"peer_value\":110.0,\
             \"ratio\":1.375,\"target\":\"ratio >= 1.25\",\"ok\":true,\"seeds\":6}\n"
        );
    }

    #[test]
    fn what_came_to_nothing_misses_its_target() {
        for (value, target, missed) in [
            (None, Target::AtMost(1.0), 1),
            (Some(f64::NAN), Target::AtMost(1.0), 1),
            (Some(1.0), Target::AtMost(1.0), 0),
            (Some(1.0), Target::Above(1.0), 1),
            (Some(0.9), Target::AtLeast(1.0), 1),
        ] {
            assert_eq!(
                printed(Figure::new("x", value, "share").held_to(target)).1,
                missed,
                "{value:?} {target:?}"
            );
        }
        assert!(printed(Figure::new("x", None, "share")).0.contains("\"target\":null,\"ok\":null"));
    }
}
