//! Feeds of views from Kafka.
//!
//! | File | What is in it |
//! |---|---|
//! | `group` | a part in a consumer group: a shard is a partition |
//! | `keyed` | shards by leases, each of which reads all the partitions in log order |
//! | `feed` | the feed of a shard |
//! | `merge`, `lane` | several partitions as one sequence, and what a partition lacks: pure |
//! | `wanted` | which events a feed delivers |
//! | `offsets` | where to read on |
//! | `context`, `consumer` | what a group tells a consumer, and how one is configured |
//! | `alive` | signs of life of a member of a group |
//! | `state` | how the connection of a view fares |

mod alive;
mod consumer;
mod context;
mod feed;
mod group;
mod keyed;
mod lane;
mod merge;
mod offsets;
mod state;
#[cfg(test)]
mod tests;
mod wanted;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use highwater_core::{
    Code, Highwater, Query, Result,
    domain::ViewName,
    error::{Invalid, Unavailable},
    port::{Clock, EventStore, FeedSource, Membership, Subscription, ViewStore},
    value::{ShardBy, ShardId, Sharding},
};
use tokio::sync::watch;

use self::{
    alive::Alive,
    consumer::consumer,
    group::GroupMembership,
    keyed::KeyedMembership,
    state::{Reporter, States},
    wanted::Wanted,
};
use super::{Kafka, Topics, admin::partitions, trouble::failed};
use crate::{Leases, direct::LEASE, metrics::DUPLICATES};

pub use state::KafkaState;
pub use wanted::ForeignRecords;

/// Feeds views from what a [`Relay`](crate::kafka::Relay) publishes. What a topic lacks is read from
/// the log, so that no view ever misses an event, whatever becomes of the topic.
///
/// A view that is divided by stream is divided as its topic is: a shard is a partition, and the
/// workers are a consumer group. The shards of a view that is divided by key are shared by leases, and
/// each of them reads all the partitions, in log order.
///
/// ```
/// # use highwater_core::{Highwater, Result, read::View};
/// # use highwater_projections::{Worker, kafka::{Kafka, KafkaSource, Topics}};
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let source = KafkaSource::new(bank, Kafka::at("127.0.0.1:9092"), Topics::one("bank"));
/// let worker = Worker::new(bank).fed_by(source).view::<Balances>().start().await?;
/// # worker.stop().await
/// # }
/// ```
#[derive(Clone)]
pub struct KafkaSource {
    kafka: Kafka,
    topics: Topics,
    log: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    published: Query,
    group_prefix: String,
    instance: Option<String>,
    lease: Duration,
    foreign: ForeignRecords,
    ignored: Arc<AtomicU64>,
    filled: Arc<AtomicU64>,
    states: States,
}

impl KafkaSource {
    /// Feeds from these topics for views of this store.
    #[must_use]
    pub fn new(highwater: &Highwater, kafka: Kafka, topics: Topics) -> Self {
        Self {
            kafka,
            topics,
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            published: Query::all(),
            group_prefix: "highwater.".into(),
            instance: None,
            lease: LEASE,
            foreign: ForeignRecords::default(),
            ignored: Arc::default(),
            filled: Arc::default(),
            states: States::default(),
        }
    }

    /// What the relay publishes, if that is not everything
    /// ([`Relay::only`](crate::kafka::Relay::only)): no more than that is read from the log either.
    #[must_use]
    pub fn published(mut self, query: Query) -> Self {
        self.published = query;
        self
    }

