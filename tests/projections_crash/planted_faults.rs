//! The checker finds and names planted faults.

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    Highwater, Open as _, View,
    port::{ClaimMode, Progress, ShardClaim, ViewCommit, WorkerId},
    value::Sharding,
};
use highwater_test_support::ledger::{self, ByCustomer, Ledger, Move, Trace};

use crate::{
    checker,
    findings::{Finding, Record, Wrong, of_topic},
};

/// A log of eight movements, its correct view, and the rows into which a test plants a fault.
struct Planted {
    bank: Highwater,
    right: BTreeMap<String, ByCustomer>,
    rows: BTreeMap<String, ByCustomer>,
}

impl Planted {
    async fn new() -> Self {
        let bank = Highwater::open("memory:").await.unwrap();
        for cents in 1..=8 {
            let customer = if cents % 2 == 0 { "even" } else { "odd" };
            let step = Move { customer: customer.to_owned(), partners: Vec::new(), cents };
            bank.aggregate::<Ledger>("a").execute(step).await.unwrap();
        }
        let right = ledger::expected(&**bank.log()).await.by_customer;
        Self { bank, rows: right.clone(), right }
    }

    /// Folds the events at these positions, in this order.
    fn seen(&mut self, key: &str, positions: &[u64]) {
        let mut trace = Trace::default();
        positions.iter().for_each(|position| trace.see(*position, *position as i64));
        self.rows.insert(key.to_owned(), ByCustomer { cents: trace.cents, trace });
    }

    /// Stores the current rows, and runs the checker.
    async fn found(self) -> Vec<(String, Wrong)> {
        let (views, worker) = (self.bank.views(), WorkerId::new("planter").unwrap());
        let spec = ByCustomer::spec().unwrap();
        let state = views.open_view(&spec, Sharding::SINGLE).await.unwrap();
        let (shard, lease) = (state.sharding.all().next().unwrap(), Duration::MAX / 4);
        let claim = views
            .claim_shard(ShardClaim {
                view: spec.name.clone(),
                sharding: state.sharding,
                shard,
                worker: worker.clone(),
                mode: ClaimMode::Always,
                lease,
                definition: None,
            })
            .await;
        let claim = claim.unwrap().unwrap();
        let mut commit = ViewCommit::new(spec.name, &claim, Progress::default());
        let encode = |(key, row): (&String, &ByCustomer)| {
            (key.clone(), Some(serde_json::to_vec(row).unwrap().into()))
        };
        commit.rows = self.rows.iter().map(encode).collect();
        views.commit_view(commit).await.unwrap();
        let keys = ["even", "nobody"].map(str::to_owned).into_iter();
        let findings = checker::view(&**views, &self.right, keys).await;
        assert!(findings.iter().all(|finding| finding.view == ByCustomer::NAME));
        findings.into_iter().map(|Finding { key, wrong, .. }| (key, wrong)).collect()
    }
}

fn one(key: &str, wrong: Wrong) -> Vec<(String, Wrong)> {
    vec![(key.to_owned(), wrong)]
}

#[tokio::test]
async fn a_correct_view_has_no_finding() {
    assert_eq!(Planted::new().await.found().await, []);
}

#[tokio::test]
async fn a_skipped_event_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("even", &[2, 4, 8]);
    assert_eq!(planted.found().await, one("even", Wrong::Skipped(6)));
}

#[tokio::test]
async fn a_skipped_last_event_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("odd", &[1, 3, 5]);
    assert_eq!(planted.found().await, one("odd", Wrong::Skipped(7)));
}

#[tokio::test]
async fn a_repeated_event_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("odd", &[1, 3, 5, 3, 7]);
    assert_eq!(planted.found().await, one("odd", Wrong::Repeated(3, 2)));
}

#[tokio::test]
async fn disorder_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("even", &[2, 6, 4, 8]);
    assert_eq!(planted.found().await, one("even", Wrong::Disordered(4)));
}

