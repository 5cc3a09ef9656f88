//! The definition of a view as its readers know it: rows of another definition are never returned (R5).

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use highwater_core::{
    Error, Position, Query, Result,
    domain::{DefinitionChange, DefinitionHash, View, ViewDefinition, ViewName},
    error::Corrupt,
    port::{EventStore, ViewState, ViewStore},
};

use crate::projection::first_event;

/// The definition of a view in this program, and the other ones that its store had.
pub(super) struct ReaderDefinition {
    view: ViewName,
    definition: ViewDefinition,
    hash: DefinitionHash,
    query: Query,
    others: Mutex<HashMap<DefinitionHash, OtherRows>>,
}

/// The rows of a definition that differs at most in its types of events.
#[derive(Clone)]
struct OtherRows {
    /// The types of this program that are not folded into them.
    lacking: Vec<String>,
    /// True if types are folded into them that this program doesn't know.
    has_unknown_types: bool,
    /// The position up to which the log has no event of the lacking types.
    searched: Position,
}

/// The stores that a check asks.
pub(super) struct CheckedStores<'a> {
    pub(super) views: &'a dyn ViewStore,
    pub(super) log: &'a dyn EventStore,
}

impl ReaderDefinition {
    pub(super) fn of<V: View>() -> Result<Self> {
        let definition = V::definition()?;
        Ok(Self {
            view: ViewName::new(V::NAME)?,
            hash: definition.hash(),
            definition,
            query: V::query()?,
            others: Mutex::default(),
        })
    }

    /// Returns the name of the view and the hash of its definition here.
    pub(super) fn id(&self) -> (ViewName, DefinitionHash) {
        (self.view.clone(), self.hash)
    }

    /// Checks that rows of this state are those of this program. Returns true if a newer program has folded events into
    /// them that this one doesn't know, so that it can't fold on from there.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if they are other rows, and those of the stores.
    pub(super) async fn check(&self, state: &ViewState, stores: CheckedStores<'_>) -> Result<bool> {
        let Some(stored) = state.definition.filter(|stored| *stored != self.hash) else {
            return Ok(false);
        };
        let rows = self.other_rows(stored, stores.views).await?;
        self.check_lacking(stored, &rows, state, stores.log).await?;
        Ok(rows.has_unknown_types)
    }

    /// Returns what is known of a definition, or reads and compares the one that is stored now: a change of it alone
    /// leaves the rows as they were.
    async fn other_rows(&self, hash: DefinitionHash, views: &dyn ViewStore) -> Result<OtherRows> {
        if let Some(known) = self.lock().get(&hash) {
            return Ok(known.clone());
        }
        let stored = views.view_definition(&self.view).await?;
        let (hash, change) = match stored {
            Some(stored) => (stored.hash, stored.definition.change_to(&self.definition)),
            None => (hash, self.definition.change_to(&self.definition)),
        };
        let (lacking, removed) = match change {
            DefinitionChange::Types { added, removed } => (added, removed),
            DefinitionChange::Other(change) => return Err(self.refuse(change)),
        };
        let has_unknown_types = !removed.is_empty();
        let rows = OtherRows { lacking, has_unknown_types, searched: Position::START };
        self.lock().insert(hash, rows.clone());
        Ok(rows)
    }

    /// Checks that no event of the types that the rows lack stands before their progress.
    async fn check_lacking(
        &self,
        hash: DefinitionHash,
        rows: &OtherRows,
        state: &ViewState,
        log: &dyn EventStore,
    ) -> Result<()> {
        let furthest = state.shards.iter().map(|shard| shard.position).max().unwrap_or_default();
        if rows.lacking.is_empty() || furthest <= rows.searched {
            return Ok(());
        }
        let query = self.query.clone().with_types(&rows.lacking);
        match first_event(log, &query, rows.searched).await? {
            Some((position, type_name)) if position <= furthest => {
                Err(self.refuse(lacks(position, &type_name)))
            }
            _ => {
                if let Some(known) = self.lock().get_mut(&hash) {
                    known.searched = known.searched.max(furthest);
                }
                Ok(())
            }
        }
    }

    fn refuse(&self, change: String) -> Error {
        Corrupt::OtherDefinition { view: self.view.to_string(), change }.into()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DefinitionHash, OtherRows>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lacks(position: Position, type_name: &str) -> String {
    format!("{type_name} was added, and event {position} has this type and is not in the rows")
}
