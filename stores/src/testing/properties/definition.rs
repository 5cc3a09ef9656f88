//! R5: a view is kept with the definition by which its rows were folded.

use std::{ops::Bound, sync::Arc};

use highwater_core::{
    Code, Position,
    domain::{DefinitionHash, ViewDefinition, ViewName, ViewSpec},
    error::Conflict,
    port::{Claim, ClaimMode, KeyRange, ShardClaim, WorkerId},
    value::Sharding,
};

use super::worker::{LONG_LEASE, Worker, name, opened, progress, shard, spec};
use crate::testing::{
    Fixture, Store,
    race::{race, soon},
};

fn definition(row: &str) -> ViewDefinition {
    ViewDefinition {
        row: row.to_owned(),
        keyed_by: "by key".to_owned(),
        types: vec!["a".to_owned(), "ü, '; drop table".to_owned()],
        scope: String::new(),
        version: 1,
    }
}

fn defined(view: &str, row: &str) -> ViewSpec {
    ViewSpec { definition: Some(definition(row)), ..spec(view) }
}

/// Checks that the store has a definition, and returns its hash with each state.
async fn assert_defined(store: &dyn Store, view: &ViewName, expected: Option<&ViewDefinition>) {
    let hash = expected.map(ViewDefinition::hash);
    let stored = store.view_definition(view).await.unwrap();
    assert_eq!(stored.as_ref().map(|stored| &stored.definition), expected);
    assert_eq!(stored.map(|stored| stored.hash), hash);
    for keys in [&[][..], &["a"], &["a", "b"]] {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(store.read_view(view, &keys).await.unwrap().state.definition, hash);
    }
    let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    assert_eq!(store.read_range(view, &all, 9).await.unwrap().state.definition, hash);
}

async fn replace(
    store: &dyn Store,
    view: &ViewName,
    from: Option<&ViewDefinition>,
    to: &ViewDefinition,
    through: u64,
) -> bool {
    let from = from.map(ViewDefinition::hash);
    store.replace_definition(view, from, to, Position::new(through)).await.unwrap()
}

pub(super) async fn r5_a_view_keeps_the_definition_that_it_was_opened_with(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    let view = opened(&*store, "kept", Sharding::by_key(2)).await;
    assert_defined(&*store, &view, None).await;
    // A view from before definitions takes that of the first worker.
    let first = store.open_view(&defined("kept", "first"), Sharding::SINGLE).await.unwrap();
    assert_eq!(first.definition, Some(definition("first").hash()));
    let second = other.open_view(&defined("kept", "second"), Sharding::SINGLE).await.unwrap();
    assert_eq!(second.definition, first.definition);
    store.open_view(&spec("kept"), Sharding::SINGLE).await.unwrap();
    assert_defined(&*other, &view, Some(&definition("first"))).await;
    // It stays with the view when that is resharded or renamed.
    let mut claims = Vec::new();
    for number in 0..2 {
        claims.push(Worker::taking(&store, &view, shard(number), "worker").await.claim);
    }
    store.reshard(&view, &claims, Sharding::by_key(3)).await.unwrap();
    assert_defined(&*other, &view, Some(&definition("first"))).await;
    let renamed = ViewSpec { formerly: vec![view], ..defined("kept_on", "third") };
    other.open_view(&renamed, Sharding::SINGLE).await.unwrap();
    assert_defined(&*store, &name("kept_on"), Some(&definition("first"))).await;
    let fresh = other.open_view(&defined("fresh", "third"), Sharding::SINGLE).await.unwrap();
    assert_eq!(fresh.definition, Some(definition("third").hash()));
    let missing = store.view_definition(&name("never")).await.unwrap_err();
    assert_eq!(missing.code(), Code::VIEW_MISSING);
}

pub(super) async fn r5_a_definition_is_replaced_once_and_fences_the_workers(fixture: Fixture) {
    let store = fixture.store();
    let old = definition("old");
    store.open_view(&defined("replaced", "old"), Sharding::SINGLE).await.unwrap();
    let view = name("replaced");
    let mut worker = Worker::taking(&store, &view, shard(0), "old").await;
    worker.write(4, &[("a", Some("row"))]).await;
    let seen = store.read_view(&view, &[]).await.unwrap().state;
    let racing = race((0..8).map(|number| {
        let store = Arc::clone(&store);
        let view = view.clone();
        let old = old.clone();
        async move {
            let to = definition(&format!("new {number}"));
            replace(&*store, &view, Some(&old), &to, 4).await.then_some(to)
        }
    }));
    let replaced: Vec<_> = racing.await.into_iter().flatten().collect();
    let [new] = &replaced[..] else { panic!("{replaced:?}") };
    assert_defined(&*store, &view, Some(new)).await;
    soon("noticing the definition", store.wait_for_view_change(&view, &seen)).await.unwrap();
    let fenced = store.commit_view(worker.to(5, &[])).await.unwrap_err();
    assert!(matches!(fenced.conflict(), Some(Conflict::Fenced { .. })), "{fenced}");
    assert_eq!(store.read_view(&view, &[]).await.unwrap().state.shards[0], progress(4));
    assert!(!replace(&*store, &view, Some(&old), &old, 4).await);
    assert!(!replace(&*store, &view, None, &old, 4).await);
    let missing = store.replace_definition(&name("never"), None, &old, Position::END).await;
    assert_eq!(missing.unwrap_err().code(), Code::VIEW_MISSING);
    // One that isn't known can be replaced, too.
    let unknown = opened(&*store, "unknown", Sharding::SINGLE).await;
    assert!(!replace(&*store, &unknown, Some(&old), &old, 0).await);
    assert!(replace(&*store, &unknown, None, &old, 0).await);
    assert_defined(&*store, &unknown, Some(&old)).await;
}

