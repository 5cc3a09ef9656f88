//! Running application code for a decision, and encoding its events.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;

use super::{
    participant::{CommandContext, Decided},
    state_cache::AnyState,
};
use crate::{
    Error, Result,
    domain::{
        Command, DecidedBy, Decider, Fingerprinter, Metadata, StorableEvent, StoredDecision,
        decide_and_check,
    },
    error::{Corrupt, Invalid, Panicked, Source},
    port::{Ids, NewEvent},
    value::StreamId,
};

/// Decides on a command, encodes the events, and checks the invariants. Returns the typed events, too, as they will be
/// read.
///
/// # Errors
/// A rejection, an event that would not be read back, or [`Panicked`].
pub(super) fn decide<D, C>(
    state: &AnyState,
    command: &C,
    services: &Arc<D::Services>,
    stream: &StreamId,
    context: &CommandContext,
    ids: &dyn Ids,
) -> Result<(Vec<D::Event>, Decided)>
where
    D: Decider,
    C: DecidedBy<D>,
{
    let state = typed::<D>(state)?;
    let place = || format!("decision of command {} on {stream}", C::NAME);
    Panicked::guard(place, || {
        let context = context.with_services(services);
        let StoredDecision { encoded, events, next } = decide_and_check(state, command, &context)?;
        let encoded = encoded.into_iter().map(|event| with_id(event, ids)).collect();
        Ok((events, Decided { events: encoded, next: Arc::new(next) }))
    })?
}

/// Returns a state with its type.
pub(super) fn typed<D: Decider>(state: &AnyState) -> Result<&D> {
    let wrong_type = || Corrupt::Log("a cached state has another aggregate's type".to_owned());
    state.downcast_ref::<D>().ok_or_else(|| wrong_type().into())
}

/// Adds a stream and a command's name and fields to a fingerprint.
pub(super) fn fingerprint_of<C: Command>(
    stream: &StreamId,
    command: &C,
    so_far: Fingerprinter,
) -> Result<Fingerprinter> {
    let mut fields = Vec::with_capacity(128);
    let place = || format!("encoding of command {} on {stream}", C::NAME);
    Panicked::guard(place, || command.encode(&mut fields))?
        .map_err(|error| unencodable(format_args!("command {}", C::NAME), error))?;
    Ok(so_far.with(stream.as_str()).with(C::NAME).with(fields))
}

fn with_id(event: StorableEvent, ids: &dyn Ids) -> NewEvent {
    let StorableEvent { event_type, tags, payload } = event;
    NewEvent { id: ids.event_id(), event_type, tags, payload: payload.into() }
}

/// Encodes metadata; `None` if it is empty, because then nothing is stored.
pub(super) fn encode_metadata(metadata: &Metadata) -> Result<Option<Bytes>> {
    if metadata.is_empty() {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(metadata).map_err(|error| unencodable("metadata", error))?;
    Ok(Some(bytes.into()))
}

pub(super) fn unencodable(what: impl Display, error: serde_json::Error) -> Error {
    Invalid::unstorable(what, &error).caused_by(Source::new(error)).into()
}
