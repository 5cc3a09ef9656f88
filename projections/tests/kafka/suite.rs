//! The properties of every feed: all events, once, in order (R1, W3). The direct feed and the feed
//! from Kafka pass the same suite.

use futures_util::FutureExt as _;
use highwater_core::{
    Position, Query,
    port::{FeedSource, Progress},
    value::{ShardBy, ShardId, Sharding},
};
use highwater_projections::direct::DirectSource;

use super::fixture::{RelayTask, TopicFixture, drain, positions};

/// Runs each property with a source that follows the log itself, and with one fed by a running
/// relay.
macro_rules! on_every_feed {
    ($($test:ident)*) => {
        mod direct {
            use super::*;

            $(#[tokio::test]
            async fn $test() {
                let fixture = TopicFixture::at(String::new());
                super::$test(&fixture, &DirectSource::new(&fixture.highwater)).await;
            })*
        }

        mod kafka {
            use super::*;

            $(#[tokio::test]
            async fn $test() {
                let Some(fixture) = TopicFixture::new(stringify!($test)) else { return };
                let relay = RelayTask::start(fixture.relay());
                relay.has_published(Position::START).await;
                super::$test(&fixture, &fixture.source()).await;
                relay.stop().await;
            })*
        }
    };
}

on_every_feed! {
    r1_every_shard_delivers_its_events_once_in_order_and_to_the_byte
    r1_a_feed_goes_on_from_its_cursor
    r1_a_feed_without_a_cursor_recognises_what_has_been_delivered
    r1_a_wait_that_is_given_up_loses_nothing
    w3_an_undivided_feed_is_the_log
    a_view_gets_the_events_of_its_query_and_the_position_moves_over_all
}

async fn r1_every_shard_delivers_its_events_once_in_order_and_to_the_byte(
    fixture: &TopicFixture,
    source: &dyn FeedSource,
) {
    fixture.append(300).await;
    let sharding = source.sharding(ShardBy::Stream, 4).await.unwrap();
    assert_eq!(sharding, Sharding::by_stream(4));
    let mut member = fixture.join(source, &fixture.subscription("streams", sharding)).await;
    member.until(4).await;
    for shard in sharding.all() {
        let events = member.deliver(shard, Position::new(300)).await;
        assert_eq!(events, fixture.of_shard(sharding, shard).await);
    }
    // Events that are appended while the feed waits are delivered as well.
    fixture.append(100).await;
    for shard in sharding.all() {
        let events = member.deliver(shard, Position::new(400)).await;
        let mut expected = fixture.of_shard(sharding, shard).await;
        expected.retain(|event| event.position > Position::new(300));
        assert_eq!(events, expected);
    }
}

async fn r1_a_feed_goes_on_from_its_cursor(fixture: &TopicFixture, source: &dyn FeedSource) {
    fixture.append(200).await;
    let mut seen = Vec::new();
    let mut progress = Progress::default();
    while progress.position < Position::new(200) {
        let mut feed = fixture.whole(source, &progress).await;
        let page = feed.next(33).await.unwrap();
        seen.extend(positions(&page.events));
        let (position, as_of) = (page.through, page.as_of.unwrap_or(progress.as_of));
        progress = Progress { position, as_of, cursor: page.cursor };
    }
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

async fn r1_a_feed_without_a_cursor_recognises_what_has_been_delivered(
    fixture: &TopicFixture,
    source: &dyn FeedSource,
) {
    fixture.append(100).await;
    let from = Progress { position: Position::new(60), ..Progress::default() };
    let mut feed = fixture.whole(source, &from).await;
    let drained = drain(&mut *feed, Position::new(100), 1000).await;
    assert_eq!(positions(&drained.events), (61..=100).collect::<Vec<_>>());
}

/// A caller may cancel a wait for a page at any point. Events that were read by then are delivered
/// later.
async fn r1_a_wait_that_is_given_up_loses_nothing(fixture: &TopicFixture, source: &dyn FeedSource) {
    let mut feed = fixture.whole(source, &Progress::default()).await;
    let (mut seen, mut through) = (Vec::new(), Position::START);
    for round in 0..400 {
        if round % 4 == 0 {
            fixture.append(2).await;
        }
        if let Some(page) = feed.next(3).now_or_never() {
            let page = page.unwrap();
            through = page.through;
            seen.extend(positions(&page.events));
        }
        tokio::task::yield_now().await;
    }
    while through < Position::new(200) {
        let page = super::fixture::in_time(feed.next(50)).await.unwrap();
        through = page.through;
        seen.extend(positions(&page.events));
    }
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

async fn w3_an_undivided_feed_is_the_log(fixture: &TopicFixture, source: &dyn FeedSource) {
    fixture.append(500).await;
    let mut feed = fixture.whole(source, &Progress::default()).await;
    let drained = drain(&mut *feed, Position::new(500), 64).await;
    assert_eq!(drained.events, fixture.log().await);
    assert_eq!(drained.progress.position, Position::new(500));
}

async fn a_view_gets_the_events_of_its_query_and_the_position_moves_over_all(
    fixture: &TopicFixture,
    source: &dyn FeedSource,
) {
    fixture.append(100).await;
    let mut subscription = fixture.subscription("odd", Sharding::SINGLE);
    subscription.query = Query::types(["suite.odd"]);
    let mut member = fixture.join(source, &subscription).await;
    let progress = Progress::default();
    let mut feed = member.membership.open(ShardId::FIRST, &progress).await.unwrap();
    let drained = drain(&mut *feed, Position::new(100), 1000).await;
    assert_eq!(positions(&drained.events), (1..=100).filter(|p| p % 2 == 0).collect::<Vec<_>>());
}
