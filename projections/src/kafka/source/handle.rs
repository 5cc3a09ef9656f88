//! The public handle of a source: its options, and how views join it.

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

use super::{
    consumer::create_consumer,
    filter::{FeedFilter, ForeignRecords},
    group::GroupMembership,
    keyed::KeyedMembership,
    membership::GroupMember,
    report::{SourceReporter, SourceStates},
    state::KafkaState,
};
use crate::{
    direct::{LEASE, Leases},
    heartbeat::Heartbeat,
    kafka::{admin::count_partitions, connection::Kafka, topics::Topics},
    metrics::DUPLICATES,
};

/// Feeds views from what a [`Relay`](crate::kafka::Relay) publishes. What a topic lacks is read from
/// the log, so that no view ever misses an event, even if the topic is truncated or deleted.
///
/// A view that is sharded by stream has the shards of its topic: a shard is a partition, and the workers
/// are a consumer group. The shards of a view that is sharded by key are shared by leases, and each of
/// them reads all the partitions, in log order.
///
/// ```
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::{worker::Worker, kafka::{Kafka, KafkaSource, Topics}};
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
    states: SourceStates,
}

impl KafkaSource {
    /// Creates a source of these topics for the views of this store.
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
            states: SourceStates::default(),
        }
    }

    /// Sets the query of the relay, if it doesn't publish all events
    /// ([`Relay::only`](crate::kafka::Relay::only)): other events are not read from the log either.
    #[must_use]
    pub fn published(mut self, query: Query) -> Self {
        self.published = query;
        self
    }

    /// Sets the prefix of the names of consumer groups; *highwater.* by default. The fingerprint of the log
    /// and the name of the view follow it: `highwater.1f3c70ab.balances`.
    #[must_use]
    pub fn group_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.group_prefix = prefix.into();
        self
    }

    /// Names this process among the members of its groups (static membership): if it comes back under
    /// this name within the session timeout, its partitions have not moved, even if it was shut down. No
    /// two processes may have one name. Without a name each worker has one of its own for as long as it
    /// runs, and gives its partitions back when it is shut down.
    #[must_use]
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Sets how long a worker may stay without a heartbeat before others take the shards that it holds by
    /// lease; 5 seconds by default. The partitions of a member of a consumer group are reassigned by the
    /// group, after `session.timeout.ms`; its leases keep away workers that share the view without the
    /// group.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets the treatment of records that no relay has published; they are refused by default.
    #[must_use]
    pub fn foreign(mut self, policy: ForeignRecords) -> Self {
        self.foreign = policy;
        self
    }

    /// Returns the number of records that were ignored under [`ForeignRecords::Ignore`].
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    /// Returns how often the log has been read because a topic lacked events ([`KafkaState::Filling`]).
    #[must_use]
    pub fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// Subscribes to the state of a view's connection.
    #[must_use]
    pub fn state(&self, view: &ViewName) -> watch::Receiver<KafkaState> {
        self.states.of(view).subscribe()
    }

    /// Returns the state of a view's connection, if this source feeds it.
    #[cfg(feature = "service")]
    pub(crate) fn known(&self, view: &ViewName) -> Option<KafkaState> {
        self.states.known(view)
    }

    async fn count_partitions(&self, topics: &[String]) -> Result<BTreeMap<String, u32>> {
        self.kafka.validate()?;
        self.topics.validate()?;
        let found = count_partitions(&self.kafka, topics).await?;
        match topics.iter().find(|topic| !found.contains_key(*topic)) {
            None => Ok(found),
            Some(missing) => Err(Unavailable::TopicMissing { topic: missing.clone() }.into()),
        }
    }

    fn join_keyed(
        &self,
        subscription: &Subscription,
        filter: FeedFilter,
        reporter: SourceReporter,
    ) -> KeyedMembership {
        KeyedMembership {
            leases: Leases::new(&self.views, &self.clock, subscription, self.lease),
            kafka: self.kafka.clone(),
            group: self.group(&subscription.view),
            shards: subscription.sharding.shards,
            filter,
            reporter,
        }
    }

    fn join_group(
        &self,
        subscription: &Subscription,
        filter: FeedFilter,
        reporter: SourceReporter,
    ) -> Result<GroupMembership> {
        let Subscription { view, worker, sharding, .. } = subscription;
        let mut topics = filter.partitions.iter();
        let (Some((topic, count)), None) = (topics.next(), topics.next()) else {
            let message = format!(
                "view {view} is sharded by stream and fed from several topics; shard it by key, or \
                 name one category in its query"
            );
            return Err(Invalid::configuration(message).into());
        };
        if *count != sharding.shards {
            let message = format!(
                "topic {topic} has {count} partitions, but view {view} has {} shards: reshard the view",
                sharding.shards
            );
            return Err(Invalid::new(Code::BAD_TOPIC, message).into());
        }
        let topic = topic.clone();
        let former_group = format!("{}{view}", self.group_prefix);
        let named = self.instance.as_deref();
        let member = GroupMember::new(self.group(view), former_group, named, worker);
        let instance = member.instance.as_deref();
        let consumer = create_consumer(&self.kafka, &member.group, instance, *count)?;
        let filter = FeedFilter { own_shard: Some((*sharding, ShardId::FIRST)), ..filter };
        let heartbeat = Heartbeat::new(&self.views, &self.clock, view, worker, self.lease);
        Ok(GroupMembership::new(consumer, member, &topic, filter, heartbeat, reporter))
    }

    /// Returns the name of the group of a view. Several logs may have a view of one name.
    fn group(&self, view: &ViewName) -> String {
        format!("{}{}.{view}", self.group_prefix, self.log.log_id())
    }
}

