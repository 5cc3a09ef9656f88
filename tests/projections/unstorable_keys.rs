//! R4: keys come from users' data, and some can't be stored. The event is at fault, and no other key waits.

use std::time::Duration;

use highwater::{
    Code, Error, Highwater, Token, Views as _, Worker,
    port::{KEY_LIMIT, ParkedKey, check_key},
    projection::ParkedKeys,
    value::FreshnessStatus,
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{bank::banks, ledger::ByPartner};

use crate::parking::move_money;

const VIEW: &str = "by_partner";

async fn work(bank: &Highwater, policy: OnFailure) -> WorkerHandle {
    let options = ProjectionOptions::default().on_failure(policy).shards(4);
    Worker::new(bank).view_with::<ByPartner>(options).start().await.unwrap()
}

/// Returns keys that no store can hold, of several shards.
fn unstorable() -> [String; 3] {
    ["x".repeat(KEY_LIMIT + 1), "y".repeat(9_000), "a\0b".to_owned()]
}

/// Returns the positions of the events of a row.
async fn seen(bank: &Highwater, key: &str, token: &Token) -> Vec<u64> {
    let row = bank.view::<ByPartner>().get(key).after(token).within(Duration::from_secs(30));
    let row = row.await.unwrap();
    assert_eq!(row.freshness().status(), FreshnessStatus::Current);
    row.into_value().0.seen
}

/// Waits until three keys are parked with this many events and attempts each, and returns them.
async fn until_parked(bank: &Highwater, queued: u64, attempts: u32) -> Vec<ParkedKey> {
    let until = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = ParkedKeys::of(bank, VIEW).unwrap().list(None, 10).await.unwrap();
        let is_expected = |key: &ParkedKey| (key.queued, key.attempts) == (queued, attempts);
        if found.len() == 3 && found.iter().all(is_expected) {
            return found;
        }
        let may_come = found.len() <= 3 && tokio::time::Instant::now() < until;
        assert!(may_come, "not {queued} events and {attempts} attempts each: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Checks that an error names the view, the event, its type and its stream, and the reason.
fn is_named(error: &str) {
    let event = ["event ", "(ledger.moved)", "of stream ledger-bob"];
    for word in [VIEW].into_iter().chain(event) {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
    assert!(error.contains("the limit is 2048") || error.contains("NUL"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_key_that_cannot_be_stored_is_parked_and_no_other_key_waits() {
    for store in banks() {
        let bank = store.open().await;
        let policy = OnFailure::Park { at_most: 10 };
        let worker = work(&bank, policy).await;
        for key in unstorable() {
            move_money(&bank, "bob", &["ann", &key], 1).await;
        }
        let token = move_money(&bank, "eve", &["ann"], 1).await;
        assert_eq!(seen(&bank, "ann", &token).await, [1, 2, 3, 4]);
        for key in until_parked(&bank, 1, 1).await {
            check_key(&key.key).unwrap();
            is_named(&key.error);
            assert!(key.error.starts_with("HW506: "), "{}", key.error);
        }

        // Later events of such a key wait behind it, also after a restart.
        worker.stop().await.unwrap();
        let worker = work(&bank, policy).await;
        for key in unstorable() {
            move_money(&bank, "bob", &["ann", &key], 1).await;
        }
        let token = move_money(&bank, "eve", &["ann"], 1).await;
        assert_eq!(seen(&bank, "ann", &token).await, [1, 2, 3, 4, 5, 6, 7, 8]);

        // A retry fails again, and nothing is lost.
        for key in until_parked(&bank, 2, 1).await {
            assert!(ParkedKeys::of(&bank, VIEW).unwrap().retry(&key.key).await.unwrap());
        }
        until_parked(&bank, 2, 2).await;
        worker.stop().await.unwrap();
    }
}

async fn stopped(worker: WorkerHandle) -> Error {
    let mut status = worker.status(VIEW).unwrap().clone();
    status.until(ProjectionState::is_stopped).await;
    worker.stop().await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r4_a_key_that_cannot_be_stored_stops_the_view_by_name_or_is_skipped() {
    for store in banks() {
        let bank = store.open().await;
        for key in unstorable() {
            move_money(&bank, "bob", &["ann", &key], 1).await;
        }
        let error = stopped(work(&bank, OnFailure::Stop).await).await;
        assert_eq!(error.code(), Code::NOT_APPLIED);
        is_named(&error.to_string());
        let worker = work(&bank, OnFailure::Skip).await;
        let token = move_money(&bank, "eve", &["ann"], 1).await;
        assert_eq!(seen(&bank, "ann", &token).await, [1, 2, 3, 4]);
        worker.stop().await.unwrap();
    }
}
