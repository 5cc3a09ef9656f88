//! R4: a stored row that this program can't decode.

use std::time::Duration;

use bytes::Bytes;
use highwater::{
    Code, Error, Highwater, Position, Token, View as _, Worker,
    error::Corrupt,
    port::{ClaimMode, ShardClaim, ViewCommit, WorkerId},
    prelude::*,
    projection::ParkedKeys,
    value::{FreshnessStatus, ShardId, Sharding},
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{bank::banks, ledger::ByCustomer};

use crate::parking::{move_money, until_drained};

async fn work(bank: &Highwater, policy: OnFailure) -> WorkerHandle {
    let options = ProjectionOptions::default().on_failure(policy);
    Worker::new(bank).view_with::<ByCustomer>(options).start().await.unwrap()
}

/// Writes or deletes a row outside of the projection.
async fn write_by_hand(bank: &Highwater, key: &str, row: Option<&'static str>) {
    let (views, spec) = (bank.views(), ByCustomer::spec().unwrap());
    let (worker, lease) = (WorkerId::new("by hand").unwrap(), Duration::from_secs(60));
    let (first, always) = (ShardId::FIRST, ClaimMode::Always);
    views.open_view(&spec, Sharding::SINGLE).await.unwrap();
    let claim = views
        .claim_shard(ShardClaim {
            view: spec.name.clone(),
            sharding: Sharding::SINGLE,
            shard: first,
            worker: worker.clone(),
            mode: always,
            lease,
            definition: None,
        })
        .await;
    let claim = claim.unwrap().unwrap();
    let stay = claim.progress.clone();
    let rows = vec![(key.to_owned(), row.map(|row| Bytes::from_static(row.as_bytes())))];
    let commit = ViewCommit { rows, ..ViewCommit::new(spec.name.clone(), &claim, stay) };
    views.commit_view(commit).await.unwrap();
    views.leave(&spec.name, &worker).await.unwrap();
}

async fn row(
    bank: &Highwater,
    key: &str,
    token: &Token,
) -> highwater::consistency::Reading<ByCustomer> {
    bank.view::<ByCustomer>().get(key).after(token).within(Duration::from_secs(30)).await.unwrap()
}

fn seen(row: &ByCustomer) -> &[u64] {
    &row.trace.seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_row_that_cannot_be_decoded_parks_its_key_alone_and_is_drained_after_the_fix() {
    for store in banks() {
        let bank = store.open().await;
        write_by_hand(&bank, "bob", Some(r#"{"cents":1}"#)).await;
        let policy = OnFailure::Park { at_most: 2 };
        let worker = work(&bank, policy).await;
        for cents in 1..4 {
            move_money(&bank, "ann", &[], cents).await;
            move_money(&bank, "bob", &[], cents).await;
        }
        let token = move_money(&bank, "ann", &[], 9).await;
        let ann = row(&bank, "ann", &token).await;
        assert_eq!(
            (seen(&ann), ann.freshness().status()),
            (&[1, 3, 5, 7][..], FreshnessStatus::Current)
        );
        let parked = ParkedKeys::of(&bank, ByCustomer::NAME).unwrap();
        let found = parked.list(None, 9).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let bob = (found[0].key.as_str(), found[0].since, found[0].queued);
        assert_eq!(bob, ("bob", Position::new(2), 3));
        assert!(found[0].error.contains("HW503"), "{}", found[0].error);

        // An operator removes the undecodable row, and requests a retry of the key.
        worker.stop().await.unwrap();
        write_by_hand(&bank, "bob", None).await;
        let worker = work(&bank, policy).await;
        assert!(parked.retry("bob").await.unwrap());
        until_drained(&parked).await;
        let bob = row(&bank, "bob", &token).await;
        assert_eq!(
            (seen(&bob), bob.freshness().status()),
            (&[2, 4, 6][..], FreshnessStatus::Current)
        );
        worker.stop().await.unwrap();
    }
}

/// A missing row is not that of a new key: the key has had events.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_row_that_is_deleted_while_its_key_is_parked_is_folded_again_from_the_log() {
    for store in banks() {
        let bank = store.open().await;
        let policy = OnFailure::Park { at_most: 2 };
        let worker = work(&bank, policy).await;
        move_money(&bank, "bob", &[], 1).await;
        move_money(&bank, "ann", &[], 2).await;
        let token = move_money(&bank, "bob", &[], 3).await;
        let bob = row(&bank, "bob", &token).await;
        assert_eq!(seen(&bob), [1, 3]);
        worker.stop().await.unwrap();
        write_by_hand(&bank, "bob", Some("[7]")).await;
        let worker = work(&bank, policy).await;
        let parked = ParkedKeys::of(&bank, ByCustomer::NAME).unwrap();
        let token = move_money(&bank, "bob", &[], 4).await;
        while parked.list(None, 9).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worker.stop().await.unwrap();
        write_by_hand(&bank, "bob", None).await;
        let worker = work(&bank, policy).await;
        assert!(parked.retry("bob").await.unwrap());
        until_drained(&parked).await;
        let bob = row(&bank, "bob", &token).await;
        assert_eq!((seen(&bob), bob.cents), (&[1, 3, 4][..], 8));
        assert_eq!(bob.freshness().status(), FreshnessStatus::Current);
        let ann = row(&bank, "ann", &token).await;
        assert_eq!(seen(&ann), [2]);
        worker.stop().await.unwrap();
    }
}

/// The stored row is at fault and not an event, so no event is skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_row_that_cannot_be_decoded_stops_a_view_that_does_not_park_and_is_named() {
    for store in banks() {
        for policy in [OnFailure::Stop, OnFailure::Skip] {
            let bank = store.open().await;
            write_by_hand(&bank, "bob", Some("[7]")).await;
            let worker = work(&bank, policy).await;
            move_money(&bank, "bob", &[], 1).await;
            let state = worker.statuses()[0].clone().until(ProjectionState::is_stopped).await;
            let ProjectionState::Stopped { error, .. } = state else { panic!("{state:?}") };
            assert_eq!(error.code(), Code::UNDECODABLE, "{error}");
            let Error::Corrupt(corrupt) = &error else { panic!("{error:?}") };
            let Corrupt::Row { view, key, .. } = &**corrupt else { panic!("{error:?}") };
            assert_eq!((view.as_str(), key.as_str()), (ByCustomer::NAME, "bob"));
            assert!(bank.view::<ByCustomer>().get("bob").find().await.is_err());
            worker.stop().await.unwrap_err();
        }
    }
}
