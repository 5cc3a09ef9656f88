//! The bank over HTTP.
//!
//! | File | What is in it |
//! |---|---|
//! | `commands` | open, deposit, withdraw, transfer |
//! | `reads` | balances and statements, with the requested freshness |
//! | `read_options` | the query parameters of reads and commands |
//! | `operations` | the read operations by name, and their policies |
//! | `operate` | the switches of the workers, and the parked accounts |
//! | `extract` | extractors whose rejections are problems |
//! | `page` | the page |

mod commands;
mod extract;
mod operate;
mod operations;
mod page;
mod read_options;
mod reads;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use highwater::{
    Highwater,
    http::{record_response, request_span},
    policy::PolicyFollower,
    service::Config,
};
use tower_http::trace::TraceLayer;

use crate::switches::ControlledWorkers;

/// The state of every handler.
#[derive(Clone)]
struct Api {
    bank: Highwater,
    workers: ControlledWorkers,
    /// Follows changes of policies for as long as the API runs.
    _following: Arc<PolicyFollower>,
}

/// Creates the router of the bank: commands, reads, and the page, whose switches control these workers.
///
/// # Errors
/// [`Invalid`](highwater::Error::Invalid) if the file of policies is wrong;
/// [`Unavailable`](highwater::Error::Unavailable) if the store can't be asked for the policies in effect.
pub async fn router(
    bank: &Highwater,
    workers: ControlledWorkers,
    config: &Config,
) -> highwater::Result<Router> {
    // Failures are logged where their problem is created.
    let traces = TraceLayer::new_for_http()
        .make_span_with(request_span)
        .on_response(record_response)
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
        .with_state(Api { bank: bank.clone(), workers, _following }))
}
