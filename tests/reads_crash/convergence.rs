//! R2, R3: after each fault the views catch up with the log again. Prints how long that takes.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use highwater::{CommandId, Highwater, Receipt, Views as _};
use highwater_test_support::{
    bank::Balance,
    fleet::Fleet,
    run::seed,
    tally::{Counting, Tally},
};

use crate::{
    duration,
    fixture::{CrashFixture, deposit, until_seen},
    processes::Orders,
};

/// The components that faults stop, and the expected rows.
struct Parts {
    fixture: CrashFixture,
    relays: Fleet<Orders>,
    workers: Fleet<Orders>,
    written: BTreeMap<String, u64>,
}

type Action = fn(&mut Parts);

/// A fault and its repair. A kill with a restart is a repair without a fault before it.
struct Fault {
    name: &'static str,
    breaks: Option<Action>,
    heals: Action,
}

const fn fault(name: &'static str, heals: Action) -> Fault {
    Fault { name, breaks: None, heals }
}

const FAULTS: [Fault; 8] = [
    fault("nothing", |_| ()),
    Fault {
        breaks: Some(|parts| parts.relays.freeze_all()),
        ..fault("relay frozen, resumed", |parts| parts.relays.thaw_all())
    },
    fault("relay killed, another starts", |parts| parts.relays.kill_all()),
    fault("both workers killed, others start", |parts| parts.workers.kill_all()),
    fault("one of two workers killed, another starts", |parts| parts.workers.kill_oldest()),
    Fault {
        breaks: Some(|parts| parts.fixture.proxy.hold()),
        ..fault("workers cut from the broker, connected again", |parts| {
            parts.fixture.proxy.let_through();
        })
    },
    fault("broker killed, started again", |parts| parts.fixture.restart_broker()),
    fault("database stopped at once, started again", |parts| parts.fixture.restart_database()),
];

/// The duration of a fault: longer than leases and sessions.
const FAULT_DURATION: Duration = Duration::from_secs(3);

/// The faults in which the client of Kafka waits, with the timeouts of a program that sets none.
const FAULTS_BY_DEFAULT: [Fault; 4] = [
    fault("broker killed, started again", |parts| parts.fixture.restart_broker()),
    Fault {
        breaks: Some(|parts| parts.fixture.brokers.kill(1)),
        ..fault("broker gone for long, started again", |parts| {
            let Parts { fixture, .. } = parts;
            fixture.runtime.block_on(fixture.brokers.restart(1));
        })
    },
    Fault {
        breaks: Some(|parts| parts.fixture.proxy.hold()),
        ..fault("workers cut from the broker for long, connected again", |parts| {
            parts.fixture.proxy.let_through();
        })
    },
    fault("both workers killed, others start", |parts| parts.workers.kill_all()),
];

/// Clients that know the topic meet another one of its name, whose leaders have younger epochs, and never
/// hear that it was gone.
const TOPIC_FAULTS: [Fault; 2] = [
    fault("broker killed, started again", |parts| parts.fixture.restart_broker()),
    Fault {
        breaks: Some(|parts| {
            parts.fixture.proxy.hold();
            parts.fixture.delete_topic();
        }),
        ..fault(
            "topic recreated while workers were cut from the broker, connected again",
            |parts| {
                parts.fixture.until_topic_exists();
                parts.fixture.proxy.let_through();
            },
        )
    },
];

/// The duration of a fault that is longer than leases and sessions by default.
const LONG_FAULT_DURATION: Duration = Duration::from_secs(12);

/// Returns the time from the repair until both views have every write.
fn converges(parts: &mut Parts, bank: &Highwater, fault: &Fault, lasts: Duration) -> Duration {
    if let Some(breaks) = fault.breaks {
        breaks(parts);
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            write(parts, bank);
            thread::sleep(Duration::from_millis(10));
        }
    }
    (fault.heals)(parts);
    let healed = Instant::now();
    let last = write(parts, bank);
    parts.fixture.runtime.block_on(until_seen(bank, &last));
    let took = healed.elapsed();
    parts.fixture.runtime.block_on(is_right::<Balance>(bank, &parts.written));
    parts.fixture.runtime.block_on(is_right::<Tally>(bank, &parts.written));
    took
}

fn write(parts: &mut Parts, bank: &Highwater) -> Receipt {
    let account = format!("account-{}", fastrand::u32(..20));
    let id = CommandId::derive([fastrand::u64(..).to_be_bytes()]);
    let receipt = parts.fixture.runtime.block_on(deposit(bank, &account, id));
    *parts.written.entry(account).or_default() += 1;
    receipt
}

/// Asserts that each row of a view contains every write exactly once.
async fn is_right<V: Counting>(bank: &Highwater, written: &BTreeMap<String, u64>) {
    let rows = bank.view::<V>().get_many(written.keys().cloned()).await.unwrap();
    let found: BTreeMap<String, u64> =
        rows.iter().map(|(key, row)| (key.clone(), row.events())).collect();
    assert_eq!(&found, written);
}

/// Injects faults in turn, and prints how long the views take to converge after each.
fn converge_after(fixture: CrashFixture, faults: &[Fault], lasts: Duration) {
    let relays = fixture.relays(1);
    let workers = fixture.workers(2, Duration::ZERO);
    let bank = fixture.open();
    fixture.until_it_works(&bank);
    let until = Instant::now() + duration();
    let mut parts = Parts { fixture, relays, workers, written: BTreeMap::new() };
    let mut took = BTreeMap::<&str, Vec<Duration>>::new();
    loop {
        for fault in faults {
            took.entry(fault.name).or_default().push(converges(&mut parts, &bank, fault, lasts));
        }
        if Instant::now() >= until {
            break;
        }
    }
    for Fault { name, .. } in faults {
        let times = took.get_mut(name).unwrap();
        times.sort_unstable();
        let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{name}: median {middle:.1?}, at most {most:.1?} of {}", times.len());
    }
    parts.workers.shut_down();
    parts.relays.shut_down();
}

#[test]
fn r3_kafka_views_converge_after_each_fault() {
    let test = "r3_kafka_views_converge_after_each_fault";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    converge_after(fixture, &FAULTS, FAULT_DURATION);
}

#[test]
fn r3_kafka_views_converge_by_default_after_the_broker_was_gone() {
    let test = "r3_kafka_views_converge_by_default_after_the_broker_was_gone";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    converge_after(fixture.with_default_timeouts(), &FAULTS_BY_DEFAULT, LONG_FAULT_DURATION);
}

#[test]
fn r1_kafka_views_go_on_after_their_topic_was_recreated_while_workers_were_cut_off() {
    let test = "r1_kafka_views_go_on_after_their_topic_was_recreated_while_workers_were_cut_off";
    let Some(fixture) = CrashFixture::start(test, seed()) else { return };
    converge_after(fixture, &TOPIC_FAULTS, FAULT_DURATION);
}
