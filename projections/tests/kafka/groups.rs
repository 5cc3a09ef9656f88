//! Workers that join, leave and are displaced.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use highwater_core::{
    Envelope, Position,
    port::{EventStore as _, LeaseStore as _, WorkerId},
    value::{ShardId, Sharding},
};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{
    fixture::{RelayTask, TopicFixture, in_time},
    member::{Member, settle},
};

/// The prefix of the groups of one test: views of the same name in other tests have the same former group.
const PREFIX: &str = "upgraded.";

type Seen = BTreeMap<ShardId, Vec<Envelope>>;

/// Lets every member take part, and deliver its events up to a position. Otherwise the group would
/// wait for the response of the missing member to a rebalance.
async fn deliver_all(members: &mut [Member], to: u64, seen: &mut Seen) {
    let to = Position::new(to);
    let delivering = members.iter_mut().map(async |member| {
        let mut delivered = Vec::new();
        while member.shards.values().any(|shard| shard.claim.progress.position < to) {
            delivered.push(member.step().await);
        }
        delivered
    });
    let delivered = in_time(futures_util::future::join_all(delivering)).await;
    for (shard, events) in delivered.into_iter().flatten() {
        seen.entry(shard).or_default().extend(events);
    }
}

/// The name of the group of a view.
fn group(fixture: &TopicFixture, view: &str) -> String {
    format!("highwater.{}.{view}", fixture.store.log_id())
}

async fn is_the_log(fixture: &TopicFixture, sharding: Sharding, seen: &Seen) {
    for shard in sharding.all() {
        assert_eq!(seen[&shard], fixture.of_shard(sharding, shard).await, "shard {shard}");
    }
}

#[tokio::test]
async fn r1_workers_that_join_and_leave_deliver_each_event_once() {
    let Some(fixture) = TopicFixture::new("r1_workers_that_join_and_leave_deliver_each_event_once")
    else {
        return;
    };
    let (sharding, source) = (Sharding::by_stream(4), fixture.source());
    let relay = RelayTask::start(fixture.relay());
    fixture.append(50).await;
    relay.has_published(Position::new(50)).await;
    let mut seen = Seen::new();
    let mut members = vec![fixture.join(&source, &fixture.subscription("shared", sharding)).await];
    settle(&mut members, &[4]).await;
    deliver_all(&mut members, 50, &mut seen).await;
    members.push(fixture.join(&source, &fixture.subscription("shared", sharding)).await);
    settle(&mut members, &[2, 2]).await;
    fixture.append(50).await;
    deliver_all(&mut members, 100, &mut seen).await;
    let first = members.remove(0);
    drop(first.shards);
    in_time(first.membership.leave()).await.unwrap();
    settle(&mut members, &[4]).await;
    fixture.append(50).await;
    deliver_all(&mut members, 150, &mut seen).await;
    is_the_log(&fixture, sharding, &seen).await;
    relay.stop().await;
}

#[tokio::test]
async fn r1_a_worker_that_has_been_displaced_commits_nothing() {
    let Some(fixture) = TopicFixture::new("r1_a_worker_that_has_been_displaced_commits_nothing")
    else {
        return;
    };
    fixture.append(40).await;
    fixture.publish().await;
    let sharding = Sharding::by_stream(4);
    let subscription = fixture.subscription("displaced", sharding);
    let mut zombie = fixture.join(&fixture.source(), &subscription).await;
    zombie.until(4).await;
    // The member is no longer polled, as if it were frozen. Another member has its shards now.
    let mut other = fixture
        .join(
            &fixture.source().group_prefix("another."),
            &fixture.subscription("displaced", sharding),
        )
        .await;
    other.until(4).await;
    for shard in sharding.all() {
        let expected = fixture.of_shard(sharding, shard).await;
        if !expected.is_empty() {
            let error = zombie.page(shard, 1000).await.unwrap_err();
            assert_eq!(error.code(), highwater_core::Code::FENCED, "{error}");
        }
        assert_eq!(other.deliver(shard, Position::new(40)).await, expected);
    }
}

