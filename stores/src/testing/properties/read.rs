//! Pages of a stream and of the log: limits, directions and ends.

use highwater_core::{
    Envelope, Position, Query, ReadFrom, StreamId, Version,
    port::{LogPage, MAX_PAGE_BYTES, NewEvent, StreamPage},
    value::Expected,
};

use crate::testing::{
    Fixture, Store,
    build::{append_one, append_to, event, events, stream, tag, tagged, with_payload},
    read,
};

/// Creates a stream of `count` events, interleaved with as many other events.
async fn filled(store: &dyn Store, count: usize) -> StreamId {
    let filled = stream("filled");
    for part in 0..2 {
        let size = (count + part) / 2;
        store.append(append_to(&stream("other"), Expected::Any, events(size))).await.unwrap();
        store.append(append_to(&filled, Expected::Any, events(size))).await.unwrap();
    }
    filled
}

const FIRST: ReadFrom<Version> = ReadFrom::After(Version::NONE);
const LAST: ReadFrom<Version> = ReadFrom::Before(Version::END);
const START: ReadFrom<Position> = ReadFrom::After(Position::START);
const END: ReadFrom<Position> = ReadFrom::Before(Position::END);

fn after(version: u64) -> ReadFrom<Version> {
    ReadFrom::After(Version::new(version))
}

fn before(version: u64) -> ReadFrom<Version> {
    ReadFrom::Before(Version::new(version))
}

pub(super) async fn r_an_unknown_stream_is_an_empty_page(fixture: Fixture) {
    let store = &*fixture.store();
    store.append(append_one(&stream("known"), event())).await.unwrap();
    let unknown = stream("unknown");
    let nothing = StreamPage { events: Vec::new(), next: None };
    for from in [FIRST, LAST, after(7), before(1)] {
        assert_eq!(store.read_stream(&unknown, from, 10).await.unwrap(), nothing);
    }
}

pub(super) async fn r_an_empty_log_is_an_empty_page(fixture: Fixture) {
    let store = &*fixture.store();
    let nothing = LogPage { events: Vec::new(), through: Position::START, more: false };
    assert_eq!(store.head().await.unwrap(), Position::START);
    for from in [START, END] {
        assert_eq!(store.read_log(&Query::all(), from, 10).await.unwrap(), nothing);
    }
}

pub(super) async fn r_a_stream_page_ends_exactly_at_its_limit(fixture: Fixture) {
    let store = &*fixture.store();
    let stream = filled(store, 10).await;
    let cases = [
        (FIRST, 9, (1..=9).collect::<Vec<_>>(), Some(after(9))),
        (FIRST, 10, (1..=10).collect(), None),
        (FIRST, 11, (1..=10).collect(), None),
        (after(9), 1, vec![10], None),
        (after(10), 1, vec![], None),
        (after(11), 1, vec![], None),
        (LAST, 9, (2..=10).rev().collect(), Some(before(2))),
        (LAST, 10, (1..=10).rev().collect(), None),
        (LAST, 11, (1..=10).rev().collect(), None),
        (before(2), 1, vec![1], None),
        (before(1), 1, vec![], None),
        (before(0), 1, vec![], None),
    ];
    for (from, limit, versions, next) in cases {
        let page = store.read_stream(&stream, from, limit).await.unwrap();
        assert_eq!(read::versions(&page.events), versions, "{from:?}, at most {limit}");
        assert_eq!(page.next, next, "{from:?}, at most {limit}");
    }
}

pub(super) async fn r_a_limit_of_zero_advances_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let stream = filled(store, 10).await;
    for from in [FIRST, after(4), LAST, before(4)] {
        let page = store.read_stream(&stream, from, 0).await.unwrap();
        assert_eq!(page, StreamPage { events: Vec::new(), next: Some(from) });
    }
    for bound in [Position::START, Position::new(4)] {
        let page = store.read_log(&Query::all(), ReadFrom::After(bound), 0).await.unwrap();
        assert_eq!(page, LogPage { events: Vec::new(), through: bound, more: true });
    }
    for bound in [Position::END, Position::new(4)] {
        let page = store.read_log(&Query::all(), ReadFrom::Before(bound), 0).await.unwrap();
        assert_eq!(page, LogPage { events: Vec::new(), through: bound, more: true });
    }
}

