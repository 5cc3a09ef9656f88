//! The works on SQLite. What a work needs is made when the first that is asked for needs it.

use std::{cell::LazyCell, path::Path};

use crate::{
    FOLLOWED, LOADED, delivery,
    domain::{ACCOUNTS, Account, Saved},
    ours, raw_sqlite, servers,
};
use highwater_benches::{Bench, Place, wait};

const SQLITE: Place = Place { store: "SQLite", flush: "FULL" };

pub(crate) fn all(bench: &mut Bench) {
    let folder = servers::folder();
    writes(bench, folder.path());
    reads(bench, folder.path());
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

fn reads(bench: &mut Bench, folder: &Path) {
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
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}
