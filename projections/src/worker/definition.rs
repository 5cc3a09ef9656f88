//! The definition of a view, before the work begins: a worker folds only into rows of its own definition (R5).

use highwater_core::{
    Error, Position, Result,
    domain::{DefinitionChange, ViewDefinition},
    error::Corrupt,
};

use super::task::ProjectionTask;
use crate::projection::first_event;

/// Compares the definition of a projection with that of its stored view.
pub(super) struct DefinitionCheck<'a>(pub(super) &'a ProjectionTask);

impl DefinitionCheck<'_> {
    /// Returns if the rows are those of this program. Types that were added to the definition are adopted if no event of
    /// them stands before the progress of the view; the workers of older programs are fenced then.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if the rows are other ones, and those of the stores.
    pub(super) async fn ensure(&self) -> Result<()> {
        let Some(own) = &self.0.definition else { return Ok(()) };
        loop {
            let Some(stored) = self.0.context.views.view_definition(&self.0.view).await? else {
                return Ok(());
            };
            let through = match stored.change_to(own) {
                DefinitionChange::Same if stored == *own => return Ok(()),
                DefinitionChange::Same => Position::END,
                DefinitionChange::AddedTypes(types) => self.before_added(types).await?,
                DefinitionChange::Other(change) => return Err(self.refuse(change)),
            };
            if self.adopt(&stored, own, through).await? {
                return Ok(());
            }
        }
    }

    /// Returns the last position before the first event of the added types.
    async fn before_added(&self, types: Vec<String>) -> Result<Position> {
        let context = &self.0.context;
        let head = context.log.head().await?;
        let query = self.0.job.query()?.with_types(&types);
        let first = first_event(&*context.log, &query).await?;
        let Some((position, type_name)) = first else { return Ok(head) };
        let state = context.views.read_view(&self.0.view, &[]).await?.state;
        let furthest = state.shards.iter().map(|shard| shard.position).max();
        if furthest.is_some_and(|furthest| furthest >= position) {
            let change = format!(
                "{type_name} was added, and event {position} has this type and is not in the rows"
            );
            return Err(self.refuse(change));
        }
        Ok(Position::new(position.get().saturating_sub(1)))
    }

    async fn adopt(
        &self,
        stored: &ViewDefinition,
        own: &ViewDefinition,
        through: Position,
    ) -> Result<bool> {
        let view = &self.0.view;
        let views = &self.0.context.views;
        let is_adopted = views.replace_definition(view, Some(stored.hash()), own, through).await?;
        if is_adopted {
            tracing::info!(%view, "adopted the view: the definition has changed, and no row with it");
        }
        Ok(is_adopted)
    }

    fn refuse(&self, change: String) -> Error {
        Corrupt::OtherDefinition { view: self.0.view.to_string(), change }.into()
    }
}
