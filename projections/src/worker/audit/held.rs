//! The shards that are worked on here, as the auditor knows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::pending;
use highwater_core::value::ShardId;
use tokio::sync::{mpsc, watch};

use super::{record::AuditRecord, repair::RepairOrder};

/// The shards of a projection that this worker holds. Cheap to clone.
#[derive(Clone)]
pub(in crate::worker) struct HeldShards {
    shards: Arc<watch::Sender<BTreeMap<ShardId, HeldShard>>>,
    record: AuditRecord,
}

/// A shard that is held.
struct HeldShard {
    /// True if its rows were folded before, and none of them has been compared yet.
    is_unknown: bool,
    /// True until the auditor has begun with it.
    is_new: bool,
    orders: mpsc::Sender<RepairOrder>,
}

/// A shard that its task holds. When it is dropped, the auditor leaves the shard alone.
pub(in crate::worker) struct ShardHold {
    held: HeldShards,
    shard: ShardId,
    orders: mpsc::Receiver<RepairOrder>,
}

impl HeldShards {
    pub(in crate::worker) fn new(record: AuditRecord) -> Self {
        Self { shards: Arc::new(watch::Sender::new(BTreeMap::new())), record }
    }

    /// Adds a shard. Its rows are unknown if another process may have folded them.
    pub(in crate::worker) fn hold(&self, shard: ShardId, is_unknown: bool) -> ShardHold {
        let (sender, orders) = mpsc::channel(1);
        let held = HeldShard { is_unknown, is_new: true, orders: sender };
        self.shards.send_modify(|shards| drop(shards.insert(shard, held)));
        ShardHold { held: self.clone(), shard, orders }
    }

    /// Waits until a shard is held.
    pub(super) async fn until_any(&self) {
        self.until(|shards| !shards.is_empty()).await;
    }

    /// Waits until there is a shard with which the auditor has not begun.
    pub(super) async fn until_new(&self) {
        self.until(|shards| shards.values().any(|held| held.is_new)).await;
    }

    async fn until(&self, is: impl FnMut(&BTreeMap<ShardId, HeldShard>) -> bool) {
        if self.shards.subscribe().wait_for(is).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Returns the shards of which no row has been compared yet.
    pub(super) fn unknown(&self) -> BTreeSet<ShardId> {
        let shards = self.shards.borrow();
        shards.iter().filter(|(_, held)| held.is_unknown).map(|(shard, _)| *shard).collect()
    }

    /// Notes that rows of these shards have been compared.
    pub(super) fn sampled(&self, sampled: &BTreeSet<ShardId>) {
        self.shards.send_modify(|shards| {
            let sampled = shards.iter_mut().filter(|(shard, _)| sampled.contains(shard));
            sampled.for_each(|(_, held)| held.is_unknown = false);
        });
    }

    /// Begins with all shards that are held, and returns them.
    pub(super) fn begin(&self) -> BTreeSet<ShardId> {
        let mut begun = BTreeSet::new();
        self.shards.send_modify(|shards| {
            shards.values_mut().for_each(|held| held.is_new = false);
            begun.extend(shards.keys().copied());
        });
        begun
    }

    /// Returns all shards that are held.
    pub(super) fn all(&self) -> BTreeSet<ShardId> {
        self.shards.borrow().keys().copied().collect()
    }

    /// Returns the shards that are still held, of these.
    pub(super) fn still(&self, mut shards: BTreeSet<ShardId>) -> BTreeSet<ShardId> {
        let held = self.shards.borrow();
        shards.retain(|shard| held.get(shard).is_some_and(|held| !held.is_new));
        shards
    }

    /// Returns where a shard takes orders; `None` if it is not held any more.
    pub(super) fn orders(&self, shard: ShardId) -> Option<mpsc::Sender<RepairOrder>> {
        self.shards.borrow().get(&shard).map(|held| held.orders.clone())
    }
}

impl ShardHold {
    /// Returns an order if there is one.
    pub(in crate::worker) fn try_next(&mut self) -> Option<RepairOrder> {
        self.orders.try_recv().ok()
    }

    /// Waits for an order. Safe to cancel.
    pub(in crate::worker) async fn next(&mut self) -> RepairOrder {
        match self.orders.recv().await {
            Some(order) => order,
            None => pending().await,
        }
    }

    /// The record of the view's auditor.
    pub(in crate::worker) fn record(&self) -> &AuditRecord {
        &self.held.record
    }
}

impl Drop for ShardHold {
    fn drop(&mut self) {
        self.orders.close();
        let mut is_gone = false;
        self.held.shards.send_modify(|shards| {
            // Another task of this worker may have taken the shard up again.
            if shards.get(&self.shard).is_some_and(|held| held.orders.is_closed()) {
                shards.remove(&self.shard);
                is_gone = true;
            }
        });
        if is_gone {
            self.held.record.released(self.shard);
        }
    }
}
