//! Operations of the bank's operator: the switches of the workers, and the parked accounts.

use axum::{Json, extract::State, http::StatusCode};
use highwater::{View as _, http::Problem, projection::ParkedKeys};
use serde::Serialize;

use super::{
    Api,
    extract::{Body, Path},
};
use crate::{
    domain::{AccountId, Balance},
    switches::{Setting, WorkerUnreachable},
};

/// The number of parked accounts in a list.
const LIST_SIZE: usize = 100;

/// The setting of the switches; `null` if there are none.
pub(super) async fn switches(State(api): State<Api>) -> Result<Json<Option<Setting>>, Problem> {
    Ok(Json(api.workers.setting().await?))
}

pub(super) async fn set(
    State(api): State<Api>,
    Body(setting): Body<Setting>,
) -> Result<Json<Option<Setting>>, Problem> {
    Ok(Json(api.workers.set(setting).await?))
}

/// An account whose balance is parked until an operator retries it.
#[derive(Serialize)]
pub(super) struct ParkedAccount {
    id: String,
    since: u64,
    queued: u64,
    error: String,
}

pub(super) async fn parked(State(api): State<Api>) -> Result<Json<Vec<ParkedAccount>>, Problem> {
    let parked = ParkedKeys::of(&api.bank, Balance::NAME)?.list(None, LIST_SIZE).await?;
    let accounts = parked.into_iter().map(|key| ParkedAccount {
        id: key.key,
        since: key.since.get(),
        queued: key.queued,
        error: key.error,
    });
    Ok(Json(accounts.collect()))
}

/// Retries a parked account.
pub(super) async fn retry(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
) -> Result<StatusCode, Problem> {
    let is_parked = ParkedKeys::of(&api.bank, Balance::NAME)?.retry(id.as_ref()).await?;
    Ok(if is_parked { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT })
}

impl From<WorkerUnreachable> for Problem {
    fn from(worker: WorkerUnreachable) -> Self {
        Self::new(StatusCode::BAD_GATEWAY).detail(worker.to_string())
    }
}
