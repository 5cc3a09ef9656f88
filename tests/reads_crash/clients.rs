//! R3: clients read what they have written, while relays and workers lag and are killed; their tokens survive restarts.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater::{Code, CommandId, Highwater, Receipt, Token, Views as _, consistency::Basis};
use highwater_test_support::{
    bank::Balance,
    fleet::WorkerProgram as _,
    run::seed,
    tally::{Counting, Tally},
};
use serde::{Deserialize, Serialize};

use crate::{
    duration,
    fixture::{CrashFixture, RECOVERY_TIMEOUT, deposit, until_seen},
    processes::Task,
};

const CLIENTS: u64 = 1_000;
/// The longest delay of a page.
const MAX_LAG: Duration = Duration::from_millis(600);
/// The time by which waits may exceed their budgets on an overloaded machine: 99 per cent of those
/// that exceed them, and all of them. The budget ends only the wait itself. A statement under way
/// then runs to its end, which is the view read at the start of a read. No database is unavailable
/// in this test, so its duration depends only on the number of concurrent reads. (If a database is
/// silent, a view read is given up after half a minute.)
const MAX_OVERRUNS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// The writes of a client. Its token is text, because other processes read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    key: String,
    events: u64,
    token: String,
}

struct Client {
    bank: Highwater,
    /// Another handle, like that of another process: it is not notified of writes of the first one.
    reader: Highwater,
    random: fastrand::Rng,
    command: CommandId,
    note: Note,
    reached: u64,
    late: u64,
    /// The excess over the budget, of the waits that exceeded it.
    overruns: Vec<Duration>,
}

impl Client {
    fn new(bank: &Highwater, reader: &Highwater, seed: u64, number: u64) -> Self {
        let note = Note { key: format!("client-{number}"), events: 0, token: String::new() };
        Self {
            bank: bank.clone(),
            reader: reader.clone(),
            random: fastrand::Rng::with_seed(seed ^ number),
            command: CommandId::derive([seed, number].map(u64::to_be_bytes)),
            note,
            reached: 0,
            late: 0,
            overruns: Vec::new(),
        }
    }

    async fn write(&mut self) -> Receipt {
        self.command = CommandId::derive([self.command.as_uuid().as_bytes()]);
        let receipt = deposit(&self.bank, &self.note.key, self.command).await;
        self.note.events += 1;
        self.note.token = receipt.token().to_string();
        receipt
    }

    /// Asserts that the read returns the write, or a stale row within its budget.
    async fn write_and_read<V: Counting>(&mut self) {
        let receipt = self.write().await;
        let budget = Duration::from_millis(self.random.u64(..2_000));
        let read = self.reader.view::<V>().get(&self.note.key).after(&receipt).within(budget);
        let began = Instant::now();
        let answer = tokio::time::timeout(RECOVERY_TIMEOUT, read.into_future()).await;
        self.overruns.extend(began.elapsed().checked_sub(budget));
        match answer.expect("a wait hangs") {
            Ok(row) => {
                assert_eq!((row.events(), row.basis()), (self.note.events, Basis::View));
                assert!(row.freshness().position >= receipt.position());
                self.reached += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::STALE_READ, "{error}");
                self.late += 1;
            }
        }
    }

    async fn work_until(mut self, until: Instant) -> Self {
        while Instant::now() < until {
            match self.random.bool() {
                true => self.write_and_read::<Balance>().await,
                false => self.write_and_read::<Tally>().await,
            }
        }
        self
    }
}

#[test]
fn r3_kafka_no_answer_of_a_thousand_clients_is_older_than_its_token_over_kills() {
    let test = "r3_kafka_no_answer_of_a_thousand_clients_is_older_than_its_token_over_kills";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    let (bank, reader) = (fixture.open(), fixture.open());
    let (mut relays, mut workers) = (fixture.relays(2), fixture.workers(3, MAX_LAG));
    fixture.until_it_works(&reader);
    let until = Instant::now() + duration();
    let clients = (0..CLIENTS).map(|number| Client::new(&bank, &reader, fixture.seed, number));
    let clients = clients.map(|client| fixture.runtime.spawn(client.work_until(until)));
    let clients: Vec<_> = clients.collect();
    workers.kill_all();
    while Instant::now() < until {
        workers.inject_faults_for(Duration::from_secs(2));
        relays.inject_faults_for(Duration::from_millis(500));
    }
    workers.wait_until_thawed();
    relays.wait_until_thawed();
    let clients = fixture.runtime.block_on(join_all(clients));
    let clients: Vec<Client> = clients.into_iter().map(Result::unwrap).collect();
    let calm = Instant::now();
    let notes: Vec<Note> = clients.iter().map(|client| client.note.clone()).collect();
    fixture.runtime.block_on(read(&reader, &notes));
    let count = |of: fn(&Client) -> u64| clients.iter().map(of).sum::<u64>();
    let (reached, late) = (count(|client| client.reached), count(|client| client.late));
    println!("{reached} reads returned the write, {late} were stale");
    println!("every token was reached {:?} after the last fault", calm.elapsed());
    println!("workers {:?}, relays {:?}", workers.shut_down(), relays.shut_down());
    assert!(reached > CLIENTS && late > 0, "the test is inconclusive");
    end_within_their_budgets(clients.into_iter().flat_map(|client| client.overruns).collect());
}

