//! R5: generations of a view stand beside each other, and one of them is live.

use std::sync::Arc;

use highwater_core::{
    Code, Position,
    domain::{GenerationSpec, ViewDefinition, ViewName, ViewSpec},
    error::Conflict,
    port::Generation,
    value::Sharding,
};

use super::worker::{
    LONG_LEASE, Worker, found, is_missing, name, park, progress, shard, some, spec,
};
use crate::testing::{Fixture, Store, race::race};

fn definition(row: &str) -> ViewDefinition {
    ViewDefinition {
        row: row.to_owned(),
        keyed_by: "by key".to_owned(),
        types: Vec::new(),
        scope: String::new(),
        version: 1,
    }
}

/// The spec of a generation whose row has the form `g` and its number.
fn generation(view: &str, number: u32, complete_at: u64) -> ViewSpec {
    ViewSpec {
        generation: GenerationSpec { number, complete_at: Position::new(complete_at) },
        definition: Some(definition(&format!("g{number}"))),
        ..spec(view)
    }
}

/// Opens a generation, and claims its first shard.
async fn worker(store: &Arc<dyn Store>, spec: &ViewSpec) -> Worker {
    store.open_view(spec, Sharding::SINGLE).await.unwrap();
    Worker::taking(store, &spec.stored_name(), shard(0), "worker").await
}

/// Returns the number, the position and the liveness of each generation.
async fn listed(store: &dyn Store, view: &str) -> Vec<(u32, u64, bool)> {
    let found = store.generations(&name(view)).await.unwrap();
    found.iter().map(|found| (found.number, found.position.get(), found.is_live)).collect()
}

pub(super) async fn r5_generations_stand_beside_each_other(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    assert_eq!(listed(&*store, "beside").await, []);
    let mut first = worker(&store, &generation("beside", 1, 0)).await;
    let mut second = worker(&other, &generation("beside", 2, 6)).await;
    first.write(7, &[("a", Some("one")), ("b", Some("one"))]).await;
    second.write(4, &[("a", Some("two"))]).await;
    second.park(5, vec![park("b", 5, "refused", 1)]).await;
    first.write(8, &[("a", None)]).await;
    let stored = name("beside").of_generation(2);
    assert_eq!(
        found(&*other, &name("beside"), &["a", "b"]).await,
        (vec![8], vec![None, some("one")])
    );
    assert_eq!(found(&*store, &stored, &["a", "b"]).await, (vec![5], vec![some("two"), None]));
    assert!(store.parked_keys(&name("beside"), None, 9).await.unwrap().is_empty());
    assert_eq!(store.parked_keys(&stored, None, 9).await.unwrap().len(), 1);
    assert_eq!(listed(&*other, "beside").await, [(1, 8, true), (2, 5, false)]);
    let all = store.generations(&name("beside")).await.unwrap();
    let [one, two]: &[Generation; 2] = all.as_slice().try_into().unwrap();
    assert_eq!((&one.view, &two.view), (&name("beside"), &stored));
    assert_eq!(one.hash, Some(definition("g1").hash()));
    assert_eq!(two.definition, Some(definition("g2")));
    assert_eq!((one.complete_at, two.complete_at), (Position::START, Position::new(6)));
    assert!(one.is_complete() && !two.is_complete());
    assert!(one.created_at > jiff::Timestamp::UNIX_EPOCH && one.created_at <= two.created_at);
    // It keeps what it was made with.
    store.open_view(&generation("beside", 2, 99), Sharding::by_key(3)).await.unwrap();
    assert_eq!(store.generations(&name("beside")).await.unwrap()[1], *two);
}

pub(super) async fn r5_the_names_of_all_views_are_listed_each_once_in_order(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    assert_eq!(store.views().await.unwrap(), []);
    // By bytes: a collation has `a_b` after `aa`.
    for view in ["aa", "b", "a_b", "a_"] {
        store.open_view(&generation(view, 1, 0), Sharding::by_key(2)).await.unwrap();
    }
    store.open_view(&generation("b", 2, 0), Sharding::SINGLE).await.unwrap();
    let projection = ViewSpec::without_rows(name("relay_log"));
    store.open_view(&projection, Sharding::SINGLE).await.unwrap();
    let names = ["a_", "a_b", "aa", "b", "relay_log"].map(name);
    assert_eq!(other.views().await.unwrap(), names);
    assert!(store.promote(&name("b"), 2).await.unwrap());
    assert!(store.remove_generation(&name("b"), 1).await.unwrap());
    let renamed =
        ViewSpec { name: name("c"), formerly: vec![name("aa")], ..generation("aa", 1, 0) };
    store.open_view(&renamed, Sharding::SINGLE).await.unwrap();
    let names = ["a_", "a_b", "b", "c", "relay_log"].map(name);
    assert_eq!(other.views().await.unwrap(), names);
}

