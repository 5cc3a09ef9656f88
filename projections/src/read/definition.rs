//! The definition of a view as its readers know it: rows of another definition are never returned (R5).

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use highwater_core::{
    Error, Position, Query, Result,
    domain::{DefinitionChange, DefinitionHash, View, ViewDefinition, ViewName},
    error::Corrupt,
    port::{EventStore, Generation, ViewState, ViewStore},
};
use jiff::Timestamp;

use crate::projection::first_event;

/// The time between two looks for a generation that suits better than the one that is read.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The definition of a view in this program, and the other ones that its store had.
pub(super) struct ReaderDefinition {
    view: ViewName,
    definition: ViewDefinition,
    hash: DefinitionHash,
    query: Query,
    generation: Mutex<Arc<OwnGeneration>>,
    /// The time of the last look for a generation that suits better.
    looked_at: Mutex<Option<Instant>>,
    others: Mutex<HashMap<DefinitionHash, OtherRows>>,
}

/// The generation of a view that has the definition of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnGeneration {
    /// The name under which it is stored.
    pub(super) view: ViewName,
    /// The position from which on it is complete.
    pub(super) complete_at: Position,
    /// The time at which it was made.
    pub(super) created_at: Timestamp,
}

impl OwnGeneration {
    fn first(view: &ViewName) -> Self {
        let created_at = Timestamp::UNIX_EPOCH;
        Self { view: view.clone(), complete_at: Position::START, created_at }
    }
}

impl From<Generation> for OwnGeneration {
    fn from(Generation { view, complete_at, created_at, .. }: Generation) -> Self {
        Self { view, complete_at, created_at }
    }
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
        let view = ViewName::new(V::NAME)?;
        Ok(Self {
            // Most views have no other one.
            generation: Mutex::new(Arc::new(OwnGeneration::first(&view))),
            looked_at: Mutex::default(),
            view,
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

    /// Returns the generation that was read last.
    pub(super) fn generation(&self) -> Arc<OwnGeneration> {
        Arc::clone(&self.generation.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn first_generation(&self) -> Arc<OwnGeneration> {
        Arc::new(OwnGeneration::first(&self.view))
    }

    /// Returns true if the rows are those of this definition, or of one that isn't known.
    pub(super) fn is_own(&self, state: &ViewState) -> bool {
        state.definition.is_none_or(|stored| stored == self.hash)
    }

    /// Returns true once a second.
    pub(super) fn is_time_to_look(&self) -> bool {
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked_at.is_none_or(|looked| looked.elapsed() >= LOOK_INTERVAL);
        if is_time {
            *looked_at = Some(Instant::now());
        }
        is_time
    }

    /// Notes the generation that is to be read from now on.
    pub(super) fn found(&self, generation: &Arc<OwnGeneration>) {
        let mut known = self.generation.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::clone(generation);
    }

    /// Returns the generations whose rows may be those of this program. Complete ones come first: rows that are shared with
    /// another program are answers while those of this one are being built. Then come those of its own definition, then
    /// those that differ at most in their types of events.
    pub(super) async fn own_generations(
        &self,
        views: &dyn ViewStore,
    ) -> Result<Vec<OwnGeneration>> {
        let mut found = views.generations(&self.view).await?;
        let is_own = |generation: &Generation| generation.hash == Some(self.hash);
        found.retain(|generation| is_own(generation) || self.may_share(generation));
        found.sort_by_key(|generation| {
            let is_complete = generation.is_complete();
            Reverse((is_complete, is_own(generation), generation.is_live, generation.number))
        });
        Ok(found.into_iter().map(OwnGeneration::from).collect())
    }

    fn may_share(&self, generation: &Generation) -> bool {
        match (generation.hash, &generation.definition) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(definition)) => {
                matches!(definition.change_to(&self.definition), DefinitionChange::Types { .. })
            }
        }
    }

    /// Checks that rows of this state are those of this program. Returns true if a newer program has folded events into
    /// them that this one doesn't know, so that it can't fold on from there.
    ///
    /// # Errors
    /// [`Corrupt::OtherDefinition`] if they are other rows, and those of the stores.
    pub(super) async fn check(
        &self,
        view: &ViewName,
        state: &ViewState,
        stores: CheckedStores<'_>,
    ) -> Result<bool> {
        let Some(stored) = state.definition.filter(|stored| *stored != self.hash) else {
            return Ok(false);
        };
        let rows = self.other_rows(view, stored, stores.views).await?;
        self.check_lacking(stored, &rows, state, stores.log).await?;
        Ok(rows.has_unknown_types)
    }

    /// Returns what is known of a definition, or reads and compares the one that is stored now: a change of it alone
    /// leaves the rows as they were.
    async fn other_rows(
        &self,
        view: &ViewName,
        hash: DefinitionHash,
        views: &dyn ViewStore,
    ) -> Result<OtherRows> {
        if let Some(known) = self.lock().get(&hash) {
            return Ok(known.clone());
        }
        let stored = views.view_definition(view).await?;
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
