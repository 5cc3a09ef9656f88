//! A log, a relay, feeds, and a topic for each test.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use highwater_core::{
    Envelope, Highwater, Position, Query, ReadFrom, SchemaVersion, StreamId, Tag, Tags,
    domain::{EventType, Fingerprint, ViewName, ViewSpec},
    port::{
        Append, Clock, EventStore as _, Feed, FeedSource, Ids as _, NewEvent, Progress,
        Subscription, ViewStore as _, WorkerId,
    },
    value::{Expected, ShardId, Sharding},
};
use highwater_projections::kafka::{Kafka, KafkaSource, Relay, RelayStatus, Topics};
use highwater_stores::{MemoryStore, SystemClock, SystemIds};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::member::Member;

const LEASE: Duration = Duration::from_millis(500);

/// The time limit of each step, even on a slow machine.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(60);

/// A log in memory, and a unique name for a topic.
#[derive(Clone)]
pub(crate) struct TopicFixture {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) highwater: Highwater,
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
}

impl TopicFixture {
    /// Uses the server in the environment. Skips the test if there is none.
    pub(crate) fn new(test: &str) -> Option<Self> {
        highwater_test_support::services::kafka_servers(test).map(Self::at)
    }

    pub(crate) fn at(bootstrap: String) -> Self {
        Self::with_store(bootstrap, MemoryStore::default())
    }

    /// Uses the server in the environment, and a store whose clock is wrong by so much.
    pub(crate) fn with_wrong_clock(test: &str, wrong_by: SignedDuration) -> Option<Self> {
        let bootstrap = highwater_test_support::services::kafka_servers(test)?;
        let store = MemoryStore::new(Arc::new(WrongClock(wrong_by)));
        Some(Self::with_store(bootstrap, store))
    }

    fn with_store(bootstrap: String, store: MemoryStore) -> Self {
        let store = Arc::new(store);
        let highwater = Highwater::with_store(&store, SystemClock, SystemIds).build();
        let topic = format!("test-{:016x}", fastrand::u64(..));
        Self { store, highwater, bootstrap, topic }
    }

    pub(crate) fn kafka(&self) -> Kafka {
        Kafka::at(&self.bootstrap)
            .setting("topic.metadata.refresh.interval.ms", "500")
            .setting("reconnect.backoff.max.ms", "500")
    }

    pub(crate) fn topics(&self) -> Topics {
        Topics::one(&self.topic)
    }

    /// Appends events, one at a time, to streams in turn.
    pub(crate) async fn append(&self, count: usize) {
        let from = self.store.head().await.unwrap().get() as usize;
        for number in from..from + count {
            let event = NewEvent {
                tags: [Tag::new("number", number % 5)].into(),
                payload: Bytes::from(format!("{{\"number\":{number}}}")),
                ..event(["suite.even", "suite.odd"][number % 2])
            };
            let category = ["account", "order"][usize::from(number % 7 == 0)];
            self.append_one(&format!("{category}-{}", number % 23), event).await;
        }
    }

    pub(crate) async fn append_one(&self, stream: &str, event: NewEvent) {
        let stream = StreamId::parse(stream).unwrap();
        let append = Append::new(SystemIds.command_id(), Fingerprint::from_bits(7)).stream(
            stream,
            Expected::Any,
            vec![event],
        );
        self.store.append(append).await.unwrap();
    }

    /// Returns the whole log.
    pub(crate) async fn log(&self) -> Vec<Envelope> {
        let mut log = Vec::new();
        let mut after = Position::START;
        loop {
            let from = ReadFrom::After(after);
            let page = self.store.read_log(&Query::all(), from, usize::MAX).await.unwrap();
            log.extend(page.events);
            after = page.through;
            if !page.more {
                return log;
            }
        }
    }

    /// Returns the events of the log that belong to a shard.
    pub(crate) async fn of_shard(&self, sharding: Sharding, shard: ShardId) -> Vec<Envelope> {
        let mut events = self.log().await;
        events
            .retain(|event| sharding.shard_of_stream(&event.stream).is_none_or(|own| own == shard));
        events
    }

    /// Returns a relay into the topic, which it creates with four partitions.
    pub(crate) fn relay(&self) -> Relay {
        Relay::new(&self.highwater, self.kafka(), self.topics())
            .named("test")
            .partitions(4)
            .lease(LEASE)
            .idle_interval(Duration::from_millis(100))
    }

