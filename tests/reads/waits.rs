//! R2, R3, R6: the cost of reads and waits, in calls of the store's port.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use highwater::{Code, Views as _, consistency::Fallback, reconcile::VerifyRequest};
use highwater_test_support::{
    bank::{Balance, banks},
    ledger::{ByAccount, ByPartner, Ledger, Move},
};

use crate::{
    counting::{self, Counts},
    views::{Parity, deposit, work, work_until},
};

const LONG_BUDGET: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r2_r3_a_current_read_asks_the_view_once_at_every_level() {
    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        let receipt = deposit(&bank, "alice", 1).await;
        work_until::<Balance>(&bank, &receipt).await;
        let alice = || bank.view::<Balance>().get("alice");
        for read in
            [alice(), alice().after(&receipt), alice().bounded(Duration::ZERO), alice().strong()]
        {
            let before =
                [&counts.view_reads, &counts.head_reads, &counts.log_reads].map(Counts::of);
            assert!(read.await.unwrap().freshness().is_current());
            let after = [&counts.view_reads, &counts.head_reads, &counts.log_reads].map(Counts::of);
            assert_eq!([before[0] + 1, before[1], before[2]], after);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_strong_read_of_a_view_by_stream_reads_only_its_stream() {
    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        for n in 0..50 {
            deposit(&bank, &format!("other-{n}"), 1).await;
        }
        deposit(&bank, "alice", 1).await;
        let before = Counts::of(&counts.log_reads);
        assert_eq!(bank.view::<Balance>().get("alice").strong().await.unwrap().cents, 2);
        assert_eq!(Counts::of(&counts.log_reads), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_strong_read_whose_log_does_not_answer_ends_with_its_budget() {
    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        deposit(&bank, "alice", 1).await;
        counts.is_stuck.store(true, Ordering::SeqCst);
        let strong =
            || bank.view::<Balance>().get("alice").strong().within(Duration::from_millis(20));
        assert_eq!(strong().await.unwrap_err().code(), Code::STALE_READ);
        let stale = strong().or(Fallback::ServeStale).await.unwrap();
        assert_eq!((stale.cents, stale.is_stale()), (1, true));
    }
}

/// Ten thousand reads wait for one view: only one wait reaches the store, and few view reads answer
/// all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_ten_thousand_waiters_cost_one_subscription_and_few_statements() {
    const WAITERS: usize = 10_000;

    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        work_until::<Parity>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 2).await;
        let waiting: Vec<_> = (0..WAITERS)
            .map(|n| {
                let key = if n % 2 == 0 { "even".to_owned() } else { format!("none-{n}") };
                let lookup = bank.view::<Parity>().get(key).after(&receipt).within(LONG_BUDGET);
                tokio::spawn(async move { lookup.find().await })
            })
            .collect();
        let mut before = Counts::of(&counts.view_reads);
        while before < WAITERS {
            tokio::task::yield_now().await;
            before = Counts::of(&counts.view_reads);
        }
        counts.most_waiting.store(Counts::of(&counts.waiting), Ordering::SeqCst);
        let worker = work::<Parity>(&bank).await;
        for (n, found) in join_all(waiting).await.into_iter().enumerate() {
            let found = found.unwrap().unwrap();
            assert_eq!(found.as_ref().map(|row| row.cents), (n % 2 == 0).then_some(2));
            assert!(found.freshness().position >= receipt.position());
        }
        worker.stop().await.unwrap();
        assert!(Counts::of(&counts.most_waiting) <= 1, "one subscription");
        // The shards advance one by one, so there are a few rounds, each in chunks of many keys,
        // and the worker reads rows, too.
        let view_reads = Counts::of(&counts.view_reads) - WAITERS;
        assert!(view_reads < 200, "{view_reads} view reads for {WAITERS} waiters");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r3_a_cancelled_wait_leaves_nothing_behind() {
    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        let receipt = deposit(&bank, "alice", 1).await;
        let lookup = || bank.view::<Balance>().get("alice").after(&receipt).within(LONG_BUDGET);
        let dropped: Vec<_> = (0..100).map(|_| tokio::spawn(lookup().into_future())).collect();
        while Counts::of(&counts.waiting) == 0 {
            tokio::task::yield_now().await;
        }
        for waiting in dropped {
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        }
        // No read waits any more, so the store gets no more queries.
        while Counts::of(&counts.waiting) > 0 {
            tokio::task::yield_now().await;
        }
        // Later reads work as usual.
        let late = lookup().within(Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(late.code(), Code::STALE_READ);
        let waiting = tokio::spawn(lookup().into_future());
        let worker = work::<Balance>(&bank).await;
        assert_eq!(waiting.await.unwrap().unwrap().cents, 2);
        worker.stop().await.unwrap();
    }
}

/// When a runtime ends, the task that answers the waiting reads ends with it.
#[test]
fn r3_a_wait_outlives_the_runtime_of_the_first_waiter() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    // The store must be in memory: the others have connections that belong to a runtime.
    let bank = first.block_on(async {
        let bank = banks().remove(0).open().await;
        work_until::<Balance>(&bank, &deposit(&bank, "alice", 1).await).await;
        bank
    });
    let receipt = first.block_on(deposit(&bank, "alice", 1));
    let lookup = || bank.view::<Balance>().get("alice").after(&receipt).within(LONG_BUDGET);
    first.block_on(async {
        let short = lookup().within(Duration::from_millis(20)).await;
        assert!(short.unwrap_err().is_unavailable());
    });
    first.spawn(lookup().into_future());
    let waiting = second.spawn(lookup().into_future());
    drop(first);
    second.block_on(async {
        let worker = work::<Balance>(&bank).await;
        assert_eq!(waiting.await.unwrap().unwrap().cents, 2);
        worker.stop().await.unwrap();
    });
}

/// 60 events make 1,200 rows, which are read in three pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_an_equal_view_costs_one_fold_and_one_scan() {
    for bank in banks() {
        let (bank, counts) = counting::open(&bank).await;
        let mut last = None;
        for event in 0..60 {
            let partners = (0..20).map(|number| format!("p{event}-{number}")).collect();
            let step = Move { customer: "bob".to_owned(), partners, cents: 1 };
            let ledger = bank.aggregate::<Ledger>(format!("a{}", event % 3));
            last = Some(ledger.execute(step).await.unwrap());
        }
        let last = last.unwrap();
        work_until::<ByPartner>(&bank, &last).await;
        work_until::<ByAccount>(&bank, &last).await;
        let cost = async |verify: VerifyRequest<ByPartner>| {
            let before = [&counts.log_reads, &counts.view_reads].map(Counts::of);
            let report = verify.await.unwrap();
            assert!(report.is_equal(), "{report}");
            let after = [&counts.log_reads, &counts.view_reads].map(Counts::of);
            (report.compared, [after[0] - before[0], after[1] - before[1]])
        };
        let view = bank.view::<ByPartner>();
        assert_eq!(cost(view.verify()).await, (1_200, [1, 3]));
        assert_eq!(cost(view.verify().max_rows(600)).await, (1_200, [2, 4]));
        assert_eq!(cost(view.verify().keys(["p1-1", "p7-7"])).await, (2, [1, 1]));
        let before = [&counts.log_reads, &counts.view_reads].map(Counts::of);
        let report = bank.view::<ByAccount>().verify().keys(["a0", "a2"]).await.unwrap();
        let after = [&counts.log_reads, &counts.view_reads].map(Counts::of);
        assert_eq!((report.compared, report.drifted), (2, 0));
        assert_eq!(after, [before[0] + 2, before[1] + 1], "one stream for each key");
    }
}
