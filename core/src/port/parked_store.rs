//! Parked keys as a store lists them (R4).

use async_trait::async_trait;

use super::ParkedKey;
use crate::{Result, domain::ViewName, value::Position};

/// The parked keys of views. They are parked and drained by [`commit_view`](super::ViewStore::commit_view).
#[async_trait]
pub trait ParkedStore: Send + Sync + 'static {
    /// Returns parked keys of a view in the order of the keys, starting after `after`, at most
    /// `limit`; none if the view has never been opened.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn parked_keys(
        &self,
        view: &ViewName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>>;

    /// Returns the positions of the events that are held back behind a parked key, in log order,
    /// starting after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn queued_events(
        &self,
        view: &ViewName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>>;

    /// Requests that the worker of a parked key retries it. Returns false if the key isn't parked.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool>;
}
