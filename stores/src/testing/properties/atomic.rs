//! W2: an append stores all of its events or none, also with concurrent appends.

use std::{collections::HashSet, sync::Arc};

use highwater_core::{
    EventId, Position, Query, Result, StreamId, Version,
    port::{Append, Appended},
    value::Expected,
};

use crate::testing::{
    Fixture, Store,
    build::{append_to, at, empty, events, nothing_like, stream},
    race::{append_back_to_back, race_appends},
    read,
};

fn three() -> [StreamId; 3] {
    [stream("a"), stream("b"), stream("c")]
}

pub(super) async fn w2_an_append_over_three_streams_is_stored_whole(fixture: Fixture) {
    let (store, [a, b, c]) = (fixture.store(), three());
    let append = empty()
        .stream(a.clone(), Expected::NoStream, events(1))
        .stream(b.clone(), Expected::Any, events(2))
        .stream(c.clone(), at(0), events(3));
    let written: HashSet<EventId> = append.events().map(|(_, event)| event.id).collect();
    let appended = store.append(append).await.unwrap();
    let heads: Vec<_> =
        appended.streams.iter().map(|head| (&head.stream, head.version.get())).collect();
    assert_eq!(heads, [(&a, 1), (&b, 2), (&c, 3)], "the heads, in the order of the append");
    assert_eq!(appended.position, Position::new(6));
    let log = read::log(&*store, &Query::all()).await;
    assert_eq!(read::ids(&log).into_iter().collect::<HashSet<_>>(), written);
}

pub(super) async fn w2_one_stale_stream_of_three_leaves_nothing(fixture: Fixture) {
    let store = fixture.store();
    let streams = three();
    store.append(append_to(&streams[1], Expected::NoStream, events(1))).await.unwrap();
    for stale in 0..3 {
        let append = streams.iter().enumerate().fold(empty(), |append, (index, stream)| {
            let expected = if index == stale { at(5) } else { Expected::Any };
            append.stream(stream.clone(), expected, events(2))
        });
        assert!(store.append(append).await.unwrap_err().is_conflict());
    }
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 1);
    assert_eq!(store.head().await.unwrap(), Position::new(1));
    assert_eq!(read::version(&*store, &streams[0]).await, Version::NONE);
}

pub(super) async fn w2_a_stale_condition_leaves_nothing(fixture: Fixture) {
    let (store, [a, b, c]) = (fixture.store(), three());
    store.append(append_to(&a, Expected::NoStream, events(1))).await.unwrap();
    let append = empty()
        .stream(b, Expected::NoStream, events(1))
        .stream(c, Expected::NoStream, events(1))
        .only_if(nothing_like(Query::all(), Position::START));
    assert!(store.append(append).await.unwrap_err().is_conflict());
    assert_eq!(read::log(&*store, &Query::all()).await.len(), 1);
}

/// Builds 64 appends, every fourth of which is stale in one of its two streams, in any order of
/// execution.
async fn mixed(store: &dyn Store) -> Vec<Append> {
    let full = stream("full");
    store.append(append_to(&full, Expected::NoStream, events(1))).await.unwrap();
    let append = |index: usize| {
        let expected = if index % 4 == 3 { Expected::NoStream } else { Expected::StreamExists };
        empty()
            .stream(stream(&format!("own-{index}")), Expected::NoStream, events(1))
            .stream(full.clone(), expected, events(index % 3))
            .stream(stream(&format!("shared-{}", index % 5)), Expected::Any, events(1))
    };
    (0..64).map(append).collect()
}

/// Checks that the outcomes are exact, and that the log holds exactly the successful appends, each
/// at the positions that it returned.
async fn check(store: &dyn Store, appends: &[Append], outcomes: &[Result<Appended>]) {
    let mut expected = 1;
    for (index, (append, outcome)) in appends.iter().zip(outcomes).enumerate() {
        if index % 4 == 3 {
            assert!(outcome.as_ref().unwrap_err().is_conflict(), "append {index}");
            continue;
        }
        let appended = outcome.as_ref().unwrap_or_else(|error| panic!("append {index}: {error}"));
        expected += append.events().count();
        check_placed(store, append, appended).await;
    }
    let log = read::log(store, &Query::all()).await;
    assert_eq!(read::positions(&log), (1..=expected as u64).collect::<Vec<_>>());
}

async fn check_placed(store: &dyn Store, append: &Append, appended: &Appended) {
    let mut last = Position::START;
    for part in append.streams.iter().filter(|part| !part.events.is_empty()) {
        let head = appended.streams.iter().find(|head| head.stream == part.stream).unwrap();
        let first = Version::new(head.version.get() - part.events.len() as u64);
        let from = highwater_core::ReadFrom::After(first);
        let stored = store.read_stream(&part.stream, from, part.events.len()).await.unwrap().events;
        let written: Vec<_> = part.events.iter().map(|event| event.id).collect();
        assert_eq!(read::ids(&stored), written);
        last = stored.iter().map(|event| event.position).fold(last, Position::max);
    }
    assert_eq!(appended.position, last, "the position of the last event");
}

pub(super) async fn w2_bad_appends_among_64_racing_ones_fail_alone(fixture: Fixture) {
    let store: Arc<dyn Store> = fixture.store();
    let appends = mixed(&*store).await;
    let outcomes = race_appends(&store, appends.clone()).await;
    check(&*store, &appends, &outcomes).await;
}

pub(super) async fn w2_bad_appends_among_64_called_at_once_fail_alone(fixture: Fixture) {
    let store: Arc<dyn Store> = fixture.store();
    let appends = mixed(&*store).await;
    let outcomes = append_back_to_back(&store, appends.clone()).await;
    check(&*store, &appends, &outcomes).await;
    let places = outcomes.iter().flatten().map(|appended| appended.position);
    assert!(places.is_sorted(), "appends are ordered by their calls");
}
