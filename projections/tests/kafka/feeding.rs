//! What is delivered: all, once, in order (R1, W3).

use highwater_core::{
    Category, Position, Query,
    port::{Division, Layout, Progress, ShardId, Source as _},
};
use highwater_projections::kafka::{KafkaSource, Topics};

use super::world::{Running, World, drain, positions};

#[tokio::test]
async fn r1_every_partition_delivers_its_events_once_in_order_and_to_the_byte() {
    let test = "r1_every_partition_delivers_its_events_once_in_order_and_to_the_byte";
    let Some(world) = World::new(test) else { return };
    world.append(300).await;
    let relay = Running::start(world.relay());
    relay.has_published(Position::new(300)).await;
    let layout = world.source().layout(Division::Streams, 99).await.unwrap();
    assert_eq!(layout, Layout::streams(4));
    let mut member = world.alone("streams", layout).await;
    member.until(4).await;
    for shard in layout.all() {
        let events = member.deliver(shard, Position::new(300)).await;
        assert_eq!(events, world.of_shard(layout, shard).await);
    }
    // And what comes while it listens.
    world.append(100).await;
    for shard in layout.all() {
        let events = member.deliver(shard, Position::new(400)).await;
        let mut expected = world.of_shard(layout, shard).await;
        expected.retain(|event| event.position > Position::new(300));
        assert_eq!(events, expected);
    }
    relay.stop().await;
}

#[tokio::test]
async fn w3_all_partitions_together_are_the_log() {
    let Some(world) = World::new("w3_all_partitions_together_are_the_log") else { return };
    world.append(500).await;
    world.publish().await;
    let mut feed = world.whole(&world.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(500), 64).await;
    assert_eq!(drained.events, world.log().await);
    assert_eq!(drained.progress.position, Position::new(500));
}

#[tokio::test]
async fn r1_a_feed_goes_on_from_its_cursor() {
    let Some(world) = World::new("r1_a_feed_goes_on_from_its_cursor") else { return };
    world.append(200).await;
    world.publish().await;
    let source = world.source();
    let mut seen = Vec::new();
    let mut progress = Progress::default();
    while progress.position < Position::new(200) {
        let mut feed = world.whole(&source, &progress).await;
        let page = feed.next(33).await.unwrap();
        seen.extend(positions(&page.events));
        let (position, as_of) = (page.through, page.as_of.unwrap_or(progress.as_of));
        progress = Progress { position, as_of, cursor: page.cursor };
    }
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn r1_a_feed_without_a_cursor_recognises_what_has_been_delivered() {
    let test = "r1_a_feed_without_a_cursor_recognises_what_has_been_delivered";
    let Some(world) = World::new(test) else { return };
    world.append(100).await;
    world.publish().await;
    let from = Progress { position: Position::new(60), ..Progress::default() };
    let mut feed = world.whole(&world.source(), &from).await;
    let drained = drain(&mut *feed, Position::new(100), 1000).await;
    assert_eq!(positions(&drained.events), (61..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn r1_a_log_that_is_published_twice_is_delivered_once() {
    let Some(world) = World::new("r1_a_log_that_is_published_twice_is_delivered_once") else {
        return;
    };
    world.append(100).await;
    world.publish().await;
    let again = Running::start(world.relay().named("again"));
    again.has_published(Position::new(100)).await;
    world.append(20).await;
    again.has_published(Position::new(120)).await;
    again.stop().await;
    let mut feed = world.whole(&world.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(120), 1000).await;
    assert_eq!(drained.events, world.log().await);
}

#[tokio::test]
async fn a_view_gets_the_events_of_its_query_and_the_position_moves_over_all() {
    let test = "a_view_gets_the_events_of_its_query_and_the_position_moves_over_all";
    let Some(world) = World::new(test) else { return };
    world.append(100).await;
    world.publish().await;
    let mut feeding = world.feeding("odd", Layout::WHOLE);
    feeding.query = Query::types(["suite.odd"]);
    let mut member = world.join(&world.source(), &feeding).await;
    let progress = Progress::default();
    let mut feed = member.membership.open(ShardId::FIRST, &progress).await.unwrap();
    let drained = drain(&mut *feed, Position::new(100), 1000).await;
    assert_eq!(positions(&drained.events), (1..=100).filter(|p| p % 2 == 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn topics_by_category_are_merged_into_one_order() {
    let Some(world) = World::new("topics_by_category_are_merged_into_one_order") else { return };
    let category = |name| Category::new(name).unwrap();
    let topics = Topics::per_category(format!("{}.", world.topic))
        .categories([category("account"), category("order")]);
    let by_category = highwater_projections::kafka::Relay::new(
        &world.highwater,
        world.kafka(),
        // One of the two is made when its first event comes.
        Topics::per_category(format!("{}.", world.topic)).categories([category("account")]),
    );
    world.append(150).await;
    let relay = Running::start(by_category.named("categories").partitions(3));
    relay.has_published(Position::new(150)).await;
    let source = KafkaSource::new(&world.highwater, world.kafka(), topics);
    let mut feed = world.whole(&source, &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(150), 1000).await;
    assert_eq!(drained.events, world.log().await);

    let mut feeding = world.feeding("orders", Layout::streams(3));
    feeding.query = Query::category(category("order"));
    let mut member = world.join(&source, &feeding).await;
    member.until(3).await;
    let mut orders = Vec::new();
    for shard in feeding.layout.all() {
        orders.extend(member.deliver(shard, Position::new(150)).await);
    }
    let expected = world.log().await;
    let expected = expected.iter().filter(|event| event.stream.category() == "order").count();
    assert_eq!(orders.len(), expected);
    relay.stop().await;
}

#[tokio::test]
async fn r2_marks_say_that_nothing_has_happened_since() {
    let Some(world) = World::new("r2_marks_say_that_nothing_has_happened_since") else { return };
    world.append(10).await;
    let relay = Running::start(world.relay());
    relay.has_published(Position::new(10)).await;
    let mut feed = world.whole(&world.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(10), 1000).await;
    let recorded = world.log().await.last().unwrap().recorded_at;
    let mut as_of = drained.progress.as_of;
    while as_of.duration_since(recorded).as_secs_f64() < 1.5 {
        let page = super::world::in_time(feed.next(1000)).await.unwrap();
        assert!(page.events.is_empty() && page.through == Position::new(10));
        as_of = page.as_of.unwrap();
    }
    relay.stop().await;
}
