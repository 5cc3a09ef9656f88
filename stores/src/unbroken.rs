//! Work that goes on although its caller goes away.

use highwater_core::{
    Result,
    error::{Source, Unavailable},
};

/// Works in a task of its own: a caller that goes away in the middle must not leave a connection
/// within a transaction, be it one that holds locks or a reader that would then see an old snapshot.
pub(crate) async fn uncancellable<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let unfinished = |error| Unavailable::unreachable("working", Source::new(error)).into();
    tokio::spawn(work).await.unwrap_or_else(|error| Err(unfinished(error)))
}
