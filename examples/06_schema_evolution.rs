//! An evolved schema: older programs have written to the log, and today's program reads all of it.
//! Stored events are never changed; upcasters convert them to today's form.
//!
//! `cargo run --example 06_schema_evolution`

mod place;

use std::error::Error;

use highwater::{
    Code,
    domain::{EventType, Fingerprinter},
    follow::UnknownEvents,
    port::{Append, Ids, NewEvent},
    prelude::*,
    stores::SystemIds,
    value::{Expected, SchemaVersion, Tags},
};
use serde::Deserialize;

/// `plan.created` is an earlier name of `plan.started`; `plan.mail_sent` is retired.
#[derive(Event)]
#[event(prefix = "plan", retired("plan.mail_sent"))]
enum PlanEvent {
    #[event(version = 3, upcast(StartedV1, StartedV2), formerly("plan.created"))]
    Started { amount: u64, currency: String },
    #[event(version = 2, upcast(SeatsAddedV1), formerly("plan.seats_added"))]
    SeatAdded { user: String },
}

/// Version 1 had whole euros, version 2 cents, and today there is a currency.
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
        vec![PlanEvent::Started { amount: self.cents, currency: "EUR".to_owned() }]
    }
}

/// One old event stands for several of today's, or for none.
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

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = PlanEvent)]
struct Plan {
    price: String,
    seats: Vec<String>,
}

impl Plan {
    fn apply(&mut self, event: &PlanEvent) {
        match event {
            PlanEvent::Started { amount, currency } => self.price = format!("{amount} {currency}"),
            PlanEvent::SeatAdded { user } => self.seats.push(user.clone()),
        }
    }
}

type Stored = (&'static str, u32, &'static str);

const OLDEST: [Stored; 4] = [
    ("plan.created", 1, r#"{"euros":12}"#),
    ("plan.seats_added", 1, r#"{"users":["ann","bob"]}"#),
    ("plan.mail_sent", 1, r#"{"subject":"welcome"}"#),
    ("plan.seats_added", 1, r#"{"users":[]}"#),
];
const OLDER: [Stored; 2] =
    [("plan.started", 2, r#"{"cents":990}"#), ("plan.seat_added", 2, r#"{"user":"eve"}"#)];
const OF_TOMORROW: [Stored; 2] =
    [("plan.started", 3, r#"{"amount":700,"currency":"CHF"}"#), ("plan.gifted", 1, "{}")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = place::sqlite("highwater-schema.db");
    let app = Highwater::open(&url).await?;
    for (key, events) in [("oldest", &OLDEST[..]), ("older", &OLDER), ("tomorrow", &OF_TOMORROW)] {
        write_as_another_program(&app, key, events).await?;
    }

    for key in ["oldest", "older"] {
        let plan = app.aggregate::<Plan>(key).load(AsOf::Now).await?;
        println!("{key}: {} for {:?} from {} stored events", plan.price, plan.seats, plan.version);
    }
    let oldest = app.aggregate::<Plan>("oldest").load(AsOf::Now).await?;
    assert_eq!((oldest.price.as_str(), oldest.seats.len()), ("1200 EUR", 2));

    // An unknown event type is an error, unless it is declared as retired.
    let unknown = app.aggregate::<Plan>("tomorrow").load(AsOf::Now).await;
    let error = unknown.err().ok_or("plan.gifted is unknown here")?;
    assert_eq!(error.code(), Code::UNKNOWN_EVENT);
    println!("tomorrow ({}): {error}", error.code());
    let lenient = Highwater::builder(&url).await?.unknown_events(UnknownEvents::Skip).build();
    let plan = lenient.aggregate::<Plan>("tomorrow").load(AsOf::Now).await?;
    println!("tomorrow, without what isn't known: {} at version {}", plan.price, plan.version);

    println!("next: cargo run --example 07_time_travel");
    Ok(())
}

/// Appends through the port, without types and upcasters. The command id makes a repetition harmless.
async fn write_as_another_program(
    app: &Highwater,
    key: &str,
    events: &[Stored],
) -> highwater::Result<()> {
    let event = |&(name, version, payload): &Stored| NewEvent {
        id: SystemIds.event_id(),
        event_type: EventType { name, version: SchemaVersion::new(version) },
        tags: Tags::none(),
        payload: payload.into(),
    };
    let command = CommandId::derive(["06_schema_evolution", key]);
    let append = Append::new(command, Fingerprinter::default().with(key).finish()).stream(
        StreamId::new(Plan::CATEGORY, key)?,
        Expected::Any,
        events.iter().map(event).collect(),
    );
    app.log().append(append).await.map(drop)
}
