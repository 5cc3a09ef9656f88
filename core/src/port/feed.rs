//! The feeds of views: the log itself, or the topic of a relay.

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
    /// The position up to which every matching event of the shard has been delivered. Never less
    /// than before, and the same if only the time moves.
    pub through: Position,
    /// The time as of which that is known; `None` if no later time is known than before.
    pub as_of: Option<Timestamp>,
    /// The place where the feed continues after this page, in its own terms.
    pub cursor: Bytes,
    /// True if more may follow at once, so that the batch may wait for it.
    pub more: bool,
}

/// The events of one shard, one page after the other: each matching event once, in log order per
/// stream, and in log order altogether if the work is divided by key (R1, W3).
///
/// Every feed passes the same conformance suite.
#[async_trait]
pub trait Feed: Send {
    /// Returns the next page, at most `limit` events. Waits until there is one that has events,
    /// moves the position, or shows that the view has the same position as of a later time. Safe to
    /// cancel: events that were not returned are delivered next time.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable): the feed stays where it was, and may be polled
    /// again. [`Corrupt`](crate::Error::Corrupt) or [`Invalid`](crate::Error::Invalid): an operator
    /// or a developer must look.
    async fn next(&mut self, limit: usize) -> Result<FeedPage>;

    /// Notifies the feed that all events up to this progress are committed in the view. Only tools
    /// that show the lag of a consumer depend on it.
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
    /// Returns the sharding for this criterion and a desired number of shards. A source with
    /// partitions of its own answers with their number for [`ShardBy::Stream`].
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) or [`Invalid`](crate::Error::Invalid).
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding>;

    /// The time without a heartbeat after which other workers may take a worker's shards.
    fn lease(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Joins the workers of a view.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable) or [`Invalid`](crate::Error::Invalid).
    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>>;
}

/// A worker's membership in the work on a view. Dropping it leaves.
#[async_trait]
pub trait Membership: Send {
    /// Returns the next change of this worker's shards; waits for one. Safe to cancel.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), which is temporary, or
    /// [`Invalid`](crate::Error::Invalid), which is permanent.
    async fn next_assignment(&mut self) -> Result<Assignment>;

    /// Opens the feed of a shard that this worker has claimed, from the progress of the claim.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable), [`Invalid`](crate::Error::Invalid) or
    /// [`Corrupt`](crate::Error::Corrupt).
    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>>;

    /// Notifies the source that the work on a shard has ended: it was revoked, or could not be
    /// claimed, or the worker has been fenced. The shard's feed has been dropped before.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable).
    async fn released(&mut self, shard: ShardId) -> Result<()>;

    /// Leaves in an orderly way, so that others can take over at once.
    ///
    /// # Errors
    /// [`Unavailable`](crate::Error::Unavailable); others then take over when the lease runs out.
    async fn leave(self: Box<Self>) -> Result<()>;
}

/// A change of the shards that a worker works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// Claim this shard, open its feed, and work on it.
    Assigned(ShardId, ClaimMode),
    /// Stop working on this shard and report it as released: others may get it.
    Revoked(ShardId),
}
