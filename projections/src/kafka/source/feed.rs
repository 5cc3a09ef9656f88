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
    port::{Feed, FeedPage, Progress},
};
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::Offset,
};
use tokio::sync::watch;

use super::{
    filter::FeedFilter,
    lane::{GapCause, Lane},
    merge::Merge,
    rebalance::RebalanceContext,
    report::{CONSUMING, SourceReporter},
    resume::ResumePoints,
    state::KafkaState,
};
use crate::kafka::{drop_in_thread::DropInThread, record::TypeNames};

/// The interval of offset commits to Kafka. Only tools that show the lag read them.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which a feed looks at its partitions if no record arrives.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Reads partitions.
pub(super) struct KafkaFeed {
    // Queues are dropped before the consumer that they belong to.
    queues: Vec<StreamPartitionQueue<RebalanceContext>>,
    consumer: DropInThread<StreamConsumer<RebalanceContext>>,
    merge: Merge,
    filter: FeedFilter,
    names: TypeNames,
    reporter: SourceReporter,
    /// True if no other feed uses the consumer: then this one must read its errors.
    owns_consumer: bool,
    /// True if the owner of the feed has been given the error of the outage.
    has_reported: bool,
    last_commit: Option<Instant>,
}

/// The consumer and the partitions of a feed.
pub(super) struct FeedInput {
    pub(super) consumer: Arc<StreamConsumer<RebalanceContext>>,
    pub(super) queues: Vec<StreamPartitionQueue<RebalanceContext>>,
    pub(super) lanes: Vec<Lane>,
    pub(super) owns_consumer: bool,
}

impl KafkaFeed {
    pub(super) fn new(
        input: FeedInput,
        filter: FeedFilter,
        from: &Progress,
        reporter: SourceReporter,
    ) -> Self {
        Self {
            queues: input.queues,
            consumer: DropInThread::shared(input.consumer),
            merge: Merge::new(input.lanes, from.position, from.as_of),
            filter,
            names: TypeNames::default(),
            reporter,
            owns_consumer: input.owns_consumer,
            has_reported: false,
            last_commit: None,
        }
    }

    /// Waits for records, and adds those that have arrived to their lanes. Safe to cancel: what has been
    /// added stays.
    async fn receive(&mut self, limit: usize) -> Result<()> {
        let Self { queues, consumer, merge, filter, names, reporter, owns_consumer, .. } = self;
        let mut streams: Vec<_> = queues.iter().map(StreamPartitionQueue::stream).collect();
        let mut main = consumer.stream();
        poll_fn(|context| {
            let mut has_received = false;
            for (lane, stream) in merge.lanes.iter_mut().zip(&mut streams) {
                while !lane.is_full(limit) {
                    match stream.poll_next_unpin(context) {
                        Poll::Ready(Some(Ok(message))) => {
                            filter.add(&message, lane, names);
                            has_received = true;
                        }
                        Poll::Ready(Some(Err(error))) => reporter.client_error(error)?,
                        Poll::Ready(None) | Poll::Pending => break,
                    }
                }
                reporter.repeats.increment(lane.take_repeats());
            }
            if *owns_consumer {
                while let Poll::Ready(Some(message)) = main.poll_next_unpin(context) {
                    message.map_or_else(|error| reporter.client_error(error), |_| Ok(()))?;
                }
            }
            if has_received { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Returns the names of the topics that are read.
    fn topics(&self) -> String {
        self.filter.partitions.keys().map(String::as_str).collect::<Vec<_>>().join(" or ")
    }

    /// Reads from the store what the partitions lack.
    async fn fill(&mut self, to: Position, cause: GapCause, limit: usize) -> Result<()> {
        let from = self.merge.through();
        self.reporter.filling(cause, from, to);
        let page = self.filter.read(from, limit).await?;
        if page.through == from {
            let what = format!("a topic names event {to}, but the log ends with {from}");
            return Err(Corrupt::Log(what).into());
        }
        self.merge.fill(page);
        Ok(())
    }

    /// Waits until a record has arrived, a page is due, or there is an error to return.
    async fn wait(&mut self, limit: usize) -> Result<()> {
        let due = self.merge.until_due(Instant::now()).unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL);
        let clock = Arc::clone(&self.reporter.clock);
        let state = self.reporter.state.subscribe();
        let error = unreported_error(state, self.has_reported, self.topics());
        let outcome = tokio::select! {
            biased;
            received = self.receive(limit) => received.map(|()| true),
            error = error => Err(error),
            () = clock.sleep(due) => Ok(false),
        };
        match outcome {
            Ok(true) => {
                self.reporter.consuming();
                self.has_reported = false;
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                self.has_reported = true;
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
                self.reporter.foreign_record(error);
                return Err(error.clone());
            }
            match self.merge.missing() {
                Some((to, cause)) => self.fill(to, cause, limit).await?,
                None => self.wait(limit).await?,
            }
        }
    }

    fn committed(&mut self, progress: &Progress) {
        if self.last_commit.is_some_and(|last| last.elapsed() < COMMIT_INTERVAL) {
            return;
        }
        self.last_commit = Some(Instant::now());
        let mut offsets = TopicPartitionList::new();
        for (topic, partition, offset) in ResumePoints::from_cursor(&progress.cursor).offsets() {
            // Only an invalid offset would be refused.
            let _ = offsets.add_partition_offset(topic, partition, Offset::Offset(offset));
        }
        if offsets.count() > 0
            && let Err(error) = self.consumer.commit(&offsets, CommitMode::Async)
        {
            let view = &self.reporter.view;
            tracing::debug!(%view, %error, "offsets could not be committed to Kafka");
        }
    }
}

impl Drop for KafkaFeed {
    /// Forgets the outage that this consumer reported: without it the end of the outage would not be
    /// noticed. Another feed of the view reports it again.
    fn drop(&mut self) {
        if self.owns_consumer {
            self.reporter.forget_outage();
        }
    }
}

/// Waits for an error that the owner of the feed must get, and has not got yet.
async fn unreported_error(
    mut state: watch::Receiver<KafkaState>,
    has_reported: bool,
    topic: String,
) -> Error {
    let is_news = |state: &KafkaState| match state {
        KafkaState::BrokerGone { .. } | KafkaState::TopicMissing => !has_reported,
        KafkaState::WrongCredentials { .. } | KafkaState::InstanceTaken { .. } => true,
        _ => false,
    };
    match state.wait_for(is_news).await.map(|state| state.clone()) {
        Ok(KafkaState::WrongCredentials { error } | KafkaState::InstanceTaken { error }) => error,
        Ok(KafkaState::TopicMissing) => Unavailable::TopicMissing { topic }.into(),
        Ok(_) => broker_gone(),
        // The feed keeps the reporter, and the reporter the sender.
        Err(_) => std::future::pending().await,
    }
}

fn broker_gone() -> Error {
    let source = Reason::new(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown));
    Unavailable::Broker { doing: CONSUMING, source }.into()
}
