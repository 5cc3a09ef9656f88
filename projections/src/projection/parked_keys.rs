//! Parked keys, for operators: list and retry (R4).

use highwater_core::{Highwater, Position, Result, domain::ViewName, port::ParkedKey};

/// The parked keys of a view or a projection: those of the live generation, unless another one is named.
#[derive(Debug, Clone)]
pub struct ParkedKeys {
    highwater: Highwater,
    view: ViewName,
    generation: Option<u32>,
}

impl ParkedKeys {
    /// The parked keys of the view of this name.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the name is malformed.
    pub fn of(highwater: &Highwater, view: &str) -> Result<Self> {
        let view = ViewName::new(view)?;
        Ok(Self { highwater: highwater.clone(), view, generation: None })
    }

    /// Names the generation of the view.
    #[must_use]
    pub fn of_generation(self, generation: u32) -> Self {
        Self { generation: Some(generation), ..self }
    }

    /// Returns at most `limit` parked keys after a key, in their order.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if there is no such view.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ParkedKey>> {
        let view = self.stored_name().await?;
        let parked = self.highwater.views().parked_keys(&view, after, limit).await?;
        self.check_view_if(parked.is_empty(), &view).await?;
        Ok(parked)
    }

    /// Returns the positions of at most `limit` queued events of a key, after a position.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn queued(&self, key: &str, after: Position, limit: usize) -> Result<Vec<Position>> {
        let view = self.stored_name().await?;
        let queued = self.highwater.views().queued_events(&view, key, after, limit).await?;
        self.check_view_if(queued.is_empty(), &view).await?;
        Ok(queued)
    }

    /// Requests the worker that owns the key to apply its queued events in order. If one fails again, the
    /// key stays parked, since that event. Returns `false` if the key isn't parked.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn retry(&self, key: &str) -> Result<bool> {
        let view = self.stored_name().await?;
        let is_parked = self.highwater.views().retry_parked(&view, key).await?;
        self.check_view_if(!is_parked, &view).await?;
        Ok(is_parked)
    }

    /// Returns the name under which the generation is stored.
    async fn stored_name(&self) -> Result<ViewName> {
        if let Some(generation) = self.generation {
            return Ok(self.view.of_generation(generation));
        }
        let found = self.highwater.views().generations(&self.view).await?;
        let live = found.into_iter().find(|generation| generation.is_live);
        Ok(live.map_or_else(|| self.view.clone(), |live| live.view))
    }

    /// Checks that the view exists if the answer is empty: a missing view has no parked keys either.
    async fn check_view_if(&self, is_empty: bool, view: &ViewName) -> Result<()> {
        if is_empty {
            self.highwater.views().read_view(view, &[]).await?;
        }
        Ok(())
    }
}
