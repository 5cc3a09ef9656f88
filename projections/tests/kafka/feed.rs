//! Properties of the feed from a topic, in addition to those of every feed (`suite`): R1, R2.

use highwater_core::{Category, Position, Query, port::Progress, value::Sharding};
use highwater_projections::kafka::{KafkaSource, Topics};

use super::fixture::{RelayTask, TopicFixture, drain};

#[tokio::test]
async fn r1_a_log_that_is_published_twice_is_delivered_once() {
    let Some(fixture) = TopicFixture::new("r1_a_log_that_is_published_twice_is_delivered_once")
    else {
        return;
    };
    fixture.append(100).await;
    fixture.publish().await;
    let again = RelayTask::start(fixture.relay().named("again"));
    again.has_published(Position::new(100)).await;
    fixture.append(20).await;
    again.has_published(Position::new(120)).await;
    again.stop().await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(120), 1000).await;
    assert_eq!(drained.events, fixture.log().await);
}

#[tokio::test]
async fn topics_by_category_are_merged_into_one_order() {
    let Some(fixture) = TopicFixture::new("topics_by_category_are_merged_into_one_order") else {
        return;
    };
    let category = |name| Category::new(name).unwrap();
    let topics = Topics::per_category(format!("{}.", fixture.topic))
        .categories([category("account"), category("order")]);
    let by_category = highwater_projections::kafka::Relay::new(
        &fixture.highwater,
        fixture.kafka(),
        // One of the two topics is created with its first event.
        Topics::per_category(format!("{}.", fixture.topic)).categories([category("account")]),
    );
    fixture.append(150).await;
    let relay = RelayTask::start(by_category.named("categories").partitions(3));
    relay.has_published(Position::new(150)).await;
    let source = KafkaSource::new(&fixture.highwater, fixture.kafka(), topics);
    let mut feed = fixture.whole(&source, &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(150), 1000).await;
    assert_eq!(drained.events, fixture.log().await);

    let mut subscription = fixture.subscription("orders", Sharding::by_stream(3));
    subscription.query = Query::category(category("order"));
    let mut member = fixture.join(&source, &subscription).await;
    member.until(3).await;
    let mut orders = Vec::new();
    for shard in subscription.sharding.all() {
        orders.extend(member.deliver(shard, Position::new(150)).await);
    }
    let expected = fixture.log().await;
    let expected = expected.iter().filter(|event| event.stream.category() == "order").count();
    assert_eq!(orders.len(), expected);
    relay.stop().await;
}

#[tokio::test]
async fn r2_marks_say_that_nothing_has_happened_since() {
    let Some(fixture) = TopicFixture::new("r2_marks_say_that_nothing_has_happened_since") else {
        return;
    };
    fixture.append(10).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(10)).await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(10), 1000).await;
    let recorded = fixture.log().await.last().unwrap().recorded_at;
    let mut as_of = drained.progress.as_of;
    while as_of.duration_since(recorded).as_secs_f64() < 1.5 {
        let page = super::fixture::in_time(feed.next(1000)).await.unwrap();
        assert!(page.events.is_empty() && page.through == Position::new(10));
        as_of = page.as_of.unwrap();
    }
    relay.stop().await;
}
