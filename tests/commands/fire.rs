//! Clients and the processes that answer them, and the faults that both go through.
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use highwater_test_support::{
    answers::{AnsweredCommand, Era, StoredStreams},
    clock::SetClock,
    faults::wait_until,
    machine::{CLOCK_JUMPED, MachineFile},
    till::stored,
    worker,
};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::{OwnedRwLockWriteGuard, RwLock},
};

use crate::{
    api_process::{self, ApiProcess, DISK_FULL, NO_ANSWER, Outcomes},
    notes::Asked,
    place::Place,
    random::Clients,
};

const PROCESSES: usize = 3;
/// The pause of a client whose process or server is down.
const PAUSE: Duration = Duration::from_millis(5);
/// No process rests.
const NONE: usize = PROCESSES;
/// The number of answers after which work is said to go on.
const ENOUGH: usize = 100;

/// A fault under which answers must stay right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A process is killed, and another started.
    KillProcess,
    /// The server loses its power, and is started again.
    CrashServer,
    /// Packets between processes and server are held, and connections stay open.
    SilenceNetwork,
    /// The clock of a process jumps by hours, ahead or behind, or back to the right time.
    JumpClock,
    /// SQLite finds no room for another page, in all processes.
    FillDisk,
    /// A copy of some time ago takes the place of the log.
    LoseLastEvents,
}

impl Fault {
    /// Injects the fault, waits for an effect of it, and ends it.
    pub(crate) fn inject(self, fire: &mut Fire) {
        match self {
            Self::KillProcess => fire.replace_process(),
            Self::CrashServer => fire.place.crash(),
            Self::SilenceNetwork => {
                fire.until_more(NO_ANSWER, || fire.place.silence_network());
                thread::sleep(Duration::from_millis(fire.random.u64(..1_500)));
                fire.place.end_silence();
            }
            Self::JumpClock => fire.jump_clock(),
            Self::FillDisk => {
                fire.until_more(DISK_FULL, || {
                    fire.machines.iter().for_each(MachineFile::fill_disk);
                });
                fire.machines.iter().for_each(MachineFile::free_disk);
            }
            Self::LoseLastEvents => fire.lose_last_events(),
        }
    }
}

/// The state that the clients share with the test.
pub(crate) struct Shared {
    /// The processes, and those that have taken the place of killed ones.
    processes: Mutex<Vec<Arc<ApiProcess>>>,
    clients: Clients,
    answered: AtomicUsize,
    /// The process that gets no commands for a while, if there is one.
    resting: AtomicUsize,
    /// Each client holds it while it waits for an answer.
    going: Arc<RwLock<()>>,
}

pub(crate) struct Fire {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outcomes: Outcomes,
    pub(crate) eras: Vec<Era>,
    runtime: Arc<Runtime>,
    place: Place,
    random: fastrand::Rng,
    machines: Vec<MachineFile>,
    _folder: TempDir,
}

impl Fire {
    /// Starts the processes. The clients are tasks of the caller.
    pub(crate) fn start(place: Place, seed: u64, runtime: &Arc<Runtime>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |number| folder.path().join(format!("machine-{number}"));
        let machines = (0..PROCESSES).map(|number| MachineFile::create(file(number)));
        let machines: Vec<MachineFile> = machines.collect();
        let (url, outcomes) = (place.process_url(), Outcomes::default());
        let start = |(number, machine): (u64, &MachineFile)| {
            Arc::new(ApiProcess::start(&url, seed ^ number, machine, &outcomes))
        };
        let processes = (0..).zip(&machines).map(start).collect();
        let shared = Shared {
            processes: Mutex::new(processes),
            clients: Clients::default(),
            answered: AtomicUsize::default(),
            resting: AtomicUsize::new(NONE),
            going: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
            outcomes,
            eras: vec![Era::default()],
            runtime: runtime.clone(),
            place,
            random: fastrand::Rng::with_seed(seed),
            machines,
            _folder: folder,
        }
    }

    fn replace_process(&mut self) {
        let (place, seed) = (self.random.usize(..PROCESSES), self.random.u64(..));
        let url = self.place.process_url();
        let started = ApiProcess::start(&url, seed, &self.machines[place], &self.outcomes);
        let mut processes = self.shared.processes.lock().unwrap();
        std::mem::replace(&mut processes[place], Arc::new(started)).kill();
    }

