//! Why records do not get through: from what a few harmless requests met with to one named cause.
//!
//! A browser tells a page no more of a failed request than that it failed. What the same address does with
//! slightly other requests tells the causes apart: without CORS, without a preflight, with one header at a time.

use std::sync::Arc;

/// How one request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Heard {
    /// It was not needed.
    #[default]
    NotTried,
    /// No connection, or an answer that the browser keeps from the page.
    Failed,
    /// No answer in time.
    TimedOut,
    /// Somebody answered; what, the browser does not say (`no-cors`).
    Somebody,
    /// It is sent on to another address.
    SentOn,
    /// An answer that the page can read.
    Answered {
        /// Status code.
        status: u16,
        /// It is a web page.
        page: bool,
        /// A 2xx that would count as a delivery as the configuration has it.
        confirms: bool,
    },
}

/// Everything that was tried.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The browser has a network.
    pub online: bool,
    /// The page's Content-Security-Policy stopped a request.
    pub stopped_by_policy: bool,
    /// The page is `https:`, the address `http:` and not this machine: browsers do not even try.
    pub mixed: bool,
    /// The address is of the page's own origin: CORS does not come in.
    pub same_origin: bool,
    /// The request as it will be, with a body that nobody can store.
    pub real: Heard,
    /// A plain GET whose answer is hidden from the page: does anybody answer?
    pub reach: Heard,
    /// The same by the other of `http:` and `https:`.
    pub other_scheme: Heard,
    /// The request without any header, as `text/plain`: it needs no preflight unless its method does.
    pub plain: Heard,
    /// The same without credentials; tried if the configuration sends them.
    pub plain_without_credentials: Heard,
    /// The plain request with one header each: its name, and how it ended.
    pub by_header: Vec<(Arc<str>, Heard)>,
    /// The method needs a preflight by itself.
    pub method_preflighted: bool,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing: the server answered as one that would take records; with its status.
    None(u16),
    /// Somebody answers; more cannot be tried without leaving something behind.
    Somebody,
    /// The request cannot be made: what is lacking.
    Lacks(Arc<str>),
    /// No network.
    Offline,
    /// The page gives no token.
    NoToken,
    /// The page's Content-Security-Policy.
    PagePolicy,
    /// `http:` from a page that is `https:`.
    Mixed,
    /// Nobody answers: name, port, certificate, firewall.
    Unreachable,
    /// The address says `http:` where the server speaks `https:`, or its certificate is no good.
    Tls,
    /// No answer in time.
    TimedOut,
    /// A redirection that loses the records.
    Redirect,
    /// The preflight (`OPTIONS`) is refused as a whole.
    Preflight,
    /// The preflight refuses these headers.
    Headers(Arc<str>),
    /// The preflight refuses the method.
    MethodNotAllowed,
    /// The answer does not name the page's origin.
    Origin,
    /// The answer does not allow credentials.
    Credentials,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404, 410.
    NotFound,
    /// 405, 501.
    WrongMethod,
    /// 406, 415.
    WrongType,
    /// 429.
    TooMany,
    /// Any other 5xx.
    ServerFails(u16),
    /// A web page in place of an answer.
    WebPage,
    /// A 2xx that does not say which records are stored.
    NotConfirmed,
}

impl Cause {
    /// A short name, for tests and style sheets.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::None(_) => "none",
            Self::Somebody => "somebody",
            Self::Lacks(_) => "lacks",
            Self::Offline => "offline",
            Self::NoToken => "no-token",
            Self::PagePolicy => "page-policy",
            Self::Mixed => "mixed",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::TimedOut => "timed-out",
            Self::Redirect => "redirect",
            Self::Preflight => "preflight",
            Self::Headers(_) => "headers",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Origin => "origin",
            Self::Credentials => "credentials",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::WrongMethod => "wrong-method",
            Self::WrongType => "wrong-type",
            Self::TooMany => "too-many",
            Self::ServerFails(_) => "server-fails",
            Self::WebPage => "web-page",
            Self::NotConfirmed => "not-confirmed",
        }
    }
}

/// What stands in the way, from what was observed. Requests that were not tried decide nothing.
#[must_use]
pub fn diagnose(seen: &Observed) -> Cause {
    if seen.stopped_by_policy {
        return Cause::PagePolicy;
    }
    match seen.real {
        Heard::Answered { status, page, confirms } => answered(status, page, confirms),
        Heard::SentOn => Cause::Redirect,
        _ if !seen.online => Cause::Offline,
        _ if seen.mixed => Cause::Mixed,
        Heard::TimedOut => Cause::TimedOut,
        _ => unanswered(seen),
    }
}

