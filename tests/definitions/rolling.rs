//! R5: two programs of one view are deployed beside each other, forward, back and forward again, while their processes are
//! killed and frozen. Each answer of each program is the fold of its own definition at the position that it states.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use highwater::{
    Code, Highwater, Position, Query, Receipt, Token, consistency::Reading, prelude::*,
};
use highwater_test_support::{
    bank::{Bank, banks},
    fleet::{FaultPlan, Fleet},
    run, worker,
};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle, time::sleep};

use crate::{
    PATIENCE, leave,
    program_process::{LEASE, Program, ProgramProcess},
    programs::{by_city, first, with_column, with_field, with_type, with_version},
};

const CITIES: [&str; 6] = ["Oslo", "Bern", "Rome", "Lima", "Bonn", "Kyiv"];
const PEOPLE: usize = 24;
const WORKERS: usize = 2;
const FAULTS: FaultPlan = FaultPlan { interval: 100..600, lease: LEASE };
/// The number of times in which a fault may hit, between two steps of the deployment.
const STEPS: u32 = 6;
/// The least time of a deployment: a worker has to start, to wait for the lease of a dead one, and to build.
const LEAST_TIME: Duration = Duration::from_secs(9);
/// The fewest answers of a reader that show something.
const FEWEST_ANSWERS: usize = 20;

/// The errors that a reader may get: the rows are not there yet, or can't be reached.
const NO_ROWS: [Code; 4] =
    [Code::REBUILDING, Code::OTHER_DEFINITION, Code::VIEW_MISSING, Code::STALE_READ];

/// A move of a person to a city, or away.
struct Change {
    position: Position,
    person: String,
    city: Option<String>,
}

/// Reads the log without the code that workers use.
async fn history(app: &Highwater) -> Vec<Change> {
    let (mut events, mut changes) = (app.follow(Query::all(), Position::START), Vec::new());
    let head = app.log().head().await.unwrap();
    while changes.last().map_or(Position::START, |last: &Change| last.position) < head {
        for event in events.next_page().await.unwrap().events {
            let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
            let city = payload["city"].as_str().map(str::to_owned);
            let person = event.stream.key().to_owned();
            changes.push(Change { position: event.position, person, city });
        }
    }
    changes
}

/// A program as its readers see it, with a fold of its own for the judge.
trait Judged: View + Clone + Debug + PartialEq {
    const PROGRAM: Program;

    /// Returns a key that has a row now and then.
    fn key(random: &mut fastrand::Rng) -> String {
        person(random)
    }

    /// Returns the row of a key, if it has one.
    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self>;
}

fn person(random: &mut fastrand::Rng) -> String {
    format!("person{}", random.usize(..PEOPLE))
}

/// Returns the cities of a person, in order.
fn cities_of<'a>(
    person: &str,
    changes: impl Iterator<Item = &'a Change> + Clone,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let cities: Vec<&str> = changes
        .filter(|change| change.person == person)
        .filter_map(|change| change.city.as_deref())
        .collect();
    cities.into_iter()
}

fn last_city<'a>(
    person: &str,
    changes: impl Iterator<Item = &'a Change> + Clone,
) -> Option<String> {
    cities_of(person, changes).next_back().map(str::to_owned)
}

impl Judged for first::Address {
    const PROGRAM: Program = Program::First;

    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self> {
        last_city(key, changes).map(|city| Self { city })
    }
}

impl Judged for with_field::Address {
    const PROGRAM: Program = Program::WithField;

    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self> {
        let moves = u32::try_from(cities_of(key, changes.clone()).count()).unwrap();
        last_city(key, changes).map(|city| Self { city, moves })
    }
}

impl Judged for with_version::Address {
    const PROGRAM: Program = Program::WithVersion;

    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self> {
        last_city(key, changes).map(|city| Self { city: city.to_uppercase() })
    }
}

impl Judged for with_column::Address {
    const PROGRAM: Program = Program::WithColumn;

    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self> {
        last_city(key, changes).map(|city| Self { city })
    }
}

impl Judged for with_type::Address {
    const PROGRAM: Program = Program::WithType;

    fn expected<'a>(key: &str, changes: impl Iterator<Item = &'a Change> + Clone) -> Option<Self> {
        let last = changes.filter(|change| change.person == key).last()?;
        Some(Self { city: last.city.clone().unwrap_or_default() })
    }
}

