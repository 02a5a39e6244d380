//! Which pages and hosts may talk to the collector.
//!
//! A collector on a person's own machine can be reached by every page that this person opens. Two
//! known ways in are closed: a form or `text/plain` request from a foreign page, which a browser sends
//! without asking first (ASVS 5.0, 3.5.1), and a foreign name that is made to resolve to 127.0.0.1
//! (DNS rebinding), for which the browser believes the collector to be the attacker's own server.
//! A third is a GET that changes something: pictures and links of foreign pages make one without an `Origin`.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

/// An origin as browsers send it: `https://example.org`, `http://localhost:3000`, or `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: Option<String>,
}

impl Origin {
    /// Reads the form that browsers send; a path, a trailing slash or a default port never match one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        if text == "null" {
            return Some(Self { text, host: None });
        }
        let (scheme, host) = text.split_once("://")?;
        let uri: Uri = text.parse().ok()?;
        let named = uri.host().is_some_and(|name| !name.is_empty()) && uri.authority()?.as_str() == host;
        let scheme_fits = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let default_port = matches!((scheme, uri.port_u16()), ("http", Some(80)) | ("https", Some(443)));
        // `Uri` takes a port that is too large for none at all.
        let rest = host.strip_prefix(uri.host()?)?;
        let port_fits = rest.is_empty() || rest.strip_prefix(':')?.parse::<u16>().is_ok();
        if !named || !scheme_fits || !port_fits || default_port || host.contains('@') {
            return None;
        }
        let host = Some(host.to_owned());
        Some(Self { text, host })
    }

    /// As browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The origins whose pages may talk to the collector, beside its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Every page may.
    pub any: bool,
    /// These may.
    pub listed: Vec<Origin>,
}

/// Why a request is turned away before anything else is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The page's origin is not allowed.
    Origin,
    /// The `Host` is not a name of this machine although the collector listens to this machine only.
    Host,
    /// A page of another site made the browser send a request that does not say the page's origin.
    Site,
}

impl Origins {
    /// Whether a page of `origin` may talk to a collector that is reached as `host`.
    #[must_use]
    pub fn admit_origin(&self, origin: &str, host: Option<&str>) -> bool {
        // Behind a proxy the collector sees http where the page sees https: only the host is compared.
        let own = origin.split_once("://").map(|(_, rest)| rest);
        self.any
            || (own.is_some() && own == host)
            || self.listed.iter().any(|listed| listed.text.eq_ignore_ascii_case(origin))
    }

    /// Looks at a request's headers. `loopback` says that the collector listens to this machine only.
    ///
    /// # Errors
    /// Why it is turned away.
    pub fn admit(&self, headers: &HeaderMap, loopback: bool) -> Result<(), Turned> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(HOST);
        if let Some(host) = host.filter(|_| loopback && !self.any) {
            let named =
                |origin: &Origin| origin.host.as_deref().is_some_and(|h| h.eq_ignore_ascii_case(host));
            if !is_this_machine(host) && !self.listed.iter().any(named) {
                return Err(Turned::Host);
            }
        }
        match text(ORIGIN) {
            Some(origin) if !self.admit_origin(origin, host) => Err(Turned::Origin),
            _ => Ok(()),
        }
    }
}

/// Looks at a GET that changes something, once [`Origins::admit`] has let it in. A browser gives the page's origin with
/// what a page fetches by CORS, and with no other GET; what a page of another site makes it send it marks (Fetch Metadata:
/// <https://www.w3.org/TR/fetch-metadata/>).
///
/// # Errors
/// A foreign page is behind it.
pub fn admit_change(headers: &HeaderMap) -> Result<(), Turned> {
    let foreign =
        headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site");
    if foreign && !headers.contains_key(ORIGIN) { Err(Turned::Site) } else { Ok(()) }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn listed(origin: &str) -> Origins {
        Origins { any: false, listed: vec![Origin::parse(origin).unwrap()] }
    }

    #[test]
    fn only_what_a_browser_sends_is_an_origin() {
        for good in ["https://example.org", "http://localhost:3000", "http://[::1]:80801", "null"] {
            let is = Origin::parse(good).is_some();
            assert_eq!(is, !good.ends_with("80801"), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a b",
            "*",
            "//a.example",
            "https://a.example?x",
        ] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn its_own_page_and_programs_without_an_origin_come_in() {
        let none = Origins::default();
        for host in ["127.0.0.1:8787", "localhost:8787", "[::1]:8787", "demo.localhost", "localhost"] {
            assert_eq!(none.admit(&headers(host, None), true), Ok(()), "{host}");
            assert_eq!(none.admit(&headers(host, Some(&format!("http://{host}"))), true), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_foreign_page_is_turned_away_unless_it_is_listed() {
        let request = headers("127.0.0.1:8787", Some("https://a.example"));
        assert_eq!(Origins::default().admit(&request, true), Err(Turned::Origin));
        assert_eq!(listed("https://b.example").admit(&request, true), Err(Turned::Origin));
        assert_eq!(listed("https://A.example").admit(&request, true), Ok(()));
        assert_eq!(Origins { any: true, listed: vec![] }.admit(&request, true), Ok(()));
        let sandboxed = headers("127.0.0.1:8787", Some("null"));
        assert_eq!(Origins::default().admit(&sandboxed, true), Err(Turned::Origin));
        assert_eq!(listed("null").admit(&sandboxed, true), Ok(()));
    }

    #[test]
    fn a_rebound_name_is_turned_away_and_a_proxy_of_a_listed_origin_is_not() {
        let request = headers("evil.example:8787", Some("http://evil.example:8787"));
        assert_eq!(Origins::default().admit(&request, true), Err(Turned::Host));
        assert_eq!(
            Origins::default().admit(&headers("127.0.0.1.evil.example", None), true),
            Err(Turned::Host)
        );
        let proxied = headers("label.example", Some("https://label.example"));
        assert_eq!(listed("https://label.example").admit(&proxied, true), Ok(()));
        // On a public address the names are not known; the proxy's page is its own.
        assert_eq!(Origins::default().admit(&proxied, false), Ok(()));
    }
}
