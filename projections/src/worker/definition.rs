//! The definition of a view, before the work begins: a worker folds only into rows of its own definition (R5).

use std::time::Duration;

use highwater_core::{
    Error, Position, Query, Result,
    domain::{DefinitionChange, DefinitionHash, ViewDefinition, ViewName},
    error::Corrupt,
    port::ViewState,
};

use super::context::WorkerContext;
use crate::projection::first_event;

/// The time between two tries to adopt a view whose workers are faster than the search of the log.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Compares the definition of a program's view with that of the stored one.
pub(super) struct DefinitionCheck<'a> {
    pub(super) view: &'a ViewName,
    pub(super) own: &'a ViewDefinition,
    /// The events of the view.
    pub(super) query: Query,
    /// True if types may be given up that the view is folded from: only when a program starts, so that programs of two
    /// versions don't take the view from each other in turns.
    pub(super) is_starting: bool,
    pub(super) context: &'a WorkerContext,
}

/// The difference in the types of events.
struct ChangedTypes {
    added: Vec<String>,
    removed: Vec<String>,
}

impl DefinitionCheck<'_> {
    /// Returns the hash of the stored definition if the rows are those of this program; `None` if the view has none.
    /// Changed types are adopted if no event of them stands before the progress of the view; the workers of other
    /// programs are fenced then.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if the rows are other ones, and those of the stores.
    pub(super) async fn ensure(&self) -> Result<Option<DefinitionHash>> {
        let views = &self.context.views;
        let mut searched = Position::START;
        loop {
            let Some(stored) = views.view_definition(self.view).await? else { return Ok(None) };
            let own = self.own.completed_by(&stored.definition);
            if own.hash() == stored.hash {
                return Ok(Some(stored.hash));
            }
            let through = match stored.definition.change_to(&own) {
                DefinitionChange::Types { added, removed } => {
                    self.search(&ChangedTypes { added, removed }, &mut searched).await?
                }
                DefinitionChange::Other(change) => return Err(self.refuse(change)),
            };
            let from = Some(stored.hash);
            if views.replace_definition(self.view, from, &own, through).await? {
                tracing::info!(view = %self.view, "adopted the view: its definition has changed, and no row with it");
                return Ok(Some(own.hash()));
            }
            tracing::debug!(view = %self.view, "the view has moved on; trying again to adopt it");
            self.context.clock.sleep(RETRY_DELAY).await;
        }
    }

    /// Searches the log for events of changed types. Returns the position up to which there is none; `searched` is
    /// where the next search begins.
    async fn search(&self, types: &ChangedTypes, searched: &mut Position) -> Result<Position> {
        let all = [&*types.added, &*types.removed].concat();
        if all.is_empty() {
            return Ok(Position::END);
        }
        let log = &*self.context.log;
        let state = self.context.views.read_view(self.view, &[]).await?.state;
        let head = log.head().await?;
        self.check_end(&state, head)?;
        let query = self.query.clone().with_types(&all);
        let first = first_event(log, &query, *searched).await?;
        let Some((position, type_name)) = first else {
            *searched = head;
            self.check_holders(types).await?;
            return Ok(head);
        };
        if furthest(&state) >= position {
            return Err(self.refuse(types.change_by(position, &type_name)));
        }
        self.check_holders(types).await?;
        Ok(Position::new(position.get().saturating_sub(1)))
    }

    /// Checks that the view isn't beyond the end of the log.
    fn check_end(&self, state: &ViewState, head: Position) -> Result<()> {
        let furthest = furthest(state);
        if furthest > head {
            let change = format!(
                "its types have changed, and it has events up to {furthest}, but the log ends at {head}"
            );
            return Err(self.refuse(change));
        }
        Ok(())
    }

    /// Checks that no worker folds the types that this program gives up.
    async fn check_holders(&self, types: &ChangedTypes) -> Result<()> {
        let Some(removed) = types.removed.first() else { return Ok(()) };
        let context = self.context;
        let members = context.views.heartbeat(self.view, &context.worker, Duration::ZERO).await?;
        if self.is_starting
            && members.holders.iter().flatten().all(|holder| *holder == context.worker)
        {
            return Ok(());
        }
        let change =
            format!("{removed} is no longer folded, and the program that folds it has the view");
        Err(self.refuse(change))
    }

    fn refuse(&self, change: String) -> Error {
        Corrupt::OtherDefinition { view: self.view.to_string(), change }.into()
    }
}

impl ChangedTypes {
    fn change_by(&self, position: Position, type_name: &str) -> String {
        if self.added.iter().any(|added| added == type_name) {
            format!(
                "{type_name} was added, and event {position} has this type and is not in the rows"
            )
        } else {
            format!(
                "{type_name} is no longer folded, and event {position} of this type is in the rows"
            )
        }
    }
}

fn furthest(state: &ViewState) -> Position {
    state.shards.iter().map(|shard| shard.position).max().unwrap_or_default()
}