pub(super) async fn r5_a_later_generation_is_that_of_one_definition(fixture: Fixture) {
    let store = fixture.store();
    store.open_view(&generation("raced", 1, 0), Sharding::SINGLE).await.unwrap();
    let racing =
        race(
            (0..8).map(|number| {
                let store = Arc::clone(&store);
                let definition = Some(definition(&format!("raced {}", number % 2)));
                let spec = ViewSpec { definition, ..generation("raced", 2, 0) };
                async move {
                    store.open_view(&spec, Sharding::SINGLE).await.map(|state| state.definition)
                }
            }),
        );
    let raced = racing.await;
    let made = store.generations(&name("raced")).await.unwrap();
    assert_eq!(made.len(), 2);
    let (opened, refused): (Vec<_>, Vec<_>) = raced.into_iter().partition(Result::is_ok);
    assert_eq!((opened.len(), refused.len()), (4, 4));
    assert!(opened.into_iter().all(|hash| hash.unwrap() == made[1].hash));
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(matches!(error.conflict(), Some(Conflict::Definition { .. })), "{error}");
    }
}

pub(super) async fn r5_a_generation_is_promoted_once_it_shows_nothing_older(fixture: Fixture) {
    let store = fixture.store();
    let view = name("promoted");
    let mut first = worker(&store, &generation("promoted", 1, 0)).await;
    let mut second = worker(&store, &generation("promoted", 2, 4)).await;
    second.write(3, &[]).await;
    assert!(!store.promote(&view, 2).await.unwrap(), "it is not complete");
    first.write(9, &[]).await;
    second.write(8, &[]).await;
    assert!(!store.promote(&view, 2).await.unwrap(), "it lacks an event that is shown");
    assert_eq!(listed(&*store, "promoted").await, [(1, 9, true), (2, 8, false)]);
    second.write(9, &[]).await;
    assert!(store.promote(&view, 2).await.unwrap());
    assert!(store.promote(&view, 2).await.unwrap(), "it is live");
    assert_eq!(listed(&*store, "promoted").await, [(1, 9, false), (2, 9, true)]);
    let was_promoted = store.generations(&view).await.unwrap();
    assert_eq!(was_promoted.iter().map(|one| one.was_promoted).collect::<Vec<_>>(), [false, true]);
    // Both go on, and there is a way back.
    first.write(11, &[("a", Some("one"))]).await;
    second.write(10, &[("a", Some("two"))]).await;
    assert!(store.promote(&view, 1).await.unwrap());
    assert_eq!(listed(&*store, "promoted").await, [(1, 11, true), (2, 10, false)]);
    assert!(is_missing(store.promote(&view, 3).await));
    assert!(is_missing(store.promote(&name("never"), 1).await));
}

/// All shards count: the least of the new generation against the furthest of the live one.
pub(super) async fn r5_a_promotion_never_goes_back_on_any_shard(fixture: Fixture) {
    let store = fixture.store();
    let view = name("never_back");
    store.open_view(&generation("never_back", 1, 0), Sharding::by_key(2)).await.unwrap();
    store.open_view(&generation("never_back", 2, 0), Sharding::by_key(3)).await.unwrap();
    let mut shards = Vec::new();
    for (number, count) in [(1, 2), (2, 3)] {
        for index in 0..count {
            let stored = view.of_generation(number);
            shards.push(Worker::taking(&store, &stored, shard(index), "worker").await);
        }
    }
    let mut at = [0; 5];
    let mut live = 1;
    for turn in 0..300 {
        let index = fastrand::usize(..at.len());
        at[index] += fastrand::u64(1..9);
        shards[index].write(at[index], &[]).await;
        let next = 1 + turn % 2;
        if next == live {
            continue;
        }
        let (old, new) = if next == 2 { (&at[..2], &at[2..]) } else { (&at[2..], &at[..2]) };
        let is_ahead = new.iter().min() >= old.iter().max();
        assert_eq!(store.promote(&view, next).await.unwrap(), is_ahead, "{at:?}");
        if is_ahead {
            live = next;
        }
        let all = store.generations(&view).await.unwrap();
        let found: Vec<_> = all.iter().filter(|one| one.is_live).map(|one| one.number).collect();
        assert_eq!(found, [live]);
    }
    let next = 3 - live;
    let ahead = 1 + at.iter().max().copied().unwrap_or_default();
    let of_next = if next == 2 { 2..5 } else { 0..2 };
    for shard in &mut shards[of_next] {
        shard.write(ahead, &[]).await;
    }
    assert!(store.promote(&view, next).await.unwrap(), "{at:?}");
}

