//! R6: drift of every kind is found, by key.

use std::time::Duration;

use highwater::{
    Code, Highwater, View, Views as _, Worker,
    reconcile::{Drift, DriftKind, VerifyReport},
    worker::{ProjectionOptions, WorkerHandle},
};
use highwater_test_support::{
    bank::{Bank, banks},
    ledger::{ByAccount, ByCustomer, ByPartner, compare_all, step},
    run::seed,
};

use crate::tampering::tamper;

pub(crate) async fn work(bank: &Highwater, shards: u32) -> WorkerHandle {
    let options = ProjectionOptions::default().shards(shards).batch(50);
    let source = highwater::direct::DirectSource::new(bank).lease(Duration::from_millis(250));
    let worker = Worker::new(bank).fed_by(source).view_with::<ByAccount>(options);
    let worker = worker.view_with::<ByCustomer>(options).view_with::<ByPartner>(options);
    worker.start().await.unwrap()
}

/// Appends random events, and waits until the views have them.
pub(crate) async fn grow(bank: &Highwater, events: usize, random: &mut fastrand::Rng) {
    for _ in 0..events {
        step(bank, random).await;
    }
    compare_all(bank).await;
}

/// The texts that say what a report found.
pub(crate) fn found(report: &VerifyReport) -> Vec<(&str, &str)> {
    report.drift.iter().map(|drift| (drift.key.as_str(), kind(drift))).collect()
}

fn kind(drift: &Drift) -> &str {
    match &drift.kind {
        DriftKind::Different => "different",
        DriftKind::Missing => "missing",
        DriftKind::Extra => "extra",
        DriftKind::Undecodable(_) => "undecodable",
        _ => "unknown",
    }
}

pub(crate) async fn verify_all(bank: &Highwater) -> [VerifyReport; 3] {
    [
        bank.view::<ByAccount>().verify().await.unwrap(),
        bank.view::<ByCustomer>().verify().await.unwrap(),
        bank.view::<ByPartner>().verify().await.unwrap(),
    ]
}

pub(crate) fn assert_equal(report: &VerifyReport) {
    assert!(report.is_equal(), "{report}: {:?}", report.drift);
    assert_eq!((report.parked_keys, report.unverified_keys), (0, 0), "{report}");
    assert!(report.drift.is_empty() && report.unreadable.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_rows_that_are_the_fold_of_their_events_are_equal_with_any_sharding() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        for shards in [1, 3] {
            let worker = work(&bank, shards).await;
            grow(&bank, 150, &mut random).await;
            worker.stop().await.unwrap();
            for report in verify_all(&bank).await {
                assert_equal(&report);
                assert_eq!(report.passes, 1, "one fold");
                assert!(report.compared > 10, "{report}");
                assert!(report.from <= report.through && report.from.get() > 0, "{report}");
            }
        }
    }
}

/// Changes four rows of a view, each in another way.
async fn tamper_with<V: View>(store: &Bank, bank: &Highwater, keys: [&str; 3]) {
    let [changed, deleted, undecodable] = keys;
    let row = bank.view::<V>().get(changed).await.unwrap();
    let row = serde_json::to_string(&*row).unwrap().replace("\"events\":", "\"events\":7");
    tamper::<V>(store, bank, changed, Some(&row)).await;
    tamper::<V>(store, bank, deleted, None).await;
    tamper::<V>(store, bank, undecodable, Some("[7]")).await;
    tamper::<V>(store, bank, "zz", Some(&row)).await;
}

/// Returns keys of rows that exist.
async fn some_keys<V: View>(bank: &Highwater) -> [String; 3] {
    let page = bank.view::<V>().range(.., 3).await.unwrap();
    let keys: Vec<String> = page.rows.iter().map(|(key, _)| key.clone()).collect();
    keys.try_into().unwrap()
}

