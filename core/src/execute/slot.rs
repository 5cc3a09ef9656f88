//! Cached states.
//!
//! A slot holds the state of one stream as this process believes it to be, *including* events that
//! it has sent to the store but that are not committed yet. The next command on the stream decides
//! on that state at once, and both appends travel in one transaction. What keeps this honest is the
//! expectation [`Expected::Head`](crate::port::Expected::Head): an append goes through only if the stream ends with the very
//! event that the decision saw, so a decision on events that never came to be can't be stored. A
//! rejection is not stored anywhere, so it waits until what it was decided on is committed.

use std::{
    any::{Any, TypeId},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use quick_cache::sync::Cache;

use crate::{
    Result,
    port::Appended,
    value::{EventId, Position, StreamId, Version},
};

/// The state of an aggregate, its type known only to the member that made it.
pub(super) type AnyState = Arc<dyn Any + Send + Sync>;

/// An append that is under way; everyone who depends on it can wait for it.
pub(super) type Pending = Shared<BoxFuture<'static, Result<Appended>>>;

pub(super) struct Slot {
    pub(super) state: AnyState,
    pub(super) version: Version,
    pub(super) head: Option<EventId>,
    /// The position of the last event that is known to be committed.
    pub(super) position: Position,
    /// The append that the state rests on, if it isn't known to be committed.
    pub(super) pending: Option<Pending>,
    /// The version of the last snapshot, and the bytes of payload since.
    pub(super) snapshot: Version,
    pub(super) bytes_since: u64,
    /// Set when the state turned out to be wrong; whoever still holds the slot loads again.
    pub(super) stale: bool,
}

/// A slot that tasks share.
#[derive(Clone)]
pub(super) struct SharedSlot(Arc<Mutex<Slot>>);

impl SharedSlot {
    pub(super) fn new(slot: Slot) -> Self {
        Self(Arc::new(Mutex::new(slot)))
    }

    /// A panic in a decision leaves the slot as it was before, so a poisoned lock is fine.
    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The streams of several types share one cache: its capacity bounds them all.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SlotKey {
    pub(super) stream: StreamId,
    pub(super) aggregate: TypeId,
}

pub(super) struct Slots(Cache<SlotKey, SharedSlot>);

impl Slots {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// The cached slot, or what `load` gives; concurrent loads of one stream are one load.
    pub(super) async fn get_or_load(
        &self,
        key: &SlotKey,
        load: impl Future<Output = Result<Slot>>,
    ) -> Result<SharedSlot> {
        if let Some(slot) = self.0.get(key) {
            return Ok(slot);
        }
        self.0.get_or_insert_async(key, async { load.await.map(SharedSlot::new) }).await
    }

    /// Forgets a slot that turned out to be wrong, unless a fresh one has taken its place.
    pub(super) fn discard(&self, key: &SlotKey, slot: &SharedSlot) {
        slot.lock().stale = true;
        self.0.remove_if(key, |cached| cached.is(slot));
    }
}

/// Whether the append that a decision rests on has been committed as it was decided.
pub(super) async fn is_committed(pending: Option<Pending>) -> bool {
    match pending {
        None => true,
        Some(pending) => matches!(pending.await, Ok(appended) if !appended.repeated),
    }
}

pub(super) fn share(future: BoxFuture<'static, Result<Appended>>) -> Pending {
    future.shared()
}
