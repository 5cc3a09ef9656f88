//! A service in another process, which the tests shut down.

use std::{
    fs::File,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use highwater::{
    Highwater, Open as _, Worker,
    direct::DirectSource,
    service::{Config, Service},
};
use highwater_test_support::{bank::Balance, process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{
    api, policies,
    probe::{STATE_TIMEOUT, free_address, until},
    stuck::Stuck,
};

const PREFIX: &str = "HIGHWATER_TEST_SERVICE";

/// The role of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Maintains the balances, fed by the log.
    Worker,
    /// A worker that can't end.
    Stuck,
    /// Maintains the balances, fed by Kafka.
    Fed,
    /// Publishes the log.
    Relay,
    /// Reads continuously.
    Reader,
    /// Executes commands and reads continuously.
    Api,
}

/// The configuration of a service process.
#[derive(Debug, Clone)]
pub(crate) struct ServiceSpec {
    pub(crate) role: Role,
    /// The URL of the store.
    pub(crate) store: String,
    /// The timeout of its shutdown.
    pub(crate) drain: &'static str,
    /// The brokers, and the topic.
    pub(crate) kafka: Option<(String, String)>,
    /// The format of its log.
    pub(crate) log: &'static str,
}

impl ServiceSpec {
    /// Creates a configuration without Kafka and with a JSON log.
    pub(crate) fn new(role: Role, store: &str, drain: &'static str) -> Self {
        Self { role, store: store.to_owned(), drain, kafka: None, log: "json" }
    }
}

/// Runs as the child process.
#[test]
fn serves_until_shutdown() {
    let Some(role) = process::task::<Role>() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = Service::new(Config::from_environment(PREFIX).unwrap()).unwrap();
        let bank = Highwater::open(service.config().store.expose()).await.unwrap();
        let other = Highwater::open(service.config().store.expose()).await.unwrap();
        let serving = with(role, service, &bank).run_until_shutdown();
        // These tasks end with the runtime.
        match role {
            Role::Reader => drop(tokio::spawn(policies::read_for_ever(bank))),
            Role::Api => drop(tokio::spawn(api::serve_for_ever([bank, other]))),
            _ => {}
        }
        serving.await.unwrap();
    });
}

/// Adds the components of a role to the service.
fn with(role: Role, service: Service, bank: &Highwater) -> Service {
    let options = service.config().options("balances");
    match role {
        Role::Worker => service.worker(Worker::new(bank).view_with::<Balance>(options)),
        Role::Stuck => {
            let source = Stuck(DirectSource::new(bank));
            service.worker(Worker::new(bank).fed_by(source).view_with::<Balance>(options))
        }
        #[cfg(feature = "kafka")]
        Role::Fed => {
            let (kafka, topics) = service.config().kafka().unwrap();
            let source = highwater::kafka::KafkaSource::new(bank, kafka, topics);
            let worker = Worker::new(bank).fed_by(source.clone()).view_with::<Balance>(options);
            service.source(&source).worker(worker)
        }
        #[cfg(feature = "kafka")]
        Role::Relay => {
            let relay = service.config().relay(bank).unwrap();
            service.relay(relay)
        }
        #[cfg(not(feature = "kafka"))]
        Role::Fed | Role::Relay => unreachable!("there is no Kafka"),
        Role::Reader | Role::Api => service,
    }
}

/// A service in another process, running or ended.
pub(crate) struct ServiceProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    printed: PathBuf,
    log: PathBuf,
    _folder: TempDir,
}

impl ServiceProcess {
    /// Starts a service, and waits until it is ready.
    pub(crate) fn start(spec: &ServiceSpec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let (printed, log) = (folder.path().join("printed"), folder.path().join("log"));
        let mut command = process::child("service_process::serves_until_shutdown", &spec.role);
        command
            .env(format!("{PREFIX}_STORE"), &spec.store)
            .env(format!("{PREFIX}_DRAIN"), spec.drain)
            .env(format!("{PREFIX}_HTTP__LISTEN"), address.to_string())
            .env(format!("{PREFIX}_LOG__FORMAT"), spec.log)
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&log).unwrap());
        if !matches!(spec.role, Role::Relay | Role::Reader | Role::Api) {
            command.env(format!("{PREFIX}_PROJECTIONS__BALANCES__BATCH"), "20");
        }
        if let Some((servers, topic)) = &spec.kafka {
            command.env(format!("{PREFIX}_KAFKA__SERVERS"), servers);
            command.env(format!("{PREFIX}_KAFKA__TOPIC"), topic);
            command.env(format!("{PREFIX}_RELAY__PARTITIONS"), "4");
        }
        let child = command.spawn().unwrap();
        let serving = Self { child, address, printed, log, _folder: folder };
        until(address, |status, _| status == 200);
        serving
    }

    /// Sends SIGTERM to the process.
    pub(crate) fn terminate(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    }

    /// Returns true if the process still runs.
    #[cfg(all(feature = "kafka", feature = "postgres"))]
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the process ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        while began.elapsed() < STATE_TIMEOUT {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it does not end: {}", self.output());
    }

    /// Returns the standard output and the log of the process.
    pub(crate) fn output(&self) -> String {
        let printed = std::fs::read_to_string(&self.printed).unwrap();
        printed + &self.log()
    }

    /// Returns the log of the process.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
