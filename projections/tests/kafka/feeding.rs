//! What a topic delivers, beside what every feed does (`suite`): R1, R2.

use highwater_core::{Category, Position, Query, port::Progress, value::Sharding};
use highwater_projections::kafka::{KafkaSource, Topics};

use super::world::{Running, World, drain};

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

    let mut feeding = world.feeding("orders", Sharding::by_stream(3));
    feeding.query = Query::category(category("order"));
    let mut member = world.join(&source, &feeding).await;
    member.until(3).await;
    let mut orders = Vec::new();
    for shard in feeding.sharding.all() {
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
