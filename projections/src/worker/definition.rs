//! The definition of a view, before the work begins: a worker folds only into rows of its own definition (R5).

use highwater_core::{
    Error, Position, Query, Result,
    domain::{DefinitionChange, ViewDefinition, ViewName},
    error::Corrupt,
};

use super::context::WorkerContext;
use crate::projection::first_event;

/// Compares the definition of a program's view with that of the stored one.
pub(super) struct DefinitionCheck<'a> {
    pub(super) view: &'a ViewName,
    pub(super) own: &'a ViewDefinition,
    /// The events of the view.
    pub(super) query: Query,
    pub(super) context: &'a WorkerContext,
}

impl DefinitionCheck<'_> {
    /// Returns if the rows are those of this program. Types that were added to the definition are adopted if no event of
    /// them stands before the progress of the view; the workers of older programs are fenced then.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if the rows are other ones, and those of the stores.
    pub(super) async fn ensure(&self) -> Result<()> {
        loop {
            let stored = self.context.views.view_definition(self.view).await?;
            let Some(stored) = stored else { return Ok(()) };
            let through = match stored.change_to(self.own) {
                DefinitionChange::Same if stored == *self.own => return Ok(()),
                DefinitionChange::Same => Position::END,
                DefinitionChange::AddedTypes(types) => self.before_added(types).await?,
                DefinitionChange::Other(change) => return Err(self.refuse(change)),
            };
            if self.adopt(&stored, through).await? {
                return Ok(());
            }
        }
    }

    /// Returns the last position before the first event of the added types.
    async fn before_added(&self, types: Vec<String>) -> Result<Position> {
        let context = self.context;
        let head = context.log.head().await?;
        let query = self.query.clone().with_types(&types);
        let first = first_event(&*context.log, &query).await?;
        let Some((position, type_name)) = first else { return Ok(head) };
        let state = context.views.read_view(self.view, &[]).await?.state;
        let furthest = state.shards.iter().map(|shard| shard.position).max();
        if furthest.is_some_and(|furthest| furthest >= position) {
            let change = format!(
                "{type_name} was added, and event {position} has this type and is not in the rows"
            );
            return Err(self.refuse(change));
        }
        Ok(Position::new(position.get().saturating_sub(1)))
    }

    async fn adopt(&self, stored: &ViewDefinition, through: Position) -> Result<bool> {
        let Self { view, own, .. } = *self;
        let from = Some(stored.hash());
        let is_adopted = self.context.views.replace_definition(view, from, own, through).await?;
        if is_adopted {
            tracing::info!(%view, "adopted the view: the definition has changed, and no row with it");
        }
        Ok(is_adopted)
    }

    fn refuse(&self, change: String) -> Error {
        Corrupt::OtherDefinition { view: self.view.to_string(), change }.into()
    }
}
