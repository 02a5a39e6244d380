//! Who may do what: bearer tokens from a file, each with what it is for and how much of it.
//!
//! One token a line: its name, then `sha256:` with the token's digest in hex (or the token itself), then what it
//! is good for, then limits if there are any. `#` begins a comment.
//!
//! ```text
//! # name   token                       scopes        limits
//! anna     sha256:9f86d081884c7d65…    write,work    rate=600 max-body=1M
//! reports  sha256:60303ae22b998861…    read
//! ```
//!
//! Only digests are kept in memory. Tokens have to be random (`openssl rand -hex 32`): a plain digest protects
//! no guessable word.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::options::size;

/// The shortest token that is taken, characters: 128 bits in hex have 32, in base 64 22.
const SHORTEST: usize = 20;

/// What a token may be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To send records.
    Write,
    /// To read exports, counts and metrics.
    Read,
    /// To be given work.
    Work,
    /// To change the work list; includes all others.
    Admin,
}

impl Scope {
    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Work => "work",
            Self::Admin => "admin",
        }
    }
}

const SCOPES: [Scope; 4] = [Scope::Write, Scope::Read, Scope::Work, Scope::Admin];

/// A token, known by its digest.
#[derive(Debug)]
pub struct Token {
    /// Who has it; stands in logs.
    pub name: String,
    digest: [u8; 32],
    scopes: Vec<Scope>,
    /// Greatest body of one request in bytes, if it is less than everybody's.
    pub max_body: Option<usize>,
    rate: Option<Rate>,
}

/// Requests a minute, as a bucket that fills evenly and holds those of ten seconds, or at least one.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    holds: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// What is wrong with a tokens file.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("--tokens {}: cannot be read ({why}): check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// A line of it is not as it has to be.
    #[error("--tokens {}: line {line}: found {found}, expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What stands there, never the token.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Nobody could do anything.
    #[error("--tokens {}: found no token, expected one a line: a name, sha256: and its digest, and its scopes", .0.display())]
    Empty(PathBuf),
}

/// Why a request is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No token came with it.
    Missing,
    /// The token is none of the file's.
    Unknown,
    /// The token is not good for this.
    Scope(Scope),
    /// Too many requests; come again in so many seconds.
    Rate(u64),
}

/// All tokens.
#[derive(Debug)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Reads a tokens file.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| TokensError::Unreadable { path: path.to_owned(), why })?;
        let mut tokens: Vec<Token> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let wrong = |(found, expected)| TokensError::Line {
                path: path.to_owned(),
                line: number + 1,
                found,
                expected,
            };
            let token = token(line).map_err(wrong)?;
            if tokens.iter().any(|other| other.digest == token.digest || other.name == token.name) {
                return Err(wrong((format!("{} a second time", token.name), "each name and token once")));
            }
            tokens.push(token);
        }
        if tokens.is_empty() {
            return Err(TokensError::Empty(path.to_owned()));
        }
        Ok(Self(tokens))
    }

    /// The token of an `Authorization` header, if it may do what `scope` says now.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, authorization: Option<&str>, scope: Scope, now: Instant) -> Result<&Token, Denied> {
        let (scheme, given) = authorization.and_then(|text| text.split_once(' ')).ok_or(Denied::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Denied::Missing);
        }
        let digest: [u8; 32] = Sha256::digest(given.trim().as_bytes()).into();
        // All are looked at and each to its end, so that the time says nothing about them.
        let mut found = None;
        for token in &self.0 {
            let differ = token.digest.iter().zip(digest).fold(0, |differ, (a, b)| differ | (a ^ b));
            if std::hint::black_box(differ) == 0 {
                found = Some(token);
            }
        }
        let token = found.ok_or(Denied::Unknown)?;
        if !token.scopes.contains(&scope) && !token.scopes.contains(&Scope::Admin) {
            return Err(Denied::Scope(scope));
        }
        match &token.rate {
            Some(rate) => rate.take(now).map(|()| token).map_err(Denied::Rate),
            None => Ok(token),
        }
    }
}

impl Rate {
    fn new(per_minute: u32) -> Self {
        let per_second = f64::from(per_minute) / 60.0;
        let holds = (per_second * 10.0).max(1.0);
        Self { per_second, holds, bucket: Mutex::new(Bucket { left: holds, at: Instant::now() }) }
    }

    /// Takes one request out; or says in how many seconds there is one again.
    fn take(&self, now: Instant) -> Result<(), u64> {
        // A panic elsewhere leaves two numbers that are as good as any.
        let mut bucket = self.bucket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * self.per_second).min(self.holds);
        bucket.at = bucket.at.max(now);
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.left) / self.per_second).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Err((wait as u64).max(1))
    }
}

