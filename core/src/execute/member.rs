//! One aggregate's part in a command: typed inside, and the same to the engine for every type.

use std::{
    any::{Any, TypeId},
    fmt::Display,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::{
    engine::Engine,
    load::{AsOf, Loaded, load, resume},
    policy::SharedResolver,
    slot::{AnyState, Committed, Slot, SlotKey},
};
use crate::{
    Error, Result,
    domain::{
        Aggregate, Command, Context, DecidedBy, Decider, Envelope, Event, Fingerprinter, Metadata,
        decide_and_check,
    },
    error::{Corrupt, Invalid, Source},
    port::{Ids, NewEvent, Snapshot},
    value::{CommandId, Position, StreamId, Version},
};

/// What a decision gave, its types forgotten.
pub(super) struct Decided {
    pub(super) events: Vec<NewEvent>,
    pub(super) next: AnyState,
    /// The events as the resolver wants to see them.
    pub(super) typed: Box<dyn Any + Send + Sync>,
}

/// What all decisions of one execution share.
pub(super) struct Occasion {
    pub(super) command: CommandId,
    pub(super) now: Timestamp,
    pub(super) metadata: Metadata,
}

impl Occasion {
    pub(super) fn context<S>(&self, services: &Arc<S>) -> Context<S> {
        Context {
            command: self.command,
            now: self.now,
            metadata: self.metadata.clone(),
            services: Arc::clone(services),
        }
    }
}

#[async_trait]
pub(super) trait Member: Send + Sync {
    fn key(&self) -> &SlotKey;

    /// The name of the command.
    fn name(&self) -> &'static str;

    /// Adds target and command to the fingerprint.
    fn fingerprint(&self, so_far: Fingerprinter) -> Result<Fingerprinter>;

    /// The present state, read on from an older one if there is one.
    async fn load(&self, engine: &Engine, base: Option<Committed>) -> Result<Slot>;

    fn decide(&self, state: &AnyState, occasion: &Occasion, ids: &dyn Ids) -> Result<Decided>;

    /// Whether there is somebody to ask after a conflict.
    fn has_resolver(&self) -> bool;

    /// Asks whether the events of others are compatible with what was decided.
    fn are_compatible(
        &self,
        decided: &(dyn Any + Send + Sync),
        concurrent: &[Envelope],
    ) -> Result<bool>;

    /// A snapshot of a committed state, if one is due after the last one and so many bytes.
    fn due_snapshot(
        &self,
        committed: &Committed,
        last: Version,
        bytes_since: u64,
    ) -> Result<Option<Snapshot>>;
}

pub(super) struct On<A: Aggregate, C> {
    key: SlotKey,
    command: C,
    services: Arc<A::Services>,
    resolver: Option<SharedResolver<A>>,
}

impl<A: Aggregate, C> On<A, C> {
    pub(super) fn new(
        stream: StreamId,
        command: C,
        services: Arc<A::Services>,
        resolver: Option<SharedResolver<A>>,
    ) -> Self {
        let key = SlotKey { stream, aggregate: TypeId::of::<A>() };
        Self { key, command, services, resolver }
    }
}

#[async_trait]
impl<A, C> Member for On<A, C>
where
    A: Aggregate,
    C: DecidedBy<A>,
{
    fn key(&self) -> &SlotKey {
        &self.key
    }

    fn name(&self) -> &'static str {
        C::NAME
    }

    fn fingerprint(&self, so_far: Fingerprinter) -> Result<Fingerprinter> {
        fingerprint_of(&self.command, so_far.with(self.key.stream.as_str()))
    }

    async fn load(&self, engine: &Engine, base: Option<Committed>) -> Result<Slot> {
        let stream = &self.key.stream;
        let (log, snapshots) = (&*engine.log, &*engine.snapshots);
        let known = match base {
            Some(base) => resume(log, stream, loaded::<A>(&base)?, engine.unknown).await?,
            None => None,
        };
        let loaded = match known {
            Some(known) => known,
            None => load::<A>(log, snapshots, stream, AsOf::Now, engine.unknown).await?,
        };
        let committed = Committed {
            state: Arc::new(loaded.state),
            version: loaded.version,
            head: loaded.head,
            snapshot: loaded.snapshot,
            bytes_since: loaded.bytes_since,
        };
        Ok(Slot {
            state: Arc::clone(&committed.state),
            version: loaded.version,
            head: loaded.head,
            position: loaded.position,
            pending: None,
            committed,
            snapshot: loaded.snapshot,
            bytes_since: loaded.bytes_since,
            stale: false,
        })
    }

    fn decide(&self, state: &AnyState, occasion: &Occasion, ids: &dyn Ids) -> Result<Decided> {
        let state = typed::<A>(state)?;
        let context = occasion.context(&self.services);
        let (events, next) = decide_and_check(state, &self.command, &context)?;
        Ok(Decided { events: encode(&events, ids)?, next: Arc::new(next), typed: Box::new(events) })
    }

    fn has_resolver(&self) -> bool {
        self.resolver.is_some()
    }

    fn are_compatible(
        &self,
        decided: &(dyn Any + Send + Sync),
        concurrent: &[Envelope],
    ) -> Result<bool> {
        let Some(resolver) = &self.resolver else { return Ok(false) };
        let intended = decided.downcast_ref::<Vec<A::Event>>().map_or(&[][..], Vec::as_slice);
        let mut others = Vec::with_capacity(concurrent.len());
        for event in concurrent {
            event.decode_into::<A::Event>(&mut |event| others.push(event))?;
        }
        Ok(resolver.are_compatible(intended, &others))
    }

    fn due_snapshot(
        &self,
        committed: &Committed,
        last: Version,
        bytes_since: u64,
    ) -> Result<Option<Snapshot>> {
        let (Some(how), Some(head)) = (A::SNAPSHOTS, committed.head) else { return Ok(None) };
        let events_since = committed.version.get().saturating_sub(last.get());
        if !how.is_due(events_since, bytes_since) {
            return Ok(None);
        }
        let state = (how.encode)(typed::<A>(&committed.state)?)
            .map_err(|error| unencodable("the state for a snapshot", error))?;
        Ok(Some(Snapshot {
            stream: self.key.stream.clone(),
            version: committed.version,
            head,
            schema: how.schema,
            state: state.into(),
        }))
    }
}