pub(super) async fn r_pages_of_a_stream_of_any_size_give_the_same_events(fixture: Fixture) {
    let store = &*fixture.store();
    let stream = filled(store, 100).await;
    for size in [1, 7, 50, 100, 1000] {
        let forward = read::stream_by(store, &stream, FIRST, size).await;
        let mut backward = read::stream_by(store, &stream, LAST, size).await;
        backward.reverse();
        assert_eq!(read::versions(&forward), (1..=100).collect::<Vec<_>>(), "pages of {size}");
        assert_eq!(forward, backward, "pages of {size}");
    }
}

pub(super) async fn r_pages_of_the_log_of_any_size_give_the_same_events(fixture: Fixture) {
    let store = &*fixture.store();
    filled(store, 50).await;
    for size in [1, 7, 50, 100, 1000] {
        let forward = read::log_by(store, &Query::all(), START, size).await;
        let mut backward = read::log_by(store, &Query::all(), END, size).await;
        backward.reverse();
        assert_eq!(read::positions(&forward), (1..=100).collect::<Vec<_>>(), "pages of {size}");
        assert_eq!(forward, backward, "pages of {size}");
    }
}

/// Appends 30 events. Every third, beginning with the third, has the tag `third`.
async fn thirds(store: &dyn Store) -> Query {
    let batch = (1..=30).map(|n| if n % 3 == 0 { tagged([tag("third")]) } else { event() });
    let append = append_to(&stream("thirds"), Expected::NoStream, batch.collect());
    store.append(append).await.unwrap();
    Query::tags([tag("third")])
}

pub(super) async fn r_pages_of_a_query_of_any_size_give_the_same_events(fixture: Fixture) {
    let store = &*fixture.store();
    let query = thirds(store).await;
    for size in [1, 3, 9, 10, 11] {
        let forward = read::log_by(store, &query, START, size).await;
        let mut backward = read::log_by(store, &query, END, size).await;
        backward.reverse();
        let expected: Vec<_> = (1..=10).map(|n| 3 * n).collect();
        assert_eq!(read::positions(&forward), expected, "pages of {size}");
        assert_eq!(forward, backward, "pages of {size}");
    }
}

pub(super) async fn r_a_full_log_page_goes_through_its_last_event(fixture: Fixture) {
    let store = &*fixture.store();
    let query = thirds(store).await;
    let forward = store.read_log(&query, START, 9).await.unwrap();
    assert_eq!((forward.through, forward.more), (Position::new(27), true));
    let backward = store.read_log(&query, END, 9).await.unwrap();
    assert_eq!((backward.through, backward.more), (Position::new(6), true));
}

pub(super) async fn r_a_last_log_page_goes_through_the_end(fixture: Fixture) {
    let store = &*fixture.store();
    let query = thirds(store).await;
    let forward = store.read_log(&query, START, 11).await.unwrap();
    assert_eq!((forward.through, forward.more), (Position::new(30), false));
    let backward = store.read_log(&query, END, 11).await.unwrap();
    assert_eq!((backward.through, backward.more), (Position::START, false));
}

/// A store may or may not know that an exactly full page is the last one. After it, nothing may be
/// lost or repeated.
pub(super) async fn r_an_exactly_full_log_page_is_followed_by_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let query = thirds(store).await;
    let forward = store.read_log(&query, START, 10).await.unwrap();
    let rest = store.read_log(&query, ReadFrom::After(forward.through), 10).await.unwrap();
    assert_eq!((forward.events.len(), rest.events.len(), rest.more), (10, 0, false));
    assert_eq!(rest.through, Position::new(30));
    let backward = store.read_log(&query, END, 10).await.unwrap();
    let rest = store.read_log(&query, ReadFrom::Before(backward.through), 10).await.unwrap();
    assert_eq!((backward.events.len(), rest.events.len(), rest.more), (10, 0, false));
    assert_eq!(rest.through, Position::START);
}

pub(super) async fn r_through_advances_over_events_that_do_not_match(fixture: Fixture) {
    let store = &*fixture.store();
    let query = thirds(store).await;
    store.append(append_to(&stream("tail"), Expected::Any, events(500))).await.unwrap();
    let page = store.read_log(&query, ReadFrom::After(Position::new(30)), 10).await.unwrap();
    let nothing = LogPage { events: Vec::new(), through: Position::new(530), more: false };
    assert_eq!(page, nothing);
    let none = Query::tags([tag("never")]);
    assert_eq!(store.read_log(&none, START, 10).await.unwrap(), nothing);
}

