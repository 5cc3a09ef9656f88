//! Freshness, tokens and errors as HTTP says them, for axum.
//!
//! A handler takes [`ReadConditions`] to read and [`CommandHeaders`] to write, and answers through it. What goes wrong
//! becomes a [`Problem`] by `?`.
//!
//! | File | What is in it |
//! |---|---|
//! | `after` | what the caller of a read has seen already, and has of it |
//! | `intent` | a command's id, expectation and trace, from the headers of its request |
//! | `key` | `Idempotency-Key` as a command's id |
//! | `precondition` | `If-Match` and `If-None-Match` as the version that a command expects |
//! | `trace` | the span of a request; `traceparent` and `tracestate` |
//! | `token` | `Highwater-Token`, in and out |
//! | `fresh` | a reading as an answer: body, validator, age, and what caches may do |
//! | `freshness` | `Highwater-Freshness`: status, position, lag, basis |
//! | `rows` | rows and pages as JSON |
//! | `stored` | a receipt as an answer: stored, applied or pending |
//! | `pending` | what is said of a view that is not far enough, and when to ask again |
//! | `problem` | problem details (RFC 9457) |
//! | `verdict` | which status each error has, and who is to move |
//! | `failure` | from an error to a problem: what may be told, and what is logged |
//! | `pages` | where the pages of the codes are |
//!
//! ```
//! use axum::{Json, extract::{Path, State}};
//! use highwater_core::{Aggregate, Highwater, domain::DecidedBy, read::View};
//! use highwater_projections::{Views as _, http::{ReadConditions, ViewResponse, CommandHeaders, Problem, ReceiptResponse}};
//!
//! async fn show<Balance: View>(
//!     State(bank): State<Highwater>,
//!     Path(id): Path<String>,
//!     after: ReadConditions,
//! ) -> Result<ViewResponse<Balance>, Problem> {
//!     let balance = bank.view::<Balance>().get(id).after(&after).await?;
//!     Ok(after.answer(balance))
//! }
//!
//! async fn withdraw<Account: Aggregate<Services = ()>, Withdraw: DecidedBy<Account>>(
//!     State(bank): State<Highwater>,
//!     Path(id): Path<String>,
//!     intent: CommandHeaders,
//!     Json(withdraw): Json<Withdraw>,
//! ) -> Result<ReceiptResponse, Problem> {
//!     let account = bank.aggregate::<Account>(id);
//!     Ok(intent.answer(account.execute(intent.request(withdraw)).await?))
//! }
//! ```

mod after;
mod failure;
mod fresh;
mod freshness;
mod intent;
mod key;
mod pages;
mod pending;
mod precondition;
mod problem;
mod rows;
mod stored;
mod token;
mod trace;
mod verdict;

pub use after::ReadConditions;
pub use fresh::ViewResponse;
pub use freshness::FRESHNESS;
pub use headers::{self, CacheControl};
pub use intent::CommandHeaders;
pub use key::IDEMPOTENCY_KEY;
pub use pages::error_pages_at;
pub use problem::Problem;
pub use stored::ReceiptResponse;
pub use token::TOKEN;
pub use trace::{answered, request_span};

/// The text of a header that may be there once. A second one, or one that isn't visible ASCII, is a fault
/// of the caller's, and says so.
fn only<'a>(
    headers: &'a axum::http::HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("{name} may be sent once"));
    }
    value.to_str().map(Some).map_err(|_| format!("{name} must be visible ASCII"))
}
