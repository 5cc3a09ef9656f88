//! Parked keys, for operators: list and retry (R4).

use highwater_core::{Highwater, Position, Result, domain::ViewName, port::ParkedKey};

/// The parked keys of a view or a projection.
#[derive(Debug, Clone)]
pub struct ParkedKeys {
    highwater: Highwater,
    view: ViewName,
}

impl ParkedKeys {
    /// The parked keys of the view of this name.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the name is malformed.
    pub fn of(highwater: &Highwater, view: &str) -> Result<Self> {
        Ok(Self { highwater: highwater.clone(), view: ViewName::new(view)? })
    }

    /// Returns at most `limit` parked keys after a key, in their order.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if there is no such view.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ParkedKey>> {
        let parked = self.highwater.views().parked_keys(&self.view, after, limit).await?;
        self.check_view_if(parked.is_empty()).await?;
        Ok(parked)
    }

    /// Returns the positions of at most `limit` queued events of a key, after a position.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn queued(&self, key: &str, after: Position, limit: usize) -> Result<Vec<Position>> {
        let queued = self.highwater.views().queued_events(&self.view, key, after, limit).await?;
        self.check_view_if(queued.is_empty()).await?;
        Ok(queued)
    }

    /// Requests the worker that owns the key to apply its queued events in order. If one fails again, the
    /// key stays parked, since that event. Returns `false` if the key isn't parked.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn retry(&self, key: &str) -> Result<bool> {
        let is_parked = self.highwater.views().retry_parked(&self.view, key).await?;
        self.check_view_if(!is_parked).await?;
        Ok(is_parked)
    }

    /// Checks that the view exists if the answer is empty: a missing view has no parked keys either.
    async fn check_view_if(&self, is_empty: bool) -> Result<()> {
        if is_empty {
            self.highwater.views().read_view(&self.view, &[]).await?;
        }
        Ok(())
    }
}
