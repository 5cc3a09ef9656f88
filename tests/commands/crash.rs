//! W5 under fire: several processes answer commands on the same streams, while they and the server are killed. The clients are
//! in this process, so that one clock says what was acknowledged before a command was sent.
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater_test_support::{
    answers::AnsweredCommand,
    postgres::PostgresCluster,
    run::{duration, seed},
    till::{assert_right_answers, stored},
};
use tokio::runtime::Runtime;

use crate::{
    api_process::{self, ApiProcess},
    random::Clients,
};

const PROCESSES: usize = 3;
/// The number of concurrent clients. Each uses a random process for each command.
const CLIENTS: u64 = 16;
/// The pause of a client whose process or server is down.
const PAUSE: Duration = Duration::from_millis(5);

/// The processes, and the processes that have taken the place of killed ones.
struct Processes {
    url: String,
    current: Mutex<Vec<Arc<ApiProcess>>>,
}

impl Processes {
    fn any(&self, random: &mut fastrand::Rng) -> Arc<ApiProcess> {
        self.current.lock().unwrap()[random.usize(..PROCESSES)].clone()
    }

    /// Kills a process, and starts another.
    fn replace(&self, random: &mut fastrand::Rng) {
        let started = Arc::new(ApiProcess::start(&self.url, random.u64(..)));
        let place = random.usize(..PROCESSES);
        let killed = std::mem::replace(&mut self.current.lock().unwrap()[place], started);
        killed.kill();
    }
}

/// Sends commands until it is stopped.
async fn work(
    clients: Arc<Clients>,
    processes: Arc<Processes>,
    seed: u64,
    is_stopped: Arc<AtomicBool>,
) -> Vec<AnsweredCommand> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut answers = Vec::new();
    while !is_stopped.load(Ordering::Relaxed) {
        let process = processes.any(&mut random);
        let send = |step, till| async move { process.execute(step, till).await };
        match clients.step(&mut random, send).await {
            Some(answered) => answers.push(answered),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    answers
}

/// Kills processes and calls `between` at random while clients send commands. Then checks all answers.
fn run_with_kills(url: &str, between: impl Fn()) {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let start = |number| Arc::new(ApiProcess::start(url, seed ^ number as u64));
    let current = Mutex::new((0..PROCESSES).map(start).collect());
    let processes = Arc::new(Processes { url: url.to_owned(), current });
    let clients = Arc::<Clients>::default();
    let is_stopped = Arc::<AtomicBool>::default();
    let work = |number| work(clients.clone(), processes.clone(), seed ^ number, is_stopped.clone());
    let working: Vec<_> = (0..CLIENTS).map(|number| runtime.spawn(work(number))).collect();
    let until = Instant::now() + duration(8);
    let mut kills = 0;
    while Instant::now() < until {
        thread::sleep(Duration::from_millis(random.u64(700..2_000)));
        processes.replace(&mut random);
        kills += 1;
        if kills % 3 == 0 {
            between();
        }
    }
    is_stopped.store(true, Ordering::Relaxed);
    let answers = runtime.block_on(join_all(working)).into_iter();
    let answers: Vec<AnsweredCommand> = answers.flat_map(Result::unwrap).collect();
    let streams = runtime.block_on(async {
        let store = api_process::open(url).await.unwrap();
        stored(&*store).await
    });
    println!("{kills} processes were killed");
    assert_right_answers(&streams, &answers, 20);
}

#[test]
fn w5_sqlite_answers_of_several_processes_are_never_stale_over_kills() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("tills.db").display());
    run_with_kills(&url, || {});
}

#[test]
fn w5_postgres_answers_of_several_processes_are_never_stale_over_kills_and_crashes_of_the_server() {
    let test = "w5_postgres_answers_of_several_processes_are_never_stale";
    let Some(cluster) = PostgresCluster::start(test) else { return };
    run_with_kills(&cluster.url(), || {
        cluster.crash();
        cluster.restart();
    });
}
