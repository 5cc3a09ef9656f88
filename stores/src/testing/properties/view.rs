//! R1: the rows of a view and its progress advance together, from their previous position.

use std::ops::Bound;

use bytes::Bytes;
use highwater_core::{
    Code, Position,
    domain::ViewSpec,
    error::Conflict,
    port::{ClaimMode, KeyRange, Progress, ShardClaim, ViewCommit, WorkerId},
    value::{ShardId, Sharding},
};

use super::{
    exact::HOSTILE,
    worker::{
        LONG_LEASE, Worker, found, is_missing, name, opened, progress, row, some, spec, state,
    },
};
use crate::testing::{Fixture, race::race};

pub(super) async fn r1_a_fresh_view_is_at_the_start(fixture: Fixture) {
    let store = &*fixture.store();
    let fresh = store.open_view(&spec("fresh"), Sharding::SINGLE).await.unwrap();
    assert_eq!(fresh, state(Sharding::SINGLE, &[0]));
    assert_eq!(found(store, &name("fresh"), &["a"]).await, (vec![0], vec![None]));
}

pub(super) async fn r1_a_fresh_view_has_every_shard_of_its_sharding(fixture: Fixture) {
    let store = &*fixture.store();
    for (view, sharding) in [("by_key", Sharding::by_key(3)), ("by_stream", Sharding::by_stream(3))]
    {
        let fresh = store.open_view(&spec(view), sharding).await.unwrap();
        assert_eq!(fresh, state(sharding, &[0, 0, 0]));
    }
}

pub(super) async fn r1_a_new_view_begins_where_its_spec_says(fixture: Fixture) {
    let store = fixture.store();
    let sharding = Sharding::by_key(3);
    let after = |position| ViewSpec { start_after: Position::new(position), ..spec("begun") };
    for start_after in [7, 9, 0] {
        let found = store.open_view(&after(start_after), sharding).await.unwrap();
        assert_eq!(found.shards, vec![beginning(7); 3], "opened with {start_after}");
    }
    let read = fixture.reopen().await.read_view(&name("begun"), &[]).await.unwrap();
    assert_eq!(read.state.shards, vec![beginning(7); 3]);
    let mut worker = Worker::taking(&store, &name("begun"), ShardId::new(2), "first").await;
    assert_eq!(worker.claim.progress, beginning(7));
    worker.write(8, &[("a", Some("1"))]).await;
}

/// Returns progress at a position before any applied event.
fn beginning(position: u64) -> Progress {
    Progress { position: Position::new(position), ..Progress::default() }
}

pub(super) async fn r1_a_read_beside_the_first_opening_of_a_view_finds_all_of_it_or_nothing(
    fixture: Fixture,
) {
    let store = fixture.store();
    let other = fixture.reopen().await;
    let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    for number in 0..30 {
        let view = name(&format!("view{number}"));
        let spec = ViewSpec::rows(view.clone());
        let reading = async {
            while store.read_view(&view, &[]).await.is_err() {
                tokio::task::yield_now().await;
                for read in [
                    store.read_view(&view, &["a".to_owned()]).await.map(drop),
                    store.read_view(&view, &["a".to_owned(), "b".to_owned()]).await.map(drop),
                    store.read_range(&view, &all, 1).await.map(drop),
                ] {
                    let code = read.err().map(|error| error.code());
                    assert!(code.is_none_or(|code| code == Code::VIEW_MISSING), "{code:?}");
                }
            }
        };
        let (_, opened) = tokio::join!(reading, other.open_view(&spec, Sharding::SINGLE));
        opened.unwrap();
    }
}

pub(super) async fn r1_opening_a_view_again_changes_nothing(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "again").await;
    worker.write(7, &[("a", Some("1"))]).await;
    for store in [store, fixture.reopen().await] {
        for sharding in [Sharding::SINGLE, Sharding::by_key(4)] {
            let again = store.open_view(&spec("again"), sharding).await.unwrap();
            assert_eq!(again, state(Sharding::SINGLE, &[7]), "the view keeps its own sharding");
        }
        assert_eq!(found(&*store, &worker.view, &["a"]).await, (vec![7], vec![some("1")]));
    }
    worker.write(8, &[]).await;
}

