//! The works on SQLite. Their data is created when the first selected work needs it.

use std::{cell::LazyCell, path::Path};

use crate::{
    FOLLOWED, LOADED, delivery,
    domain::{ACCOUNTS, Account, Saved},
    memory::{self, LONG},
    ours, raw_reads, raw_sqlite, reads, servers,
};
use highwater_benches::{Bench, Place, wait};

const SQLITE: Place = Place { store: "SQLite", flush: "FULL" };

pub(crate) fn all(bench: &mut Bench) {
    let folder = servers::folder();
    writes(bench, folder.path());
    logs(bench, folder.path());
}

fn writes(bench: &mut Bench, folder: &Path) {
    let url = url(&folder.join("ours.db"));
    let bank = LazyCell::new(|| wait(ours::open_warm(&url, "", 0..ACCOUNTS)));
    let by_hand = folder.join("raw.db");
    bench.versus(
        SQLITE.commands("sequential commands", "1").at_least(0.6),
        || raw_sqlite::inserts(&by_hand, 1),
        || ours::sequential(&bank),
    );
    bench.versus(
        SQLITE.commands("commands over 1,000 aggregates", "64").at_least(0.4),
        || raw_sqlite::inserts(&by_hand, 64),
        || ours::concurrent(&bank, 64, 0..ACCOUNTS),
    );
    bench.versus(
        SQLITE.commands("one hot aggregate, beside sequential", "16").at_least(1.0),
        || ours::sequential(&bank),
        || ours::concurrent(&bank, 16, 7..8),
    );
    bench.deliver(
        SQLITE.delivery(),
        [Some(0.3), None],
        || raw_sqlite::delivery(&by_hand),
        || wait(delivery::ours(&bank, &bank)),
    );
}

fn logs(bench: &mut Bench, folder: &Path) {
    let file = folder.join("log.db");
    let url = url(&file);
    let log = LazyCell::new(|| {
        wait(async {
            let log = ours::open(&url, "").await;
            ours::fill(&log, ACCOUNTS, FOLLOWED).await;
            log
        })
    });
    bench.versus(
        SQLITE.events("200,000 events into a view", FOLLOWED).at_least(0.25),
        || {
            LazyCell::force(&log);
            raw_sqlite::scans(&file, FOLLOWED)
        },
        || ours::follows(&log, FOLLOWED, || raw_sqlite::forget(&file)),
    );
    let long = LazyCell::new(|| {
        wait(ours::fill_long(&log, "long", LOADED));
        &*log
    });
    let raw = || {
        LazyCell::force(&long);
        raw_sqlite::loads(&file, "account-long", LOADED)
    };
    bench.versus(SQLITE.events("load of 10,000 events", LOADED).at_least(0.6), raw, || {
        ours::loads::<Account>(&long, "long", LOADED)
    });
    bench.versus(SQLITE.events("load with a snapshot", LOADED), raw, || {
        ours::loads::<Saved>(&long, "long", LOADED)
    });
    let fed = LazyCell::new(|| wait(reads::feed(&log)));
    let view = || {
        LazyCell::force(&fed);
        log.clone()
    };
    reads::all(bench, SQLITE, view, |tasks| raw_reads::from_sqlite(&file, tasks));
    bench.versus(
        SQLITE.reads("eventual reads, beside one's own thread", "1"),
        || {
            view();
            raw_reads::within(&file, 1)
        },
        || reads::eventual(&view(), FOLLOWED / ACCOUNTS),
    );
    let long = folder.join("long.db");
    let filled = LazyCell::new(|| {
        wait(async { ours::fill(&ours::open(&self::url(&long), "").await, ACCOUNTS, LONG).await });
    });
    let catch_up = |file: &Path| {
        raw_sqlite::forget(file);
        memory::of(memory::Assignment::directly(&self::url(file), ""))
    };
    bench.weigh(
        SQLITE.memory(memory::FEW_KEYS),
        || {
            LazyCell::force(&log);
            catch_up(&file)
        },
        || {
            LazyCell::force(&filled);
            catch_up(&long)
        },
    );
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}
