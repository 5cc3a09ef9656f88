//! Several workers, killed, frozen and stopped at random, and started again.

use std::{
    env, fs,
    ops::Range,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::child::Orders;

const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;

/// How long a worker may take to stop in order.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has been done to them, and what they had to say about it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) killed: u32,
    pub(crate) frozen: u32,
    pub(crate) stopped: u32,
    /// How often the client of Kafka has crashed with all of its process.
    pub(crate) crashed: u32,
    /// How often a worker was told, or saw, that another has its shard.
    pub(crate) fenced: usize,
    /// How often one met something that may pass.
    pub(crate) retried: usize,
}

/// How they are treated.
#[derive(Debug, Clone)]
pub(crate) struct Fire {
    /// How long nothing happens, in milliseconds.
    pub(crate) rest: Range<u64>,
    /// For how long one must be silent to be taken for dead.
    pub(crate) silence: Duration,
}

pub(crate) struct Fleet {
    orders: Orders,
    fire: Fire,
    folder: TempDir,
    random: fastrand::Rng,
    workers: Vec<Worker>,
    started: u32,
    counts: Counts,
}

struct Worker {
    child: Child,
    diary: PathBuf,
    /// Lets it go on when its time has come, whatever else is waited for meanwhile.
    thaw: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Starts so many workers.
    pub(crate) fn start(orders: Orders, workers: usize, fire: Fire, seed: u64) -> Self {
        let mut fleet = Self {
            orders,
            fire,
            folder: tempfile::tempdir().unwrap(),
            random: fastrand::Rng::with_seed(seed),
            workers: Vec::new(),
            started: 0,
            counts: Counts::default(),
        };
        (0..workers).for_each(|_| fleet.launch());
        fleet
    }

    /// Has something happen to one of them now and then, for this long.
    pub(crate) fn burn(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(self.random.u64(self.fire.rest.clone())));
            self.strike();
        }
    }

    /// One frozen longer than its lease is a zombie afterwards: it goes on with what is another's.
    fn strike(&mut self) {
        let place = self.random.usize(..self.workers.len());
        self.replace_crashed(place);
        match self.random.u32(..10) {
            0..5 => self.kill(place),
            5..8 if !self.workers[place].is_frozen() => {
                let time = self.fire.silence.mul_f64(1.2 + self.random.f64());
                self.freeze(place, time);
            }
            8 => self.stop(place),
            _ => {}
        }
    }

    /// librdkafka writes past an array when some partitions tell of a new leader and others of the same
    /// topic don't (its issue 5280). That is one kill more, which nothing may be lost by; it is counted.
    /// Nothing else may end a worker.
    fn replace_crashed(&mut self, place: usize) {
        let has_crashed = |worker: &mut Worker| {
            let ended = worker.child.try_wait().unwrap();
            ended.is_some_and(|ended| ended.signal() == Some(SIGSEGV))
        };
        if self.orders.has_kafka() && has_crashed(&mut self.workers[place]) {
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
        let diary = self.folder.path().join(format!("worker-{}", self.started));
        let child = self.orders.command(&diary).spawn().unwrap();
        self.workers.push(Worker { child, diary, thaw: None });
    }

    /// The fire is out: returns when nobody is frozen any more.
    pub(crate) fn calm(&mut self) {
        self.workers.iter_mut().for_each(Worker::thaw);
    }

    /// Stops all in order, and starts as many that do this.
    pub(crate) fn replace(&mut self, orders: Orders) {
        self.orders = orders;
        for _ in 0..self.workers.len() {
            self.workers.remove(0).stop();
            self.launch();
        }
    }

    /// Freezes all, until they are told to go on.
    pub(crate) fn halt(&self) {
        for worker in &self.workers {
            worker.signal("-STOP");
            worker.until_it_stands();
        }
    }

    /// Lets all go on that have been told to halt.
    pub(crate) fn go_on(&self) {
        self.workers.iter().for_each(|worker| worker.signal("-CONT"));
    }

    /// Kills all at once, for good.
    pub(crate) fn end_by_a_kill(mut self) -> Counts {
        for mut worker in self.workers.drain(..) {
            worker.must_be_alive();
            worker.child.kill().unwrap();
            worker.child.wait().unwrap();
            self.counts.killed += 1;
        }
        self.end()
    }

    /// Kills the one that has been there for longest, and starts another.
    pub(crate) fn kill_one(&mut self) {
        self.kill(0);
    }

    /// Kills all at once, and starts as many.
    pub(crate) fn kill_all(&mut self) {
        for _ in 0..self.workers.len() {
            self.kill(0);
        }
    }

    /// Stops all in order, and tells what has happened. A worker that has ended by itself is an error.
    pub(crate) fn end(mut self) -> Counts {
        self.calm();
        (0..self.workers.len()).rev().for_each(|place| self.replace_crashed(place));
        self.workers.drain(..).for_each(Worker::stop);
        let files = fs::read_dir(self.folder.path()).unwrap();
        for file in files {
            let diary = fs::read_to_string(file.unwrap().path()).unwrap();
            self.counts.fenced += diary.matches("taken over").count();
            self.counts.retried += diary.matches("trying again").count();
            assert!(!diary.contains("panicked at"), "{diary}");
        }
        std::mem::take(&mut self.counts)
    }
}

impl Drop for Fleet {
    /// After a failure the diaries are wanted.
    fn drop(&mut self) {
        if thread::panicking() || env::var_os("HIGHWATER_FIRE_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            println!("the diaries are in {}", self.folder.path().display());
        }
    }
}

impl Worker {
    fn signal(&self, signal: &str) {
        assert!(send(self.child.id(), signal), "a worker has ended by itself");
    }

    /// A signal is on its way for a moment.
    fn until_it_stands(&self) {
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
            // It may have been killed meanwhile.
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
        assert!(ended.is_none(), "a worker has ended by itself, {ended:?}:\n{}", self.last());
    }

    fn stop(mut self) {
        self.must_be_alive();
        self.signal("-TERM");
        // What is frozen hears of it when it goes on.
        self.thaw();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(ended) = self.child.try_wait().unwrap() {
                // One that has not begun to listen dies of it, as of a kill.
                let in_order = ended.success() || ended.signal() == Some(SIGTERM);
                assert!(in_order, "a worker did not stop in order:\n{}", self.last());
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("a worker does not stop:\n{}", self.last());
    }

    /// The end of its diary.
    fn last(&self) -> String {
        let diary = fs::read_to_string(&self.diary).unwrap();
        let lines: Vec<&str> = diary.lines().collect();
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
