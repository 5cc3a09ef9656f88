//! Concurrent tasks that start at the same moment.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::join_all;
use highwater_core::{
    Result,
    port::{Append, Appended},
};
use tokio::sync::Barrier;

use super::Store;

/// Runs each future in a separate task, all released together, and returns their outputs in order.
///
/// # Panics
/// Panics if one of the tasks panics.
pub async fn race<F>(racers: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let racers: Vec<F> = racers.into_iter().collect();
    let start = Arc::new(Barrier::new(racers.len()));
    let tasks = racers.into_iter().map(|racer| {
        let start = start.clone();
        tokio::spawn(async move {
            start.wait().await;
            racer.await
        })
    });
    join_all(tasks).await.into_iter().map(|output| output.expect("no task panics")).collect()
}

/// Appends from one task per append, all released together.
pub async fn race_appends(
    store: &Arc<dyn Store>,
    appends: impl IntoIterator<Item = Append>,
) -> Vec<Result<Appended>> {
    race(appends.into_iter().map(|append| {
        let store = store.clone();
        async move { store.append(append).await }
    }))
    .await
}

/// Calls `append` for each without awaiting any, and only then awaits all of them.
pub async fn append_back_to_back(
    store: &Arc<dyn Store>,
    appends: impl IntoIterator<Item = Append>,
) -> Vec<Result<Appended>> {
    let called: Vec<_> = appends.into_iter().map(|append| store.append(append)).collect();
    join_all(called).await
}

/// Awaits a future that must complete soon.
///
/// # Panics
/// Panics if it doesn't complete within 30 seconds.
pub async fn soon<F: Future>(what: &str, wait: F) -> F::Output {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| panic!("{what}: not in {limit:?}"))
}