pub(super) async fn r1_one_view_opened_by_eight_at_once_is_opened(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let openers = (0..8).map(|n| {
        let store = handles[n % 2].clone();
        async move { store.open_view(&spec("raced"), Sharding::by_key(2)).await.unwrap() }
    });
    let fresh = state(Sharding::by_key(2), &[0, 0]);
    assert!(race(openers).await.into_iter().all(|found| found == fresh));
}

pub(super) async fn r1_a_view_that_was_never_opened_is_refused(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "opened").await;
    let never = name("never");
    for keys in [&[][..], &["a".to_owned()]] {
        assert!(is_missing(store.read_view(&never, keys).await));
    }
    let claim = store.claim_shard(ShardClaim {
        view: never.clone(),
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.id.clone(),
        mode: ClaimMode::Always,
        lease: LONG_LEASE,
        definition: None,
    });
    assert!(is_missing(claim.await));
    assert!(is_missing(store.heartbeat(&never, &worker.id, LONG_LEASE).await));
    worker.view = never;
    for changes in [&[][..], &[("a", Some("1"))]] {
        assert!(is_missing(worker.send(worker.to(1, changes)).await));
    }
}

pub(super) async fn r1_a_commit_moves_rows_and_progress_together(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "moved").await;
    worker.write(3, &[("a", Some("1")), ("b", Some("2"))]).await;
    worker.write(9, &[("b", Some("3"))]).await;
    let moved = (vec![9], vec![some("1"), some("3")]);
    assert_eq!(found(&*store, &worker.view, &["a", "b"]).await, moved);
    let read = store.read_view(&worker.view, &[]).await.unwrap();
    assert_eq!((read.rows, read.state), (Vec::new(), state(Sharding::SINGLE, &[9])));
}

pub(super) async fn r1_a_commit_without_rows_moves_the_progress(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "empty").await;
    worker.write(5, &[]).await;
    let moved = store.open_view(&spec("empty"), Sharding::SINGLE).await.unwrap();
    assert_eq!(moved, state(Sharding::SINGLE, &[5]));
}

pub(super) async fn r1_a_commit_moves_its_own_shard_alone(fixture: Fixture) {
    let store = fixture.store();
    let sharding = Sharding::by_key(3);
    let view = opened(&*store, "own_shard", sharding).await;
    let mut worker = Worker::taking(&store, &view, ShardId::new(1), "one").await;
    worker.write(4, &[("a", Some("1"))]).await;
    let read = store.read_view(&view, &["a".to_owned()]).await.unwrap();
    assert_eq!(read.state, state(sharding, &[0, 4, 0]));
    assert_eq!(read.state.least(), Progress::default());
}

pub(super) async fn r1_the_cursor_comes_with_the_claim_alone(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "cursor").await;
    assert_eq!(worker.claim.progress, Progress::default());
    let to = Progress { cursor: Bytes::from_static(b"\0\xff{}"), ..progress(5) };
    worker.send(ViewCommit { to: to.clone(), ..worker.to(5, &[]) }).await.unwrap();
    let read = store.read_view(&worker.view, &[]).await.unwrap();
    assert_eq!(read.state, state(Sharding::SINGLE, &[5]));
    let next = Worker::taking(&store, &worker.view, ShardId::FIRST, "next").await;
    assert_eq!(next.claim.progress, to);
}

