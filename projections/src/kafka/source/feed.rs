//! The feed of a shard: one partition or many, delivered in log order, and filled from the store.

use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::poll_fn};
use highwater_core::{
    Error, Position, Result,
    error::{Corrupt, Source as Reason, Unavailable},
    port::{Clock, Feed, FeedPage, Progress},
};
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::Offset,
};
use tokio::sync::watch;

use super::{
    context::Context,
    lane::{Lack, Lane},
    merge::Merge,
    offsets::Offsets,
    state::{CONSUMING, KafkaState, Reporter},
    wanted::Wanted,
};
use crate::kafka::{elsewhere::Elsewhere, record::Names};

/// How often Kafka hears how far the view is. Only lag tools look at it.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// A feed looks at its partitions this often even if it hears nothing.
const LOOK: Duration = Duration::from_secs(1);

/// Reads partitions.
pub(super) struct KafkaFeed {
    // Queues go before the consumer that they belong to.
    queues: Vec<StreamPartitionQueue<Context>>,
    consumer: Elsewhere<StreamConsumer<Context>>,
    merge: Merge,
    wanted: Wanted,
    names: Names,
    clock: Arc<dyn Clock>,
    reporter: Reporter,
    /// Whether the consumer is this feed's own, so that nobody else hears what it says.
    is_alone: bool,
    /// Whether it has been said that the broker is gone.
    told: bool,
    committed: Option<Instant>,
}

/// What a feed reads from.
pub(super) struct Reading {
    pub(super) consumer: Arc<StreamConsumer<Context>>,
    pub(super) queues: Vec<StreamPartitionQueue<Context>>,
    pub(super) lanes: Vec<Lane>,
    pub(super) is_alone: bool,
}

impl KafkaFeed {
    pub(super) fn new(
        reading: Reading,
        wanted: Wanted,
        from: &Progress,
        clock: Arc<dyn Clock>,
        reporter: Reporter,
    ) -> Self {
        Self {
            queues: reading.queues,
            consumer: Elsewhere::shared(reading.consumer),
            merge: Merge::new(reading.lanes, from.position, from.as_of),
            wanted,
            names: Names::default(),
            clock,
            reporter,
            is_alone: reading.is_alone,
            told: false,
            committed: None,
        }
    }

    /// Takes what has arrived; waits until something has. Safe to cancel: what has been taken stays.
    async fn gather(&mut self, limit: usize) -> Result<()> {
        let Self { queues, consumer, merge, wanted, names, reporter, is_alone, .. } = self;
        let mut streams: Vec<_> = queues.iter().map(StreamPartitionQueue::stream).collect();
        let mut main = consumer.stream();
        poll_fn(|context| {
            let mut has_taken = false;
            for (lane, stream) in merge.lanes.iter_mut().zip(&mut streams) {
                while !lane.is_full(limit) {
                    match stream.poll_next_unpin(context) {
                        Poll::Ready(Some(Ok(message))) => {
                            wanted.take(&message, lane, names);
                            has_taken = true;
                        }
                        Poll::Ready(Some(Err(error))) => reporter.hear(error)?,
                        Poll::Ready(None) | Poll::Pending => break,
                    }
                }
                reporter.repeats.increment(lane.repeats());
            }
            if *is_alone {
                while let Poll::Ready(Some(said)) = main.poll_next_unpin(context) {
                    said.map_or_else(|error| reporter.hear(error), |_| Ok(()))?;
                }
            }
            if has_taken { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// The topics that are read.
    fn topics(&self) -> String {
        self.wanted.partitions.keys().map(String::as_str).collect::<Vec<_>>().join(" or ")
    }

    /// Reads from the store what the partitions lack.
    async fn fill(&mut self, to: Position, why: Lack, limit: usize) -> Result<()> {
        let from = self.merge.through();
        self.reporter.filling(why, from, to);
        let page = self.wanted.read(from, limit).await?;
        if page.through == from {
            let what = format!("a topic speaks of event {to}, but the log ends with {from}");
            return Err(Corrupt::Log(what).into());
        }
        self.merge.fill(page);
        Ok(())
    }

    /// Waits until something has arrived, is due to be said, or is wrong.
    async fn wait(&mut self, limit: usize) -> Result<()> {
        let due = self.merge.until_due(Instant::now()).unwrap_or(LOOK).min(LOOK);
        let (clock, state) = (Arc::clone(&self.clock), self.reporter.state.subscribe());
        let trouble = trouble(state, self.told, self.topics());
        let outcome = tokio::select! {
            biased;
            taken = self.gather(limit) => taken.map(|()| true),
            error = trouble => Err(error),
            () = clock.sleep(due) => Ok(false),
        };
        match outcome {
            Ok(has_taken) => {
                if has_taken {
                    self.reporter.consuming();
                    self.told = false;
                }
                Ok(())
            }
            Err(error) => {
                self.told = true;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Feed for KafkaFeed {
    async fn next(&mut self, limit: usize) -> Result<FeedPage> {
        loop {
            if let Some(page) = self.merge.page(limit, Instant::now()) {
                return Ok(page);
            }
            if let Some(error) = self.merge.lanes.iter().find_map(Lane::refused) {
                self.reporter.foreign(error);
                return Err(error.clone());
            }
            match self.merge.missing() {
                Some((to, why)) => self.fill(to, why, limit).await?,
                None => self.wait(limit).await?,
            }
        }
    }

    fn committed(&mut self, progress: &Progress) {
        let is_due = self.committed.is_none_or(|last| last.elapsed() >= COMMIT_INTERVAL);
        if !is_due {
            return;
        }
        self.committed = Some(Instant::now());
        let mut offsets = TopicPartitionList::new();
        for (topic, partition, offset) in Offsets::from_cursor(&progress.cursor).read() {
            // Only an offset that is none would be refused.
            let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(offset));
        }
        if offsets.count() > 0
            && let Err(error) = self.consumer.commit(&offsets, CommitMode::Async)
        {
            tracing::debug!(view = %self.reporter.view, %error, "telling Kafka how far the view is");
        }
    }
}

impl Drop for KafkaFeed {
    /// Nobody would hear that what is in the way is so no longer. Another feed of the view says so again.
    fn drop(&mut self) {
        if self.is_alone {
            self.reporter.forget_trouble();
        }
    }
}

/// Waits for what the feed's owner must hear, and has not been told.
async fn trouble(mut state: watch::Receiver<KafkaState>, told: bool, topic: String) -> Error {
    let is_news = |state: &KafkaState| match state {
        KafkaState::BrokerGone { .. } | KafkaState::TopicMissing => !told,
        KafkaState::WrongCredentials { .. } | KafkaState::InstanceTaken { .. } => true,
        _ => false,
    };
    match state.wait_for(is_news).await.map(|state| state.clone()) {
        Ok(KafkaState::WrongCredentials { error } | KafkaState::InstanceTaken { error }) => error,
        Ok(KafkaState::TopicMissing) => Unavailable::TopicMissing { topic }.into(),
        Ok(_) => gone(),
        // The sender is the reporter's, which the feed keeps.
        Err(_) => std::future::pending().await,
    }
}

fn gone() -> Error {
    let source = Reason::new(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown));
    Unavailable::Broker { doing: CONSUMING, source }.into()
}