impl Judged for by_city::Address {
    const PROGRAM: Program = Program::ByCity;

    fn key(random: &mut fastrand::Rng) -> String {
        CITIES[random.usize(..CITIES.len())].to_owned()
    }

    fn expected<'a>(
        key: &str,
        mut changes: impl Iterator<Item = &'a Change> + Clone,
    ) -> Option<Self> {
        let is_known = changes.any(|change| change.city.as_deref() == Some(key));
        is_known.then(|| Self { city: key.to_owned() })
    }
}

struct Answer<V> {
    key: String,
    position: Position,
    row: Option<V>,
}

/// The answers of a program, and how often there was none.
struct Answers<V> {
    rows: Vec<Answer<V>>,
    refusals: BTreeMap<String, usize>,
}

impl<V: Judged> Answers<V> {
    /// Checks each answer against the fold of the log up to its position.
    fn judge(&self, history: &[Change]) {
        println!("{:?}: {} answers, otherwise {:?}", V::PROGRAM, self.rows.len(), self.refusals);
        for Answer { key, position, row } in &self.rows {
            let until = history.partition_point(|change| change.position <= *position);
            let expected = V::expected(key, history[..until].iter());
            assert_eq!(*row, expected, "{:?} reads {key} at {position}", V::PROGRAM);
        }
        assert!(self.rows.len() >= FEWEST_ANSWERS, "too few answers to be conclusive");
    }
}

/// The load of the test process, until it is stopped.
#[derive(Clone)]
struct Load {
    url: String,
    is_over: Arc<AtomicBool>,
    /// The last write that was acknowledged.
    written: Arc<watch::Sender<Token>>,
}

impl Load {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Moves people. Some leave, which the first program doesn't know.
    async fn write(self, app: Highwater, mut random: fastrand::Rng) {
        while !self.is_over() {
            let receipt = change(&app, &mut random).await;
            self.written.send_replace(receipt.token().clone());
            sleep(Duration::from_millis(random.u64(..10))).await;
        }
    }

    /// Reads at every level, as a process of its own.
    async fn read<V: Judged>(self, mut random: fastrand::Rng) -> Answers<V> {
        let app = worker::open(&self.url, None).await.unwrap();
        let mut answers = Answers { rows: Vec::new(), refusals: BTreeMap::new() };
        while !self.is_over() {
            let key = V::key(&mut random);
            match self.get::<V>(&app, &key, random.u32(..4)).await {
                Ok(row) => {
                    let position = row.freshness().position;
                    answers.rows.push(Answer { key, position, row: row.into_value() });
                }
                Err(error) => {
                    let is_known = NO_ROWS.contains(&error.code()) || error.is_retryable();
                    assert!(is_known, "{:?}: {error}", V::PROGRAM);
                    *answers.refusals.entry(error.code().to_string()).or_default() += 1;
                }
            }
            sleep(Duration::from_millis(random.u64(..6))).await;
        }
        answers
    }

    async fn get<V: View>(
        &self,
        app: &Highwater,
        key: &str,
        level: u32,
    ) -> highwater::Result<Reading<Option<V>>> {
        let read = app.view::<V>().get(key);
        let soon = Duration::from_millis(200);
        match level {
            0 => read.find().await,
            1 => read.bounded(Duration::from_millis(100)).within(soon).find().await,
            2 => {
                let token = self.written.borrow().clone();
                read.after(&token).within(soon).find().await
            }
            _ => read.strong().find().await,
        }
    }
}

async fn change(app: &Highwater, random: &mut fastrand::Rng) -> Receipt {
    let person = person(random);
    match random.u32(..4) {
        0 => leave(app, &person).await,
        _ => {
            let to = with_type::Move(CITIES[random.usize(..CITIES.len())]);
            app.aggregate::<with_type::Person>(&person).execute(to).await.unwrap()
        }
    }
}

/// A deployment of two programs.
struct Deployment {
    url: String,
    seed: u64,
    step: Duration,
}

impl Deployment {
    fn start(&self, program: Program) -> Fleet<ProgramProcess> {
        let process = ProgramProcess { program, url: self.url.clone() };
        Fleet::start(process, WORKERS, FAULTS, self.seed)
    }

