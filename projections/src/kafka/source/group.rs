//! A worker as a member of a consumer group: the group decides which partitions it reads.
//!
//! A shard is a partition. The group assigns partitions; the worker claims their shards in the view store;
//! only then is a partition read, from the cursor of the claim. The states of one partition of a member:
//!
//! ```text
//!                       ┌────────────┐
//! join: subscribe ────▶ │ unassigned │ ◀──────────────────────────────────────┐
//!                       └────────────┘                                        │
//!                              │ Rebalance::Assign                            │
//!                              ▼                                              │
//!                       ┌────────────┐     Rebalance::Revoke                  │
//!                  ┌──▶ │  assigned  │ ──────────────────────────────────────▶│
//!                  │    └────────────┘                                        │
//!   1 s after      │           │ Assigned(shard) is given to the worker       │
//!   released(shard)│           ▼                                              │
//!                  │    ┌────────────┐ Rebalance::Revoke      ┌──────────┐    │
//!                  ├─── │   taken    │ ─────────────────────▶ │ revoking │ ───┘
//!                  │    └────────────┘ Revoked(shard)      ┌▶ └──────────┘
//!                  │           │ claim, then open(shard)   │   released(shard), or 5 s have passed,
//!                  │           ▼                           │   or the assignment is lost: unassign,
//!                  │    ┌────────────┐ Rebalance::Revoke   │   which answers the group
//!                  └─── │  reading   │ ────────────────────┘
//!                       └────────────┘ Revoked(shard)
//!                         pages; committed(): offsets to Kafka, at most every 5 s
//! ```
//!
//! [`leave`](Membership::leave) and a drop unassign everything, and the consumer leaves the group in a
//! thread; `leave` waits for it up to 5 s, and releases the leases.
//!
//! The membership ends with an error when the topic is gone, or its client gets no more records; the worker
//! then joins again, with a new client. Partitions that were added to the topic have no shard and are left
//! alone.
//!
//! None of this is needed for safety: a worker that has lost its partition and still commits is fenced by
//! the epoch of its claim.
//!
//! The group decides on the work, but other workers look at the leases: those that share the view without
//! the group, and a reshard. Without heartbeats the shards of a member would seem to be free as soon as
//! the lease of its claim has run out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use highwater_core::{
    Code, Error, Result,
    domain::ViewName,
    error::{Invalid, Source as Reason, Unavailable},
    port::{Assignment, ClaimMode, Feed, Membership, Progress},
    value::ShardId,
};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    message::Message as _,
    topic_partition_list::Offset,
};

use super::{
    feed::{FeedInput, KafkaFeed},
    filter::FeedFilter,
    lane::Lane,
    membership::GroupMember,
    rebalance::{Rebalance, RebalanceContext},
    report::SourceReporter,
    resume::ResumePoints,
};
use crate::{
    heartbeat::Heartbeat,
    kafka::{drop_in_thread::DropInThread, error::client_error},
};

/// The time for work on revoked partitions to end in order.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for the consumer to leave the group.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a shard that was released while its partition is assigned is offered again, and
/// before an unreachable broker is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which a member checks that its consumer has left the group.
const LEAVE_POLL_INTERVAL: Duration = Duration::from_millis(10);

const STARTING: &str = "beginning to read a partition";

/// A member of a consumer group.
pub(super) struct GroupMembership {
    consumer: DropInThread<StreamConsumer<RebalanceContext>>,
    member: GroupMember,
    topic: Arc<str>,
    /// True if the member has subscribed to the topic: it waits for workers of an earlier version before.
    is_subscribed: bool,
    filter: FeedFilter,
    heartbeat: Heartbeat,
    reporter: SourceReporter,
    changes: VecDeque<Assignment>,
    /// The partitions that the group has assigned to this member.
    assigned: BTreeSet<i32>,
    /// Those of them that the client reads.
    reading: BTreeSet<i32>,
    /// The shards that the worker has taken and not released.
    taken: BTreeSet<ShardId>,
    revoking: Option<PendingRevocation>,
    /// When released shards are offered again.
    retries: BTreeMap<ShardId, Instant>,
}