fn token(line: &str) -> Result<Token, (String, &'static str)> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(secret), Some(scopes)) = (words.next(), words.next(), words.next()) else {
        return Err((
            "fewer than three words".into(),
            "a name, sha256: and the token's digest, and its scopes",
        ));
    };
    let digest = match secret.strip_prefix("sha256:") {
        Some(hex) => read_hex(hex).ok_or(("a digest of another form".into(), "sha256: and 64 hex digits"))?,
        None if secret.chars().count() < SHORTEST => {
            let found = format!("a token of {} characters", secret.chars().count());
            return Err((found, "at least 20 random ones, such as `openssl rand -hex 32` gives"));
        }
        None => Sha256::digest(secret.as_bytes()).into(),
    };
    let scopes = scopes.split(',').map(|word| {
        let known = SCOPES.into_iter().find(|scope| scope.word() == word);
        known
            .ok_or_else(|| (format!("the scope {word:?}"), "write, read, work or admin, with commas between"))
    });
    let mut token = Token {
        name: name.into(),
        digest,
        scopes: scopes.collect::<Result<_, _>>()?,
        max_body: None,
        rate: None,
    };
    for word in words {
        match word.split_once('=') {
            Some(("rate", number)) => {
                let rate = number.parse().ok().filter(|rate| (1..=1_000_000).contains(rate));
                let rate = rate.ok_or((format!("rate={number}"), "requests a minute from 1 to 1000000"))?;
                token.rate = Some(Rate::new(rate));
            }
            Some(("max-body", text)) => {
                let bytes = size(text).ok_or((format!("max-body={text}"), "a size from 1k to 1024M"))?;
                token.max_body = Some(bytes);
            }
            _ => return Err((format!("{word:?}"), "rate=<a minute> or max-body=<size>")),
        }
    }
    Ok(token)
}

fn read_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Tokens, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, text).unwrap();
        Tokens::read(&path).map_err(|why| why.to_string())
    }

    const PLAIN: &str = "correct-horse-battery-staple";

    #[test]
    fn a_token_is_known_plain_or_by_its_digest_and_good_for_its_scopes_only() {
        let digest: String = Sha256::digest(PLAIN).iter().map(|byte| format!("{byte:02x}")).collect();
        for secret in [PLAIN.to_owned(), format!("sha256:{digest}")] {
            let tokens = read(&format!("# who\nanna {secret} write,work # hers\n\n")).unwrap();
            let admit = |header: Option<&str>, scope| {
                tokens.admit(header, scope, Instant::now()).map(|token| token.name.clone())
            };
            let header = format!("Bearer {PLAIN}");
            assert_eq!(admit(Some(&header), Scope::Write), Ok("anna".into()));
            assert_eq!(admit(Some(&header), Scope::Read), Err(Denied::Scope(Scope::Read)));
            assert_eq!(
                admit(Some("Bearer correct-horse-battery-staplf"), Scope::Write),
                Err(Denied::Unknown)
            );
            assert_eq!(admit(Some(&format!("Bearer sha256:{digest}")), Scope::Write), Err(Denied::Unknown));
            assert_eq!(admit(Some("Basic YTpi"), Scope::Write), Err(Denied::Missing));
            assert_eq!(admit(None, Scope::Write), Err(Denied::Missing));
            assert!(!format!("{tokens:?}").contains(PLAIN), "only digests are kept");
        }
    }

    #[test]
    fn an_admin_may_do_everything() {
        let tokens = read(&format!("boss {PLAIN} admin")).unwrap();
        for scope in SCOPES {
            assert!(tokens.admit(Some(&format!("bearer {PLAIN}")), scope, Instant::now()).is_ok());
        }
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_says_when_to_come_again() {
        let tokens = read(&format!("a {PLAIN} write rate=60")).unwrap();
        let (header, start) = (format!("Bearer {PLAIN}"), Instant::now() + Duration::from_secs(60));
        let ask = |after: f64| {
            tokens.admit(Some(&header), Scope::Write, start + Duration::from_secs_f64(after)).map(|_| ())
        };
        assert!((0..10).all(|_| ask(0.0).is_ok()), "the requests of ten seconds at once");
        assert_eq!(ask(0.0), Err(Denied::Rate(1)));
        assert_eq!(ask(0.5), Err(Denied::Rate(1)));
        assert_eq!(ask(1.1), Ok(()));
        let slow = read(&format!("a {PLAIN} write rate=2")).unwrap();
        assert!(slow.admit(Some(&header), Scope::Write, start).is_ok());
        assert_eq!(slow.admit(Some(&header), Scope::Write, start).map(|_| ()), Err(Denied::Rate(30)));
    }

    #[test]
    fn each_mistake_is_named_with_its_line_and_never_with_the_token() {
        for (text, said) in [
            ("", "found no token"),
            ("anna", "line 1: found fewer than three words"),
            ("# x\nanna short read", "line 2: found a token of 5 characters, expected at least 20"),
            ("anna sha256:12 read", "expected sha256: and 64 hex digits"),
            (
                "anna correct-horse-battery-staple rd",
                "found the scope \"rd\", expected write, read, work or admin",
            ),
            ("anna correct-horse-battery-staple read rate=0", "found rate=0, expected requests a minute"),
            ("anna correct-horse-battery-staple read max-body=2", "found max-body=2, expected a size"),
            ("anna correct-horse-battery-staple read fast", "found \"fast\", expected rate="),
            (
                "a correct-horse-battery-staple read\nb correct-horse-battery-staple read",
                "line 2: found b a second time",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said) && !error.contains("horse"), "{text}: {error}");
        }
    }
}
