//! Figures for Prometheus, in its text format 0.0.4.
//!
//! Every label has a few values that are known beforehand, so that nobody can make the list grow by what they send.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::observe::Told;
use super::work::WorkCounts;

/// Upper bounds of the latency's buckets, seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The addresses that are told apart; all others are files.
const ROUTES: [&str; 6] = ["/records", "/items", "/export", "/counts", "/health", "/metrics"];

/// What has happened since the collector started.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    requests: BTreeMap<(&'static str, &'static str, u16), u64>,
    times: BTreeMap<&'static str, Times>,
    told: Told,
}

#[derive(Clone, Debug, Default)]
struct Times {
    /// Requests that took as long as the bound of the same place, and no shorter one.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    seconds: f64,
}

impl Metrics {
    /// Notes a request that was answered.
    pub fn note(&self, method: &str, path: &str, status: u16, took: Duration, told: &Told) {
        const METHODS: [&str; 5] = ["GET", "POST", "PUT", "HEAD", "OPTIONS"];
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = ROUTES
            .into_iter()
            .find(|known| {
                path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .unwrap_or("files");
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *figures.requests.entry((method, route, status)).or_default() += 1;
        let times = figures.times.entry(route).or_default();
        let seconds = took.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            times.buckets[bucket] += 1;
        }
        times.count += 1;
        times.seconds += seconds;
        figures.told.add(told);
    }

    /// All figures as text; `work` is how the list stands, if the database says so.
    #[must_use]
    pub fn text(&self, work: Option<WorkCounts>) -> String {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            // Writing to memory cannot fail, here and below.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        };
        head(&mut out, "hitl_requests_total", "counter", "Requests that were answered.");
        for ((method, route, status), count) in &figures.requests {
            let _ = writeln!(
                out,
                "hitl_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
            );
        }
        let name = "hitl_request_seconds";
        head(&mut out, name, "histogram", "Time from a request's head to the head of its answer.");
        for (route, times) in &figures.times {
            let mut sum = 0;
            for (bound, count) in BOUNDS.iter().zip(times.buckets) {
                sum += count;
                let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {sum}");
            }
            let _ = writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", times.count);
            let _ = writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", times.seconds);
            let _ = writeln!(out, "{name}_count{{route=\"{route}\"}} {}", times.count);
        }
        head(&mut out, "hitl_records_total", "counter", "Records by what became of them.");
        let told = &figures.told;
        for (outcome, count) in
            [("stored", told.stored), ("duplicate", told.duplicate), ("refused", told.refused)]
        {
            let _ = writeln!(out, "hitl_records_total{{outcome=\"{outcome}\"}} {count}");
        }
        head(
            &mut out,
            "hitl_leases_total",
            "counter",
            "Items that were handed out, the same again included.",
        );
        for (kind, count) in [("new", told.leased), ("again", told.again)] {
            let _ = writeln!(out, "hitl_leases_total{{kind=\"{kind}\"}} {count}");
        }
        head(&mut out, "hitl_database_up", "gauge", "Whether the database answered just now.");
        let _ = writeln!(out, "hitl_database_up {}", u8::from(work.is_some()));
        if let Some(work) = work {
            head(&mut out, "hitl_work_items", "gauge", "Items on the work list.");
            let _ = writeln!(out, "hitl_work_items {}", work.items);
            head(&mut out, "hitl_work_leases", "gauge", "Leases that run.");
            let _ = writeln!(out, "hitl_work_leases {}", work.leases);
        }
        out
    }
}
