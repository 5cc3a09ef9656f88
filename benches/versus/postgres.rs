//! The works on PostgreSQL. A cluster and its data are created when the first selected work needs them.

use std::{cell::LazyCell, path::Path};

use highwater::Highwater;

use crate::{
    FOLLOWED, LOADED, delivery,
    domain::{ACCOUNTS, Account, BALANCES, Saved},
    memory, ours,
    paced::{self, Fed, PER_SECOND},
    processes, raw_own,
    raw_postgres::{self, SCHEMA},
    raw_reads, reads,
    servers::{self, FREE, SLOW},
};
use highwater_benches::{Bench, Place, wait};

const fn with(flush: &'static str) -> Place {
    Place { store: "PostgreSQL", flush }
}

pub(crate) fn all(bench: &mut Bench) {
    let Some(programs) = servers::programs() else { return };
    free_flush(bench, &programs);
    slow_flush(bench, &programs);
    for flush in [FREE, SLOW] {
        several_processes(bench, &programs, flush);
    }
}

fn free_flush(bench: &mut Bench, programs: &Path) {
    let cluster = LazyCell::new(|| servers::postgres(programs, FREE));
    let url = LazyCell::new(|| cluster.url());
    let bank = LazyCell::new(|| wait(prepare(&url)));
    let by_hand = || {
        LazyCell::force(&bank);
        url.as_str()
    };
    bench.versus(
        with(FREE).commands("sequential commands", "1").at_least(0.6),
        || raw_postgres::inserts(by_hand(), 1),
        || ours::sequential(&bank),
    );
    bench.versus(
        with(FREE).commands("commands over 1,000 aggregates", "64").at_least(1.2),
        || raw_postgres::inserts(by_hand(), 64),
        || ours::concurrent(&bank, 64, 0..ACCOUNTS),
    );
    bench.versus(
        with(FREE).commands("one hot aggregate, beside sequential", "16").at_least(1.0),
        || ours::sequential(&bank),
        || ours::concurrent(&bank, 16, 7..8),
    );
    let reader = LazyCell::new(|| wait(ours::open(&url, BANK)));
    bench.deliver(
        with(FREE).delivery(),
        [Some(1.0), Some(10.0)],
        || wait(raw_postgres::delivery(by_hand())),
        || wait(delivery::ours(&bank, &reader)),
    );
    bench.deliver(
        with(FREE).pace("command to view", "2,000/s"),
        [Some(3.0), Some(15.0)],
        || wait(raw_postgres::paced(by_hand(), PER_SECOND)),
        || wait(async { paced::seeing(Fed::directly(&url).await).await }),
    );
    bench.deliver(
        with(FREE).pace("read-your-writes after the command", "2,000/s"),
        [Some(3.0), None],
        || wait(raw_own::through_postgres(by_hand(), PER_SECOND)),
        || paced::asking(wait(Fed::directly(&url))),
    );
    logs(bench, &url);
}

const BANK: &str = "bank";

/// Creates the tables of both sides, and our accounts.
async fn prepare(url: &str) -> Highwater {
    raw_postgres::prepare(url).await;
    ours::open_warm(url, BANK, 0..ACCOUNTS).await
}

fn logs(bench: &mut Bench, url: &LazyCell<String, impl FnOnce() -> String>) {
    let log = LazyCell::new(|| {
        wait(async {
            let log = ours::open(url, SCHEMA).await;
            ours::fill(&log, ACCOUNTS, FOLLOWED).await;
            raw_postgres::settle(url, SCHEMA).await;
            log
        })
    });
    bench.versus(
        with(FREE).events("200,000 events into a view", FOLLOWED).at_least(0.35),
        || {
            LazyCell::force(&log);
            raw_postgres::scans(url, FOLLOWED)
        },
        || ours::follows(&log, FOLLOWED, || wait(raw_postgres::forget(url, SCHEMA, BALANCES))),
    );
    let long = LazyCell::new(|| {
        wait(ours::fill_long(&log, "long", LOADED));
        &*log
    });
    let raw = || {
        LazyCell::force(&long);
        raw_postgres::loads(url, "account-long", LOADED)
    };
    bench.versus(with(FREE).events("load of 10,000 events", LOADED).at_least(0.8), raw, || {
        ours::loads::<Account>(&long, "long", LOADED)
    });
    bench.versus(with(FREE).events("load with a snapshot", LOADED), raw, || {
        ours::loads::<Saved>(&long, "long", LOADED)
    });
    let fed = LazyCell::new(|| wait(reads::feed(&log)));
    let view = || {
        LazyCell::force(&fed);
        log.clone()
    };
    reads::all(bench, with(FREE), view, |tasks| raw_reads::from_postgres(url, tasks));
    let catch_up = |schema: &str| {
        wait(raw_postgres::forget(url, schema, BALANCES));
        memory::of(memory::Assignment::directly(url, schema))
    };
    let long = LazyCell::new(|| wait(fill_long(url)));
    bench.weigh(
        with(FREE).memory(memory::FEW_KEYS),
        || {
            LazyCell::force(&log);
            catch_up(SCHEMA)
        },
        || {
            LazyCell::force(&long);
            catch_up(LONG)
        },
    );
}

/// The schema of the long log.
const LONG: &str = "long";

async fn fill_long(url: &str) {
    ours::fill(&ours::open(url, LONG).await, ACCOUNTS, memory::LONG).await;
    raw_postgres::settle(url, LONG).await;
}

fn slow_flush(bench: &mut Bench, programs: &Path) {
    let cluster = LazyCell::new(|| servers::postgres(programs, SLOW));
    let bank = LazyCell::new(|| wait(prepare(&cluster.url())));
    let by_hand = |clients| {
        LazyCell::force(&bank);
        raw_postgres::inserts(&cluster.url(), clients)
    };
    bench.versus(
        with(SLOW).commands("sequential commands", "1"),
        || by_hand(1),
        || ours::sequential(&bank),
    );
    bench.versus(
        with(SLOW).commands("commands over 1,000 aggregates", "64").at_least(1.4),
        || by_hand(64),
        || ours::concurrent(&bank, 64, 0..ACCOUNTS),
    );
}

/// Adds the works of four processes beside one, with the same number of tasks in total.
fn several_processes(bench: &mut Bench, programs: &Path, flush: &'static str) {
    let cluster = LazyCell::new(|| servers::postgres(programs, flush));
    let four = |name| with(flush).commands(name, "4 × 16");
    let one = || processes::commands(&cluster.url(), 1, 64, true);
    bench.versus(four("four processes, own accounts, beside one").at_least(0.7), one, || {
        processes::commands(&cluster.url(), 4, 16, false)
    });
    bench.versus(four("four processes, shared accounts, beside one"), one, || {
        processes::commands(&cluster.url(), 4, 16, true)
    });
}
