//! What is in a request. What is wrong with it is told as a problem.

use axum::{
    extract::{FromRequest, FromRequestParts, Query},
    http::request::Parts,
};
use highwater::http::Problem;
use serde::de::DeserializeOwned;

/// The body, as JSON.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(super) struct Body<T>(pub(super) T);

/// What is in the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct Path<T>(pub(super) T);

/// What is behind the question mark.
pub(super) struct Asking<T>(pub(super) T);

impl<T: DeserializeOwned, S: std::marker::Send + Sync> FromRequestParts<S> for Asking<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(wrong) => Err(Problem::new(wrong.status()).detail(wrong.body_text())),
        }
    }
}