fn loaded<A: Aggregate>(base: &Committed) -> Result<Loaded<A>> {
    Ok(Loaded {
        state: typed::<A>(&base.state)?.clone(),
        version: base.version,
        head: base.head,
        position: Position::START,
        snapshot: base.snapshot,
        bytes_since: base.bytes_since,
    })
}

fn typed<A: Decider>(state: &AnyState) -> Result<&A> {
    let broken = || Corrupt::Log("a cached state has another aggregate's type".to_owned());
    state.downcast_ref::<A>().ok_or_else(|| broken().into())
}

/// Adds a command's name and fields to a fingerprint.
pub(super) fn fingerprint_of<C: Command>(
    command: &C,
    so_far: Fingerprinter,
) -> Result<Fingerprinter> {
    let mut fields = Vec::with_capacity(128);
    command.encode(&mut fields).map_err(|error| unencodable("the command", error))?;
    Ok(so_far.with(C::NAME).with(fields))
}

/// Encodes events and gives them ids.
pub(super) fn encode<E: Event>(events: &[E], ids: &dyn Ids) -> Result<Vec<NewEvent>> {
    let encode_one = |event: &E| {
        let mut payload = Vec::with_capacity(128);
        event.encode(&mut payload).map_err(|error| unencodable("an event", error))?;
        Ok(NewEvent {
            id: ids.event_id(),
            event_type: event.event_type(),
            tags: event.tags(),
            payload: payload.into(),
        })
    };
    events.iter().map(encode_one).collect()
}

/// Encodes metadata; nothing is stored if there is nothing to say.
pub(super) fn encode_metadata(metadata: &Metadata) -> Result<Option<Bytes>> {
    if metadata.is_empty() {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(metadata).map_err(|error| unencodable("metadata", error))?;
    Ok(Some(bytes.into()))
}

fn unencodable(what: impl Display, error: serde_json::Error) -> Error {
    Invalid::request(format!("{what} can't be encoded")).caused_by(Source::new(error)).into()
}
