//! R4: application code that panics is a bug of the program (HW701). The panic is an error of its
//! event, for which the policy decides as for any event that can't be applied. It is never retried.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use highwater::{
    Code, Error, Highwater, Token, View, Views as _, Worker,
    domain::{FoldResult, KeyedBy, Keys, TransactionHook},
    port::ParkedKey,
    prelude::*,
    projection::{Handler, ParkedKeys, Projection, ReceivedEvent, Sink},
    stores::{self, MemoryStore},
    worker::{OnFailure, ProjectionOptions, ProjectionState, WorkerHandle},
};
use highwater_test_support::ledger::{LedgerEvent, Trace};
use serde::{Deserialize, Serialize};

use crate::parking::move_money;

const PARK: OnFailure = OnFailure::Park { at_most: 10 };

/// The poison event is the second one.
const POISON: i64 = 666;

fn open() -> Highwater {
    stores::on(MemoryStore::default()).build()
}

fn options(policy: OnFailure) -> ProjectionOptions {
    ProjectionOptions::default().on_failure(policy)
}

/// Appends four events, of which the second is the poison event, of `bob` and his partner `ann`.
async fn append(bank: &Highwater) -> Token {
    move_money(bank, "ann", &[], 1).await;
    move_money(bank, "bob", &["ann"], POISON).await;
    move_money(bank, "bob", &[], 3).await;
    move_money(bank, "ann", &[], 4).await
}

fn cents(event: &LedgerEvent) -> i64 {
    if let LedgerEvent::Moved { cents, .. } = event { *cents } else { 0 }
}

fn panic_if_poison(event: &LedgerEvent) {
    assert!(cents(event) != POISON, "the number of the beast");
}

async fn row<V: View>(bank: &Highwater, key: &str, token: &Token) -> V {
    let row = bank.view::<V>().get(key).after(token).within(Duration::from_secs(30));
    row.await.unwrap().into_value()
}

/// Waits until the projection stops, and checks that its error names the code, the event, its type and its
/// stream.
async fn stops(worker: WorkerHandle, name: &str, code: &str) {
    let mut status = worker.status(name).unwrap().clone();
    let stopped = status.until(ProjectionState::is_stopped).await;
    is_about_event_2(stopped.error().unwrap(), name, code);
    is_about_event_2(&worker.stop().await.unwrap_err(), name, code);
}

