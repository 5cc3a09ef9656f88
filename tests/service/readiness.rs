//! Readiness in each state, and the other reports of a service (O2, O5).

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use highwater::{
    Code, Position, Receipt, StreamId, Worker,
    direct::DirectSource,
    domain::{FoldError, FoldResult, GenerationSpec, ViewDefinition, ViewName, ViewSpec},
    error::{Invalid, Source, Unavailable},
    port::WorkerId,
    prelude::*,
    projection::{ReceivedEvent, Sink},
    service::{Config, Shutdown},
    testing::WorkerFaults,
    value::Sharding,
    worker::{OnFailure, ProjectionOptions},
};
use highwater_test_support::bank::{Account, AccountEvent, Balance, Deposit, Withdraw, banks};

use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    probe::{free_address, until_said},
    served::{Served, ask},
    stuck::{FailsOnce, SilentSource, Stuck},
};

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_running_worker_is_ready_and_exports_metrics() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>();
        let served = Served::start(|_| {}, |service| service.worker(worker));
        let report = until_said(served.address, |status, _| status == 200).await;
        assert_eq!(report["phase"], "running");
        assert_eq!(report["projections"][0]["name"], "balances");
        assert_eq!(report["projections"][0]["state"], "running");
        assert!(report["projections"][0]["since"].is_string());

        let receipt =
            bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        let (status, metrics) = ask(served.address, "/metrics").await;
        assert_eq!(status, 200);
        for line in [
            "# HELP highwater_projection_events_total Events that were applied and committed",
            "# TYPE highwater_projection_commit_duration_seconds histogram",
            "highwater_projection_state{projection=\"balances\",state=\"running\"} 1",
            "highwater_command_duration_seconds_bucket{command=\"deposit\"",
        ] {
            assert!(metrics.contains(line), "{line} is not in\n{metrics}");
        }
        assert_eq!(ask(served.address, "/live").await, (200, "live\n".into()));
        assert_eq!(ask(served.address, "/else").await.0, 404);
        served.stop().await.unwrap();
    }
}

/// A program with the same definition, and with another fold.
mod doubled {
    use super::*;

    #[derive(View, Default, Clone, Debug)]
    #[view(event = AccountEvent, name = "balances", by_stream = Account)]
    pub(super) struct Balance {
        pub(super) cents: i64,
        pub(super) events: u64,
    }

