//! Partitions that move while records flow: no gap is reported in a topic that has none.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use highwater_core::{
    Envelope, Position,
    port::EventStore as _,
    value::{ShardId, Sharding},
};
use highwater_test_support::kafka::KafkaCluster;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use super::{
    fixture::{RelayTask, TopicFixture, in_time},
    member::Member,
};

/// The delivered events of each shard.
type Seen = BTreeMap<ShardId, Vec<Envelope>>;

/// A member that works in a task.
struct WorkingMember {
    stop: oneshot::Sender<()>,
    shards: watch::Receiver<usize>,
    task: JoinHandle<Member>,
}

impl WorkingMember {
    fn start(mut member: Member, seen: &watch::Sender<Seen>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let (holds, shards) = watch::channel(0);
        let seen = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (shard, events) = tokio::select! {
                    delivered = member.step() => delivered,
                    _ = &mut stopped => return member,
                };
                holds.send_replace(member.shards.len());
                seen.send_modify(|seen| seen.entry(shard).or_default().extend(events));
            }
        });
        Self { stop, shards, task }
    }

    /// Waits until the member works on this number of shards.
    async fn holds(&mut self, shards: usize) {
        in_time(self.shards.wait_for(|holds| *holds == shards)).await.unwrap();
    }

    /// Stops the member in order.
    async fn leave(self) {
        self.stop.send(()).unwrap();
        let member = in_time(self.task).await.unwrap();
        drop(member.shards);
        in_time(member.membership.leave()).await.unwrap();
    }
}

/// A task that appends an event from time to time, until this value is dropped.
struct Flow(JoinHandle<()>);

impl Flow {
    fn start(fixture: &Arc<TopicFixture>) -> Self {
        let fixture = Arc::clone(fixture);
        let mut beat = tokio::time::interval(Duration::from_millis(2));
        Self(tokio::spawn(async move {
            loop {
                beat.tick().await;
                fixture.append(1).await;
            }
        }))
    }

    async fn stop(self) {
        self.0.abort();
        let _ = self.0.await;
    }
}

async fn everything_is_seen(
    fixture: &TopicFixture,
    sharding: Sharding,
    seen: &watch::Sender<Seen>,
) {
    let head = fixture.store.head().await.unwrap().get() as usize;
    let count = |seen: &Seen| seen.values().map(Vec::len).sum::<usize>();
    in_time(seen.subscribe().wait_for(|seen| count(seen) >= head)).await.unwrap();
    for shard in sharding.all() {
        assert_eq!(seen.borrow()[&shard], fixture.of_shard(sharding, shard).await, "shard {shard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_partitions_that_move_while_records_flow_report_no_gap() {
    let test = "r1_partitions_that_move_while_records_flow_report_no_gap";
    let Some(fixture) = TopicFixture::new(test).map(Arc::new) else { return };
    let (sharding, source) = (Sharding::by_stream(4), fixture.source());
    let relay = RelayTask::start(fixture.relay());
    fixture.append(20).await;
    relay.has_published(Position::new(20)).await;
    let flow = Flow::start(&fixture);
    let seen = watch::Sender::new(Seen::new());
    let join = async || fixture.join(&source, &fixture.subscription("moving", sharding)).await;
    let mut first = WorkingMember::start(join().await, &seen);
    for _ in 0..6 {
        first.holds(4).await;
        let mut second = WorkingMember::start(join().await, &seen);
        second.holds(2).await;
        second.leave().await;
    }
    first.holds(4).await;
    flow.stop().await;
    everything_is_seen(&fixture, sharding, &seen).await;
    assert_eq!(source.filled(), 0, "the topic has every record");
    first.leave().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r1_a_group_reports_no_gap_after_a_broker_was_killed() {
    let test = "r1_a_group_reports_no_gap_after_a_broker_was_killed";
    let Some(mut cluster) = KafkaCluster::start(test, 1).await else { return };
    let fixture = Arc::new(TopicFixture::at(cluster.servers()));
    let (sharding, source) = (Sharding::by_stream(4), fixture.source());
    let relay = RelayTask::start(fixture.relay());
    fixture.append(20).await;
    relay.has_published(Position::new(20)).await;
    let flow = Flow::start(&fixture);
    let seen = watch::Sender::new(Seen::new());
    let join = async || fixture.join(&source, &fixture.subscription("killed", sharding)).await;
    let mut both =
        [WorkingMember::start(join().await, &seen), WorkingMember::start(join().await, &seen)];
    for _ in 0..3 {
        for one in &mut both {
            one.holds(2).await;
        }
        cluster.kill(1);
        cluster.restart(1).await;
        relay.has_published(fixture.store.head().await.unwrap()).await;
    }
    flow.stop().await;
    everything_is_seen(&fixture, sharding, &seen).await;
    assert_eq!(source.filled(), 0, "the topic has every record");
    for one in both {
        one.leave().await;
    }
    relay.stop().await;
}
