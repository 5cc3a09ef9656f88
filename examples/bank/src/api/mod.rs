//! The bank over HTTP.
//!
//! | File | What is in it |
//! |---|---|
//! | `commands` | open, deposit, withdraw, transfer |
//! | `reads` | balances and statements, as fresh as they are asked for |
//! | `asked` | how fresh a request wants its answer |
//! | `operations` | what is read for, by name, and policies that change at run time |
//! | `operate` | the switches of the workers, and the accounts that are parked |
//! | `extract` | what is in a request; what is wrong with it is a problem |
//! | `page` | the page |

mod asked;
mod commands;
mod extract;
mod operate;
mod operations;
mod page;
mod reads;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use highwater::{
    Highwater,
    http::{answered, request_span},
    policy::PolicyFollower,
    service::Config,
};
use tower_http::trace::TraceLayer;

use crate::switches::Crew;

/// What every request is answered with.
#[derive(Clone)]
struct Api {
    bank: Highwater,
    crew: Crew,
    /// Changes of policies are taken up for as long as somebody is answered.
    _following: Arc<PolicyFollower>,
}

/// Answers commands and reads of this bank, and serves the page, whose switches reach this crew.
///
/// # Errors
/// [`Invalid`](highwater::Error::Invalid) if the file of policies is wrong;
/// [`Unavailable`](highwater::Error::Unavailable) if the store can't be asked which ones hold.
pub async fn router(bank: &Highwater, crew: Crew, config: &Config) -> highwater::Result<Router> {
    // What has failed is logged where the problem is made.
    let traces = TraceLayer::new_for_http()
        .make_span_with(request_span)
        .on_response(answered)
        .on_failure(());
    let _following = Arc::new(operations::follow(bank, config).await?);
    Ok(Router::new()
        .route("/", get(page::page))
        .route("/accounts", post(commands::open).get(reads::accounts))
        .route("/accounts/{id}", get(reads::account))
        .route("/accounts/{id}/statement", get(reads::statement))
        .route("/accounts/{id}/deposits", post(commands::deposit))
        .route("/accounts/{id}/withdrawals", post(commands::withdraw))
        .route("/transfers", post(commands::transfer))
        .route("/policies", get(operations::policies).post(operations::change))
        .route("/policies/rollback", post(operations::roll_back))
        .route("/switches", get(operate::switches).put(operate::set))
        .route("/parked", get(operate::parked))
        .route("/parked/{id}/retry", post(operate::retry))
        .layer(traces)
        .with_state(Api { bank: bank.clone(), crew, _following }))
}
