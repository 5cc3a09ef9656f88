//! Helpers for the worker processes of several tests.

use std::{sync::Arc, time::Duration};

use highwater::{Highwater, Open as _, Result};

/// The time between two attempts to start.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Opens a log, with the views in the store of the second URL if there is one.
///
/// # Errors
/// As of [`Highwater::builder`].
pub async fn open(log: &str, views: Option<&str>) -> Result<Highwater> {
    let log = Highwater::builder(log).await?;
    let Some(views) = views else { return Ok(log.build()) };
    let views = Highwater::open(views).await?;
    Ok(log.views(Arc::clone(views.views())).build())
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
