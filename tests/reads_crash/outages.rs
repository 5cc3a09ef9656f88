//! R1, R3: views go on after the broker was gone, with the settings of a program that sets none, and after their topic
//! became another one. Prints how long the views take.

use std::time::{Duration, Instant};

use futures_util::future::join;
use highwater::{Highwater, Receipt};
use highwater_test_support::{bank::Balance, run::seed, tally::Tally};

use crate::{
    console::Members,
    deposits::Deposits,
    duration,
    fixture::{CrashFixture, RECOVERY_TIMEOUT, sees, until_seen},
};

/// The times for which the broker is gone: the client of a worker keeps its place in the group, or has lost it, because
/// `session.timeout.ms` is over.
const OUTAGES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(12)];

/// The outages of a run that is to last for a minute at least.
const MORE_OUTAGES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(40)];

/// Returns the outages of a run.
fn outages() -> Vec<Duration> {
    let is_long = duration() >= Duration::from_secs(60);
    let more = MORE_OUTAGES.into_iter().filter(|_| is_long);
    OUTAGES.into_iter().chain(more).collect()
}

/// Kills the broker, and starts it again after this time. Returns when it accepts clients.
fn interrupt(
    fixture: &mut CrashFixture,
    bank: &Highwater,
    deposits: &mut Deposits,
    outage: Duration,
) {
    fixture.brokers.kill(1);
    fixture.runtime.block_on(deposits.write_for(bank, outage));
    fixture.runtime.block_on(fixture.brokers.restart(1));
}

/// Returns the times until the view that is divided by stream, and the one that is divided by key, have this receipt.
async fn times_until_seen(bank: &Highwater, receipt: &Receipt) -> [Duration; 2] {
    let began = Instant::now();
    let by_stream = async {
        sees::<Balance>(bank, receipt).await;
        began.elapsed()
    };
    let by_key = async {
        sees::<Tally>(bank, receipt).await;
        began.elapsed()
    };
    let both = tokio::time::timeout(RECOVERY_TIMEOUT, join(by_stream, by_key)).await;
    both.expect("the views don't converge").into()
}

/// Asserts that the group knows the workers that came back. If it took them for others, it would wait until the session of
/// those that it misses has ended.
fn are_known(before: &Members, after: &Members) {
    let names = |members: &Members| members.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after), "workers came back as other members");
}

#[test]
fn r3_kafka_views_converge_by_default_after_the_broker_was_gone() {
    let test = "r3_kafka_views_converge_by_default_after_the_broker_was_gone";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    let mut fixture = fixture.with_default_timeouts();
    let (relays, workers) = (fixture.relays(1), fixture.workers(2, Duration::ZERO));
    let bank = fixture.open();
    fixture.until_it_works(&bank);
    let mut deposits = Deposits::default();
    let mut has_lost_its_place = false;
    let until = Instant::now() + duration();
    loop {
        for outage in outages() {
            let before = fixture.until_members::<Balance>(&bank, 2);
            interrupt(&mut fixture, &bank, &mut deposits, outage);
            let last = fixture.runtime.block_on(deposits.write(&bank));
            let [by_stream, by_key] = fixture.runtime.block_on(times_until_seen(&bank, &last));
            println!("gone for {outage:?}: by stream {by_stream:.2?}, by key {by_key:.2?}");
            let after = fixture.members::<Balance>(&bank);
            are_known(&before, &after);
            has_lost_its_place |= before != after;
            fixture.runtime.block_on(deposits.are_in_both_views(&bank));
        }
        if Instant::now() >= until {
            break;
        }
    }
    assert!(has_lost_its_place, "no outage was longer than a session: the test is inconclusive");
    workers.shut_down();
    relays.shut_down();
}

/// The clients of the workers know leaders whose epochs are younger than those of the other topic, because the broker had
/// been restarted, and they never hear that their topic was gone.
#[test]
fn r1_kafka_views_go_on_after_their_topic_was_recreated_while_workers_were_cut_off() {
    let test = "r1_kafka_views_go_on_after_their_topic_was_recreated_while_workers_were_cut_off";
    let Some(mut fixture) = CrashFixture::start(test, seed()) else { return };
    let (relays, workers) = (fixture.relays(1), fixture.workers(2, Duration::ZERO));
    let bank = fixture.open();
    fixture.until_it_works(&bank);
    fixture.restart_broker();
    let mut deposits = Deposits::default();
    let last = fixture.runtime.block_on(deposits.write(&bank));
    fixture.runtime.block_on(until_seen(&bank, &last));
    fixture.proxy.hold();
    fixture.replace_topic();
    fixture.runtime.block_on(deposits.write_for(&bank, Duration::from_secs(1)));
    fixture.proxy.let_through();
    let last = fixture.runtime.block_on(deposits.write(&bank));
    let [by_stream, by_key] = fixture.runtime.block_on(times_until_seen(&bank, &last));
    println!("topic recreated while cut off: by stream {by_stream:.2?}, by key {by_key:.2?}");
    fixture.runtime.block_on(deposits.are_in_both_views(&bank));
    workers.shut_down();
    relays.shut_down();
}
