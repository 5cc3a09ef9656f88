//! Every error as problem details (RFC 9457): its status and its members, without internal details.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use axum::{Router, http::StatusCode, middleware::map_response, routing::get};
use highwater::{
    Code, CommandId, Error, Position, StreamId, Version,
    consistency::Reading,
    error::{Actual, Conflict, Corrupt, Invalid, Panicked, Source, Unavailable},
    http::{Problem, ViewResponse, error_pages_at, headers},
    prelude::*,
    value::{
        Epoch, EventId, Expected, Freshness, Pending, SchemaVersion, ShardId, Sharding, Target,
        Timestamp,
    },
};
use serde_json::json;

use crate::server::{Reply, get_with};

/// A secret in the errors of drivers.
const SECRET: &str = "postgres://bank:hunter2@db.internal/bank: SELECT * FROM hw_events";

fn secret() -> Source {
    Source::new(SECRET)
}

/// Returns the response to an error of a handler.
pub(crate) async fn reply(error: Error) -> Reply {
    let handler = get(move || {
        let error = error.clone();
        async move { Err::<(), Problem>(error.into()) }
    });
    get_with(&Router::new().route("/", handler), "/", &[]).await
}

/// Returns every error that can be constructed.
fn errors() -> Vec<Error> {
    let stream = || StreamId::new("account", "alice").unwrap();
    let (position, view) = (Position::new(7), || "balances".to_owned());
    let mut errors: Vec<Error> = vec![
        Rejection::new("never_overdrawn", "never debit more than there is")
            .with("cents", -5)
            .into(),
        Conflict::Stream {
            stream: stream(),
            expected: Expected::Head(Version::new(3), event()),
            actual: Actual { version: Version::new(4), head: None },
        }
        .into(),
        Conflict::Boundary { after: position, found: Position::new(9) }.into(),
        Conflict::Checkpoint { view: view(), expected: position, actual: position }.into(),
        Conflict::Sharding {
            view: view(),
            expected: Sharding::by_key(1),
            actual: Sharding::by_key(2),
        }
        .into(),
        Conflict::Definition { view: view() }.into(),
        Conflict::Fenced {
            view: view(),
            shard: ShardId::new(1),
            epoch: Epoch::new(1),
            actual: Epoch::new(2),
        }
        .into(),
        Unavailable::unreachable("appending", secret()).into(),
        Unavailable::Locked { doing: "appending", source: secret() }.into(),
        Unavailable::Broker { doing: "publishing", source: secret() }.into(),
        Unavailable::TopicMissing { topic: SECRET.to_owned() }.into(),
        Unavailable::ViewMissing { view: SECRET.to_owned() }.into(),
        Unavailable::Closed.into(),
        Unavailable::StaleRead(pending()).into(),
        Unavailable::Rebuilding(rebuilding()).into(),
        Unavailable::ShutdownTimeout { waited: Duration::from_secs(1) }.into(),
        Error::UnknownOutcome { command: command(), source: secret() },
        Panicked::new("the decision on deposit", &SECRET).into(),
        Invalid::unstorable("event account.deposited", SECRET).into(),
    ];
    errors.extend(corrupt(&stream(), position).map(Error::from));
    // The message of a refused request may quote the caller. A message for an operator may contain
    // anything.
    errors.extend(Code::ALL.iter().filter(|code| code.as_str().starts_with("HW6")).map(|code| {
        let is_quoted = [400, 404, 413, 422].contains(&status_of(*code));
        let message = if is_quoted { "what would be right" } else { SECRET };
        Invalid::new(*code, message).caused_by(secret()).into()
    }));
    errors
}

