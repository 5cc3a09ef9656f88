//! What is wrong and can't be mended by trying again.

use highwater_core::{
    Code, Position,
    domain::ViewName,
    port::{FeedSource as _, Progress},
    value::{ShardBy, Sharding},
};
use highwater_projections::kafka::{ForeignRecords, Kafka, KafkaSource, KafkaState, Relay};
use highwater_test_support::kafka::KafkaCluster;
use rdkafka::message::{Header, OwnedHeaders};

use super::{
    records::Hand,
    world::{Running, World, drain, in_time},
};

#[tokio::test]
async fn a_foreign_record_stops_a_view_before_it_and_is_named() {
    let Some(world) = World::new("a_foreign_record_stops_a_view_before_it_and_is_named") else {
        return;
    };
    let hand = Hand::of(&world);
    hand.create(1, &[]).await;
    world.append(3).await;
    world.publish().await;
    let source = world.source();
    let mut feed = world.whole(&source, &Progress::default()).await;
    let events = drain(&mut *feed, Position::new(3), 10).await.events;
    assert_eq!(events.len(), 3);
    hand.write(0, Some("account-1"), b"{}", OwnedHeaders::new()).await;
    let error = loop {
        if let Err(error) = in_time(feed.next(10)).await {
            break error;
        }
    };
    assert_eq!(error.code(), Code::FOREIGN_RECORD, "{error}");
    let said = error.to_string();
    assert!(said.contains(&format!("of {}/0 ", world.topic)), "{said}");
    let state = source.state(&ViewName::new("whole").unwrap()).borrow().clone();
    assert!(
        matches!(&state, KafkaState::ForeignRecord { error } if error.is_corrupt()),
        "{state:?}"
    );
    assert!(state.what_to_do().unwrap().contains("who writes to the topic"));
    // It says so as long as it is asked.
    assert!(in_time(feed.next(10)).await.unwrap_err().is_corrupt());
}

#[tokio::test]
async fn foreign_records_are_passed_over_and_counted_if_that_is_wished() {
    let test = "foreign_records_are_passed_over_and_counted_if_that_is_wished";
    let Some(world) = World::new(test) else { return };
    let hand = Hand::of(&world);
    hand.create(1, &[]).await;
    let wrong = [
        OwnedHeaders::new(),
        OwnedHeaders::new().insert(Header { key: "ce_specversion", value: Some("1.0") }),
        OwnedHeaders::new().insert(Header { key: "ce_position", value: None::<&str> }),
    ];
    for headers in wrong {
        hand.write(0, None, b"noise", headers).await;
    }
    world.append(3).await;
    world.publish().await;
    let source = world.source().foreign(ForeignRecords::Ignore);
    let mut feed = world.whole(&source, &Progress::default()).await;
    let events = drain(&mut *feed, Position::new(3), 10).await.events;
    assert_eq!((events.len(), source.ignored()), (3, 3));
}

#[tokio::test]
async fn an_event_in_a_partition_that_is_not_its_own_is_refused() {
    let Some(world) = World::new("an_event_in_a_partition_that_is_not_its_own_is_refused") else {
        return;
    };
    let hand = Hand::of(&world);
    hand.create(4, &[]).await;
    world.append(1).await;
    let event = world.log().await.remove(0);
    let own = Sharding::by_stream(4).shard_of_stream(&event.stream).unwrap().get() as i32;
    hand.forge((own + 1) % 4, &event, Position::START).await;
    let mut feed = world.whole(&world.source(), &Progress::default()).await;
    let error = in_time(feed.next(10)).await.unwrap_err();
    assert_eq!(error.code(), Code::FOREIGN_RECORD, "{error}");
    assert!(error.to_string().contains(&format!("belongs in partition {own} of 4")), "{error}");
}

#[tokio::test]
async fn a_topic_of_another_log_is_found_out() {
    let Some(world) = World::new("a_topic_of_another_log_is_found_out") else { return };
    world.append(30).await;
    world.publish().await;
    let mut younger = World::at(world.bootstrap.clone());
    younger.topic.clone_from(&world.topic);
    younger.append(5).await;
    Hand::of(&world).truncate(4).await;
    let relay = Running::start(world.relay());
    let mut feed = younger.whole(&younger.source(), &Progress::default()).await;
    let error = loop {
        if let Err(error) = in_time(feed.next(10)).await {
            break error;
        }
    };
    assert_eq!(error.code(), Code::CORRUPT_LOG, "{error}");
    relay.stop().await;
}