async fn drift_is_found_and_repaired<V: View>(store: &Bank, bank: &Highwater) {
    let view = bank.view::<V>();
    let keys = some_keys::<V>(bank).await;
    let [changed, deleted, undecodable] = keys.each_ref().map(String::as_str);
    tamper_with::<V>(store, bank, [changed, deleted, undecodable]).await;
    let expected = [
        (changed, "different"),
        (deleted, "missing"),
        (undecodable, "undecodable"),
        ("zz", "extra"),
    ];
    let all = view.verify().await.unwrap();
    assert_eq!(found(&all), expected, "{all}");
    assert_eq!(all.drifted, 4);
    let fields: Vec<_> = all.drift[0].fields.iter().map(|field| field.field.as_str()).collect();
    assert!(fields.len() == 1 && fields[0].ends_with("events"), "{fields:?}");
    assert!(all.drift[1].stored.is_none() && all.drift[1].folded.is_some());
    assert!(all.drift[3].stored.is_some() && all.drift[3].folded.is_none());
    let in_passes = view.verify().max_rows(2).await.unwrap();
    assert_eq!(in_passes.drift, all.drift, "{in_passes}");
    assert!(in_passes.passes > 3, "{in_passes}");
    let named = view.verify().keys(["zz", changed, "nothing", deleted]).await.unwrap();
    assert_eq!(found(&named), [expected[0], expected[1], expected[3]]);
    let counted = view.verify().limit(1).await.unwrap();
    assert_eq!((counted.drifted, counted.drift.len()), (4, 1));

    let repair = view.repair(all.drifted_keys()).await.unwrap();
    assert_eq!(repair.repaired, all.drift);
    assert_eq!(repair.unchanged, 0);
    assert_equal(&view.verify().await.unwrap());
    let again = view.repair(all.drifted_keys()).await.unwrap();
    assert_eq!((again.repaired.len(), again.unchanged), (0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_rows_that_were_changed_deleted_added_or_broken_are_found_and_repaired_without_a_worker()
{
    for store in banks() {
        for shards in [1, 3] {
            let mut random = fastrand::Rng::with_seed(seed());
            let bank = store.open().await;
            let worker = work(&bank, shards).await;
            grow(&bank, 120, &mut random).await;
            worker.stop().await.unwrap();
            drift_is_found_and_repaired::<ByAccount>(&store, &bank).await;
            drift_is_found_and_repaired::<ByCustomer>(&store, &bank).await;
            drift_is_found_and_repaired::<ByPartner>(&store, &bank).await;
            let worker = work(&bank, shards).await;
            grow(&bank, 60, &mut random).await;
            worker.stop().await.unwrap();
        }
    }
}

/// A sample finds rows that have events, and costs no fold of the whole log for a view keyed by stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_sample_of_events_finds_the_drift_of_their_rows() {
    for store in banks() {
        let mut random = fastrand::Rng::with_seed(seed());
        let bank = store.open().await;
        let worker = work(&bank, 1).await;
        grow(&bank, 200, &mut random).await;
        worker.stop().await.unwrap();
        let sample = bank.view::<ByAccount>().verify().sample(20).await.unwrap();
        assert_equal(&sample);
        assert!((1..=20).contains(&sample.compared), "{sample}");
        for (key, _) in &bank.view::<ByCustomer>().range(.., 100).await.unwrap().rows.rows {
            tamper::<ByCustomer>(&store, &bank, key, Some("[7]")).await;
        }
        let sample = bank.view::<ByCustomer>().verify().sample(20).await.unwrap();
        assert!(sample.drifted > 0 && sample.drifted == sample.compared, "{sample}");
        assert_equal(&bank.view::<ByCustomer>().verify().sample(0).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r6_a_view_that_was_never_opened_is_not_equal_to_anything() {
    for store in banks() {
        let view = store.open().await.view::<ByAccount>();
        let missing = view.verify().await.unwrap_err();
        assert_eq!(missing.code(), Code::VIEW_MISSING);
        assert_eq!(view.repair(["a1"]).await.unwrap_err().code(), Code::VIEW_MISSING);
        assert_eq!(view.why("a1").await.unwrap_err().code(), Code::VIEW_MISSING);
    }
}
