//! HW701: a panic of application code is an error that names the code and its input, and nothing is appended.

use std::sync::atomic::{AtomicBool, Ordering};

use highwater::{
    Code, Error, Highwater, Position, Version,
    domain::{EventType, Targeted},
    port::NewEvent,
    prelude::*,
    stores::testing::build,
    value::SchemaVersion,
};
use highwater_test_support::bank::banks;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Weights, each of which makes one piece of code panic.
const UNWRITABLE: u64 = 13;
const UNREADABLE: u64 = 14;
const UNENCODABLE: u64 = 15;
const HOMELESS: u64 = 16;
const TOO_OLD: u64 = 17;

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "parcel")]
enum ParcelEvent {
    #[event(version = 2, upcast(WeighedV1))]
    Weighed { grams: u64 },
}

#[derive(Deserialize)]
struct WeighedV1 {
    pounds: u64,
}

impl Upcast for WeighedV1 {
    type Next = ParcelEvent;

    fn upcast(self) -> Vec<ParcelEvent> {
        assert_ne!(self.pounds, TOO_OLD, "too old");
        vec![ParcelEvent::Weighed { grams: self.pounds * 500 }]
    }
}

/// True once the snapshot is stored: one that can't be read when it is taken is not stored.
static IS_UNREADABLE: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Default, Clone, PartialEq)]
struct Grams(u64);

impl Serialize for Grams {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, UNWRITABLE, "can't be written");
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Grams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let grams = u64::deserialize(deserializer)?;
        if IS_UNREADABLE.load(Ordering::SeqCst) {
            assert_ne!(grams, UNREADABLE, "can't be read");
        }
        Ok(Self(grams))
    }
}

#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = ParcelEvent, snapshot(every = 1))]
struct Parcel {
    grams: Grams,
}

impl Parcel {
    fn apply(&mut self, event: &ParcelEvent) {
        let ParcelEvent::Weighed { grams } = event;
        self.grams = Grams(*grams);
    }
}

struct Weigh {
    grams: u64,
}

impl Command for Weigh {
    const NAME: &'static str = "weigh";

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        assert_ne!(self.grams, UNENCODABLE, "no such weight");
        serde_json::to_writer(out, &self.grams)
    }
}

impl Decide<Weigh> for Parcel {
    fn decide(&self, weigh: &Weigh, _: &Context) -> Decision<ParcelEvent> {
        Ok(vec![ParcelEvent::Weighed { grams: weigh.grams }])
    }
}

impl Targeted for Weigh {
    type Aggregate = Parcel;

    fn target(&self) -> String {
        assert_ne!(self.grams, HOMELESS, "no such parcel");
        "p".to_owned()
    }
}

fn assert_panicked(error: &Error, place: &str, message: &str) {
    assert_eq!(error.code(), Code::PANICKED, "{error}");
    assert_eq!(error.to_string(), format!("{place} panicked: {message}"));
}

/// The message of `assert_ne` with a message of its own.
fn unequal(value: u64, message: &str) -> String {
    format!("assertion `left != right` failed: {message}\n  left: {value}\n right: {value}")
}