fn end_within_their_budgets(mut overruns: Vec<Duration>) {
    overruns.sort_unstable();
    let most = overruns.len() - 1;
    let [p50, p99, max] = [most / 2, most * 99 / 100, most].map(|at| overruns[at]);
    println!(
        "{} waits exceeded their budgets: p50 {p50:?}, p99 {p99:?}, at most {max:?}",
        most + 1
    );
    assert!(p99 <= MAX_OVERRUNS[0] && max <= MAX_OVERRUNS[1], "waits exceed their budgets");
}

/// Reads the noted keys from both views.
async fn read(bank: &Highwater, notes: &[Note]) {
    join_all(notes.iter().map(|note| async {
        let token: Token = note.token.parse().unwrap();
        let balance = bank.view::<Balance>().get(&note.key).after(&token).within(RECOVERY_TIMEOUT);
        assert_eq!(balance.await.unwrap().events, note.events, "{}", note.key);
        let tally = bank.view::<Tally>().get(&note.key).after(&token).within(RECOVERY_TIMEOUT);
        assert_eq!(tally.await.unwrap().events, note.events, "{}", note.key);
    }))
    .await;
}

/// Reads all notes of a file, in another process.
pub(crate) async fn read_all(bank: &Highwater, notes: &Path) {
    let notes: Vec<Note> = serde_json::from_slice(&fs::read(notes).unwrap()).unwrap();
    read(bank, &notes).await;
}

#[test]
fn r3_kafka_tokens_survive_a_restart_of_everything() {
    let test = "r3_kafka_tokens_survive_a_restart_of_everything";
    let Some(mut fixture) = CrashFixture::start(test, seed()) else { return };
    let bank = fixture.open();
    let (relays, workers) = (fixture.relays(1), fixture.workers(2, Duration::ZERO));
    let clients = (0..200).map(|number| Client::new(&bank, &bank, fixture.seed, number));
    let mut clients: Vec<Client> = clients.collect();
    let last = fixture.runtime.block_on(all_write(&mut clients));
    fixture.runtime.block_on(until_seen(&bank, &last));
    // The views have none of the following writes when everything is stopped.
    workers.kill_for_good();
    fixture.runtime.block_on(all_write(&mut clients));
    relays.kill_for_good();
    drop(bank);
    let notes: Vec<Note> = clients.drain(..).map(|client| client.note).collect();
    fixture.restart_broker();
    fixture.restart_database();

    let bank = fixture.open();
    fixture.runtime.block_on(all_are_pending(&bank, &notes));
    let (relays, workers) = (fixture.relays(1), fixture.workers(2, Duration::ZERO));
    reads_in_a_process(&fixture, &notes);
    workers.shut_down();
    relays.shut_down();
}

async fn all_write(clients: &mut [Client]) -> Receipt {
    let receipts = join_all(clients.iter_mut().map(Client::write)).await;
    receipts.into_iter().max_by_key(Receipt::position).unwrap()
}

/// Asserts that each token is accepted, and that its read waits for the whole budget, while no
/// worker runs.
async fn all_are_pending(bank: &Highwater, notes: &[Note]) {
    join_all(notes.iter().map(|note| async {
        let token: Token = note.token.parse().unwrap();
        let read = bank.view::<Balance>().get(&note.key).after(&token);
        let error = read.within(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ, "{error}");
    }))
    .await;
}

fn reads_in_a_process(fixture: &CrashFixture, notes: &[Note]) {
    let folder = tempfile::tempdir().unwrap();
    let (file, diary) = (folder.path().join("notes"), folder.path().join("reader-1"));
    fs::write(&file, serde_json::to_vec(notes).unwrap()).unwrap();
    let mut reader = fixture.orders(Task::Reader { notes: file }).command(&diary);
    let ended = reader.status().unwrap();
    assert!(ended.success(), "{}", fs::read_to_string(diary).unwrap());
}