    /// What the names of consumer groups begin with; *highwater.* unless set. The name of the view
    /// follows.
    #[must_use]
    pub fn group_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.group_prefix = prefix.into();
        self
    }

    /// Names this process among the members of its groups (static membership): if it comes back under
    /// this name within the session time-out, its partitions have not moved. No two may have one name.
    #[must_use]
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// How long a worker may give no sign of life before others take the shards that it holds by
    /// lease; 5 seconds unless set. Who gets what a member of a consumer group had is decided by the
    /// group, after `session.timeout.ms`; its leases keep away who shares the view without the group.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// What becomes of a record that no relay has published; it is refused unless set.
    #[must_use]
    pub fn foreign(mut self, policy: ForeignRecords) -> Self {
        self.foreign = policy;
        self
    }

    /// How many records have been ignored under [`ForeignRecords::Ignore`].
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// How many times the log has been read because a topic lacked events
    /// ([`KafkaState::Filling`]).
    #[must_use]
    pub fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// How the connection of a view fares, now and from now on.
    #[must_use]
    pub fn state(&self, view: &ViewName) -> watch::Receiver<KafkaState> {
        self.states.of(view).subscribe()
    }

    /// How the connection of a view fares, if this feeds it.
    #[cfg(feature = "service")]
    pub(crate) fn known(&self, view: &ViewName) -> Option<KafkaState> {
        self.states.known(view)
    }

    async fn partitions(&self, topics: &[String]) -> Result<BTreeMap<String, u32>> {
        self.kafka.validate()?;
        self.topics.validate()?;
        let found = partitions(&self.kafka, topics).await?;
        match topics.iter().find(|topic| !found.contains_key(*topic)) {
            None => Ok(found),
            Some(missing) => Err(Unavailable::TopicMissing { topic: missing.clone() }.into()),
        }
    }

    fn keyed(&self, feeding: &Subscription, wanted: Wanted, reporter: Reporter) -> KeyedMembership {
        KeyedMembership {
            leases: Leases::new(&self.views, &self.clock, feeding, self.lease),
            kafka: self.kafka.clone(),
            group: self.group(&feeding.view),
            shards: feeding.sharding.shards,
            wanted,
            clock: Arc::clone(&self.clock),
            reporter,
        }
    }

    fn grouped(
        &self,
        feeding: &Subscription,
        wanted: Wanted,
        reporter: Reporter,
    ) -> Result<GroupMembership> {
        let (layout, view) = (feeding.sharding, &feeding.view);
        let mut topics = wanted.partitions.iter();
        let (Some((topic, count)), None) = (topics.next(), topics.next()) else {
            let message = format!(
                "view {view} is divided by stream and fed from several topics; divide it by key, or \
                 name one category in its query"
            );
            return Err(Invalid::configuration(message).into());
        };
        if *count != layout.shards {
            let message = format!(
                "topic {topic} has {count} partitions, but view {view} is divided into {}: divide the \
                 view anew",
                layout.shards
            );
            return Err(Invalid::new(Code::BAD_TOPIC, message).into());
        }
        let topic = topic.clone();
        let consumer = consumer(&self.kafka, &self.group(view), self.instance.as_deref(), *count)?;
        let wanted = Wanted { own: Some((layout, ShardId::FIRST)), ..wanted };
        let alive = Alive::new(&self.views, &self.clock, feeding, self.lease);
        let clock = (Arc::clone(&self.clock), alive);
        let joined = GroupMembership::join(consumer, &topic, wanted, clock, reporter);
        joined.map_err(|error| failed("joining a consumer group", error))
    }

    fn group(&self, view: &ViewName) -> String {
        format!("{}{view}", self.group_prefix)
    }
}

#[async_trait]
impl FeedSource for KafkaSource {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        if by == ShardBy::Key {
            return Ok(Sharding::by_key(shards));
        }
        let topics = self.topics.feeding(&Query::all())?;
        let counts = self.partitions(&topics).await;
        let counts = counts.inspect_err(|error| self.states.waiting_for(error))?;
        let mut counts = counts.into_iter();
        let Some((topic, count)) = counts.next() else { return Ok(Sharding::by_stream(shards)) };
        match counts.find(|(_, other)| *other != count) {
            None => Ok(Sharding::by_stream(count)),
            Some((other, others)) => {
                let message = format!(
                    "topic {topic} has {count} partitions and topic {other} has {others}: views that are \
                     divided by stream need as many in each"
                );
                Err(Invalid::new(Code::BAD_TOPIC, message).into())
            }
        }
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn join(&self, feeding: Subscription) -> Result<Box<dyn Membership>> {
        let topics = self.topics.feeding(&feeding.query)?;
        let state = self.states.of(&feeding.view);
        let (view, filled) = (feeding.view.clone(), Arc::clone(&self.filled));
        let (clock, repeats) = (Arc::clone(&self.clock), DUPLICATES.count(&[view.as_str()]));
        let reporter = Reporter { view, state, filled, clock, repeats };
        let partitions = self.partitions(&topics).await;
        let partitions = partitions.inspect_err(|error| reporter.cannot_join(error))?;
        // Whoever gets no shard reads nothing, and would never hear that it is so no longer.
        reporter.forget_trouble();
        let wanted = Wanted {
            log: Arc::clone(&self.log),
            query: feeding.query.clone(),
            published: self.published.clone(),
            topics: self.topics.clone(),
            partitions,
            own: None,
            foreign: self.foreign,
            ignored: Arc::clone(&self.ignored),
        };
        match feeding.sharding.by {
            ShardBy::Key => Ok(Box::new(self.keyed(&feeding, wanted, reporter))),
            ShardBy::Stream => Ok(Box::new(self.grouped(&feeding, wanted, reporter)?)),
        }
    }
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("KafkaSource");
        debug.field("kafka", &self.kafka).field("topics", &self.topics).finish_non_exhaustive()
    }
}
