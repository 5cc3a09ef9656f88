//! Predictable ids.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::{Builder, Uuid};

use crate::{
    port::Ids,
    value::{CommandId, EventId},
};

/// Ids that count up: the same seed gives the same ids in the same order, and another seed gives
/// others. They have the form of a UUIDv7 and sort in the order in which they were created.
///
/// ```
/// use highwater_core::{port::Ids, testing::SequentialIds};
///
/// let (ids, same) = (SequentialIds::from_seed(7), SequentialIds::from_seed(7));
/// assert_eq!(ids.event_id(), same.event_id());
/// assert!(ids.event_id() < ids.event_id());
/// ```
#[derive(Debug, Default)]
pub struct SequentialIds {
    seed: u64,
    given: AtomicU64,
}

impl SequentialIds {
    /// Creates the ids of this seed, from the first.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self { seed, given: AtomicU64::new(0) }
    }

    /// Creates the next id: the count is in place of the time of a UUIDv7, and the seed in place of
    /// its random bits, outside the bits of the version and the variant.
    fn next(&self) -> Uuid {
        let count = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let [first, rest @ ..] = self.seed.to_be_bytes();
        let mut random = [0; 10];
        random[1] = first;
        random[3..].copy_from_slice(&rest);
        Builder::from_unix_timestamp_millis(count, &random).into_uuid()
    }
}

impl Ids for SequentialIds {
    fn event_id(&self) -> EventId {
        EventId::from_uuid(self.next())
    }

    fn command_id(&self) -> CommandId {
        CommandId::from_uuid(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_ids_are_uuids_of_version_7_in_order_and_repeatable() {
        let (ids, same) = (SequentialIds::from_seed(u64::MAX), SequentialIds::from_seed(u64::MAX));
        let (first, second) = (ids.event_id(), ids.event_id());
        assert!(first < second);
        assert_eq!(first.as_uuid().get_version_num(), 7);
        assert_eq!((first, second), (same.event_id(), same.event_id()));
        assert_eq!(ids.command_id(), same.command_id());
    }

    #[test]
    fn every_bit_of_a_seed_counts() {
        let first = |seed| SequentialIds::from_seed(seed).event_id();
        let mut ids: Vec<_> = (0..64).map(|bit| first(1 << bit)).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 64);
    }
}
