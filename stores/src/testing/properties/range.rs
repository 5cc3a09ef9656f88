//! R2: rows of a range of keys, with the progress at the same moment.

use std::{collections::BTreeMap, ops::Bound};

use highwater_core::{
    Position,
    domain::{ViewName, ViewSpec},
    port::{KeyRange, StoredRange},
    value::Sharding,
};

use super::{
    exact::HOSTILE,
    worker::{Worker, is_missing, name, opened, park, progress, row, state},
};
use crate::testing::{Fixture, Store};

fn between(from: Bound<&str>, to: Bound<&str>) -> KeyRange {
    KeyRange { from: from.map(str::to_owned), to: to.map(str::to_owned) }
}

fn all() -> KeyRange {
    between(Bound::Unbounded, Bound::Unbounded)
}

async fn keys(store: &dyn Store, view: &ViewName, range: &KeyRange, limit: usize) -> Vec<String> {
    let read = store.read_range(view, range, limit).await.unwrap();
    read.rows.into_iter().map(|(key, _)| key).collect()
}

pub(super) async fn r2_a_range_without_rows_has_the_progress(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "empty_range").await;
    worker.write(7, &[]).await;
    let read = store.read_range(&worker.view, &all(), 10).await.unwrap();
    let state = state(Sharding::SINGLE, &[7]);
    let head = Some(Position::START);
    assert_eq!(read, StoredRange { rows: Vec::new(), more: false, state, head });
}

pub(super) async fn r2_rows_of_a_range_come_by_the_bytes_of_their_keys(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "range_order").await;
    let mut sorted: Vec<&str> =
        HOSTILE.iter().copied().chain(["", "B", "a", "b", "Z", "é"]).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let pairs: Vec<_> = sorted.iter().rev().map(|key| (*key, Some(*key))).collect();
    worker.write(1, &pairs).await;
    let read = store.read_range(&worker.view, &all(), 1_000).await.unwrap();
    assert!(!read.more);
    let found: Vec<&str> = read.rows.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(found, sorted);
    assert!(read.rows.iter().all(|(key, found)| found.value == Some(row(key))));
}

pub(super) async fn r2_a_range_keeps_to_its_bounds(fixture: Fixture) {
    use Bound::{Excluded, Included, Unbounded};

    let store = fixture.store();
    let mut worker = Worker::on(&store, "range_bounds").await;
    let pairs = ["a", "b", "b1", "c", "d"].map(|key| (key, Some("1")));
    worker.write(1, &pairs).await;
    for (from, to, expected) in [
        (Included("b"), Included("c"), &["b", "b1", "c"][..]),
        (Excluded("b"), Excluded("c"), &["b1"]),
        (Included("b"), Unbounded, &["b", "b1", "c", "d"]),
        (Unbounded, Excluded("b"), &["a"]),
        (Included("x"), Unbounded, &[]),
        (Included("c"), Included("b"), &[]),
        (Excluded("b"), Excluded("b"), &[]),
        (Included("b"), Excluded("b"), &[]),
        (Included("b"), Included("b"), &["b"]),
    ] {
        let range = between(from, to);
        assert_eq!(keys(&*store, &worker.view, &range, 10).await, expected, "{range:?}");
    }
}

pub(super) async fn r2_pages_of_a_range_of_any_size_give_every_row_once(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "range_pages").await;
    let written: Vec<String> = (0..20).map(|n| format!("key-{n:02}")).collect();
    let pairs: Vec<_> = written.iter().map(|key| (key.as_str(), Some("1"))).collect();
    worker.write(1, &pairs).await;
    for size in [1, 3, 19, 20, 21] {
        let mut range = all();
        let mut found = Vec::new();
        loop {
            let read = store.read_range(&worker.view, &range, size).await.unwrap();
            assert!(read.rows.len() <= size);
            found.extend(read.rows.into_iter().map(|(key, _)| key));
            if !read.more {
                break;
            }
            range.from = Bound::Excluded(found.last().unwrap().clone());
        }
        assert_eq!(found, written, "pages of {size}");
    }
}

pub(super) async fn r4_a_range_names_parked_keys_also_those_without_a_row(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "range_parked").await;
    worker.write(1, &[("a", Some("1")), ("c", Some("1"))]).await;
    worker.park(4, vec![park("b", 2, "broken", 1), park("c", 3, "broken", 1)]).await;
    let mut elsewhere = Worker::on(&store, "range_parked_too").await;
    elsewhere.park(4, vec![park("a", 2, "broken", 1)]).await;
    let read = store.read_range(&worker.view, &all(), 10).await.unwrap();
    let found: Vec<_> = read
        .rows
        .iter()
        .map(|(key, row)| (key.as_str(), row.value.is_some(), row.parked_since.map(Position::get)))
        .collect();
    assert_eq!(found, [("a", true, None), ("b", false, Some(2)), ("c", true, Some(3))]);
    assert_eq!(keys(&*store, &worker.view, &all(), 2).await, ["a", "b"]);
}

/// Each commit writes its position into every row, and deletes or writes one more row.
pub(super) async fn r2_a_range_shows_rows_and_progress_of_one_moment(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "range_moment").await;
    let view = worker.view.clone();
    let writing = tokio::spawn(async move {
        for to in 1..=100_u64 {
            let position = to.to_string();
            let odd = (to % 2 == 1).then_some(position.as_str());
            worker.write(to, &[("a", Some(&position)), ("b", odd), ("c", Some(&position))]).await;
        }
    });
    let mut written = false;
    while !written {
        written = writing.is_finished();
        let read = store.read_range(&view, &all(), 10).await.unwrap();
        let at = read.state.shards[0].position.get();
        let found: BTreeMap<_, _> =
            read.rows.into_iter().map(|(key, row)| (key, row.value.unwrap())).collect();
        let expected = if at == 0 { 0 } else { 2 + at % 2 };
        assert_eq!(found.len() as u64, expected, "at {at}");
        assert!(found.values().all(|value| *value == row(&at.to_string())), "at {at}: {found:?}");
    }
    writing.await.unwrap();
}

pub(super) async fn r2_a_range_of_what_is_not_there_is_refused(fixture: Fixture) {
    let store = fixture.store();
    let never = name("range_never");
    assert!(is_missing(store.read_range(&never, &all(), 1).await));
    let rowless = ViewSpec::without_rows(name("range_rowless"));
    store.open_view(&rowless, Sharding::SINGLE).await.unwrap();
    assert!(store.read_range(&rowless.name, &all(), 1).await.unwrap_err().is_invalid());
    let view = opened(&*store, "range_nul", Sharding::SINGLE).await;
    for range in [
        between(Bound::Included("a\0"), Bound::Unbounded),
        between(Bound::Unbounded, Bound::Excluded("\0")),
    ] {
        assert!(store.read_range(&view, &range, 1).await.unwrap_err().is_invalid());
    }
}

pub(super) async fn r2_a_range_has_every_shard_of_its_view(fixture: Fixture) {
    let store = fixture.store();
    let sharding = Sharding::by_key(3);
    let view = opened(&*store, "range_shards", sharding).await;
    let mut worker = Worker::taking(&store, &view, super::worker::shard(1), "first").await;
    worker.write(4, &[("a", Some("1"))]).await;
    let read = store.read_range(&view, &all(), 10).await.unwrap();
    assert_eq!(read.state, state(sharding, &[0, 4, 0]));
    assert_eq!(read.state.shards[1], progress(4));
}
