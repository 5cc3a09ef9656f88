//! R4: a key whose event fails is parked with all its later events, and other keys continue.

use highwater_core::{
    Code, Position,
    domain::ViewName,
    port::{ParkedKey, ViewCommit},
    value::ShardId,
};

use super::{
    exact::HOSTILE,
    worker::{Worker, drain, found, name, park, queue, some},
};
use crate::testing::{Fixture, Store, race::race};

async fn parked(store: &dyn Store, view: &ViewName) -> Vec<ParkedKey> {
    store.parked_keys(view, None, 1_000).await.unwrap()
}

/// Returns the only parked key.
async fn only(worker: &Worker) -> ParkedKey {
    let mut parked = parked(&*worker.store, &worker.view).await;
    assert_eq!(parked.len(), 1, "{parked:?}");
    parked.remove(0)
}

async fn queued(worker: &Worker, key: &str) -> Vec<u64> {
    let queued =
        worker.store.queued_events(&worker.view, key, Position::START, 1_000).await.unwrap();
    queued.into_iter().map(Position::get).collect()
}

pub(super) async fn r4_a_parked_key_is_listed_as_it_was_parked(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "listed").await;
    assert_eq!(parked(&*store, &worker.view).await, []);
    worker.park(5, vec![park("a", 4, "it's \"broken\"\n", 3)]).await;
    let only = only(&worker).await;
    assert_eq!(
        (&*only.key, only.since, &*only.error),
        ("a", Position::new(4), "it's \"broken\"\n")
    );
    assert_eq!((only.attempts, only.queued, only.retry), (3, 1, false));
    assert_eq!(queued(&worker, "a").await, [4], "the first event is queued, too");
    let other = fixture.reopen().await;
    assert_eq!(parked(&*other, &worker.view).await, [only]);
}

pub(super) async fn r4_rows_and_parked_keys_move_together(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "together").await;
    worker.write(3, &[("a", Some("1")), ("b", Some("1"))]).await;
    let parked = vec![park("a", 4, "broken", 1), queue("a", 6)];
    worker.send(ViewCommit { parked, ..worker.to(6, &[("b", Some("2"))]) }).await.unwrap();
    let keys = ["a", "b", "never"].map(str::to_owned);
    let read = store.read_view(&worker.view, &keys).await.unwrap();
    let since: Vec<_> = read.rows.iter().map(|row| row.parked_since).collect();
    assert_eq!(since, [Some(Position::new(4)), None, None]);
    assert_eq!(
        found(&*store, &worker.view, &["a", "b"]).await,
        (vec![6], vec![some("1"), some("2")])
    );
    assert_eq!(queued(&worker, "a").await, [4, 6]);
}

pub(super) async fn r4_a_key_without_a_row_is_parked_all_the_same(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "rowless").await;
    worker.park(1, vec![park("a", 1, "broken", 1)]).await;
    let read = store.read_view(&worker.view, &["a".to_owned()]).await.unwrap();
    assert_eq!(
        (read.rows[0].value.as_ref(), read.rows[0].parked_since),
        (None, Some(Position::new(1)))
    );
}

pub(super) async fn r4_events_wait_in_log_order_each_once(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "order").await;
    worker.park(10, vec![park("a", 4, "broken", 1), queue("a", 10), queue("a", 7)]).await;
    worker.park(100, vec![queue("a", 100), queue("a", 10), queue("a", 9), queue("a", 100)]).await;
    worker.park(101, vec![queue("a", 4), park("a", 4, "broken", 2)]).await;
    assert_eq!(queued(&worker, "a").await, [4, 7, 9, 10, 100]);
    assert_eq!((only(&worker).await.queued, only(&worker).await.since.get()), (5, 4));
}

pub(super) async fn r4_no_event_waits_behind_a_key_that_is_not_parked(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "stray").await;
    worker.park(5, vec![park("a", 4, "broken", 1)]).await;
    for stray in [vec![queue("a", 6), queue("b", 6)], vec![drain("a", 5), queue("a", 6)]] {
        let commit = ViewCommit { parked: stray, ..worker.to(6, &[("c", Some("1"))]) };
        let error = worker.send(commit).await.unwrap_err();
        assert_eq!(error.code(), Code::BAD_REQUEST);
        assert_eq!(found(&*store, &worker.view, &["c"]).await, (vec![5], vec![None]));
        assert_eq!(queued(&worker, "a").await, [4]);
    }
}

