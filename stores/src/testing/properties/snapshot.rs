//! Snapshots: the latest one of each stream.

use bytes::Bytes;
use highwater_core::{SchemaVersion, Version, port::Snapshot};

use super::exact::HOSTILE;
use crate::testing::{
    Fixture, Store,
    build::{event_id, stream},
};

fn snapshot(key: &str, version: u64, schema: u32, state: &'static [u8]) -> Snapshot {
    Snapshot {
        stream: stream(key),
        version: Version::new(version),
        head: event_id(),
        schema: SchemaVersion::new(schema),
        state: Bytes::from_static(state),
    }
}

async fn save(store: &dyn Store, snapshot: &Snapshot) {
    store.save_snapshot(snapshot.clone()).await.unwrap();
}

async fn is_kept(store: &dyn Store, snapshot: &Snapshot) -> bool {
    store.load_snapshot(&snapshot.stream).await.unwrap().as_ref() == Some(snapshot)
}

pub(super) async fn s_a_stream_without_snapshot_has_none(fixture: Fixture) {
    let store = &*fixture.store();
    save(store, &snapshot("other", 1, 1, b"")).await;
    assert_eq!(store.load_snapshot(&stream("none")).await.unwrap(), None);
}

pub(super) async fn s_a_snapshot_comes_back_as_it_was_saved(fixture: Fixture) {
    let store = &*fixture.store();
    let saved = snapshot("saved", 70_000, 3, b"\x00\xff{\xc3\x28}");
    save(store, &saved).await;
    assert!(is_kept(&*fixture.reopen().await, &saved).await);
    let empty = snapshot("empty", 1, 1, b"");
    save(store, &empty).await;
    assert!(is_kept(store, &empty).await);
}

pub(super) async fn s_a_large_snapshot_comes_back(fixture: Fixture) {
    let store = &*fixture.store();
    let state = Bytes::from(vec![0xa5; 1 << 20]);
    let large = Snapshot { state, ..snapshot("large", 1, 1, b"") };
    save(store, &large).await;
    assert!(is_kept(store, &large).await);
}

pub(super) async fn s_a_later_snapshot_replaces_an_earlier_one(fixture: Fixture) {
    let store = &*fixture.store();
    let earlier = snapshot("s", 5, 1, b"5");
    let later = snapshot("s", 9, 1, b"9");
    save(store, &earlier).await;
    save(store, &later).await;
    assert!(is_kept(store, &later).await);
}

pub(super) async fn s_an_earlier_snapshot_does_not_replace_a_later_one(fixture: Fixture) {
    let store = &*fixture.store();
    let later = snapshot("s", 9, 2, b"9");
    save(store, &later).await;
    save(store, &snapshot("s", 5, 2, b"same schema")).await;
    save(store, &snapshot("s", 5, 1, b"older schema")).await;
    assert!(is_kept(store, &later).await);
}

pub(super) async fn s_of_two_snapshots_of_one_version_the_first_stays(fixture: Fixture) {
    let store = &*fixture.store();
    let first = snapshot("s", 5, 1, b"first");
    save(store, &first).await;
    save(store, &snapshot("s", 5, 1, b"second")).await;
    assert!(is_kept(store, &first).await);
}

pub(super) async fn s_a_newer_schema_replaces_a_later_snapshot_of_an_older_one(fixture: Fixture) {
    let store = &*fixture.store();
    save(store, &snapshot("s", 9, 1, b"old")).await;
    let newer = snapshot("s", 5, 2, b"new");
    save(store, &newer).await;
    assert!(is_kept(store, &newer).await);
}

pub(super) async fn s_snapshots_of_hostile_streams_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    let snapshots: Vec<_> = HOSTILE.iter().map(|key| snapshot(key, 1, 1, b"x")).collect();
    for snapshot in &snapshots {
        save(store, snapshot).await;
    }
    for snapshot in &snapshots {
        assert!(is_kept(store, snapshot).await, "{}", snapshot.stream);
    }
}

pub(super) async fn s_of_racing_snapshots_the_latest_stays(fixture: Fixture) {
    let store = fixture.store();
    let snapshots: Vec<_> = (1..=16).map(|version| snapshot("raced", version, 1, b"x")).collect();
    let latest = snapshots.last().cloned().unwrap();
    crate::testing::race::race(snapshots.into_iter().map(|snapshot| {
        let store = store.clone();
        async move { store.save_snapshot(snapshot).await.unwrap() }
    }))
    .await;
    assert!(is_kept(&*store, &latest).await);
}
