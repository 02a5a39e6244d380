//! The collector's HTTP: `docs/backend.md` in code.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::handler::HandlerWithoutStateExt;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::admission::{Origins, admit_change};
use super::aggregate::Method as Combine;
use super::answer::Refusal;
use super::intake::{BodyError, Candidate, Layout, read_body, read_items};
use super::metrics::Metrics;
use super::observe::{Line, Log, Told, Who};
use super::outflow::{Export, Format, What};
use super::store::{Outcome, Store};
use super::tally::Counts;
use super::tokens::{Scope, Tokens};
use super::work::{MAX_ANNOTATOR_BYTES, MAX_COUNT, MAX_LEASE, Wanted, WorkCounts};
use crate::reader::Problem;

/// A sender that needs longer for its body is turned away, so that it holds no memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the leases of an answer end, RFC 3339.
const LEASE_UNTIL: HeaderName = HeaderName::from_static("lease-until");

/// What the routes need to know.
#[derive(Debug)]
pub struct Settings {
    /// Pages that may talk to the collector, beside its own.
    pub origins: Origins,
    /// Whether it listens to this machine only.
    pub loopback: bool,
    /// Greatest body in bytes.
    pub max_body: usize,
    /// Who may do what; without them everybody everything.
    pub tokens: Option<Tokens>,
    /// How many annotators' answers an item of the work list wants.
    pub answers_per_item: u32,
    /// How requests are logged.
    pub log: Log,
}

#[derive(Clone)]
struct Desk {
    store: Store,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
}

/// What the token of a request allows it, as an extension of the request.
#[derive(Clone, Debug, Default)]
struct Pass {
    name: Option<String>,
    max_body: Option<usize>,
}