#[tokio::test]
async fn an_event_of_another_key_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("even", &[2, 3, 4, 6, 8]);
    assert_eq!(planted.found().await, one("even", Wrong::Foreign(3)));
}

#[tokio::test]
async fn a_missing_row_is_named() {
    let mut planted = Planted::new().await;
    planted.rows.remove("even");
    assert_eq!(planted.found().await, one("even", Wrong::MissingRow));
}

#[tokio::test]
async fn an_extra_row_is_named() {
    let mut planted = Planted::new().await;
    planted.seen("nobody", &[2]);
    assert_eq!(planted.found().await, one("nobody", Wrong::RowTooMany));
}

#[tokio::test]
async fn a_row_that_is_not_the_fold_of_its_events_is_named() {
    let mut planted = Planted::new().await;
    planted.rows.get_mut("odd").unwrap().cents += 1;
    assert_eq!(planted.found().await, one("odd", Wrong::OtherRow));
}

#[tokio::test]
async fn a_shard_that_stays_behind_is_named() {
    let planted = Planted::new().await;
    let bank = planted.bank.clone();
    planted.found().await;
    let found = checker::behind(&**bank.views(), ByCustomer::NAME, 8, Duration::ZERO).await;
    assert_eq!(found, [Finding::new("by_customer", "shard 0", Wrong::Behind(0, 8))]);
}

/// Returns the findings of a partition whose expected records are 1, 3, 5 and 7.
fn found_in_topic(positions: &[(u64, u64)]) -> Vec<Wrong> {
    let record = |(offset, (previous, position)): (i64, &(u64, u64))| Record {
        position: *position,
        previous: *previous,
        partition: 1,
        offset,
    };
    let mut records: Vec<Record> = (0..).zip(positions).map(record).collect();
    records.reverse();
    let findings = of_topic("bank", &[vec![], vec![1, 3, 5, 7]], &records);
    findings.into_iter().map(|finding| finding.wrong).collect()
}

#[test]
fn a_topic_may_repeat_a_record() {
    assert_eq!(found_in_topic(&[(0, 1), (1, 3), (0, 1), (1, 3), (3, 5), (5, 7)]), []);
}

#[test]
fn a_record_missing_from_a_topic_is_named() {
    assert_eq!(
        found_in_topic(&[(0, 1), (3, 5), (5, 7)]),
        [Wrong::Skipped(3), Wrong::BrokenChain(5, 3, 1)]
    );
}

#[test]
fn a_record_that_came_late_is_named() {
    let found = found_in_topic(&[(0, 1), (3, 5), (1, 3), (5, 7)]);
    assert_eq!(found, [Wrong::Disordered(3), Wrong::BrokenChain(5, 3, 1)]);
}

#[test]
fn a_foreign_record_is_named() {
    let found = found_in_topic(&[(0, 1), (1, 3), (3, 5), (5, 6), (5, 7)]);
    assert_eq!(found, [Wrong::Foreign(6), Wrong::BrokenChain(7, 5, 6)]);
}

#[test]
fn a_record_in_an_unexpected_partition_is_named() {
    let record = Record { position: 4, previous: 0, partition: 7, offset: 0 };
    let found = of_topic("bank", &[vec![]], &[record]);
    assert_eq!(found, [Finding::new("bank", "7", Wrong::Foreign(4))]);
}

/// The former topic had the first two events. The new one lacks the fourth.
#[cfg(feature = "kafka")]
#[test]
fn a_record_missing_from_a_topic_that_was_recreated_is_named() {
    let record =
        |(offset, (previous, position))| Record { position, previous, partition: 0, offset };
    let records: Vec<Record> = (0..).zip([(3, 5), (7, 9)]).map(record).collect();
    let right = [vec![1, 3, 5, 7, 9]];
    let former = crate::kafka_topic::records_before(&right, &records);
    let found = of_topic("bank", &right, &[former, records].concat());
    let found: Vec<Wrong> = found.into_iter().map(|finding| finding.wrong).collect();
    assert_eq!(found, [Wrong::Skipped(7), Wrong::BrokenChain(9, 7, 5)]);
}
