//! What happened, for people and their tools: one line a request to stderr, and the figures of `/metrics`.
//!
//! A line never holds a token, a query, or anything of a record.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::wire::moment::Moment;

/// How requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// Not at all.
    #[default]
    Off,
    /// For people.
    Text,
    /// For programs: a JSON object a line.
    Json,
}

/// What a handler says about its request, as an extension of the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Records that were new.
    pub stored: u64,
    /// Records that were there.
    pub duplicate: u64,
    /// Records that were refused.
    pub refused: u64,
    /// Items that were handed out.
    pub leased: u64,
    /// Items that were handed out again to the one who held them.
    pub again: u64,
}

impl Told {
    /// Adds what another request said.
    pub fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.refused += other.refused;
        self.leased += other.leased;
        self.again += other.again;
    }

    fn records(&self) -> u64 {
        self.stored + self.duplicate + self.refused
    }
}

/// The name of the token by which a request was let in, as an extension of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who(pub String);

/// One request.
#[derive(Debug)]
pub struct Line<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
    /// The answer's status.
    pub status: u16,
    /// Time to the head of the answer.
    pub took: Duration,
    /// Name of the token.
    pub who: Option<&'a str>,
    /// What its handler said.
    pub told: &'a Told,
}

impl Log {
    /// Writes the line.
    pub fn write(self, line: &Line<'_>) {
        if self == Self::Off {
            return;
        }
        let text = self.line(line, now());
        // Nobody may be listening any more; that is no reason to stop.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn line(self, line: &Line<'_>, at: Moment) -> String {
        let ms = (line.took.as_secs_f64() * 1e5).round() / 100.0;
        // A path may hold anything: what is not visible is escaped, so that nobody writes lines of their own.
        match self {
            Self::Json => {
                let object = json!({
                    "time": at.to_string(), "method": line.method, "path": line.path, "status": line.status,
                    "ms": ms, "records": line.told.records(), "stored": line.told.stored,
                    "duplicate": line.told.duplicate, "refused": line.told.refused, "leased": line.told.leased,
                    "token": line.who,
                });
                format!("{object}\n")
            }
            Self::Text | Self::Off => format!(
                "{at} {} {} {} {ms} ms {} records {}\n",
                line.status,
                line.method.escape_debug(),
                line.path.escape_debug(),
                line.told.records(),
                line.who.unwrap_or("-")
            ),
        }
    }
}

/// What the clock says.
pub(super) fn now() -> Moment {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment::from_epoch_ms(u64::try_from(since_1970.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_request_is_one_line_whatever_its_path_holds() {
        let told = Told { stored: 2, duplicate: 1, ..Told::default() };
        let line = Line {
            method: "POST",
            path: "/records\n2026 forged",
            status: 200,
            took: Duration::from_micros(1_234),
            who: Some("anna"),
            told: &told,
        };
        let at: Moment = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let text = Log::Text.line(&line, at);
        assert_eq!(text, "2026-01-01T00:00:00.000Z 200 POST /records\\n2026 forged 1.23 ms 3 records anna\n");
        let json = Log::Json.line(&line, at);
        assert_eq!(json.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&read["records"], &read["token"], &read["ms"]),
            (&json!(3), &json!("anna"), &json!(1.23))
        );
    }
}
