//! The keys that belong to a shard.

use highwater_core::{
    domain::KeyedBy,
    port::{Progress, ShardStop, ViewState, parked_as},
    value::{ShardBy, ShardId, Sharding},
};

/// The scope of a shard: the keys of a view that belong to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardScope {
    pub(crate) sharding: Sharding,
    pub(crate) shard: ShardId,
    pub(crate) keyed: KeyedBy,
}

impl ShardScope {
    pub(crate) fn owns_key(&self, key: &str) -> bool {
        shard_of(self.sharding, self.keyed, key) == self.shard
    }
}

/// Returns the progress of a key's row. If the view is sharded in a way that doesn't fit this program's
/// declaration of it, the shard of the key is unknown here: the progress of the whole view is returned.
pub(crate) fn progress_of(state: &ViewState, keyed: KeyedBy, key: &str) -> Progress {
    let is_known = is_key_sharding_known(state.sharding, keyed);
    let shard = shard_of(state.sharding, keyed, key).get() as usize;
    state.shards.get(shard).filter(|_| is_known).cloned().unwrap_or_else(|| state.least())
}

/// Returns the stop of the shard on which the row of a key depends, or of any shard if that one is unknown here.
pub(crate) fn stop_of<'a>(
    state: &'a ViewState,
    keyed: KeyedBy,
    key: &str,
) -> Option<&'a ShardStop> {
    let is_known = is_key_sharding_known(state.sharding, keyed);
    let shard = shard_of(state.sharding, keyed, key);
    state.stops.iter().find(|stop| !is_known || stop.shard == shard)
}

/// Returns true if the shard of a key can be computed.
pub(crate) fn is_key_sharding_known(sharding: Sharding, keyed: KeyedBy) -> bool {
    sharding.by == ShardBy::Key || matches!(keyed, KeyedBy::Stream(_))
}

/// Returns the shard on whose progress the row of a key depends. A key that no store can hold has no row; it
/// belongs to the shard of the key under which it is parked, which is all that is stored of it.
pub(crate) fn shard_of(sharding: Sharding, keyed: KeyedBy, key: &str) -> ShardId {
    match (sharding.by, keyed) {
        (ShardBy::Stream, KeyedBy::Stream(category)) if sharding.shards > 1 => {
            sharding.shard_of(&format!("{category}-{key}"))
        }
        _ => sharding.shard_of(&parked_as(key)),
    }
}