fn answered(status: u16, page: bool, confirms: bool) -> Cause {
    match status {
        200..=299 if confirms => Cause::None(status),
        200..=299 if page => Cause::WebPage,
        200..=299 => Cause::NotConfirmed,
        300..=399 => Cause::Redirect,
        401 => Cause::Unauthorized,
        403 => Cause::Forbidden,
        404 | 410 => Cause::NotFound,
        405 | 501 => Cause::WrongMethod,
        406 | 415 => Cause::WrongType,
        408 | 504 => Cause::TimedOut,
        429 => Cause::TooMany,
        500..=599 => Cause::ServerFails(status),
        // A body that nobody can store was refused for that.
        _ => Cause::None(status),
    }
}

fn unanswered(seen: &Observed) -> Cause {
    match seen.reach {
        Heard::TimedOut => return Cause::TimedOut,
        Heard::Failed if seen.other_scheme == Heard::Somebody => return Cause::Tls,
        Heard::Failed | Heard::NotTried => return Cause::Unreachable,
        _ => {}
    }
    if seen.same_origin {
        // It answers a GET and breaks off what bears a body.
        return Cause::Unreachable;
    }
    let answers = |heard: &Heard| matches!(heard, Heard::Answered { .. });
    if !answers(&seen.plain) {
        return match seen.plain {
            Heard::TimedOut => Cause::TimedOut,
            _ if answers(&seen.plain_without_credentials) => Cause::Credentials,
            _ if seen.method_preflighted => Cause::MethodNotAllowed,
            _ => Cause::Origin,
        };
    }
    let refused = seen.by_header.iter().filter(|(_, heard)| !answers(heard));
    let refused: Vec<&str> = refused.map(|(name, _)| &**name).collect();
    match refused.len() {
        0 if seen.method_preflighted => Cause::MethodNotAllowed,
        0 => Cause::Origin,
        all if all == seen.by_header.len() && all > 1 => Cause::Preflight,
        _ => Cause::Headers(refused.join(", ").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered_by(status: u16) -> Heard {
        Heard::Answered { status, page: false, confirms: false }
    }

    fn failed() -> Observed {
        Observed { online: true, real: Heard::Failed, reach: Heard::Somebody, ..Observed::default() }
    }

    #[test]
    fn a_server_that_only_minds_the_body_is_fine() {
        for status in [400, 413, 422, 200] {
            let real = Heard::Answered { status, page: false, confirms: status == 200 };
            assert_eq!(
                diagnose(&Observed { online: true, real, ..Observed::default() }),
                Cause::None(status)
            );
        }
    }

    #[test]
    fn a_status_names_its_cause() {
        for (status, cause) in [
            (401, Cause::Unauthorized),
            (403, Cause::Forbidden),
            (404, Cause::NotFound),
            (405, Cause::WrongMethod),
            (415, Cause::WrongType),
            (429, Cause::TooMany),
            (503, Cause::ServerFails(503)),
            (200, Cause::NotConfirmed),
        ] {
            let real = answered_by(status);
            assert_eq!(diagnose(&Observed { online: true, real, ..Observed::default() }), cause);
        }
    }

    #[test]
    fn what_the_browser_hides_is_told_apart_by_other_requests() {
        let nobody = Observed { reach: Heard::Failed, ..failed() };
        assert_eq!(diagnose(&nobody), Cause::Unreachable);
        assert_eq!(diagnose(&Observed { other_scheme: Heard::Somebody, ..nobody.clone() }), Cause::Tls);
        assert_eq!(diagnose(&Observed { online: false, ..nobody.clone() }), Cause::Offline);
        assert_eq!(diagnose(&Observed { mixed: true, ..nobody }), Cause::Mixed);
        assert_eq!(diagnose(&Observed { plain: Heard::Failed, ..failed() }), Cause::Origin);
        let without =
            Observed { plain: Heard::Failed, plain_without_credentials: answered_by(400), ..failed() };
        assert_eq!(diagnose(&without), Cause::Credentials);
        assert_eq!(diagnose(&Observed { real: Heard::SentOn, ..failed() }), Cause::Redirect);
    }

    #[test]
    fn a_preflight_is_told_by_the_headers_that_it_refuses() {
        let by_header = |type_ok: bool, key_ok: bool| {
            let heard = |ok| if ok { answered_by(400) } else { Heard::Failed };
            let by_header = vec![("Content-Type".into(), heard(type_ok)), ("X-Key".into(), heard(key_ok))];
            diagnose(&Observed { plain: answered_by(400), by_header, ..failed() })
        };
        assert_eq!(by_header(true, false), Cause::Headers("X-Key".into()));
        assert_eq!(by_header(false, true), Cause::Headers("Content-Type".into()));
        assert_eq!(by_header(false, false), Cause::Preflight);
    }
}