#[async_trait]
impl FeedSource for KafkaSource {
    async fn sharding(&self, by: ShardBy, shards: u32) -> Result<Sharding> {
        if by == ShardBy::Key {
            return Ok(Sharding::by_key(shards));
        }
        let topics = self.topics.feeding(&Query::all())?;
        let counts = self.count_partitions(&topics).await;
        let counts = counts.inspect_err(|error| self.states.report_missing_topic(error))?;
        let mut counts = counts.into_iter();
        let Some((topic, count)) = counts.next() else { return Ok(Sharding::by_stream(shards)) };
        match counts.find(|(_, other)| *other != count) {
            None => Ok(Sharding::by_stream(count)),
            Some((other, others)) => {
                let message = format!(
                    "topic {topic} has {count} partitions and topic {other} has {others}: views that are \
                     sharded by stream need the same number in each"
                );
                Err(Invalid::new(Code::BAD_TOPIC, message).into())
            }
        }
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn join(&self, subscription: Subscription) -> Result<Box<dyn Membership>> {
        let topics = self.topics.feeding(&subscription.query)?;
        let view = &subscription.view;
        let reporter = SourceReporter {
            view: view.clone(),
            topics: topics.join(" or ").into(),
            state: self.states.of(view),
            is_instance_named: self.instance.is_some(),
            expired: watch::Sender::new(None),
            partitions_added: Arc::default(),
            filled: Arc::clone(&self.filled),
            clock: Arc::clone(&self.clock),
            repeats: DUPLICATES.count(&[view.as_str()]),
        };
        let partitions = self.count_partitions(&topics).await;
        let partitions = partitions.inspect_err(|error| reporter.cannot_join(error))?;
        // A worker that gets no shard reads nothing, and would never notice that the outage is over.
        reporter.forget_outage();
        let filter = FeedFilter {
            log: Arc::clone(&self.log),
            query: subscription.query.clone(),
            published: self.published.clone(),
            topics: self.topics.clone(),
            partitions,
            own_shard: None,
            foreign: self.foreign,
            ignored: Arc::clone(&self.ignored),
        };
        match subscription.sharding.by {
            ShardBy::Key => Ok(Box::new(self.join_keyed(&subscription, filter, reporter))),
            ShardBy::Stream => Ok(Box::new(self.join_group(&subscription, filter, reporter)?)),
        }
    }
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("KafkaSource");
        debug.field("kafka", &self.kafka).field("topics", &self.topics).finish_non_exhaustive()
    }
}
