//! How an application's own work in a transaction of the store fails.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::{
    Error, Rejection,
    domain::TransactionHook,
    error::{Invalid, Source},
};

/// Why an application's work failed. `?` makes it: of an error of the database, of a rejection, or
/// of another [`Error`] of the application's own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// A statement failed, or gave something else than was expected. The store says whose move it is.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// What the caller of the command is to get.
    #[error(transparent)]
    Own(#[from] Error),
}

impl From<Rejection> for HookError {
    fn from(rejection: Rejection) -> Self {
        Self::Own(rejection.into())
    }
}

impl HookError {
    /// The error that the command ends with. Only the adapter knows which errors of its database
    /// come from outside (`classify`) and which are the statement's own fault (`is_refused`).
    pub(crate) fn settle(
        self,
        is_refused: impl FnOnce(&sqlx::Error) -> bool,
        classify: impl FnOnce(sqlx::Error) -> Error,
    ) -> Error {
        match self {
            Self::Own(error) => error,
            Self::Database(error) if is_of_the_program(&error) || is_refused(&error) => {
                let message = format!("the application's own work failed: {error}");
                Invalid::request(message).caused_by(Source::new(error)).into()
            }
            Self::Database(error) => classify(error),
        }
    }
}

/// Whether the statement and what its result is read as don't fit. It would fail again.
fn is_of_the_program(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::Encode(_)
    )
}

/// Does the work. A panic ends this command alone: the writer that runs it serves all the others.
pub(crate) async fn unless_it_panics<'a>(
    work: impl FnOnce() -> BoxFuture<'a, Result<(), HookError>>,
) -> Result<(), HookError> {
    let outcome = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(work) => AssertUnwindSafe(work).catch_unwind().await,
        Err(panic) => Err(panic),
    };
    outcome.unwrap_or_else(|panic| Err(HookError::Own(panicked(&*panic).into())))
}

fn panicked(panic: &(dyn Any + Send)) -> Invalid {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text =
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
    Invalid::request(format!("the application's own work panicked: {text}"))
}

/// The work has committed or rolled back what it was given.
pub(crate) fn ended(error: sqlx::Error) -> Error {
    let message = "the work of the application has ended the transaction that it was given: what it \
                   wrote may have been stored, the events or the progress have not";
    Invalid::request(message).caused_by(Source::new(error)).into()
}

/// What is attached is not for this database.
pub(crate) fn foreign_work(
    attachment: &dyn TransactionHook,
    database: &str,
    right: &str,
) -> Invalid {
    Invalid::request(format!("{attachment:?} is no work for {database}: use {right}"))
}

/// The work wants to see an append where there is none.
pub(crate) fn needs_append(right: &str) -> Invalid {
    let message = format!(
        "work made with {right}::new needs an append, and a view's commit is none: make it with \
         {right}::writing"
    );
    Invalid::request(message)
}
