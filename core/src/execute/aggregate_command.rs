//! A command on one aggregate.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    decision::{decide, fingerprint_of, typed},
    engine::Engine,
    load::{load, resume},
    loaded::{AsOf, Loaded},
    participant::{CommandContext, Decided, Expectation, Participant},
    policy::SharedResolver,
    snapshot,
    state_cache::{AnyState, StateKey},
};
use crate::{
    Result,
    domain::{Aggregate, DecidedBy, Envelope, Fingerprinter},
    error::{Conflict, Panicked},
    port::{Ids, ReadFrom, Snapshot},
    value::{Expected, Position, StreamId, Version},
};

/// The number of events per read for a resolver.
const READ_PAGE_SIZE: usize = 1000;

/// A command on one aggregate, whose state is cached.
pub(super) struct AggregateCommand<A: Aggregate, C> {
    key: StateKey,
    command: C,
    services: Arc<A::Services>,
    resolver: Option<SharedResolver<A>>,
    /// The events of the last decision, kept for the resolver.
    intended: Option<Vec<A::Event>>,
}

impl<A: Aggregate, C> AggregateCommand<A, C> {
    pub(super) fn new(
        stream: StreamId,
        command: C,
        services: Arc<A::Services>,
        resolver: Option<SharedResolver<A>>,
    ) -> Self {
        Self { key: StateKey::of::<A>(stream), command, services, resolver, intended: None }
    }
}

#[async_trait]
impl<A, C> Participant for AggregateCommand<A, C>
where
    A: Aggregate,
    C: DecidedBy<A>,
{
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn key(&self) -> &StateKey {
        &self.key
    }

    fn is_cached(&self) -> bool {
        true
    }

    fn fingerprint(&self, so_far: Fingerprinter) -> Result<Fingerprinter> {
        fingerprint_of(&self.key.stream, &self.command, so_far)
    }

    async fn load(
        &self,
        engine: &Engine,
        base: Option<Loaded<AnyState>>,
    ) -> Result<Loaded<AnyState>> {
        let resumed = match base {
            Some(base) => {
                let state = typed::<A>(&base.state)?.clone();
                let base = Loaded { position: Position::START, ..base.map(|_| state) };
                resume(&*engine.log, &self.key.stream, base, engine.unknown_events).await?
            }
            None => None,
        };
        let loaded = match resumed {
            Some(loaded) => loaded,
            None => load::<A>(engine, &self.key.stream, AsOf::Now).await?,
        };
        Ok(loaded.map(|state| Arc::new(state) as AnyState))
    }

    fn decide(
        &mut self,
        state: &AnyState,
        context: &CommandContext,
        ids: &dyn Ids,
    ) -> Result<Decided> {
        self.intended = None;
        let stream = &self.key.stream;
        let (events, decided) =
            decide::<A, C>(state, &self.command, &self.services, stream, context, ids)?;
        self.intended = self.resolver.is_some().then_some(events);
        Ok(decided)
    }

    fn expectation(&self, state: &Loaded<AnyState>) -> Expectation {
        let stream =
            state.head.map_or(Expected::NoStream, |head| Expected::Head(state.version, head));
        Expectation { stream, condition: None }
    }

    async fn tolerates(&self, engine: &Engine, conflict: &Conflict) -> Result<bool> {
        let Conflict::Stream { stream, expected, .. } = conflict else { return Ok(false) };
        let (Some(resolver), Some(intended)) = (&self.resolver, &self.intended) else {
            return Ok(false);
        };
        let Some(concurrent) = concurrent_events(engine, stream, *expected).await? else {
            return Ok(false);
        };
        let place = || format!("resolver of command {} on {stream}", C::NAME);
        Panicked::guard(place, || {
            let mut others = Vec::with_capacity(concurrent.len());
            for event in &concurrent {
                event.decode_into::<A::Event>(&mut |event| others.push(event))?;
            }
            Ok(resolver.are_compatible(intended, &others))
        })?
    }

    fn due_snapshot(
        &self,
        committed: &Loaded<AnyState>,
        last: Version,
        bytes_since: u64,
    ) -> Result<Option<Snapshot>> {
        snapshot::encode_if_due::<A>(&self.key.stream, committed, last, bytes_since)
    }
}

/// Reads the events that came after the expected state. Returns `None` if the stream doesn't have that
/// state, because a fail-over has lost events.
async fn concurrent_events(
    engine: &Engine,
    stream: &StreamId,
    expected: Expected,
) -> Result<Option<Vec<Envelope>>> {
    let version = match expected {
        Expected::Version(version) | Expected::Head(version, _) => version,
        Expected::Any | Expected::NoStream | Expected::StreamExists => Version::NONE,
    };
    if version == Version::NONE {
        return events_after(engine, stream, version).await.map(Some);
    }
    let before = Version::new(version.get() - 1);
    let mut events = events_after(engine, stream, before).await?.into_iter();
    let is_expected = |last: &Envelope| match expected {
        Expected::Head(_, head) => last.id == head,
        _ => true,
    };
    Ok(events.next().filter(is_expected).map(|_| events.collect()))
}

async fn events_after(engine: &Engine, stream: &StreamId, after: Version) -> Result<Vec<Envelope>> {
    let mut events = Vec::new();
    let mut next = Some(ReadFrom::After(after));
    while let Some(from) = next {
        let page = engine.log.read_stream(stream, from, READ_PAGE_SIZE).await?;
        events.extend(page.events);
        next = page.next;
    }
    Ok(events)
}
