//! Programs that change a view, and programs of both versions at once, on every store (R5): rows of another
//! definition are never folded on, and never returned as if they were this program's.
//!
//! Each module is a program. All of them give their view one name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![cfg(feature = "testing")]

use std::{collections::BTreeMap, time::Duration};

use highwater::{
    Code, Highwater, Position, Query, StreamId,
    domain::{EventType, ViewName},
    error::NextStep,
    port::NewEvent,
    prelude::*,
    projection::ParkedKeys,
    stores::testing::build,
    value::SchemaVersion,
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::{
    bank::{Bank, banks},
    run::seed,
};
use tokio::time::timeout;

/// The program that the others are changes of.
mod first {
    use highwater::prelude::*;

    #[derive(Event)]
    #[event(prefix = "person")]
    pub(crate) enum PersonEvent {
        Moved { city: String },
    }

    #[derive(Aggregate, Default, Clone)]
    #[aggregate(event = PersonEvent, category = "person")]
    pub(crate) struct Person;

    impl Person {
        fn apply(&mut self, _: &PersonEvent) {}
    }

    #[derive(Command)]
    pub(crate) struct Move(pub(crate) &'static str);

    impl Decide<Move> for Person {
        fn decide(&self, to: &Move, _: &Context) -> Decision<PersonEvent> {
            Ok(vec![PersonEvent::Moved { city: to.0.to_owned() }])
        }
    }

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The row has another field.
mod with_field {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
        pub(crate) moves: u32,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            self.moves += 1;
        }
    }
}

/// The row is the same, and has a column and an index.
mod with_column {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person, index(city))]
    pub(crate) struct Address {
        #[view(column)]
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The row is folded from another type of event, too.
mod with_type {
    use highwater::prelude::*;

    #[derive(Event)]
    #[event(prefix = "person")]
    pub(crate) enum PersonEvent {
        Moved { city: String },
        Left,
    }

    #[derive(Aggregate, Default, Clone)]
    #[aggregate(event = PersonEvent, category = "person")]
    pub(crate) struct Person;

    impl Person {
        fn apply(&mut self, _: &PersonEvent) {}
    }

    #[derive(Command)]
    pub(crate) struct Leave;

    impl Decide<Leave> for Person {
        fn decide(&self, _: &Leave, _: &Context) -> Decision<PersonEvent> {
            Ok(vec![PersonEvent::Left])
        }
    }

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            match event {
                PersonEvent::Moved { city } => self.city.clone_from(city),
                PersonEvent::Left => self.city.clear(),
            }
        }
    }
}

/// The row is of a city instead of a person.
mod by_city {
    use super::first::PersonEvent;
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses")]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn key(event: &PersonEvent, _: &Envelope) -> String {
            let PersonEvent::Moved { city } = event;
            city.clone()
        }

        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The view has another name.
mod renamed {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "homes", formerly("addresses"), by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
        }
    }
}

/// The time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The view has another name, and its row another field.
mod renamed_with_field {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "homes", formerly("addresses"), by_stream = Person)]
    pub(crate) struct Address {
        pub(crate) city: String,
        pub(crate) moves: u32,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            self.moves += 1;
        }
    }
}

/// The field of the column has another type.
mod with_number {
    use super::first::{Person, PersonEvent};
    use highwater::prelude::*;

    #[derive(View, Default, Clone, Debug, PartialEq)]
    #[view(event = PersonEvent, name = "addresses", by_stream = Person)]
    pub(crate) struct Address {
        #[view(column)]
        pub(crate) city: i64,
    }

    impl Address {
        fn fold(&mut self, event: &PersonEvent, _: &Envelope) {
            let PersonEvent::Moved { city } = event;
            self.city = i64::try_from(city.len()).unwrap();
        }
    }
}

/// The view is written by hand, and names no fields.
mod by_hand {
    use super::first::PersonEvent;
    use highwater::{
        domain::{EventContext, FoldResult, KeyedBy, Keys, RowChange},
        prelude::*,
    };
    use serde::{Deserialize, Serialize};

