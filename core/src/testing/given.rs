//! *Given* these events, *when* this command comes.

#![expect(clippy::panic, reason = "a test says what is wrong by panicking")]

use std::{any::Any, sync::Arc};

use jiff::Timestamp;

use super::Then;
use crate::{
    Error,
    domain::{
        Aggregate, Boundary, Context, DecidedBy, Decider, Event, Metadata, Query, StorableEvent,
        decide_and_check,
    },
    value::{CommandId, StreamId},
};

/// The state after some events, and the circumstances of the next command.
#[must_use = "say what happens: `.when(command)`"]
pub struct Given<D: Decider> {
    state: D,
    services: Option<Arc<D::Services>>,
    now: Timestamp,
    metadata: Metadata,
}

impl<D: Decider> std::fmt::Debug for Given<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Starts with an aggregate to which these events have happened, in this order.
///
/// # Panics
/// If an event can't be stored, because it would not be read back.
#[track_caller]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given::new(A::default()).after(events)
}

/// Starts with an aggregate to which nothing has happened yet.
pub fn given_nothing<A: Aggregate>() -> Given<A> {
    Given::new(A::default())
}

/// Starts with a decision over a query (W6), after these events. Events that its query does not
/// select by type and tags are not seen, as in production; categories don't matter, since the
/// events have no stream here.
///
/// # Panics
/// If an event can't be stored, because it would not be read back.
#[track_caller]
pub fn given_boundary<B: Boundary>(
    boundary: B,
    events: impl IntoIterator<Item = B::Event>,
) -> Given<B> {
    let mut query = boundary.query().narrowed_to::<B::Event>();
    query.items.iter_mut().for_each(|item| item.categories.clear());
    Given::new(boundary).after(events.into_iter().filter(|event| is_asked_for(&query, event)))
}

impl<D: Decider> Given<D> {
    fn new(state: D) -> Self {
        // Decisions whose services are `()` need none to be set.
        let nothing: Box<dyn Any> = Box::new(Arc::new(()));
        let services = nothing.downcast().ok().map(|services| *services);
        Self { state, services, now: Timestamp::UNIX_EPOCH, metadata: Metadata::default() }
    }

    #[track_caller]
    fn after(mut self, events: impl IntoIterator<Item = D::Event>) -> Self {
        for event in events {
            for stored in stored(&event) {
                self.state.apply(&stored);
            }
        }
        self
    }

    /// Sets the services of the decision.
    pub fn with_services(mut self, services: D::Services) -> Self {
        self.services = Some(Arc::new(services));
        self
    }

    /// Sets the time of the decision; the Unix epoch unless set.
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// Sets the circumstances of the command; none unless set.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Decides on the command, and checks the invariants on the state that it would lead to.
    ///
    /// # Panics
    /// If the decision needs services and none were set, or if a decided event can't be stored, because
    /// it would not be read back.
    #[track_caller]
    #[must_use = "say what follows: `.then([…])`, `.then_rejected_by(\"…\")`"]
    #[expect(clippy::needless_pass_by_value, reason = "reads like a sentence without a `&`")]
    pub fn when<C: DecidedBy<D>>(self, command: C) -> Then<D> {
        let Some(services) = self.services else {
            panic!("a decision on {} needs services: `.with_services(…)` gives them", C::NAME);
        };
        let context = Context {
            command: CommandId::derive(["given", "when", "then"]),
            now: self.now,
            metadata: self.metadata,
            services,
        };
        let outcome = match decide_and_check(&self.state, &command, &context) {
            Ok(decision) => Ok((decision.events, decision.next)),
            Err(Error::Rejected(rejection)) => Err(*rejection),
            Err(error) => panic!("{error}"),
        };
        Then::new(C::NAME, self.state, outcome)
    }
}

/// Encodes an event and decodes it again.
#[track_caller]
fn stored<E: Event>(event: &E) -> Vec<E> {
    let mut events = Vec::with_capacity(1);
    if let Err(error) = StorableEvent::new(event, &mut |event| events.push(event)) {
        panic!("{error}");
    }
    events
}

fn is_asked_for<E: Event>(query: &Query, event: &E) -> bool {
    let anywhere = StreamId::new("given", "events");
    anywhere.is_ok_and(|stream| query.matches(&stream, event.event_type().name, &event.tags()))
}