    /// Does something, and waits until an outcome has been reported again.
    fn until_more(&self, outcome: &str, after: impl FnOnce()) {
        let before = self.outcomes.count(outcome);
        after();
        wait_until(outcome, || self.outcomes.count(outcome) > before);
    }

    fn jump_clock(&mut self) {
        let place = self.random.usize(..PROCESSES);
        let hours = self.random.i64(3_600..12 * 3_600);
        // A jump to the time that it has already would be none.
        let ahead = [hours, -hours, 0][self.random.usize(..3)] + self.random.i64(1..60);
        println!("process {place}: {ahead} s ahead");
        self.until_more(CLOCK_JUMPED, || self.machines[place].set_clock_ahead(ahead));
    }

    /// Takes the events away that are acknowledged from now on until there are enough of them. A process that has cached them
    /// rests until every till has more events of another history.
    fn lose_last_events(&mut self) {
        let calm = self.pause();
        self.runtime.block_on(self.place.back_up());
        drop(calm);
        self.until_work_goes_on("commands are answered after a copy was made");
        let calm = self.pause();
        self.end_era();
        self.runtime.block_on(self.place.restore());
        let kept = self.stored();
        self.shared.clients.know(&kept);
        let lost = versions(&self.eras.last().unwrap().streams);
        let (kept, began) = (versions(&kept), self.shared.clients.tick());
        println!("the tills had {lost:?} events, and have {kept:?}");
        assert!(lost.values().sum::<u64>() > kept.values().sum(), "no event was lost");
        self.eras.push(Era { began, kept, ..Era::default() });
        self.shared.resting.store(self.random.usize(..PROCESSES), Ordering::Relaxed);
        drop(calm);
        wait_until("the tills have more events than before", || {
            let now = versions(&self.stored());
            lost.iter().all(|(till, version)| now.get(till) > Some(version))
        });
        self.shared.resting.store(NONE, Ordering::Relaxed);
    }

    /// Records what the log has at the end of its era.
    pub(crate) fn end_era(&mut self) {
        let streams = self.stored();
        self.eras.last_mut().unwrap().streams = streams;
    }

    fn stored(&self) -> StoredStreams {
        self.runtime.block_on(async {
            let (url, clock) = (self.place.url(), SetClock::default());
            stored(&*worker::retry(|| api_process::open(&url, &clock)).await).await
        })
    }

    /// Waits until every client has its answer, and holds all clients until the guard is dropped.
    fn pause(&self) -> OwnedRwLockWriteGuard<()> {
        self.runtime.block_on(self.shared.going.clone().write_owned())
    }

    /// Waits until commands are answered.
    ///
    /// # Panics
    /// If they aren't.
    pub(crate) fn until_work_goes_on(&self, after: &str) {
        let answered = || self.shared.answered.load(Ordering::Relaxed);
        let enough = answered() + ENOUGH;
        wait_until(after, || answered() >= enough);
    }

    /// The URL of the log for the test itself.
    pub(crate) fn url(&self) -> String {
        self.place.url()
    }
}

/// Returns the number of events of each till.
fn versions(streams: &StoredStreams) -> BTreeMap<u64, u64> {
    streams.iter().map(|(till, events)| (*till, events.len() as u64)).collect()
}

impl Shared {
    fn any_process(&self, random: &mut fastrand::Rng) -> Arc<ApiProcess> {
        let place = random.usize(..PROCESSES);
        let rests = place == self.resting.load(Ordering::Relaxed);
        let place = if rests { (place + 1) % PROCESSES } else { place };
        self.processes.lock().unwrap()[place].clone()
    }

    /// Sends a command, and returns it if it is answered.
    pub(crate) async fn step(&self, random: &mut fastrand::Rng) -> Option<AnsweredCommand> {
        let _going = self.going.read().await;
        let process = self.any_process(random);
        let mut chosen = random.fork();
        let send = |step, till| {
            let asked = Asked::choose(&mut chosen, step);
            async move { process.execute(asked, till).await }
        };
        let answered = self.clients.step(random, send).await;
        match answered {
            Some(_) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
            None => tokio::time::sleep(PAUSE).await,
        }
        answered
    }
}
