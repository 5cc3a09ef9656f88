//! R1: commits that every store refuses as a whole.

use bytes::Bytes;
use highwater_core::{
    Code, Position,
    port::{KEY_LIMIT, ViewCommit},
    value::Sharding,
};

use super::worker::{Worker, found, opened, park, queue, rows, some};
use crate::testing::Fixture;

pub(super) async fn r1_what_is_no_json_is_refused_with_all_of_its_commit(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "refused").await;
    for bad in [&b""[..], b"no", b"{", b"\xff", b"\"\xff\"", b"{} {}", b"'a'"] {
        let mut commit = worker.to(1, &[("a", Some("1"))]);
        commit.rows.push(("b".to_owned(), Some(Bytes::from_static(bad))));
        let error = worker.send(commit).await.unwrap_err();
        assert_eq!(error.code(), Code::BAD_REQUEST, "{bad:?}: {error}");
    }
    let nul = ViewCommit { rows: rows(&[("a\0b", Some("1"))]), ..worker.to(1, &[]) };
    assert!(worker.send(nul).await.unwrap_err().is_invalid());
    assert_eq!(found(&*store, &worker.view, &["a", "b"]).await, (vec![0], vec![None, None]));
    worker.write(1, &[("a", Some("1"))]).await;
}

pub(super) async fn r1_a_commit_does_not_move_a_view_back(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "back").await;
    worker.write(5, &[("a", Some("1"))]).await;
    for changes in [&[][..], &[("a", Some("2")), ("b", Some("2"))]] {
        for parked in [Vec::new(), vec![park("b", 4, "broken", 1)]] {
            let back = ViewCommit { parked, ..worker.to(4, changes) };
            let error = worker.send(back).await.unwrap_err();
            assert_eq!(error.code(), Code::BAD_REQUEST, "{error}");
        }
    }
    let (at, rows) = found(&*store, &worker.view, &["a", "b"]).await;
    assert_eq!((at, rows), (vec![5], vec![some("1"), None]));
    assert_eq!(store.parked_keys(&worker.view, None, 9).await.unwrap(), []);
    worker.write(5, &[("a", Some("2"))]).await;
}

pub(super) async fn r1_r4_a_key_with_nul_is_refused_wherever_it_is_asked_for(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "nul", Sharding::SINGLE).await;
    let keys = ["a", "b\0"].map(str::to_owned);
    for error in [
        store.read_view(&view, &keys).await.unwrap_err(),
        store.parked_keys(&view, Some("\0"), 9).await.unwrap_err(),
        store.queued_events(&view, "a\0", Position::START, 9).await.unwrap_err(),
        store.retry_parked(&view, "a\0b").await.unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::MALFORMED, "{error}");
    }
}

/// Returns a long text that doesn't compress.
pub(super) fn long_text(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect()
}

pub(super) async fn r1_r4_the_longest_key_is_held_and_a_longer_one_refused(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "long").await;
    let longest = long_text(KEY_LIMIT);
    let too_long = long_text(KEY_LIMIT + 1);
    worker.write(1, &[(&longest, Some("1"))]).await;
    worker.park(3, vec![park(&longest, 2, "broken", 1), queue(&longest, 3)]).await;
    assert_eq!(found(&*store, &worker.view, &[&longest]).await, (vec![3], vec![some("1")]));
    let changes = [&[(too_long.as_str(), Some("1"))][..], &[(&too_long, None)]];
    for commit in [
        worker.to(4, changes[0]),
        worker.to(4, changes[1]),
        ViewCommit { parked: vec![park(&too_long, 4, "broken", 1)], ..worker.to(4, &[]) },
    ] {
        let error = worker.send(commit).await.unwrap_err();
        assert_eq!(error.code(), Code::TOO_LARGE, "{error}");
    }
    let read = store.read_view(&worker.view, &[too_long]).await;
    assert_eq!(read.unwrap_err().code(), Code::TOO_LARGE);
}
