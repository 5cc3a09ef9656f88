//! A feed that is slowed down or stopped: a decorator of any source, written against the public ports.

use std::future::pending;

use async_trait::async_trait;
use highwater::{
    Result,
    port::{Assignment, Feed, FeedPage, FeedSource, Membership, Progress, Subscription},
    value::{ShardBy, ShardId, Sharding},
};
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep_until},
};

use super::{Pace, Setting, Switches};

/// A source whose feeds go no faster than the switches allow.
#[derive(Clone)]
pub struct ThrottledSource<S> {
    source: S,
    switches: Switches,
}

impl<S> ThrottledSource<S> {
    /// Puts a source under the control of these switches.
    pub fn new(source: S, switches: &Switches) -> Self {
        Self { source, switches: switches.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: FeedSource> FeedSource for ThrottledSource<S> {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        self.source.sharding(by, shards).await
    }

    fn lease(&self) -> Duration {
        self.source.lease()
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        let membership = self.source.join(subscription).await?;
        Ok(Box::new(ThrottledMembership { membership, switches: self.switches.clone() }))
    }
}

struct ThrottledMembership {
    membership: Box<dyn Membership>,
    switches: Switches,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Membership for ThrottledMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        self.membership.next_assignment().await
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let feed = self.membership.open(shard, from).await?;
        let setting = self.switches.watch();
        let _switches = self.switches.clone();
        Ok(Box::new(ThrottledFeed { feed, setting, held: None, _switches }))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.membership.released(shard).await
    }

    async fn leave(self: Box<Self>) -> Result<()> {
        self.membership.leave().await
    }
}

struct ThrottledFeed {
    feed: Box<dyn Feed>,
    setting: watch::Receiver<Setting>,
    /// A page that is delayed, and the time since which it is.
    held: Option<(FeedPage, Instant)>,
    /// Keeps the sender of `setting` alive.
    _switches: Switches,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Feed for ThrottledFeed {
    /// Cancel-safe, as every feed must be: a delayed page is kept.
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        loop {
            if let Some(page) = self.take_due().await {
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

impl ThrottledFeed {
    /// Returns the delayed page when it is due, and follows changes of the switches meanwhile.
    async fn take_due(&mut self) -> Option<FeedPage> {
        while let Some((page, since)) = &self.held {
            let events = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
            let due = self.pace().per_event().map(|time| *since + time * events);
            let is_due = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = is_due => break,
                _ = self.setting.changed() => {}
            }
        }
        self.held.take().map(|(page, _)| page)
    }

    fn pace(&self) -> Pace {
        self.setting.borrow().pace
    }
}