/// Revoked partitions, whose work has not ended yet.
struct PendingRevocation {
    partitions: Vec<i32>,
    until: Instant,
}

impl GroupMembership {
    /// Creates a membership, which joins the group with its first assignment.
    pub(super) fn new(
        consumer: Arc<StreamConsumer<RebalanceContext>>,
        member: GroupMember,
        topic: &str,
        filter: FeedFilter,
        heartbeat: Heartbeat,
        reporter: SourceReporter,
    ) -> Self {
        Self {
            consumer: DropInThread::shared(consumer),
            member,
            topic: topic.into(),
            is_subscribed: false,
            filter,
            heartbeat,
            reporter,
            changes: VecDeque::new(),
            assigned: BTreeSet::new(),
            reading: BTreeSet::new(),
            taken: BTreeSet::new(),
            revoking: None,
            retries: BTreeMap::new(),
        }
    }

    /// Joins the group.
    fn subscribe(&mut self) -> Result<()> {
        let subscribed = self.consumer.subscribe(&[&*self.topic]);
        subscribed.map_err(|error| client_error("joining a consumer group", error))?;
        self.is_subscribed = true;
        Ok(())
    }

    /// Carries out the rebalances that are queued.
    fn rebalance(&mut self) {
        while let Some(rebalance) = self.consumer.context().pop() {
            self.finish_revocation();
            match rebalance {
                Rebalance::Assign(partitions) => self.assign(partitions),
                Rebalance::Revoke(partitions) => self.revoke(partitions),
            }
        }
    }

    fn assign(&mut self, partitions: Vec<i32>) {
        tracing::info!(view = %self.reporter.view, ?partitions, "assigned");
        for partition in partitions {
            if !self.has_shard(partition) {
                self.reporter.partitions_added(self.partitions_added(partition));
                continue;
            }
            self.assigned.insert(partition);
            self.changes.push_back(Assignment::Assigned(shard(partition), ClaimMode::Always));
        }
    }

    fn has_shard(&self, partition: i32) -> bool {
        let sharding = self.filter.own_shard.map(|(sharding, _)| sharding);
        sharding.is_none_or(|sharding| shard(partition).get() < sharding.shards)
    }

    fn partitions_added(&self, partition: i32) -> Error {
        let Self { topic, filter, .. } = self;
        let known = filter.partitions.get(&**topic).copied().unwrap_or_default();
        let message = format!(
            "topic {topic} has a partition {partition}, and had {known} partitions when the work on view {} \
             began: the partition of a stream depends on that. Its shards go on as long as relay and workers \
             run. Publish to a new topic under a new relay name, and let the views be resharded",
            self.reporter.view
        );
        Invalid::new(Code::BAD_TOPIC, message).into()
    }

    fn revoke(&mut self, partitions: Vec<i32>) {
        tracing::info!(view = %self.reporter.view, ?partitions, "revoked");
        for partition in &partitions {
            let shard = shard(*partition);
            self.assigned.remove(partition);
            self.retries.remove(&shard);
            self.changes.retain(|change| *change != Assignment::Assigned(shard, ClaimMode::Always));
            if self.taken.contains(&shard) {
                self.changes.push_back(Assignment::Revoked(shard));
            }
        }
        let until = Instant::now() + REVOKE_TIMEOUT;
        self.revoking = Some(PendingRevocation { partitions, until });
    }

    /// Unassigns the revoked partitions, whether or not the work on them has ended. The group waits for
    /// this answer even if none of them is read.
    fn finish_revocation(&mut self) {
        let Some(revoking) = self.revoking.take() else { return };
        let mut read = revoking.partitions;
        read.retain(|partition| self.reading.remove(partition));
        let partitions = self.partition_list(&read, Offset::Invalid);
        if let Err(error) = self.consumer.incremental_unassign(&partitions) {
            let view = &self.reporter.view;
            tracing::warn!(%view, %error, "revoked partitions could not be unassigned");
        }
    }

