//! A worker's part in a consumer group: which partitions are its own is what the group decides.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use highwater_core::{
    Error, Result,
    error::{Source as Reason, Unavailable},
    port::{Assignment, ClaimMode, Clock, Feed, Membership, Progress},
    value::ShardId,
};
use rdkafka::{
    TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer, stream_consumer::StreamPartitionQueue},
    error::KafkaResult,
    message::Message as _,
    topic_partition_list::Offset,
};

use super::{
    alive::Alive,
    context::{Context, Decision},
    feed::{KafkaFeed, Reading},
    lane::Lane,
    offsets::Offsets,
    state::Reporter,
    wanted::Wanted,
};
use crate::kafka::{elsewhere::Elsewhere, trouble::failed};

/// How long partitions that are to go to others are kept, so that the work on them can end in order.
const GRACE: Duration = Duration::from_secs(5);
/// When a shard is tried again whose work has ended although its partition is still assigned, and a broker that is gone
/// is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes part in a group.
pub(super) struct GroupMembership {
    consumer: Elsewhere<StreamConsumer<Context>>,
    topic: Arc<str>,
    wanted: Wanted,
    clock: Arc<dyn Clock>,
    alive: Alive,
    reporter: Reporter,
    changes: VecDeque<Assignment>,
    /// What the group has given to this member.
    assigned: BTreeSet<i32>,
    /// What of that the client has been told to read.
    reading: BTreeSet<i32>,
    /// Shards that the worker has been told to take and that have not ended.
    taken: BTreeSet<ShardId>,
    revoking: Option<Revoking>,
    again: BTreeMap<ShardId, Instant>,
}

/// Partitions that are to go to others when the work on them has ended.
struct Revoking {
    partitions: Vec<i32>,
    until: Instant,
}

impl GroupMembership {
    /// Joins the group.
    pub(super) fn join(
        consumer: Arc<StreamConsumer<Context>>,
        topic: &str,
        wanted: Wanted,
        (clock, alive): (Arc<dyn Clock>, Alive),
        reporter: Reporter,
    ) -> KafkaResult<Self> {
        consumer.subscribe(&[topic])?;
        Ok(Self {
            consumer: Elsewhere::shared(consumer),
            topic: topic.into(),
            wanted,
            clock,
            alive,
            reporter,
            changes: VecDeque::new(),
            assigned: BTreeSet::new(),
            reading: BTreeSet::new(),
            taken: BTreeSet::new(),
            revoking: None,
            again: BTreeMap::new(),
        })
    }

    /// Acts on what the group has decided.
    fn act(&mut self) {
        while let Some(decision) = self.consumer.context().decision() {
            self.let_go();
            match decision {
                Decision::Assign(partitions) => self.assign(partitions),
                Decision::Revoke(partitions) => self.revoke(partitions),
            }
        }
    }

    fn assign(&mut self, partitions: Vec<i32>) {
        tracing::info!(view = %self.reporter.view, ?partitions, "assigned");
        for partition in partitions {
            self.assigned.insert(partition);
            self.changes.push_back(Assignment::Assigned(shard(partition), ClaimMode::Always));
        }
    }

    fn revoke(&mut self, partitions: Vec<i32>) {
        tracing::info!(view = %self.reporter.view, ?partitions, "revoked");
        for partition in &partitions {
            let shard = shard(*partition);
            self.assigned.remove(partition);
            self.again.remove(&shard);
            self.changes.retain(|change| *change != Assignment::Assigned(shard, ClaimMode::Always));
            if self.taken.contains(&shard) {
                self.changes.push_back(Assignment::Revoked(shard));
            }
        }
        self.revoking = Some(Revoking { partitions, until: Instant::now() + GRACE });
    }

    /// Lets partitions go that are to go, whether or not the work on them has ended. The group waits for
    /// this even if none of them is read.
    fn let_go(&mut self) {
        if let Some(revoking) = self.revoking.take() {
            let mut read = revoking.partitions;
            read.retain(|partition| self.reading.remove(partition));
            let done = self.consumer.incremental_unassign(&self.list(&read, Offset::Invalid));
            self.note("letting partitions go", done);
        }
    }

    /// What is lost already has not to be waited for. Safety does not depend on waiting: what a worker
    /// commits that has been displaced is refused.
    fn let_go_if_ended(&mut self) {
        let is_over = |revoking: &Revoking| {
            let at_work = |partition: &i32| self.taken.contains(&shard(*partition));
            !revoking.partitions.iter().any(at_work)
                || revoking.until <= Instant::now()
                || self.consumer.assignment_lost()
        };
        if self.revoking.as_ref().is_some_and(is_over) {
            self.let_go();
        }
    }

    /// Takes what is due to be tried again.
    fn try_again(&mut self) {
        let now = Instant::now();
        let (due, later) =
            std::mem::take(&mut self.again).into_iter().partition(|(_, at)| *at <= now);
        self.again = later;
        let due: BTreeMap<ShardId, Instant> = due;
        self.changes
            .extend(due.into_keys().map(|shard| Assignment::Assigned(shard, ClaimMode::Always)));
    }

    /// When something is due that nobody tells of.
    fn until_due(&self) -> Duration {
        let due = self.again.values().chain(self.revoking.as_ref().map(|revoking| &revoking.until));
        let now = Instant::now();
        due.min().map_or(GRACE, |at| at.saturating_duration_since(now))
    }

