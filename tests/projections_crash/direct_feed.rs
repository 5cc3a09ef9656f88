//! R1, fed by the log: views equal its fold after faults of workers and the server.

use std::{
    thread,
    time::{Duration, Instant},
};

use highwater::{Highwater, Open as _, View, domain::ViewName};
use highwater_test_support::{
    faults::{FaultDeck, wait_until},
    fleet::{FaultPlan, Fleet},
    ledger::ByCustomer,
    machine::{CLOCK_JUMPED, MachineFile},
    postgres::PostgresCluster,
    proxy::Proxy,
    run::{min_events, seed},
    worker,
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    checker, duration,
    effects::EffectTables,
    worker_process::{LEASE, Orders, Task},
    writer::{self, Keyspace, WriteLoad, Writers},
};

/// A fault every few hundred milliseconds.
pub(crate) const FAULTS: FaultPlan = FaultPlan { interval: 100..500, lease: LEASE };

/// The time within which a worker that is not frozen notices that its clock has jumped.
const CLOCK_NOTICED: Duration = Duration::from_secs(1);

/// A fault beside those of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The server loses its power, and is started again.
    CrashServer,
    /// Packets of workers and writers are held, and connections stay open.
    SilenceNetwork,
    /// The clock of a machine jumps by hours, ahead or behind, or back to the right time.
    JumpClock,
    /// SQLite finds no room for another page, neither in workers nor in writers.
    FillDisk,
    /// A constraint refuses some commits.
    RefuseCommits,
    /// A copy of some time ago takes the place of the log, and of the views in its database.
    LoseLastEvents,
}

impl Fault {
    /// Injects the fault, waits for an effect of it, and ends it.
    fn inject(self, fire: &mut Fire) {
        match self {
            Self::CrashServer => {
                let (cluster, _) = fire.server.as_ref().unwrap();
                cluster.crash();
                cluster.restart();
            }
            Self::SilenceNetwork => {
                let (_, proxy) = fire.server.as_ref().unwrap();
                fire.until_logged("no answer within", || proxy.hold());
                proxy.let_through();
            }
            Self::JumpClock => fire.jump_clock(),
            Self::FillDisk => {
                fire.until_logged("database or disk is full", || {
                    fire.machines.iter().for_each(MachineFile::fill_disk);
                });
                fire.machines.iter().for_each(MachineFile::free_disk);
            }
            Self::RefuseCommits => fire.runtime.block_on(fire.effects.refuse_commits()),
            Self::LoseLastEvents => fire.lose_last_events(),
        }
    }
}

/// Workers and writers, and what faults disturb.
struct Fire {
    runtime: Runtime,
    random: fastrand::Rng,
    /// The server, and the proxy before it, unless the log is in a file.
    server: Option<(PostgresCluster, Proxy)>,
    bank: Highwater,
    effects: EffectTables,
    fleet: Fleet<Orders>,
    writing: Writers,
    /// The machines of workers; writers have the disk of the first.
    machines: Vec<MachineFile>,
    _folder: TempDir,
}

