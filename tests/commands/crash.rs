//! W5 under fire: several processes answer commands on the same streams, while they and the server are killed, and network,
//! clocks, disk and log are not what they were. The clients are in this process, so that one clock says what was acknowledged
//! before a command was sent.
#![allow(
    clippy::disallowed_methods,
    reason = "the parent of the processes has no runtime to block"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use highwater_test_support::{
    answers::AnsweredCommand,
    clock::SetClock,
    faults::FaultDeck,
    run::{duration, seed},
    till::assert_right_answers,
};
use tokio::runtime::Runtime;

use crate::{
    api_process::{self, REFUSED_AT_COMMIT},
    fire::{Fault, Fire, Shared},
    notes,
    place::Place,
};

/// The number of concurrent clients. Each uses a random process for each command.
const CLIENTS: u64 = 16;

/// Sends commands until it is stopped.
async fn work(shared: Arc<Shared>, seed: u64, is_stopped: Arc<AtomicBool>) -> Vec<AnsweredCommand> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut answers = Vec::new();
    while !is_stopped.load(Ordering::Relaxed) {
        answers.extend(shared.step(&mut random).await);
    }
    answers
}

/// Injects faults at random while clients send commands. Then checks all answers.
fn run_under_fire(place: Place, faults: &[Fault], runtime: &Arc<Runtime>) {
    let seed = seed();
    let (mut random, mut deck) = (fastrand::Rng::with_seed(!seed), FaultDeck::new(faults, seed));
    let _entered = runtime.enter();
    runtime.block_on(async {
        api_process::open(&place.url(), &SetClock::default()).await.unwrap();
        notes::create_tables(&place.url()).await;
    });
    let mut fire = Fire::start(place, seed, runtime);
    let is_stopped = Arc::<AtomicBool>::default();
    let work = |number| work(fire.shared.clone(), seed ^ number, is_stopped.clone());
    let working: Vec<_> = (0..CLIENTS).map(|number| runtime.spawn(work(number))).collect();
    let until = Instant::now() + duration(8);
    while Instant::now() < until || !deck.is_complete() {
        thread::sleep(Duration::from_millis(random.u64(300..1_200)));
        let fault = deck.draw();
        fault.inject(&mut fire);
        fire.until_work_goes_on(&format!("commands are answered after {fault:?}"));
    }
    is_stopped.store(true, Ordering::Relaxed);
    let answers = runtime.block_on(join_all(working)).into_iter();
    let answers: Vec<AnsweredCommand> = answers.flat_map(Result::unwrap).collect();
    fire.end_era();
    println!("without an answer, and other outcomes: {:?}", fire.outcomes);
    assert_right_answers(&fire.eras, &answers, 20);
    assert!(fire.outcomes.count(REFUSED_AT_COMMIT) > 0, "no constraint refused a commit");
    runtime.block_on(async {
        let store = api_process::open(&fire.url(), &SetClock::default()).await.unwrap();
        notes::assert_notes(&fire.url(), &*store).await;
    });
}

#[test]
fn w5_sqlite_answers_of_several_processes_are_never_stale_under_fire() {
    let runtime = Arc::new(Runtime::new().unwrap());
    let faults = [
        Fault::KillProcess,
        Fault::KillProcess,
        Fault::JumpClock,
        Fault::JumpClock,
        Fault::FillDisk,
        Fault::LoseLastEvents,
    ];
    run_under_fire(Place::sqlite(), &faults, &runtime);
}

#[test]
fn w5_postgres_answers_of_several_processes_are_never_stale_under_fire() {
    let runtime = Arc::new(Runtime::new().unwrap());
    let test = "w5_postgres_answers_of_several_processes_are_never_stale_under_fire";
    let Some(place) = Place::postgres(test, runtime.handle()) else { return };
    let faults = [
        Fault::KillProcess,
        Fault::KillProcess,
        Fault::CrashServer,
        Fault::SilenceNetwork,
        Fault::JumpClock,
        Fault::LoseLastEvents,
    ];
    run_under_fire(place, &faults, &runtime);
}
