//! What `make eval` measures: the learning and its promise, with a person who answers as the truth says.
//!
//! Everything that learns, orders, decides or promises is the page's own code of [`crate::domain`]; what models say
//! comes from [`crate::infer`]. Each section prints its figures and draws its charts; `docs/eval.md` says how they
//! are to be read.

pub mod chance;
pub mod chart;
pub mod data;
pub mod digits;
pub mod embedder;
pub mod fashion;
pub mod models;
pub mod options;
pub mod promise;
pub mod report;
pub mod speed;
pub mod stats;
pub mod study;
pub mod weather;

use std::io::Write;
use std::path::Path;

use options::Options;
use report::{Figure, Report};

/// Where a section puts what it finds.
pub struct Sink<'a> {
    report: Report<&'a mut dyn Write, &'a mut dyn Write>,
    out: &'a Path,
}

impl Sink<'_> {
    fn say(&mut self, text: &str) -> Result<(), String> {
        self.report.say(text).map_err(unread)
    }

    fn figure(&mut self, figure: Figure) -> Result<(), String> {
        self.report.figure(figure).map_err(unread)
    }

    fn chart(&mut self, name: &str, chart: &chart::Chart) -> Result<(), String> {
        let path = self.out.join(format!("{name}.svg"));
        std::fs::create_dir_all(self.out)
            .and_then(|()| std::fs::write(&path, chart.svg()))
            .map_err(|why| format!("{}: {why}", path.display()))
    }
}

#[allow(clippy::needless_pass_by_value)]
fn unread(why: std::io::Error) -> String {
    format!("nobody reads the figures: {why}")
}

/// Measures what was asked for: JSON lines to `lines`, a table to `table`. Gives how many targets were missed.
///
/// # Errors
/// Something that is needed is not there.
pub fn run(options: &Options, lines: &mut dyn Write, table: &mut dyn Write) -> Result<usize, String> {
    let mut sink = Sink { report: Report::new(lines, table), out: &options.out };
    for section in &options.sections {
        match *section {
            "digits" => digits::run(options, &mut sink)?,
            "promise" => promise::run(options, &mut sink)?,
            "fashion" => fashion::run(options, &mut sink)?,
            "weather" => weather::run(options, &mut sink)?,
            "embedder" => embedder::run(options, &mut sink)?,
            "speed" => speed::run(options, &mut sink)?,
            unknown => return Err(format!("there is no section {unknown:?}")),
        }
    }
    sink.report.close().map_err(unread)
}