pub(super) async fn r5_a_definition_is_not_replaced_beyond_what_was_searched(fixture: Fixture) {
    let store = fixture.store();
    store.open_view(&defined("searched", "old"), Sharding::by_key(2)).await.unwrap();
    let view = name("searched");
    let mut worker = Worker::taking(&store, &view, shard(1), "worker").await;
    worker.write(7, &[]).await;
    let old = definition("old");
    assert!(!replace(&*store, &view, Some(&old), &definition("new"), 6).await);
    assert_defined(&*store, &view, Some(&old)).await;
    worker.write(8, &[]).await;
    assert!(replace(&*store, &view, Some(&old), &definition("new"), 8).await);
    assert_defined(&*store, &view, Some(&definition("new"))).await;
}

async fn claim(
    store: &dyn Store,
    view: &ViewName,
    definition: Option<DefinitionHash>,
    mode: ClaimMode,
) -> highwater_core::Result<Option<Claim>> {
    store
        .claim_shard(ShardClaim {
            view: view.clone(),
            sharding: Sharding::SINGLE,
            shard: shard(0),
            worker: WorkerId::new("worker").unwrap(),
            mode,
            lease: LONG_LEASE,
            definition,
        })
        .await
}

pub(super) async fn r5_a_worker_of_another_definition_can_not_claim(fixture: Fixture) {
    let store = fixture.store();
    store.open_view(&defined("claimed", "rows"), Sharding::SINGLE).await.unwrap();
    let view = name("claimed");
    let own = definition("rows").hash();
    let other = definition("other rows").hash();
    let first = claim(&*store, &view, Some(own), ClaimMode::IfFree).await.unwrap().unwrap();
    for mode in [ClaimMode::IfFree, ClaimMode::Always] {
        let error = claim(&*store, &view, Some(other), mode).await.unwrap_err();
        let expected = Conflict::Definition { view: view.to_string() };
        assert_eq!(error.conflict(), Some(&expected), "{error}");
    }
    let again = claim(&*store, &view, None, ClaimMode::IfFree).await.unwrap().unwrap();
    assert_eq!(again.epoch.get(), first.epoch.get() + 1, "a refused claim fences no worker");
    let unknown = opened(&*store, "unclaimed", Sharding::SINGLE).await;
    assert!(claim(&*store, &unknown, Some(other), ClaimMode::IfFree).await.unwrap().is_some());
}

pub(super) async fn r5_a_name_that_a_view_had_is_refused(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    opened(&*store, "one", Sharding::SINGLE).await;
    for (former, view) in [("one", "two"), ("two", "three")] {
        let renamed = ViewSpec { formerly: vec![name(former)], ..spec(view) };
        store.open_view(&renamed, Sharding::SINGLE).await.unwrap();
    }
    for former in ["one", "two"] {
        let error = other.open_view(&spec(former), Sharding::SINGLE).await.unwrap_err();
        assert_eq!(error.code(), Code::OTHER_DEFINITION);
        assert!(error.to_string().contains("renamed to three"), "{error}");
        let missing = store.read_view(&name(former), &[]).await.unwrap_err();
        assert_eq!(missing.code(), Code::VIEW_MISSING);
    }
    opened(&*other, "three", Sharding::SINGLE).await;
}

pub(super) async fn r5_a_view_can_be_renamed_back(fixture: Fixture) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    opened(&*store, "one", Sharding::SINGLE).await;
    for (former, view) in [("one", "two"), ("two", "one")] {
        let renamed = ViewSpec { formerly: vec![name(former)], ..spec(view) };
        other.open_view(&renamed, Sharding::SINGLE).await.unwrap();
    }
    store.read_view(&name("one"), &[]).await.unwrap();
}

pub(super) async fn r5_a_definition_that_is_replaced_beside_a_reshard_fences_every_shard(
    fixture: Fixture,
) {
    let (store, other) = (fixture.store(), fixture.reopen().await);
    for round in 0..40 {
        let view = format!("raced_{round}");
        store.open_view(&defined(&view, "old"), Sharding::SINGLE).await.unwrap();
        let view = name(&view);
        let mut worker = Worker::taking(&store, &view, shard(0), "old").await;
        worker.write(3, &[]).await;
        let claims = [worker.claim.clone()];
        let (old, new) = (definition("old"), definition("new"));
        let replacing = replace(&*other, &view, Some(&old), &new, 3);
        let resharding = store.reshard(&view, &claims, Sharding::by_key(2));
        let (is_replaced, resharded) = tokio::join!(replacing, resharding);
        let expected = if is_replaced { &new } else { &old };
        assert_defined(&*store, &view, Some(expected)).await;
        assert!(is_replaced, "no shard is beyond what was searched");
        // Whichever came first: no claim of the old definition is left, and none is given.
        let sharding = if resharded.is_ok() { Sharding::by_key(2) } else { Sharding::SINGLE };
        let claim = store.claim_shard(ShardClaim {
            view: view.clone(),
            sharding,
            shard: shard(0),
            worker: worker.id.clone(),
            mode: ClaimMode::Always,
            lease: LONG_LEASE,
            definition: Some(old.hash()),
        });
        let refused = claim.await.unwrap_err();
        assert!(matches!(refused.conflict(), Some(Conflict::Definition { .. })), "{refused}");
    }
}
