//! Workers that can't end, or can't begin.

use async_trait::async_trait;
use highwater::{
    Result,
    port::{Change, Division, Feed, Feeding, Layout, Membership, Progress, ShardId, Source},
    projections::DirectSource,
};

/// Feeds as another source does, and never gets to give back what it holds.
pub(crate) struct Stuck(pub(crate) DirectSource);

/// Never says how the work is divided.
pub(crate) struct Mute;

#[async_trait]
impl Source for Mute {
    async fn layout(&self, _: Division, _: u32) -> Result<Layout> {
        std::future::pending().await
    }

    async fn join(&self, _: Feeding) -> Result<Box<dyn Membership>> {
        std::future::pending().await
    }
}

struct Forever(Box<dyn Membership>);

#[async_trait]
impl Source for Stuck {
    async fn layout(&self, by: Division, shards: u32) -> Result<Layout> {
        self.0.layout(by, shards).await
    }

    async fn join(&self, feeding: Feeding) -> Result<Box<dyn Membership>> {
        Ok(Box::new(Forever(self.0.join(feeding).await?)))
    }
}

#[async_trait]
impl Membership for Forever {
    async fn change(&mut self) -> Result<Change> {
        self.0.change().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        self.0.open(shard, from).await
    }

    async fn ended(&mut self, shard: ShardId) -> Result<()> {
        self.0.ended(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        std::future::pending().await
    }
}