pub(super) async fn r5_a_generation_is_removed_unless_it_is_live_or_in_use(fixture: Fixture) {
    let store = fixture.store();
    let view = name("removed");
    let first = worker(&store, &generation("removed", 1, 0)).await;
    let mut second = worker(&store, &generation("removed", 2, 0)).await;
    second.park(5, vec![park("b", 5, "refused", 1)]).await;
    second.write(6, &[("a", Some("two"))]).await;
    assert!(!store.remove_generation(&view, 1).await.unwrap(), "it is live");
    store.heartbeat(&second.view, &second.id, LONG_LEASE).await.unwrap();
    assert!(!store.remove_generation(&view, 2).await.unwrap(), "a worker is alive");
    store.leave(&second.view, &second.id).await.unwrap();
    assert!(store.remove_generation(&view, 2).await.unwrap());
    assert_eq!(listed(&*store, "removed").await, [(1, 0, true)]);
    assert!(is_missing(store.read_view(&second.view, &["a".to_owned()]).await));
    assert!(is_missing(store.commit_view(second.to(7, &[])).await));
    assert!(is_missing(store.remove_generation(&view, 2).await));
    // Its number is not used again: readers and workers may know it.
    let again = store.open_view(&generation("removed", 2, 0), Sharding::SINGLE).await.unwrap_err();
    assert!(matches!(again.conflict(), Some(Conflict::Definition { .. })), "{again}");
    let next = worker(&store, &generation("removed", 3, 0)).await;
    assert_eq!(found(&*store, &next.view, &["a"]).await, (vec![0], vec![None]));
    assert!(store.parked_keys(&second.view, None, 9).await.unwrap().is_empty());
    let removed = store.generations(&view).await.unwrap();
    assert!(removed.iter().all(|one| one.removed_through >= 2 || one.number == 3), "{removed:?}");
    assert_eq!(first.claim.progress.position, Position::START);
}

pub(super) async fn r5_generations_are_renamed_with_their_view(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    let mut first = worker(&store, &generation("old_name", 1, 0)).await;
    let mut second = worker(&store, &generation("old_name", 2, 3)).await;
    first.write(3, &[("a", Some("one"))]).await;
    second.write(3, &[("a", Some("two"))]).await;
    assert!(store.promote(&name("old_name"), 2).await.unwrap());
    let renamed = |number| ViewSpec {
        name: name("new_name"),
        formerly: vec![name("old_name")],
        ..generation("old_name", number, 3)
    };
    other.open_view(&renamed(2), Sharding::SINGLE).await.unwrap();
    assert_eq!(listed(&*store, "old_name").await, []);
    assert_eq!(listed(&*store, "new_name").await, [(1, 3, false), (2, 3, true)]);
    let row = async |stored: ViewName| found(&*store, &stored, &["a"]).await.1;
    assert_eq!(row(name("new_name")).await, [some("one")]);
    assert_eq!(row(name("new_name").of_generation(2)).await, [some("two")]);
    for number in [1, 2, 3] {
        let former = store.open_view(&generation("old_name", number, 0), Sharding::SINGLE).await;
        assert_eq!(former.unwrap_err().code(), Code::OTHER_DEFINITION);
    }
    let mut on = Worker::taking(&other, &name("new_name").of_generation(2), shard(0), "on").await;
    assert_eq!(on.claim.progress.position, progress(3).position);
    on.write(4, &[("a", None)]).await;
}
