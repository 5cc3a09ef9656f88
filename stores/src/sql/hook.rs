//! Transaction hooks: writes of the application in a transaction of the store, and how they fail.

use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Rejection,
    domain::TransactionHook,
    error::{Invalid, Panicked, Source},
    port::Append,
};

/// The reason that a transaction hook failed. `?` converts an error of the database, a rejection, and any
/// other [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// A statement failed, or its result was not as expected. The store decides who has to act.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The error that the caller of the command gets.
    #[error(transparent)]
    Own(#[from] Error),
}

impl From<Rejection> for HookError {
    fn from(rejection: Rejection) -> Self {
        Self::Own(rejection.into())
    }
}

impl HookError {
    /// Converts to the error of the command. Only the adapter knows which errors of its database have an
    /// external cause (`classify`) and which are faults of the statement (`is_refused`).
    pub(crate) fn into_error(
        self,
        is_refused: impl FnOnce(&sqlx::Error) -> bool,
        classify: impl FnOnce(sqlx::Error) -> Error,
    ) -> Error {
        match self {
            Self::Own(error) => error,
            Self::Database(error) if is_program_error(&error) || is_refused(&error) => {
                let message = format!("the transaction hook failed: {error}");
                Invalid::request(message).caused_by(Source::new(error)).into()
            }
            Self::Database(error) => classify(error),
        }
    }
}

/// Returns true if the result of a statement does not fit the code that reads it: it would fail again.
fn is_program_error(error: &sqlx::Error) -> bool {
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

type HookFuture<'a> = BoxFuture<'a, Result<(), HookError>>;

type AppendFn<C> = dyn for<'a> Fn(&'a mut C, &'a Append) -> HookFuture<'a> + Send + Sync;

type TransactionFn<C> = dyn for<'a> Fn(&'a mut C) -> HookFuture<'a> + Send + Sync;

/// The code of a hook, for connections of one database.
pub(crate) enum HookFn<C> {
    /// It needs an append.
    Append(Box<AppendFn<C>>),
    /// It runs in any transaction.
    Transaction(Box<TransactionFn<C>>),
}

impl<C> HookFn<C> {
    /// Runs the hook in the transaction of an append, or of a view's commit if there is none. A panic
    /// ends only this command: the writer serves all the others. `hook` is the name of the hook's type.
    pub(crate) async fn run(
        &self,
        connection: &mut C,
        append: Option<&Append>,
        hook: &str,
    ) -> Result<(), HookError> {
        let work = async {
            match (self, append) {
                (Self::Transaction(work), _) => work(connection).await,
                (Self::Append(work), Some(append)) => work(connection, append).await,
                (Self::Append(_), None) => Err(Error::from(needs_append(hook)).into()),
            }
        };
        let done = Panicked::guard_async(|| "transaction hook".to_owned(), work).await;
        done.unwrap_or_else(|panicked| Err(Error::from(panicked).into()))
    }
}

fn needs_append(hook: &str) -> Invalid {
    let message = format!(
        "a hook made with {hook}::new needs an append, and the commit of a view has none: make it with \
         {hook}::writing"
    );
    Invalid::request(message)
}

/// The error of a hook that committed or rolled back its transaction.
pub(crate) fn transaction_ended(error: sqlx::Error) -> Error {
    let message = "the transaction hook ended the transaction: what it wrote may be stored, the events \
                   or the progress are not";
    Invalid::request(message).caused_by(Source::new(error)).into()
}

/// The error of a hook for another store.
pub(crate) fn wrong_store(hook: &dyn TransactionHook, database: &str, right: &str) -> Invalid {
    Invalid::request(format!("{hook:?} is not a hook for {database}: use {right}"))
}
