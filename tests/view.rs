//! The first read model, on every store.

use std::time::Duration;

use highwater::{
    Code, Position, Token, domain::ViewName, port::WorkerId, prelude::*, worker::ProjectionOptions,
};
use highwater_test_support::bank::{Account, Balance, Deposit, banks};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_read_after_a_receipt_sees_the_command() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        for cents in 1..=20 {
            let receipt =
                bank.aggregate::<Account>("alice").execute(Deposit { cents }).await.unwrap();
            let token: Token = receipt.token().to_string().parse().unwrap();
            let balance = bank.view::<Balance>().get("alice").after(&token).await.unwrap();
            assert_eq!(balance.cents, (1..=cents).sum::<i64>());
            assert!(balance.freshness().position >= Position::new(cents.unsigned_abs()));
        }
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_view_that_does_not_reach_the_token_in_time_reports_its_position() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        worker.stop().await.unwrap();
        let receipt =
            bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        let lookup = bank.view::<Balance>().get("alice").after(&receipt);
        let error = lookup.within(Duration::from_millis(30)).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ);
        let error = bank.view::<Balance>().get("alice").await.unwrap_err();
        assert_eq!(error.code(), Code::NOT_FOUND);
        assert_eq!(bank.view::<Balance>().freshness().await.unwrap().lag(), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_concurrent_workers_of_one_view_that_restart_apply_each_event_once() {
    for bank in banks() {
        let handles = [bank.open().await, bank.open().await];
        let work = |bank| {
            Worker::new(bank).view_with::<Balance>(ProjectionOptions::default().batch(7)).start()
        };
        let writer = handles[0].clone();
        let writing = tokio::spawn(async move {
            let mut last = None;
            for step in 0..300 {
                let account = writer.aggregate::<Account>(["a", "b", "c"][step % 3]);
                last = Some(account.execute(Deposit { cents: 1 }).await.unwrap());
            }
            last.unwrap()
        });
        for round in 0..6 {
            let worker = work(&handles[round % 2]).await.unwrap();
            let other = work(&handles[1]).await.unwrap();
            tokio::task::yield_now().await;
            worker.stop().await.unwrap();
            other.stop().await.unwrap();
        }
        let worker = work(&handles[0]).await.unwrap();
        let other = work(&handles[1]).await.unwrap();
        let receipt = writing.await.unwrap();
        for key in ["a", "b", "c"] {
            let balance = handles[1].view::<Balance>().get(key).after(&receipt).await.unwrap();
            assert_eq!((balance.cents, balance.events), (100, 100));
        }
        worker.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_stopped_worker_is_no_member_of_its_view() {
    let view = ViewName::new("balances").unwrap();
    let probe = WorkerId::new("probe").unwrap();
    for bank in banks() {
        let handles = [bank.open().await, bank.open().await];
        for round in 0..300 {
            let work = |handle| Worker::new(handle).view::<Balance>().start();
            let workers = [work(&handles[0]).await.unwrap(), work(&handles[1]).await.unwrap()];
            tokio::task::yield_now().await;
            for worker in workers {
                worker.stop().await.unwrap();
            }
            let lease = Duration::from_secs(60);
            // Without members it was stopped before it had opened the view.
            let members = handles[0].views().heartbeat(&view, &probe, lease).await;
            let members = members.map_or_else(|_| vec![probe.clone()], |members| members.workers);
            assert_eq!(members, std::slice::from_ref(&probe), "round {round}");
        }
    }
}
