//! A decision over a query (W6).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    boundary_query::BoundaryQuery,
    decision::{decide, fingerprint_of},
    engine::Engine,
    loaded::Loaded,
    participant::{CommandContext, Decided, Expectation, Participant},
    state_cache::{AnyState, CachedState, StateKey},
};
use crate::{
    Result,
    domain::{Boundary, DecidedBy, Fingerprinter},
    error::Conflict,
    follow::{apply, fold_events},
    port::{Condition, Ids, Snapshot},
    value::{Expected, StreamId, Version},
};

/// A command on a boundary. Its events are appended only if no further matching event has been
/// appended.
pub(super) struct BoundaryCommand<B: Boundary, C> {
    key: StateKey,
    query: BoundaryQuery,
    command: C,
    services: Arc<B::Services>,
    /// The state of the last attempt. The next attempt continues reading from it.
    folded: Mutex<Loaded<Arc<B>>>,
}

impl<B: Boundary, C> BoundaryCommand<B, C> {
    pub(super) fn new(
        stream: StreamId,
        boundary: B,
        command: C,
        services: Arc<B::Services>,
    ) -> Self {
        let key = StateKey::of::<B>(stream);
        let query = BoundaryQuery::of(&boundary);
        let folded = Mutex::new(Loaded::initial(Arc::new(boundary)));
        Self { key, query, command, services, folded }
    }

    fn folded(&self) -> MutexGuard<'_, Loaded<Arc<B>>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Folds every event that matches a boundary's query.
pub(super) async fn load<B: Boundary>(engine: &Engine, boundary: B) -> Result<B> {
    let query = BoundaryQuery::of(&boundary);
    let mut folded = Loaded::initial(Arc::new(boundary));
    read_on(engine, &query, &mut folded).await?;
    Ok(Arc::unwrap_or_clone(folded.state))
}

/// Folds the matching events after the position of this state.
async fn read_on<B: Boundary>(
    engine: &Engine,
    query: &BoundaryQuery,
    folded: &mut Loaded<Arc<B>>,
) -> Result<()> {
    loop {
        let page = query.page::<B::Event>(engine, folded.position).await?;
        if !page.events.is_empty() {
            let state = Arc::make_mut(&mut folded.state);
            fold_events(&page.events, |event| apply(state, event, engine.unknown_events))?;
        }
        folded.position = page.through;
        if !page.more {
            return Ok(());
        }
    }
}

#[async_trait]
impl<B, C> Participant for BoundaryCommand<B, C>
where
    B: Boundary,
    C: DecidedBy<B>,
{
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn key(&self) -> &StateKey {
        &self.key
    }

    fn is_cached(&self) -> bool {
        false
    }

    fn fingerprint(&self, so_far: Fingerprinter) -> Result<Fingerprinter> {
        fingerprint_of(&self.key.stream, &self.command, so_far)
    }

    /// Continues reading from the state of the last attempt.
    async fn load(&self, engine: &Engine, _: Option<Loaded<AnyState>>) -> Result<CachedState> {
        let mut folded = self.folded().clone();
        read_on(engine, &self.query, &mut folded).await?;
        *self.folded() = folded.clone();
        Ok(CachedState::new(folded.map(|state| state as AnyState)))
    }

    fn decide(
        &mut self,
        state: &AnyState,
        context: &CommandContext,
        ids: &dyn Ids,
    ) -> Result<Decided> {
        let stream = &self.key.stream;
        let (_, decided) =
            decide::<B, C>(state, &self.command, &self.services, stream, context, ids)?;
        Ok(decided)
    }

    fn expectation(&self, state: &Loaded<AnyState>) -> Expectation {
        let condition = Condition { query: self.query.query.clone(), after: state.position };
        Expectation { stream: Expected::Any, condition: Some(condition) }
    }

    async fn tolerates(&self, _: &Engine, _: &Conflict) -> Result<bool> {
        Ok(false)
    }

    fn due_snapshot(&self, _: &Loaded<AnyState>, _: Version, _: u64) -> Result<Option<Snapshot>> {
        Ok(None)
    }
}
