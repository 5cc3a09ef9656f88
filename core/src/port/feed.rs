//! The feeds of views: the log itself, or what a relay has published of it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::{ClaimMode, Progress, WorkerId};
use crate::{
    Result,
    domain::{Envelope, Query, ViewName},
    value::{Position, ShardBy, ShardId, Sharding},
};

/// Some events of one shard, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The events, at most as many as the limit; none if only the position or the time moves.
    pub events: Vec<Envelope>,
    /// Up to here every matching event of the shard has been delivered. No less than before, and the
    /// same if only the time moves.
    pub through: Position,
    /// The time as of which that is known; `None` if nothing newer is known than before.
    pub as_of: Option<Timestamp>,
    /// The place where the feed continues after this page, in its own terms.
    pub cursor: Bytes,
    /// True if more may follow at once: then the batch may as well wait for it.
    pub more: bool,
}

/// The events of one shard, one page after the other: each matching event once, in log order per
/// stream, and in log order altogether if the work is divided by key (R1, W3).
///
/// Every feed passes the same suite.
#[async_trait]
pub trait Feed: Send {
    /// The next page, at most `limit` events; waits until there is one that has events, moves the
    /// position, or says that the view is where it was as of a later time. Safe to cancel: what was not returned is delivered next time.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable): the feed stays where it was, and may be asked
    /// again. [`Corrupt`](crate::Error::Corrupt) or [`Invalid`](crate::Error::Invalid): somebody
    /// must look.
    async fn next(&mut self, limit: usize) -> Result<FeedPage>;

    /// Hears that everything up to here is committed in the view. Nothing depends on it but the
    /// tools that show how far behind a consumer is.
    fn committed(&mut self, progress: &Progress) {
        let _ = progress;
    }
}

/// The request of a view to a feed.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The view.
    pub view: ViewName,
    /// The events that it is folded from.
    pub query: Query,
    /// The worker that subscribes.
    pub worker: WorkerId,
    /// The division of the work, as returned by [`FeedSource::sharding`].
    pub sharding: Sharding,
}

/// The source of feeds, one for each shard, and of the assignment of shards to workers.
#[async_trait]
pub trait FeedSource: Send + Sync + 'static {
    /// How the work is divided if it is by this, wished to be into so many shards. A source that has
    /// partitions of its own answers with as many for [`ShardBy::Stream`].
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) or [`Invalid`](crate::Error::Invalid).
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding>;

    /// The time without a heartbeat after which others may take a worker's shards.
    fn lease(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Takes part in the work on a view.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) or [`Invalid`](crate::Error::Invalid).
    async fn join(&self, feeding: Subscription) -> Result<Box<dyn Membership>>;
}

/// A worker's part in the work on a view. Dropping it leaves.
#[async_trait]
pub trait Membership: Send {
    /// The next change of what this worker is to work on; waits for one. Safe to cancel.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) for now, or [`Invalid`](crate::Error::Invalid) for
    /// good.
    async fn next_assignment(&mut self) -> Result<Assignment>;

    /// The feed of a shard that this worker has claimed, from where the claim stands.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), [`Invalid`](crate::Error::Invalid) or
    /// [`Corrupt`](crate::Error::Corrupt).
    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>>;

    /// Hears that the work on a shard has ended: it was told to give it up, or it could not claim it,
    /// or it has been fenced. The shard's feed is dropped by then.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn released(&mut self, shard: ShardId) -> Result<()>;

    /// Leaves in order, so that others can take over at once.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable); others then take over when the lease runs out.
    async fn leave(self: Box<Self>) -> Result<()>;
}

/// A change of what a worker is to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// Claim this shard, open its feed, and work on it.
    Assigned(ShardId, ClaimMode),
    /// Stop working on this shard and say so: others may get it.
    Revoked(ShardId),
}
