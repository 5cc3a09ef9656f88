//! Freshness, tokens and errors over HTTP, for axum.
//!
//! A handler extracts [`ReadConditions`] to read or [`CommandHeaders`] to write, and creates its response from them.
//! Errors become a [`Problem`] through `?`.
//!
//! | File | What is in it |
//! |---|---|
//! | `read_conditions` | the headers of a read: token and cached validator |
//! | `command_headers` | the headers of a command: id, expected version and trace |
//! | `idempotency_key` | `Idempotency-Key`, from which a command's id is derived |
//! | `precondition` | `If-Match` and `If-None-Match` as the version that a command expects |
//! | `trace` | the span of a request; `traceparent` and `tracestate` |
//! | `token` | `Highwater-Token`, in requests and responses |
//! | `view_response` | a reading as a response: body, validator, age and cache directives |
//! | `freshness` | `Highwater-Freshness`: status, position, lag, basis |
//! | `rows` | rows and pages as JSON |
//! | `receipt_response` | a receipt as a response: stored, applied or pending |
//! | `pending` | a view that is not far enough, and `Retry-After` |
//! | `problem` | problem details (RFC 9457) |
//! | `error_status` | the status and the next step of each error code |
//! | `error_problem` | errors as problems: what a caller may learn, and what is logged |
//! | `problem_type` | the base URL of the pages of the error codes |
//!
//! ```
//! use axum::{Json, extract::{Path, State}};
//! use highwater_core::{Aggregate, Highwater, domain::{DecidedBy, View}};
//! use highwater_projections::{read::Views as _, http::{ReadConditions, ViewResponse, CommandHeaders, Problem, ReceiptResponse}};
//!
//! async fn show<Balance: View>(
//!     State(bank): State<Highwater>,
//!     Path(id): Path<String>,
//!     conditions: ReadConditions,
//! ) -> Result<ViewResponse<Balance>, Problem> {
//!     let balance = bank.view::<Balance>().get(id).after(&conditions).await?;
//!     Ok(conditions.answer(balance))
//! }
//!
//! async fn withdraw<Account: Aggregate<Services = ()>, Withdraw: DecidedBy<Account>>(
//!     State(bank): State<Highwater>,
//!     Path(id): Path<String>,
//!     headers: CommandHeaders,
//!     Json(withdraw): Json<Withdraw>,
//! ) -> Result<ReceiptResponse, Problem> {
//!     let account = bank.aggregate::<Account>(id);
//!     Ok(headers.answer(account.execute(headers.request(withdraw)).await?))
//! }
//! ```

mod command_headers;
mod error_problem;
mod error_status;
mod freshness;
mod idempotency_key;
mod pending;
mod precondition;
mod problem;
mod problem_type;
mod read_conditions;
mod receipt_response;
mod rows;
mod token;
mod trace;
mod view_response;

pub use command_headers::CommandHeaders;
pub use freshness::FRESHNESS;
pub use headers::{self, CacheControl};
pub use idempotency_key::IDEMPOTENCY_KEY;
pub use problem::Problem;
pub use problem_type::error_pages_at;
pub use read_conditions::ReadConditions;
pub use receipt_response::ReceiptResponse;
pub use token::TOKEN;
pub use trace::{record_response, request_span};
pub use view_response::ViewResponse;

/// Returns the text of a header that may occur once.
///
/// # Errors
/// A message for the caller, if the header occurs twice or is not visible ASCII.
fn single_header<'a>(
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
