//! Events that other versions of a program have written, on every store.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use highwater::{
    Code, Version,
    domain::{EventType, Fingerprinter},
    follow::UnknownEvents,
    port::{Append, NewEvent},
    prelude::*,
    value::{EventId, Expected, SchemaVersion, Tags},
};
use highwater_test_support::bank::banks;
use serde::Deserialize;

#[derive(Event)]
#[event(prefix = "plan", retired("plan.mail_sent"))]
enum PlanEvent {
    #[event(version = 3, upcast(StartedV1, StartedV2), formerly("plan.created"))]
    Started { cents: u64, currency: String },
    #[event(version = 2, upcast(SeatsAddedV1), formerly("plan.seats_added"))]
    SeatAdded { user: String },
}

#[derive(Deserialize)]
struct StartedV1 {
    euros: u64,
}

impl Upcast for StartedV1 {
    type Next = StartedV2;

    fn upcast(self) -> Vec<StartedV2> {
        vec![StartedV2 { cents: self.euros * 100 }]
    }
}

#[derive(Deserialize)]
struct StartedV2 {
    cents: u64,
}

impl Upcast for StartedV2 {
    type Next = PlanEvent;

    fn upcast(self) -> Vec<PlanEvent> {
        vec![PlanEvent::Started { cents: self.cents, currency: "EUR".to_owned() }]
    }
}

#[derive(Deserialize)]
struct SeatsAddedV1 {
    users: Vec<String>,
}

impl Upcast for SeatsAddedV1 {
    type Next = PlanEvent;

    fn upcast(self) -> Vec<PlanEvent> {
        self.users.into_iter().map(|user| PlanEvent::SeatAdded { user }).collect()
    }
}

#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = PlanEvent)]
struct Plan {
    price: String,
    seats: Vec<String>,
}

impl Plan {
    fn apply(&mut self, event: &PlanEvent) {
        match event {
            PlanEvent::Started { cents, currency } => self.price = format!("{cents} {currency}"),
            PlanEvent::SeatAdded { user } => self.seats.push(user.clone()),
        }
    }
}

type Stored = (&'static str, u32, &'static str);

/// Appends to the stream of the plan `team`, past types and upcasters.
async fn write(app: &Highwater, events: &[Stored]) {
    let event = |(index, &(name, version, payload)): (usize, &Stored)| NewEvent {
        id: EventId::from_uuid(*CommandId::derive([name, &index.to_string()]).as_uuid()),
        event_type: EventType { name, version: SchemaVersion::new(version) },
        tags: Tags::none(),
        payload: payload.into(),
    };
    let stream = StreamId::new(Plan::CATEGORY, "team").unwrap();
    let events = events.iter().enumerate().map(event).collect();
    let command = CommandId::derive(["another program"]);
    let append = Append::new(command, Fingerprinter::default().finish());
    app.log().append(append.stream(stream, Expected::NoStream, events)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_older_schemas_folds_to_its_current_meaning() {
    for bank in banks() {
        let app = bank.open().await;
        let history = [
            ("plan.created", 1, r#"{"euros":12}"#),
            ("plan.seats_added", 1, r#"{"users":["ann","bob"]}"#),
            ("plan.seats_added", 1, r#"{"users":[]}"#),
            ("plan.mail_sent", 1, r#"{"anything":true}"#),
            ("plan.seat_added", 2, r#"{"user":"eve"}"#),
            ("plan.started", 2, r#"{"cents":990}"#),
        ];
        write(&app, &history).await;
        let team = app.aggregate::<Plan>("team");
        let seats = ["ann", "bob", "eve"].map(str::to_owned).to_vec();
        let then = team.load(AsOf::Version(Version::new(5))).await.unwrap();
        assert_eq!(then.state, Plan { price: "1200 EUR".to_owned(), seats: seats.clone() });
        let now = team.load(AsOf::Now).await.unwrap();
        assert_eq!(now.state, Plan { price: "990 EUR".to_owned(), seats });
        assert_eq!(now.version, Version::new(6));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_type_fails_a_load_unless_it_may_be_skipped() {
    for bank in banks() {
        let strict = bank.open().await;
        let started = ("plan.started", 3, r#"{"cents":7,"currency":"CHF"}"#);
        write(&strict, &[started, ("plan.gifted", 1, "{}")]).await;
        let error = strict.aggregate::<Plan>("team").load(AsOf::Now).await.unwrap_err();
        assert_eq!(error.code(), Code::UNKNOWN_EVENT);

        let lenient = bank.builder().await.unknown_events(UnknownEvents::Skip).build();
        let team = lenient.aggregate::<Plan>("team").load(AsOf::Now).await.unwrap();
        assert_eq!((team.price.as_str(), team.version), ("7 CHF", Version::new(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_newer_or_broken_is_never_skipped() {
    for (event, code) in [
        (("plan.started", 4, "{}"), Code::NEWER_EVENT),
        (("plan.started", 3, r#"{"cents":7}"#), Code::UNDECODABLE),
    ] {
        for bank in banks() {
            let app = bank.builder().await.unknown_events(UnknownEvents::Skip).build();
            write(&app, &[event]).await;
            let error = app.aggregate::<Plan>("team").load(AsOf::Now).await.unwrap_err();
            assert_eq!(error.code(), code);
        }
    }
}
