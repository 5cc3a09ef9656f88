//! A feed that is slowed or stopped: a decorator of any source, by the public ports alone.

use std::future::pending;

use async_trait::async_trait;
use highwater::{
    Result,
    core::value::{ShardBy, ShardId, Sharding},
    port::{Assignment, Feed, FeedPage, FeedSource, Membership, Progress, Subscription},
};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

use super::{Pace, Setting, Switches};

/// A source whose feeds go no faster than the switches say.
#[derive(Clone)]
pub struct Braked<S> {
    source: S,
    switches: Switches,
}

impl<S> Braked<S> {
    /// This source, under these switches.
    pub fn new(source: S, switches: &Switches) -> Self {
        Self { source, switches: switches.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: FeedSource> FeedSource for Braked<S> {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.source.sharding(by, shards).await
    }

    fn lease(&self) -> Duration {
        self.source.lease()
    }

    async fn join(&self, feeding: Subscription) -> Result<Box<dyn Membership>> {
        let membership = self.source.join(feeding).await?;
        Ok(Box::new(BrakedMembership { membership, switches: self.switches.clone() }))
    }
}

struct BrakedMembership {
    membership: Box<dyn Membership>,
    switches: Switches,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Membership for BrakedMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.membership.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let feed = self.membership.open(shard, from).await?;
        let (setting, _switches) = (self.switches.watch(), self.switches.clone());
        Ok(Box::new(BrakedFeed { feed, setting, held: None, _switches }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.membership.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.membership.leave().await
    }
}

struct BrakedFeed {
    feed: Box<dyn Feed>,
    setting: watch::Receiver<Setting>,
    /// A page that waits to be let through, and since when.
    held: Option<(FeedPage, Instant)>,
    /// As long as these are here the setting can change.
    _switches: Switches,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Feed for BrakedFeed {
    /// Safe to cancel, as every feed must be: a page that waits is kept.
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        loop {
            if let Some(page) = self.pass().await {
                return Ok(page);
            }
            let limit = if self.pace() == Pace::Full { limit } else { 1 };
            self.held = Some((self.feed.next(limit).await?, Instant::now()));
        }
    }

    fn committed(&mut self, progress: &Progress) {
        self.feed.committed(progress);
    }
}

impl BrakedFeed {
    /// The page that is held, once it may pass, however the switches are set meanwhile.
    async fn pass(&mut self) -> Option<FeedPage> {
        while let Some((page, since)) = &self.held {
            let events = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
            let due = self.pace().per_event().map(|time| *since + time * events);
            let passes = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = passes => break,
                _ = self.setting.changed() => {}
            }
        }
        self.held.take().map(|(page, _)| page)
    }

    fn pace(&self) -> Pace {
        self.setting.borrow().pace
    }
}
