//! Snapshots of a view: rows, progress and head, in one round trip.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join;
use highwater_core::{
    Code, Highwater, Position, Result,
    domain::{KeyedBy, View, ViewName},
    error::{Corrupt, Source, Unavailable},
    port::{StoredRange, StoredRow, StoredView, ViewState},
    value::Freshness,
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    definition::{CheckedStores, OwnGeneration, ReaderDefinition},
    scope::RowScope,
};

/// The longest wait for a store that is connected and silent. A wait for a connection ends sooner, unless the store is
/// configured otherwise, with the store's own error.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The errors of a generation that is not this program's.
const NOT_OWN: [Code; 3] = [Code::OTHER_DEFINITION, Code::VIEW_MISSING, Code::UNDECODABLE];

/// Reads snapshots of one view. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ViewSource {
    pub(crate) highwater: Highwater,
    pub(crate) view: ViewName,
    pub(super) keyed_by: KeyedBy,
    pub(super) definition: Arc<ReaderDefinition>,
}

/// Rows of a view and its progress, all of one moment.
#[derive(Debug, Clone)]
pub(crate) struct ViewSnapshot {
    /// Shared by all reads of the same scope.
    pub(crate) rows: Arc<Vec<(String, StoredRow)>>,
    /// True if the range has more rows.
    pub(crate) has_more: bool,
    pub(crate) state: Arc<ViewState>,
    /// True if a newer program has folded events into the rows that this one doesn't know.
    pub(crate) has_unknown_types: bool,
    /// The generation of the view.
    pub(super) generation: Arc<OwnGeneration>,
    /// The head of the log at that moment, if it is known.
    pub(super) head: Option<Position>,
    /// The time before the read: an event that was recorded until then and is not in the view is missing.
    pub(super) read_at: Timestamp,
}

impl ViewSnapshot {
    pub(super) fn with_rows(&self, rows: Vec<(String, StoredRow)>) -> Self {
        let rows = Arc::new(rows);
        let state = Arc::clone(&self.state);
        let generation = Arc::clone(&self.generation);
        Self { rows, has_more: false, state, generation, ..*self }
    }

    /// The name under which the generation is stored that was read.
    pub(crate) fn stored_name(&self) -> &ViewName {
        &self.generation.view
    }

    /// The first parked key of the snapshot, with its first event that is not in the row.
    pub(super) fn parked_key(&self) -> Option<(&str, Position)> {
        self.rows.iter().find_map(|(key, row)| Some((key.as_str(), row.parked_since?)))
    }

    pub(super) fn rows_by_key(&self) -> HashMap<&str, &StoredRow> {
        self.rows.iter().map(|(key, row)| (key.as_str(), row)).collect()
    }
}

impl ViewSource {
    pub(super) fn new<V: View>(
        highwater: &Highwater,
        definition: Arc<ReaderDefinition>,
    ) -> Result<Self> {
        let view = ViewName::new(V::NAME)?;
        Ok(Self { highwater: highwater.clone(), view, keyed_by: V::KEYED_BY, definition })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.highwater.clock().now()
    }

    /// Reads a snapshot. A view in another store than the log is read without the log, which may be unreachable.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), also if the store does not answer in time: other
    /// readers may wait for this snapshot.
    pub(crate) async fn read(&self, scope: &RowScope) -> Result<ViewSnapshot> {
        // Not the clock of the port: this time decides nothing but the end of the read.
        timeout(STORE_TIMEOUT, self.read_store(scope)).await.unwrap_or_else(|elapsed| {
            Err(Unavailable::unreachable("reading a view", Source::new(elapsed)).into())
        })
    }