    #[derive(Default, Clone, Debug, Serialize, Deserialize)]
    pub(crate) struct Address {
        pub(crate) city: String,
    }

    impl View for Address {
        type Event = PersonEvent;
        const NAME: &'static str = "addresses";
        const KEYED_BY: KeyedBy = KeyedBy::Stream("person");

        fn keys(_: &PersonEvent, envelope: &Envelope, keys: &mut Keys) {
            keys.push(envelope.stream.key());
        }

        fn fold(&mut self, event: &PersonEvent, _: &EventContext<'_>) -> FoldResult {
            let PersonEvent::Moved { city } = event;
            self.city.clone_from(city);
            Ok(RowChange::Keep)
        }
    }
}

async fn move_to(app: &Highwater, person: &str, city: &'static str) -> Receipt {
    app.aggregate::<first::Person>(person).execute(first::Move(city)).await.unwrap()
}

async fn leave(app: &Highwater, person: &str) -> Receipt {
    app.aggregate::<with_type::Person>(person).execute(with_type::Leave).await.unwrap()
}

async fn start<V: View>(app: &Highwater) -> WorkerHandle {
    Worker::new(app).view::<V>().start().await.unwrap()
}

/// Waits until a worker has stopped, and checks that its error names the view and this change.
async fn is_refused(worker: WorkerHandle, change: &str) {
    let mut status = worker.statuses()[0].clone();
    let stopped = timeout(PATIENCE, status.until(ProjectionState::is_stopped)).await;
    let stopped = stopped.unwrap_or_else(|_| panic!("it is {}", status.now()));
    let error = stopped.error().unwrap();
    assert_eq!(error.code(), Code::OTHER_DEFINITION, "{error}");
    assert_eq!(error.next_step(), NextStep::AskOperator);
    for words in ["addresses", change] {
        assert!(error.to_string().contains(words), "no {words:?} in: {error}");
    }
    worker.stop().await.unwrap_err();
}

/// Checks that a read at every level is refused for this change.
async fn is_not_read<V: View>(app: &Highwater, change: &str) {
    let view = app.view::<V>();
    let reads = [
        view.get("ann").await.map(drop),
        view.get("ann").strong().await.map(drop),
        view.get_many(["ann", "bob"]).await.map(drop),
        view.range(.., 10).await.map(drop),
        view.freshness().await.map(drop),
    ];
    for read in reads {
        let error = read.unwrap_err();
        assert_eq!(error.code(), Code::OTHER_DEFINITION, "{error}");
        assert!(error.to_string().contains(change), "no {change:?} in: {error}");
    }
}

/// Builds the view of the first program on every store, and ends that program.
async fn built() -> Vec<Bank> {
    let banks = banks();
    for bank in &banks {
        let app = bank.open().await;
        let worker = start::<first::Address>(&app).await;
        let receipt = move_to(&app, "ann", "Oslo").await;
        let ann = app.view::<first::Address>().get("ann").after(&receipt).await.unwrap();
        assert_eq!(ann.city, "Oslo");
        worker.stop().await.unwrap();
    }
    banks
}

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

/// The people of a race. Some leave while the new program starts.
const PEOPLE: [&str; 6] = ["ann", "bob", "eve", "kim", "lee", "sam"];

/// Folds the log without the code that workers use: the city of each person, empty after it was left.
async fn cities(app: &Highwater) -> BTreeMap<String, String> {
    let mut cities = BTreeMap::new();
    let mut events = app.follow(Query::all(), Position::START);
    let head = app.log().head().await.unwrap();
    let mut seen = Position::START;
    while seen < head {
        for event in events.next_page().await.unwrap().events {
            let city = serde_json::from_slice::<serde_json::Value>(&event.payload).unwrap();
            let city = city["city"].as_str().unwrap_or_default().to_owned();
            cities.insert(event.stream.key().to_owned(), city);
            seen = event.position;
        }
    }
    cities
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
        move_to(&app, "ann", "Bonn").await;
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
