//! What an operator does: the switches of the workers, and the accounts that are parked.

use axum::{Json, extract::State, http::StatusCode};
use highwater::{ParkedKeys, View as _, http::Problem};
use serde::Serialize;

use super::{
    Api,
    extract::{Body, Path},
};
use crate::{
    domain::{AccountId, Balance},
    switches::{Setting, Unreached},
};

/// How many parked accounts are listed.
const LISTED: usize = 100;

/// How the switches stand; `null` where there are none.
pub(super) async fn switches(State(api): State<Api>) -> Result<Json<Option<Setting>>, Problem> {
    Ok(Json(api.crew.setting().await?))
}

pub(super) async fn set(
    State(api): State<Api>,
    Body(setting): Body<Setting>,
) -> Result<Json<Option<Setting>>, Problem> {
    Ok(Json(api.crew.set(setting).await?))
}

/// An account whose balance waits for somebody to look.
#[derive(Serialize)]
pub(super) struct Waiting {
    id: String,
    since: u64,
    queued: u64,
    error: String,
}

pub(super) async fn parked(State(api): State<Api>) -> Result<Json<Vec<Waiting>>, Problem> {
    let parked = ParkedKeys::of(&api.bank, Balance::NAME)?.list(None, LISTED).await?;
    let waiting = parked.into_iter().map(|key| Waiting {
        id: key.key,
        since: key.since.get(),
        queued: key.queued,
        error: key.error,
    });
    Ok(Json(waiting.collect()))
}

/// Has a parked account tried again.
pub(super) async fn retry(
    State(api): State<Api>,
    Path(id): Path<AccountId>,
) -> Result<StatusCode, Problem> {
    let is_parked = ParkedKeys::of(&api.bank, Balance::NAME)?.retry(id.as_ref()).await?;
    Ok(if is_parked { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT })
}

impl From<Unreached> for Problem {
    fn from(worker: Unreached) -> Self {
        Self::new(StatusCode::BAD_GATEWAY).detail(worker.to_string())
    }
}