    /// Publishes the whole log.
    pub(crate) async fn publish(&self) {
        let relay = RelayTask::start(self.relay());
        relay.has_published(self.store.head().await.unwrap()).await;
        relay.stop().await;
    }

    /// Returns a source whose members are notified of assignments soon.
    pub(crate) fn source(&self) -> KafkaSource {
        let kafka = self.kafka().setting("heartbeat.interval.ms", "100");
        KafkaSource::new(&self.highwater, kafka, self.topics()).lease(LEASE)
    }

    pub(crate) fn subscription(&self, view: &str, sharding: Sharding) -> Subscription {
        let view = ViewName::new(view).unwrap();
        let worker = WorkerId::unique(&SystemIds);
        Subscription { view, query: Query::all(), worker, sharding }
    }

    /// Joins the group of a view.
    pub(crate) async fn join(
        &self,
        source: &dyn FeedSource,
        subscription: &Subscription,
    ) -> Member {
        let spec = ViewSpec::without_rows(subscription.view.clone());
        self.store.open_view(&spec, subscription.sharding).await.unwrap();
        let membership = source.join(subscription.clone()).await.unwrap();
        Member::new(membership, Arc::clone(&self.store), subscription.clone())
    }

    /// Joins as the only worker of a view with this sharding.
    pub(crate) async fn alone(&self, view: &str, sharding: Sharding) -> Member {
        self.join(&self.source(), &self.subscription(view, sharding)).await
    }

    /// Opens one feed of everything, after a progress.
    pub(crate) async fn whole(&self, source: &dyn FeedSource, from: &Progress) -> Box<dyn Feed> {
        let subscription = self.subscription("whole", Sharding::SINGLE);
        let mut member = self.join(source, &subscription).await;
        member.membership.open(ShardId::FIRST, from).await.unwrap()
    }
}

/// A clock that is wrong.
struct WrongClock(SignedDuration);

#[async_trait]
impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

/// Reads all events that a feed delivers up to a position.
pub(crate) async fn drain(feed: &mut dyn Feed, to: Position, limit: usize) -> Drained {
    let mut drained = Drained::default();
    while drained.progress.position < to {
        let page = in_time(feed.next(limit)).await.unwrap();
        assert!(page.events.len() <= limit);
        assert!(page.through >= drained.progress.position);
        drained.pages += 1;
        drained.events.extend(page.events);
        drained.progress.position = page.through;
        drained.progress.as_of = page.as_of.unwrap_or(drained.progress.as_of);
        drained.progress.cursor = page.cursor;
    }
    drained
}

#[derive(Default)]
pub(crate) struct Drained {
    pub(crate) events: Vec<Envelope>,
    pub(crate) progress: Progress,
    pub(crate) pages: usize,
}

/// A relay that runs in a task.
pub(crate) struct RelayTask {
    pub(crate) status: watch::Receiver<RelayStatus>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<highwater_core::Result<()>>,
}

impl RelayTask {
    pub(crate) fn start(relay: Relay) -> Self {
        let (stop, stopped) = oneshot::channel();
        let status = relay.status();
        let task = tokio::spawn(relay.run(async { drop(stopped.await) }));
        Self { status, stop, task }
    }

    /// Shuts the relay down.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        in_time(self.task).await.unwrap().unwrap();
    }

    /// Aborts the relay like a crash.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn has_published(&self, position: Position) {
        self.is(
            |status| matches!(status, RelayStatus::Leading { published } if *published >= position),
        )
        .await;
    }

    pub(crate) async fn is(&self, what: impl FnMut(&RelayStatus) -> bool) {
        let mut status = self.status.clone();
        in_time(status.wait_for(what)).await.unwrap();
    }

    /// Waits until the relay fails, and returns the error.
    pub(crate) async fn fails(&self) -> highwater_core::Error {
        self.is(|status| status.error().is_some()).await;
        self.status.borrow().error().unwrap().clone()
    }
}

pub(crate) async fn in_time<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_TIMEOUT, waiting).await.unwrap()
}

/// Returns the positions of events.
pub(crate) fn positions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

/// Returns an event of this type.
pub(crate) fn event(name: &'static str) -> NewEvent {
    NewEvent {
        id: SystemIds.event_id(),
        event_type: EventType { name, version: SchemaVersion::FIRST },
        tags: Tags::none(),
        payload: Bytes::from_static(b"{}"),
    }
}
