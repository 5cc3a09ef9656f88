//! R2, R3: views in a separate store from the log.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use highwater::{
    Code, Highwater, Position, Views as _, Worker,
    consistency::{Basis, Fallback},
    port::Store,
    stores::{SystemClock, SystemIds},
    value::FreshnessStatus,
    worker::ProjectionOptions,
};
use highwater_test_support::bank::{Balance, Bank, banks};

use crate::{
    counting::{Counts, counted},
    views::{deposit, work_until},
};

/// Opens the log in one store, with counted calls, and the views in another of the same kind.
async fn apart(log: &Bank, views: &Bank) -> (Highwater, Arc<Counts>) {
    let (log, counts) = counted(log).await;
    let views: Arc<dyn Store> = views.store().await;
    (Highwater::with_store(&log, SystemClock, SystemIds).views(views).build(), counts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_an_eventual_read_of_views_in_another_store_needs_no_log() {
    for (log, views) in banks().into_iter().zip(banks()) {
        let (bank, counts) = apart(&log, &views).await;
        let receipt = deposit(&bank, "alice", 1).await;
        work_until::<Balance>(&bank, &receipt).await;
        let (alice, short) = (|| bank.view::<Balance>().get("alice"), Duration::from_millis(50));
        assert!(bank.view::<Balance>().freshness().await.unwrap().is_current());
        counts.is_away.store(true, Ordering::SeqCst);
        for read in [alice(), alice().after(&receipt), alice().bounded(Duration::from_secs(60))] {
            let found = read.await.unwrap();
            assert_eq!((found.cents, found.basis()), (1, Basis::View));
            let freshness = found.freshness();
            assert_eq!((freshness.lag(), freshness.status()), (None, FreshnessStatus::Converging));
            assert!(freshness.age() < Duration::from_secs(60) && freshness.age() > Duration::ZERO);
        }
        let strong = || alice().strong().within(short);
        for how in [&counts.is_away, &counts.is_stuck] {
            assert!(strong().await.unwrap_err().is_unavailable());
            assert!(strong().or(Fallback::ServeStale).await.unwrap().is_stale());
            how.store(false, Ordering::SeqCst);
            counts.is_stuck.store(true, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_strong_reads_and_tokens_work_with_views_in_another_store() {
    for (log, views) in banks().into_iter().zip(banks()) {
        let (bank, _) = apart(&log, &views).await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        // The head of another log must not be taken for the head of the bank's log.
        let other = views.open().await;
        for _ in 0..5 {
            deposit(&other, "alice", 1_000).await;
        }
        let current = bank.view::<Balance>().get("alice").strong().await.unwrap();
        assert_eq!((current.cents, current.basis()), (1, Basis::View));
        let receipt = deposit(&bank, "alice", 1).await;
        let folded = bank.view::<Balance>().get("alice").strong().await.unwrap();
        assert_eq!((folded.cents, folded.basis()), (2, Basis::Folded));
        let late = bank.view::<Balance>().get("alice").after(&receipt);
        let late = late.within(Duration::from_millis(5)).or(Fallback::Fold).await.unwrap();
        assert_eq!((late.cents, late.basis()), (2, Basis::Folded));
        let future = highwater::Token::at(Position::new(3));
        let refused = bank.view::<Balance>().get("alice").after(&future);
        let error = refused.within(Duration::from_secs(3_600)).await.unwrap_err();
        assert_eq!(error.code(), Code::FOREIGN_TOKEN);
    }
}

/// The log is idle throughout: reads satisfy their bound only because the worker reports progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_bounded_read_of_views_in_another_store_detects_a_dead_worker() {
    for (log, views) in banks().into_iter().zip(banks()) {
        let (bank, _) = apart(&log, &views).await;
        let receipt = deposit(&bank, "alice", 1).await;
        let worker =
            Worker::new(&bank).view_with::<Balance>(ProjectionOptions::default().shards(2));
        let worker = worker.start().await.unwrap();
        let alice = || bank.view::<Balance>().get("alice");
        let first = alice().after(&receipt).await.unwrap().freshness();
        // The time of the view advances without events.
        let mut later = first;
        while later.as_of <= first.as_of {
            later = alice().await.unwrap().freshness();
        }
        assert_eq!(later.position, first.position);
        // The worker keeps this bound as long as it runs, and no longer.
        let bound = Duration::from_secs(4);
        assert_eq!(alice().bounded(bound).await.unwrap().basis(), Basis::View);
        worker.stop().await.unwrap();
        let died = alice().await.unwrap().freshness();
        while alice().await.unwrap().freshness().age() <= bound {
            tokio::task::yield_now().await;
        }
        let error = alice().bounded(bound).within(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ);
        assert_eq!(alice().await.unwrap().freshness().as_of, died.as_of);
    }
}
