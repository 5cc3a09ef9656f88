//! Leaders, zombies, checkpoints, and events that can't be published.

use std::time::Duration;

use bytes::Bytes;
use highwater_core::{
    Code, Envelope, Position,
    domain::ViewName,
    port::{ClaimMode, LeaseStore as _, NewEvent, Progress, ShardClaim, ViewStore as _, WorkerId},
    value::{ShardId, Sharding},
};
use highwater_projections::kafka::RelayStatus;
use jiff::SignedDuration;

use super::{
    fixture::{RelayTask, TopicFixture, drain, event},
    records::ForeignClient,
};

async fn delivers_the_log(fixture: &TopicFixture, to: u64) {
    let mut feed = fixture.whole(&fixture.source(), &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(to), 1000).await;
    let log = fixture.log().await;
    assert_eq!(positions(&drained.events), positions(&log));
    // Not by assert_eq!, which would print the payloads.
    assert!(drained.events == log, "an event was changed on its way");
}

fn positions(events: &[Envelope]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

#[tokio::test]
async fn one_of_two_relays_leads_and_the_other_takes_over() {
    let Some(fixture) = TopicFixture::new("one_of_two_relays_leads_and_the_other_takes_over")
    else {
        return;
    };
    fixture.append(50).await;
    let first = RelayTask::start(fixture.relay());
    first.has_published(Position::new(50)).await;
    let second = RelayTask::start(fixture.relay());
    second.is(|status| matches!(status, RelayStatus::Waiting)).await;
    fixture.append(50).await;
    first.has_published(Position::new(100)).await;
    assert!(matches!(*second.status.borrow(), RelayStatus::Waiting));
    first.crash().await;
    fixture.append(50).await;
    second.has_published(Position::new(150)).await;
    delivers_the_log(&fixture, 150).await;
    second.stop().await;
}

#[tokio::test]
async fn a_relay_that_shuts_down_hands_over_at_once() {
    let Some(fixture) = TopicFixture::new("a_relay_that_shuts_down_hands_over_at_once") else {
        return;
    };
    fixture.append(10).await;
    let first = RelayTask::start(fixture.relay().lease(Duration::from_secs(3600)));
    first.has_published(Position::new(10)).await;
    first.stop().await;
    let second = RelayTask::start(fixture.relay());
    second.has_published(Position::new(10)).await;
    second.stop().await;
}

#[tokio::test]
async fn r1_a_crash_between_publishing_and_the_checkpoint_repeats_nothing_in_a_view() {
    let test = "r1_a_crash_between_publishing_and_the_checkpoint_repeats_nothing_in_a_view";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let mut feed = None;
    for round in 1..=5_u64 {
        fixture.append(20).await;
        let relay = RelayTask::start(fixture.relay().page(3));
        relay.is(|status| matches!(status, RelayStatus::Leading { .. })).await;
        let feed = match &mut feed {
            Some(feed) => feed,
            empty => empty.insert(fixture.whole(&fixture.source(), &Progress::default()).await),
        };
        // The first events have reached the view, and the checkpoint is somewhere before the last
        // one.
        let page = super::fixture::in_time(feed.next(1)).await.unwrap();
        assert!(page.through <= Position::new(20 * round));
        relay.crash().await;
    }
    fixture.publish().await;
    delivers_the_log(&fixture, 100).await;
}

#[tokio::test]
async fn a_displaced_relay_moves_no_checkpoint_and_waits() {
    let Some(fixture) = TopicFixture::new("a_displaced_relay_moves_no_checkpoint_and_waits") else {
        return;
    };
    fixture.append(10).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(10)).await;
    let (view, thief) = (ViewName::new("relay_test").unwrap(), WorkerId::new("thief").unwrap());
    let lease = Duration::from_secs(2);
    let claim = fixture
        .store
        .claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::SINGLE,
            shard: ShardId::FIRST,
            worker: thief.clone(),
            mode: ClaimMode::Always,
            lease,
            definition: None,
        })
        .await;
    let at = claim.unwrap().unwrap().progress.position;
    // The former leader may not know it yet: what it publishes now is published by a zombie.
    fixture.append(10).await;
    relay.is(|status| matches!(status, RelayStatus::Waiting)).await;
    let there = fixture.store.read_view(&view, &[]).await.unwrap().state.least().position;
    assert_eq!(there, at);
    // The relay leads again when the lease has expired, and views have every event once.
    relay.has_published(Position::new(20)).await;
    delivers_the_log(&fixture, 20).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_that_is_too_large_is_named_and_stops_the_relay_until_the_topic_accepts_it() {
    let test = "an_event_that_is_too_large_is_named_and_stops_the_relay_until_the_topic_accepts_it";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let client = ForeignClient::of(&fixture);
    client.create(2, &[("max.message.bytes", "20000")]).await;
    fixture.append(5).await;
    let payload = Bytes::from(vec![b'7'; 50_000]);
    let large = NewEvent { payload, ..event("suite.large") };
    fixture.append_one("account-large", large).await;
    fixture.append(5).await;
    let relay = RelayTask::start(fixture.relay());
    relay.is(|status| status.name() == "record_too_large").await;
    let status = relay.status.borrow().clone();
    let RelayStatus::RecordTooLarge { position, bytes, limit, error, .. } = status else {
        panic!("{status:?}")
    };
    assert_eq!((position, bytes, limit), (Position::new(6), 50_000, Some(20_000)));
    assert_eq!(error.code(), Code::TOO_LARGE, "{error}");
    let said = error.to_string();
    assert!(said.contains("event 6 of stream account-large"), "{said}");
    assert!(said.contains("max.message.bytes"), "{said}");
    client.set("max.message.bytes", "100000").await;
    relay.has_published(Position::new(11)).await;
    delivers_the_log(&fixture, 11).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_that_the_broker_refuses_as_too_large_is_named() {
    let test = "an_event_that_the_broker_refuses_as_too_large_is_named";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let client = ForeignClient::of(&fixture);
    client.create(2, &[]).await;
    fixture.append(5).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(5)).await;
    // The relay uses the limit that the topic had when it started.
    client.set("max.message.bytes", "20000").await;
    let payload: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(50_000).collect();
    fixture
        .append_one("account-large", NewEvent { payload: payload.into(), ..event("suite.large") })
        .await;
    relay.is(|status| status.name() == "record_too_large").await;
    let status = relay.status.borrow().clone();
    let RelayStatus::RecordTooLarge { position, bytes, .. } = status else { panic!("{status:?}") };
    assert_eq!((position, bytes), (Position::new(6), 50_000));
    client.set("max.message.bytes", "100000").await;
    relay.has_published(Position::new(6)).await;
    delivers_the_log(&fixture, 6).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_creates_topics_that_accept_the_largest_payload_of_a_store() {
    let test = "a_relay_creates_topics_that_accept_the_largest_payload_of_a_store";
    let Some(fixture) = TopicFixture::new(test) else { return };
    let payload: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(8 << 20).collect();
    let large = NewEvent { payload: payload.into(), ..event("suite.large") };
    fixture.append_one("account-large", large).await;
    fixture.append(5).await;
    fixture.publish().await;
    delivers_the_log(&fixture, 6).await;
}

#[tokio::test]
async fn a_bounded_context_may_publish_some_events_and_views_receive_those() {
    let test = "a_bounded_context_may_publish_some_events_and_views_receive_those";
    let Some(fixture) = TopicFixture::new(test) else { return };
    fixture.append(70).await;
    let orders = highwater_core::Query::category(highwater_core::Category::new("order").unwrap());
    let relay = RelayTask::start(fixture.relay().only(orders.clone()));
    relay.has_published(Position::new(70)).await;
    ForeignClient::of(&fixture).truncate(4).await;
    fixture.append(70).await;
    let source = fixture.source().published(orders);
    let mut member = fixture.join(&source, &fixture.subscription("orders", Sharding::SINGLE)).await;
    member.until(1).await;
    let events = member.deliver(ShardId::FIRST, Position::new(140)).await;
    assert_eq!(events.len(), 20);
    assert!(events.iter().all(|event| event.stream.category() == "order"));
    relay.stop().await;
}

#[tokio::test]
async fn an_event_from_the_future_is_published_and_keeps_its_time() {
    let test = "an_event_from_the_future_is_published_and_keeps_its_time";
    let wrong_by = SignedDuration::from_hours(48);
    let Some(fixture) = TopicFixture::with_wrong_clock(test, wrong_by) else { return };
    fixture.append(5).await;
    let relay = RelayTask::start(fixture.relay());
    relay.has_published(Position::new(5)).await;
    delivers_the_log(&fixture, 5).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_event_whose_time_the_topic_refuses_is_named_with_a_remedy() {
    let test = "an_event_whose_time_the_topic_refuses_is_named_with_a_remedy";
    let wrong_by = SignedDuration::from_hours(-48);
    let Some(fixture) = TopicFixture::with_wrong_clock(test, wrong_by) else { return };
    let client = ForeignClient::of(&fixture);
    let limit = "message.timestamp.before.max.ms";
    client.create(2, &[(limit, "3600000")]).await;
    fixture.append_one("account-old", event("suite.old")).await;
    let relay = RelayTask::start(fixture.relay());
    let error = relay.fails().await;
    assert_eq!(error.code(), Code::BAD_TOPIC, "{error}");
    let said = error.to_string();
    assert!(said.contains("event 1 of stream account-old") && said.contains(limit), "{said}");
    client.set(limit, "9223372036854775807").await;
    relay.has_published(Position::new(1)).await;
    delivers_the_log(&fixture, 1).await;
    relay.stop().await;
}