    impl Balance {
        fn fold(&mut self, event: &AccountEvent, _: &Envelope) {
            self.events += 1;
            if let AccountEvent::Deposited { cents } = event {
                self.cents += cents * 2;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_projection_whose_auditor_has_found_drift_is_ready_and_says_so() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>().start().await.unwrap();
        let receipt =
            bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        worker.stop().await.unwrap();
        let worker = Worker::new(&bank).view::<doubled::Balance>();
        let served = Served::start(|_| {}, |service| service.worker(worker));
        let drifted =
            |_, report: &serde_json::Value| report["projections"][0]["drift"]["rows"] == 1;
        let report = until_said(served.address, drifted).await;
        let projection = &report["projections"][0];
        assert_eq!((&report["ready"], &projection["state"]), (&true.into(), &"running".into()));
        assert_eq!(projection["drift"]["keys"], serde_json::json!(["alice"]));
        assert!(projection["drift"]["since"].is_string(), "{report}");
        served.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_preparing_projection_is_not_ready() {
    for bank in banks() {
        let bank = bank.open().await;
        let divided = |shards| ProjectionOptions::default().shards(shards);
        let other = Worker::new(&bank).view_with::<Balance>(divided(2)).start().await.unwrap();
        let mut status = other.statuses()[0].clone();
        status.until(|state| state.name() == "running").await;
        // After its first commit the worker holds a shard.
        let receipt =
            bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        let worker = Worker::new(&bank).view_with::<Balance>(divided(3));
        let served = Served::start(|_| {}, |service| service.worker(worker));
        let report = until_said(served.address, |_, report| report["phase"] == "running").await;
        assert_eq!(report["ready"], false);
        assert_eq!(report["projections"][0]["state"], "preparing");
        other.stop().await.unwrap();
        until_said(served.address, |status, _| status == 200).await;
        served.stop().await.unwrap();
    }
}

/// The view has been built by another definition, and the log must have 3 events for the new generation to be complete.
#[tokio::test(flavor = "multi_thread")]
async fn o5_a_rebuilding_projection_is_not_ready() {
    for bank in banks() {
        let bank = bank.open().await;
        let own = Balance::spec().unwrap();
        let other = ViewDefinition { version: 7, ..Balance::definition().unwrap() };
        let other = ViewSpec { definition: Some(other), ..own.clone() };
        bank.views().open_view(&other, Sharding::SINGLE).await.unwrap();
        let generation = GenerationSpec { number: 2, complete_at: Position::new(3) };
        let own = ViewSpec { generation, ..own };
        bank.views().open_view(&own, Sharding::SINGLE).await.unwrap();
        let worker = Worker::new(&bank).view::<Balance>();
        let served = Served::start(|_| {}, |service| service.worker(worker));
        let rebuilding =
            |_, report: &serde_json::Value| report["projections"][0]["state"] == "rebuilding";
        let report = until_said(served.address, rebuilding).await;
        assert_eq!(report["ready"], false);
        assert_eq!(report["projections"][0]["generation"], 2);
        for cents in 1..=3 {
            bank.aggregate::<Account>("alice").execute(Deposit { cents }).await.unwrap();
        }
        let report = until_said(served.address, |status, _| status == 200).await;
        assert_eq!(report["projections"][0]["state"], "running");
        assert_eq!(bank.view::<Balance>().get("alice").await.unwrap().cents, 6);
        served.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_retrying_projection_is_not_ready_and_reports_why() {
    for bank in banks() {
        let bank = bank.open().await;
        bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        let mut faults = WorkerFaults::none(1);
        faults.before_commit = 1.0;
        let worker = Worker::new(&bank).view::<Balance>().with_faults(&faults);
        let served = Served::start(|_| {}, |service| service.worker(worker));
        let retrying =
            |_, report: &serde_json::Value| report["projections"][0]["state"] == "retrying";
        let report = until_said(served.address, retrying).await;
        assert_eq!(report["ready"], false);
        assert_eq!(report["projections"][0]["error"]["code"], "HW301");
        served.stop().await.unwrap();
    }
}

/// A search engine that is down for some accounts, and refuses others.
#[derive(Clone, Default)]
struct Search {
    documents: Arc<Mutex<Vec<u64>>>,
}

impl Sink for Search {
    type Event = AccountEvent;
    const NAME: &'static str = "search";
    const BY_STREAM: bool = true;

    async fn put(&self, events: &[ReceivedEvent<AccountEvent>]) -> highwater::Result<()> {
        for event in events {
            match event.envelope.stream.key() {
                "down" => {
                    let reason = Source::new("down");
                    return Err(Unavailable::unreachable("searching", reason).into());
                }
                "refused1" | "refused2" => return Err(Invalid::request("no such account").into()),
                _ => self.documents.lock().unwrap().push(event.envelope.position.get()),
            }
        }
        Ok(())
    }
}

impl Search {
    async fn until_found(&self, receipt: &Receipt) {
        while !self.documents.lock().unwrap().contains(&receipt.position().get()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns an account in another shard than that of the account that is down.
fn busy_account(sharding: Sharding) -> String {
    let shard = |key: &str| sharding.shard_of_stream(&StreamId::new("account", key).unwrap());
    let accounts = (0..).map(|number| format!("busy{number}"));
    accounts.into_iter().find(|account| shard(account) != shard("down")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_shard_that_is_stuck_is_not_hidden_by_its_busy_siblings() {
    for bank in banks() {
        let bank = bank.open().await;
        let search = Search::default();
        let options = ProjectionOptions::default().shards(2);
        let worker = Worker::new(&bank).sink(search.clone(), options);
        let served = Served::start(|_| {}, |service| service.worker(worker));
        until_said(served.address, |status, _| status == 200).await;
        let deposit = async |account: &str| {
            bank.aggregate::<Account>(account).execute(Deposit { cents: 1 }).await.unwrap()
        };
        deposit("down").await;
        let retrying =
            |_, report: &serde_json::Value| report["projections"][0]["state"] == "retrying";
        let first = until_said(served.address, retrying).await;
        let busy = busy_account(Sharding::by_stream(2));
        for _ in 0..10 {
            search.until_found(&deposit(&busy).await).await;
            let (status, report) = ask(served.address, "/ready").await;
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            let projection = &report["projections"][0];
            assert_eq!((status, &projection["state"]), (503, &"retrying".into()), "{report}");
            assert_eq!(projection["since"], first["projections"][0]["since"]);
            let shards = projection["shards"].as_array().unwrap();
            assert_eq!(shards.len(), 1, "{report}");
            assert_eq!(shards[0]["error"]["code"], "HW301", "{report}");
        }
        served.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_r4_a_projection_that_has_parked_or_skipped_is_ready_again_without_another_event() {
    for bank in banks() {
        let policies =
            [("refused1", OnFailure::Park { at_most: 2 }), ("refused2", OnFailure::Skip)];
        for (account, policy) in policies {
            let bank = bank.open().await;
            let search = Search::default();
            let options = ProjectionOptions::default().on_failure(policy);
            let worker = Worker::new(&bank).sink(search.clone(), options);
            let served = Served::start(|_| {}, |service| service.worker(worker));
            let refused = bank.aggregate::<Account>(account);
            refused.execute(Deposit { cents: 1 }).await.unwrap();
            let view = ViewName::new("search").unwrap();
            let head = bank.log().head().await.unwrap();
            let has_passed = async || {
                let stored = bank.views().read_view(&view, &[]).await;
                stored.is_ok_and(|stored| stored.state.least().position == head)
            };
            while !has_passed().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            until_said(served.address, |status, _| status == 200).await;
            served.stop().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_projection_whose_feed_has_recovered_is_ready_again_without_an_event() {
    let banks = banks();
    let bank = banks[0].open().await;
    let worker = Worker::new(&bank).fed_by(FailsOnce(DirectSource::new(&bank))).view::<Balance>();
    let served = Served::start(|_| {}, |service| service.worker(worker));
    until_said(served.address, |_, report| report["projections"][0]["state"] == "retrying").await;
    until_said(served.address, |status, _| status == 200).await;
    served.stop().await.unwrap();
}

const LEASE: Duration = Duration::from_secs(30);

/// A view that fails at a withdrawal.
#[derive(View, Default, Clone)]
#[view(event = AccountEvent, name = "picky", by_stream = Account)]
struct Picky {
    events: u64,
}

impl Picky {
    fn fold(&mut self, event: &AccountEvent, _: &Envelope) -> FoldResult {
        if let AccountEvent::Withdrawn { .. } = event {
            return Err(FoldError::new("no withdrawals here"));
        }
        self.events += 1;
        Ok(RowChange::Keep)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_stopped_projection_leaves_the_service_up_which_reports_why() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Picky>().view::<Balance>();
        let served = Served::start(|_| {}, |service| service.worker(worker));
        until_said(served.address, |status, _| status == 200).await;
        let alice = bank.aggregate::<Account>("alice");
        alice.execute(Deposit { cents: 1 }).await.unwrap();
        let receipt = alice.execute(Withdraw { cents: 1 }).await.unwrap();
        let report = until_said(served.address, |status, _| status == 503).await;
        let picky = &report["projections"][0];
        assert_eq!((&picky["name"], &picky["state"]), (&"picky".into(), &"stopped".into()));
        assert_eq!(picky["error"]["code"], "HW506");
        let message = picky["error"]["message"].as_str().unwrap();
        assert!(message.contains("no withdrawals here"), "{message}");
        // The other view keeps running.
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        assert_eq!(ask(served.address, "/live").await.0, 200);
        let error = served.stop().await.unwrap_err();
        assert_eq!(error.code().as_str(), "HW506");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_draining_service_is_not_ready_and_ends_within_its_timeout() {
    for bank in banks() {
        let bank = bank.open().await;
        let source = Stuck(DirectSource::new(&bank));
        let worker = Worker::new(&bank).fed_by(source).view::<Balance>();
        let drain = |config: &mut Config| config.drain = std::time::Duration::from_secs(2);
        let served = Served::start(drain, |service| service.worker(worker));
        let address = served.address;
        until_said(address, |status, _| status == 200).await;
        let stopped = tokio::spawn(served.stop());
        let report = until_said(address, |status, _| status == 503).await;
        assert_eq!((&report["phase"], &report["ready"]), (&"draining".into(), &false.into()));
        let error = stopped.await.unwrap().unwrap_err();
        assert_eq!(error.code().as_str(), "HW306");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_component_of_the_application_is_shut_down_within_the_drain_timeout() {
    for bank in banks() {
        let bank = bank.open().await;
        let (worker, address) = (Worker::new(&bank).view::<Balance>(), free_address());
        let has_ended = Arc::new(AtomicBool::default());
        let listener = TcpListener::bind(address).await.unwrap();
        let (entered, entering) = oneshot::channel::<()>();
        let entered = Arc::new(Mutex::new(Some(entered)));
        let slow = get(move || async move {
            drop(entered.lock().unwrap().take());
            tokio::time::sleep(Duration::from_millis(500)).await;
            "answered"
        });
        let router = Router::new().route("/slow", slow);
        let served = Served::start(
            |_| {},
            |service| {
                let has_ended = Arc::clone(&has_ended);
                let api = async move |shutdown: Shutdown| {
                    axum::serve(listener, router).with_graceful_shutdown(shutdown).await?;
                    has_ended.store(true, Ordering::SeqCst);
                    Ok::<_, std::io::Error>(())
                };
                service.worker(worker).component("the API", api)
            },
        );
        until_said(served.address, |status, _| status == 200).await;
        let response = tokio::spawn(ask(address, "/slow"));
        assert!(entering.await.is_err());
        served.stop().await.unwrap();
        // The component was not dropped: it ended by itself.
        assert!(has_ended.load(Ordering::SeqCst));
        assert_eq!(response.await.unwrap(), (200, "answered".into()));
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_component_of_the_application_that_ends_by_itself_shuts_the_service_down() {
    for bank in banks() {
        let bank = bank.open().await;
        let worker = Worker::new(&bank).view::<Balance>();
        let (fail, failing) = oneshot::channel::<()>();
        let served = Served::start(
            |_| {},
            |service| {
                let component = |_| async move { Err::<(), _>(failing.await.unwrap_err()) };
                service.worker(worker).component("the API", component)
            },
        );
        until_said(served.address, |status, _| status == 200).await;
        // After its first commit the worker holds its shard.
        let receipt =
            bank.aggregate::<Account>("alice").execute(Deposit { cents: 1 }).await.unwrap();
        bank.view::<Balance>().get("alice").after(&receipt).await.unwrap();
        drop(fail);
        let error = served.ended().await.unwrap_err().to_string();
        assert!(error.contains("the API has failed: channel closed"), "{error}");
        // The worker has released its shard, so another worker gets it immediately.
        let name = ViewName::new("balances").unwrap();
        let roll =
            bank.views().heartbeat(&name, &WorkerId::unique(&**bank.ids()), LEASE).await.unwrap();
        assert_eq!(roll.holders, [None]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_component_that_panics_ends_the_service_with_its_name() {
    for bank in banks() {
        let worker = Worker::new(&bank.open().await).view::<Balance>();
        let served = Served::start(
            |_| {},
            |service| {
                let component = async |_| -> Result<(), std::io::Error> { panic!("no such page") };
                service.worker(worker).component("the API", component)
            },
        );
        let error = served.ended().await.unwrap_err();
        assert_eq!(error.code(), Code::PANICKED);
        assert_eq!(error.to_string(), "the API panicked: no such page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_component_of_the_application_that_never_ends_ends_the_service_with_an_error() {
    let quickly = |config: &mut Config| config.drain = Duration::from_millis(200);
    let served = Served::start(quickly, |service| {
        service.component("the API", |_| std::future::pending::<highwater::Result<()>>())
    });
    until_said(served.address, |status, _| status == 200).await;
    assert_eq!(served.stop().await.unwrap_err().code(), Code::SHUTDOWN_TIMEOUT);
    // An error of Highwater is returned unchanged.
    let served = Served::start(
        |_| {},
        |service| {
            let closed = highwater::Error::from(highwater::error::Unavailable::Closed);
            service.component("the API", |_| std::future::ready(Err::<(), _>(closed)))
        },
    );
    assert_eq!(served.ended().await.unwrap_err().code(), Code::CLOSED);
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_a_service_that_is_shut_down_while_it_starts_ends_at_once() {
    for bank in banks() {
        let bank = bank.open().await;
        let (first, mute) =
            (Worker::new(&bank).view::<Picky>(), Worker::new(&bank).fed_by(SilentSource));
        let mute = mute.view::<Balance>();
        let served = Served::start(|_| {}, |service| service.worker(first).worker(mute));
        let is_starting = |_, report: &serde_json::Value| {
            report["phase"] == "starting" && report["projections"][0]["state"] == "running"
        };
        until_said(served.address, is_starting).await;
        served.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_configuration_of_an_unknown_projection_is_refused_with_its_name() {
    let bank = banks()[0].open().await;
    let worker = Worker::new(&bank).view::<Balance>();
    let typo = |config: &mut Config| {
        config.projections.insert("balance".into(), Default::default());
    };
    let served = Served::start(typo, |service| service.worker(worker));
    let error = served.ended().await.unwrap_err().to_string();
    assert!(error.contains("projections.balance") && error.contains("balances"), "{error}");
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn o5_a_relay_that_cannot_publish_is_not_ready_and_reports_why() {
    use highwater::kafka::{Kafka, Relay, Topics};

    let bank = banks()[0].open().await;
    let relay =
        Relay::new(&bank, Kafka::at(crate::probe::free_address().to_string()), Topics::one("bank"));
    let served = Served::start(|_| {}, |service| service.relay(relay));
    let failing = |_, report: &serde_json::Value| report["relays"][0]["state"] == "failing";
    let report = until_said(served.address, failing).await;
    assert_eq!(report["ready"], false);
    assert_eq!(report["relays"][0]["error"]["code"], "HW305");
    served.stop().await.unwrap();
}

#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread")]
async fn o5_a_relay_and_a_worker_that_it_feeds_are_ready() {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};

    let test = "o5_a_relay_and_a_worker_that_it_feeds_are_ready";
    let Some(servers) = highwater_test_support::services::kafka_servers(test) else { return };
    for bank in banks() {
        let bank = bank.open().await;
        let (kafka, topics) =
            (Kafka::at(&servers), Topics::one(format!("test-{:016x}", fastrand::u64(..))));
        let relay = Relay::new(&bank, kafka.clone(), topics.clone()).partitions(3);
        let relaying = Served::start(|_| {}, |service| service.relay(relay));
        let leads = |_, report: &serde_json::Value| report["relays"][0]["state"] == "leading";
        assert_eq!(until_said(relaying.address, leads).await["ready"], true);
        let source = KafkaSource::new(&bank, kafka, topics);
        let worker = Worker::new(&bank).fed_by(source.clone()).view::<Balance>();
        let working = Served::start(|_| {}, |service| service.worker(worker).source(&source));
        let consumes = |status, report: &serde_json::Value| {
            status == 200 && report["projections"][0]["kafka"] == "consuming"
        };
        until_said(working.address, consumes).await;
        working.stop().await.unwrap();
        relaying.stop().await.unwrap();
    }
}
