//! Programs that stop at a change of a view, and changes that are adopted.

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    Code, Position, StreamId,
    domain::{EventType, ViewName},
    port::NewEvent,
    prelude::*,
    projection::ParkedKeys,
    stores::testing::build,
    value::SchemaVersion,
    worker::{OnFailure, ProjectionOptions, ProjectionState},
};
use highwater_test_support::{bank::banks, run::seed};
use tokio::time::timeout;

use crate::{
    PATIENCE, PEOPLE, built, cities, is_not_read, is_refused, leave, move_to,
    programs::{
        by_city, by_hand, first, renamed, renamed_with_field, with_column, with_field, with_number,
        with_type,
    },
    start,
};

#[tokio::test(flavor = "multi_thread")]
async fn r5_rows_of_another_form_are_neither_folded_on_nor_returned() {
    for bank in built().await {
        let app = bank.open().await;
        is_refused(start::<with_field::Address>(&app).await, "moves:u32").await;
        is_not_read::<with_field::Address>(&app, "moves:u32").await;
        let ann = app.view::<first::Address>().get("ann").await.unwrap();
        assert_eq!(ann.city, "Oslo", "the first program goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_rows_of_another_key_are_neither_folded_on_nor_returned() {
    for bank in built().await {
        let app = bank.open().await;
        is_refused(start::<by_city::Address>(&app).await, "by key").await;
        is_not_read::<by_city::Address>(&app, "by key").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_column_and_an_index_are_added_to_the_rows_that_are_there() {
    for bank in built().await {
        let app = bank.open().await;
        let worker = start::<with_column::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<with_column::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome");
        worker.stop().await.unwrap();
        assert_eq!(app.view::<first::Address>().get("ann").await.unwrap().city, "Rome");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_an_added_type_is_refused_if_an_event_of_it_was_passed_over() {
    for bank in built().await {
        let app = bank.open().await;
        let old = start::<first::Address>(&app).await;
        leave(&app, "bob").await;
        let receipt = move_to(&app, "ann", "Rome").await;
        app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        old.stop().await.unwrap();
        is_refused(start::<with_type::Address>(&app).await, "person.left was added").await;
        is_not_read::<with_type::Address>(&app, "person.left was added").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_an_added_type_without_events_is_adopted_and_the_old_workers_stop() {
    for bank in built().await {
        let old_app = bank.open().await;
        let app = bank.open().await;
        let old = start::<first::Address>(&old_app).await;
        // Before a worker has adopted it, the new program reads what is there: nothing is missing.
        let ann = app.view::<with_type::Address>().get("ann").await.unwrap();
        assert_eq!(ann.city, "Oslo");
        let worker = start::<with_type::Address>(&app).await;
        let receipt = leave(&app, "ann").await;
        let ann = app.view::<with_type::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "");
        is_refused(old, "person.left is no longer folded").await;
        is_refused(start::<first::Address>(&old_app).await, "person.left is no longer").await;
        worker.stop().await.unwrap();

        // The old program reads on, but it can't fold an event that it doesn't know.
        let seen = old_app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(seen.city, "");
        leave(&app, "ann").await;
        let strong = old_app.view::<first::Address>().get("ann").strong();
        let error = strong.within(Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.code(), Code::STALE_READ, "{error}");
        let strong = app.view::<with_type::Address>().get("ann").strong().await.unwrap();
        assert_eq!(strong.city, "");
    }
}

/// Old workers go on, and people leave, at random times around the start of the new program.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r5_an_adoption_that_races_with_the_first_event_of_the_type_loses_no_event() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut adopted = 0;
    for round in 0..8 {
        for bank in banks() {
            let old_app = bank.open().await;
            let app = bank.open().await;
            let old = start::<first::Address>(&old_app).await;
            let writer = app.clone();
            let leaves = random.u64(0..40);
            let writing = tokio::spawn(async move {
                for number in 0..40 {
                    let person = PEOPLE[number as usize % PEOPLE.len()];
                    let city = ["Oslo", "Rome"][number as usize / 6 % 2];
                    match number >= leaves && number % 3 == 0 {
                        true => leave(&writer, person).await,
                        false => move_to(&writer, person, city).await,
                    };
                }
            });
            tokio::time::sleep(Duration::from_micros(random.u64(..30_000))).await;
            let worker = start::<with_type::Address>(&app).await;
            writing.await.unwrap();
            let expected = cities(&app).await;
            let mut status = worker.statuses()[0].clone();
            let decided = |state: &ProjectionState| state.is_stopped() || state.name() == "running";
            let state = timeout(PATIENCE, status.until(decided)).await.unwrap();
            let all = app.view::<with_type::Address>().range(.., 10).strong();
            match (state.error(), all.within(PATIENCE).await) {
                (Some(refused), Err(error)) => {
                    assert_eq!(refused.code(), Code::OTHER_DEFINITION, "{refused}");
                    assert_eq!(error.code(), Code::OTHER_DEFINITION, "{error}");
                }
                (None, Ok(rows)) => {
                    let found =
                        rows.rows.rows.iter().map(|(key, row)| (key.clone(), row.city.clone()));
                    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "round {round}");
                    adopted += 1;
                }
                (state, read) => panic!("the worker: {state:?}, a reader: {read:?}"),
            }
            let _ = tokio::join!(old.stop(), worker.stop());
        }
    }
    println!("{adopted} were adopted, the others refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_rows_that_an_author_declares_right_are_adopted() {
    for bank in built().await {
        let old_app = bank.open().await;
        let app = bank.open().await;
        let old = start::<first::Address>(&old_app).await;
        app.view::<with_field::Address>().adopt_definition().await.unwrap();
        app.view::<with_field::Address>().adopt_definition().await.unwrap();
        is_refused(old, "its row was").await;
        is_not_read::<first::Address>(&old_app, "its row was").await;
        let worker = start::<with_field::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<with_field::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!((&*ann.city, ann.moves), ("Rome", 1));
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_view_that_was_renamed_is_not_built_anew_under_its_former_name() {
    for bank in built().await {
        let app = bank.open().await;
        let worker = start::<renamed::Address>(&app).await;
        is_refused(start::<first::Address>(&app).await, "renamed to homes").await;
        let former = ViewName::new("addresses").unwrap();
        let missing = app.views().read_view(&former, &[]).await.unwrap_err();
        assert_eq!(missing.code(), Code::VIEW_MISSING);
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<renamed::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome");
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_one_projection_of_another_definition_stops_and_the_others_go_on() {
    for bank in built().await {
        let app = bank.open().await;
        let worker = Worker::new(&app)
            .view::<with_field::Address>()
            .view::<highwater_test_support::bank::Balance>()
            .start()
            .await
            .unwrap();
        let mut refused = worker.status("addresses").unwrap().clone();
        timeout(PATIENCE, refused.until(ProjectionState::is_stopped)).await.unwrap();
        let mut other = worker.status("balances").unwrap().clone();
        other.until(|state| state.name() == "running").await;
        worker.stop().await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_program_that_is_refused_changes_nothing() {
    for bank in built().await {
        let app = bank.open().await;
        is_refused(start::<renamed_with_field::Address>(&app).await, "moves:u32").await;
        let column = start::<with_column::Address>(&app).await;
        column.stop().await.unwrap();
        is_refused(start::<with_number::Address>(&app).await, "city:i64").await;
        let worker = start::<first::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome", "the first program goes on");
        worker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_an_added_type_without_events_is_given_up_when_the_old_program_is_back() {
    for bank in built().await {
        let app = bank.open().await;
        let worker = start::<with_type::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Bonn").await;
        app.view::<with_type::Address>().get("ann").after(&receipt).await.unwrap();
        let change = "the program that folds it has the view";
        is_refused(start::<first::Address>(&app).await, change).await;
        worker.stop().await.unwrap();
        let old = start::<first::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<first::Address>().get("ann").after(&receipt).strong().await.unwrap();
        assert_eq!(ann.city, "Rome");
        old.stop().await.unwrap();
        let worker = start::<with_type::Address>(&app).await;
        let receipt = leave(&app, "ann").await;
        app.view::<with_type::Address>().get("ann").after(&receipt).await.unwrap();
        worker.stop().await.unwrap();
        is_refused(start::<first::Address>(&app).await, "of this type is in the rows").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_view_written_by_hand_does_not_hide_a_change_of_its_row() {
    for bank in built().await {
        let app = bank.open().await;
        let by_hand = start::<by_hand::Address>(&app).await;
        let derived = start::<first::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Rome").await;
        let ann = app.view::<by_hand::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Rome");
        by_hand.stop().await.unwrap();
        derived.stop().await.unwrap();
        app.view::<by_hand::Address>().adopt_definition().await.unwrap();
        is_refused(start::<with_field::Address>(&app).await, "moves:u32").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_an_event_of_a_newer_program_is_neither_parked_nor_skipped() {
    for on_failure in [OnFailure::Park { at_most: 10 }, OnFailure::Skip] {
        for bank in built().await {
            let app = bank.open().await;
            let newer = NewEvent {
                event_type: EventType { name: "person.moved", version: SchemaVersion::new(7) },
                ..build::event()
            };
            let ann = StreamId::new("person", "ann").unwrap();
            app.log().append(build::append_one(&ann, newer)).await.unwrap();
            let options = ProjectionOptions::default().on_failure(on_failure);
            let worker = Worker::new(&app).view_with::<first::Address>(options).start().await;
            let worker = worker.unwrap();
            let mut status = worker.statuses()[0].clone();
            let stopped = timeout(PATIENCE, status.until(ProjectionState::is_stopped)).await;
            assert_eq!(stopped.unwrap().error().unwrap().code(), Code::NEWER_EVENT);
            worker.stop().await.unwrap_err();
            let state = app.views().read_view(&ViewName::new("addresses").unwrap(), &[]).await;
            let state = state.unwrap().state;
            assert_eq!(state.least().position, Position::new(1), "it stands before the event");
            let parked = ParkedKeys::of(&app, "addresses").unwrap().list(None, 9).await.unwrap();
            assert!(parked.is_empty(), "{parked:?}");
        }
    }
}

/// Both programs are members of one consumer group, and neither releases its partitions because of the other.
#[cfg(feature = "kafka")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r5_kafka_an_added_type_without_events_is_adopted_and_the_old_workers_stop() {
    use highwater::kafka::{Kafka, KafkaSource, Relay, Topics};
    use highwater_test_support::services;

    let test = "r5_kafka_an_added_type_without_events_is_adopted_and_the_old_workers_stop";
    let Some(servers) = services::kafka_servers(test) else { return };
    for bank in banks() {
        let old_app = bank.open().await;
        let app = bank.open().await;
        let kafka = Kafka::at(&servers);
        let topics = Topics::one(format!("test-{:016x}", fastrand::u64(..)));
        let relay = Relay::new(&app, kafka.clone(), topics.clone()).partitions(3);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async { drop(stopped.await) }));
        let fed = |app: &Highwater| {
            Worker::new(app).fed_by(KafkaSource::new(app, kafka.clone(), topics.clone()))
        };
        let old = fed(&old_app).view::<first::Address>().start().await.unwrap();
        let mut last = move_to(&app, "ann", "Oslo").await;
        for person in PEOPLE {
            last = move_to(&app, person, "Oslo").await;
        }
        let seen = old_app.view::<first::Address>().get("sam").after(&last);
        seen.within(PATIENCE).await.unwrap();
        let worker = fed(&app).view::<with_type::Address>().start().await.unwrap();
        is_refused(old, "person.left is no longer folded").await;
        for person in PEOPLE {
            last = leave(&app, person).await;
        }
        let all = app.view::<with_type::Address>().range(.., 10).after(&last);
        let all = all.within(PATIENCE).await.unwrap();
        assert_eq!(all.rows.rows.len(), PEOPLE.len());
        assert!(all.rows.rows.iter().all(|(_, row)| row.city.is_empty()), "{:?}", all.rows);
        worker.stop().await.unwrap();
        stop.send(()).unwrap();
        relay.await.unwrap().unwrap();
    }
}
