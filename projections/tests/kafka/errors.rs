//! Errors that a retry can't fix.

use highwater_core::{
    Code, Envelope, Position,
    domain::ViewName,
    port::{FeedSource as _, Progress},
    value::{ShardBy, Sharding},
};
use highwater_projections::kafka::{ForeignRecords, Kafka, KafkaSource, KafkaState, Relay};
use highwater_test_support::kafka::KafkaCluster;
use rdkafka::message::{Header, OwnedHeaders};

use super::{
    fixture::{RelayTask, TopicFixture, drain, in_time},
    records::ForeignClient,
};

#[tokio::test]
async fn a_foreign_record_stops_a_view_before_it_and_is_named() {
    let Some(fixture) = TopicFixture::new("a_foreign_record_stops_a_view_before_it_and_is_named")
    else {
        return;
    };
    let client = ForeignClient::of(&fixture);
    client.create(1, &[]).await;
    fixture.append(3).await;
    fixture.publish().await;
    let source = fixture.source();
    let mut feed = fixture.whole(&source, &Progress::default()).await;
    let events = drain(&mut *feed, Position::new(3), 10).await.events;
    assert_eq!(events.len(), 3);
    client.write(0, Some("account-1"), b"{}", OwnedHeaders::new()).await;
    let error = loop {
        if let Err(error) = in_time(feed.next(10)).await {
            break error;
        }
    };
    assert_eq!(error.code(), Code::FOREIGN_RECORD, "{error}");
    let said = error.to_string();
    assert!(said.contains(&format!("of {}/0 ", fixture.topic)), "{said}");
    let state = source.state(&ViewName::new("whole").unwrap()).borrow().clone();
    assert!(
        matches!(&state, KafkaState::ForeignRecord { error } if error.is_corrupt()),
        "{state:?}"
    );
    assert!(state.what_to_do().unwrap().contains("who writes to the topic"));
    // The feed returns the error again on every call.
    assert!(in_time(feed.next(10)).await.unwrap_err().is_corrupt());
}

#[tokio::test]
async fn foreign_records_are_skipped_and_counted_on_demand() {
    let test = "foreign_records_are_skipped_and_counted_on_demand";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let client = ForeignClient::of(&fixture);
    client.create(1, &[]).await;
    let wrong = [
        OwnedHeaders::new(),
        OwnedHeaders::new().insert(Header { key: "ce_specversion", value: Some("1.0") }),
        OwnedHeaders::new().insert(Header { key: "ce_position", value: None::<&str> }),
    ];
    for headers in wrong {
        client.write(0, None, b"noise", headers).await;
    }
    fixture.append(3).await;
    fixture.publish().await;
    let source = fixture.source().foreign(ForeignRecords::Ignore);
    let mut feed = fixture.whole(&source, &Progress::default()).await;
    let events = drain(&mut *feed, Position::new(3), 10).await.events;
    assert_eq!((events.len(), source.ignored()), (3, 3));
}

#[tokio::test]
async fn an_event_in_a_wrong_partition_is_refused() {
    let Some(fixture) = TopicFixture::new("an_event_in_a_wrong_partition_is_refused") else {
        return;
    };
    let client = ForeignClient::of(&fixture);
    client.create(4, &[]).await;
    fixture.append(23).await;
    let shard_of =
        |event: &Envelope| Sharding::by_stream(4).shard_of_stream(&event.stream).unwrap().get();
    let log = fixture.log().await;
    // The last partition has a record, so partitions have not been added.
    let event = log.iter().find(|event| shard_of(event) != 3).unwrap();
    let own = shard_of(event);
    client.forge(3, event, Position::START).await;
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let error = in_time(feed.next(10)).await.unwrap_err();
    assert_eq!(error.code(), Code::FOREIGN_RECORD, "{error}");
    assert!(error.to_string().contains(&format!("belongs in partition {own} of 4")), "{error}");
}