    fn disturb(&self, fleets: &mut [&mut Fleet<ProgramProcess>]) {
        let part = self.step / u32::try_from(fleets.len() * 2).unwrap();
        for _ in 0..2 {
            fleets.iter_mut().for_each(|fleet| fleet.inject_faults_for(part));
        }
    }

    /// Deploys forward, back and forward again. Returns the processes of the new program.
    fn roll(&self, new: Program) -> Fleet<ProgramProcess> {
        let mut first = self.start(Program::First);
        self.disturb(&mut [&mut first]);
        let mut second = self.start(new);
        self.disturb(&mut [&mut first, &mut second]);
        first.shut_down();
        self.disturb(&mut [&mut second]);
        let mut first = self.start(Program::First);
        self.disturb(&mut [&mut first, &mut second]);
        second.kill_for_good();
        self.disturb(&mut [&mut first]);
        let mut second = self.start(new);
        self.disturb(&mut [&mut first, &mut second]);
        first.kill_for_good();
        second
    }
}

/// Waits until every key of a program is read as of the last write.
async fn catch_up<V: Judged>(app: &Highwater, written: &Token, history: &[Change]) {
    let mut random = fastrand::Rng::with_seed(1);
    for key in (0..PEOPLE).map(|_| V::key(&mut random)) {
        let read = app.view::<V>().get(&key).after(written).within(PATIENCE).find().await;
        let row = read.unwrap_or_else(|error| panic!("{:?} reads {key}: {error}", V::PROGRAM));
        assert_eq!(*row, V::expected(&key, history.iter()), "{:?} reads {key}", V::PROGRAM);
    }
}

fn roll_out<V: Judged>(url: &str) {
    let (runtime, seed) = (Runtime::new().unwrap(), run::seed());
    let app = runtime.block_on(worker::open(url, None)).unwrap();
    let before = runtime.block_on(async {
        let mut random = fastrand::Rng::with_seed(seed);
        leave(&app, "person0").await;
        for _ in 0..100 {
            change(&app, &mut random).await;
        }
        change(&app, &mut random).await
    });
    let load = Load {
        url: url.to_owned(),
        is_over: Arc::default(),
        written: Arc::new(watch::Sender::new(before.token().clone())),
    };
    let random = |number| fastrand::Rng::with_seed(seed ^ number);
    let readers: Vec<JoinHandle<_>> =
        (2..4).map(|number| runtime.spawn(load.clone().read::<V>(random(number)))).collect();
    let of_first = runtime.spawn(load.clone().read::<first::Address>(random(4)));
    let writing = runtime.spawn(load.clone().write(app.clone(), random(5)));

    let step = run::duration(0).div_f64(3.0).max(LEAST_TIME) / STEPS;
    let deployment = Deployment { url: url.to_owned(), seed, step };
    let second = deployment.roll(V::PROGRAM);
    load.is_over.store(true, Ordering::Release);
    runtime.block_on(writing).unwrap();
    let history = runtime.block_on(history(&app));
    let written = load.written.borrow().clone();
    runtime.block_on(catch_up::<V>(&app, &written, &history));
    second.shut_down();
    let first = deployment.start(Program::First);
    runtime.block_on(catch_up::<first::Address>(&app, &written, &history));
    first.shut_down();
    for reader in readers {
        runtime.block_on(reader).unwrap().judge(&history);
    }
    runtime.block_on(of_first).unwrap().judge(&history);
}

/// Rolls a program out on every store that processes can share.
fn on_every_store<V: Judged>() {
    for url in banks().iter().filter_map(Bank::url) {
        roll_out::<V>(&url);
    }
}

#[test]
fn r5_programs_with_another_field_are_deployed_forward_and_back_under_kills() {
    on_every_store::<with_field::Address>();
}

#[test]
fn r5_programs_with_another_fold_are_deployed_forward_and_back_under_kills() {
    on_every_store::<with_version::Address>();
}

#[test]
fn r5_programs_with_another_column_are_deployed_forward_and_back_under_kills() {
    on_every_store::<with_column::Address>();
}

#[test]
fn r5_programs_with_another_type_of_event_are_deployed_forward_and_back_under_kills() {
    on_every_store::<with_type::Address>();
}

#[test]
fn r5_programs_with_another_key_are_deployed_forward_and_back_under_kills() {
    on_every_store::<by_city::Address>();
}