fn corrupt(stream: &StreamId, position: Position) -> [Corrupt; 13] {
    let (stream, type_name) = (|| stream.clone(), || "account.opened".to_owned());
    [
        Corrupt::UnknownEvent { position, stream: stream(), type_name: type_name() },
        Corrupt::NewerEvent {
            position,
            stream: stream(),
            type_name: type_name(),
            found: SchemaVersion::new(2),
            known: SchemaVersion::new(1),
        },
        Corrupt::Payload { position, stream: stream(), type_name: type_name(), source: secret() },
        Corrupt::Untagged {
            position,
            stream: stream(),
            type_name: type_name(),
            tag_name: "owner".to_owned(),
            event: "bank::AccountEvent",
        },
        Corrupt::OtherDefinition { view: SECRET.to_owned(), change: SECRET.to_owned() },
        Corrupt::RenamedView { view: SECRET.to_owned(), to: SECRET.to_owned() },
        Corrupt::AheadOfLog { view: SECRET.to_owned(), position, head: Position::START },
        Corrupt::value(SECRET, secret()),
        Corrupt::NotApplied {
            view: "balances".to_owned(),
            key: "alice".to_owned(),
            position,
            stream: stream(),
            type_name: type_name(),
            source: secret(),
        },
        Corrupt::Parked { view: "balances".to_owned(), key: "alice".to_owned(), since: position },
        Corrupt::TooManyParked { view: "balances".to_owned(), parked: 10, source: secret() },
        Corrupt::Record {
            topic: SECRET.to_owned(),
            partition: 0,
            offset: 1,
            why: SECRET.to_owned(),
        },
        Corrupt::Log(SECRET.to_owned()),
    ]
}

fn command() -> CommandId {
    "8e03978e-40d5-43e8-bc93-6894a57f9324".parse().unwrap()
}

fn event() -> EventId {
    "0193e0c4-6a52-7c31-9d2f-5b7f0c1e8a44".parse().unwrap()
}

/// Returns the progress of a view that moved from 10 to 20 within a second, and lacks 25 more
/// events.
fn pending() -> Pending {
    let at = |second| Timestamp::from_second(second).unwrap();
    let seen = |position, second| {
        let (position, head) = (Position::new(position), Some(Position::new(45)));
        Freshness::new(position, at(0), at(second), head)
    };
    Pending::new("balances", Target::Head, seen(20, 11)).since(&seen(10, 10), at(12))
}

/// Returns the progress of a view that moved from 10 to 20 within a second, and is complete at 45.
fn rebuilding() -> Pending {
    let complete_at = Position::new(45);
    let Pending { reached, waited, estimate, .. } = pending();
    let reached = reached.with_complete_at(complete_at);
    let mut rebuilding = Pending::new("balances", Target::Complete(complete_at), reached);
    (rebuilding.waited, rebuilding.estimate) = (waited, estimate);
    rebuilding
}

/// The table in docs/guide/http.md.
fn status_of(code: Code) -> u16 {
    match code.as_str() {
        "HW304" => 202,
        "HW603" | "HW613" => 400,
        "HW611" => 404,
        "HW201" | "HW202" => 409,
        "HW602" => 413,
        "HW101" | "HW601" => 422,
        "HW203" | "HW204" | "HW205" | "HW206" | "HW508" | "HW510" | "HW511" => 503,
        "HW401" => 504,
        other if other.starts_with("HW3") => 503,
        _ => 500,
    }
}

#[tokio::test]
async fn every_error_is_a_problem_with_its_status_and_without_a_secret() {
    let mut met = HashSet::new();
    for error in errors() {
        let code = error.code();
        met.insert(code);
        let reply = reply(error.clone()).await;
        let body = reply.is_problem(status_of(code), code.as_str());
        assert_eq!(body["type"], format!("/errors/{code}"));
        assert_eq!(body["title"], code.title());
        assert!(body["next_step"].is_string() && body["detail"].is_string(), "{body}");
        for part in ["hunter2", "postgres", "SELECT", "internal"] {
            assert!(!reply.text.contains(part), "{code} reveals {part}: {body}");
            let said = |value: &axum::http::HeaderValue| value.to_str().unwrap().contains(part);
            assert!(!reply.headers.values().any(said), "{code} reveals {part}: {reply:?}");
        }
        let waits_for_operator =
            [Code::PARKED, Code::OTHER_DEFINITION, Code::AHEAD_OF_LOG].contains(&code);
        let may_pass = [202, 503, 504].contains(&reply.status.as_u16()) && !waits_for_operator;
        assert_eq!(reply.header("retry-after").is_some(), may_pass, "{code}");
    }
    let all: HashSet<Code> = Code::ALL.iter().copied().collect();
    assert_eq!(met, all);
}

#[tokio::test]
async fn r5_a_view_that_is_being_rebuilt_is_503_with_its_progress_and_the_time_that_is_left() {
    let reply = reply(Unavailable::Rebuilding(rebuilding()).into()).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, Some("3")));
    let pending = &reply.json()["pending"];
    assert_eq!((&pending["status"], &pending["missing"]), (&json!("rebuilding"), &json!(25)));
    assert_eq!((&pending["position"], &pending["estimate_ms"]), (&json!(20), &json!(2_500)));
}