    /// Reads the generation of this program. If that has another definition, or is gone, the program's own one is
    /// found again.
    async fn read_store(&self, scope: &RowScope) -> Result<ViewSnapshot> {
        let known = self.definition.generation();
        let refused = match self.read_generation(&known, scope).await {
            Err(error) if NOT_OWN.contains(&error.code()) => error,
            Ok(snapshot) if self.may_be_another(&snapshot) => {
                let best = self.definition.own_generations(&**self.highwater.views()).await?;
                let Some(best) = best.into_iter().next().filter(|best| *best != *known) else {
                    return Ok(snapshot);
                };
                match self.read_generation(&Arc::new(best), scope).await {
                    Err(error) if NOT_OWN.contains(&error.code()) => return Ok(snapshot),
                    read => {
                        if let Ok(read) = &read {
                            self.definition.found(&read.generation);
                        }
                        return read;
                    }
                }
            }
            read => return read,
        };
        let others = self.definition.own_generations(&**self.highwater.views()).await?;
        for other in others.into_iter().filter(|other| *other != *known) {
            let other = Arc::new(other);
            match self.read_generation(&other, scope).await {
                Err(error) if NOT_OWN.contains(&error.code()) => {}
                read => {
                    self.definition.found(&other);
                    return read;
                }
            }
        }
        match self.definition.first_generation() {
            first if first != known => {
                self.definition.found(&first);
                self.read_generation(&first, scope).await
            }
            _ => Err(refused),
        }
    }

    /// Returns true if it is time to look for a generation that suits better than this one: these rows are only shared with
    /// another program, or not complete.
    fn may_be_another(&self, snapshot: &ViewSnapshot) -> bool {
        let complete_at = snapshot.generation.complete_at;
        let is_settled = self.definition.is_own(&snapshot.state)
            && (complete_at == Position::START || snapshot.state.least().position >= complete_at);
        !is_settled && self.definition.is_time_to_look()
    }

    async fn read_generation(
        &self,
        generation: &Arc<OwnGeneration>,
        scope: &RowScope,
    ) -> Result<ViewSnapshot> {
        let views = self.highwater.views();
        let view = &generation.view;
        let read_at = self.now();
        let (rows, has_more, state, head) = match scope {
            RowScope::Range(range, limit) => {
                let range = views.read_range(view, range, *limit).await?;
                let StoredRange { rows, more, state, head } = range;
                (rows, more, state, head)
            }
            RowScope::Keys(_) | RowScope::AllShards => {
                let keys = scope.keys();
                let StoredView { rows, state, head } = views.read_view(view, keys).await?;
                (keys.iter().cloned().zip(rows).collect(), false, state, head)
            }
        };
        let stores = CheckedStores { views: &**views, log: &**self.highwater.log() };
        let has_unknown_types = self.definition.check(view, &state, stores).await?;
        // The head of another log means nothing here.
        let head = head.filter(|_| self.highwater.has_views_with_the_log());
        Ok(ViewSnapshot {
            rows: Arc::new(rows),
            has_more,
            state: Arc::new(state),
            has_unknown_types,
            generation: Arc::clone(generation),
            head,
            read_at,
        })
    }

    /// Reads a snapshot with the head, which is read at the same time if the log is in another store.
    ///
    /// # Errors
    /// [`Corrupt::AheadOfLog`] if the view has events that the log doesn't have, and those of the stores.
    pub(super) async fn read_with_head(&self, scope: &RowScope) -> Result<ViewSnapshot> {
        if self.highwater.has_views_with_the_log() {
            return self.read(scope).await;
        }
        let log = self.highwater.log();
        let (snapshot, head) = join(self.read(scope), log.head()).await;
        let snapshot = snapshot?;
        let mut head = head?;
        let position = snapshot.state.shards.iter().map(|shard| shard.position).max();
        let position = position.unwrap_or_default();
        if position > head {
            // The head may have been read before the events were appended.
            head = log.head().await?;
        }
        if position > head {
            return Err(Corrupt::AheadOfLog { view: self.view.to_string(), position, head }.into());
        }
        Ok(ViewSnapshot { head: Some(head), ..snapshot })
    }

    /// The freshness of a snapshot for some rows.
    pub(super) fn freshness(&self, snapshot: &ViewSnapshot, scope: &RowScope) -> Freshness {
        let progress = scope.progress(&snapshot.state, self.keyed_by);
        let parked = snapshot.rows.iter().filter_map(|(_, row)| row.parked_since).min();
        let stop = scope.stop(&snapshot.state, self.keyed_by);
        Freshness::new(progress.position, progress.as_of, snapshot.read_at, snapshot.head)
            .with_log(self.highwater.log().log_id())
            .with_parked(parked)
            .with_stopped(stop.map(|stop| stop.at))
            .with_complete_at(snapshot.generation.complete_at)
    }
}
