//! Service processes that receive real signals (O5).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater::{Highwater, Receipt, prelude::*};
use highwater_test_support::bank::{Account, Balance, Bank, Deposit, banks};

use crate::{
    probe::until,
    service_process::{Role, ServiceProcess, ServiceSpec},
};

pub(crate) const KEYS: [&str; 3] = ["alice", "bob", "carol"];

/// Returns the URL of a store that several processes can open.
pub(crate) fn url(bank: &Bank) -> Option<String> {
    match bank {
        Bank::Memory(_) => None,
        #[cfg(feature = "sqlite")]
        Bank::Sqlite(folder) => {
            Some(format!("sqlite:{}?prefix=bank_", folder.path().join("bank.db").display()))
        }
        #[cfg(feature = "postgres")]
        Bank::Postgres(url) => Some(url.clone()),
    }
}

/// Deposits one cent to each account concurrently until it is stopped, and returns the number of
/// rounds.
pub(crate) async fn deposit(bank: Highwater, is_stopped: Arc<AtomicBool>) -> (Receipt, u64) {
    let (mut last, mut rounds) = (None, 0);
    while !is_stopped.load(Ordering::Relaxed) {
        let accounts = KEYS.map(|key| bank.aggregate::<Account>(key));
        let all = accounts.iter().map(|account| account.execute(Deposit { cents: 1 }));
        let receipts = join_all(all).await.into_iter().map(Result::unwrap);
        last = receipts.max_by_key(Receipt::position);
        rounds += 1;
    }
    (last.unwrap(), rounds)
}

/// Starts and shuts down a service while events arrive continuously.
fn start_and_stop(store: &str) {
    let mut serving = ServiceProcess::start(&ServiceSpec::new(Role::Worker, store, "20s"));
    serving.terminate();
    let began = Instant::now();
    let status = serving.wait();
    assert!(status.success(), "{}", serving.output());
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(serving.output().contains("\"SIGTERM\""), "{}", serving.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_r1_sigterm_under_load_loses_nothing_and_a_restart_resumes() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let (bank, is_stopped) = (bank.open().await, Arc::new(AtomicBool::default()));
        let writing = tokio::spawn(deposit(bank.clone(), Arc::clone(&is_stopped)));
        for _ in 0..6 {
            let store = url.clone();
            tokio::task::spawn_blocking(move || start_and_stop(&store)).await.unwrap();
        }
        assert!(!writing.is_finished());
        let last = tokio::task::spawn_blocking(move || {
            ServiceProcess::start(&ServiceSpec::new(Role::Worker, &url, "20s"))
        });
        let last = last.await.unwrap();
        is_stopped.store(true, Ordering::Relaxed);
        let (receipt, rounds) = writing.await.unwrap();
        for key in KEYS {
            let balance = bank.view::<Balance>().get(key).after(&receipt);
            let balance = balance.within(Duration::from_secs(60)).await.unwrap();
            let wanted = (i64::try_from(rounds).unwrap(), rounds);
            assert_eq!((balance.cents, balance.events), wanted, "{key}");
        }
        drop(last);
    }
}

#[test]
fn o5_a_service_that_does_not_drain_in_time_ends_with_an_error() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let mut serving = ServiceProcess::start(&ServiceSpec::new(Role::Stuck, &url, "300ms"));
        serving.terminate();
        let status = serving.wait();
        assert!(!status.success());
        assert!(serving.output().contains("HW306"), "{}", serving.output());
    }
}

#[test]
fn o5_a_second_signal_ends_a_service_at_once_with_an_error() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let mut serving = ServiceProcess::start(&ServiceSpec::new(Role::Stuck, &url, "10m"));
        serving.terminate();
        until(serving.address, |status, report| status == 503 && report["phase"] == "draining");
        serving.terminate();
        let status = serving.wait();
        assert!(!status.success());
        assert!(serving.output().contains("HW306"), "{}", serving.output());
    }
}