/// All routes over `store`; `dir` is served under everything else.
pub fn router(store: Store, settings: Settings, dir: Option<&Path>) -> Router {
    let cors = cors(&settings.origins);
    let max_body = DefaultBodyLimit::max(settings.max_body);
    let desk = Desk { store, settings: Arc::new(settings), metrics: Arc::default() };
    let watched = desk.clone();
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let api = Router::new()
        .route("/records", post(take))
        .route("/export", get(export))
        .route("/counts", get(counts))
        .route("/items", get(hand_out).put(replace_items).post(add_items))
        .route("/health", get(health))
        .route("/health/ready", get(health))
        .route("/health/live", get(alive))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(wrong_method)
        .layer(max_body)
        .layer(from_fn_with_state(desk.clone(), admit))
        // Answers are data: nothing in them is ever to run, be framed or be kept.
        .layer(fixed(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(fixed(CACHE_CONTROL, "no-store"))
        .with_state(desk);
    let all = match dir {
        // Asked again each time and answered with 304 where nothing changed.
        Some(dir) => api.fallback_service(
            Router::new()
                .fallback_service(
                    ServeDir::new(dir)
                        .precompressed_br()
                        .precompressed_gzip()
                        .not_found_service(nothing_here.into_service()),
                )
                .layer(fixed(CACHE_CONTROL, "no-cache")),
        ),
        None => api.fallback(nothing_here),
    };
    all.layer(fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(REFERRER_POLICY, "no-referrer"))
        .layer(CatchPanicLayer::custom(|_| broken().into_response()))
        .layer(cors)
        .layer(from_fn_with_state(watched, observe))
}

/// For pages of other origins: what a preflight is told, on every answer, errors too.
fn cors(origins: &Origins) -> CorsLayer {
    let allowed = if origins.any {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.listed.iter().filter_map(|origin| origin.as_str().parse().ok()))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([CONTENT_TYPE, AUTHORIZATION, HeaderName::from_static("idempotency-key")])
        .expose_headers([RETRY_AFTER, LEASE_UNTIL])
        .max_age(Duration::from_secs(600))
}

/// Lets in who may come in, and notes by whose token.
async fn admit(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    if let Err(turned) = desk.settings.origins.admit(request.headers(), desk.settings.loopback) {
        return Refusal::from(turned).into_response();
    }
    let mut pass = Pass::default();
    if let Some(tokens) = &desk.settings.tokens
        && let Some(scope) = scope(request.method(), request.uri().path())
    {
        let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match tokens.admit(header, scope, Instant::now()) {
            Ok(token) => pass = Pass { name: Some(token.name.clone()), max_body: token.max_body },
            Err(denied) => return Refusal::from(denied).into_response(),
        }
    }
    let who = pass.name.clone().map(Who);
    request.extensions_mut().insert(pass);
    let mut response = next.run(request).await;
    if let Some(who) = who {
        response.extensions_mut().insert(who);
    }
    response
}

/// What a token must be good for; `None` where none is asked for.
fn scope(method: &Method, path: &str) -> Option<Scope> {
    match path {
        "/records" => Some(Scope::Write),
        "/export" | "/counts" | "/metrics" => Some(Scope::Read),
        "/items" if matches!(*method, Method::GET | Method::HEAD) => Some(Scope::Work),
        "/health" | "/health/ready" | "/health/live" => None,
        _ => Some(Scope::Admin),
    }
}

/// Logs and counts every request, the turned away ones too.
async fn observe(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    let response = next.run(request).await;
    let (took, status) = (begun.elapsed(), response.status().as_u16());
    let nothing = Told::default();
    let told = response.extensions().get::<Told>().unwrap_or(&nothing);
    let who = response.extensions().get::<Who>().map(|who| who.0.as_str());
    desk.metrics.note(method.as_str(), &path, status, took, told);
    desk.settings.log.write(&Line { method: method.as_str(), path: &path, status, took, who, told });
    response
}

async fn take(State(desk): State<Desk>, request: Request) -> Result<Response, Refusal> {
    let candidates = read(request, &desk.settings, read_body).await?;
    let (mut good, mut named) = (Vec::new(), Vec::with_capacity(candidates.len()));
    for candidate in candidates {
        named.push(match candidate {
            Candidate::Good(record) => {
                let id = record.id.to_string();
                good.push(*record);
                Ok(id)
            }
            Candidate::Bad { id, problems } => Err((id, problems)),
        });
    }
    let outcomes = desk.store.put(good).await?;
    let taken = ("the id of a stored record with other content", "the content first sent, or a new id");
    let (told, body) = results(named, outcomes, taken);
    Ok((Extension(told), body).into_response())
}

/// A value of a body that cannot be kept: the id that it names, and what is wrong with it.
type Bad = (Option<String>, Vec<Problem>);

/// The answer that names every value of a body in its order, and its sums. `outcomes` are those of the good ones, which
/// are named by their ids; `taken` is what is found and what is expected where another has the id.
fn results(
    named: Vec<Result<String, Bad>>,
    outcomes: Vec<Outcome>,
    taken: (&str, &str),
) -> (Told, Json<Verdicts>) {
    let (mut told, mut outcomes) = (Told::default(), outcomes.into_iter());
    let results = named
        .into_iter()
        .map(|named| match named {
            Ok(id) => match outcomes.next() {
                Some(Outcome::Stored) => {
                    told.stored += 1;
                    Verdict { id: Some(id), problems: None, status: "stored" }
                }
                Some(Outcome::Duplicate) => {
                    told.duplicate += 1;
                    Verdict { id: Some(id), problems: None, status: "duplicate" }
                }
                Some(Outcome::Conflict) | None => {
                    told.refused += 1;
                    let (found, expected) = (taken.0.to_owned(), taken.1.to_owned());
                    Verdict::refused(Some(id), vec![Problem { path: "id".into(), found, expected }])
                }
            },
            Err((id, problems)) => {
                told.refused += 1;
                Verdict::refused(id, problems)
            }
        })
        .collect();
    let Told { stored, duplicate, refused, .. } = told;
    (told, Json(Verdicts { duplicate, refused, results, stored }))
}

/// The answer to a body. Written as it stands: as JSON values a result of 30 bytes would take 700.
#[derive(serde::Serialize)]
struct Verdicts {
    duplicate: u64,
    refused: u64,
    results: Vec<Verdict>,
    stored: u64,
}

/// What became of one value of a body.
#[derive(serde::Serialize)]
struct Verdict {
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<Wrong>>,
    status: &'static str,
}

/// A [`Problem`] as it is told.
#[derive(serde::Serialize)]
struct Wrong {
    expected: String,
    found: String,
    path: String,
}

impl Verdict {
    fn refused(id: Option<String>, problems: Vec<Problem>) -> Self {
        let told =
            problems.into_iter().map(|Problem { path, found, expected }| Wrong { expected, found, path });
        Self { id, problems: Some(told.collect()), status: "refused" }
    }
}

/// Reads a request's body with `form`, off the threads that answer.
async fn read<T: Send + 'static>(
    request: Request,
    settings: &Settings,
    form: fn(Layout, &[u8]) -> Result<T, BodyError>,
) -> Result<T, Refusal> {
    let layout = layout(request.headers())?;
    let body = body(request, settings).await?;
    let read = tokio::task::spawn_blocking(move || form(layout, &body)).await;
    Ok(read.map_err(|_| broken())??)
}

fn layout(headers: &HeaderMap) -> Result<Layout, BodyError> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match header(CONTENT_ENCODING) {
        Some(encoding) if !encoding.eq_ignore_ascii_case("identity") => {
            Err(BodyError::UnknownType { found: format!("(compressed: {encoding})") })
        }
        _ => Layout::of(header(CONTENT_TYPE)),
    }
}

