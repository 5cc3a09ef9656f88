//! Several worker processes, which are killed, frozen and stopped at random, and replaced.

use std::{
    env, fs,
    ops::Range,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;

/// The time within which a worker must shut down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// A program that runs in a process of the fleet.
pub trait WorkerProgram {
    /// Returns the command that starts it, and writes its output to this file.
    fn command(&self, log: &Path) -> Command;

    /// Returns true if it is a client of Kafka.
    fn uses_kafka(&self) -> bool;
}

/// The faults that were injected, and the workers' reactions by their logs.
#[derive(Debug, Default)]
pub struct Counts {
    pub killed: u32,
    pub frozen: u32,
    pub stopped: u32,
    /// The number of processes that the client of Kafka has crashed.
    pub crashed: u32,
    /// The number of shards that workers lost to others.
    pub fenced: usize,
    /// The number of retries after transient errors.
    pub retried: usize,
}

/// The rate of faults, and the time for which a worker is frozen.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    /// The time between two faults, in milliseconds.
    pub interval: Range<u64>,
    /// The time without a heartbeat after which others take a worker for dead. A frozen worker is frozen for longer.
    pub lease: Duration,
}

/// The workers. They are killed when this is dropped.
pub struct Fleet<P> {
    program: P,
    plan: FaultPlan,
    folder: TempDir,
    random: fastrand::Rng,
    workers: Vec<Worker>,
    started: u32,
    counts: Counts,
}

struct Worker {
    child: Child,
    log: PathBuf,
    /// The thread that resumes it in time.
    thaw: Option<JoinHandle<()>>,
}

impl<P: WorkerProgram> Fleet<P> {
    /// Starts so many workers.
    pub fn start(program: P, workers: usize, plan: FaultPlan, seed: u64) -> Self {
        let mut fleet = Self {
            program,
            plan,
            folder: tempfile::tempdir().unwrap(),
            random: fastrand::Rng::with_seed(seed),
            workers: Vec::new(),
            started: 0,
            counts: Counts::default(),
        };
        (0..workers).for_each(|_| fleet.launch());
        fleet
    }

    /// Injects faults into random workers for this long.
    pub fn inject_faults_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(self.random.u64(self.plan.interval.clone())));
            self.inject_fault();
        }
    }

    /// A worker that was frozen for longer than its lease is a zombie afterwards: it continues work that another has taken over.
    fn inject_fault(&mut self) {
        let place = self.random.usize(..self.workers.len());
        self.replace_crashed(place);
        match self.random.u32(..10) {
            0..5 => self.kill(place),
            5..8 if !self.workers[place].is_frozen() => {
                let time = self.plan.lease.mul_f64(1.2 + self.random.f64());
                self.freeze(place, time);
            }
            8 => self.stop(place),
            _ => {}
        }
    }

    /// Replaces a worker that librdkafka has crashed: it writes past an array when some partitions of a topic report a new
    /// leader and others don't (its issue 5280). That is one more kill, which must lose nothing; it is counted. Nothing else
    /// may end a worker.
    fn replace_crashed(&mut self, place: usize) {
        let has_crashed = |worker: &mut Worker| {
            let ended = worker.child.try_wait().unwrap();
            ended.is_some_and(|ended| ended.signal() == Some(SIGSEGV))
        };
        if self.program.uses_kafka() && has_crashed(&mut self.workers[place]) {
            self.workers.remove(place);
            self.counts.crashed += 1;
            self.launch();
        }
    }

    fn kill(&mut self, place: usize) {
        let mut worker = self.workers.remove(place);
        worker.must_be_alive();
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        self.counts.killed += 1;
        self.launch();
    }

    fn freeze(&mut self, place: usize, time: Duration) {
        self.workers[place].must_be_alive();
        self.workers[place].freeze(time);
        self.counts.frozen += 1;
    }

    fn stop(&mut self, place: usize) {
        let worker = self.workers.remove(place);
        worker.stop();
        self.counts.stopped += 1;
        self.launch();
    }

    fn launch(&mut self) {
        self.started += 1;
        let log = self.folder.path().join(format!("worker-{}", self.started));
        let child = self.program.command(&log).spawn().unwrap();
        self.workers.push(Worker { child, log, thaw: None });
    }

    /// Returns how often the workers have logged a text so far, those that are gone included.
    pub fn logged(&self, text: &str) -> usize {
        self.logs().iter().map(|log| log.matches(text).count()).sum()
    }

    fn logs(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let logs = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        logs.map(|log| String::from_utf8_lossy(&log).into_owned()).collect()
    }

    /// Waits until no worker is frozen any more.
    pub fn wait_until_thawed(&mut self) {
        self.workers.iter_mut().for_each(Worker::thaw);
    }

    /// Shuts all workers down, and starts as many of another program.
    pub fn replace(&mut self, program: P) {
        self.program = program;
        for _ in 0..self.workers.len() {
            self.workers.remove(0).stop();
            self.launch();
        }
    }

    /// Freezes all workers until [`Fleet::thaw_all`].
    pub fn freeze_all(&self) {
        for worker in &self.workers {
            worker.signal("-STOP");
            worker.wait_until_stopped();
        }
    }

    /// Resumes the workers after [`Fleet::freeze_all`].
    pub fn thaw_all(&self) {
        self.workers.iter().for_each(|worker| worker.signal("-CONT"));
    }

    /// Kills all workers and starts no others.
    pub fn kill_for_good(mut self) -> Counts {
        for mut worker in self.workers.drain(..) {
            worker.must_be_alive();
            worker.child.kill().unwrap();
            worker.child.wait().unwrap();
            self.counts.killed += 1;
        }
        self.shut_down()
    }

    /// Kills the oldest worker, and starts another.
    pub fn kill_oldest(&mut self) {
        self.kill(0);
    }

    /// Kills all workers, and starts as many.
    pub fn kill_all(&mut self) {
        for _ in 0..self.workers.len() {
            self.kill(0);
        }
    }

    /// Shuts all workers down, and returns what has happened to them.
    ///
    /// # Panics
    /// If a worker has ended by itself.
    pub fn shut_down(mut self) -> Counts {
        self.wait_until_thawed();
        (0..self.workers.len()).rev().for_each(|place| self.replace_crashed(place));
        self.workers.iter_mut().for_each(Worker::terminate);
        self.workers.iter_mut().for_each(Worker::wait_until_ended);
        self.workers.clear();
        for log in self.logs() {
            self.counts.fenced += log.matches("taken over").count();
            self.counts.retried += log.matches("trying again").count();
            assert!(!log.contains("panicked at"), "{log}");
        }
        std::mem::take(&mut self.counts)
    }
}

