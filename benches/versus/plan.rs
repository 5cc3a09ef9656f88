//! Which works there are, and how each is measured.

use std::{env, time::Duration};

use highwater::{Highwater, core::StreamId};

use crate::{
    delivery,
    domain::ACCOUNTS,
    ours, processes, raw_postgres, raw_sqlite,
    report::{Line, publish},
    servers,
};

const FOLLOWED: u64 = 200_000;
const LOADED: u64 = 10_000;

/// Runs what is asked for.
pub(crate) async fn run() {
    let mut plan = Plan::from_env();
    plan.sqlite().await;
    plan.postgres().await;
    plan.slow_flush().await;
    plan.several_processes().await;
    publish(&plan.lines);
}

struct Plan {
    words: Vec<String>,
    time: Duration,
    rounds: usize,
    lines: Vec<Line>,
}

/// One work, before it is measured.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    store: &'static str,
    clients: &'static str,
    flush: &'static str,
    unit: &'static str,
    /// The least share of the raw engine's rate.
    target: Option<f64>,
}

impl Plan {
    fn from_env() -> Self {
        let number = |name: &str, default: f64| {
            env::var(name).map_or(default, |text| text.parse().expect("a number"))
        };
        Self {
            words: env::args().skip(1).filter(|word| !word.starts_with("--")).collect(),
            time: Duration::from_secs_f64(number("HIGHWATER_BENCH_SECONDS", 1.5)),
            rounds: number("HIGHWATER_BENCH_ROUNDS", 5.0).max(1.0) as usize,
            lines: Vec::new(),
        }
    }

    fn wants(&self, work: &Work) -> bool {
        let line = format!("{} {} {} {}", work.name, work.store, work.clients, work.flush);
        self.words.iter().all(|word| line.contains(word.as_str()))
    }

    /// Alternates the raw engine and Highwater; the medians count, and the median of the ratios.
    async fn versus(
        &mut self,
        work: Work,
        mut raw: impl AsyncFnMut(usize) -> f64,
        mut ours: impl AsyncFnMut(usize) -> f64,
    ) {
        if !self.wants(&work) {
            return;
        }
        let (mut raws, mut our, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let (raw, ours) = (raw(round).await, ours(round).await);
            eprintln!("{} {}: {ours:.0} beside {raw:.0}", work.name, work.store);
            raws.push(raw);
            our.push(ours);
            ratios.push(ours / raw);
        }
        let ratio = median(ratios);
        self.lines.push(Line {
            work: work.name.to_owned(),
            store: work.store,
            clients: work.clients.to_owned(),
            flush: work.flush,
            ours: median(our),
            raw: Some(median(raws)),
            unit: work.unit,
            ratio: Some(ratio),
            target: work.target.map(|target| format!("≥ {:.0} %", target * 100.0)),
            is_met: work.target.map(|target| ratio >= target),
        });
    }

    async fn sqlite(&mut self) {
        let work = |name, clients, target, unit| Work {
            name,
            store: "SQLite",
            clients,
            flush: "FULL",
            unit,
            target: Some(target),
        };
        let works = [
            work("sequential commands", "1", 0.6, "commands/s"),
            work("commands over 1,000 aggregates", "64", 0.4, "commands/s"),
            work("one hot aggregate, beside sequential", "16", 1.0, "commands/s"),
            work("200,000 events into a view", "1", 0.25, "events/s"),
            work("load of 10,000 events", "1", 0.6, "events/s"),
            Work { target: None, ..work("load with a snapshot", "1", 0.0, "events/s") },
            Work { target: None, ..work("delivery", "1", 0.0, "ms") },
        ];
        if !works.iter().any(|work| self.wants(work)) {
            return;
        }
        let folder = servers::folder();
        let file = |name: &str| folder.path().join(name);
        let url = |name: &str| format!("sqlite:{}", file(name).display());
        let time = self.time;

        let bank = ours::open(&url("ours.db"), "").await;
        ours::warm(&bank, 0..ACCOUNTS).await;
        let raw_file = file("raw.db");
        self.versus(
            works[0],
            async |_| raw_sqlite::insert(&raw_file, 1, time),
            async |_| ours::sequential(&bank, time).await,
        )
        .await;
        self.versus(
            works[1],
            async |_| raw_sqlite::insert(&raw_file, 64, time),
            async |_| ours::concurrent(&bank, 64, 0..ACCOUNTS, time).await,
        )
        .await;
        self.versus(
            works[2],
            async |_| ours::sequential(&bank, time).await,
            async |_| ours::concurrent(&bank, 16, 7..8, time).await,
        )
        .await;
        self.deliver("SQLite", "FULL", (0.3, None), &bank, &bank).await;

        let log = ours::open(&url("log.db"), "").await;
        ours::fill(&log, FOLLOWED).await;
        let log_file = file("log.db");
        self.versus(
            works[3],
            async |_| raw_sqlite::scan(&log_file, FOLLOWED),
            async |round| ours::follow(&log, round, FOLLOWED).await,
        )
        .await;
        fill_long(&log).await;
        self.versus(
            works[4],
            async |_| raw_sqlite::load(&log_file, "account-long", LOADED, time),
            async |_| ours::load(&log, "long", LOADED, time).await,
        )
        .await;
        self.versus(
            works[5],
            async |_| raw_sqlite::load(&log_file, "account-long", LOADED, time),
            async |_| ours::load_saved(&log, "long", LOADED, time).await,
        )
        .await;
    }

