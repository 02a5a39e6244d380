//! The command line, read strictly.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::admission::{Origin, Origins};

/// What `--help` prints.
pub const HELP: &str = "\
Keeps the correction records of <hitl-labeler> in SQLite and serves the page.

Usage: collector --data <folder> [options]

  --data <folder>        where the records are kept (records.sqlite); made if it does not exist
  --dir <folder>         static files to serve under /, such as dist
  --port <number>        port to listen on, 0 for any that is free (default 8787)
  --host <address>       IP address to listen on (default 127.0.0.1, this machine only)
  --allow-origin <origin>
                         a page of this origin may send and read records, such as
                         https://example.org; may be given several times; * for every page;
                         the collector's own pages always may
  --max-body <size>      greatest body of one request in bytes, or with k or M (default 16M)
  --help                 print this
  --version              print the version

Prints one line with its address once it listens. There is no authentication: whoever reaches
the address can read and add records.
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
    pub data: PathBuf,
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on, 0 for any.
    pub port: u16,
    /// Pages that may talk to the collector, beside its own.
    pub origins: Origins,
    /// Greatest body in bytes.
    pub max_body: usize,
}

/// What is wrong with the command line, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// An option that is unknown, lacks its value or is not text.
    #[error("{0}; `collector --help` lists the options")]
    Form(#[from] lexopt::Error),
    /// No `--data`.
    #[error("--data is missing: say where to keep the records, as in `collector --data ./records`")]
    DataMissing,
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

/// Reads the arguments after the program's name.
///
/// # Errors
/// The first argument that is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, OptionsError> {
    use lexopt::prelude::{Long, Short, ValueExt};

    let (mut dir, mut data, mut origins) = (None, None, Origins::default());
    let (mut host, mut port, mut max_body) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8787, 16 << 20);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Asked::Help),
            Long("version") => return Ok(Asked::Version),
            Long("dir") => dir = Some(PathBuf::from(parser.value()?)),
            Long("data") => data = Some(PathBuf::from(parser.value()?)),
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
    let data = data.ok_or(OptionsError::DataMissing)?;
    Ok(Asked::Serve(Options { dir, data, host, port, origins, max_body }))
}

fn size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    (1 << 10..=1 << 30).contains(&bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read_line(line: &str) -> Result<Asked, String> {
        read(line.split_whitespace().map(OsString::from)).map_err(|why| why.to_string())
    }

    #[test]
    fn every_option_is_read() {
        let asked = read_line(
            "--dir dist --data=d --port 0 --host ::1 --allow-origin https://a.example --allow-origin null \
             --max-body 500k",
        );
        let listed = vec![Origin::parse("https://a.example").unwrap(), Origin::parse("null").unwrap()];
        assert_eq!(
            asked,
            Ok(Asked::Serve(Options {
                dir: Some("dist".into()),
                data: "d".into(),
                host: "::1".parse().unwrap(),
                port: 0,
                origins: Origins { any: false, listed },
                max_body: 512_000,
            }))
        );
        assert_eq!(read_line("--port 1 --help"), Ok(Asked::Help));
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
            ("--data d --max-body 0", "--max-body 0: expected a size"),
            ("--data d --max-body 99999999999999999999M", "expected a size"),
            ("--data d --max-body 5G", "expected a size"),
        ] {
            let error = read_line(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
