//! The whole pipeline as services: a relay and two workers in separate processes, on a real
//! PostgreSQL and a real Kafka, under load (O2, O5).

use std::{
    io::Write as _,
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use highwater::{Receipt, prelude::*};
use highwater_test_support::{
    bank::{Account, Balance, Bank, banks},
    services,
};
use tokio::task::JoinHandle;

use crate::{
    log_format::objects,
    probe::{STATE_TIMEOUT, get},
    service_process::{Role, ServiceProcess, ServiceSpec},
    shutdown::{KEYS, deposit},
};

/// The metrics of an API service.
const SERVED: [&str; 12] = [
    "command_duration_seconds",
    "rejections_total",
    "conflicts_total",
    "state_lookups_total",
    "appends_total",
    "appended_events_total",
    "group_commit_appends",
    "group_commit_duration_seconds",
    "wait_duration_seconds",
    "reads_total",
    "read_duration_seconds",
    "policy_changes_total",
];

const DRAIN: Duration = Duration::from_secs(20);

/// The services, and the task that writes events.
pub(crate) struct Chain {
    pub(crate) bank: Highwater,
    specs: Vec<ServiceSpec>,
    serving: Vec<ServiceProcess>,
    is_stopped: Arc<AtomicBool>,
    writing: JoinHandle<(Receipt, u64)>,
}

impl Chain {
    /// Starts all services, and waits until they are ready. Prints a notice and returns `None` if
    /// there is no PostgreSQL or no Kafka.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let servers = services::kafka_servers(test)?;
        let bank = banks().into_iter().find(|bank| matches!(bank, Bank::Postgres(_)))?;
        let Bank::Postgres(store) = &bank else { return None };
        let kafka = Some((servers, format!("test-{:016x}", fastrand::u64(..))));
        let specs = [Role::Relay, Role::Fed, Role::Fed].map(|role| ServiceSpec {
            kafka: kafka.clone(),
            ..ServiceSpec::new(role, store, "20s")
        });
        let (bank, is_stopped) = (bank.open().await, Arc::<AtomicBool>::default());
        let writing = tokio::spawn(deposit(bank.clone(), Arc::clone(&is_stopped)));
        let mut chain =
            Self { bank, specs: specs.into(), serving: Vec::new(), is_stopped, writing };
        for spec in chain.specs.clone() {
            chain.serving.push(started(spec).await);
        }
        Some(chain)
    }

    /// Starts another service on the same store.
    pub(crate) async fn with(&self, role: Role) -> ServiceProcess {
        started(ServiceSpec { role, ..self.specs[0].clone() }).await
    }

    /// Terminates some services at the same time, waits until they have ended, and starts them
    /// again.
    async fn restart(&mut self, mut places: Vec<usize>) {
        places.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
        let mut specs = Vec::new();
        let mut ending = Vec::new();
        for place in places {
            specs.push(self.specs.remove(place));
            ending.push(self.serving.remove(place));
        }
        tokio::task::spawn_blocking(move || all_end(ending)).await.unwrap();
        for spec in specs {
            self.specs.push(spec.clone());
            self.serving.push(started(spec).await);
        }
        assert!(!self.writing.is_finished(), "the writer has ended");
    }

    /// Stops the writer, and asserts that each key has every deposit exactly once, in its view and
    /// in its stream.
    pub(crate) async fn has_everything_once(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let (receipt, rounds) = self.writing.await.unwrap();
        for key in KEYS {
            let balance = self.bank.view::<Balance>().get(key).after(&receipt);
            let balance = balance.within(Duration::from_secs(120)).await.unwrap();
            let account = self.bank.aggregate::<Account>(key).load(AsOf::Now).await.unwrap();
            assert_eq!((balance.events, balance.cents), (rounds, account.balance), "{key}");
        }
        println!("{} events", 3 * rounds);
        tokio::task::spawn_blocking(move || all_end(self.serving)).await.unwrap();
    }
}

async fn started(spec: ServiceSpec) -> ServiceProcess {
    tokio::task::spawn_blocking(move || ServiceProcess::start(&spec)).await.unwrap()
}

/// Terminates all services, and waits for them: each ends within its bound, with status 0.
fn all_end(mut serving: Vec<ServiceProcess>) {
    serving.iter().for_each(ServiceProcess::terminate);
    let began = Instant::now();
    for serving in &mut serving {
        let status = serving.wait();
        assert!(status.success(), "{}", serving.output());
        assert!(began.elapsed() < DRAIN);
        let log = objects(&serving.log());
        let is_logged = log.iter().any(|object| object["fields"]["message"] == "SIGTERM");
        assert!(is_logged, "{}", serving.output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn o5_r1_kafka_sigterm_under_load_loses_and_repeats_nothing_and_a_restart_resumes() {
    let test = "o5_r1_kafka_sigterm_under_load_loses_and_repeats_nothing_and_a_restart_resumes";
    let Some(mut chain) = Chain::start(test).await else { return };
    // Each service alone, the relay first, and then all at once.
    for _ in 0..3 {
        chain.restart(vec![0]).await;
    }
    chain.restart(vec![0, 1, 2]).await;
    chain.has_everything_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn o2_promtool_accepts_the_metrics_of_services_under_load() {
    let test = "o2_promtool_accepts_the_metrics_of_services_under_load";
    let Some(chain) = Chain::start(test).await else { return };
    let (writes, addresses) =
        (!chain.writing.is_finished(), chain.serving.iter().map(|serving| serving.address));
    for address in addresses {
        let metrics = scraped(address).await;
        assert!(writes && metrics.contains("highwater_"), "{metrics}");
        let Some(promtool) = services::promtool(test) else { return };
        is_accepted(promtool, &metrics);
    }
    let api = chain.with(Role::Api).await;
    let metrics = everything_served(&api).await;
    let Some(promtool) = services::promtool(test) else { return };
    is_accepted(promtool, &metrics);
    drop(api);
    chain.has_everything_once().await;
}

async fn scraped(address: SocketAddr) -> String {
    let scraped = tokio::task::spawn_blocking(move || get(address, "/metrics"));
    let (status, metrics) = scraped.await.unwrap().unwrap();
    assert_eq!(status, 200, "{metrics}");
    metrics
}

/// Returns the metrics of a service that executes commands and reads, once all expected metrics
/// have values.
async fn everything_served(api: &ServiceProcess) -> String {
    let began = Instant::now();
    loop {
        let metrics = scraped(api.address).await;
        let is_there = |name: &&str| metrics.contains(&format!("# TYPE highwater_{name} "));
        let missing: Vec<_> = SERVED.iter().filter(|name| !is_there(name)).collect();
        if missing.is_empty() {
            return metrics;
        }
        assert!(began.elapsed() < STATE_TIMEOUT, "{missing:?} are missing: {}", api.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_accepted(mut promtool: std::process::Command, metrics: &str) {
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().unwrap();
    checking.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let checked = checking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stdout));
}