async fn body(request: Request, settings: &Settings) -> Result<Bytes, Refusal> {
    let of_token = request.extensions().get::<Pass>().and_then(|pass| pass.max_body);
    let limit = settings.max_body.min(of_token.unwrap_or(usize::MAX));
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {limit} bytes"),
            "send less in one request, or let the collector take more (--max-body, and max-body of the token)",
        )
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) if bytes.len() > limit => Err(too_large()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(why)) if why.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "body_cut_off",
            "the body ended before its announced end",
            "send it again; nothing of it was stored",
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("the body did not arrive within {} s", PATIENCE.as_secs()),
            "send fewer records in one request",
        )),
    }
}

/// Puts items on the work list.
async fn add_items(State(desk): State<Desk>, request: Request) -> Result<Response, Refusal> {
    let items = read(request, &desk.settings, read_items).await?;
    let (mut good, mut named) = (Vec::new(), Vec::with_capacity(items.len()));
    for item in items {
        named.push(match item {
            Ok(item) => {
                let id = item.id.clone();
                good.push(item);
                Ok(id)
            }
            Err(problem) => Err((None, vec![problem])),
        });
    }
    let outcomes = desk.store.load(good, false).await?.outcomes;
    let taken = (
        "the id of a listed item with other content",
        "the content first sent, a new id, or PUT to replace the list",
    );
    // What is told is of records only.
    let (_, body) = results(named, outcomes, taken);
    Ok(body.into_response())
}

/// Makes the work list what the body says, or changes nothing.
async fn replace_items(State(desk): State<Desk>, request: Request) -> Result<Response, Refusal> {
    let read = read(request, &desk.settings, read_items).await?;
    let wrong = |message: String| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "items_wrong",
            message,
            "mend the items and send the whole list again, or POST to add the good ones; the list is as it was",
        )
    };
    let (mut good, mut ids) = (Vec::with_capacity(read.len()), HashSet::new());
    for (place, item) in read.into_iter().enumerate() {
        let item = item.map_err(|problem| wrong(problem.to_string()))?;
        if !ids.insert(item.id.clone()) {
            return Err(wrong(format!(
                "`[{place}].id`: found {:?} a second time, expected each id once",
                item.id
            )));
        }
        good.push(item);
    }
    let loaded = desk.store.load(good, true).await?;
    let count = |outcome| loaded.outcomes.iter().filter(|found| **found == outcome).count();
    let (stored, duplicate) = (count(Outcome::Stored), count(Outcome::Duplicate));
    Ok(Json(json!({"stored": stored, "duplicate": duplicate, "removed": loaded.removed})).into_response())
}

/// Gives an annotator the next items.
async fn hand_out(
    State(desk): State<Desk>,
    Extension(pass): Extension<Pass>,
    method: Method,
    headers: HeaderMap,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    if method == Method::HEAD {
        // It would take items that nobody gets.
        return Err(wrong_method().await);
    }
    admit_change(&headers)?;
    let wrong = |message: String| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "unknown_parameter",
            message,
            "use lease=<seconds>&annotator=<name>&count=<items>, as in /items?lease=600&annotator=anna&count=20",
        )
    };
    let (mut annotator, mut lease, mut count) = (pass.name, None, 10);
    for (key, value) in &asked {
        let number = |most| value.parse().ok().filter(|number| (1..=most).contains(number));
        let expected = |most| wrong(format!("{key}={value}: expected a number from 1 to {most}"));
        match key.as_str() {
            "annotator" if (1..=MAX_ANNOTATOR_BYTES).contains(&value.len()) => {
                annotator = Some(value.clone())
            }
            "annotator" => {
                return Err(wrong(format!("annotator: expected a name of 1 to {MAX_ANNOTATOR_BYTES} bytes")));
            }
            "lease" => lease = Some(number(MAX_LEASE).ok_or_else(|| expected(MAX_LEASE))?),
            "count" => count = number(MAX_COUNT).ok_or_else(|| expected(MAX_COUNT))?,
            _ => return Err(wrong(format!("{key}={value} is not known"))),
        }
    }
    let lease = lease.ok_or_else(|| wrong("lease is missing".into()))?;
    let annotator = annotator.ok_or_else(|| wrong("annotator is missing".into()))?;
    let answers = desk.settings.answers_per_item;
    let handed = desk.store.hand_out(Wanted { annotator, count, lease, answers }).await?;
    let again = handed.again as u64;
    let told = Told { leased: handed.items.len() as u64 - again, again, ..Told::default() };
    let body: String = handed.items.into_iter().map(|item| item + "\n").collect();
    let headers =
        [(CONTENT_TYPE, "application/x-ndjson".to_owned()), (LEASE_UNTIL, handed.until.to_string())];
    Ok((headers, Extension(told), body).into_response())
}