pub(super) async fn r4_a_key_is_free_when_no_event_waits_any_more(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "freed").await;
    worker.park(6, vec![park("a", 4, "broken", 1), queue("a", 6), park("b", 5, "broken", 1)]).await;
    let parked_b = drained(&mut worker, 6).await;
    assert_eq!((&*parked_b.key, parked_b.queued), ("b", 1));
    assert!(queued(&worker, "a").await.is_empty());
    let read = store.read_view(&worker.view, &["a".to_owned()]).await.unwrap();
    assert_eq!(read.rows[0].parked_since, None);
    worker.park(8, vec![park("a", 8, "broken again", 1)]).await;
    assert_eq!(queued(&worker, "a").await, [8]);
}

/// Drains the key `a`, and returns the only key that is still parked.
async fn drained(worker: &mut Worker, through: u64) -> ParkedKey {
    let next = worker.claim.progress.position.get() + 1;
    worker.park(next, vec![drain("a", through), drain("never", through)]).await;
    only(worker).await
}

pub(super) async fn r4_a_key_stays_parked_since_the_first_that_still_waits(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "partly").await;
    worker.park(9, vec![park("a", 4, "broken", 3), queue("a", 6), queue("a", 9)]).await;
    assert!(store.retry_parked(&worker.view, "a").await.unwrap());
    let before = only(&worker).await;
    let left = drained(&mut worker, 6).await;
    assert_eq!(left, ParkedKey { since: Position::new(9), queued: 1, ..before });
    assert!(left.retry, "requested until it fails again, or nothing is queued");
    assert_eq!(queued(&worker, "a").await, [9]);
    let left = drained(&mut worker, 8).await;
    assert_eq!(left.since, Position::new(9), "nothing was drained");
}

pub(super) async fn r4_a_key_that_fails_again_has_its_wish_granted(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "again").await;
    worker.park(5, vec![park("a", 4, "broken", 1), queue("a", 5)]).await;
    assert!(store.retry_parked(&worker.view, "a").await.unwrap());
    let requested = only(&worker).await;
    assert!(requested.retry);
    worker.park(6, vec![park("a", 5, "still broken", 2)]).await;
    let error = "still broken".to_owned();
    let failed = ParkedKey { error, attempts: 2, retry: false, ..requested };
    assert_eq!(only(&worker).await, failed, "nothing else has changed");
    assert_eq!(queued(&worker, "a").await, [4, 5]);
}

pub(super) async fn r4_only_of_a_parked_key_another_try_can_be_asked(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "asked").await;
    worker.park(5, vec![park("a", 4, "broken", 1), park("b", 5, "broken", 1)]).await;
    assert!(!store.retry_parked(&worker.view, "c").await.unwrap());
    assert!(!store.retry_parked(&name("never"), "a").await.unwrap());
    let other = fixture.reopen().await;
    assert!(other.retry_parked(&worker.view, "b").await.unwrap());
    let requested: Vec<_> =
        parked(&*store, &worker.view).await.iter().map(|key| key.retry).collect();
    assert_eq!(requested, [false, true]);
}

pub(super) async fn r4_changes_of_one_commit_are_made_in_order(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "steps").await;
    let steps = vec![
        park("a", 1, "first", 1),
        queue("a", 2),
        drain("a", 2),
        park("a", 3, "second", 5),
        queue("a", 4),
        queue("a", 5),
        drain("a", 3),
        park("a", 4, "third", 6),
    ];
    worker.park(5, steps).await;
    let only = only(&worker).await;
    assert_eq!((only.since.get(), &*only.error, only.attempts), (4, "third", 6));
    assert_eq!(queued(&worker, "a").await, [4, 5]);
}

pub(super) async fn r4_parked_keys_come_in_pages_in_the_order_of_their_keys(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "pages").await;
    let mut keys: Vec<&str> =
        HOSTILE.iter().copied().chain(["", "Z", "z", "é", "10", "9"]).collect();
    worker.park(1, keys.iter().map(|key| park(key, 1, key, 1)).collect()).await;
    keys.sort_unstable();
    keys.dedup();
    for limit in [1, 3, 1_000] {
        let mut found = Vec::<String>::new();
        let mut after = None;
        loop {
            let page = store.parked_keys(&worker.view, after.as_deref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            assert!(page.iter().all(|key| key.error == key.key));
            found.extend(page.into_iter().map(|key| key.key));
        }
        assert_eq!(found, keys);
    }
    assert_eq!(store.parked_keys(&worker.view, None, 0).await.unwrap(), []);
    assert_eq!(store.parked_keys(&name("never"), None, 9).await.unwrap(), []);
}