#[tokio::test]
async fn a_released_shard_is_offered_again_while_its_partition_is_assigned() {
    let test = "a_released_shard_is_offered_again_while_its_partition_is_assigned";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(40).await;
    fixture.publish().await;
    let mut member = fixture.alone("again", Sharding::by_stream(4)).await;
    member.until(4).await;
    let shard = ShardId::new(2);
    let before = member.page(shard, 2).await.unwrap();
    member.shards.remove(&shard);
    member.membership.released(shard).await.unwrap();
    member.until(4).await;
    let after = member.deliver(shard, Position::new(40)).await;
    let expected = fixture.of_shard(Sharding::by_stream(4), shard).await;
    assert_eq!([before, after].concat(), expected);
}

#[tokio::test]
async fn a_member_of_a_group_sends_heartbeats_and_releases_everything_when_it_leaves() {
    let test = "a_member_of_a_group_sends_heartbeats_and_releases_everything_when_it_leaves";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(10).await;
    fixture.publish().await;
    let subscription = fixture.subscription("alive", Sharding::by_stream(4));
    let mut member = fixture.join(&fixture.source(), &subscription).await;
    member.until(4).await;
    let onlooker = WorkerId::new("~onlooker").unwrap();
    let heartbeat = || fixture.store.heartbeat(&subscription.view, &onlooker, Duration::ZERO);
    // A working member polls continuously.
    let seen = async {
        while !heartbeat().await.unwrap().workers.contains(&subscription.worker) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = in_time(seen) => {}
        change = member.membership.next_assignment() => panic!("{change:?}"),
    }
    assert_eq!(heartbeat().await.unwrap().holders, vec![Some(subscription.worker.clone()); 4]);
    member.shards.clear();
    in_time(member.membership.leave()).await.unwrap();
    let members = heartbeat().await.unwrap();
    assert_eq!((members.workers, members.holders), (vec![onlooker.clone()], vec![None; 4]));
}

