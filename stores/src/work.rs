//! What the SQL stores have in common about an application's own work in the append's transaction.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use highwater_core::{
    Error, Result,
    error::{Invalid, Source},
};

/// Work that panics must not take the writer with it, on which everybody's appends wait. Whatever it
/// left half done is rolled back.
pub(crate) async fn caught(work: impl Future<Output = Result<()>>) -> Result<()> {
    let panicked = |_| Err(Invalid::request("the work of the application panicked").into());
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(panicked)
}

/// The work has committed or rolled back what it was given.
pub(crate) fn ended(error: sqlx::Error) -> Error {
    let message = "the work of the application has ended the transaction that it was given: what it \
                   wrote may have been stored, the events have not";
    Invalid::request(message).caused_by(Source::new(error)).into()
}
