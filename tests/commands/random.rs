//! W5: thousands of random commands of three processes, whose stores answer late, on a few streams. Each answer is checked by
//! its version.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, future::join_all};
use highwater::{
    Highwater, Result, StreamId, Version,
    execute::Builder,
    port::{Append, AppendFuture, ReadFrom, Store, StreamPage},
};
use highwater_test_support::{
    answers::{Answer, AnsweredCommand, ClientClock, Era, StoredStreams},
    bank::{Bank, banks},
    run::seed,
    till::{TillStep, assert_right_answers, stored},
};

use crate::intercept::{self, Intercept};

const PROCESSES: u64 = 3;
/// The numbers of tasks of a process, and of the steps of each.
const TASKS: u64 = 8;
const STEPS: usize = 150;
const TILLS: u64 = 3;
/// The longest delay of an answer of the store, in microseconds. Most answers are not delayed.
const LATEST: u64 = 6_000;

/// A store each of whose answers may come late.
pub(crate) struct RandomlyLate {
    store: Arc<dyn Store>,
    random: Mutex<fastrand::Rng>,
}

impl RandomlyLate {
    pub(crate) fn builder(store: Arc<dyn Store>, seed: u64) -> Builder {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        intercept::on(&Arc::new(Self { store, random }))
    }

    fn delay(&self) -> Duration {
        let mut random = self.random.lock().unwrap();
        let is_late = random.u32(..3) == 0;
        Duration::from_micros(if is_late { random.u64(..LATEST) } else { 0 })
    }
}

async fn late(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

#[async_trait]
impl Intercept for RandomlyLate {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn append(&self, append: Append) -> AppendFuture {
        let answer = self.store.append(append);
        let delay = self.delay();
        async move {
            let answer = answer.await;
            late(delay).await;
            answer
        }
        .boxed()
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        from: ReadFrom<Version>,
        limit: usize,
    ) -> Result<StreamPage> {
        late(self.delay()).await;
        let page = self.store.read_stream(stream, from, limit).await;
        late(self.delay()).await;
        page
    }
}

/// The knowledge that all clients share.
#[derive(Default)]
pub(crate) struct Clients {
    clock: ClientClock,
    /// The last known version of each till.
    versions: [AtomicU64; TILLS as usize],
}

impl Clients {
    /// Returns a tick that is later than every command that was sent, and earlier than every one to come.
    pub(crate) fn tick(&self) -> u64 {
        self.clock.tick()
    }

    /// Takes these for the tills.
    pub(crate) fn know(&self, tills: &StoredStreams) {
        for (till, version) in (0..).zip(&self.versions) {
            let events = tills.get(&till).map_or(0, Vec::len);
            version.store(events as u64, Ordering::Relaxed);
        }
    }

    /// Sends a random command, and records its answer if it has one.
    pub(crate) async fn step<F>(
        &self,
        random: &mut fastrand::Rng,
        send: impl FnOnce(TillStep, u64) -> F,
    ) -> Option<AnsweredCommand>
    where
        F: Future<Output = Option<Answer>>,
    {
        let till = random.u64(..TILLS);
        let version = &self.versions[till as usize];
        let step = TillStep::choose(random, version.load(Ordering::Relaxed));
        let sent = self.clock.tick();
        let answer = send(step, till).await?;
        let answered = self.clock.tick();
        if let Answer::Appended { version: appended } = answer {
            version.fetch_max(appended, Ordering::Relaxed);
        }
        Some(AnsweredCommand { stream: till, sent, answered, answer })
    }
}

async fn work(clients: Arc<Clients>, tills: Highwater, seed: u64) -> Vec<AnsweredCommand> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut answers = Vec::new();
    for _ in 0..STEPS {
        let step = clients.step(&mut random, |step, till| {
            let tills = tills.clone();
            async move { step.execute(&tills, till).await }
        });
        answers.extend(step.await);
    }
    answers
}

async fn answers(store: &Bank, seed: u64) -> Vec<AnsweredCommand> {
    let clients = Arc::<Clients>::default();
    let mut tasks = Vec::new();
    for process in 0..PROCESSES {
        let tills = RandomlyLate::builder(store.store().await, seed ^ process).build();
        for task in 0..TASKS {
            let seed = seed ^ (process << 8) ^ (task << 16);
            tasks.push(tokio::spawn(work(clients.clone(), tills.clone(), seed)));
        }
    }
    let answers = join_all(tasks).await.into_iter();
    answers.flat_map(std::result::Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w5_thousands_of_answers_that_append_nothing_are_never_stale() {
    for store in banks() {
        let answers = answers(&store, seed()).await;
        let streams = stored(&*store.store().await).await;
        assert_right_answers(&[Era::whole(streams)], &answers, 50);
    }
}
