//! Programs that build a new generation of a changed view, beside that of the old program.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use highwater::{
    Code, Error, Highwater, Position,
    admin::Generations,
    consistency::{AppliedOutcome, Fallback},
    domain::{GenerationSpec, ViewSpec},
    error::Unavailable,
    port::Generation,
    prelude::*,
    projection::ParkedKeys,
    stores::sqlx::{self, Connection as _},
    value::{FreshnessStatus, Pending, Sharding, Target},
    worker::{OnChange, OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::{Balance, Bank, banks},
    run::seed,
};
use tokio::time::{sleep, timeout};

use crate::{
    PATIENCE, PEOPLE, built, cities, is_not_read, is_refused, leave, move_to,
    programs::{
        by_city, by_hand, first, picky, renamed_with_field, with_field, with_number, with_type,
        with_version,
    },
    start,
};

fn rebuilding() -> ProjectionOptions {
    ProjectionOptions::default().on_change(OnChange::Rebuild)
}

/// Starts a program that builds what has changed.
async fn rebuild<V: View>(app: &Highwater) -> WorkerHandle {
    Worker::new(app).view_with::<V>(rebuilding()).start().await.unwrap()
}

async fn generations(app: &Highwater, view: &str) -> Vec<Generation> {
    Generations::of(app, view).unwrap().list().await.unwrap()
}

/// Waits until a generation of the view is live.
async fn until_live(app: &Highwater, view: &str, number: u32) {
    let live = async {
        let is_it = |one: &Generation| one.number == number && one.is_live;
        while !generations(app, view).await.iter().any(is_it) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, live).await.unwrap_or_else(|_| panic!("generation {number} is not live"));
}

async fn until_running(worker: &WorkerHandle) {
    let mut status = worker.statuses()[0].clone();
    let state = timeout(PATIENCE, status.until(|state| state.name() == "running")).await;
    state.unwrap_or_else(|_| panic!("it is {}", status.now()));
}

/// Makes a generation for a program, which no worker builds yet.
async fn begin<V: View>(app: &Highwater, number: u32) -> Position {
    let complete_at = app.log().head().await.unwrap();
    let generation = GenerationSpec { number, complete_at };
    let spec = ViewSpec { generation, ..V::spec().unwrap() };
    app.views().open_view(&spec, Sharding::by_stream(1)).await.unwrap();
    complete_at
}