    async fn postgres(&mut self) {
        let work = |name, clients, target, unit| Work {
            name,
            store: "PostgreSQL",
            clients,
            flush: "free",
            unit,
            target: Some(target),
        };
        let works = [
            work("sequential commands", "1", 0.6, "commands/s"),
            work("commands over 1,000 aggregates", "64", 1.2, "commands/s"),
            work("one hot aggregate, beside sequential", "16", 1.0, "commands/s"),
            work("200,000 events into a view", "1", 0.35, "events/s"),
            work("load of 10,000 events", "1", 0.8, "events/s"),
            Work { target: None, ..work("load with a snapshot", "1", 0.0, "events/s") },
            Work { target: None, ..work("delivery", "1", 0.0, "ms") },
        ];
        if !works.iter().any(|work| self.wants(work)) {
            return;
        }
        let Some(cluster) = servers::postgres(false) else { return };
        let url = cluster.url();
        let time = self.time;
        raw_postgres::prepare(&url).await;
        let bank = ours::open(&url, "bank").await;
        ours::warm(&bank, 0..ACCOUNTS).await;
        self.versus(
            works[0],
            async |_| raw_postgres::insert(&url, 1, time).await,
            async |_| ours::sequential(&bank, time).await,
        )
        .await;
        self.versus(
            works[1],
            async |_| raw_postgres::insert(&url, 64, time).await,
            async |_| ours::concurrent(&bank, 64, 0..ACCOUNTS, time).await,
        )
        .await;
        self.versus(
            works[2],
            async |_| ours::sequential(&bank, time).await,
            async |_| ours::concurrent(&bank, 16, 7..8, time).await,
        )
        .await;
        let reader = ours::open(&url, "bank").await;
        self.deliver("PostgreSQL", "free", (1.0, Some(10.0)), &bank, &reader).await;

        let log = ours::open(&url, "versus").await;
        ours::fill(&log, FOLLOWED).await;
        raw_postgres::settle(&url).await;
        self.versus(
            works[3],
            async |_| raw_postgres::scan(&url, FOLLOWED).await,
            async |round| ours::follow(&log, round, FOLLOWED).await,
        )
        .await;
        fill_long(&log).await;
        self.versus(
            works[4],
            async |_| raw_postgres::load(&url, "account-long", LOADED, time).await,
            async |_| ours::load(&log, "long", LOADED, time).await,
        )
        .await;
        self.versus(
            works[5],
            async |_| raw_postgres::load(&url, "account-long", LOADED, time).await,
            async |_| ours::load_saved(&log, "long", LOADED, time).await,
        )
        .await;
    }

    async fn slow_flush(&mut self) {
        let work = Work {
            name: "commands over 1,000 aggregates",
            store: "PostgreSQL",
            clients: "64",
            flush: "1 ms",
            unit: "commands/s",
            target: Some(1.4),
        };
        let alone = Work { name: "sequential commands", clients: "1", target: None, ..work };
        if !self.wants(&work) && !self.wants(&alone) {
            return;
        }
        let Some(cluster) = servers::postgres(true) else { return };
        let url = cluster.url();
        let time = self.time;
        raw_postgres::prepare(&url).await;
        let bank = ours::open(&url, "bank").await;
        ours::warm(&bank, 0..ACCOUNTS).await;
        self.versus(
            alone,
            async |_| raw_postgres::insert(&url, 1, time).await,
            async |_| ours::sequential(&bank, time).await,
        )
        .await;
        self.versus(
            work,
            async |_| raw_postgres::insert(&url, 64, time).await,
            async |_| ours::concurrent(&bank, 64, 0..ACCOUNTS, time).await,
        )
        .await;
    }

    /// Four processes beside one, with as many tasks altogether.
    async fn several_processes(&mut self) {
        for (slow, flush) in [(false, "free"), (true, "1 ms")] {
            let own = Work {
                name: "four processes, accounts of their own, beside one",
                store: "PostgreSQL",
                clients: "4 × 16",
                flush,
                unit: "commands/s",
                target: Some(0.7),
            };
            let shared =
                Work { name: "four processes, accounts shared, beside one", target: None, ..own };
            if !self.wants(&own) && !self.wants(&shared) {
                continue;
            }
            let Some(cluster) = servers::postgres(slow) else { return };
            let (url, time) = (cluster.url(), self.time);
            drop(ours::open(&url, "bank").await);
            for (work, is_shared) in [(own, false), (shared, true)] {
                self.versus(
                    work,
                    async |_| processes::measure(&url, "bank", 1, 64, true, time).await,
                    async |_| processes::measure(&url, "bank", 4, 16, is_shared, time).await,
                )
                .await;
            }
        }
    }

    async fn deliver(
        &mut self,
        store: &'static str,
        flush: &'static str,
        (half, most): (f64, Option<f64>),
        writer: &Highwater,
        reader: &Highwater,
    ) {
        let work = Work { name: "delivery", store, clients: "1", flush, unit: "ms", target: None };
        if !self.wants(&work) {
            return;
        }
        let (p50, p99) = delivery::measure(writer, reader, 1_000).await;
        let lines = [("p50", p50, Some(half)), ("p99", p99, most)];
        for (share, ours, target) in lines {
            self.lines.push(Line {
                work: format!("{} of a command to a waiting follower, {share}", work.name),
                store,
                clients: work.clients.to_owned(),
                flush,
                ours,
                raw: None,
                unit: work.unit,
                ratio: None,
                target: target.map(|target| format!("≤ {target} ms")),
                is_met: target.map(|target| ours <= target),
            });
        }
    }
}

async fn fill_long(bank: &Highwater) {
    let stream = StreamId::new("account", "long").unwrap();
    ours::fill_stream(&**bank.log(), &stream, LOADED).await;
    ours::fill_saved(bank, "long", LOADED).await;
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
