//! The metrics of commands, stores and workers (O2).

use std::time::Duration;

use highwater::{
    Code,
    consistency::{Level, Operation},
    policy::{Override, PolicyChange, PolicyRollback, Rule},
    prelude::*,
    testing::WorkerFaults,
    worker::{OnDrift, OnFailure, ProjectionOptions},
};
use highwater_test_support::bank::{
    Account, AccountEvent, Balance, Bank, Deposit, Withdraw, banks,
};

use crate::meter::{Meter, measured};

pub(crate) fn on_every_store<T: Future<Output = ()>>(test: impl Fn(Bank, Meter) -> T) {
    for bank in banks() {
        measured(|meter| test(bank, meter));
    }
}

fn name_of(bank: &Bank) -> &'static str {
    match bank {
        Bank::Memory(_) => "memory",
        #[cfg(feature = "sqlite")]
        Bank::Sqlite(_) => "sqlite",
        #[cfg(feature = "postgres")]
        Bank::Postgres(_) => "postgres",
    }
}

#[test]
fn o2_commands_are_measured_by_outcome() {
    on_every_store(async |bank, meter| {
        let store = name_of(&bank);
        let bank = bank.open().await;
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        alice.execute(Deposit { cents: 5 }).await.unwrap();
        alice.execute(Deposit { cents: 0 }).await.unwrap();
        assert!(alice.execute(Withdraw { cents: 11 }).await.unwrap_err().is_rejected());
        let took = |command: &str, outcome: &str| {
            let labels = format!("{{command={command},outcome={outcome}}}");
            meter.value(&format!("highwater_command_duration_seconds{labels}"))
        };
        assert_eq!(took("deposit", "appended"), 2.0);
        assert_eq!(took("deposit", "unchanged"), 1.0);
        assert_eq!(took("withdraw", "rejected"), 1.0);
        let rule = "{command=withdraw,rule=never_overdrawn}";
        assert_eq!(meter.value(&format!("highwater_rejections_total{rule}")), 1.0);
        assert_eq!(meter.value("highwater_state_lookups_total{result=miss}"), 1.0);
        assert_eq!(meter.value("highwater_state_lookups_total{result=hit}"), 3.0);
        let appends = format!("highwater_appends_total{{store={store},outcome=appended}}");
        assert_eq!(meter.value(&appends), 2.0);
        let events = format!("highwater_appended_events_total{{store={store}}}");
        assert_eq!(meter.value(&events), 2.0);
        if store != "memory" {
            let groups = format!("highwater_group_commit_appends{{store={store}}}");
            assert_eq!(meter.value(&groups), 2.0);
        }
    });
}

#[test]
fn o2_conflicts_are_counted_by_whether_the_caller_sees_them() {
    on_every_store(async |bank, meter| {
        let (ours, theirs) = (bank.open().await, bank.open_rejecting_conflicts().await);
        let deposit = Deposit { cents: 1 };
        ours.aggregate::<Account>("alice").execute(deposit.clone()).await.unwrap();
        theirs.aggregate::<Account>("alice").execute(deposit.clone()).await.unwrap();
        // Each handle has a cached state that the other makes stale.
        ours.aggregate::<Account>("alice").execute(deposit.clone()).await.unwrap();
        let refused = theirs.aggregate::<Account>("alice").execute(deposit).await;
        assert!(refused.unwrap_err().is_conflict());
        let conflicts = |outcome: &str| {
            meter.value(&format!("highwater_conflicts_total{{kind=stream,outcome={outcome}}}"))
        };
        assert_eq!((conflicts("retried"), conflicts("returned")), (1.0, 1.0));
    });
}

#[test]
fn o2_a_worker_reports_its_progress_and_its_lag() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        let mut receipt = None;
        for _ in 0..3 {
            let deposit = Deposit { cents: 1 };
            receipt = Some(bank.aggregate::<Account>("alice").execute(deposit).await.unwrap());
        }
        bank.view::<Balance>().get("alice").after(receipt.unwrap()).await.unwrap();
        meter.until("highwater_projection_events_total{projection=balances}", 3.0).await;
        meter.until("highwater_projection_position{projection=balances,shard=0}", 3.0).await;
        meter.until("highwater_projection_lag_events{projection=balances,shard=0}", 0.0).await;
        let commits = "highwater_projection_commit_duration_seconds{projection=balances}";
        assert!(meter.value(commits) >= 1.0);
        let batches = "highwater_projection_batch_events{projection=balances}";
        assert!((1.0..=3.0).contains(&meter.value(batches)), "{} batches", meter.value(batches));
        assert_eq!(meter.sum(batches), 3.0);
        assert_eq!(meter.value("highwater_projection_shards{projection=balances}"), 1.0);
        assert_eq!(meter.value("highwater_projection_shards_held{projection=balances}"), 1.0);
        let running = "highwater_projection_state{projection=balances,state=running}";
        assert_eq!(meter.value(running), 1.0);
        worker.stop().await.unwrap();
        assert_eq!(meter.value(running), 0.0);
        let ended = "highwater_projection_state{projection=balances,state=ended}";
        assert_eq!(meter.value(ended), 1.0);
        assert_eq!(meter.value("highwater_projection_shards_held{projection=balances}"), 0.0);
    });
}

