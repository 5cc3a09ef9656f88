//! R1: the rows of a view and its checkpoint move together, from where they were.

use bytes::Bytes;
use highwater_core::{
    Position,
    error::Conflict,
    port::{Checkpoint, ViewCommit, ViewName},
};
use jiff::Timestamp;

use super::exact::HOSTILE;
use crate::testing::{Fixture, Store, race::race};

fn name(name: &str) -> ViewName {
    ViewName::new(name).unwrap()
}

fn checkpoint(position: u64) -> Checkpoint {
    let as_of = Timestamp::from_second(1_700_000_000 + position as i64).unwrap();
    Checkpoint { position: Position::new(position), as_of }
}

fn commit(
    view: &ViewName,
    from: u64,
    to: u64,
    rows: &[(&str, Option<&'static str>)],
) -> ViewCommit {
    let row =
        |&(key, row): &(&str, Option<&'static str>)| (String::from(key), row.map(Bytes::from));
    let rows = rows.iter().map(row).collect();
    ViewCommit { view: view.clone(), from: Position::new(from), to: checkpoint(to), rows }
}

async fn opened(store: &dyn Store, view: &str) -> ViewName {
    let view = name(view);
    store.open_view(&view).await.unwrap();
    view
}

/// The position, and the rows as text, of these keys.
async fn rows(store: &dyn Store, view: &ViewName, keys: &[&str]) -> (u64, Vec<Option<String>>) {
    let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    let read = store.read_view(view, &keys).await.unwrap();
    let text = |row: Bytes| String::from_utf8(row.to_vec()).unwrap();
    (read.checkpoint.position.get(), read.rows.into_iter().map(|row| row.map(text)).collect())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) async fn r1_a_fresh_view_is_at_the_start(fixture: Fixture) {
    let store = &*fixture.store();
    let view = name("fresh");
    assert_eq!(store.open_view(&view).await.unwrap(), Checkpoint::default());
    assert_eq!(rows(store, &view, &["a"]).await, (0, vec![None]));
}

pub(super) async fn r1_opening_a_view_again_changes_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "again").await;
    store.commit_view(commit(&view, 0, 7, &[("a", Some("1"))])).await.unwrap();
    assert_eq!(store.open_view(&view).await.unwrap(), checkpoint(7));
    let other = fixture.reopen().await;
    assert_eq!(other.open_view(&view).await.unwrap(), checkpoint(7));
    assert_eq!(rows(&*other, &view, &["a"]).await, (7, vec![some("1")]));
}

pub(super) async fn r1_one_view_opened_by_eight_at_once_is_opened(fixture: Fixture) {
    let store = fixture.store();
    let openers = (0..8).map(|_| {
        let store = store.clone();
        async move { store.open_view(&name("raced")).await.unwrap() }
    });
    assert!(race(openers).await.into_iter().all(|at| at == Checkpoint::default()));
}

pub(super) async fn r1_a_commit_moves_rows_and_checkpoint_together(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "moved").await;
    store.commit_view(commit(&view, 0, 3, &[("a", Some("1")), ("b", Some("2"))])).await.unwrap();
    store.commit_view(commit(&view, 3, 9, &[("b", Some("3"))])).await.unwrap();
    assert_eq!(rows(store, &view, &["a", "b"]).await, (9, vec![some("1"), some("3")]));
    let read = store.read_view(&view, &[]).await.unwrap();
    assert_eq!((read.rows, read.checkpoint), (Vec::new(), checkpoint(9)));
}

pub(super) async fn r1_a_commit_without_rows_moves_the_checkpoint(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "empty").await;
    store.commit_view(commit(&view, 0, 5, &[])).await.unwrap();
    assert_eq!(store.open_view(&view).await.unwrap(), checkpoint(5));
}

pub(super) async fn r1_a_commit_from_elsewhere_changes_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "stale").await;
    store.commit_view(commit(&view, 0, 5, &[("a", Some("1"))])).await.unwrap();
    for from in [0, 4, 6] {
        let stale = commit(&view, from, 9, &[("a", Some("2")), ("b", Some("2"))]);
        let error = store.commit_view(stale).await.unwrap_err();
        let (expected, actual) = (Position::new(from), Position::new(5));
        let conflict = Conflict::Checkpoint { view: "stale".to_owned(), expected, actual };
        assert_eq!(error.conflict(), Some(&conflict));
    }
    assert_eq!(rows(store, &view, &["a", "b"]).await, (5, vec![some("1"), None]));
    assert_eq!(store.open_view(&view).await.unwrap(), checkpoint(5));
}

