//! R3: strong reads and commands are linearizable, while workers, the relay and the database are
//! killed, the network of the database is silent, and clocks jump. The operations of concurrent clients are recorded, and checked key by key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater::{CommandId, Highwater, Views as _, consistency::Basis};
use highwater_test_support::{
    bank::Balance,
    clock::SetClock,
    faults::FaultDeck,
    fleet::Fleet,
    linearizability::{Effect, HistoryClock, Operation, is_linearizable},
    run::seed,
    tally::{Counting, Tally},
};

use crate::{
    duration,
    fixture::{CrashFixture, deposit},
    processes::Orders,
};

/// The longest delay of a page, so that strong reads have events to fold.
const MAX_LAG: Duration = Duration::from_millis(600);
/// The numbers of concurrent clients, of their steps, and of the keys of a round.
const CLIENTS: u64 = 8;
const STEPS: u64 = 30;
const KEYS: usize = 2;

/// The operations of the clients.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    commands: u64,
    /// The strong reads that were answered by the view, by the view with folded events, and not at
    /// all.
    from_the_view: u64,
    folded: u64,
    failed: u64,
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            from_the_view: self.from_the_view + other.from_the_view,
            folded: self.folded + other.folded,
            failed: self.failed + other.failed,
        }
    }
}

/// A client, one of several on the keys of a round.
struct Client {
    bank: Highwater,
    ticks: Arc<HistoryClock>,
    keys: [String; KEYS],
    random: fastrand::Rng,
    command: CommandId,
    histories: [Vec<Operation>; KEYS],
    counts: Counts,
}

impl Client {
    async fn work(mut self) -> Self {
        for _ in 0..STEPS {
            let place = self.random.usize(..KEYS);
            match self.random.u32(..4) {
                0 | 1 => self.add(place).await,
                2 => self.read::<Balance>(place).await,
                _ => self.read::<Tally>(place).await,
            }
        }
        self
    }

    /// Sends a command until it succeeds. The operation lasts until then.
    async fn add(&mut self, place: usize) {
        self.command = CommandId::derive([self.command.as_uuid().as_bytes()]);
        let add = async {
            let receipt = deposit(&self.bank, &self.keys[place], self.command).await;
            let (_, version) = receipt.versions().next().unwrap();
            Effect::Add(Some(version.get()))
        };
        self.histories[place].push(self.ticks.record(add).await);
        self.counts.commands += 1;
    }

    /// Records a strong read. A failed read is not part of the history.
    async fn read<V: Counting>(&mut self, place: usize) {
        let counts = &mut self.counts;
        let lookup = self.bank.view::<V>().get(&self.keys[place]).strong().find();
        let read = async {
            match lookup.await {
                Ok(found) => {
                    match found.basis() {
                        Basis::View => counts.from_the_view += 1,
                        _ => counts.folded += 1,
                    }
                    Some(Effect::Read(found.as_ref().map_or(0, Counting::events)))
                }
                Err(error) => {
                    assert!(error.is_unavailable(), "{error}");
                    counts.failed += 1;
                    None
                }
            }
        };
        self.histories[place].extend(self.ticks.record_if(read).await);
    }
}

/// Runs rounds on new keys, so that histories stay short, until it is stopped.
async fn rounds(handles: [Highwater; 2], seed: u64, is_stopped: Arc<AtomicBool>) -> Counts {
    let (mut counts, mut round) = (Counts::default(), 0);
    while !is_stopped.load(Ordering::Relaxed) {
        counts = counts.and(work(&handles, seed, round).await);
        round += 1;
    }
    println!("{round} rounds");
    counts
}

async fn work(handles: &[Highwater; 2], seed: u64, round: u64) -> Counts {
    let ticks = Arc::<HistoryClock>::default();
    let clients = (0..CLIENTS).map(|number| {
        let keys = [0, 1].map(|place| format!("round-{round}-{place}"));
        let id = [seed, round, number];
        let client = Client {
            bank: handles[number as usize % 2].clone(),
            ticks: Arc::clone(&ticks),
            keys,
            random: fastrand::Rng::with_seed(seed ^ (round << 8) ^ number),
            command: CommandId::derive(id.map(u64::to_be_bytes)),
            histories: Default::default(),
            counts: Counts::default(),
        };
        tokio::spawn(client.work())
    });
    let clients: Vec<_> = clients.collect();
    let (mut histories, mut counts): ([Vec<Operation>; KEYS], _) = Default::default();
    for client in join_all(clients).await {
        let client = client.unwrap();
        counts = Counts::and(counts, client.counts);
        for (all, own) in histories.iter_mut().zip(client.histories) {
            all.extend(own);
        }
    }
    for history in histories {
        assert!(is_linearizable(&history), "{history:#?}");
    }
    counts
}

/// A fault beside those of workers and relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The database loses its power, and is started again.
    CrashDatabase,
    /// Packets between all processes and the database are held, and connections stay open.
    SilenceDatabase,
    /// The clock of one of the two handles jumps by hours, ahead or behind, or back to the right time.
    JumpClock,
}

impl Fault {
    fn inject(self, fixture: &CrashFixture, workers: &Fleet<Orders>, clock: &SetClock, hours: i64) {
        match self {
            Self::CrashDatabase => fixture.restart_database(),
            Self::SilenceDatabase => fixture.silence_database(workers),
            Self::JumpClock => _ = clock.set_ahead(hours * 3_600),
        }
    }
}

const FAULTS: [Fault; 4] =
    [Fault::CrashDatabase, Fault::CrashDatabase, Fault::SilenceDatabase, Fault::JumpClock];

#[test]
fn r3_kafka_strong_reads_and_commands_are_linearizable_over_kills_of_workers_and_the_database() {
    let test = "r3_kafka_strong_reads_and_commands_are_linearizable_over_kills";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    let fixture = fixture.with_database_proxy();
    let mut random = fastrand::Rng::with_seed(!fixture.seed);
    let mut deck = FaultDeck::new(&FAULTS, fixture.seed);
    let clocks = [SetClock::default(), SetClock::default()];
    let handles = [0, 1].map(|number: usize| fixture.open_by(&clocks[number]));
    let (mut relays, mut workers) = (fixture.relays(1), fixture.workers(2, MAX_LAG));
    fixture.until_it_works(&handles[0]);
    let (until, is_stopped) = (Instant::now() + duration(), Arc::<AtomicBool>::default());
    let working = fixture.runtime.spawn(rounds(handles, fixture.seed, Arc::clone(&is_stopped)));
    while Instant::now() < until || !deck.is_complete() {
        workers.inject_faults_for(Duration::from_millis(1_500));
        let (clock, hours) = (&clocks[random.usize(..2)], random.i64(-12..=12));
        deck.draw().inject(&fixture, &workers, clock, hours);
        relays.inject_faults_for(Duration::from_millis(500));
    }
    workers.kill_all();
    is_stopped.store(true, Ordering::Relaxed);
    workers.wait_until_thawed();
    relays.wait_until_thawed();
    let counts = fixture.runtime.block_on(working).unwrap();
    println!("{counts:?}");
    println!("workers {:?}, relays {:?}", workers.shut_down(), relays.shut_down());
    assert!(counts.commands > 100 && counts.folded > 0, "the test is inconclusive");
}
