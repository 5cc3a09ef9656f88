//! A bank behind axum, and its client.

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Body, to_bytes},
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderName, Request, StatusCode},
    routing::{get, post},
};
use highwater::{
    Highwater, Receipt, View, Views as _,
    consistency::{Basis, Fallback, Reading},
    http::{CacheControl, CommandHeaders, Problem, ReadConditions, ReceiptResponse, ViewResponse},
    prelude::*,
    read::{RowPage, RowSet},
    worker::{OnFailure, ProjectionOptions, WorkerHandle},
};
use highwater_test_support::bank::{Account, AccountEvent, Balance, Deposit, Withdraw};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const SHORT_BUDGET: Duration = Duration::from_millis(20);

/// A view by account, like the balance, that fails at 666 cents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pious {
    cents: i64,
}

impl View for Pious {
    type Event = AccountEvent;
    const NAME: &'static str = "pious";

    fn keys(_: &AccountEvent, envelope: &Envelope, keys: &mut highwater::domain::Keys) {
        keys.push(envelope.stream.key());
    }

    fn fold(
        &mut self,
        event: &AccountEvent,
        _: &EventContext<'_>,
    ) -> highwater::domain::FoldResult {
        match event {
            AccountEvent::Deposited { cents: 666 } => {
                Err(highwater::domain::FoldError::new("the beast"))
            }
            AccountEvent::Deposited { cents } => {
                self.cents += cents;
                Ok(RowChange::Keep)
            }
            _ => Ok(RowChange::Keep),
        }
    }
}

pub(crate) fn router(bank: &Highwater) -> Router {
    let accounts = Router::new()
        .route("/{id}", get(show))
        .route("/{id}/eventual", get(eventual))
        .route("/{id}/late", get(late))
        .route("/{id}/stale", get(stale))
        .route("/{id}/strong", get(strong))
        .route("/{id}/cached", get(cached))
        .route("/{id}/own", get(own))
        .route("/{id}/found", get(found))
        .route("/{id}/pious", get(pious))
        .route("/{id}/pious/strong", get(pious_strong))
        .route("/{id}/deposits", post(deposit))
        .route("/{id}/deposits/keyed", post(keyed))
        .route("/{id}/deposits/applied", post(applied))
        .route("/{id}/deposits/by/{actor}", post(by))
        .route("/{id}/withdrawals", post(withdraw));
    Router::new()
        .nest("/accounts", accounts)
        .route("/accounts", get(page))
        .route("/pair", get(pair))
        .with_state(bank.clone())
}

type Answer<T> = Result<ViewResponse<T>, Problem>;
type Bank = State<Highwater>;

async fn show(State(bank): Bank, Path(id): Path<String>, after: ReadConditions) -> Answer<Balance> {
    Ok(after.answer(bank.view::<Balance>().get(id).after(&after).await?))
}

