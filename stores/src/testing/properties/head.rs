//! R2, R3: a read of a view returns the identity of the log and its head.

use std::ops::Bound;

use highwater_core::{Position, domain::ViewName, port::KeyRange, value::Sharding};

use super::worker::opened;
use crate::testing::{
    Fixture, Store,
    build::{append_one, event, stream},
    race::race,
};

async fn append(store: &dyn Store, key: &str) -> Position {
    store.append(append_one(&stream(key), event())).await.unwrap().position
}

async fn heads(store: &dyn Store, view: &ViewName) -> [Position; 3] {
    let range = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    let alone = store.read_view(view, &[]).await.unwrap().head.unwrap();
    let keys = store.read_view(view, &["a".to_owned(), "b".to_owned()]).await.unwrap();
    let range = store.read_range(view, &range, 10).await.unwrap();
    [alone, keys.head.unwrap(), range.head.unwrap()]
}

pub(super) async fn r2_what_is_read_of_a_view_tells_the_head_of_the_log(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "headed", Sharding::by_key(2)).await;
    assert_eq!(heads(&*store, &view).await, [Position::START; 3]);
    let other = fixture.reopen().await;
    for head in 1..=20 {
        append(&*other, "a").await;
        assert_eq!(heads(&*store, &view).await, [Position::new(head); 3]);
    }
}

pub(super) async fn r2_what_was_acknowledged_is_in_the_head_that_is_read_after(fixture: Fixture) {
    let store = fixture.store();
    let view = opened(&*store, "headed_race", Sharding::SINGLE).await;
    race((0..16).map(|writer| {
        let store = store.clone();
        let view = view.clone();
        async move {
            for _ in 0..10 {
                let position = append(&*store, &format!("{writer}")).await;
                let heads = heads(&*store, &view).await;
                assert!(heads.iter().all(|head| *head >= position), "{position} in {heads:?}");
            }
        }
    }))
    .await;
}

pub(super) async fn r3_a_log_is_the_same_through_every_handle(fixture: Fixture) {
    let store = fixture.store();
    let other = fixture.reopen().await;
    append(&*other, "a").await;
    assert_eq!(store.log_id(), other.log_id());
    assert_eq!(store.log_id(), fixture.reopen().await.log_id());
}
