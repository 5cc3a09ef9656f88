//! A decision over a query (W6).

use std::{
    any::type_name,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    boundary_query::BoundaryQuery,
    decision::{decide, fingerprint_of},
    engine::Engine,
    loaded::Loaded,
    participant::{CommandContext, Decided, Expectation, Participant},
    state_cache::{AnyState, StateKey},
};
use crate::{
    Result,
    domain::{Boundary, DecidedBy, Fingerprinter},
    error::{Conflict, Corrupt, Panicked},
    follow::{apply, fold_events},
    port::{Condition, Ids, Snapshot},
    value::{Expected, Position, StreamId, Version},
};

/// A command on a boundary. Its events are appended only if no further matching event has been
/// appended.
pub(super) struct BoundaryCommand<B: Boundary, C> {
    key: StateKey,
    query: BoundaryQuery,
    /// The boundary before any event.
    initial: B,
    command: C,
    services: Arc<B::Services>,
    /// The state of the last attempt. The next attempt continues reading from it.
    folded: Mutex<Folded<B>>,
}

/// A boundary with the events that match its query.
struct Folded<B> {
    /// The state. Its head is the last matching event, its position that up to which the log was read.
    loaded: Loaded<Arc<B>>,
    /// The position of the last matching event.
    last_match: Position,
}

impl<B: Clone> Folded<B> {
    fn initial(boundary: &B) -> Self {
        let loaded = Loaded::initial(Arc::new(boundary.clone()));
        Self { loaded, last_match: Position::START }
    }
}

impl<B> Clone for Folded<B> {
    fn clone(&self) -> Self {
        Self { loaded: self.loaded.clone(), last_match: self.last_match }
    }
}

impl<B: Boundary, C> BoundaryCommand<B, C> {
    pub(super) fn new(
        stream: StreamId,
        boundary: B,
        command: C,
        services: Arc<B::Services>,
    ) -> Result<Self> {
        let key = StateKey::of::<B>(stream);
        let query = BoundaryQuery::of(&boundary)?;
        let folded = Mutex::new(Folded::initial(&boundary));
        Ok(Self { key, query, initial: boundary, command, services, folded })
    }

    fn folded(&self) -> MutexGuard<'_, Folded<B>> {
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Folds every event that matches a boundary's query.
pub(super) async fn load<B: Boundary>(engine: &Engine, boundary: B) -> Result<B> {
    let query = BoundaryQuery::of(&boundary)?;
    let folded = read_on(engine, &query, &boundary, Folded::initial(&boundary)).await?;
    Ok(Arc::unwrap_or_clone(folded.loaded.state))
}

/// Returns the stream that a boundary's events are appended to.
pub(super) fn stream_of<B: Boundary>(boundary: &B) -> Result<StreamId> {
    Panicked::guard(|| format!("stream of boundary {}", type_name::<B>()), || boundary.stream())?
}

/// Continues reading from an earlier state, or from the beginning if the log doesn't have that state's
/// last event: after a fail-over that lost events, it is of another history.
async fn read_on<B: Boundary>(
    engine: &Engine,
    query: &BoundaryQuery,
    initial: &B,
    earlier: Folded<B>,
) -> Result<Folded<B>> {
    if let Some(folded) = fold(engine, query, earlier).await? {
        return Ok(folded);
    }
    let all = fold(engine, query, Folded::initial(initial)).await?;
    all.ok_or_else(|| Corrupt::Log("a boundary has no beginning".to_owned()).into())
}

/// Folds the matching events after those of this state. The last of those is read again and compared:
/// the result is `None` if the log doesn't have it.
async fn fold<B: Boundary>(
    engine: &Engine,
    query: &BoundaryQuery,
    mut folded: Folded<B>,
) -> Result<Option<Folded<B>>> {
    let mut after = Position::new(folded.last_match.get().saturating_sub(1));
    let mut expected = folded.loaded.head;
    loop {
        let page = query.page::<B::Event>(engine, after).await?;
        let mut events = &page.events[..];
        if let Some(head) = expected.take() {
            match events.split_first() {
                Some((first, rest)) if first.id == head => events = rest,
                _ => return Ok(None),
            }
        }
        if let Some(last) = events.last() {
            let state = Arc::make_mut(&mut folded.loaded.state);
            fold_events(events, |event| apply(state, event, engine.unknown_events))?;
            folded.loaded.head = Some(last.id);
            folded.last_match = last.position;
        }
        after = page.through;
        if !page.more {
            folded.loaded.position = after;
            return Ok(Some(folded));
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
    async fn load(&self, engine: &Engine, _: Option<Loaded<AnyState>>) -> Result<Loaded<AnyState>> {
        let earlier = self.folded().clone();
        let folded = read_on(engine, &self.query, &self.initial, earlier).await?;
        *self.folded() = folded.clone();
        Ok(folded.loaded.map(|state| state as AnyState))
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
        let BoundaryQuery { query, given, .. } = &self.query;
        let condition =
            Condition { query: query.clone(), lacking: given.clone(), after: state.position };
        Expectation { stream: Expected::Any, condition: Some(condition) }
    }

    async fn tolerates(&self, _: &Engine, _: &Conflict) -> Result<bool> {
        Ok(false)
    }

    fn due_snapshot(&self, _: &Loaded<AnyState>, _: Version, _: u64) -> Result<Option<Snapshot>> {
        Ok(None)
    }
}
