//! The feed of a shard: one partition or many, delivered in log order, and filled from the store.

use std::{
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, future::poll_fn};
use highwater_core::{
    Code, Error, Position, Result,
    error::{Corrupt, Invalid, Source as Reason, Unavailable},
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
    ends::{FeedPartition, ends_of, is_unused},
    filter::FeedFilter,
    lane::{GapCause, Lane},
    merge::Merge,
    rebalance::RebalanceContext,
    report::{CONSUMING, SourceReporter},
    resume::ResumePoints,
    stall::StallDetector,
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
    stall: StallDetector,
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
            stall: StallDetector::new(Instant::now()),
        }
    }

    /// Waits for records, and adds those that have arrived to their lanes. Safe to cancel: what has been
    /// added stays.
    async fn receive(&mut self, limit: usize) -> Result<()> {
        let Self { queues, consumer, merge, filter, names, reporter, owns_consumer, stall, .. } =
            self;
        let mut streams: Vec<_> = queues.iter().map(StreamPartitionQueue::stream).collect();
        let mut main = consumer.stream();
        poll_fn(|context| {
            let mut has_received = false;
            for (index, (lane, stream)) in merge.lanes.iter_mut().zip(&mut streams).enumerate() {
                while !lane.is_full(limit) {
                    match stream.poll_next_unpin(context) {
                        Poll::Ready(Some(Ok(message))) => {
                            filter.add(&message, lane, names);
                            stall.received(index);
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

    /// Asks for the ends of the partitions from which nothing arrives.
    ///
    /// # Errors
    /// [`Unavailable`] if one has records that the client doesn't get. The membership ends as well.
    async fn check_stall(&mut self, limit: usize) -> Result<()> {
        let lanes = self.merge.lanes.iter().enumerate();
        let read = lanes.filter(|(_, lane)| !lane.is_full(limit)).map(|(index, _)| index);
        let quiet = self.stall.due(read, Instant::now());
        if quiet.is_empty() {
            return Ok(());
        }
        let partition = |index: usize| {
            let Lane { topic, partition, .. } = &self.merge.lanes[index];
            FeedPartition { index, topic: Arc::clone(topic), partition: *partition }
        };
        let quiet = quiet.into_iter().map(partition).collect();
        for (index, end) in ends_of(&self.consumer, quiet).await {
            if self.stall.has_stalled(index, end) {
                let Lane { topic, partition, .. } = &self.merge.lanes[index];
                let error = stalled(topic, *partition);
                self.reporter.expire(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns the error of a partition that is read no further.
    async fn refusal(&mut self, index: usize) -> Error {
        if self.merge.lanes[index].is_misplaced() {
            let topic = Arc::clone(&self.merge.lanes[index].topic);
            let added = self.partitions_added(&topic).await;
            match added {
                Ok(Some(added)) => self.merge.lanes[index].refuse(added),
                Ok(None) => {}
                Err(error) => return error,
            }
        }
        let error = self.merge.lanes[index].refused().cloned();
        let error = error.unwrap_or_else(broker_gone);
        self.reporter.refused_record(&error);
        error
    }

    /// Returns the error if partitions were added to a topic in which a record is in a wrong partition: a
    /// relay writes to every partition that it knows, at the latest with its first marks.
    async fn partitions_added(&mut self, topic: &Arc<str>) -> Result<Option<Error>> {
        let count = self.filter.partitions.get(&**topic).copied().unwrap_or_default();
        let last = i32::try_from(count).unwrap_or(i32::MAX) - 1;
        let is_unused = is_unused(&self.consumer, topic, last).await?;
        let message = format!(
            "topic {topic} has {count} partitions, but its records are where fewer partitions put them, and \
             partition {last} has never had one: partitions were added, and the partition of a stream \
             depends on their number. Publish to a new topic under a new relay name, and let the views be \
             resharded"
        );
        Ok(is_unused.then(|| Invalid::new(Code::BAD_TOPIC, message).into()))
    }

    /// Waits until a record has arrived, a page is due, or there is an error to return.
    async fn wait(&mut self, limit: usize) -> Result<()> {
        self.check_stall(limit).await?;
        let due = self.merge.until_due(Instant::now()).unwrap_or(POLL_INTERVAL).min(POLL_INTERVAL);
        let clock = Arc::clone(&self.reporter.clock);
        let state = self.reporter.state.subscribe();
        let topics = Arc::clone(&self.reporter.topics);
        let error = unreported_error(state, self.has_reported, &topics);
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
            let is_refused = |lane: &Lane| lane.refused().is_some();
            if let Some(index) = self.merge.lanes.iter().position(is_refused) {
                return Err(self.refusal(index).await);
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
        if self.owns_consumer && !self.reporter.is_expired() {
            self.reporter.forget_outage();
        }
    }
}

/// Waits for an error that the owner of the feed must get, and has not got yet.
async fn unreported_error(
    mut state: watch::Receiver<KafkaState>,
    has_reported: bool,
    topics: &str,
) -> Error {
    let is_news = |state: &KafkaState| match state {
        KafkaState::BrokerGone { .. } | KafkaState::TopicMissing => !has_reported,
        KafkaState::WrongCredentials { .. } | KafkaState::InstanceTaken { .. } => true,
        _ => false,
    };
    match state.wait_for(is_news).await.map(|state| state.clone()) {
        Ok(KafkaState::WrongCredentials { error } | KafkaState::InstanceTaken { error }) => error,
        Ok(KafkaState::TopicMissing) => {
            Unavailable::TopicMissing { topic: topics.to_owned() }.into()
        }
        Ok(_) => broker_gone(),
        // The feed keeps the reporter, and the reporter the sender.
        Err(_) => std::future::pending().await,
    }
}

fn stalled(topic: &str, partition: i32) -> Error {
    let source = Reason::new(format!(
        "the client gets no records of {topic}/{partition}, which has some; a new client replaces it"
    ));
    Unavailable::Broker { doing: CONSUMING, source }.into()
}

fn broker_gone() -> Error {
    let source = Reason::new(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown));
    Unavailable::Broker { doing: CONSUMING, source }.into()
}