#[tokio::test]
async fn a_topic_of_another_log_is_detected() {
    let Some(fixture) = TopicFixture::new("a_topic_of_another_log_is_detected") else { return };
    fixture.append(30).await;
    fixture.publish().await;
    let mut younger = TopicFixture::at(fixture.bootstrap.clone());
    younger.topic.clone_from(&fixture.topic);
    younger.append(5).await;
    ForeignClient::of(&fixture).truncate(4).await;
    let relay = RelayTask::start(fixture.relay());
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
async fn a_missing_topic_is_named_with_a_remedy() {
    let Some(fixture) = TopicFixture::new("a_missing_topic_is_named_with_a_remedy") else {
        return;
    };
    let source = fixture.source();
    let state = |view| source.state(&ViewName::new(view).unwrap());
    let (streams, keyed) = (state("streams"), state("keyed"));
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert!(error.is_unavailable() && error.code() == Code::TOPIC_MISSING, "{error}");
    assert!(error.to_string().contains(&fixture.topic), "{error}");
    assert!(error.to_string().contains("start the relay, which makes it"), "{error}");
    assert!(matches!(*streams.borrow(), KafkaState::TopicMissing));
    let joined = source.join(fixture.subscription("keyed", Sharding::SINGLE)).await;
    assert_eq!(joined.err().unwrap().code(), Code::TOPIC_MISSING);
    assert!(matches!(*keyed.borrow(), KafkaState::TopicMissing));
}

#[tokio::test]
async fn a_topic_with_added_partitions_is_refused_by_relay_and_view() {
    let test = "a_topic_with_added_partitions_is_refused_by_relay_and_view";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(10).await;
    fixture.publish().await;
    ForeignClient::of(&fixture).add_partitions(6).await;
    let relay = RelayTask::start(fixture.relay());
    let error = relay.fails().await;
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    assert!(error.to_string().contains("6 partitions, and had 4"), "{error}");
    relay.stop().await;
    let joined =
        fixture.source().join(fixture.subscription("streams", Sharding::by_stream(4))).await;
    assert_eq!(joined.err().unwrap().code(), Code::BAD_TOPIC);
}

#[tokio::test]
async fn shards_go_on_while_partitions_are_added_and_the_state_says_so() {
    let test = "shards_go_on_while_partitions_are_added_and_the_state_says_so";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let sharding = Sharding::by_stream(4);
    let relay = RelayTask::start(fixture.relay());
    fixture.append(40).await;
    let source = fixture.source();
    let mut state = source.state(&ViewName::new("enlarged").unwrap());
    relay.has_published(Position::new(40)).await;
    let mut member = fixture.join(&source, &fixture.subscription("enlarged", sharding)).await;
    member.until(4).await;
    ForeignClient::of(&fixture).add_partitions(6).await;
    let said = async {
        tokio::select! {
            change = member.membership.next_assignment() => panic!("{change:?}"),
            said = state.wait_for(|state| state.name() == "partitions_added") => said.unwrap().clone(),
        }
    };
    let KafkaState::PartitionsAdded { error } = in_time(said).await else { panic!() };
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    assert!(error.to_string().contains(&fixture.topic), "{error}");
    fixture.append(40).await;
    for shard in sharding.all() {
        let events = member.deliver(shard, Position::new(80)).await;
        assert_eq!(events, fixture.of_shard(sharding, shard).await);
    }
    assert_eq!(state.borrow().name(), "partitions_added");
    relay.stop().await;
}

#[tokio::test]
async fn a_view_that_starts_after_partitions_were_added_stops_with_that_error() {
    let test = "a_view_that_starts_after_partitions_were_added_stops_with_that_error";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(40).await;
    fixture.publish().await;
    ForeignClient::of(&fixture).add_partitions(6).await;
    let refused = |error: highwater_core::Error| {
        assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
        assert!(error.to_string().contains("partitions were added"), "{error}");
    };
    let source = fixture.source();
    let has_more = async {
        while source.sharding(ShardBy::Stream, 1).await.unwrap() != Sharding::by_stream(6) {}
    };
    in_time(has_more).await;
    let mut feed = fixture.whole(&source, &Progress::default()).await;
    refused(in_time(feed.next(10)).await.unwrap_err());
    let state = source.state(&ViewName::new("whole").unwrap());
    assert_eq!(state.borrow().name(), "partitions_added");

    let mut member = fixture.alone("streams", Sharding::by_stream(6)).await;
    member.until(6).await;
    let mut stopped = 0;
    for shard in Sharding::by_stream(4).all() {
        while member.shards[&shard].claim.progress.position < Position::new(40) {
            if let Err(error) = member.page(shard, 100).await {
                refused(error);
                stopped += 1;
                break;
            }
        }
    }
    assert!(stopped > 0);
}

#[tokio::test]
async fn a_compacted_topic_is_refused() {
    let Some(fixture) = TopicFixture::new("a_compacted_topic_is_refused") else { return };
    ForeignClient::of(&fixture).create(4, &[("cleanup.policy", "compact")]).await;
    let relay = RelayTask::start(fixture.relay());
    let error = relay.fails().await;
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    relay.stop().await;
}

#[tokio::test]
async fn a_missing_broker_is_unavailable_and_retried() {
    let fixture = TopicFixture::at("127.0.0.1:1".into());
    let (source, relay) = (fixture.source(), RelayTask::start(fixture.relay()));
    // Both at once: each waits for some seconds for a broker.
    let (asked, failed) = tokio::join!(source.sharding(ShardBy::Stream, 1), relay.fails());
    let error = asked.unwrap_err();
    assert!(error.is_unavailable() && error.code() == Code::BROKER_UNREACHABLE, "{error}");
    assert!(failed.is_unavailable(), "{failed}");
    relay.stop().await;
}

#[tokio::test]
async fn settings_that_the_order_depends_on_cannot_be_set() {
    let fixture = TopicFixture::at("127.0.0.1:1".into());
    let kafka = || Kafka::at("127.0.0.1:1").setting("acks", "1");
    let relay = Relay::new(&fixture.highwater, kafka(), fixture.topics());
    assert_eq!(relay.run(async {}).await.unwrap_err().code(), Code::BAD_CONFIGURATION);
    let source = KafkaSource::new(&fixture.highwater, kafka(), fixture.topics());
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION);
}

