//! A log that is restored from a backup under views that are kept elsewhere and are not: they have events that no longer
//! exist. A worker stops, and no strong read calls them current (R1).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use highwater::{
    Code, Highwater,
    consistency::Basis,
    error::NextStep,
    prelude::*,
    stores::sqlx::{self, Connection as _, Executor as _},
    value::FreshnessStatus,
    worker::{OnChange, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::{Account, AccountEvent, Balance, Bank, Deposit, banks},
    postgres::PostgresCluster,
};
use tokio::{runtime::Runtime, time::timeout};

/// The time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a log with views in another store.
async fn apart(log: &Bank, views: &Bank) -> Highwater {
    log.builder().await.views(views.store().await).build()
}

async fn deposit(app: &Highwater, times: u32) -> Receipt {
    let mut last = None;
    for _ in 0..times {
        last = Some(app.aggregate::<Account>("ann").execute(Deposit { cents: 1 }).await.unwrap());
    }
    last.unwrap()
}

async fn start(app: &Highwater) -> WorkerHandle {
    Worker::new(app).view::<Balance>().start().await.unwrap()
}

/// Builds a view elsewhere from ten events.
async fn build(log: &Bank, views: &Bank) {
    let app = apart(log, views).await;
    let worker = start(&app).await;
    let receipt = deposit(&app, 10).await;
    app.view::<Balance>().get("ann").after(&receipt).await.unwrap();
    worker.stop().await.unwrap();
}

/// Waits until the worker has stopped because the view is ahead of the log.
async fn is_ahead(worker: WorkerHandle, position: u64, head: u64) {
    let mut status = worker.statuses()[0].clone();
    let stopped = timeout(PATIENCE, status.until(ProjectionState::is_stopped)).await;
    let stopped = stopped.unwrap_or_else(|_| panic!("it is {}", status.now()));
    let error = stopped.error().unwrap();
    assert_eq!((error.code(), error.next_step()), (Code::AHEAD_OF_LOG, NextStep::AskOperator));
    for part in ["balances".to_owned(), format!("up to {position},"), format!("ends at {head}:")] {
        assert!(error.to_string().contains(&part), "no {part:?} in: {error}");
    }
    worker.stop().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_a_view_elsewhere_that_is_ahead_of_a_restored_log_is_neither_folded_on_nor_current() {
    for ((log, restored), views) in banks().into_iter().zip(banks()).zip(banks()) {
        build(&log, &views).await;

        deposit(&restored.open().await, 6).await;
        let app = apart(&restored, &views).await;
        let view = app.view::<Balance>();
        let strong = view.get("ann").strong().await.unwrap_err();
        assert_eq!(strong.code(), Code::AHEAD_OF_LOG, "{strong}");
        let many = view.range(.., 10).strong().await.unwrap_err();
        assert_eq!(many.code(), Code::AHEAD_OF_LOG, "{many}");
        // It stops whenever it is started, and what it has found stays with the view.
        for _ in 0..2 {
            is_ahead(start(&app).await, 10, 6).await;
        }
        let row = view.get("ann").await.unwrap();
        assert_eq!((row.events, row.basis()), (10, Basis::View));
        let status = row.freshness().status();
        assert!(matches!(status, FreshnessStatus::Stopped(_)), "{status:?}");
    }
}

/// The row of a view whose version was raised.
#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "balances", by_stream = Account, version = 2)]
struct NewBalance {
    events: u64,
}

impl NewBalance {
    fn fold(&mut self, _: &AccountEvent, _: &Envelope) {
        self.events += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_view_ahead_of_a_restored_log_is_built_anew_by_a_raised_version() {
    for ((log, restored), views) in banks().into_iter().zip(banks()).zip(banks()) {
        build(&log, &views).await;

        let app = apart(&restored, &views).await;
        deposit(&app, 6).await;
        let options = ProjectionOptions::default().on_change(OnChange::Rebuild);
        let worker = Worker::new(&app).view_with::<NewBalance>(options).start().await.unwrap();
        let receipt = deposit(&app, 1).await;
        let view = app.view::<NewBalance>();
        let row = view.get("ann").after(&receipt).within(PATIENCE).await.unwrap();
        assert_eq!(row.events, 7);
        assert_eq!(view.get("ann").strong().await.unwrap().events, 7);
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r1_a_worker_that_outlives_the_restore_of_the_log_stops_on_postgres() {
    let test = "r1_a_worker_that_outlives_the_restore_of_the_log_stops_on_postgres";
    let Some(server) = PostgresCluster::start(test) else { return };
    let views = banks().remove(1).store().await;
    let open = async || {
        let log = Highwater::builder(&server.url()).await.unwrap();
        log.views(Arc::clone(&views) as _).build()
    };
    let app = open().await;
    deposit(&app, 6).await;
    server.back_up();
    let app = open().await;
    let worker = start(&app).await;
    let receipt = deposit(&app, 4).await;
    app.view::<Balance>().get("ann").after(&receipt).within(PATIENCE).await.unwrap();
    server.restore();
    is_ahead(worker, 10, 6).await;
}

/// Restores a view to its state after ten events, from within a fold.
struct Rewind {
    url: String,
}

static REWIND: Mutex<Option<Rewind>> = Mutex::new(None);

impl Rewind {
    async fn run(self) {
        let schema = self
            .url
            .split_once("schema=")
            .map(|(_, rest)| format!("{}.", rest.split('&').next().unwrap()));
        let prefix = schema.as_deref().unwrap_or("bank_");
        let rewind = format!(
            "update {prefix}shards set position = 10 where view = 'rewound'; \
             update {prefix}rows_rewound set value = '{{\"events\":10}}'"
        );
        let rewind = sqlx::raw_sql(sqlx::AssertSqlSafe(rewind));
        match self.url.strip_prefix("sqlite:").and_then(|file| file.split('?').next()) {
            Some(file) => {
                let mut file = sqlx::SqliteConnection::connect(file).await.unwrap();
                file.execute(rewind).await.unwrap();
            }
            None => {
                let server = self.url.split(['?', '&']).next().unwrap();
                let mut server = sqlx::PgConnection::connect(server).await.unwrap();
                server.execute(rewind).await.unwrap();
            }
        }
    }
}

#[derive(View, Default, Clone, Debug, PartialEq)]
#[view(event = AccountEvent, name = "rewound", by_stream = Account)]
struct Rewound {
    events: u64,
}

impl Rewound {
    fn fold(&mut self, _: &AccountEvent, _: &Envelope) {
        if self.events == 24
            && let Some(rewind) = REWIND.lock().unwrap().take()
        {
            let thread = thread::spawn(|| Runtime::new().unwrap().block_on(rewind.run()));
            thread.join().unwrap();
        }
        self.events += 1;
    }
}

/// A fail-over loses commits that a worker goes on from. Its next batch is under way meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn r1_a_worker_whose_store_has_lost_its_commits_begins_again_from_what_is_left() {
    for bank in banks() {
        let Some(url) = bank.url() else { continue };
        let app = bank.open().await;
        let receipt = deposit(&app, 30).await;
        *REWIND.lock().unwrap() = Some(Rewind { url });
        let options = ProjectionOptions::default().batch(10).unaudited();
        let worker = Worker::new(&app).view_with::<Rewound>(options).start().await.unwrap();
        let row = app.view::<Rewound>().get("ann").after(&receipt).within(PATIENCE).await.unwrap();
        assert!(REWIND.lock().unwrap().is_none(), "nothing was lost");
        assert_eq!(row.events, 30);
        worker.stop().await.unwrap();
    }
}
