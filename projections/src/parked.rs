//! Parked keys, for whoever looks after them (R4).

use highwater_core::{Highwater, Position, Result, domain::ViewName, port::ParkedKey};

/// The parked keys of a view or a projection: listed, and tried again.
#[derive(Debug, Clone)]
pub struct ParkedKeys {
    highwater: Highwater,
    view: ViewName,
}

impl ParkedKeys {
    /// Those of the view of this name.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the name is malformed.
    pub fn of(highwater: &Highwater, view: &str) -> Result<Self> {
        Ok(Self { highwater: highwater.clone(), view: ViewName::new(view)? })
    }

    /// The parked keys in their order, after a key, at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if there is no such view.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ParkedKey>> {
        let parked = self.highwater.views().parked_keys(&self.view, after, limit).await?;
        self.of_a_view(parked, Vec::is_empty).await
    }

    /// The positions of the events that wait behind a key, after a position, at most `limit`.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn queued(&self, key: &str, after: Position, limit: usize) -> Result<Vec<Position>> {
        let queued = self.highwater.views().queued_events(&self.view, key, after, limit).await?;
        self.of_a_view(queued, Vec::is_empty).await
    }

    /// Asks the worker that has the key to apply what waits, in order. If one fails again, the key is
    /// parked since then. `false` if the key isn't parked.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn retry(&self, key: &str) -> Result<bool> {
        let is_parked = self.highwater.views().retry_parked(&self.view, key).await?;
        self.of_a_view(is_parked, |is_parked| !is_parked).await
    }

    /// Nothing is an answer only if there is such a view.
    async fn of_a_view<T>(&self, found: T, is_nothing: impl FnOnce(&T) -> bool) -> Result<T> {
        if is_nothing(&found) {
            self.highwater.views().read_view(&self.view, &[]).await?;
        }
        Ok(found)
    }
}
