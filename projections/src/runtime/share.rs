//! Which keys belong to a shard.

use highwater_core::{
    domain::KeyedBy,
    port::{Progress, ViewState},
    value::{ShardBy, ShardId, Sharding},
};

/// A shard's share of the keys of a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) layout: Sharding,
    pub(crate) shard: ShardId,
    pub(crate) keyed: KeyedBy,
}

impl Share {
    pub(crate) fn owns_key(&self, key: &str) -> bool {
        shard_of(self.layout, self.keyed, key) == self.shard
    }
}

/// How far the row of a key is. If the view is divided in a way that this program's declaration of it
/// doesn't fit, nobody here knows whose the key is: then as far as all of the view is.
pub(crate) fn progress_of(state: &ViewState, keyed: KeyedBy, key: &str) -> Progress {
    let fits = is_fitting(state.sharding, keyed);
    let shard = shard_of(state.sharding, keyed, key).get() as usize;
    state.shards.get(shard).filter(|_| fits).cloned().unwrap_or_else(|| state.least())
}

/// Whether it is known to which shard a key belongs.
pub(crate) fn is_fitting(layout: Sharding, keyed: KeyedBy) -> bool {
    layout.by == ShardBy::Key || matches!(keyed, KeyedBy::Stream(_))
}

/// The shard on whose progress the row of a key depends.
pub(crate) fn shard_of(layout: Sharding, keyed: KeyedBy, key: &str) -> ShardId {
    match (layout.by, keyed) {
        (ShardBy::Stream, KeyedBy::Stream(category)) if layout.shards > 1 => {
            layout.shard_of(&format!("{category}-{key}"))
        }
        _ => layout.shard_of(key),
    }
}