/// A view that fails at a withdrawal.
#[derive(View, Default, Clone)]
#[view(event = AccountEvent, name = "picky", by_stream = Account)]
struct Picky {
    events: u64,
}

impl Picky {
    fn fold(&mut self, event: &AccountEvent, _: &Envelope) -> highwater::domain::FoldResult {
        if let AccountEvent::Withdrawn { .. } = event {
            return Err(highwater::domain::FoldError::new("no withdrawals here"));
        }
        self.events += 1;
        Ok(RowChange::Keep)
    }
}

/// Appends three events, of which the second can't be applied.
async fn an_event_that_cannot_be_applied(bank: &Highwater, account: &str) -> Receipt {
    let account = bank.aggregate::<Account>(account);
    account.execute(Deposit { cents: 1 }).await.unwrap();
    account.execute(Withdraw { cents: 1 }).await.unwrap();
    account.execute(Deposit { cents: 1 }).await.unwrap()
}

#[test]
fn o2_r4_parked_keys_skipped_effects_and_stops_are_counted() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        an_event_that_cannot_be_applied(&bank, "alice").await;
        let work = async |policy| {
            let options = ProjectionOptions::default().on_failure(policy);
            Worker::new(&bank).view_with::<Picky>(options).start().await.unwrap()
        };
        let state =
            |state: &str| format!("highwater_projection_state{{projection=picky,state={state}}}");

        let stopping = work(OnFailure::Stop).await;
        meter.until(&state("stopped"), 1.0).await;
        assert_eq!(meter.value(&state("running")), 0.0);
        let error = stopping.stop().await.unwrap_err();
        assert_eq!(error.code(), Code::NOT_APPLIED);

        let parking = work(OnFailure::Park { at_most: 3 }).await;
        meter.until("highwater_projection_parked_keys{projection=picky,shard=0}", 1.0).await;
        assert_eq!(meter.value("highwater_projection_parked_total{projection=picky}"), 1.0);
        meter.until("highwater_projection_position{projection=picky,shard=0}", 3.0).await;
        parking.stop().await.unwrap();
        // No worker of this process holds the shard any more.
        assert_eq!(meter.value("highwater_projection_parked_keys{projection=picky,shard=0}"), 0.0);
        assert_eq!(meter.value("highwater_projection_lag_events{projection=picky,shard=0}"), 0.0);
        let skipped = "highwater_projection_skipped_total{projection=picky}";
        assert_eq!(meter.value(skipped), 0.0);

        let receipt = an_event_that_cannot_be_applied(&bank, "bob").await;
        let skipping = work(OnFailure::Skip).await;
        let bob = bank.view::<Picky>().get("bob").after(&receipt);
        assert_eq!(bob.within(std::time::Duration::from_secs(60)).await.unwrap().events, 2);
        assert_eq!(meter.value(skipped), 1.0);
        assert_eq!(meter.value("highwater_projection_parked_total{projection=picky}"), 1.0);
        skipping.stop().await.unwrap();
    });
}

#[test]
fn o2_a_projection_that_has_stopped_reports_the_lag_that_there_is() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        an_event_that_cannot_be_applied(&bank, "alice").await;
        let worker = Worker::new(&bank).view::<Picky>().start().await.unwrap();
        meter.until("highwater_projection_state{projection=picky,state=stopped}", 1.0).await;
        let lag = "highwater_projection_lag_events{projection=picky,shard=0}";
        let seconds = "highwater_projection_lag_seconds{projection=picky,shard=0}";
        meter.until(lag, 2.0).await;
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        meter.until(lag, 3.0).await;
        meter.until_it(seconds, |seconds| seconds > 0.0).await;

        // Another worker passes the event.
        let options = ProjectionOptions::default().on_failure(OnFailure::Skip);
        let other = Worker::new(&bank).view_with::<Picky>(options).start().await.unwrap();
        meter.until("highwater_projection_position{projection=picky,shard=0}", 4.0).await;
        meter.until(lag, 0.0).await;
        other.stop().await.unwrap();
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        meter.until(lag, 1.0).await;
        worker.stop().await.unwrap_err();
        assert_eq!((meter.value(lag), meter.value(seconds)), (0.0, 0.0));
    });
}

