//! How a relay is set up.

use std::{sync::Arc, time::Duration};

use highwater_core::{Highwater, Query, port::WorkerId};
use tokio::sync::watch;

use super::{Relay, RelayStatus, status::Reporter};
use crate::kafka::{Kafka, Topics, admin::Blueprint};

impl Relay {
    /// A relay from the log of this store into these topics. Its checkpoint is among the store's
    /// views.
    #[must_use]
    pub fn new(highwater: &Highwater, kafka: Kafka, topics: Topics) -> Self {
        Self {
            kafka,
            topics,
            log: Arc::clone(highwater.log()),
            views: Arc::clone(highwater.views()),
            clock: Arc::clone(highwater.clock()),
            worker: WorkerId::unique(&**highwater.ids()),
            name: "log".into(),
            source: None,
            query: Query::all(),
            blueprint: Blueprint { partitions: 12, replication: None, retention: None },
            mark_interval: Duration::from_millis(10),
            idle_interval: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            page: 5_000,
            reporter: Reporter::new(),
        }
    }

    /// Its name, *log* unless set: `a-z`, `0-9`, `_`, at most 34. Relays of one name are one relay, of
    /// which one leads. Two names may not share a topic.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The events that are published, all unless set: a bounded context may give away some. Views see
    /// what is published, so their source must be told the same
    /// ([`KafkaSource::published`](crate::kafka::KafkaSource::published)).
    #[must_use]
    pub fn only(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// The source of the events as CloudEvents has it, a URI reference; `/highwater/NAME` unless set.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How many partitions a topic gets when it is made; 12 unless set. A topic keeps the number that
    /// it has: which partition a stream is in depends on it.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.blueprint.partitions = partitions.max(1);
        self
    }

    /// How many replicas a topic gets when it is made; what the cluster does by default unless set.
    #[must_use]
    pub fn replication(mut self, replicas: u16) -> Self {
        self.blueprint.replication = Some(replicas);
        self
    }

    /// How long a topic that is made keeps its records; what the cluster does by default unless set.
    /// Views read from the store what a topic has forgotten.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.blueprint.retention = Some(time);
        self
    }

    /// How long a partition may get no record of its own while there are events in others; then it gets
    /// a mark. 10 ms unless set. While there are many events, a view that is divided by key is behind by
    /// as much; after a pause the first event is followed by its marks at once.
    #[must_use]
    pub fn mark_interval(mut self, interval: Duration) -> Self {
        self.mark_interval = interval;
        self
    }

    /// How often marks are written when nothing happens; 1 s unless set. They say that the view is
    /// still current, and cost a small record in each partition.
    #[must_use]
    pub fn idle_interval(mut self, interval: Duration) -> Self {
        self.idle_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How long a leader may give no sign of life before another leads; 5 s unless set.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many events are read from the log at a time; 5,000 unless set.
    #[must_use]
    pub fn page(mut self, events: usize) -> Self {
        self.page = events.max(1);
        self
    }

    /// How it fares, now and from now on.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.reporter.subscribe()
    }
}
