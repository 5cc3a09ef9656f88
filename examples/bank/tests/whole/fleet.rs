//! The bank in several processes, on the real PostgreSQL and the real Kafka.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{PATIENCE, program::Program, skip};

/// A store and a topic of their own, for any number of programs.
#[derive(Clone)]
pub(crate) struct Place {
    store: String,
    servers: String,
    topic: String,
}

impl Place {
    /// Returns an unused place; `None` if there are no servers here.
    pub(crate) fn new(test: &str) -> Option<Self> {
        static PLACES: AtomicU32 = AtomicU32::new(0);
        let named = ["HIGHWATER_TEST_POSTGRES", "HIGHWATER_TEST_KAFKA"].map(env::var);
        let [Ok(url), Ok(servers)] = named else {
            skip(test, "no PostgreSQL and Kafka are named");
            return None;
        };
        let (process, place) = (std::process::id(), PLACES.fetch_add(1, Ordering::Relaxed));
        let topic = format!("test_{process:08x}{place:04x}{:04x}", free_address().port());
        let and = if url.contains('?') { '&' } else { '?' };
        Some(Self { store: format!("{url}{and}schema={topic}&connections=4"), servers, topic })
    }

    fn command(&self, program: &str, probes: SocketAddr) -> Command {
        let mut command = Command::new(program);
        command
            .env("BANK_STORE", &self.store)
            .env("BANK_KAFKA__SERVERS", &self.servers)
            .env("BANK_KAFKA__TOPIC", &self.topic)
            // A worker that is killed is missed soon.
            .env("BANK_KAFKA__SETTINGS__SESSION_TIMEOUT_MS", "6000")
            .env("BANK_RELAY__PARTITIONS", "4")
            .env("BANK_HTTP__LISTEN", probes.to_string())
            .env("BANK_LOG__LEVEL", "error");
        command
    }

    pub(crate) fn relay(&self) -> Serving {
        let probes = free_address();
        Serving::start(&mut self.command(env!("CARGO_BIN_EXE_bank-relay"), probes), probes)
    }

    /// A worker with its switches.
    pub(crate) fn worker(&self) -> (Serving, String) {
        let (probes, switches) = (free_address(), free_address());
        let mut command = self.command(env!("CARGO_BIN_EXE_bank-worker"), probes);
        let serving = Serving::start(command.args(["--switches", &switches.to_string()]), probes);
        (serving, format!("http://{switches}"))
    }

    /// An API with switches for the workers at these addresses, and its URL.
    pub(crate) async fn api(&self, switches: &[String]) -> (Serving, String) {
        let probes = free_address();
        let mut command = self.command(env!("CARGO_BIN_EXE_bank-api"), probes);
        command.args(["--listen", "127.0.0.1:0"]);
        let switches = switches.iter().flat_map(|switches| ["--worker", switches]);
        let mut serving = Serving::start(command.args(switches), probes);
        let url = serving.program.says("the bank is open at ").await;
        (serving, url)
    }
}

/// A program that answers probes.
pub(crate) struct Serving {
    program: Program,
    probes: SocketAddr,
}

impl Serving {
    fn start(command: &mut Command, probes: SocketAddr) -> Self {
        Self { program: Program::start(command), probes }
    }

    /// Waits until its readiness says yes.
    pub(crate) async fn is_ready(&self) {
        let ready = async {
            let url = format!("http://{}/ready", self.probes);
            while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, ready).await.unwrap();
    }

    /// SIGTERM; it must end well.
    pub(crate) async fn terminates(mut self) {
        self.program.signal("TERM");
        assert!(self.program.ends().await.success());
    }

    /// SIGKILL.
    pub(crate) async fn dies(mut self) {
        self.program.signal("KILL");
        assert!(!self.program.ends().await.success());
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