pub(super) async fn r1_of_eight_racing_commits_one_wins(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "raced").await;
    let outcomes = race((1..=8_u64).map(|to| {
        let (store, view) = (store.clone(), view.clone());
        async move {
            let key = to.to_string();
            store.commit_view(commit(&view, 0, to, &[(key.as_str(), Some("won"))])).await
        }
    }))
    .await;
    let won: Vec<_> = (1..=8).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(won.len(), 1);
    assert!(
        outcomes.iter().filter_map(|o| o.as_ref().err()).all(highwater_core::Error::is_conflict)
    );
    let (at, rows) = rows(&*store, &view, &["1", "2", "3", "4", "5", "6", "7", "8"]).await;
    let written: Vec<_> = (1..=8).map(|to| (to == at).then(|| "won".to_owned())).collect();
    assert_eq!((at, rows), (won[0].0, written));
}

pub(super) async fn r1_a_row_can_be_deleted_and_written_again(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "deleted").await;
    store.commit_view(commit(&view, 0, 1, &[("a", Some("1")), ("b", Some("1"))])).await.unwrap();
    store.commit_view(commit(&view, 1, 2, &[("a", None), ("never", None)])).await.unwrap();
    assert_eq!(rows(store, &view, &["a", "b", "never"]).await, (2, vec![None, some("1"), None]));
    store.commit_view(commit(&view, 2, 3, &[("a", Some("3"))])).await.unwrap();
    assert_eq!(rows(store, &view, &["a"]).await, (3, vec![some("3")]));
}

pub(super) async fn r1_rows_come_in_the_order_of_their_keys(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "ordered").await;
    let written = [("b", Some("2")), ("a", Some("1")), ("c", Some(""))];
    store.commit_view(commit(&view, 0, 1, &written)).await.unwrap();
    let (_, found) = rows(store, &view, &["c", "x", "a", "b", "a"]).await;
    assert_eq!(found, [some(""), None, some("1"), some("2"), some("1")]);
}

pub(super) async fn r1_hostile_keys_and_values_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "hostile").await;
    let pairs: Vec<_> = HOSTILE.iter().map(|key| (*key, Some(*key))).collect();
    store.commit_view(commit(&view, 0, 1, &pairs)).await.unwrap();
    let (_, found) = rows(store, &view, HOSTILE).await;
    assert_eq!(found, HOSTILE.iter().map(|key| some(key)).collect::<Vec<_>>());
}

pub(super) async fn r1_ten_thousand_rows_fit_in_one_commit(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "many").await;
    let keys: Vec<String> = (0..10_000).map(|n| format!("key-{n}")).collect();
    for (from, value) in [(0, "first"), (1, "second")] {
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(value))).collect();
        store.commit_view(commit(&view, from, from + 1, &pairs)).await.unwrap();
    }
    let read = store.read_view(&view, &keys).await.unwrap();
    assert!(read.rows.iter().all(|row| row.as_deref() == Some(b"second")));
    assert_eq!(read.rows.len(), 10_000);
}

pub(super) async fn r1_a_row_of_one_mebibyte_comes_back(fixture: Fixture) {
    let store = &*fixture.store();
    let view = opened(store, "large").await;
    let row = Bytes::from((0..1 << 20).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let rows = vec![("a".to_owned(), Some(row.clone()))];
    store.commit_view(ViewCommit { rows, ..commit(&view, 0, 1, &[]) }).await.unwrap();
    let read = store.read_view(&view, &["a".to_owned()]).await.unwrap();
    assert!(read.rows[0].as_ref() == Some(&row));
}

pub(super) async fn r1_two_views_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    let (one, other) = (opened(store, "v_1").await, opened(store, "v_10").await);
    store.commit_view(commit(&one, 0, 5, &[("a", Some("one"))])).await.unwrap();
    assert_eq!(rows(store, &other, &["a"]).await, (0, vec![None]));
    store.commit_view(commit(&other, 0, 2, &[("a", Some("other"))])).await.unwrap();
    assert_eq!(rows(store, &one, &["a"]).await, (5, vec![some("one")]));
    assert_eq!(rows(store, &other, &["a"]).await, (2, vec![some("other")]));
}

/// Each commit writes its position into every row: a reader must see one position everywhere.
pub(super) async fn r1_a_read_shows_rows_and_checkpoint_of_one_moment(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "moment").await;
    let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let writing = {
        let (store, view, keys) = (store.clone(), view.clone(), keys.clone());
        tokio::spawn(async move {
            for to in 1..=100 {
                let row = Bytes::from(to.to_string());
                let rows = keys.iter().map(|key| (key.clone(), Some(row.clone()))).collect();
                let commit = ViewCommit { rows, ..commit(&view, to - 1, to, &[]) };
                store.commit_view(commit).await.unwrap();
            }
        })
    };
    let mut written = false;
    while !written {
        written = writing.is_finished();
        let read = store.read_view(&view, &keys).await.unwrap();
        let at = read.checkpoint.position.get();
        let row = (at > 0).then(|| Bytes::from(at.to_string()));
        assert!(read.rows.iter().all(|found| *found == row), "all at {at}: {:?}", read.rows);
    }
    writing.await.unwrap();
}