#[tokio::test]
async fn a_setting_that_the_client_refuses_is_named_without_its_value() {
    let fixture = TopicFixture::at("127.0.0.1:1".into());
    let kafka = Kafka::at("127.0.0.1:1").setting("sasl.passwort", "hunter2");
    let source = KafkaSource::new(&fixture.highwater, kafka, fixture.topics());
    let error = source.sharding(ShardBy::Stream, 1).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{error}");
    let said = format!("{error} {error:?}");
    assert!(said.contains("sasl.passwort") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_relay_whose_settings_the_client_refuses_ends_with_the_error() {
    let fixture = TopicFixture::at("127.0.0.1:1".into());
    let kafka = Kafka::at("127.0.0.1:1").setting("sasl.passwort", "hunter2");
    let relay = Relay::new(&fixture.highwater, kafka, fixture.topics());
    let status = relay.status();
    let error = in_time(relay.run(std::future::pending())).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{error}");
    let said = format!("{error} {error:?} {status:?}");
    assert!(said.contains("sasl.passwort") && !said.contains("hunter2"), "{said}");
    assert_eq!(status.borrow().error().unwrap().code(), Code::BAD_CONFIGURATION);
}

#[tokio::test]
async fn a_session_that_the_brokers_refuse_stops_a_view_with_a_remedy() {
    let test = "a_session_that_the_brokers_refuse_stops_a_view_with_a_remedy";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(1).await;
    fixture.publish().await;
    let kafka = fixture.kafka().setting("heartbeat.interval.ms", "100");
    let kafka = kafka.setting("session.timeout.ms", "500");
    let source = KafkaSource::new(&fixture.highwater, kafka, fixture.topics());
    let feeding = fixture.subscription("short", Sharding::by_stream(4));
    let mut member = fixture.join(&source, &feeding).await;
    let error = in_time(member.membership.next_assignment()).await.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{error}");
    assert!(error.to_string().contains("group.min.session.timeout.ms"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_reported_as_one_and_not_as_a_missing_broker() {
    let test = "a_wrong_password_is_reported_as_one_and_not_as_a_missing_broker";
    let Some(cluster) = KafkaCluster::start(test, 1).await else { return };
    let fixture = TopicFixture::at(cluster.servers());
    fixture.append(5).await;
    let kafka = |password: &str| {
        Kafka::at(cluster.sasl_server(1))
            .setting("security.protocol", "SASL_PLAINTEXT")
            .setting("sasl.mechanism", "PLAIN")
            .setting("sasl.username", "alice")
            .setting("sasl.password", password)
    };
    let wrong = KafkaSource::new(&fixture.highwater, kafka("hunter2"), fixture.topics());
    let relay =
        RelayTask::start(Relay::new(&fixture.highwater, kafka("hunter2"), fixture.topics()));
    // All at once: each waits for some seconds for a server that answers.
    let (asked, joined, failed) = tokio::join!(
        wrong.sharding(ShardBy::Stream, 1),
        wrong.join(fixture.subscription("wrong", Sharding::SINGLE)),
        relay.fails(),
    );
    let error = asked.unwrap_err();
    assert_eq!(error.code(), Code::BAD_CREDENTIALS, "{error}");
    assert_eq!(joined.err().unwrap().code(), Code::BAD_CREDENTIALS);
    assert_eq!(failed.code(), Code::BAD_CREDENTIALS, "{failed}");
    let state = wrong.state(&ViewName::new("wrong").unwrap());
    assert!(matches!(*state.borrow(), KafkaState::WrongCredentials { .. }));
    assert!(!format!("{error} {error:?} {wrong:?}").contains("hunter2"));
    relay.stop().await;
    let relay = RelayTask::start(Relay::new(&fixture.highwater, kafka("secret"), fixture.topics()));
    relay.has_published(Position::new(5)).await;
    relay.stop().await;
    let right = KafkaSource::new(&fixture.highwater, kafka("secret"), fixture.topics());
    let mut feed = fixture.whole(&right, &Progress::default()).await;
    assert_eq!(drain(&mut *feed, Position::new(5), 10).await.events, fixture.log().await);
}
