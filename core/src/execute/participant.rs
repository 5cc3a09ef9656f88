//! The interface between the command loop and the participants of a command: aggregates and
//! boundaries.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    engine::Engine,
    loaded::Loaded,
    state_cache::{AnyState, StateKey},
};
use crate::{
    Result,
    domain::{Context, Fingerprinter, Metadata},
    error::{Conflict, Invalid},
    port::{Condition, Ids, NewEvent, Snapshot},
    value::{CommandId, Expected, Version},
};

/// One command together with the state that decides on it. Its types are erased, so that one loop
/// runs commands of every type.
#[async_trait]
pub(super) trait Participant: Send + Sync {
    /// The name of the command.
    fn name(&self) -> &'static str;

    /// The stream that gets the events, and the type of the state.
    fn key(&self) -> &StateKey;

    /// Returns true if other commands may use the state, so that it may be behind the store.
    fn is_cached(&self) -> bool;

    /// Adds target and command to the fingerprint.
    fn fingerprint(&self, so_far: Fingerprinter) -> Result<Fingerprinter>;

    /// Reads the current state, starting from an older one if there is one.
    async fn load(
        &self,
        engine: &Engine,
        base: Option<Loaded<AnyState>>,
    ) -> Result<Loaded<AnyState>>;

    /// Decides on a state, and checks the invariants on the state that the events lead to.
    fn decide(
        &mut self,
        state: &AnyState,
        context: &CommandContext,
        ids: &dyn Ids,
    ) -> Result<Decided>;

    /// Returns the conditions that must hold in the store when the events of a decision on this
    /// state are appended.
    fn expectation(&self, state: &Loaded<AnyState>) -> Expectation;

    /// Returns true if the last decision stands in spite of this conflict.
    async fn tolerates(&self, engine: &Engine, conflict: &Conflict) -> Result<bool>;

    /// Returns a snapshot of a committed state if one is due after the last one and so many bytes.
    fn due_snapshot(
        &self,
        committed: &Loaded<AnyState>,
        last: Version,
        bytes_since: u64,
    ) -> Result<Option<Snapshot>>;
}

/// The events of a decision, and the state after them.
pub(super) struct Decided {
    pub(super) events: Vec<NewEvent>,
    pub(super) next: AnyState,
}

/// A condition under which a decision may be stored.
pub(super) struct Expectation {
    /// The state of the stream that gets the events.
    pub(super) stream: Expected,
    /// A condition over the events of other streams.
    pub(super) condition: Option<Condition>,
}

/// The parts of a decision's [`Context`] that stay the same over all attempts at one command.
pub(super) struct CommandContext {
    pub(super) command: CommandId,
    pub(super) now: Timestamp,
    pub(super) metadata: Metadata,
}

impl CommandContext {
    pub(super) fn with_services<S>(&self, services: &Arc<S>) -> Context<S> {
        Context {
            command: self.command,
            now: self.now,
            metadata: self.metadata.clone(),
            services: Arc::clone(services),
        }
    }
}

/// The first participant of each distinct stream, in the order of the stream ids. Locks are always
/// taken in this order.
///
/// # Errors
/// [`Invalid`] if two types share a stream: each would have its own state of it.
pub(super) fn one_per_stream(participants: &[Box<dyn Participant>]) -> Result<Vec<usize>> {
    let key = |index: &usize| participants[*index].key();
    let mut first: Vec<usize> = (0..participants.len()).collect();
    first.sort_by(|a, b| key(a).stream.cmp(&key(b).stream));
    let mut shared = first.windows(2).filter(|pair| key(&pair[0]).stream == key(&pair[1]).stream);
    if let Some(pair) = shared.find(|pair| key(&pair[0]) != key(&pair[1])) {
        let stream = &key(&pair[0]).stream;
        let message = format!("stream {stream} is named by two types of aggregates in one command");
        return Err(Invalid::request(message).into());
    }
    first.dedup_by(|later, earlier| key(later) == key(earlier));
    Ok(first)
}
