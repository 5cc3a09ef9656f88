//! Helpers for the worker processes of several tests.

use std::{sync::Arc, time::Duration};

use highwater::{
    Highwater, Open as _, Result,
    stores::{SqliteOptions, SqliteStore, SystemIds},
};

use crate::clock::SetClock;

/// The time between two attempts to start.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Opens a log, with the views in the store of the second URL if there is one.
///
/// # Errors
/// As of [`Highwater::builder`].
pub async fn open(log: &str, views: Option<&str>) -> Result<Highwater> {
    open_by(&SetClock::default(), log, views).await
}

/// Opens a log and views by this clock of the process.
///
/// # Errors
/// As of [`Highwater::builder`].
pub async fn open_by(clock: &SetClock, log: &str, views: Option<&str>) -> Result<Highwater> {
    let builder = if log.starts_with("sqlite:") {
        let store = SqliteStore::open(SqliteOptions::new(log)?, Arc::new(clock.clone())).await?;
        Highwater::with_store(&Arc::new(store), clock.clone(), SystemIds)
    } else {
        Highwater::builder(log).await?.clock(clock.clone())
    };
    let Some(views) = views else { return Ok(builder.build()) };
    let views = Box::pin(open_by(clock, views, None)).await?;
    Ok(builder.views(Arc::clone(views.views())).build())
}

/// Retries a start while a server can't be reached, as a supervisor of services does.
pub async fn retry<T, F: Future<Output = Result<T>>>(start: impl Fn() -> F) -> T {
    loop {
        match start().await {
            Ok(started) => return started,
            Err(error) if error.is_retryable() => {
                println!("can't start yet: {error}");
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