impl Fire {
    fn start(test: &str, run: &Run) -> Option<Self> {
        let Run { shards, workers, seed, keys, .. } = *run;
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (url, url_by_proxy, server) = if run.is_on_postgres {
            let cluster = PostgresCluster::start(test)?;
            let proxy = Proxy::start(runtime.handle(), (0, cluster.port()));
            let url_by_proxy = cluster.url_at(proxy.port());
            let url_by_proxy = format!("{url_by_proxy}?connect_timeout=2&answer_timeout=2");
            (cluster.url(), url_by_proxy, Some((cluster, proxy)))
        } else {
            let url = format!("sqlite:{}", folder.path().join("bank.db").display());
            (url.clone(), url, None)
        };
        let file = |number| folder.path().join(format!("machine-{number}"));
        let machines = (0..workers).map(|number| MachineFile::create(file(number)));
        let machines: Vec<MachineFile> = machines.collect();
        let bank = runtime.block_on(Highwater::open(&url)).unwrap();
        let effects = runtime.block_on(EffectTables::create(&url, &bank));
        let writer = runtime.block_on(Highwater::open(&url_by_proxy)).unwrap();
        if !run.is_on_postgres {
            let _entered = runtime.enter();
            machines[0].limit_disk_of(writer.log());
        }
        let load = WriteLoad { tasks: 8, batch: 3, rest: Duration::from_millis(5) };
        let writing = writer::start(runtime.handle(), &writer, seed, keys, load);
        let orders = Orders::direct(Task::LedgerAndEffects, &url_by_proxy, shards);
        let orders = Orders { machines: machines.clone(), ..orders };
        let fleet = Fleet::start(orders, workers, FAULTS, seed);
        let random = fastrand::Rng::with_seed(!seed);
        Some(Self {
            runtime,
            random,
            server,
            bank,
            effects,
            fleet,
            writing,
            machines,
            _folder: folder,
        })
    }

    fn jump_clock(&mut self) {
        let hours = self.random.i64(3_600..12 * 3_600);
        // A jump to the time that it has already would be none.
        let ahead = [hours, -hours, 0][self.random.usize(..3)] + self.random.i64(1..60);
        let machine = self.random.usize(..self.machines.len());
        println!("machine {machine}: {ahead} s ahead");
        let before = self.fleet.logged(CLOCK_JUMPED);
        self.machines[machine].set_clock_ahead(ahead);
        thread::sleep(CLOCK_NOTICED);
        if self.fleet.logged(CLOCK_JUMPED) == before {
            // The workers of this machine have been replaced by workers of others. The next ones are on all machines in turn.
            self.fleet.kill_all();
        }
        wait_until(CLOCK_JUMPED, || self.fleet.logged(CLOCK_JUMPED) > before);
    }

    fn lose_last_events(&self) {
        let (cluster, _) = self.server.as_ref().unwrap();
        cluster.back_up();
        let kept = self.head();
        wait_until("events are written after a copy was made", || self.head() >= kept + 200);
        let lost = self.head();
        cluster.restore();
        println!("the log ends at {}, and ended at {lost} before", self.head());
        assert!(self.head() < lost, "no event was lost");
        // A worker that was beyond the end of the log gets no events until the log is longer again.
        wait_until("as many events are written again", || self.head() > lost);
    }

    fn head(&self) -> u64 {
        let head = worker::retry(|| self.bank.log().head());
        self.runtime.block_on(head).get()
    }

    /// Does something, and waits until a worker has logged a text again.
    fn until_logged(&self, text: &str, after: impl FnOnce()) {
        let before = self.fleet.logged(text);
        after();
        wait_until(text, || self.fleet.logged(text) > before);
    }
}

/// The settings of a test.
struct Run {
    is_on_postgres: bool,
    shards: u32,
    workers: usize,
    seed: u64,
    time: Duration,
    keys: Keyspace,
}

impl Run {
    fn new(is_on_postgres: bool, shards: u32, workers: usize) -> Self {
        let (seed, time) = (seed(), duration());
        let keys = Keyspace::for_events((1_000 * time.as_secs()).max(min_events()) as u32);
        Self { is_on_postgres, shards, workers, seed, time, keys }
    }
}