pub(super) async fn r4_hostile_and_long_keys_are_parked_apart(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "hostile").await;
    let long = "k".repeat(1_000);
    let keys: Vec<&str> = HOSTILE.iter().copied().chain(["", &long]).collect();
    let numbered = || keys.iter().copied().zip(1_u64..);
    worker.park(1, numbered().map(|(key, n)| park(key, n, "broken", 1)).collect()).await;
    worker.park(2, numbered().map(|(key, n)| queue(key, 1_000 + n)).collect()).await;
    for (key, n) in numbered() {
        assert_eq!(queued(&worker, key).await, [n, 1_000 + n], "{key:?}");
        assert!(store.retry_parked(&worker.view, key).await.unwrap());
    }
    worker.park(3, numbered().step_by(2).map(|(key, _)| drain(key, 2_000)).collect()).await;
    let wanted: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let read = store.read_view(&worker.view, &wanted).await.unwrap();
    for ((key, n), row) in numbered().zip(read.rows) {
        let since = n.is_multiple_of(2).then(|| Position::new(n));
        assert_eq!(row.parked_since, since, "{key:?}");
    }
}

pub(super) async fn r4_waiting_events_come_in_pages(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "waiting").await;
    let many = (1..=5_000).map(|position| queue("a", position));
    worker.park(5_000, [park("a", 1, "broken", 1)].into_iter().chain(many).collect()).await;
    assert_eq!(only(&worker).await.queued, 5_000);
    let mut found = Vec::new();
    let mut after = Position::START;
    loop {
        let page = store.queued_events(&worker.view, "a", after, 999).await.unwrap();
        let Some(last) = page.last() else { break };
        after = *last;
        found.extend(page.into_iter().map(Position::get));
    }
    assert_eq!(found, (1..=5_000).collect::<Vec<_>>());
    for nothing in [
        store.queued_events(&worker.view, "a", Position::START, 0).await,
        store.queued_events(&worker.view, "b", Position::START, 9).await,
        store.queued_events(&name("never"), "a", Position::START, 9).await,
    ] {
        assert_eq!(nothing.unwrap(), []);
    }
}

pub(super) async fn r4_a_commit_that_is_refused_parks_nothing(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "refused").await;
    worker.park(5, vec![park("a", 4, "broken", 1), queue("a", 5)]).await;
    let before = only(&worker).await;
    let changes = || vec![drain("a", 9), park("b", 6, "broken", 1), queue("b", 7)];
    let stale = ViewCommit { parked: changes(), from: Position::new(4), ..worker.to(7, &[]) };
    assert!(worker.send(stale).await.unwrap_err().is_conflict());
    let mut bad = ViewCommit { parked: changes(), ..worker.to(7, &[]) };
    bad.rows.push(("c".to_owned(), Some(b"{"[..].into())));
    assert!(worker.send(bad).await.unwrap_err().is_invalid());
    let nul = ViewCommit { parked: vec![park("\0", 6, "broken", 1)], ..worker.to(7, &[]) };
    assert!(worker.send(nul).await.unwrap_err().is_invalid());
    Worker::taking(&store, &worker.view, ShardId::FIRST, "next").await;
    let fenced = ViewCommit { parked: changes(), ..worker.to(7, &[]) };
    assert!(worker.send(fenced).await.unwrap_err().is_conflict());
    assert_eq!((only(&worker).await, queued(&worker, "a").await), (before, vec![4, 5]));
}

pub(super) async fn r4_parked_keys_of_two_views_stay_apart(fixture: Fixture) {
    let store = fixture.store();
    let mut one = Worker::on(&store, "v_1").await;
    let mut other = Worker::on(&store, "v_10").await;
    one.park(1, vec![park("a", 1, "one", 1), queue("a", 3)]).await;
    other.park(1, vec![park("a", 2, "other", 2)]).await;
    one.park(3, vec![drain("a", 9)]).await;
    assert_eq!(parked(&*store, &one.view).await, []);
    assert_eq!((&*only(&other).await.error, queued(&other, "a").await), ("other", vec![2]));
}

pub(super) async fn r4_wishes_and_commits_that_race_lose_nothing(fixture: Fixture) {
    let store = fixture.store();
    let mut worker = Worker::on(&store, "raced").await;
    worker.park(1, vec![park("a", 1, "broken", 1)]).await;
    let view = worker.view.clone();
    let requests = (0..4).map(|_| {
        let store = store.clone();
        let view = view.clone();
        async move {
            for _ in 0..25 {
                store.retry_parked(&view, "a").await.unwrap();
            }
        }
    });
    let queueing = tokio::spawn(async move {
        for to in 2..=50 {
            worker.park(to, vec![queue("a", to)]).await;
        }
        worker
    });
    race(requests).await;
    let worker = queueing.await.unwrap();
    assert_eq!(queued(&worker, "a").await, (1..=50).collect::<Vec<_>>());
    assert!(only(&worker).await.retry);
}
