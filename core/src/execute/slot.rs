//! Cached states.
//!
//! A slot holds the state of one stream as this process believes it to be, *including* events that
//! it has sent to the store but that are not committed yet. The next command on the stream decides
//! on that state at once, and both appends travel in one transaction. What keeps this honest is the
//! expectation [`Expected::Head`](crate::value::Expected::Head): an append goes through only if the stream ends with the very
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

/// A state that is committed, or will be once the append that it rests on is.
#[derive(Clone)]
pub(super) struct Committed {
    pub(super) state: AnyState,
    pub(super) version: Version,
    pub(super) head: Option<EventId>,
    /// The version of the last snapshot, and the bytes of payload since.
    pub(super) snapshot: Version,
    pub(super) bytes_since: u64,
}

pub(super) struct Slot {
    pub(super) state: AnyState,
    pub(super) version: Version,
    pub(super) head: Option<EventId>,
    /// The position of the last event that is known to be committed.
    pub(super) position: Position,
    /// The append that the state rests on, if it isn't known to be committed.
    pub(super) pending: Option<Pending>,
    /// The last state that is known to be committed: from here a slot that went wrong is read on.
    pub(super) committed: Committed,
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

/// The streams of several types share one cache: its capacity bounds them all. What wrong slots leave
/// is bounded by the same number once more.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SlotKey {
    pub(super) stream: StreamId,
    pub(super) aggregate: TypeId,
}

pub(super) struct Slots {
    slots: Cache<SlotKey, SharedSlot>,
    /// What slots that turned out to be wrong leave to those who load them again.
    leftovers: Cache<SlotKey, Committed>,
}

impl Slots {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Cache::new(capacity), leftovers: Cache::new(capacity) }
    }

    /// The cached slot, or what `load` gives, which may begin with an older state; concurrent loads
    /// of one stream are one load.
    pub(super) async fn get_or_load<L>(
        &self,
        key: &SlotKey,
        load: impl FnOnce(Option<Committed>) -> L,
    ) -> Result<SharedSlot>
    where
        L: Future<Output = Result<Slot>>,
    {
        if let Some(slot) = self.slots.get(key) {
            return Ok(slot);
        }
        let load = async {
            let base = self.leftovers.remove(key).map(|(_, base)| base);
            load(base).await.map(SharedSlot::new)
        };
        self.slots.get_or_insert_async(key, load).await
    }

    /// Forgets a slot that turned out to be wrong, unless a fresh one has taken its place.
    pub(super) fn discard(&self, key: &SlotKey, slot: &SharedSlot) {
        let mut locked = slot.lock();
        if !std::mem::replace(&mut locked.stale, true) {
            // Before the slot is removed: whoever loads it next is to find what it leaves.
            self.leftovers.insert(key.clone(), locked.committed.clone());
        }
        drop(locked);
        self.slots.remove_if(key, |cached| cached.is(slot));
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
