//! The public handle of a relay: its options, and how it is run.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use highwater_core::{Highwater, Query, Result};
use tokio::sync::watch;

use super::{
    lead::Leader,
    settings::RelaySettings,
    status::{RelayReporter, RelayStatus},
};
use crate::kafka::{connection::Kafka, topics::Topics};

/// Publishes the log of a store on Kafka, in order, until it is shut down.
///
/// There may be any number of relays of one name: one leads, the others wait until its lease runs
/// out. Their checkpoint is in the view store. No event is ever skipped: a relay that can't publish an
/// event retries until it can, and [reports it](Relay::status).
///
/// ```no_run
/// # use highwater_core::{Highwater, Result};
/// use highwater_projections::kafka::{Kafka, Relay, Topics};
///
/// # async fn example(bank: &Highwater) -> Result<()> {
/// let relay = Relay::new(bank, Kafka::at("127.0.0.1:9092"), Topics::one("bank")).named("bank");
/// relay.run(std::future::pending()).await
/// # }
/// ```
pub struct Relay {
    settings: RelaySettings,
    status: watch::Sender<RelayStatus>,
}

impl Relay {
    /// Creates a relay from the log of this store to these topics. Its checkpoint is among the store's
    /// views.
    #[must_use]
    pub fn new(highwater: &Highwater, kafka: Kafka, topics: Topics) -> Self {
        let settings = RelaySettings::new(highwater, kafka, topics);
        Self { settings, status: watch::Sender::new(RelayStatus::Waiting) }
    }

    /// Sets the name, *log* by default: `a-z`, `0-9`, `_`, at most 34. Relays of one name are one
    /// relay, of which one leads. Relays of two names must not share a topic.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Publishes only the events of this query; all events by default. A bounded context may publish a
    /// part of its events. Views see what is published, so their source needs the same query
    /// ([`KafkaSource::published`](crate::kafka::KafkaSource::published)).
    #[must_use]
    pub fn only(mut self, query: Query) -> Self {
        self.settings.query = query;
        self
    }

    /// Sets the CloudEvents source of the events, a URI reference; `/highwater/NAME` by default.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.settings.source = Some(source.into());
        self
    }

    /// Sets the number of partitions of a topic that the relay creates; 12 by default. A topic keeps
    /// its number: the partition of a stream depends on it.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.settings.topic_config.partitions = partitions.max(1);
        self
    }

    /// Sets the number of replicas of a topic that the relay creates; the default of the cluster by
    /// default.
    #[must_use]
    pub fn replication(mut self, replicas: u16) -> Self {
        self.settings.topic_config.replication = Some(replicas);
        self
    }

    /// Sets how long a topic that the relay creates keeps its records; the default of the cluster by
    /// default. Views read from the store what a topic no longer has.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.settings.topic_config.retention = Some(time);
        self
    }

    /// Sets how long a partition may stay without a record while there are events in others, before it
    /// gets a mark; 10 ms by default. While there are many events, a view that is sharded by key is
    /// behind by as much; after a pause the first event is followed by its marks at once.
    #[must_use]
    pub fn mark_interval(mut self, interval: Duration) -> Self {
        self.settings.mark_interval = interval;
        self
    }

    /// Sets how often marks are written while there are no events; 1 s by default. They show that the
    /// view is still current, and cost a small record in each partition.
    #[must_use]
    pub fn idle_interval(mut self, interval: Duration) -> Self {
        self.settings.idle_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets how long a leader may stay without a heartbeat before another relay leads; 5 s by default.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Sets how many events are read from the log at a time; 5,000 by default.
    #[must_use]
    pub fn page(mut self, events: usize) -> Self {
        self.settings.page_size = events.max(1);
        self
    }

    /// Subscribes to the status of the relay.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.subscribe()
    }

    /// Publishes until `shutdown`. Waits then up to five seconds for what has been sent; what is not
    /// acknowledged in time is published again by the next leader, and consumers drop it.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the settings are invalid, or the client refuses them.
    /// All other errors are retried: an operator may put right what they are about.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let view = self.settings.validate()?;
        let reporter = RelayReporter::new(self.status, &self.settings.name);
        let leader = Leader { settings: self.settings, view, reporter };
        let (stop, stopped) = watch::channel(false);
        let work = pin!(leader.run(stopped));
        match select(work, pin!(shutdown)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(((), work)) => {
                stop.send_replace(true);
                work.await
            }
        }
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RelaySettings { name, kafka, topics, .. } = &self.settings;
        let mut debug = f.debug_struct("Relay");
        debug.field("name", name).field("kafka", kafka).field("topics", topics);
        debug.field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}