    /// Unassigns the revoked partitions if the work on them has ended, or there is no time left, or the
    /// assignment is lost already. Safety does not depend on waiting: the commits of a worker that has
    /// been displaced are refused.
    fn finish_revocation_if_due(&mut self) {
        let is_due = |revoking: &PendingRevocation| {
            let is_taken = |partition: &i32| self.taken.contains(&shard(*partition));
            !revoking.partitions.iter().any(is_taken)
                || revoking.until <= Instant::now()
                || self.consumer.assignment_lost()
        };
        if self.revoking.as_ref().is_some_and(is_due) {
            self.finish_revocation();
        }
    }

    /// Offers the shards again whose retry is due.
    fn retry(&mut self) {
        let now = Instant::now();
        let due = self.retries.extract_if(.., |_, at| *at <= now);
        let again = due.map(|(shard, _)| Assignment::Assigned(shard, ClaimMode::Always));
        self.changes.extend(again);
    }

    /// Returns the time until a retry is due, or the end of a revocation.
    fn until_due(&self) -> Duration {
        let revoking = self.revoking.as_ref().map(|revoking| &revoking.until);
        let due = self.retries.values().chain(revoking).min();
        due.map_or(REVOKE_TIMEOUT, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Starts to read a partition at an offset. The partition gets its own queue before: otherwise its
    /// records would arrive in the queue of the consumer.
    fn read(
        &mut self,
        partition: i32,
        offset: Offset,
    ) -> Result<StreamPartitionQueue<RebalanceContext>> {
        if self.reading.remove(&partition) {
            let partitions = self.partition_list(&[partition], Offset::Invalid);
            let unassigned = self.consumer.incremental_unassign(&partitions);
            unassigned.map_err(|error| client_error(STARTING, error))?;
        }
        let queue = self.consumer.split_partition_queue(&self.topic, partition);
        let queue = queue.ok_or_else(|| unknown_partition(partition))?;
        let partitions = self.partition_list(&[partition], offset);
        let assigned = self.consumer.incremental_assign(&partitions);
        assigned.map_err(|error| client_error(STARTING, error))?;
        self.reading.insert(partition);
        Ok(queue)
    }

    /// Returns the next change. A shard is not assigned before the earlier work on it has been released:
    /// that could take its wake-ups.
    fn next_change(&mut self) -> Option<Assignment> {
        let is_due = |change: &Assignment| match change {
            Assignment::Assigned(shard, _) => !self.taken.contains(shard),
            Assignment::Revoked(_) => true,
        };
        let change = self.changes.remove(self.changes.iter().position(is_due)?)?;
        if let Assignment::Assigned(shard, _) = change {
            self.taken.insert(shard);
        }
        Some(change)
    }

    fn partition_list(&self, partitions: &[i32], offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            // Only an invalid offset would be refused.
            let _ = list.add_partition_offset(&self.topic, *partition, offset);
        }
        list
    }
}

#[async_trait]
impl Membership for GroupMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        loop {
            self.rebalance();
            self.finish_revocation_if_due();
            self.retry();
            if let Some(change) = self.next_change() {
                return Ok(change);
            }
            let due = self.until_due();
            let received = tokio::select! {
                message = self.consumer.recv() => Some(message.map(|message| message.offset())),
                () = self.consumer.context().queued() => None,
                () = self.reporter.clock.sleep(due) => None,
                error = view_missing(&mut self.heartbeat, &self.reporter.view) => return Err(error),
                error = self.reporter.expired() => return Err(error),
                () = self.member.former_members_gone(&self.consumer, &self.topic, &*self.reporter.clock), if !self.is_subscribed => {
                    self.subscribe()?;
                    None
                }
                () = reachable_again(&self.reporter, &self.consumer, &self.topic), if self.reading.is_empty() => {
                    self.reporter.forget_outage();
                    None
                }
            };
            match received {
                Some(Err(error)) => self.reporter.client_error(error)?,
                // Each partition has its own queue before it is read; a feed would find the gap.
                Some(Ok(offset)) => {
                    tracing::debug!(view = %self.reporter.view, offset, "a record outside its queue");
                }
                None => {}
            }
        }
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let partition = partition(shard);
        let point = ResumePoints::from_cursor(&from.cursor).get(&self.topic, partition);
        let offset = point.map_or(Offset::Beginning, |point| Offset::Offset(point.offset));
        let queue = self.read(partition, offset)?;
        let mut filter = self.filter.clone();
        filter.own_shard = filter.own_shard.map(|(sharding, _)| (sharding, shard));
        let input = FeedInput {
            consumer: Arc::clone(&self.consumer),
            queues: vec![queue],
            lanes: vec![Lane::new(Arc::clone(&self.topic), partition, from.position, point)],
            owns_consumer: false,
        };
        Ok(Box::new(KafkaFeed::new(input, filter, from, self.reporter.clone())))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.taken.remove(&shard);
        if self.assigned.contains(&partition(shard)) {
            // A worker that had the partition before has claimed the shard too late, and will notice.
            self.retries.insert(shard, Instant::now() + RETRY_INTERVAL);
        }
        Ok(())
    }

    /// The consumer leaves the group in a thread. Waits a little for that: other members then need not
    /// wait for its session timeout.
    async fn leave(self: Box<Self>) -> Result<()> {
        let consumer = self.consumer.context().alive();
        let clock = Arc::clone(&self.reporter.clock);
        let heartbeat = self.heartbeat.clone();
        drop(self);
        let until = Instant::now() + LEAVE_TIMEOUT;
        while consumer.strong_count() > 0 && Instant::now() < until {
            clock.sleep(LEAVE_POLL_INTERVAL).await;
        }
        // Last, so that the group doesn't wait for a store that doesn't answer.
        heartbeat.leave().await
    }
}

