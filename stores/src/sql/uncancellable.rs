//! Calls that run to their end although their caller goes away.

use highwater_core::{
    Result,
    error::{Source, Unavailable},
};

/// Runs a call in its own task. A caller that is cancelled must not leave a connection inside a
/// transaction: it would hold locks, or a reader would see an old snapshot.
pub(crate) async fn uncancellable<T: Send + 'static>(
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let unfinished = |error| Unavailable::unreachable("working", Source::new(error)).into();
    tokio::spawn(call).await.unwrap_or_else(|error| Err(unfinished(error)))
}