pub(super) async fn r1_a_commit_from_elsewhere_changes_nothing(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "stale").await;
    worker.write(5, &[("a", Some("1"))]).await;
    for from in [0, 4, 6].map(Position::new) {
        let stale = ViewCommit { from, ..worker.to(9, &[("a", Some("2")), ("b", Some("2"))]) };
        let error = worker.clone().send(stale).await.unwrap_err();
        let view = "stale".to_owned();
        let conflict = Conflict::Checkpoint { view, expected: from, actual: Position::new(5) };
        assert_eq!(error.conflict(), Some(&conflict));
    }
    let (at, rows) = found(&*store, &worker.view, &["a", "b"]).await;
    assert_eq!((at, rows), (vec![5], vec![some("1"), None]));
    assert_eq!(
        store.read_view(&worker.view, &[]).await.unwrap().state,
        state(Sharding::SINGLE, &[5])
    );
}

pub(super) async fn r1_of_eight_racing_commits_one_wins(fixture: Fixture) {
    let store = fixture.store();
    let worker = Worker::on(&store, "raced").await;
    let outcomes = race((1..=8_u64).map(|to| {
        let mut worker = worker.clone();
        async move {
            let key = to.to_string();
            worker.send(worker.to(to, &[(key.as_str(), Some("won"))])).await
        }
    }))
    .await;
    let won: Vec<u64> =
        (1..=8).zip(&outcomes).filter(|(_, o)| o.is_ok()).map(|(to, _)| to).collect();
    assert_eq!(won.len(), 1);
    let lost: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(lost.iter().all(|error| error.code() == Code::STALE_CHECKPOINT), "{lost:?}");
    let keys: Vec<String> = (1..=8).map(|to| to.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let written = (1..=8).map(|to| (to == won[0]).then(|| "won".to_owned())).collect();
    assert_eq!(found(&*store, &worker.view, &keys).await, (won, written));
}

pub(super) async fn r1_a_row_can_be_deleted_and_written_again(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "deleted").await;
    worker.write(1, &[("a", Some("1")), ("b", Some("1"))]).await;
    worker.write(2, &[("a", None), ("never", None)]).await;
    let (_, rows) = found(&*store, &worker.view, &["a", "b", "never"]).await;
    assert_eq!(rows, [None, some("1"), None]);
    worker.write(3, &[("a", Some("3"))]).await;
    assert_eq!(found(&*store, &worker.view, &["a"]).await, (vec![3], vec![some("3")]));
}

pub(super) async fn r1_rows_come_in_the_order_of_their_keys(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "ordered").await;
    worker.write(1, &[("b", Some("2")), ("a", Some("1")), ("c", Some(""))]).await;
    let (_, rows) = found(&*store, &worker.view, &["c", "x", "a", "b", "a"]).await;
    assert_eq!(rows, [some(""), None, some("1"), some("2"), some("1")]);
}

pub(super) async fn r1_hostile_keys_and_values_stay_apart(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "hostile").await;
    let long = "k".repeat(1_000);
    let keys: Vec<&str> = HOSTILE.iter().copied().chain(["", &long]).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (*key, Some(*key))).collect();
    worker.write(1, &pairs).await;
    let (_, rows) = found(&*store, &worker.view, &keys).await;
    assert_eq!(rows, keys.iter().map(|key| some(key)).collect::<Vec<_>>());
}

pub(super) async fn r1_rows_come_back_byte_for_byte(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "exact").await;
    let written = [
        r#"{"b": 1,"a":2 }"#,
        r#"{"a":1,"a":2}"#,
        "\"\\u0000 \\u00e4 ä\"",
        "123456789012345678901234567890.10",
        "null",
        "[]",
        " true\n",
    ];
    let keys: Vec<String> = (0..written.len()).map(|n| n.to_string()).collect();
    let rows = written.map(|text| Some(Bytes::from_static(text.as_bytes())));
    let rows = keys.iter().cloned().zip(rows).collect();
    worker.send(ViewCommit { rows, ..worker.to(1, &[]) }).await.unwrap();
    let read = store.read_view(&worker.view, &keys).await.unwrap();
    let read: Vec<_> = read.rows.into_iter().map(|row| row.value.unwrap()).collect();
    assert_eq!(read, written);
}

