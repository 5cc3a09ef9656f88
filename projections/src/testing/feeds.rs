//! Events that come again, and shards that are taken away.

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

use super::Faults;

/// How many events a page may repeat at the most.
const REPEATED: usize = 50;

pub(super) struct FaultySource {
    pub(super) source: Arc<dyn FeedSource>,
    pub(super) faults: Faults,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FeedSource for FaultySource {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.source.sharding(by, shards).await
    }

    fn lease(&self) -> Duration {
        self.source.lease()
    }

    async fn join(&self, feeding: Subscription) -> Result<Box<dyn Membership>> {
        let (membership, faults) = (self.source.join(feeding).await?, self.faults.clone());
        let (held, taken_away, pending) = Default::default();
        Ok(Box::new(FaultyMembership { membership, faults, held, taken_away, pending }))
    }
}

struct FaultyMembership {
    membership: Box<dyn Membership>,
    faults: Faults,
    held: BTreeMap<ShardId, ClaimMode>,
    taken_away: BTreeSet<ShardId>,
    pending: VecDeque<Assignment>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Membership for FaultyMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        if let Some(change) = self.pending.pop_front() {
            return Ok(self.noted(change));
        }
        let every = self.faults.rebalance.unwrap_or(Duration::MAX);
        tokio::select! {
            change = self.membership.next_assignment() => {
                let change = change?;
                Ok(self.noted(change))
            }
            () = tokio::time::sleep(every), if self.faults.rebalance.is_some() => self.take_away().await,
        }
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let (feed, faults) = (self.membership.open(shard, from).await?, self.faults.clone());
        let (delivered, cursor, held_back) = (VecDeque::new(), from.cursor.clone(), None);
        Ok(Box::new(FaultyFeed { feed, faults, delivered, cursor, held_back }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        if let (true, Some(claiming)) =
            (self.taken_away.remove(&shard), self.held.get(&shard).copied())
        {
            self.pending.push_back(Assignment::Assigned(shard, claiming));
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
    fn noted(&mut self, change: Assignment) -> Assignment {
        match change {
            Assignment::Assigned(shard, claiming) => {
                self.held.insert(shard, claiming);
            }
            Assignment::Revoked(shard) => {
                self.taken_away.remove(&shard);
                self.held.remove(&shard);
            }
        }
        change
    }

    async fn take_away(&mut self) -> Result<Assignment> {
        let count = self.held.len().max(1);
        let place = self.faults.random(|random| random.usize(..count));
        match self.held.keys().nth(place).copied() {
            Some(shard) => {
                self.taken_away.insert(shard);
                Ok(Assignment::Revoked(shard))
            }
            None => {
                let change = self.membership.next_assignment().await?;
                Ok(self.noted(change))
            }
        }
    }
}

struct FaultyFeed {
    feed: Box<dyn Feed>,
    faults: Faults,
    delivered: VecDeque<Envelope>,
    /// Where the last page that was delivered went on.
    cursor: Bytes,
    /// A page that comes after one that only repeats.
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
                if let Some(repeated) = self.repeated() {
                    self.held_back = Some(page);
                    return Ok(repeated);
                }
                page
            }
        };
        let fresh = page.events.clone();
        if !self.delivered.is_empty() && self.faults.happens(self.faults.repeats) {
            let first = self.faults.random(|random| random.usize(..self.delivered.len()));
            let again = self.delivered.iter().skip(first).cloned();
            page.events = again.chain(page.events).collect();
        }
        self.cursor = page.cursor.clone();
        self.delivered.extend(fresh);
        let surplus = self.delivered.len().saturating_sub(REPEATED);
        self.delivered.drain(..surplus);
        Ok(page)
    }

    fn committed(&mut self, progress: &Progress) {
        self.feed.committed(progress);
    }
}

impl FaultyFeed {
    /// Perhaps a page that only repeats, and ends before where the last one ended.
    fn repeated(&self) -> Option<FeedPage> {
        if self.delivered.len() < 2 || !self.faults.happens(self.faults.repeats / 2.0) {
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
    use crate::DirectSource;

    #[test]
    fn a_faulty_source_keeps_the_lease_of_its_source() {
        let store = Arc::new(MemoryStore::default());
        let highwater = Highwater::with_store(&store, SystemClock, SystemIds).build();
        let lease = Duration::from_secs(7);
        let source = DirectSource::new(&highwater).lease(lease);
        assert_eq!(Faults::none(0).on_source(Arc::new(source)).lease(), lease);
    }
}
