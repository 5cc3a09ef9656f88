//! Repeated events, and revoked shards.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Envelope, Result,
    port::{Assignment, ClaimMode, Feed, FeedPage, FeedSource, Membership, Progress, Subscription},
    value::{ShardBy, ShardId, Sharding},
};

use super::WorkerFaults;

/// The maximum number of events that a page repeats.
const MAX_REPEATED: usize = 50;

pub(super) struct FaultyFeedSource {
    pub(super) source: Arc<dyn FeedSource>,
    pub(super) faults: WorkerFaults,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FeedSource for FaultyFeedSource {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.source.sharding(by, shards).await
    }

    fn lease(&self) -> Duration {
        self.source.lease()
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        Ok(Box::new(FaultyMembership {
            membership: self.source.join(subscription).await?,
            faults: self.faults.clone(),
            held: BTreeMap::new(),
            revoked: BTreeSet::new(),
            pending: VecDeque::new(),
        }))
    }
}

struct FaultyMembership {
    membership: Box<dyn Membership>,
    faults: WorkerFaults,
    held: BTreeMap<ShardId, ClaimMode>,
    /// Shards that a fault revoked, to be assigned again.
    revoked: BTreeSet<ShardId>,
    pending: VecDeque<Assignment>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Membership for FaultyMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        if let Some(assignment) = self.pending.pop_front() {
            return Ok(self.note(assignment));
        }
        let every = self.faults.rebalance.unwrap_or(Duration::MAX);
        tokio::select! {
            assignment = self.membership.next_assignment() => {
                let assignment = assignment?;
                Ok(self.note(assignment))
            }
            () = tokio::time::sleep(every), if self.faults.rebalance.is_some() => self.revoke().await,
        }
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        Ok(Box::new(FaultyFeed {
            feed: self.membership.open(shard, from).await?,
            faults: self.faults.clone(),
            delivered: VecDeque::new(),
            cursor: from.cursor.clone(),
            held_back: None,
        }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        if self.revoked.remove(&shard)
            && let Some(mode) = self.held.get(&shard)
        {
            self.pending.push_back(Assignment::Assigned(shard, *mode));
            return Ok(());
        }
        self.held.remove(&shard);
        self.membership.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.membership.leave().await
    }
}

impl FaultyMembership {
    fn note(&mut self, assignment: Assignment) -> Assignment {
        match assignment {
            Assignment::Assigned(shard, mode) => {
                self.held.insert(shard, mode);
            }
            Assignment::Revoked(shard) => {
                self.revoked.remove(&shard);
                self.held.remove(&shard);
            }
        }
        assignment
    }

    /// Revokes a random shard.
    async fn revoke(&mut self) -> Result<Assignment> {
        let count = self.held.len().max(1);
        let index = self.faults.random(|random| random.usize(..count));
        match self.held.keys().nth(index).copied() {
            Some(shard) => {
                self.revoked.insert(shard);
                Ok(Assignment::Revoked(shard))
            }
            None => {
                let assignment = self.membership.next_assignment().await?;
                Ok(self.note(assignment))
            }
        }
    }
}

struct FaultyFeed {
    feed: Box<dyn Feed>,
    faults: WorkerFaults,
    delivered: VecDeque<Envelope>,
    /// The cursor of the last page that was delivered.
    cursor: Bytes,
    /// The page that follows one of repeated events alone.
    held_back: Option<FeedPage>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Feed for FaultyFeed {
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        let mut page = match self.held_back.take() {
            Some(page) => page,
            None => {
                let page = self.feed.next(limit).await?;
                if let Some(repeated) = self.repeated_page() {
                    self.held_back = Some(page);
                    return Ok(repeated);
                }
                page
            }
        };
        let fresh = page.events.clone();
        if !self.delivered.is_empty() && self.faults.should_inject(self.faults.repeats) {
            let first = self.faults.random(|random| random.usize(..self.delivered.len()));
            let again = self.delivered.iter().skip(first).cloned();
            page.events = again.chain(page.events).collect();
        }
        self.cursor = page.cursor.clone();
        self.delivered.extend(fresh);
        let surplus = self.delivered.len().saturating_sub(MAX_REPEATED);
        self.delivered.drain(..surplus);
        Ok(page)
    }

    fn committed(&mut self, progress: &Progress) {
        self.feed.committed(progress);
    }
}

impl FaultyFeed {
    /// Creates a page of repeated events alone, which ends before the last page did, if a fault is due.
    fn repeated_page(&self) -> Option<FeedPage> {
        if self.delivered.len() < 2 || !self.faults.should_inject(self.faults.repeats / 2.0) {
            return None;
        }
        let count = self.faults.random(|random| random.usize(1..self.delivered.len()));
        let events: Vec<Envelope> = self.delivered.iter().take(count).cloned().collect();
        let through = events.last()?.position;
        Some(FeedPage { events, through, as_of: None, cursor: self.cursor.clone(), more: true })
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::Highwater;
    use highwater_stores::{MemoryStore, SystemClock, SystemIds};

    use super::*;
    use crate::direct::DirectSource;

    #[test]
    fn a_faulty_source_keeps_the_lease_of_its_source() {
        let store = Arc::new(MemoryStore::default());
        let highwater = Highwater::with_store(&store, SystemClock, SystemIds).build();
        let lease = Duration::from_secs(7);
        let source = DirectSource::new(&highwater).lease(lease);
        assert_eq!(WorkerFaults::none(0).on_source(Arc::new(source)).lease(), lease);
    }
}
