//! R1: workers of a machine whose clock is set back, as that of a device without a battery is at each boot.

use std::time::Duration;

use highwater::{
    View as _, Views as _, Worker,
    port::{ClaimMode, ShardClaim, WorkerId},
    value::{ShardId, Sharding},
};
use highwater_test_support::{
    bank::{Account, Balance, Deposit},
    clock::banks_with_clocks,
};

const HOUR: i64 = 3_600;
const LEASE: Duration = Duration::from_secs(5);

fn claim(worker: &WorkerId) -> ShardClaim {
    ShardClaim {
        view: Balance::spec().unwrap().name,
        sharding: Sharding::SINGLE,
        shard: ShardId::FIRST,
        worker: worker.clone(),
        mode: ClaimMode::IfFree,
        lease: LEASE,
        definition: None,
    }
}

#[tokio::test]
async fn r1_a_worker_that_is_gone_since_the_clock_was_set_back_holds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        let (views, spec) = (bank.views(), Balance::spec().unwrap());
        let [gone, next] = ["gone", "next"].map(|name| WorkerId::new(name).unwrap());
        views.open_view(&spec, Sharding::SINGLE).await.unwrap();
        clock.set_ahead(HOUR);
        assert!(views.claim_shard(claim(&gone)).await.unwrap().is_some());
        views.heartbeat(&spec.name, &gone, LEASE).await.unwrap();
        assert_eq!(views.claim_shard(claim(&next)).await.unwrap(), None);
        clock.set_ahead(0);
        let members = views.heartbeat(&spec.name, &next, LEASE).await.unwrap();
        assert_eq!((members.workers, members.holders), (vec![next.clone()], vec![None]));
        assert!(views.claim_shard(claim(&next)).await.unwrap().is_some());
    }
}

/// A caller that waits for the store may be given its lease after another caller has read the clock.
#[tokio::test]
async fn r1_a_lease_that_begins_a_little_in_the_future_is_held() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        let views = bank.views();
        let spec = Balance::spec().unwrap();
        let [holder, next] = ["holder", "next"].map(|name| WorkerId::new(name).unwrap());
        views.open_view(&spec, Sharding::SINGLE).await.unwrap();
        clock.set_ahead(30);
        assert!(views.claim_shard(claim(&holder)).await.unwrap().is_some());
        views.heartbeat(&spec.name, &holder, LEASE).await.unwrap();
        clock.set_ahead(0);
        let members = views.heartbeat(&spec.name, &next, LEASE).await.unwrap();
        let expected = (vec![holder.clone(), next.clone()], vec![Some(holder)]);
        assert_eq!((members.workers, members.holders), expected);
        assert_eq!(views.claim_shard(claim(&next)).await.unwrap(), None);
    }
}

/// A worker whose lease lies in the future is one of a machine whose clock was set back under it: it is not gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r1_a_worker_keeps_working_while_its_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    for (clock, bank) in banks_with_clocks(&folder).await {
        clock.set_ahead(HOUR);
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        let deposit = async || {
            let deposit = Deposit { cents: 1 };
            bank.aggregate::<Account>("alice").execute(deposit).await.unwrap()
        };
        let row = async |receipt| {
            bank.view::<Balance>().get("alice").after(&receipt).within(4 * LEASE).await.unwrap()
        };
        row(deposit().await).await;
        clock.set_ahead(0);
        assert_eq!(row(deposit().await).await.events, 2);
        // Its heartbeats renew the lease by the clock as it is.
        let probe = WorkerId::new("probe").unwrap();
        let name = Balance::spec().unwrap().name;
        let is_held = async || {
            let members = bank.views().heartbeat(&name, &probe, Duration::ZERO).await.unwrap();
            members.holders[0].is_some()
        };
        let renewed = async {
            while !is_held().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed).await.unwrap();
        worker.stop().await.unwrap();
    }
}