/// Checks the committed offsets, which Highwater itself does not use: they are for tools that show
/// the lag of a group.
#[tokio::test]
async fn a_group_commits_the_offsets_of_its_view_to_kafka() {
    let test = "a_group_commits_the_offsets_of_its_view_to_kafka";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(100).await;
    fixture.publish().await;
    let sharding = Sharding::by_stream(4);
    let mut member = fixture.alone("told", sharding).await;
    member.until(4).await;
    let mut partitions = TopicPartitionList::new();
    let mut ends = Vec::new();
    for shard in sharding.all() {
        let partition = shard.get() as i32;
        partitions.add_partition(&fixture.topic, partition);
        // The first page is committed immediately, the next ones every few seconds.
        let events = member.page(shard, 1000).await.unwrap();
        assert!(!events.is_empty());
        ends.push(events.len() as i64);
    }
    let mut tool = ClientConfig::new();
    tool.set("bootstrap.servers", &fixture.bootstrap).set("group.id", group(&fixture, "told"));
    let tool: BaseConsumer = tool.create().unwrap();
    let committed = async {
        loop {
            let found =
                tool.committed_offsets(partitions.clone(), Duration::from_secs(20)).unwrap();
            let found: Vec<_> =
                found.elements().iter().filter_map(|one| one.offset().to_raw()).collect();
            // There may be marks between the events.
            if found.iter().zip(&ends).all(|(found, end)| found >= end) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(in_time(committed).await.len(), 4);
}

#[tokio::test]
async fn a_dropped_member_leaves_its_shards_to_others() {
    let Some(fixture) = TopicFixture::new("a_dropped_member_leaves_its_shards_to_others") else {
        return;
    };
    fixture.append(10).await;
    fixture.publish().await;
    let sharding = Sharding::by_stream(4);
    let mut first = fixture.alone("dropped", sharding).await;
    first.until(4).await;
    let mut second = fixture.alone("dropped", sharding).await;
    drop(first);
    second.until(4).await;
}

/// Otherwise the group would wait for the lost client, until its session ends or, as here, for longer.
#[tokio::test]
async fn a_worker_whose_client_was_lost_gets_its_partitions_back_without_waiting_for_it() {
    let test = "a_worker_whose_client_was_lost_gets_its_partitions_back_without_waiting_for_it";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(40).await;
    fixture.publish().await;
    let (sharding, source) = (Sharding::by_stream(4), fixture.source());
    let subscription = fixture.subscription("lost", sharding);
    let mut lost = fixture.join(&source, &subscription).await;
    lost.until(4).await;
    // The client goes on to send heartbeats in its own threads, and responds to no rebalance.
    std::mem::forget(lost);
    let mut again = fixture.join(&source, &subscription).await;
    again.until(4).await;
    for shard in sharding.all() {
        let events = again.deliver(shard, Position::new(40)).await;
        assert_eq!(events, fixture.of_shard(sharding, shard).await);
    }
}

/// The client that was fenced is no member any more, although the group has one of its name.
#[tokio::test]
async fn a_worker_whose_client_was_fenced_leaves_and_joins_again_with_another() {
    let test = "a_worker_whose_client_was_fenced_leaves_and_joins_again_with_another";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(40).await;
    fixture.publish().await;
    let (sharding, source) = (Sharding::by_stream(4), fixture.source());
    let subscription = fixture.subscription("fenced", sharding);
    let mut fenced = fixture.join(&source, &subscription).await;
    fenced.until(4).await;
    let mut next = fixture.join(&source, &subscription).await;
    let refused = async {
        loop {
            if let Err(error) = fenced.membership.next_assignment().await {
                return error;
            }
        }
    };
    let (error, ()) = in_time(async { tokio::join!(refused, next.until(4)) }).await;
    assert!(error.is_unavailable(), "another client can go on: {error}");
    fenced.shards.clear();
    in_time(fenced.membership.leave()).await.unwrap();
    drop(next);
    let mut again = fixture.join(&source, &subscription).await;
    again.until(4).await;
    for shard in sharding.all() {
        let events = again.deliver(shard, Position::new(40)).await;
        assert_eq!(events, fixture.of_shard(sharding, shard).await);
    }
}

#[tokio::test]
async fn views_of_one_name_of_two_logs_have_a_group_each() {
    let test = "views_of_one_name_of_two_logs_have_a_group_each";
    let (Some(one), Some(other)) = (TopicFixture::new(test), TopicFixture::new(test)) else {
        return;
    };
    let tool: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &one.bootstrap).create().unwrap();
    let mut members = Vec::new();
    for fixture in [&one, &other] {
        fixture.append(1).await;
        fixture.publish().await;
        let mut member = fixture.alone("same", Sharding::by_stream(4)).await;
        member.until(4).await;
        members.push(member);
    }
    for fixture in [&one, &other] {
        let name = group(fixture, "same");
        let found = tool.fetch_group_list(Some(&name), Duration::from_secs(20)).unwrap();
        let found = found.groups().iter().filter(|found| found.name() == name);
        assert_eq!(found.map(|found| found.members().len()).sum::<usize>(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_takes_no_shard_before_those_of_an_earlier_version_have_stopped() {
    let test = "a_worker_takes_no_shard_before_those_of_an_earlier_version_have_stopped";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(10).await;
    fixture.publish().await;
    let mut earlier = ClientConfig::new();
    earlier.set("bootstrap.servers", &fixture.bootstrap);
    earlier.set("group.id", format!("{PREFIX}upgraded"));
    earlier.set("partition.assignment.strategy", "cooperative-sticky");
    let earlier: BaseConsumer = earlier.create().unwrap();
    earlier.subscribe(&[&fixture.topic]).unwrap();
    let poll = |consumer: &BaseConsumer| drop(consumer.poll(Duration::from_millis(50)));
    while earlier.assignment().unwrap().count() < 4 {
        poll(&earlier);
    }
    let has_stopped = AtomicBool::new(false);
    let source = fixture.source().group_prefix(PREFIX);
    let subscription = fixture.subscription("upgraded", Sharding::by_stream(4));
    let mut member = fixture.join(&source, &subscription).await;
    let stops = async {
        let working = tokio::task::spawn_blocking(move || {
            (0..20).for_each(|_| poll(&earlier));
            earlier
        });
        let earlier = working.await.unwrap();
        has_stopped.store(true, Ordering::Release);
        tokio::task::spawn_blocking(move || drop(earlier)).await.unwrap();
    };
    let takes = async {
        member.until(4).await;
        assert!(has_stopped.load(Ordering::Acquire), "both versions work");
    };
    in_time(async { tokio::join!(stops, takes) }).await;
}