async fn weigh(bank: &Highwater, grams: u64) -> highwater::Result<Receipt> {
    bank.execute(Weigh { grams }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_encoding_or_the_target_of_a_command_is_an_error() {
    for store in banks() {
        let bank = store.open().await;
        let unencodable = weigh(&bank, UNENCODABLE).await.unwrap_err();
        let message = unequal(UNENCODABLE, "no such weight");
        assert_panicked(&unencodable, "encoding of command weigh on parcel-p", &message);
        let homeless = weigh(&bank, HOMELESS).await.unwrap_err();
        let message = unequal(HOMELESS, "no such parcel");
        assert_panicked(&homeless, "target of command weigh", &message);
        assert_eq!(bank.log().head().await.unwrap(), Position::START);
        weigh(&bank, 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_encoding_of_a_snapshot_only_costs_the_snapshot() {
    for store in banks() {
        let bank = store.open().await;
        weigh(&bank, UNWRITABLE).await.unwrap();
        let stream = StreamId::new("parcel", "p").unwrap();
        assert_eq!(bank.snapshots().load_snapshot(&stream).await.unwrap(), None);
        let parcel = store.open().await.aggregate::<Parcel>("p").load(AsOf::Now).await.unwrap();
        assert_eq!(parcel.grams, Grams(UNWRITABLE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_decoding_of_a_snapshot_is_an_error() {
    for store in banks() {
        IS_UNREADABLE.store(false, Ordering::SeqCst);
        weigh(&store.open().await, UNREADABLE).await.unwrap();
        IS_UNREADABLE.store(true, Ordering::SeqCst);
        let parcel = store.open().await.aggregate::<Parcel>("p").load(AsOf::Now).await;
        let message = unequal(UNREADABLE, "can't be read");
        let place = "decoding of the snapshot of stream parcel-p";
        assert_panicked(&parcel.unwrap_err(), place, &message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_an_upcaster_is_an_error_that_names_the_event() {
    for store in banks() {
        let bank = store.open().await;
        let stream = StreamId::new("parcel", "p").unwrap();
        let event = NewEvent {
            event_type: EventType { name: "parcel.weighed", version: SchemaVersion::FIRST },
            payload: format!(r#"{{"pounds":{TOO_OLD}}}"#).into(),
            ..build::event()
        };
        bank.log().append(build::append_one(&stream, event)).await.unwrap();
        let loaded = bank.aggregate::<Parcel>("p").load(AsOf::Now).await.unwrap_err();
        let executed = weigh(&bank, 1).await.unwrap_err();
        for error in [loaded, executed] {
            let place = "apply of event parcel.weighed at 1 of stream parcel-p";
            assert_panicked(&error, place, &unequal(TOO_OLD, "too old"));
        }
        assert_eq!(bank.log().head().await.unwrap().get(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_resolver_is_an_error() {
    for store in banks() {
        let bank = store.open().await;
        let panics = |_: &[ParcelEvent], _: &[ParcelEvent]| panic!("undecided");
        let parcel = bank.aggregate::<Parcel>("p").resolving(panics);
        parcel.execute(Weigh { grams: 1 }).await.unwrap();
        let stale = Request::new(Weigh { grams: 2 }).expecting(Version::NONE);
        let error = parcel.execute(stale).await.unwrap_err();
        assert_panicked(&error, "resolver of command weigh on parcel-p", "undecided");
        parcel.execute(Weigh { grams: 3 }).await.unwrap();
        assert_eq!(bank.log().head().await.unwrap().get(), 2);
    }
}

/// A boundary one part of which panics.
#[derive(Decider, Clone)]
#[decider(event = ParcelEvent)]
struct Route {
    panicking: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Query,
    Stream,
    Apply,
    Decide,
    None,
}

impl Route {
    fn reach(&self, part: Part) {
        assert!(self.panicking != part, "lost its way");
    }

    fn apply(&mut self, _: &ParcelEvent) {
        self.reach(Part::Apply);
    }
}

impl Boundary for Route {
    fn query(&self) -> Query {
        self.reach(Part::Query);
        Query::types(["parcel.weighed"])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        self.reach(Part::Stream);
        Ok(StreamId::new("parcel", "p")?)
    }
}

impl Decide<Weigh> for Route {
    fn decide(&self, weigh: &Weigh, _: &Context) -> Decision<ParcelEvent> {
        self.reach(Part::Decide);
        Ok(vec![ParcelEvent::Weighed { grams: weigh.grams }])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_any_part_of_a_boundary_is_an_error() {
    for store in banks() {
        let bank = store.open().await;
        weigh(&bank, 1).await.unwrap();
        for (panicking, place) in [
            (Part::Query, "query of boundary commands::panics::Route"),
            (Part::Stream, "stream of boundary commands::panics::Route"),
            (Part::Apply, "apply of event parcel.weighed at 1 of stream parcel-p"),
            (Part::Decide, "decision of command weigh on parcel-p"),
        ] {
            let route = bank.boundary(Route { panicking });
            let error = route.execute(Weigh { grams: 2 }).await.unwrap_err();
            assert_panicked(&error, place, "lost its way");
            if matches!(panicking, Part::Query | Part::Apply) {
                assert_panicked(&route.load().await.map(drop).unwrap_err(), place, "lost its way");
            }
        }
        assert_eq!(bank.log().head().await.unwrap().get(), 1);
        bank.boundary(Route { panicking: Part::None }).execute(Weigh { grams: 2 }).await.unwrap();
    }
}
