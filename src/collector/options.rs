//! The command line, read strictly.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::admission::{Origin, Origins};
use super::observe::Log;

/// What `--help` prints.
pub const HELP: &str = "\
Keeps the correction records of <hitl-labeler> in SQLite or PostgreSQL, hands out work, and serves the page.

Usage: collector --data <folder> [options]
       DATABASE_URL=postgres://user:password@host/name collector [options]

  --data <folder>        where the records are kept (records.sqlite); made if it does not exist
  --database <url>       keep them in PostgreSQL: several collectors may share one database, and of several
                         hosts (//one,two/) the one that takes changes is used. Better given as
                         DATABASE_URL, as everybody on this machine can read a command line;
                         --data wins over DATABASE_URL. The connection is not encrypted (no TLS)
  --connections <number> connections to PostgreSQL at most (default 8)
  --dir <folder>         static files to serve under /, such as dist
  --port <number>        port to listen on, 0 for any that is free (default 8787)
  --host <address>       IP address to listen on (default 127.0.0.1, this machine only)
  --allow-origin <origin>
                         a page of this origin may send and read records, such as
                         https://example.org; may be given several times; * for every page;
                         the collector's own pages always may
  --tokens <file>        ask for bearer tokens; one a line: name, sha256: and digest, scopes
                         (write, read, work, admin), and rate=<a minute> max-body=<size>
  --max-body <size>      greatest body of one request in bytes, or with k or M (default 16M)
  --answers-per-item <number>
                         how many annotators' answers an item of the work list wants (default 1)
  --log <form>           one line a request on stderr: text or json (default off)
  --help                 print this
  --version              print the version

Prints one line with its address once it listens. Without --tokens there is no authentication: whoever
reaches the address can read and add records.
";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To print [`HELP`].
    Help,
    /// To print the version.
    Version,
    /// To serve.
    Serve(Options),
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Static files.
    pub dir: Option<PathBuf>,
    /// Where the records are kept.
    pub keep: Keep,
    /// Connections to PostgreSQL at most.
    pub connections: usize,
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on, 0 for any.
    pub port: u16,
    /// Pages that may talk to the collector, beside its own.
    pub origins: Origins,
    /// Greatest body in bytes.
    pub max_body: usize,
    /// File of the bearer tokens.
    pub tokens: Option<PathBuf>,
    /// How many annotators' answers an item of the work list wants.
    pub answers_per_item: u32,
    /// How requests are logged.
    pub log: Log,
}

/// Where records are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Keep {
    /// In SQLite, in this folder.
    Folder(PathBuf),
    /// In PostgreSQL, at this address, which may hold a password.
    Database(String),
}

impl std::fmt::Debug for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            Self::Database(_) => f.write_str("Database(…)"),
        }
    }
}

/// What is wrong with the command line, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// An option that is unknown, lacks its value or is not text.
    #[error("{0}; `collector --help` lists the options")]
    Form(#[from] lexopt::Error),
    /// No `--data`.
    #[error(
        "--data is missing: say where to keep the records, as in `collector --data ./records`, or set DATABASE_URL"
    )]
    DataMissing,
    /// `--data` and `--database`.
    #[error("--data and --database: expected one of them, as records are kept in one place")]
    Both,
    /// `--log` is not a form.
    #[error("--log {0}: expected text, json or off")]
    Log(String),
    /// A number is none, or out of bounds.
    #[error("{option} {found}: expected a number from 1 to {most}")]
    Number {
        /// Which option.
        option: &'static str,
        /// What stands there.
        found: String,
        /// The greatest that is taken.
        most: u32,
    },
    /// `--port` is not a port.
    #[error("--port {0}: expected a number from 0 to 65535, 0 for any free port")]
    Port(String),
    /// `--host` is not an address.
    #[error(
        "--host {0}: expected an IP address, such as 127.0.0.1 (this machine) or 0.0.0.0 (every network)"
    )]
    Host(String),
    /// `--allow-origin` is not an origin.
    #[error(
        "--allow-origin {0}: expected an origin as browsers send it, scheme and host and no path, such as \
         https://example.org or http://localhost:3000, or *"
    )]
    Origin(String),
    /// `--max-body` is not a size.
    #[error("--max-body {0}: expected a size from 1k to 1024M, such as 500k or 16M")]
    MaxBody(String),
}