#[tokio::test]
async fn r3_retry_after_is_the_estimated_delay_in_whole_seconds() {
    let reply = reply(Unavailable::StaleRead(pending()).into()).await;
    assert_eq!(reply.header("retry-after"), Some("3"), "2.5 s, rounded up");
    let body = reply.json();
    let expected = json!({
        "view": "balances", "status": "converging", "position": 20, "lag": 25, "missing": 25,
        "waited_ms": 2000, "estimate_ms": 2500,
    });
    assert_eq!(body["pending"], expected);
    // An estimate of years is capped.
    let mut slow = pending();
    slow.estimate = Some(Duration::MAX);
    let reply = self::reply(Unavailable::StaleRead(slow).into()).await;
    assert_eq!(reply.header("retry-after"), Some("3600"));
    let mut quick = pending();
    quick.estimate = Some(Duration::ZERO);
    let reply = self::reply(Unavailable::StaleRead(quick).into()).await;
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn w4_an_unknown_outcome_is_504_with_the_id_to_repeat() {
    let reply = reply(Error::UnknownOutcome { command: command(), source: secret() }).await;
    let body = reply.is_problem(504, "HW401");
    assert_eq!(body["command"], command().to_string());
    assert_eq!(body["next_step"], "retry_same_id");
}

#[tokio::test]
async fn w6_a_stale_boundary_is_409_with_the_conflicting_position() {
    let error = Conflict::Boundary { after: Position::new(7), found: Position::new(9) };
    let body = reply(error.into()).await.is_problem(409, "HW202");
    assert_eq!((&body["after"], &body["found"]), (&json!(7), &json!(9)));
}

#[tokio::test]
async fn the_error_pages_are_at_the_configured_url() {
    let failing = get(|| async { Err::<(), Problem>(Error::from(Unavailable::Closed).into()) });
    let forbidden = get(|| async { Problem::new(StatusCode::FORBIDDEN).with("type", "mine") });
    let pages = error_pages_at("https://bank.example/errors/");
    let router = Router::new()
        .route("/", failing)
        .route("/forbidden", forbidden)
        .route("/fine", get(|| async { "fine" }))
        .layer(map_response(pages));
    let reply = get_with(&router, "/", &[]).await;
    assert_eq!(reply.is_problem(503, "HW303")["type"], "https://bank.example/errors/HW303");
    assert_eq!(reply.header("content-length").unwrap(), reply.text.len().to_string());
    // The members of the standard can't be overridden, and a problem of the application has no
    // page.
    let forbidden = get_with(&router, "/forbidden", &[]).await;
    let body = forbidden.is_problem(403, "");
    assert_eq!((&body["type"], &body["title"]), (&json!("about:blank"), &json!("Forbidden")));
    assert_eq!(get_with(&router, "/fine", &[]).await.text, "fine");
}

#[tokio::test]
async fn a_problem_of_the_application_keeps_its_headers_and_stays_a_problem() {
    let wait = headers::RetryAfter::delay(Duration::from_secs(5));
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS)
        .header(wait)
        .header(headers::ContentType::html())
        .header(headers::CacheControl::new().with_public());
    let handler = get(move || async move { Err::<(), Problem>(problem) });
    let reply = get_with(&Router::new().route("/", handler), "/", &[]).await;
    reply.is_problem(429, "");
    assert_eq!(reply.header("retry-after"), Some("5"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_serialised_is_500_without_details() {
    let value = BTreeMap::from([((1, 2), 3)]);
    let freshness =
        Freshness::new(Position::START, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH, None);
    let handler = get(move || async move { ViewResponse::from(Reading::new(value, freshness)) });
    let reply = get_with(&Router::new().route("/", handler), "/", &[]).await;
    assert!(reply.is_problem(500, "").get("detail").is_none());
}

#[test]
fn every_code_has_a_unique_title() {
    let titles: HashSet<_> = Code::ALL.iter().map(|code| code.title()).collect();
    assert_eq!(titles.len(), Code::ALL.len());
    assert!(!titles.contains(""));
    assert_eq!(Code::STALE_READ.title(), "The view is not as far as the read asked for.");
}