async fn eventual(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Balance> {
    Ok(after.answer(bank.view::<Balance>().get(id).await?))
}

async fn late(State(bank): Bank, Path(id): Path<String>, after: ReadConditions) -> Answer<Balance> {
    Ok(after.answer(bank.view::<Balance>().get(id).after(&after).within(SHORT_BUDGET).await?))
}

async fn stale(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Balance> {
    let read = bank.view::<Balance>().get(id).after(&after).within(SHORT_BUDGET);
    Ok(after.answer(read.or(Fallback::ServeStale).await?))
}

async fn strong(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Balance> {
    Ok(after.answer(bank.view::<Balance>().get(id).after(&after).strong().await?))
}

async fn cached(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Balance> {
    let caching = CacheControl::new().with_public().with_max_age(Duration::from_secs(60));
    Ok(after.answer(bank.view::<Balance>().get(id).await?).caching(caching))
}

async fn own(State(bank): Bank, Path(id): Path<String>, after: ReadConditions) -> Answer<Balance> {
    let reading: Reading<Balance> = bank.view::<Balance>().get(id).await?;
    Ok(after.answer(reading.with_basis(Basis::Optimistic)))
}

async fn found(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Balance> {
    after.found(bank.view::<Balance>().get(id).after(&after).find().await?)
}

async fn pious(State(bank): Bank, Path(id): Path<String>, after: ReadConditions) -> Answer<Pious> {
    Ok(after.answer(bank.view::<Pious>().get(id).after(&after).await?))
}

async fn pious_strong(
    State(bank): Bank,
    Path(id): Path<String>,
    after: ReadConditions,
) -> Answer<Pious> {
    Ok(after.answer(bank.view::<Pious>().get(id).after(&after).strong().await?))
}

async fn page(State(bank): Bank, after: ReadConditions) -> Answer<RowPage<Balance>> {
    Ok(after.answer(bank.view::<Balance>().range("".., 1).after(&after).await?))
}

async fn pair(State(bank): Bank, after: ReadConditions) -> Answer<RowSet<Pious>> {
    Ok(after.answer(bank.view::<Pious>().get_many(["alice", "bob"]).after(&after).await?))
}

#[derive(Deserialize)]
struct Cents {
    cents: i64,
}

type Sent = Result<Json<Cents>, JsonRejection>;

async fn deposit(
    State(bank): Bank,
    Path(id): Path<String>,
    intent: CommandHeaders,
    sent: Sent,
) -> Result<ReceiptResponse, Problem> {
    let Json(Cents { cents }) = sent?;
    let account = bank.aggregate::<Account>(&id);
    let receipt = account.execute(intent.request(Deposit { cents })).await?;
    let stored = intent.answer(receipt);
    Ok(if cents == 1 { stored.created(format!("/accounts/{id}")) } else { stored })
}

async fn keyed(
    bank: Bank,
    id: Path<String>,
    intent: CommandHeaders,
    sent: Sent,
) -> Result<ReceiptResponse, Problem> {
    deposit(bank, id, intent.keyed()?, sent).await
}

async fn by(
    bank: Bank,
    Path((id, actor)): Path<(String, String)>,
    intent: CommandHeaders,
    sent: Sent,
) -> Result<ReceiptResponse, Problem> {
    deposit(bank, Path(id), intent.by(actor), sent).await
}

async fn applied(
    State(bank): Bank,
    Path(id): Path<String>,
    intent: CommandHeaders,
    Json(Cents { cents }): Json<Cents>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(&id);
    let receipt = account.execute(intent.request(Deposit { cents })).await?;
    let outcome = bank.view::<Pious>().applied(&id, &receipt).within(SHORT_BUDGET).await;
    Ok(intent.answer(receipt).outcome(outcome).created(format!("/accounts/{id}/pious")))
}

async fn withdraw(
    State(bank): Bank,
    Path(id): Path<String>,
    intent: CommandHeaders,
    Json(Cents { cents }): Json<Cents>,
) -> Result<ReceiptResponse, Problem> {
    let account = bank.aggregate::<Account>(&id);
    Ok(account.execute(intent.request(Withdraw { cents })).await?.into())
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that the response is a problem of this status and code.
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["code"].as_str().unwrap_or_default()),
            (status, code)
        );
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(body["status"], status);
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        body
    }
}

pub(crate) type Headers<'a> = &'a [(&'a str, &'a [u8])];

pub(crate) fn get_with(
    router: &Router,
    path: &str,
    headers: Headers<'_>,
) -> impl Future<Output = Reply> + use<> {
    send(router, "GET", path, headers, "")
}

pub(crate) fn post_with(
    router: &Router,
    path: &str,
    headers: Headers<'_>,
    cents: i64,
) -> impl Future<Output = Reply> + use<> {
    send(router, "POST", path, headers, &format!(r#"{{"cents": {cents}}}"#))
}

pub(crate) fn send(
    router: &Router,
    method: &str,
    path: &str,
    headers: Headers<'_>,
    body: &str,
) -> impl Future<Output = Reply> + use<> {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(HeaderName::try_from(*name).unwrap(), *value);
    }
    answer(router.clone(), request.body(Body::from(body.to_owned())).unwrap())
}

async fn answer(router: Router, request: Request<Body>) -> Reply {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Reply { status: parts.status, headers: parts.headers, text }
}

pub(crate) async fn work<V: View>(bank: &Highwater) -> WorkerHandle {
    let options =
        ProjectionOptions::default().shards(1).on_failure(OnFailure::Park { at_most: 10 });
    Worker::new(bank).view_with::<V>(options).start().await.unwrap()
}

/// Runs a worker until the view has applied all events, and stops it.
pub(crate) async fn work_until<V: View>(bank: &Highwater, receipt: &Receipt) {
    let worker = work::<V>(bank).await;
    bank.view::<V>().range("".., 1).after(receipt).await.unwrap();
    worker.stop().await.unwrap();
}

pub(crate) async fn put(bank: &Highwater, account: &str, cents: i64) -> Receipt {
    bank.aggregate::<Account>(account).execute(Deposit { cents }).await.unwrap()
}