#[test]
fn o2_repeated_events_and_retries_are_counted() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let mut faults = WorkerFaults::none(7);
        (faults.repeats, faults.after_commit) = (0.5, 0.3);
        let worker = Worker::new(&bank).view::<Balance>().with_faults(&faults);
        let worker = worker.start().await.unwrap();
        let (duplicates, retries) = (
            "highwater_projection_duplicates_total{projection=balances}",
            "highwater_projection_retries_total{projection=balances}",
        );
        while meter.value(duplicates) < 1.0 || meter.value(retries) < 1.0 {
            let deposit = Deposit { cents: 1 };
            let receipt = bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
            bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        }
        worker.stop().await.unwrap();
    });
}

#[test]
fn o2_a_shard_lost_to_another_worker_is_counted() {
    use highwater::{
        domain::ViewName,
        port::{ClaimMode, ShardClaim, WorkerId},
        value::{ShardId, Sharding},
    };

    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        meter.until("highwater_projection_shards_held{projection=balances}", 1.0).await;
        let (view, thief) = (ViewName::new("balances").unwrap(), WorkerId::new("thief").unwrap());
        let (sharding, lease) = (Sharding::by_stream(1), std::time::Duration::from_millis(200));
        let claiming = ClaimMode::Always;
        let (views, shard) = (bank.views(), ShardId::FIRST);
        views
            .claim_shard(ShardClaim {
                view: view.clone(),
                sharding,
                shard,
                worker: thief.clone(),
                mode: claiming,
                lease,
                definition: None,
            })
            .await
            .unwrap()
            .unwrap();
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        let fenced = "highwater_projection_fenced_total{projection=balances}";
        meter.until_it(fenced, |count| count >= 1.0).await;
        worker.stop().await.unwrap();
    });
}

/// The view of the bank, folded by another program.
mod doubled {
    use highwater::prelude::*;
    use highwater_test_support::bank::{Account, AccountEvent};

    #[derive(View, Default, Clone, Debug)]
    #[view(event = AccountEvent, name = "balances", by_stream = Account)]
    pub(crate) struct Balance {
        pub(crate) cents: i64,
        pub(crate) events: u64,
    }

    impl Balance {
        fn fold(&mut self, _: &AccountEvent, _: &Envelope) {
            self.events += 2;
        }
    }
}

#[test]
fn o2_rows_that_are_compared_differ_or_are_repaired_are_counted() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let unaudited = ProjectionOptions::default().unaudited();
        let worker = Worker::new(&bank).view_with::<Balance>(unaudited).start().await.unwrap();
        let receipt = bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await;
        bank.view::<Balance>().get("alice").after(receipt.unwrap()).await.unwrap();
        bank.view::<Balance>().verify().await.unwrap();
        let [verified, drifted, repaired] = ["verified", "drifted", "repaired"]
            .map(|what| format!("highwater_{what}_rows_total{{projection=balances}}"));
        meter.until(&verified, 1.0).await;
        let report = bank.view::<doubled::Balance>().verify().await.unwrap();
        bank.view::<doubled::Balance>().repair(report.drifted_keys()).await.unwrap();
        meter.until(&verified, 2.0).await;
        meter.until(&drifted, 1.0).await;
        meter.until(&repaired, 1.0).await;
        worker.stop().await.unwrap();
    });
}

