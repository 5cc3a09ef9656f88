//! W1 and W3: expectations, versions and positions.

use std::collections::HashMap;

use highwater_core::{
    EventId, Query, StreamId, Version,
    error::{Actual, Conflict},
    port::NewEvent,
    value::Expected,
};

use crate::testing::{
    Fixture, Store,
    build::{append_one, append_to, at, empty, event, event_id, events, stream},
    race::{append_back_to_back, race_appends},
    read,
};

pub(super) async fn w1_n_racing_appends_at_one_version_have_one_winner(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("raced");
    store.append(append_to(&stream, Expected::NoStream, events(3))).await.unwrap();
    let appends = (0..16).map(|_| append_to(&stream, at(3), events(2)));
    let outcomes = race_appends(&store, appends).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for outcome in lost {
        let error = outcome.unwrap_err();
        let conflict = error.conflict().expect("a losing append is a conflict");
        assert_eq!(conflict.actual_version(), Some(Version::new(5)));
    }
    assert_eq!(read::stream(&*store, &stream).await.len(), 5);
}

pub(super) async fn w1_n_racing_first_appends_have_one_winner(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("created");
    let appends = (0..16).map(|_| append_to(&stream, Expected::NoStream, events(1)));
    let outcomes = race_appends(&store, appends).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.into_iter().filter_map(Result::err).all(|error| error.is_conflict()));
    assert_eq!(read::stream(&*store, &stream).await.len(), 1);
}

/// Returns a stream without events, and a stream at version 2 with the id of its last event.
async fn none_and_two(store: &dyn Store) -> (StreamId, StreamId, EventId) {
    let none = stream("none");
    let two = stream("two");
    let events = events(2);
    let head = events[1].id;
    store.append(append_to(&two, Expected::NoStream, events)).await.unwrap();
    (none, two, head)
}

async fn meets(store: &dyn Store, stream: &StreamId, expected: Expected) -> bool {
    match store.append(append_to(stream, expected, Vec::new())).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_conflict(), "{error}");
            false
        }
    }
}

pub(super) async fn w1_any_is_met_by_every_stream(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, _) = none_and_two(store).await;
    assert!(meets(store, &none, Expected::Any).await);
    assert!(meets(store, &two, Expected::Any).await);
}

pub(super) async fn w1_no_stream_is_met_only_without_events(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, _) = none_and_two(store).await;
    assert!(meets(store, &none, Expected::NoStream).await);
    assert!(!meets(store, &two, Expected::NoStream).await);
}

pub(super) async fn w1_stream_exists_is_met_only_with_events(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, _) = none_and_two(store).await;
    assert!(!meets(store, &none, Expected::StreamExists).await);
    assert!(meets(store, &two, Expected::StreamExists).await);
}

pub(super) async fn w1_a_version_is_met_only_by_itself(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, _) = none_and_two(store).await;
    assert!(meets(store, &none, at(0)).await && !meets(store, &none, at(1)).await);
    for (version, met) in [(0, false), (1, false), (2, true), (3, false), (i64::MAX as u64, false)]
    {
        assert_eq!(meets(store, &two, at(version)).await, met, "version {version}");
    }
}

pub(super) async fn w1_a_head_is_met_only_by_its_own_event(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, head) = none_and_two(store).await;
    let expected = |version, event| Expected::Head(Version::new(version), event);
    assert!(meets(store, &two, expected(2, head)).await);
    assert!(!meets(store, &two, expected(2, event_id())).await, "another event");
    assert!(!meets(store, &two, expected(1, head)).await, "another version");
    assert!(!meets(store, &two, expected(3, head)).await, "another version");
    assert!(!meets(store, &none, expected(2, head)).await, "no events");
}

pub(super) async fn w1_a_conflict_says_what_was_expected_and_what_is(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, head) = none_and_two(store).await;
    let cases = [
        (&two, at(7), Actual { version: Version::new(2), head: Some(head) }),
        (&two, Expected::NoStream, Actual { version: Version::new(2), head: Some(head) }),
        (&none, Expected::StreamExists, Actual::default()),
        (&none, Expected::Head(Version::new(2), head), Actual::default()),
    ];
    for (stream, expected, actual) in cases {
        let append = append_to(stream, expected, events(1));
        let error = store.append(append).await.unwrap_err();
        let stream = stream.clone();
        assert_eq!(error.conflict(), Some(&Conflict::Stream { stream, expected, actual }));
    }
}

