//! The definition of a view as its readers know it: rows of another definition are never returned (R5).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
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

/// The rows of a definition that differs only in its types of events.
#[derive(Clone)]
enum OtherRows {
    /// This program has the same types, or more, and these are more.
    Older(Vec<String>),
    /// A newer program has more types.
    Newer,
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
        match self.other_rows(stored, stores.views).await? {
            OtherRows::Newer => Ok(true),
            OtherRows::Older(added) => {
                self.check_added(&added, state, stores.log).await.map(|()| false)
            }
        }
    }

    /// Returns what is known of a definition, or reads and compares it.
    async fn other_rows(&self, hash: DefinitionHash, views: &dyn ViewStore) -> Result<OtherRows> {
        if let Some(known) = self.lock().get(&hash) {
            return Ok(known.clone());
        }
        let stored = views.view_definition(&self.view).await?;
        let Some(stored) = stored else { return Ok(OtherRows::Older(Vec::new())) };
        let rows = match (stored.change_to(&self.definition), self.definition.change_to(&stored)) {
            (DefinitionChange::Same, _) => OtherRows::Older(Vec::new()),
            (DefinitionChange::AddedTypes(added), _) => OtherRows::Older(added),
            (DefinitionChange::Other(_), DefinitionChange::AddedTypes(_)) => OtherRows::Newer,
            (DefinitionChange::Other(change), _) => return Err(self.refuse(change)),
        };
        self.lock().insert(stored.hash(), rows.clone());
        Ok(rows)
    }

    /// Checks that no event of the types that the rows lack stands before their progress.
    async fn check_added(
        &self,
        added: &[String],
        state: &ViewState,
        log: &dyn EventStore,
    ) -> Result<()> {
        if added.is_empty() {
            return Ok(());
        }
        let query = self.query.clone().with_types(added);
        let furthest = state.shards.iter().map(|shard| shard.position).max().unwrap_or_default();
        match first_event(log, &query).await? {
            Some((position, type_name)) if position <= furthest => {
                Err(self.refuse(lacks(position, &type_name)))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, change: String) -> Error {
        Corrupt::OtherDefinition { view: self.view.to_string(), change }.into()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DefinitionHash, OtherRows>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lacks(position: Position, type_name: &str) -> String {
    format!("{type_name} was added, and event {position} has this type and is not in the rows")
}