impl<P> Drop for Fleet<P> {
    /// Keeps the logs after a failure, or if `HIGHWATER_FIRE_KEEP` is set.
    fn drop(&mut self) {
        if thread::panicking() || env::var_os("HIGHWATER_FIRE_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            println!("the logs of the workers are in {}", self.folder.path().display());
        }
    }
}

impl Worker {
    fn signal(&self, signal: &str) {
        assert!(send(self.child.id(), signal), "a worker has ended by itself");
    }

    /// Waits until a signal to stop has arrived.
    fn wait_until_stopped(&self) {
        let state = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
            stat.rsplit(") ").next()?.chars().next()
        };
        while state().is_some_and(|state| state != 'T') {
            thread::yield_now();
        }
    }

    fn is_frozen(&self) -> bool {
        self.thaw.as_ref().is_some_and(|thaw| !thaw.is_finished())
    }

    fn freeze(&mut self, time: Duration) {
        self.signal("-STOP");
        let process = self.child.id();
        self.thaw = Some(thread::spawn(move || {
            thread::sleep(time);
            // The process may have been killed meanwhile.
            send(process, "-CONT");
        }));
    }

    fn thaw(&mut self) {
        if let Some(thaw) = self.thaw.take() {
            thaw.join().unwrap();
        }
    }

    fn must_be_alive(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "a worker has ended by itself, {ended:?}:\n{}", self.log_tail());
    }

    fn stop(mut self) {
        self.terminate();
        self.wait_until_ended();
    }

    fn terminate(&mut self) {
        self.must_be_alive();
        self.signal("-TERM");
    }

    fn wait_until_ended(&mut self) {
        // A frozen worker receives the signal when it is resumed.
        self.thaw();
        let began = Instant::now();
        while began.elapsed() < SHUTDOWN_TIMEOUT {
            if let Some(ended) = self.child.try_wait().unwrap() {
                // The signal kills a worker that does not listen for it yet.
                let in_order = ended.success() || ended.signal() == Some(SIGTERM);
                assert!(in_order, "a worker did not shut down in order:\n{}", self.log_tail());
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("a worker does not shut down:\n{}", self.log_tail());
    }

    /// The last lines of its log.
    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(process: u32, signal: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([signal, &process.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}