pub(super) async fn r_backward_reads_begin_anywhere_and_exclude_their_bound(fixture: Fixture) {
    let store = &*fixture.store();
    let stream = filled(store, 10).await;
    let middle = read::stream_by(store, &stream, before(6), 2).await;
    assert_eq!(read::versions(&middle), [5, 4, 3, 2, 1]);
    let middle = read::log_by(store, &Query::all(), ReadFrom::Before(Position::new(6)), 2).await;
    assert_eq!(read::positions(&middle), [5, 4, 3, 2, 1]);
    let beyond = read::log_by(store, &Query::all(), ReadFrom::Before(Position::new(999)), 7).await;
    assert_eq!(read::positions(&beyond), (1..=20).rev().collect::<Vec<_>>());
    let first = store.read_log(&Query::all(), ReadFrom::Before(Position::new(1)), 7).await.unwrap();
    assert_eq!(first, LogPage { events: Vec::new(), through: Position::START, more: false });
}

pub(super) async fn r_forward_reads_exclude_their_bound(fixture: Fixture) {
    let store = &*fixture.store();
    filled(store, 10).await;
    let middle = read::log_by(store, &Query::all(), ReadFrom::After(Position::new(15)), 2).await;
    assert_eq!(read::positions(&middle), [16, 17, 18, 19, 20]);
    let at_head = ReadFrom::After(Position::new(20));
    let page = store.read_log(&Query::all(), at_head, 7).await.unwrap();
    assert_eq!(page, LogPage { events: Vec::new(), through: Position::new(20), more: false });
}

/// Creates a log of large events, in two streams alternately, between small ones.
async fn filled_with_large(store: &dyn Store) -> StreamId {
    let large = || with_payload(vec![b' '; MAX_PAGE_BYTES / 5]);
    let filled = stream("filled");
    store.append(append_to(&filled, Expected::Any, events(3))).await.unwrap();
    for _ in 0..12 {
        store
            .append(append_one(&filled, NewEvent { tags: tagged([tag("large")]).tags, ..large() }))
            .await
            .unwrap();
        store.append(append_one(&stream("other"), large())).await.unwrap();
    }
    store.append(append_to(&filled, Expected::Any, events(3))).await.unwrap();
    filled
}

fn bytes_of(events: &[Envelope]) -> usize {
    events.iter().map(|event| event.payload.len()).sum()
}

pub(super) async fn r_a_page_of_large_events_ends_by_its_bytes(fixture: Fixture) {
    let store = &*fixture.store();
    let stream = filled_with_large(store).await;
    let two = Query::tags([tag("large")]).or(Query::types(["suite.happened"]));
    for limit in [1, 7, 1000, usize::MAX] {
        for from in [FIRST, LAST] {
            let page = store.read_stream(&stream, from, limit).await.unwrap();
            assert!(bytes_of(&page.events) <= 2 * MAX_PAGE_BYTES, "{from:?}, at most {limit}");
            assert!(!page.events.is_empty() && page.next.is_some(), "{from:?}, at most {limit}");
            let all = read::stream_by(store, &stream, from, limit).await;
            let mut versions = read::versions(&all);
            versions.sort_unstable_by_key(
                |version| if from == FIRST { *version } else { 18 - *version },
            );
            assert_eq!(read::versions(&all), versions, "{from:?}, at most {limit}");
            assert_eq!(all.len(), 18);
            assert_eq!(bytes_of(&all), 12 * (MAX_PAGE_BYTES / 5) + 6 * 2);
        }
        for (query, events) in
            [(Query::all(), 30), (Query::tags([tag("large")]), 12), (two.clone(), 30)]
        {
            for span in [START, END] {
                let page = store.read_log(&query, span, limit).await.unwrap();
                assert!(
                    bytes_of(&page.events) <= 2 * MAX_PAGE_BYTES && page.more,
                    "{query:?} {span:?}"
                );
                let all = read::log_by(store, &query, span, limit).await;
                assert_eq!(all.len(), events, "{query:?}, {span:?}, at most {limit}");
                let is_in_order = all.is_sorted_by(|one, next| match span {
                    ReadFrom::After(_) => one.position < next.position,
                    ReadFrom::Before(_) => one.position > next.position,
                });
                assert!(is_in_order, "{query:?}, {span:?}, at most {limit}");
            }
        }
    }
}