async fn export(
    State(desk): State<Desk>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let (mut what, mut format, mut method) = ("current", Format::JsonLines, None);
    for (key, value) in &asked {
        match (key.as_str(), value.as_str()) {
            ("what", word @ ("current" | "all" | "training" | "aggregate" | "agreement")) => what = word,
            ("format", "jsonl") => format = Format::JsonLines,
            ("format", "csv") => format = Format::Csv,
            ("method", "majority") => method = Some(Combine::Majority),
            ("method", "dawid_skene") => method = Some(Combine::DawidSkene),
            _ => return Err(unknown_export(format!("{key}={value} is not known"))),
        }
    }
    if method.is_some() && what != "aggregate" {
        return Err(unknown_export(format!("method belongs to what=aggregate, found what={what}")));
    }
    if what == "agreement" && format == Format::Csv {
        return Err(unknown_export("what=agreement is one JSON object, found format=csv".into()));
    }
    let (kind, ending) = match format {
        Format::JsonLines => ("application/x-ndjson", "jsonl"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    let body = match what {
        "agreement" => {
            let answers = desk.store.answers().await?;
            let found = tokio::task::spawn_blocking(move || answers.agreement()).await;
            return Ok(Json(found.map_err(|_| broken())??).into_response());
        }
        "aggregate" => {
            let answers = desk.store.answers().await?;
            let method = method.unwrap_or(Combine::Majority);
            let file = tokio::task::spawn_blocking(move || answers.aggregated(method, format)).await;
            Body::from(file.map_err(|_| broken())??)
        }
        "all" => Body::from_stream(desk.store.export(Export { what: What::All, format }).await?),
        "training" => Body::from_stream(desk.store.export(Export { what: What::Training, format }).await?),
        _ => Body::from_stream(desk.store.export(Export { what: What::Current, format }).await?),
    };
    let file = format!("attachment; filename=\"records-{what}.{ending}\"");
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, &file)], body).into_response())
}

fn unknown_export(message: String) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "unknown_parameter",
        message,
        "use format=jsonl or csv, what=current, all, training, agreement, or aggregate with method=majority or \
         dawid_skene",
    )
}

/// The counts, and how the work list stands if there is one.
#[derive(serde::Serialize)]
struct Totals {
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<WorkCounts>,
}

async fn counts(State(desk): State<Desk>) -> Result<Response, Refusal> {
    let (counts, work) = (desk.store.counts().await?, desk.store.work().await?);
    Ok(Json(Totals { counts, work: Some(work).filter(|work| work.items > 0) }).into_response())
}

/// Whether it can do its work: the database is reached.
async fn health(State(desk): State<Desk>) -> Result<Response, Refusal> {
    desk.store.check().await?;
    Ok(alive().await)
}

/// Whether it runs at all.
async fn alive() -> Response {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})).into_response()
}

async fn metrics(State(desk): State<Desk>) -> Response {
    let work = desk.store.work().await.ok();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], desk.metrics.text(work)).into_response()
}

/// The answer to a panic; the panic itself stands in the collector's output.
fn broken() -> Refusal {
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "broken",
        "the collector failed at this request",
        "please report it with what stands in the collector's output",
    )
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "this address does not take that method",
        "POST /records; GET, PUT and POST /items; GET /export, /counts, /metrics and /health",
    )
}

async fn nothing_here() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this address",
        "POST /records; GET, PUT and POST /items; GET /export, /counts, /metrics and /health; files are served if \
         --dir names their folder",
    )
}
