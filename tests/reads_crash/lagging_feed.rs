//! A feed whose pages are delayed, each by a random time that follows from the seed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use highwater::{
    Result,
    port::{Assignment, Feed, FeedPage, FeedSource, Membership, Progress, Subscription},
    value::{ShardBy, ShardId, Sharding},
};

type Random = Arc<Mutex<fastrand::Rng>>;

pub(crate) struct Lagging<S> {
    source: S,
    longest: Duration,
    random: Random,
}

impl<S> Lagging<S> {
    /// Delays pages by at most this time; most of them by much less.
    pub(crate) fn new(source: S, longest: Duration, seed: u64) -> Self {
        Self { source, longest, random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: FeedSource> FeedSource for Lagging<S> {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.source.sharding(by, shards).await
    }

    fn lease(&self) -> Duration {
        self.source.lease()
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        let membership = self.source.join(subscription).await?;
        let (longest, random) = (self.longest, Arc::clone(&self.random));
        Ok(Box::new(Delayed { inner: membership, longest, random }))
    }
}

/// A membership or a feed with delays.
struct Delayed<T> {
    inner: T,
    longest: Duration,
    random: Random,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Membership for Delayed<Box<dyn Membership>> {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.inner.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let feed = self.inner.open(shard, from).await?;
        let (longest, random) = (self.longest, Arc::clone(&self.random));
        Ok(Box::new(Delayed { inner: feed, longest, random }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.inner.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.inner.leave().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Feed for Delayed<Box<dyn Feed>> {
    /// Delays the page before it is read: a page that was read must not be lost when the caller
    /// cancels the call.
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        let part = self.random.lock().unwrap().f64().powi(3);
        tokio::time::sleep(self.longest.mul_f64(part)).await;
        self.inner.next(limit).await
    }

    fn committed(&mut self, progress: &Progress) {
        self.inner.committed(progress);
    }
}