fn rebuilding_error<T: std::fmt::Debug>(read: highwater::Result<T>) -> Pending {
    let error = read.unwrap_err();
    assert_eq!(error.code(), Code::REBUILDING, "{error}");
    assert!(error.is_retryable(), "{error}");
    match error {
        Error::Unavailable(unavailable) => match *unavailable {
            Unavailable::Rebuilding(pending) => pending,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_changed_view_is_built_beside_the_old_one_and_both_go_on() {
    for bank in built().await {
        let (old_app, app) = (bank.open().await, bank.open().await);
        let old = start::<first::Address>(&old_app).await;
        let worker = rebuild::<with_field::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        until_running(&worker).await;
        assert_eq!(worker.statuses()[0].generation(), 2);
        let receipt = move_to(&app, "ann", "Rome").await;
        let new = app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!((&*new.city, new.moves), ("Rome", 2));
        let strong = app.view::<with_field::Address>().get("ann").strong().await.unwrap();
        assert_eq!(*strong, *new);
        let seen = old_app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(seen.city, "Rome");
        // Programs of both versions that start now find their own.
        let again = bank.open().await;
        let all = again.view::<with_field::Address>().range(.., 10).after(&receipt).await.unwrap();
        assert_eq!(all.rows.rows[0].1.moves, 2);
        assert_eq!(again.view::<first::Address>().get("ann").await.unwrap().city, "Rome");
        old.stop().await.unwrap();
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_every_kind_of_change_is_built_from_the_whole_log() {
    for bank in built().await {
        let app = bank.open().await;
        let old = start::<first::Address>(&app).await;
        move_to(&app, "bob", "Bern").await;
        leave(&app, "bob").await;
        let receipt = move_to(&app, "ann", "Bern").await;
        app.view::<first::Address>().get("bob").after(&receipt).await.unwrap();
        old.stop().await.unwrap();

        let worker = rebuild::<by_city::Address>(&app).await;
        let cities = app.view::<by_city::Address>().range(.., 10).after(&receipt).await.unwrap();
        let keys: Vec<_> = cities.rows.rows.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["Bern", "Oslo"]);
        worker.stop().await.unwrap();

        let worker = rebuild::<with_version::Address>(&app).await;
        let ann = app.view::<with_version::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "BERN");
        worker.stop().await.unwrap();

        let worker = rebuild::<with_number::Address>(&app).await;
        let ann = app.view::<with_number::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, 4);
        worker.stop().await.unwrap();

        // An event of the added type was passed over.
        let worker = rebuild::<with_type::Address>(&app).await;
        let all = app.view::<with_type::Address>().range(.., 10).after(&receipt).await.unwrap();
        let rows: Vec<_> = all.rows.rows.iter().map(|(key, row)| (&**key, &*row.city)).collect();
        assert_eq!(rows, [("ann", "Bern"), ("bob", "")]);
        worker.stop().await.unwrap();
        assert_eq!(generations(&app, "addresses").await.len(), 5);

        // With another name, too. The programs of the former name stop.
        let worker = rebuild::<renamed_with_field::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let view = app.view::<renamed_with_field::Address>();
        assert_eq!(view.get("ann").after(&receipt).await.unwrap().moves, 3);
        assert_eq!(generations(&app, "homes").await.len(), 6);
        assert!(generations(&app, "addresses").await.is_empty());
        is_refused(rebuild::<first::Address>(&app).await, "renamed to homes").await;
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_reads_say_that_a_view_is_being_rebuilt_and_never_return_its_rows() {
    for bank in built().await {
        let app = bank.open().await;
        move_to(&app, "ann", "Bern").await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let complete_at = begin::<with_field::Address>(&app, 2).await;
        let view = app.view::<with_field::Address>();
        let soon = Duration::from_millis(30);
        for pending in [
            rebuilding_error(view.get("ann").await),
            rebuilding_error(view.get_many(["ann", "bob"]).await),
            rebuilding_error(view.range(.., 10).await),
            rebuilding_error(view.get("ann").after(&receipt).within(soon).await),
            rebuilding_error(view.get("ann").bounded(soon).within(soon).await),
            rebuilding_error(
                view.get("ann").bounded(soon).within(soon).or(Fallback::ServeStale).await,
            ),
            rebuilding_error(
                view.get("ann").after(&receipt).within(soon).or(Fallback::ServeStale).await,
            ),
            rebuilding_error(
                view.range(.., 10).strong().within(soon).or(Fallback::ServeStale).await,
            ),
        ] {
            assert_eq!(pending.target, Target::Complete(complete_at));
            assert_eq!((&*pending.view, pending.missing()), ("addresses", 3));
            let status = pending.reached.status();
            assert_eq!(status, FreshnessStatus::Rebuilding(complete_at));
        }
        let freshness = view.freshness().await.unwrap();
        assert_eq!(freshness.status(), FreshnessStatus::Rebuilding(complete_at));
        let applied = view.applied("ann", &receipt).within(soon).await.unwrap();
        assert!(matches!(applied, AppliedOutcome::Pending(_)), "{applied:?}");
        // A row that is folded from the log is an answer all the same.
        let strong = view.get("ann").strong().await.unwrap();
        assert_eq!((&*strong.city, strong.moves), ("Rome", 3));
        let folded = view.get("ann").bounded(soon).within(soon).or(Fallback::Fold).await.unwrap();
        assert_eq!(folded.moves, 3);
        // The old program answers as before.
        assert_eq!(app.view::<first::Address>().get("ann").await.unwrap().city, "Oslo");
        // A read that waits gets its answer when the view is complete.
        let reading = view.get("ann").after(&receipt).within(PATIENCE);
        let (read, worker) = tokio::join!(reading, rebuild::<with_field::Address>(&app));
        assert_eq!(read.unwrap().moves, 3);
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_program_that_is_rolled_back_finds_its_generation_again() {
    for bank in built().await {
        let app = bank.open().await;
        let new = rebuild::<with_field::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        new.stop().await.unwrap();
        let seen = app.view::<first::Address>().get("ann").await.unwrap();
        assert_eq!(seen.city, "Oslo");
        assert_eq!(seen.freshness().status(), FreshnessStatus::Converging);

        let old = rebuild::<first::Address>(&app).await;
        assert_eq!(old.statuses()[0].generation(), 1);
        let ann = app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome");
        // The operator shows its rows to plain SQL. No worker takes that back.
        let admin = Generations::of(&app, "addresses").unwrap();
        assert!(admin.promote(1).await.unwrap());
        let receipt = move_to(&app, "ann", "Bern").await;
        let new = rebuild::<with_field::Address>(&app).await;
        let ann = app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!((&*ann.city, ann.moves), ("Bern", 3));
        sleep(Duration::from_millis(600)).await;
        let live = generations(&app, "addresses").await;
        assert_eq!(live.iter().map(|one| one.is_live).collect::<Vec<_>>(), [true, false]);
        // While a worker keeps it up it isn't removed; afterwards it is built anew.
        assert!(!admin.remove(2).await.unwrap());
        new.stop().await.unwrap();
        assert!(admin.remove(2).await.unwrap());
        is_not_read::<with_field::Address>(&app, "moves:u32").await;
        let new = rebuild::<with_field::Address>(&app).await;
        let ann = app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.moves, 3);
        // No number is used again.
        assert_eq!(new.statuses()[0].generation(), 3);
        new.stop().await.unwrap();
        old.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r5_programs_that_begin_at_once_have_one_generation_for_each_definition() {
    for bank in built().await {
        let apps = join_all((0..6).map(|_| bank.open())).await;
        let workers =
            join_all(apps.iter().enumerate().map(async |(number, app)| match number % 3 {
                0 => rebuild::<with_field::Address>(app).await,
                1 => rebuild::<by_city::Address>(app).await,
                _ => rebuild::<first::Address>(app).await,
            }))
            .await;
        let receipt = move_to(&apps[0], "ann", "Rome").await;
        let with_field = apps[1].view::<with_field::Address>().get("ann").after(&receipt);
        assert_eq!(with_field.await.unwrap().moves, 2);
        let by_city = apps[2].view::<by_city::Address>().get("Rome").after(&receipt);
        assert_eq!(by_city.await.unwrap().city, "Rome");
        let first = apps[3].view::<first::Address>().get("ann").after(&receipt);
        assert_eq!(first.await.unwrap().city, "Rome");
        assert_eq!(generations(&apps[4], "addresses").await.len(), 3);
        for worker in workers {
            worker.stop().await.unwrap();
        }
    }
}

/// Workers of the new program are aborted at random while it is built; events are appended all the time, and readers of
/// both programs compare what they get.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r5_a_generation_that_is_built_by_workers_that_die_is_that_of_an_independent_fold() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut killed = 0;
    for bank in banks() {
        let app = Arc::new(bank.open().await);
        let old = start::<first::Address>(&app).await;
        for number in 0..600_usize {
            move_to(&app, PEOPLE[number % PEOPLE.len()], ["Oslo", "Rome", "Bern"][number % 3])
                .await;
        }
        let writer = Arc::clone(&app);
        let writing = tokio::spawn(async move {
            for number in 0..300_usize {
                let city = ["Paris", "Oslo"][number % 2];
                move_to(&writer, PEOPLE[number % PEOPLE.len()], city).await;
            }
        });
        let options = rebuilding().batch(5);
        for _ in 0..200 {
            let other = bank.open().await;
            let worker = Worker::new(&other)
                .view_with::<with_field::Address>(options)
                .start()
                .await
                .unwrap();
            sleep(Duration::from_millis(random.u64(1..20))).await;
            let view = app.view::<with_field::Address>();
            match view.get("ann").await {
                Ok(row) => {
                    let FreshnessStatus::Rebuilding(_) = row.freshness().status() else { break };
                    panic!("a row of a view that is being rebuilt: {row:?}");
                }
                Err(error) => assert_eq!(error.code(), Code::REBUILDING, "seed {seed}: {error}"),
            }
            // Aborted, not stopped: its leases stay until they run out or another worker takes over.
            drop(worker);
            killed += 1;
        }
        writing.await.unwrap();
        let worker = rebuild::<with_field::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        let all = app.view::<with_field::Address>().range(.., 10).strong().within(PATIENCE);
        let all = all.await.unwrap();
        let found =
            all.rows.rows.iter().map(|(key, row)| (key.clone(), row.city.clone())).collect();
        assert_eq!(cities(&app).await, found, "seed {seed}");
        assert!(all.rows.rows.iter().all(|(_, row)| row.moves == 150), "seed {seed}: {all:?}");
        let old_rows = app.view::<first::Address>().range(.., 10).strong().within(PATIENCE);
        let old_rows = old_rows.await.unwrap();
        let seen = old_rows.rows.rows.iter().map(|(key, row)| (key.clone(), row.city.clone()));
        assert_eq!(seen.collect::<std::collections::BTreeMap<_, _>>(), cities(&app).await);
        old.stop().await.unwrap();
        worker.stop().await.unwrap();
    }
    assert!(killed > 0, "the first worker built it all on every store");
}

/// A key that was parked because of a fault in the program is not in the new generation: the fault is mended there.
#[tokio::test(flavor = "multi_thread")]
async fn r5_a_key_whose_fold_was_mended_is_not_parked_in_the_new_generation() {
    for bank in banks() {
        let app = bank.open().await;
        let options = ProjectionOptions::default().on_failure(OnFailure::Park { at_most: 9 });
        let old = Worker::new(&app).view_with::<picky::Address>(options).start().await.unwrap();
        move_to(&app, "bob", "Bern").await;
        let receipt = move_to(&app, "ann", "Nowhere").await;
        let applied = app.view::<picky::Address>().applied("ann", &receipt).within(PATIENCE);
        assert!(matches!(applied.await.unwrap(), AppliedOutcome::Pending(_)));
        let parked = ParkedKeys::of(&app, "addresses").unwrap();
        assert_eq!(parked.list(None, 9).await.unwrap().len(), 1);
        let worker = rebuild::<with_field::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        assert!(parked.list(None, 9).await.unwrap().is_empty());
        assert_eq!(parked.clone().of_generation(1).list(None, 9).await.unwrap().len(), 1);
        let ann = app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Nowhere");
        old.stop().await.unwrap();
        worker.stop().await.unwrap();
    }
}

/// The new program adopts the generation, and folds events into it that the old one doesn't know. The old program, started
/// again, gets one of its own, and so do its readers; plain SQL stays with the new one.
#[tokio::test(flavor = "multi_thread")]
async fn r5_an_old_program_whose_generation_was_adopted_gets_one_of_its_own() {
    for bank in built().await {
        let (old_app, app) = (bank.open().await, bank.open().await);
        let new = rebuild::<with_type::Address>(&app).await;
        let receipt = leave(&app, "ann").await;
        app.view::<with_type::Address>().get("ann").after(&receipt).await.unwrap();
        let shared = old_app.view::<first::Address>().get("ann").await.unwrap();
        assert_eq!(shared.city, "");
        let old = rebuild::<first::Address>(&old_app).await;
        assert_eq!(old.statuses()[0].generation(), 2);
        until_running(&old).await;
        let receipt = move_to(&app, "bob", "Bern").await;
        for reader in [&old_app, &bank.open().await] {
            let own = async {
                while reader.view::<first::Address>().get("ann").await.unwrap().city != "Oslo" {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            timeout(PATIENCE, own).await.unwrap();
            let bob = reader.view::<first::Address>().get("bob").after(&receipt).await.unwrap();
            assert_eq!(bob.city, "Bern");
        }
        assert_eq!(app.view::<with_type::Address>().get("ann").await.unwrap().city, "");
        sleep(Duration::from_millis(600)).await;
        let live = generations(&app, "addresses").await;
        assert_eq!(live.iter().map(|one| one.is_live).collect::<Vec<_>>(), [true, false]);
        old.stop().await.unwrap();
        new.stop().await.unwrap();
    }
}

/// A view that is written by hand names no fields, so it shares the rows of the derived one in any generation.
#[tokio::test(flavor = "multi_thread")]
async fn r5_a_view_written_by_hand_shares_a_later_generation() {
    for bank in built().await {
        let app = bank.open().await;
        let city = rebuild::<by_city::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        let admin = Generations::of(&app, "addresses").unwrap();
        assert!(admin.remove(1).await.unwrap());
        let derived = rebuild::<first::Address>(&app).await;
        let by_hand = timeout(PATIENCE, rebuild::<by_hand::Address>(&app)).await.unwrap();
        assert_eq!(by_hand.statuses()[0].generation(), 3);
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<by_hand::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome");
        for worker in [city, derived, by_hand] {
            worker.stop().await.unwrap();
        }
    }
}

/// A program of an older version of Highwater stops at a definition that it can't decode, and its other projections go on.
#[tokio::test(flavor = "multi_thread")]
async fn r7_a_program_that_cannot_decode_a_definition_stops_and_builds_nothing() {
    for bank in built().await {
        let Bank::Sqlite(folder) = &bank else { continue };
        let url = format!("sqlite:{}", folder.path().join("bank.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let newer = "update bank_views set definition = json_set(definition, '$.more', 1), \
                     definition_hash = 7 where view = 'addresses'";
        sqlx::query(newer).execute(&mut connection).await.unwrap();
        let app = bank.open().await;
        let worker = Worker::new(&app)
            .view_with::<first::Address>(rebuilding())
            .view_with::<Balance>(rebuilding())
            .start()
            .await
            .unwrap();
        let mut refused = worker.status("addresses").unwrap().clone();
        let state = timeout(PATIENCE, refused.until(ProjectionState::is_stopped)).await.unwrap();
        let error = state.error().unwrap().to_string();
        assert!(error.contains("a newer version of Highwater"), "{error}");
        let mut other = worker.status("balances").unwrap().clone();
        timeout(PATIENCE, other.until(|state| state.name() == "running")).await.unwrap();
        assert_eq!(generations(&app, "addresses").await.len(), 1);
        worker.stop().await.unwrap_err();
    }
}

/// A program that stops at a change is told what it is, however many generations there are.
#[tokio::test(flavor = "multi_thread")]
async fn r5_a_program_that_builds_nothing_stops_beside_generations_of_others() {
    for bank in built().await {
        let app = bank.open().await;
        let worker = rebuild::<with_field::Address>(&app).await;
        until_live(&app, "addresses", 2).await;
        is_refused(start::<by_city::Address>(&app).await, "by key").await;
        is_not_read::<by_city::Address>(&app, "by key").await;
        assert_eq!(generations(&app, "addresses").await.len(), 2);
        worker.stop().await.unwrap();
        let old = start::<first::Address>(&app).await;
        until_running(&old).await;
        old.stop().await.unwrap();
        let new = start::<with_field::Address>(&app).await;
        until_running(&new).await;
        new.stop().await.unwrap();
    }
}

/// Workers of both versions are members of groups of their own, and none takes a partition from the other version.
#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r5_kafka_a_changed_view_is_built_beside_the_old_one_and_both_go_on() {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};
    use highwater_test_support::services;

    let test = "r5_kafka_a_changed_view_is_built_beside_the_old_one_and_both_go_on";
    let Some(servers) = services::kafka_servers(test) else { return };
    for bank in banks() {
        let (old_app, app) = (bank.open().await, bank.open().await);
        let kafka = Kafka::at(&servers);
        let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
        let relay = Relay::new(&app, kafka.clone(), topics.clone()).partitions(3);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
        let fed = |app: &Highwater| {
            Worker::new(app).fed_by(KafkaSource::new(app, kafka.clone(), topics.clone()))
        };
        let old = fed(&old_app).view::<first::Address>().start().await.unwrap();
        for person in PEOPLE {
            move_to(&app, person, "Oslo").await;
        }
        let worker =
            fed(&app).view_with::<with_field::Address>(rebuilding()).start().await.unwrap();
        until_live(&app, "addresses", 2).await;
        let mut last = move_to(&app, "ann", "Rome").await;
        for person in PEOPLE {
            last = move_to(&app, person, "Bern").await;
        }
        let new = app.view::<with_field::Address>().range(.., 10).after(&last).within(PATIENCE);
        let new = new.await.unwrap();
        let moves: Vec<_> = new.rows.rows.iter().map(|(_, row)| (&*row.city, row.moves)).collect();
        let twice = ("Bern", 2);
        assert_eq!(moves, [("Bern", 3), twice, twice, twice, twice, twice]);
        let seen = old_app.view::<first::Address>().range(.., 10).after(&last).within(PATIENCE);
        assert!(seen.await.unwrap().rows.rows.iter().all(|(_, row)| row.city == "Bern"));
        old.stop().await.unwrap();
        worker.stop().await.unwrap();
        stop.send(()).unwrap();
        relay.await.unwrap().unwrap();
    }
}