#[tokio::test]
async fn a_missing_topic_is_named_with_what_to_do() {
    let Some(world) = World::new("a_missing_topic_is_named_with_what_to_do") else { return };
    let source = world.source();
    let state = |view| source.state(&ViewName::new(view).unwrap());
    let (streams, keyed) = (state("streams"), state("keyed"));
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert!(error.is_unavailable() && error.code() == Code::TOPIC_MISSING, "{error}");
    assert!(error.to_string().contains(&world.topic), "{error}");
    assert!(error.to_string().contains("start the relay, which makes it"), "{error}");
    assert!(matches!(*streams.borrow(), KafkaState::TopicMissing));
    let joined = source.join(world.feeding("keyed", Sharding::SINGLE)).await;
    assert_eq!(joined.err().unwrap().code(), Code::TOPIC_MISSING);
    assert!(matches!(*keyed.borrow(), KafkaState::TopicMissing));
}

#[tokio::test]
async fn a_topic_that_got_more_partitions_is_refused_by_relay_and_view() {
    let test = "a_topic_that_got_more_partitions_is_refused_by_relay_and_view";
    let Some(world) = World::new(test) else { return };
    world.append(10).await;
    world.publish().await;
    Hand::of(&world).add_partitions(6).await;
    let relay = Running::start(world.relay());
    let error = relay.fails().await;
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    assert!(error.to_string().contains("6 partitions, and had 4"), "{error}");
    relay.stop().await;
    let joined = world.source().join(world.feeding("streams", Sharding::by_stream(4))).await;
    assert_eq!(joined.err().unwrap().code(), Code::BAD_TOPIC);
}

#[tokio::test]
async fn a_compacted_topic_is_refused() {
    let Some(world) = World::new("a_compacted_topic_is_refused") else { return };
    Hand::of(&world).create(4, &[("cleanup.policy", "compact")]).await;
    let relay = Running::start(world.relay());
    let error = relay.fails().await;
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    relay.stop().await;
}

#[tokio::test]
async fn no_broker_at_all_is_unavailable_and_tried_again() {
    let world = World::at("127.0.0.1:1".into());
    let error = world.source().sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert!(error.is_unavailable() && error.code() == Code::BROKER_UNREACHABLE, "{error}");
    let relay = Running::start(world.relay());
    assert!(relay.fails().await.is_unavailable());
    relay.stop().await;
}

#[tokio::test]
async fn what_the_order_depends_on_cannot_be_set() {
    let world = World::at("127.0.0.1:1".into());
    let kafka = || Kafka::at("127.0.0.1:1").setting("acks", "1");
    let relay = Relay::new(&world.highwater, kafka(), world.topics());
    assert_eq!(relay.run(async {}).await.unwrap_err().code(), Code::BAD_CONFIGURATION);
    let source = KafkaSource::new(&world.highwater, kafka(), world.topics());
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION);
}

#[tokio::test]
async fn a_setting_that_the_client_refuses_is_named_without_its_value() {
    let world = World::at("127.0.0.1:1".into());
    let kafka = Kafka::at("127.0.0.1:1").setting("sasl.passwort", "hunter2");
    let source = KafkaSource::new(&world.highwater, kafka, world.topics());
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{error}");
    let said = format!("{error} {error:?}");
    assert!(said.contains("sasl.passwort") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one_and_not_a_missing_broker() {
    let test = "a_wrong_password_is_said_to_be_one_and_not_a_missing_broker";
    let Some(cluster) = KafkaCluster::start(test, 1).await else { return };
    let world = World::at(cluster.servers());
    world.append(5).await;
    let kafka = |password: &str| {
        Kafka::at(cluster.sasl_server(1))
            .setting("security.protocol", "SASL_PLAINTEXT")
            .setting("sasl.mechanism", "PLAIN")
            .setting("sasl.username", "alice")
            .setting("sasl.password", password)
    };
    let wrong = KafkaSource::new(&world.highwater, kafka("hunter2"), world.topics());
    let error = wrong.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CREDENTIALS, "{error}");
    let joined = wrong.join(world.feeding("wrong", Sharding::SINGLE)).await;
    assert_eq!(joined.err().unwrap().code(), Code::BAD_CREDENTIALS);
    let state = wrong.state(&ViewName::new("wrong").unwrap());
    assert!(matches!(*state.borrow(), KafkaState::WrongCredentials { .. }));
    assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter2"));
    let relay = Running::start(Relay::new(&world.highwater, kafka("hunter2"), world.topics()));
    assert_eq!(relay.fails().await.code(), Code::BAD_CREDENTIALS);
    relay.stop().await;
    let relay = Running::start(Relay::new(&world.highwater, kafka("secret"), world.topics()));
    relay.has_published(Position::new(5)).await;
    relay.stop().await;
    let right = KafkaSource::new(&world.highwater, kafka("secret"), world.topics());
    let mut feed = world.whole(&right, &Progress::default()).await;
    assert_eq!(drain(&mut *feed, Position::new(5), 10).await.events, world.log().await);
}