/// Writes while faults are injected, into workers all the time, and of the others one every few seconds. Then checks the
/// views and the effects.
fn run_under_fire(test: &str, run: &Run, faults: &[Fault]) {
    let Some(mut fire) = Fire::start(test, run) else { return };
    let mut deck = FaultDeck::new(faults, run.seed);
    let until = Instant::now() + run.time;
    while Instant::now() < until || fire.writing.written() < min_events() || !deck.is_complete() {
        fire.fleet.inject_faults_for(Duration::from_secs(2));
        let fault = deck.draw();
        fault.inject(&mut fire);
        let enough = fire.writing.written() + 100;
        let what = format!("events are written after {fault:?}");
        wait_until(&what, || fire.writing.written() >= enough);
    }
    let Fire { runtime, bank, mut fleet, writing, effects, server, .. } = fire;
    fleet.wait_until_thawed();
    let written = runtime.block_on(writing.stop());
    let calm = Instant::now();
    let mut findings = runtime.block_on(checker::check(&bank, &run.keys));
    findings.extend(runtime.block_on(effects.check()));
    let caught_up = calm.elapsed();
    let counts = fleet.shut_down();
    drop(server);
    println!("{written} events; {counts:?}; caught up and checked after {caught_up:?}");
    checker::assert_no_findings(&findings);
    assert!(
        written > 1_000 && written >= min_events() && counts.killed > 3,
        "too few events or faults to be conclusive"
    );
}

#[test]
fn r1_postgres_views_are_the_fold_of_the_log_over_kills_zombies_and_crashes_of_the_server() {
    let faults = [
        Fault::CrashServer,
        Fault::SilenceNetwork,
        Fault::JumpClock,
        Fault::RefuseCommits,
        Fault::LoseLastEvents,
    ];
    let run = Run::new(true, 5, 3);
    run_under_fire("r1_postgres_views_are_the_fold_of_the_log", &run, &faults);
}

#[test]
fn r1_sqlite_views_are_the_fold_of_the_log_over_kills_and_freezes_of_the_worker() {
    let faults = [Fault::FillDisk, Fault::JumpClock, Fault::RefuseCommits];
    run_under_fire("", &Run::new(false, 2, 1), &faults);
}

/// A machine that disappears in the middle of a commit leaves a lock in the database, until the
/// database detects it.
#[test]
fn r1_postgres_a_commit_that_hangs_delays_only_its_shard() {
    let Some(cluster) =
        PostgresCluster::start("r1_postgres_a_commit_that_hangs_delays_only_its_shard")
    else {
        return;
    };
    let keys = Keyspace::for_events(4_000);
    let runtime = Runtime::new().unwrap();
    let bank = runtime.block_on(Highwater::open(&cluster.url())).unwrap();
    let seed = seed();
    let orders = Orders::direct(Task::Ledger, &cluster.url(), 4);
    let mut fleet = Fleet::start(orders, 2, FAULTS, seed);
    let load = WriteLoad { tasks: 2, batch: 1, rest: Duration::from_millis(5) };
    let writing = writer::start(runtime.handle(), &bank, seed, keys, load);
    let hanging = runtime.block_on(async {
        other_shards_advance(&bank).await;
        let mut commit = PgConnection::connect(&cluster.url()).await.unwrap();
        commit.execute(HANGING).await.unwrap();
        commit
    });
    // The commit first hangs beside a live worker, then after all workers are killed.
    runtime.block_on(other_shards_advance(&bank));
    fleet.kill_all();
    runtime.block_on(async {
        other_shards_advance(&bank).await;
        drop(hanging);
        writing.stop().await;
        checker::assert_no_findings(&checker::check(&bank, &keys).await);
    });
    fleet.shut_down();
}

const HANGING: &str = "begin; select from highwater.shards \
                       where view = 'by_customer' and shard = 0 for update";

/// Waits until all shards of a view except the first have applied all following events.
async fn other_shards_advance(bank: &Highwater) {
    let later = bank.log().head().await.unwrap().get() + 200;
    let reached = async {
        let view = ViewName::new(ByCustomer::NAME).unwrap();
        loop {
            let state = bank.views().read_view(&view, &[]).await.map(|stored| stored.state);
            let shards = state.map(|state| state.shards).unwrap_or_default();
            if shards.len() > 1 && shards[1..].iter().all(|at| at.position.get() >= later) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(checker::CATCH_UP_TIMEOUT, reached).await.expect("other shards hang, too");
}
