//! Which keys belong to a shard.

use highwater_core::{
    port::{Division, Layout, Progress, ShardId, ViewState},
    read::Keyed,
};

/// A shard's share of the keys of a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) layout: Layout,
    pub(crate) shard: ShardId,
    pub(crate) keyed: Keyed,
}

impl Share {
    pub(crate) fn owns_key(&self, key: &str) -> bool {
        shard_of(self.layout, self.keyed, key) == self.shard
    }
}

/// How far the row of a key is. If the view is divided in a way that this program's declaration of it
/// doesn't fit, nobody here knows whose the key is: then as far as all of the view is.
pub(crate) fn progress_of(state: &ViewState, keyed: Keyed, key: &str) -> Progress {
    let fits = is_fitting(state.layout, keyed);
    let shard = shard_of(state.layout, keyed, key).get() as usize;
    state.shards.get(shard).filter(|_| fits).cloned().unwrap_or_else(|| state.least())
}

/// Whether it is known to which shard a key belongs.
pub(crate) fn is_fitting(layout: Layout, keyed: Keyed) -> bool {
    layout.by == Division::Keys || matches!(keyed, Keyed::ByStream(_))
}

/// The shard on whose progress the row of a key depends.
pub(crate) fn shard_of(layout: Layout, keyed: Keyed, key: &str) -> ShardId {
    match (layout.by, keyed) {
        (Division::Streams, Keyed::ByStream(category)) if layout.shards > 1 => {
            layout.shard_of(&format!("{category}-{key}"))
        }
        _ => layout.shard_of(key),
    }
}