#[test]
fn o2_an_auditor_reports_its_window_its_coverage_and_what_it_finds() {
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        let receipt = bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await;
        bank.view::<Balance>().get("alice").after(receipt.unwrap()).await.unwrap();
        worker.stop().await.unwrap();
        let options = ProjectionOptions::default().audited_within(Duration::from_millis(300));
        let worker = Worker::new(&bank).view_with::<doubled::Balance>(options);
        let worker = worker.start().await.unwrap();
        meter.until("highwater_audit_window_seconds{projection=balances}", 0.3).await;
        let coverage = "highwater_audit_coverage{projection=balances,shard=0}";
        meter.until(coverage, 1.0).await;
        let drifted = "highwater_audit_drifted_rows{projection=balances}";
        meter.until(drifted, 1.0).await;
        meter
            .until_it("highwater_verified_rows_total{projection=balances}", |rows| rows > 1.0)
            .await;
        worker.stop().await.unwrap();
        meter.until(coverage, 0.0).await;
        meter.until(drifted, 0.0).await;
        let options = options.on_drift(OnDrift::Repair);
        let worker = Worker::new(&bank).view_with::<doubled::Balance>(options);
        let worker = worker.start().await.unwrap();
        meter.until("highwater_repaired_rows_total{projection=balances}", 1.0).await;
        worker.stop().await.unwrap();
    });
}

#[cfg(feature = "kafka")]
#[test]
fn o2_a_relay_and_a_source_report_their_state() {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};

    let test = "o2_a_relay_and_a_source_report_their_state";
    let Some(servers) = highwater_test_support::services::kafka_servers(test) else { return };
    on_every_store(async |bank, meter| {
        let bank = bank.open().await;
        let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
        let relay = Relay::new(&bank, Kafka::at(&servers), topics.clone()).partitions(1);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
        let leading = "highwater_relay_state{relay=log,state=leading}";
        meter.until(leading, 1.0).await;
        let source = KafkaSource::new(&bank, Kafka::at(&servers), topics);
        let worker = Worker::new(&bank).fed_by(source).view::<Balance>().start().await.unwrap();
        for _ in 0..3 {
            let deposit = Deposit { cents: 1 };
            bank.aggregate::<Account>("alice").execute(deposit).await.unwrap();
        }
        meter.until("highwater_relay_records_total{relay=log,kind=event}", 3.0).await;
        meter.until("highwater_relay_position{relay=log}", 3.0).await;
        meter.until("highwater_projection_events_total{projection=balances}", 3.0).await;
        let marks = "highwater_relay_records_total{relay=log,kind=mark}";
        meter.until_it(marks, |count| count >= 1.0).await;
        let consuming = "highwater_kafka_source_state{projection=balances,state=consuming}";
        meter.until(consuming, 1.0).await;
        meter.until("highwater_relay_lag_events{relay=log}", 0.0).await;
        worker.stop().await.unwrap();
        stop.send(()).unwrap();
        relay.await.unwrap().unwrap();
    });
}

#[test]
fn o2_o4_reads_of_named_operations_are_counted_by_variant_level_and_outcome_and_changes_too() {
    const SHOW: Operation = Operation::standard("account.show");
    on_every_store(async |bank, meter| {
        let (store_again, bank) = (bank.clone(), bank.open().await);
        Worker::new(&bank).view::<Balance>().start().await.unwrap().stop().await.unwrap();
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 5 }).await.unwrap();
        let read = async || bank.view::<Balance>().get("alice").by(&SHOW).find().await.unwrap();
        let reads = |variant: &str, level: &str, outcome: &str| {
            let labels = format!("operation=account.show,variant={variant},level={level}");
            let took = format!("highwater_read_duration_seconds{{{labels}}}");
            let reads = format!("highwater_reads_total{{{labels},outcome={outcome}}}");
            (meter.value(&reads), meter.value(&took))
        };
        read().await;
        assert_eq!(reads("base", "read_your_writes", "view"), (1.0, 1.0));
        let strong = Rule::default().rolled_out(100.0, Override::default().reading(Level::Strong));
        let change = PolicyChange::by("ann", "a test").set(&SHOW, strong);
        bank.policies().change(change).await.unwrap();
        read().await;
        read().await;
        assert_eq!(reads("rollout", "strong", "folded"), (2.0, 2.0));
        bank.policies().roll_back(PolicyRollback::by("bob", "a test")).await.unwrap();
        read().await;
        assert_eq!(reads("base", "read_your_writes", "view"), (2.0, 2.0));
        let changes = "highwater_policy_changes_total{source=record}";
        assert_eq!(meter.value(changes), 2.0);
        // A change that was recorded before a process starts is not counted as applied by that
        // process.
        let late = store_again.open().await;
        late.policies().roll_back(PolicyRollback::by("bob", "a test")).await.unwrap_err();
        late.policies().change(PolicyChange::by("ann", "a test").set(&SHOW, strong)).await.unwrap();
        assert_eq!(meter.value(changes), 3.0);
    });
}
