//! Events that a topic lacks are read from the log.

use std::time::Duration;

use highwater_core::{Position, domain::ViewName, port::Progress, value::Sharding};
use highwater_projections::kafka::KafkaState;

use super::{
    fixture::{RelayTask, TopicFixture, drain, in_time, positions},
    records::ForeignClient,
};

#[tokio::test]
async fn w3_a_lost_record_is_read_from_the_log() {
    let Some(fixture) = TopicFixture::new("w3_a_lost_record_is_read_from_the_log") else { return };
    fixture.append(30).await;
    let (client, log) = (ForeignClient::of(&fixture), fixture.log().await);
    client.create(1, &[]).await;
    for index in [0, 1, 2, 9, 10, 29] {
        client.forge(0, &log[index], Position::new(index as u64)).await;
    }
    for sharding in [Sharding::SINGLE, Sharding::by_stream(1)] {
        let view = if sharding == Sharding::SINGLE { "keyed" } else { "streamed" };
        let source = fixture.source();
        let mut member = fixture.join(&source, &fixture.subscription(view, sharding)).await;
        member.until(1).await;
        let events = member.deliver(highwater_core::value::ShardId::FIRST, Position::new(30)).await;
        assert_eq!(events, log, "{sharding}");
        let state = source.state(&ViewName::new(view).unwrap());
        assert_eq!(state.borrow().name(), "filling");
    }
}

#[tokio::test]
async fn w3_a_topic_without_any_retained_record_is_filled_from_the_log() {
    let test = "w3_a_topic_without_any_retained_record_is_filled_from_the_log";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(120).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(120)).await;
    ForeignClient::of(&fixture).truncate(4).await;
    let sharding = Sharding::by_stream(4);
    let source = fixture.source();
    let subscription = fixture.subscription("truncated", sharding);
    let state = source.state(&ViewName::new("truncated").unwrap());
    let mut member = fixture.join(&source, &subscription).await;
    member.until(4).await;
    for shard in sharding.all() {
        let events = member.deliver(shard, Position::new(120)).await;
        assert_eq!(events, fixture.of_shard(sharding, shard).await);
        let KafkaState::Truncated { to, .. } = state.borrow().clone() else { panic!("{state:?}") };
        assert_eq!(to, fixture.of_shard(sharding, shard).await.last().unwrap().position);
    }
    // The feed then returns to the topic.
    fixture.append(40).await;
    for shard in sharding.all() {
        let mut expected = fixture.of_shard(sharding, shard).await;
        expected.retain(|event| event.position > Position::new(120));
        assert_eq!(member.deliver(shard, Position::new(160)).await, expected);
    }
    assert!(matches!(*state.borrow(), KafkaState::Consuming));
    relay.stop().await;
}

#[tokio::test]
async fn r1_a_cursor_before_the_retained_records_loses_nothing() {
    let test = "r1_a_cursor_before_the_retained_records_loses_nothing";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(60).await;
    fixture.publish().await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let first = drain(&mut *feed, Position::new(30), 30).await;
    drop(feed);
    let relay = RelayTask::start(fixture.relay());
    fixture.append(60).await;
    relay.has_published(Position::new(120)).await;
    ForeignClient::of(&fixture).truncate(4).await;
    fixture.append(10).await;
    let mut feed = fixture.whole(&fixture.source(), &first.progress).await;
    let rest = drain(&mut *feed, Position::new(130), 1000).await;
    let seen = [positions(&first.events), positions(&rest.events)].concat();
    assert_eq!(seen, (1..=130).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test]
async fn r1_a_topic_that_is_deleted_under_relay_and_views_is_recreated_and_nothing_is_lost() {
    let test = "r1_a_topic_that_is_deleted_under_relay_and_views_is_recreated_and_nothing_is_lost";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(50).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(50)).await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let mut seen = drain(&mut *feed, Position::new(50), 1000).await.events;
    ForeignClient::of(&fixture).delete().await;
    fixture.append(50).await;
    relay.has_published(Position::new(100)).await;
    fixture.append(1).await;
    let mut through = Position::new(50);
    while through < Position::new(101) {
        match in_time(feed.next(1000)).await {
            Ok(page) => {
                through = page.through;
                seen.extend(page.events);
            }
            Err(error) => assert!(error.is_unavailable(), "{error}"),
        }
    }
    assert_eq!(positions(&seen), (1..=101).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test]
async fn r1_a_cursor_of_a_topic_that_was_deleted_loses_nothing() {
    let Some(fixture) = TopicFixture::new("r1_a_cursor_of_a_topic_that_was_deleted_loses_nothing")
    else {
        return;
    };
    fixture.append(80).await;
    fixture.publish().await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let first = drain(&mut *feed, Position::new(40), 40).await;
    drop(feed);
    ForeignClient::of(&fixture).delete().await;
    fixture.append(5).await;
    // With few marks the new topic is shorter than the old one.
    let relay = RelayTask::start(fixture.relay().idle_interval(Duration::from_secs(600)));
    relay.has_published(Position::new(85)).await;
    let source = fixture.source();
    let state = source.state(&ViewName::new("whole").unwrap());
    let mut feed = fixture.whole(&source, &first.progress).await;
    let rest = drain(&mut *feed, Position::new(80), 40).await;
    assert_eq!(positions(&rest.events), (41..=80).collect::<Vec<_>>());
    assert_eq!(state.borrow().name(), "topic_recreated");
    let rest = drain(&mut *feed, Position::new(85), 1000).await;
    assert_eq!(positions(&rest.events), (81..=85).collect::<Vec<_>>());
    relay.stop().await;
}

#[tokio::test]
async fn r1_a_recreated_topic_that_outgrew_the_old_one_is_distinguished_from_it() {
    let test = "r1_a_recreated_topic_that_outgrew_the_old_one_is_distinguished_from_it";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(80).await;
    fixture.publish().await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let first = drain(&mut *feed, Position::new(40), 40).await;
    drop(feed);
    ForeignClient::of(&fixture).delete().await;
    fixture.append(400).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(480)).await;
    let source = fixture.source();
    let state = source.state(&ViewName::new("whole").unwrap());
    let mut feed = fixture.whole(&source, &first.progress).await;
    let rest = drain(&mut *feed, Position::new(80), 40).await;
    assert_eq!(positions(&rest.events), (41..=80).collect::<Vec<_>>());
    assert_eq!(state.borrow().name(), "topic_recreated");
    let rest = drain(&mut *feed, Position::new(480), 1000).await;
    assert_eq!(positions(&rest.events), (81..=480).collect::<Vec<_>>());
    relay.stop().await;
}
