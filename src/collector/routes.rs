//! The collector's HTTP: `docs/backend.md` in code.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::admission::Origins;
use super::answer::Refusal;
use super::intake::{BodyError, Candidate, Layout, read_body};
use super::outflow::{Export, Format, What};
use super::store::{Outcome, Store};
use crate::reader::Problem;

/// A sender that needs longer for its body is turned away, so that it holds no memory.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the routes need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Pages that may talk to the collector, beside its own.
    pub origins: Origins,
    /// Whether it listens to this machine only.
    pub loopback: bool,
    /// Greatest body in bytes.
    pub max_body: usize,
}

#[derive(Clone)]
struct Desk {
    store: Store,
    settings: Arc<Settings>,
}

/// All routes over `store`; `dir` is served under everything else.
pub fn router(store: Store, settings: Settings, dir: Option<&Path>) -> Router {
    let cors = cors(&settings.origins);
    let max_body = DefaultBodyLimit::max(settings.max_body);
    let desk = Desk { store, settings: Arc::new(settings) };
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let api = Router::new()
        .route("/records", post(take))
        .route("/export", get(export))
        .route("/counts", get(counts))
        .route("/health", get(health))
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
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE, AUTHORIZATION, HeaderName::from_static("idempotency-key")])
        .expose_headers([RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}

async fn admit(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    match desk.settings.origins.admit(request.headers(), desk.settings.loopback) {
        Ok(()) => next.run(request).await,
        Err(turned) => Refusal::from(turned).into_response(),
    }
}

async fn take(State(desk): State<Desk>, request: Request) -> Result<Json<Value>, Refusal> {
    let layout = layout(request.headers())?;
    let body = body(request, desk.settings.max_body).await?;
    let read = tokio::task::spawn_blocking(move || read_body(layout, &body)).await;
    let candidates = read.map_err(|_| broken())??;

    let good = candidates.iter().filter_map(|candidate| match candidate {
        Candidate::Good(record) => Some((**record).clone()),
        Candidate::Bad { .. } => None,
    });
    let mut outcomes = desk.store.put(good.collect()).await?.into_iter();
    let (mut stored, mut duplicate, mut refused) = (0, 0, 0);
    let mut results = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        results.push(match candidate {
            Candidate::Good(record) => match outcomes.next() {
                Some(Outcome::Stored) => {
                    stored += 1;
                    json!({"id": record.id.to_string(), "status": "stored"})
                }
                Some(Outcome::Duplicate) => {
                    duplicate += 1;
                    json!({"id": record.id.to_string(), "status": "duplicate"})
                }
                Some(Outcome::Conflict) | None => {
                    refused += 1;
                    let problem = Problem {
                        path: "id".into(),
                        found: "the id of a stored record with other content".into(),
                        expected: "the content first sent, or a new id".into(),
                    };
                    refusal(Some(record.id.to_string()), &[problem])
                }
            },
            Candidate::Bad { id, problems } => {
                refused += 1;
                refusal(id, &problems)
            }
        });
    }
    Ok(Json(json!({"results": results, "stored": stored, "duplicate": duplicate, "refused": refused})))
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

fn refusal(id: Option<String>, problems: &[Problem]) -> Value {
    let problems: Vec<Value> =
        problems.iter().map(|p| json!({"path": p.path, "found": p.found, "expected": p.expected})).collect();
    json!({"id": id, "status": "refused", "problems": problems})
}

async fn body(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {limit} bytes"),
            "send fewer records in one request, or start the collector with a greater --max-body",
        )
    };
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, &())).await {
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

async fn export(
    State(desk): State<Desk>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let mut export = Export { what: What::Current, format: Format::JsonLines };
    for (key, value) in &asked {
        match (key.as_str(), value.as_str()) {
            ("what", "current") => export.what = What::Current,
            ("what", "all") => export.what = What::All,
            ("what", "training") => export.what = What::Training,
            ("format", "jsonl") => export.format = Format::JsonLines,
            ("format", "csv") => export.format = Format::Csv,
            _ => {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "unknown_parameter",
                    format!("{key}={value} is not known"),
                    "use format=jsonl or csv, what=current, all or training",
                ));
            }
        }
    }
    let what = match export.what {
        What::Current => "current",
        What::All => "all",
        What::Training => "training",
    };
    let (kind, ending) = match export.format {
        Format::JsonLines => ("application/x-ndjson", "jsonl"),
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
    };
    let file = format!("attachment; filename=\"records-{what}.{ending}\"");
    let outflow = desk.store.export(export).await?;
    let headers = [(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, &file)];
    Ok((headers, Body::from_stream(outflow)).into_response())
}

async fn counts(State(desk): State<Desk>) -> Result<Response, Refusal> {
    Ok(Json(desk.store.counts().await?).into_response())
}

async fn health(State(desk): State<Desk>) -> Result<Response, Refusal> {
    desk.store.check().await?;
    Ok(Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})).into_response())
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
        "POST /records; GET /export, /counts and /health",
    )
}

async fn nothing_here() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this address",
        "POST /records; GET /export, /counts and /health; files are served if --dir names their folder",
    )
}
