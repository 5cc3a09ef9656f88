//! Brokers that are killed.

use highwater_core::{
    Position,
    domain::ViewName,
    port::Progress,
    value::{ShardId, Sharding},
};
use highwater_projections::kafka::{KafkaState, RelayStatus};
use highwater_test_support::kafka::KafkaCluster;

use super::fixture::{RelayTask, TopicFixture, in_time, positions};

#[tokio::test]
async fn r1_relay_and_views_resume_after_the_broker_was_killed() {
    let test = "r1_relay_and_views_resume_after_the_broker_was_killed";
    let Some(mut cluster) = KafkaCluster::start(test, 1).await else { return };
    let fixture = TopicFixture::at(cluster.servers());
    let relay = RelayTask::start(fixture.relay());
    fixture.append(30).await;
    relay.has_published(Position::new(30)).await;
    let source = fixture.source();
    let mut member =
        fixture.join(&source, &fixture.subscription("survivor", Sharding::SINGLE)).await;
    member.until(1).await;
    let mut seen = member.deliver(ShardId::FIRST, Position::new(30)).await;
    let mut state = source.state(&ViewName::new("survivor").unwrap());

    cluster.kill(1);
    fixture.append(30).await;
    relay.is(|status| matches!(status, RelayStatus::Failing { .. })).await;
    let error = loop {
        if let Err(error) = member.page(ShardId::FIRST, 100).await {
            break error;
        }
    };
    assert!(error.is_unavailable(), "{error}");
    in_time(state.wait_for(|state| matches!(state, KafkaState::BrokerGone { .. }))).await.unwrap();

    cluster.restart(1).await;
    relay.has_published(Position::new(60)).await;
    seen.extend(member.deliver(ShardId::FIRST, Position::new(60)).await);
    assert_eq!(positions(&seen), (1..=60).collect::<Vec<_>>());
    in_time(state.wait_for(|state| matches!(state, KafkaState::Consuming))).await.unwrap();
    relay.stop().await;
}

#[tokio::test]
async fn w7_one_of_three_brokers_may_be_killed_while_the_log_is_published() {
    let test = "w7_one_of_three_brokers_may_be_killed_while_the_log_is_published";
    let Some(mut cluster) = KafkaCluster::start(test, 3).await else { return };
    let fixture = TopicFixture::at(cluster.servers());
    let relay = RelayTask::start(fixture.relay());
    for round in 1..=6_u64 {
        fixture.append(500).await;
        if round == 2 {
            cluster.kill(2);
        }
        relay.has_published(Position::new(500 * round)).await;
        if round == 4 {
            cluster.restart(2).await;
        }
    }
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let mut events = Vec::new();
    let mut through = Position::START;
    while through < Position::new(3000) {
        match in_time(feed.next(1000)).await {
            Ok(page) => {
                through = page.through;
                events.extend(page.events);
            }
            Err(error) => assert!(error.is_unavailable(), "{error}"),
        }
    }
    assert_eq!(events, fixture.log().await);
    relay.stop().await;
}