    /// Begins to read a partition where its cursor says. Records would come by another way unless it
    /// has a queue of its own by then.
    fn read(&mut self, partition: i32, offset: Offset) -> Result<StreamPartitionQueue<Context>> {
        let doing = "beginning to read a partition";
        if self.reading.remove(&partition) {
            let done =
                self.consumer.incremental_unassign(&self.list(&[partition], Offset::Invalid));
            done.map_err(|error| failed(doing, error))?;
        }
        let queue = self.consumer.split_partition_queue(&self.topic, partition);
        let queue = queue.ok_or_else(|| no_queue(partition))?;
        let done = self.consumer.incremental_assign(&self.list(&[partition], offset));
        done.map_err(|error| failed(doing, error))?;
        self.reading.insert(partition);
        Ok(queue)
    }

    /// The next change. A shard is not taken before the work on it that went before has ended: that may
    /// take its wake-ups along.
    fn next(&mut self) -> Option<Assignment> {
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

    fn list(&self, partitions: &[i32], offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            // Only an offset that is none would be refused.
            let _ = list.add_partition_offset(&self.topic, *partition, offset);
        }
        list
    }

    fn note(&self, doing: &str, done: KafkaResult<()>) {
        if let Err(error) = done {
            tracing::warn!(view = %self.reporter.view, %error, doing, "Kafka's client refuses");
        }
    }
}

#[async_trait]
impl Membership for GroupMembership {
    async fn next_assignment(&mut self) -> Result<Assignment> {
        loop {
            self.act();
            self.let_go_if_ended();
            self.try_again();
            if let Some(change) = self.next() {
                return Ok(change);
            }
            let due = self.until_due();
            let heard = tokio::select! {
                message = self.consumer.recv() => Some(message.map(|message| message.offset())),
                () = self.consumer.context().heard() => None,
                () = self.clock.sleep(due) => None,
                error = self.alive.keep() => return Err(error),
                () = is_back(&self.reporter, &*self.clock, &self.consumer, &self.topic), if self.reading.is_empty() => {
                    self.reporter.forget_trouble();
                    None
                }
            };
            match heard {
                Some(Err(error)) => self.reporter.hear(error)?,
                // Each partition has a queue of its own before it is read; a feed would find the gap.
                Some(Ok(offset)) => tracing::debug!(view = %self.reporter.view, offset, "astray"),
                None => {}
            }
        }
    }

    async fn open(&mut self, shard: ShardId, from: &Progress) -> Result<Box<dyn Feed>> {
        let partition = i32::try_from(shard.get()).unwrap_or(i32::MAX);
        let seen = Offsets::from_cursor(&from.cursor).get(&self.topic, partition);
        let offset = seen.map_or(Offset::Beginning, |seen| Offset::Offset(seen.offset));
        let queue = self.read(partition, offset)?;
        let lane = Lane::new(Arc::clone(&self.topic), partition, from.position, seen);
        let mut wanted = self.wanted.clone();
        wanted.own = wanted.own.map(|(layout, _)| (layout, shard));
        let (consumer, queues) = (Arc::clone(&self.consumer), vec![queue]);
        let reading = Reading { consumer, queues, lanes: vec![lane], is_alone: false };
        let (clock, reporter) = (Arc::clone(&self.clock), self.reporter.clone());
        Ok(Box::new(KafkaFeed::new(reading, wanted, from, clock, reporter)))
    }

    async fn released(&mut self, shard: ShardId) -> Result<()> {
        self.taken.remove(&shard);
        let partition = i32::try_from(shard.get()).unwrap_or(i32::MAX);
        if self.assigned.contains(&partition) {
            // Somebody who had the partition before has claimed the shard too late, and will hear of it.
            self.again.insert(shard, Instant::now() + AGAIN);
        }
        Ok(())
    }

    /// The goodbye to the group is said elsewhere, and waited for a little: then others need not wait
    /// until this consumer is missed.
    async fn leave(self: Box<Self>) -> Result<()> {
        let saying_goodbye = self.consumer.context().alive();
        let (clock, alive) = (Arc::clone(&self.clock), self.alive.clone());
        drop(self);
        let until = Instant::now() + GRACE;
        while saying_goodbye.strong_count() > 0 && Instant::now() < until {
            clock.sleep(Duration::from_millis(10)).await;
        }
        // The group has not to wait for a store that doesn't answer.
        alive.leave().await
    }
}

impl Drop for GroupMembership {
    /// What has been decided and not been carried out would hold up the goodbye.
    fn drop(&mut self) {
        self.consumer.context().close();
        self.act();
        self.let_go();
    }
}

fn shard(partition: i32) -> ShardId {
    ShardId::new(partition.unsigned_abs())
}

fn no_queue(partition: i32) -> Error {
    let source = Reason::new(format!("the client knows no partition {partition}"));
    Unavailable::Broker { doing: "beginning to read a partition", source }.into()
}

/// Waits until a broker that was gone answers. Whoever reads hears that by its records, who reads nothing
/// must ask.
async fn is_back(
    reporter: &Reporter,
    clock: &dyn Clock,
    consumer: &Arc<StreamConsumer<Context>>,
    topic: &Arc<str>,
) {
    reporter.cut_off().await;
    loop {
        clock.sleep(AGAIN).await;
        let (consumer, topic) = (Arc::clone(consumer), Arc::clone(topic));
        let asked = move || consumer.fetch_metadata(Some(&topic), AGAIN).is_ok();
        if tokio::task::spawn_blocking(asked).await.is_ok_and(|is_there| is_there) {
            return;
        }
    }
}
