//! R2, R3: after each fault the views catch up with the log again. Prints how long that takes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use highwater::Highwater;
use highwater_test_support::{fleet::Fleet, run::seed};

use crate::{
    deposits::Deposits,
    duration,
    fixture::{CrashFixture, until_seen},
    processes::Orders,
};

/// The components that faults stop, and what was written.
struct Parts {
    fixture: CrashFixture,
    relays: Fleet<Orders>,
    workers: Fleet<Orders>,
    deposits: Deposits,
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

/// Returns the time from the repair until both views have every write.
fn converges(parts: &mut Parts, bank: &Highwater, fault: &Fault) -> Duration {
    if let Some(breaks) = fault.breaks {
        breaks(parts);
        parts.fixture.runtime.block_on(parts.deposits.write_for(bank, FAULT_DURATION));
    }
    (fault.heals)(parts);
    let healed = Instant::now();
    let last = parts.fixture.runtime.block_on(parts.deposits.write(bank));
    parts.fixture.runtime.block_on(until_seen(bank, &last));
    let took = healed.elapsed();
    parts.fixture.runtime.block_on(parts.deposits.are_in_both_views(bank));
    took
}

#[test]
fn r3_kafka_views_converge_after_each_fault() {
    let Some(fixture) = CrashFixture::start("r3_kafka_views_converge_after_each_fault", seed())
    else {
        return;
    };
    let (relays, workers) = (fixture.relays(1), fixture.workers(2, Duration::ZERO));
    let bank = fixture.open();
    fixture.until_it_works(&bank);
    let until = Instant::now() + duration();
    let mut parts = Parts { fixture, relays, workers, deposits: Deposits::default() };
    let mut took = BTreeMap::<&str, Vec<Duration>>::new();
    loop {
        for fault in FAULTS {
            took.entry(fault.name).or_default().push(converges(&mut parts, &bank, &fault));
        }
        if Instant::now() >= until {
            break;
        }
    }
    for Fault { name, .. } in FAULTS {
        let times = took.get_mut(name).unwrap();
        times.sort_unstable();
        let (middle, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{name}: median {middle:.1?}, at most {most:.1?} of {}", times.len());
    }
    parts.workers.shut_down();
    parts.relays.shut_down();
}
