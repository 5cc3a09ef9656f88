//! The settings of a relay, and the ports that it uses.

use std::{sync::Arc, time::Duration};

use highwater_core::{
    Highwater, Query, Result,
    domain::ViewName,
    port::{Clock, EventStore, ViewStore, WorkerId},
};

use crate::{
    kafka::{admin::TopicConfig, connection::Kafka, topics::Topics},
    options::Backoff,
};

/// The settings of a relay, and the ports that it uses.
pub(super) struct RelaySettings {
    pub(super) kafka: Kafka,
    pub(super) topics: Topics,
    pub(super) log: Arc<dyn EventStore>,
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) worker: WorkerId,
    pub(super) name: String,
    pub(super) source: Option<String>,
    pub(super) query: Query,
    pub(super) topic_config: TopicConfig,
    pub(super) mark_interval: Duration,
    pub(super) idle_interval: Duration,
    pub(super) lease: Duration,
    pub(super) page_size: usize,
}

impl RelaySettings {
    /// The defaults of a relay of this store.
    pub(super) fn new(highwater: &Highwater, kafka: Kafka, topics: Topics) -> Self {
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
            topic_config: TopicConfig { partitions: 12, replication: None, retention: None },
            mark_interval: Duration::from_millis(10),
            idle_interval: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            page_size: 5_000,
        }
    }

    /// Checks the settings, and returns the name of the view that holds the checkpoint.
    pub(super) fn validate(&self) -> Result<ViewName> {
        self.kafka.validate()?;
        self.topics.validate()?;
        self.query.validate()?;
        ViewName::new(&format!("relay_{}", self.name))
    }
}

/// The pauses between retries: from 100 ms to 10 s, without end.
pub(super) fn retry_pauses() -> impl Iterator<Item = Duration> {
    let min_delay = Duration::from_millis(100);
    let max_delay = Duration::from_secs(10);
    Backoff { min_delay, max_delay, ..Backoff::default() }.waits()
}