fn is_about_event_2(error: &Error, name: &str, code: &str) {
    assert_eq!(error.code(), Code::PANICKED);
    let place = ["event 2", "ledger.moved", "ledger-bob", "panicked: the number of the beast"];
    for word in [name, code].into_iter().chain(place) {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
}

/// Waits until a key is parked, and checks that its error names the panic.
async fn parked(bank: &Highwater, name: &str) -> ParkedKey {
    loop {
        let parked = ParkedKeys::of(bank, name).unwrap().list(None, 10).await.unwrap();
        if let [key] = parked.as_slice() {
            assert!(key.error.starts_with("HW701: "), "{}", key.error);
            assert_eq!(key.since.get(), 2);
            return key.clone();
        }
        assert!(parked.is_empty(), "{parked:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Defines a view of the amounts by customer and partner, with panics in its keys and in its fold.
macro_rules! view {
    ($view:ident, $name:literal, $keyed:expr, $in_keys:expr, $in_fold:expr) => {
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        struct $view(Trace);

        impl View for $view {
            type Event = LedgerEvent;
            const NAME: &'static str = $name;
            const KEYED_BY: KeyedBy = $keyed;

            fn keys(event: &LedgerEvent, envelope: &Envelope, keys: &mut Keys) {
                keys.push(envelope.stream.key());
                if let (LedgerEvent::Moved { partners, .. }, KeyedBy::Key) = (event, $keyed) {
                    partners.iter().for_each(|partner| keys.push(partner.as_str()));
                }
                if $in_keys {
                    panic_if_poison(event);
                }
            }

            fn fold(&mut self, event: &LedgerEvent, at: &EventContext<'_>) -> FoldResult {
                self.0.see(at.position.get(), cents(event));
                if $in_fold && at.key == "bob" {
                    panic_if_poison(event);
                }
                Ok(RowChange::Keep)
            }
        }
    };
}

view!(KeyPanics, "key_panics", KeyedBy::Key, true, false);
view!(KeyOfStreamPanics, "key_of_stream_panics", KeyedBy::Stream("ledger"), true, false);
view!(FoldPanics, "fold_panics", KeyedBy::Key, false, true);

async fn start<V: View>(bank: &Highwater, policy: OnFailure) -> WorkerHandle {
    Worker::new(bank).view_with::<V>(options(policy)).start().await.unwrap()
}

#[tokio::test]
async fn r4_a_key_that_panics_stops_the_view_unless_it_is_skipped() {
    for policy in [OnFailure::Stop, PARK] {
        let bank = open();
        append(&bank).await;
        stops(start::<KeyPanics>(&bank, policy).await, "key_panics", "key of view").await;
    }
    let bank = open();
    let token = append(&bank).await;
    let worker = start::<KeyPanics>(&bank, OnFailure::Skip).await;
    assert_eq!(row::<KeyPanics>(&bank, "bob", &token).await.0.seen, [3]);
    assert_eq!(row::<KeyPanics>(&bank, "ann", &token).await.0.seen, [1, 4]);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn r4_a_key_that_panics_is_parked_if_it_is_that_of_the_stream() {
    let bank = open();
    let token = append(&bank).await;
    let worker = start::<KeyOfStreamPanics>(&bank, PARK).await;
    assert_eq!(row::<KeyOfStreamPanics>(&bank, "ann", &token).await.0.seen, [1, 4]);
    let bob = parked(&bank, "key_of_stream_panics").await;
    assert_eq!((bob.key.as_str(), bob.queued), ("bob", 2));
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn r4_a_fold_that_panics_stops_the_view_or_parks_or_skips_its_key_alone() {
    let bank = open();
    append(&bank).await;
    let worker = start::<FoldPanics>(&bank, OnFailure::Stop).await;
    stops(worker, "fold_panics", "fold of view fold_panics, key \"bob\"").await;

    let bank = open();
    let token = append(&bank).await;
    let worker = start::<FoldPanics>(&bank, PARK).await;
    assert_eq!(row::<FoldPanics>(&bank, "ann", &token).await.0.seen, [1, 2, 4]);
    assert_eq!(parked(&bank, "fold_panics").await.key, "bob");
    worker.stop().await.unwrap();

    let bank = open();
    let token = append(&bank).await;
    let worker = start::<FoldPanics>(&bank, OnFailure::Skip).await;
    assert_eq!(row::<FoldPanics>(&bank, "ann", &token).await.0.seen, [1, 2, 4]);
    assert_eq!(row::<FoldPanics>(&bank, "bob", &token).await.0.seen, [3]);
    worker.stop().await.unwrap();
}

/// An amount whose decoder panics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "i64")]
struct PanickingCents(i64);

impl From<i64> for PanickingCents {
    fn from(cents: i64) -> Self {
        assert!(cents != POISON, "the number of the beast");
        Self(cents)
    }
}

#[derive(Event, Debug, Clone)]
#[event(prefix = "ledger")]
enum PanickingEvent {
    Moved { cents: PanickingCents },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct DecodingPanics(Vec<i64>);

impl View for DecodingPanics {
    type Event = PanickingEvent;
    const NAME: &'static str = "decoding_panics";

    fn keys(_: &PanickingEvent, envelope: &Envelope, keys: &mut Keys) {
        keys.push(envelope.stream.key());
    }

    fn fold(&mut self, event: &PanickingEvent, _: &EventContext<'_>) -> FoldResult {
        let PanickingEvent::Moved { cents } = event;
        self.0.push(cents.0);
        Ok(RowChange::Keep)
    }
}

#[tokio::test]
async fn r4_decoding_that_panics_stops_the_view_unless_it_is_skipped() {
    for policy in [OnFailure::Stop, PARK] {
        let bank = open();
        append(&bank).await;
        let worker = start::<DecodingPanics>(&bank, policy).await;
        stops(worker, "decoding_panics", "decoding of view").await;
    }
    let bank = open();
    let token = append(&bank).await;
    let worker = start::<DecodingPanics>(&bank, OnFailure::Skip).await;
    assert_eq!(row::<DecodingPanics>(&bank, "bob", &token).await.0, [3]);
    worker.stop().await.unwrap();
}

/// A projection that stores the positions of the events, and panics at the poison event.
#[derive(Clone, Default)]
struct Panicking {
    applied: Arc<Mutex<Vec<u64>>>,
    panics: Arc<Mutex<u32>>,
}

impl Panicking {
    fn apply(&self, events: &[ReceivedEvent<LedgerEvent>]) {
        if events.iter().any(|event| cents(event) == POISON) {
            *self.panics.lock().unwrap() += u32::from(events.len() == 1);
            panic!("the number of the beast");
        }
        let positions = events.iter().map(|event| event.envelope.position.get());
        self.applied.lock().unwrap().extend(positions);
    }

    /// Waits until the last event is applied, and returns the positions of all events.
    async fn until_applied(&self) -> Vec<u64> {
        loop {
            let applied = self.applied.lock().unwrap().clone();
            if applied.last() == Some(&4) {
                return applied;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Sink for Panicking {
    type Event = LedgerEvent;
    const NAME: &'static str = "panicking_sink";

    async fn put(&self, events: &[ReceivedEvent<LedgerEvent>]) -> highwater::Result<()> {
        self.apply(events);
        Ok(())
    }
}

impl Handler for Panicking {
    type Event = LedgerEvent;
    const NAME: &'static str = "panicking_handler";

    async fn handle(&self, event: &ReceivedEvent<LedgerEvent>, _: &str) -> highwater::Result<()> {
        self.apply(std::slice::from_ref(event));
        Ok(())
    }
}

impl Projection for Panicking {
    type Event = LedgerEvent;
    const NAME: &'static str = "panicking_projection";

    fn writes(&self, events: Vec<ReceivedEvent<LedgerEvent>>) -> Arc<dyn TransactionHook> {
        self.apply(&events);
        panic!("the memory store takes no hooks");
    }
}

/// Runs a sink or a handler under every policy.
async fn panics_under_every_policy(
    name: &str,
    add: impl Fn(Worker, Panicking, ProjectionOptions) -> Worker,
) {
    for policy in [OnFailure::Stop, PARK, OnFailure::Skip] {
        let bank = open();
        let effect = Panicking::default();
        let worker = add(Worker::new(&bank), effect.clone(), options(policy));
        let worker = worker.start().await.unwrap();
        append(&bank).await;
        match policy {
            OnFailure::Stop => stops(worker, name, name).await,
            OnFailure::Park { .. } => {
                assert_eq!(effect.until_applied().await, [1, 4]);
                assert_eq!(parked(&bank, name).await.key, "ledger-bob");
                worker.stop().await.unwrap();
            }
            OnFailure::Skip => {
                assert_eq!(effect.until_applied().await, [1, 3, 4]);
                worker.stop().await.unwrap();
            }
        }
        assert!(*effect.panics.lock().unwrap() <= 2, "a panic was retried");
    }
}

#[tokio::test]
async fn r4_a_sink_that_panics_stops_or_parks_or_skips_by_policy() {
    panics_under_every_policy("panicking_sink", Worker::sink).await;
}

#[tokio::test]
async fn r4_a_handler_that_panics_stops_or_parks_or_skips_by_policy() {
    panics_under_every_policy("panicking_handler", Worker::handler).await;
}

#[tokio::test]
async fn r4_a_projection_that_panics_stops_or_parks_by_policy() {
    let name = "panicking_projection";
    let start = async |bank: &Highwater, policy| {
        let effect = Panicking::default();
        Worker::new(bank).projection(effect, options(policy)).start().await.unwrap()
    };
    let bank = open();
    move_money(&bank, "ann", &[], POISON).await;
    move_money(&bank, "ann", &[], POISON).await;
    let worker = start(&bank, PARK).await;
    let parked = ParkedKeys::of(&bank, name).unwrap();
    while parked.list(None, 1).await.unwrap().first().is_none_or(|key| key.queued < 2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(parked.list(None, 1).await.unwrap()[0].error.starts_with("HW701: "));
    worker.stop().await.unwrap();

    let bank = open();
    move_money(&bank, "bob", &[], POISON).await;
    let worker = start(&bank, OnFailure::Stop).await;
    assert_eq!(
        worker
            .status(name)
            .unwrap()
            .clone()
            .until(ProjectionState::is_stopped)
            .await
            .error()
            .unwrap()
            .code(),
        Code::PANICKED
    );
    worker.stop().await.unwrap_err();
}