impl Drop for GroupMembership {
    /// Carries out the rebalances that are queued: they would hold up the consumer that leaves.
    fn drop(&mut self) {
        self.consumer.context().close();
        self.rebalance();
        self.finish_revocation();
        if self.is_subscribed {
            let (consumer, member) = (Arc::clone(&self.consumer), self.member.clone());
            // If no thread can be started, the group misses the member after its session timeout.
            let leave = move || member.leave(&consumer, LEAVE_TIMEOUT);
            let _ = thread::Builder::new().name("kafka leave".into()).spawn(leave);
        }
    }
}

fn shard(partition: i32) -> ShardId {
    ShardId::new(partition.unsigned_abs())
}

fn partition(shard: ShardId) -> i32 {
    i32::try_from(shard.get()).unwrap_or(i32::MAX)
}

fn unknown_partition(partition: i32) -> Error {
    let source = Reason::new(format!("the client knows no partition {partition}"));
    Unavailable::Broker { doing: STARTING, source }.into()
}

/// Sends heartbeats until the view no longer exists. Safe to cancel. A member doesn't leave the group for
/// other errors of the store: if another worker takes its shards meanwhile, its commits are refused.
async fn view_missing(heartbeat: &mut Heartbeat, view: &ViewName) -> Error {
    loop {
        match heartbeat.next().await {
            Err(error) if error.code() == Code::VIEW_MISSING => return error,
            Err(error) => tracing::warn!(%view, %error, "a heartbeat failed"),
            Ok(_) => {}
        }
    }
}

/// Waits until a broker that was unreachable knows the topic. A member that reads notices that by its records; one
/// that reads nothing must ask.
async fn reachable_again(
    reporter: &SourceReporter,
    consumer: &Arc<StreamConsumer<RebalanceContext>>,
    topic: &Arc<str>,
) {
    reporter.cut_off().await;
    loop {
        reporter.clock.sleep(RETRY_INTERVAL).await;
        let (consumer, topic) = (Arc::clone(consumer), Arc::clone(topic));
        let answers = move || {
            let found = consumer.fetch_metadata(Some(&topic), RETRY_INTERVAL);
            found.is_ok_and(|found| found.topics().iter().all(|topic| topic.error().is_none()))
        };
        if tokio::task::spawn_blocking(answers).await.is_ok_and(|answers| answers) {
            return;
        }
    }
}