pub(super) async fn r1_ten_thousand_rows_fit_in_one_commit(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "many").await;
    let keys: Vec<String> = (0..10_000).map(|n| format!("key-{n}")).collect();
    for (to, value) in [(1, "first"), (2, "second")] {
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(value))).collect();
        worker.write(to, &pairs).await;
    }
    let read = store.read_view(&worker.view, &keys).await.unwrap();
    assert!(read.rows.iter().all(|found| found.value == Some(row("second"))));
    assert_eq!(read.rows.len(), 10_000);
}

pub(super) async fn r1_a_row_of_one_mebibyte_comes_back(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "large").await;
    let text: String = (0..1 << 20).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    worker.write(1, &[("a", Some(&text))]).await;
    let (_, rows) = found(&*store, &worker.view, &["a"]).await;
    assert!(rows[0].as_ref() == Some(&text));
}

pub(super) async fn r1_two_views_stay_apart(fixture: Fixture) {
    let store = fixture.store();
    let mut one = Worker::on(&store, "v_1").await;
    let mut other = Worker::on(&store, "v_10").await;
    one.write(5, &[("a", Some("one"))]).await;
    assert_eq!(found(&*store, &other.view, &["a"]).await, (vec![0], vec![None]));
    other.write(2, &[("a", Some("other"))]).await;
    assert_eq!(found(&*store, &one.view, &["a"]).await, (vec![5], vec![some("one")]));
    assert_eq!(found(&*store, &other.view, &["a"]).await, (vec![2], vec![some("other")]));
}

pub(super) async fn r1_a_view_without_rows_has_progress_alone(fixture: Fixture) {
    let store = fixture.store();
    let spec = ViewSpec::without_rows(name("rowless"));
    store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    let mut worker = Worker::taking(&store, &spec.name, ShardId::FIRST, "first").await;
    worker.write(3, &[]).await;
    assert!(worker.send(worker.to(4, &[("a", Some("1"))])).await.unwrap_err().is_invalid());
    assert!(store.read_view(&spec.name, &["a".to_owned()]).await.unwrap_err().is_invalid());
    let again = store.open_view(&spec, Sharding::SINGLE).await.unwrap();
    assert_eq!(again, state(Sharding::SINGLE, &[3]));
}

/// Each commit writes its position into every row: a reader must see one position in all rows.
pub(super) async fn r1_a_read_shows_rows_and_progress_of_one_moment(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "moment").await;
    let (view, keys): (_, Vec<String>) =
        (worker.view.clone(), (0..20).map(|n| n.to_string()).collect());
    let writing = {
        let keys = keys.clone();
        tokio::spawn(async move {
            for to in 1..=100_u64 {
                let position = to.to_string();
                let pairs: Vec<_> =
                    keys.iter().map(|key| (key.as_str(), Some(position.as_str()))).collect();
                worker.write(to, &pairs).await;
            }
        })
    };
    let mut written = false;
    while !written {
        written = writing.is_finished();
        let read = store.read_view(&view, &keys).await.unwrap();
        let at = read.state.shards[0].position.get();
        let row = (at > 0).then(|| row(&at.to_string()));
        assert!(read.rows.iter().all(|found| found.value == row), "all at {at}: {:?}", read.rows);
    }
    writing.await.unwrap();
}

pub(super) async fn r1_a_worker_signs_for_nothing_that_is_not_there(fixture: Fixture) {
    let store = fixture.store();
    let worker = WorkerId::new("early").unwrap();
    assert!(store.heartbeat(&name("late"), &worker, LONG_LEASE).await.is_err());
    let view = opened(&*store, "late", Sharding::SINGLE).await;
    let roll = store.heartbeat(&view, &WorkerId::new("later").unwrap(), LONG_LEASE).await.unwrap();
    assert_eq!(roll.workers, [WorkerId::new("later").unwrap()]);
}