/// Reads the arguments after the program's name; `database_url` is the environment's `DATABASE_URL`.
///
/// # Errors
/// The first argument that is wrong.
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    database_url: Option<String>,
) -> Result<Asked, OptionsError> {
    use lexopt::prelude::{Long, Short, ValueExt};

    let (mut dir, mut data, mut origins) = (None, None, Origins::default());
    let (mut database, mut connections, mut tokens) = (None, 8, None);
    let (mut answers_per_item, mut log) = (1, Log::Off);
    let (mut host, mut port, mut max_body) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8787, 16 << 20);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long("version") => return Ok(Asked::Version),
            Long("dir") => dir = Some(PathBuf::from(parser.value()?)),
            Long("data") => data = Some(PathBuf::from(parser.value()?)),
            Long("database") => database = Some(parser.value()?.string()?),
            Long("connections") => connections = number("--connections", parser.value()?.string()?, 1_000)?,
            Long("tokens") => tokens = Some(PathBuf::from(parser.value()?)),
            Long("answers-per-item") => {
                answers_per_item = number("--answers-per-item", parser.value()?.string()?, 100)?;
            }
            Long("log") => {
                let text = parser.value()?.string()?;
                log = match text.as_str() {
                    "text" => Log::Text,
                    "json" => Log::Json,
                    "off" => Log::Off,
                    _ => return Err(OptionsError::Log(text)),
                };
            }
            Long("port") => {
                let text = parser.value()?.string()?;
                port = text.parse().map_err(|_| OptionsError::Port(text))?;
            }
            Long("host") => {
                let text = parser.value()?.string()?;
                host = match text.as_str() {
                    "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    _ => text.parse().map_err(|_| OptionsError::Host(text))?,
                };
            }
            Long("allow-origin") => {
                let text = parser.value()?.string()?;
                match text.as_str() {
                    "*" => origins.any = true,
                    _ => origins.listed.push(Origin::parse(&text).ok_or(OptionsError::Origin(text))?),
                }
            }
            Long("max-body") => {
                let text = parser.value()?.string()?;
                max_body = size(&text).ok_or(OptionsError::MaxBody(text))?;
            }
            unknown => return Err(unknown.unexpected().into()),
        }
    }
    let keep = match (data, database) {
        (Some(_), Some(_)) => return Err(OptionsError::Both),
        (Some(folder), None) => Keep::Folder(folder),
        (None, Some(address)) => Keep::Database(address),
        (None, None) => {
            let url = database_url.filter(|url| !url.is_empty());
            Keep::Database(url.ok_or(OptionsError::DataMissing)?)
        }
    };
    let connections = connections as usize;
    Ok(Asked::Serve(Options {
        dir,
        keep,
        connections,
        host,
        port,
        origins,
        max_body,
        tokens,
        answers_per_item,
        log,
    }))
}

fn number(option: &'static str, found: String, most: u32) -> Result<u32, OptionsError> {
    let number = found.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or(OptionsError::Number { option, found, most })
}

/// A size in bytes, or with k or M, from 1k to 1024M.
pub(super) fn size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    (1 << 10..=1 << 30).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn read_line(line: &str) -> Result<Asked, String> {
        read(line.split_whitespace().map(OsString::from), None).map_err(|why| why.to_string())
    }

    #[test]
    fn every_option_is_read() {
        let asked = read_line(
            "--dir dist --data=d --port 0 --host ::1 --allow-origin https://a.example --allow-origin null \
             --max-body 500k --tokens t --answers-per-item 3 --log json",
        );
        let listed = vec![Origin::parse("https://a.example").unwrap(), Origin::parse("null").unwrap()];
        assert_eq!(
            asked,
            Ok(Asked::Serve(Options {
                dir: Some("dist".into()),
                keep: Keep::Folder("d".into()),
                connections: 8,
                host: "::1".parse().unwrap(),
                port: 0,
                origins: Origins { any: false, listed },
                max_body: 512_000,
                tokens: Some("t".into()),
                answers_per_item: 3,
                log: Log::Json,
            }))
        );
        assert_eq!(read_line("--port 1 --help"), Ok(Asked::Help));
    }

    #[test]
    fn the_database_comes_from_the_environment_unless_the_command_line_says_where() {
        let keep = |line: &str, url: &str| {
            let arguments = line.split_whitespace().map(OsString::from);
            match read(arguments, Some(url.to_owned())) {
                Ok(Asked::Serve(options)) => options.keep,
                other => panic!("{other:?}"),
            }
        };
        let database = |url: &str| Keep::Database(url.to_owned());
        assert_eq!(keep("", "postgres://u:secret@h/d"), database("postgres://u:secret@h/d"));
        assert_eq!(keep("--database postgres://x", "postgres://y"), database("postgres://x"));
        assert_eq!(keep("--data d", "postgres://y"), Keep::Folder("d".into()));
        assert!(!format!("{:?}", database("postgres://u:secret@h/d")).contains("secret"));
    }

    #[test]
    fn each_mistake_is_named_with_its_mend() {
        for (line, said) in [
            ("", "--data is missing"),
            ("--data", "missing argument for option '--data'; `collector --help`"),
            ("--data d --prot 1", "invalid option '--prot'; `collector --help`"),
            ("--data d extra", "unexpected argument \"extra\""),
            ("--data d --port 70000", "--port 70000: expected a number from 0 to 65535"),
            ("--data d --host example.org", "--host example.org: expected an IP address"),
            (
                "--data d --allow-origin https://a.example/",
                "--allow-origin https://a.example/: expected an origin",
            ),
            ("--data d --allow-origin a.example", "scheme and host"),
            ("--data d --database postgres://h/d", "expected one of them"),
            ("--data d --log loud", "--log loud: expected text, json or off"),
            ("--data d --answers-per-item 0", "--answers-per-item 0: expected a number from 1 to 100"),
            ("--data d --connections x", "--connections x: expected a number from 1 to 1000"),
            ("--data d --max-body 0", "--max-body 0: expected a size"),
            ("--data d --max-body 99999999999999999999M", "expected a size"),
            ("--data d --max-body 5G", "expected a size"),
        ] {
            let error = read_line(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