pub(super) async fn w1_a_stream_without_events_is_only_checked(fixture: Fixture) {
    let store = &*fixture.store();
    let (none, two, _) = none_and_two(store).await;
    let other = stream("other");
    let append = || empty().stream(other.clone(), Expected::Any, events(1));
    let checked = append().stream(two.clone(), at(2), Vec::new());
    let appended = store.append(checked).await.unwrap();
    assert_eq!(appended.streams.iter().map(|head| &head.stream).collect::<Vec<_>>(), [&other]);
    let stale = append().stream(none, Expected::StreamExists, Vec::new());
    assert!(store.append(stale).await.unwrap_err().is_conflict());
    assert_eq!(read::version(store, &two).await, Version::new(2));
    assert_eq!(read::version(store, &other).await, Version::new(1));
}

pub(super) async fn w1_versions_are_contiguous_under_64_writers(fixture: Fixture) {
    let store = fixture.store();
    write_from_64_tasks(&store).await;
    for key in 0..4 {
        let events = read::stream(&*store, &stream(&key.to_string())).await;
        assert_eq!(read::versions(&events), (1..=96).collect::<Vec<_>>());
    }
}

pub(super) async fn w3_positions_are_contiguous_and_in_order_under_64_writers(fixture: Fixture) {
    let store = fixture.store();
    write_from_64_tasks(&store).await;
    let log = read::log(&*store, &Query::all()).await;
    assert_eq!(read::positions(&log), (1..=384).collect::<Vec<_>>());
    assert_eq!(store.head().await.unwrap().get(), 384);
    let mut versions: HashMap<_, u64> = HashMap::new();
    for event in log {
        let version = versions.entry(event.stream).or_default();
        *version += 1;
        assert_eq!(event.version.get(), *version, "versions follow the order of the log");
    }
}

/// Appends from 64 tasks, three times each: two events, to one of four streams.
async fn write_from_64_tasks(store: &std::sync::Arc<dyn Store>) {
    let tasks = (0..64).map(|task| {
        let store = store.clone();
        let stream = stream(&(task % 4).to_string());
        async move {
            for _ in 0..3 {
                store.append(append_to(&stream, Expected::Any, events(2))).await.unwrap();
            }
        }
    });
    crate::testing::race::race(tasks).await;
}

fn head_after(version: u64, event: &NewEvent) -> Expected {
    Expected::Head(Version::new(version), event.id)
}

pub(super) async fn w1_appends_called_back_to_back_can_build_on_one_another(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("chain");
    let events: Vec<_> = (0..16).map(|_| event()).collect();
    let appends = events.iter().enumerate().map(|(index, event)| {
        let expected = match index {
            0 => Expected::NoStream,
            _ => head_after(index as u64, &events[index - 1]),
        };
        append_to(&stream, expected, vec![event.clone()])
    });
    for (index, outcome) in append_back_to_back(&store, appends).await.into_iter().enumerate() {
        assert_eq!(outcome.unwrap().streams[0].version, Version::NONE.plus(index + 1));
    }
}

pub(super) async fn w1_a_broken_chain_fails_even_where_the_version_fits(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("chain");
    store.append(append_one(&stream, event())).await.unwrap();
    let first = event();
    let second = event();
    let appends = [
        append_to(&stream, Expected::NoStream, vec![first.clone()]),
        append_to(&stream, head_after(1, &first), vec![second.clone()]),
        append_to(&stream, head_after(2, &second), vec![event()]),
    ];
    for outcome in append_back_to_back(&store, appends).await {
        assert!(outcome.unwrap_err().is_conflict());
    }
    assert_eq!(read::version(&*store, &stream).await, Version::new(1));
}

pub(super) async fn w1_an_append_goes_on_when_its_answer_is_dropped(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("dropped");
    drop(store.append(append_one(&stream, event())));
    let second = store.append(append_to(&stream, at(1), events(1))).await;
    assert_eq!(second.unwrap().streams[0].version, Version::new(2));
}

pub(super) async fn w1_versions_go_beyond_70_000(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("long");
    let batch = fixture.limits().events;
    let mut version = 0;
    while version <= 70_000 {
        let append = append_to(&stream, at(version), events(batch));
        let appended = store.append(append).await.unwrap();
        version += batch as u64;
        assert_eq!(appended.streams[0].version, Version::new(version));
    }
    let tail = store.read_stream(&stream, highwater_core::ReadFrom::Before(Version::END), 1).await;
    assert_eq!(read::versions(&tail.unwrap().events), [version]);
    let middle = highwater_core::ReadFrom::After(Version::new(65_534));
    let page = store.read_stream(&stream, middle, 3).await.unwrap();
    assert_eq!(read::versions(&page.events), [65_535, 65_536, 65_537]);
    assert!(store.append(append_to(&stream, at(version - 1), events(1))).await.is_err());
}
