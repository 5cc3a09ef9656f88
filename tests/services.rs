//! Decisions with services and the time from outside.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{sync::Arc, time::Duration};

use highwater::{prelude::*, stores, stores::MemoryStore, testing::ManualClock};

struct Fee(u64);

#[derive(Event, Debug, PartialEq)]
#[event(prefix = "fee")]
enum FeeEvent {
    Charged {
        #[event(tag)]
        payer: String,
        cents: u64,
        at: Timestamp,
    },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = FeeEvent, services = Fee)]
struct Payer {
    charged: Vec<(u64, Timestamp)>,
}

impl Payer {
    fn apply(&mut self, FeeEvent::Charged { cents, at, .. }: &FeeEvent) {
        self.charged.push((*cents, *at));
    }
}

/// Everything that was charged to one payer, over all streams.
#[derive(Decider, Clone)]
#[decider(event = FeeEvent, services = Fee)]
struct Charged {
    cents: u64,
}

impl Charged {
    fn apply(&mut self, FeeEvent::Charged { cents, .. }: &FeeEvent) {
        self.cents += cents;
    }
}

impl Boundary for Charged {
    fn query(&self) -> Query {
        Query::tags([Tag::new("payer", "ann")])
    }

    fn stream(&self) -> highwater::Result<StreamId> {
        Ok(StreamId::new("payer", "total")?)
    }
}

#[derive(Command)]
struct Charge;

fn charged(fee: &Context<Fee>) -> FeeEvent {
    FeeEvent::Charged { payer: "ann".to_owned(), cents: fee.0, at: fee.now }
}

impl Decide<Charge> for Payer {
    fn decide(&self, _: &Charge, fee: &Context<Fee>) -> Decision<FeeEvent> {
        Ok(vec![charged(fee)])
    }
}

impl Decide<Charge> for Charged {
    fn decide(&self, _: &Charge, fee: &Context<Fee>) -> Decision<FeeEvent> {
        Ok(vec![charged(fee)])
    }
}

#[tokio::test]
async fn a_decision_sees_the_services_of_its_handle_and_the_time_of_the_clock() {
    let clock = ManualClock::default();
    let app = stores::on(MemoryStore::default()).clock(clock.clone()).build();
    let start = Timestamp::UNIX_EPOCH;
    let hour = Duration::from_secs(3600);
    for fee in [5, 7] {
        app.aggregate_with::<Payer>("one", Arc::new(Fee(fee))).execute(Charge).await.unwrap();
        clock.advance(hour);
    }
    let both = app
        .atomically()
        .on_with::<Payer, _>("one", Charge, Arc::new(Fee(11)))
        .on_with::<Payer, _>("two", Charge, Arc::new(Fee(13)));
    both.execute().await.unwrap();
    app.boundary_with(Charged { cents: 0 }, Arc::new(Fee(17))).execute(Charge).await.unwrap();

    let state = |key| app.aggregate_with::<Payer>(key, Arc::new(Fee(0)));
    let one = state("one").load(AsOf::Now).await.unwrap();
    assert_eq!(one.charged, [(5, start), (7, start + hour), (11, start + 2 * hour)]);
    assert_eq!(state("two").load(AsOf::Now).await.unwrap().charged, [(13, start + 2 * hour)]);
    let total = app.boundary_with(Charged { cents: 0 }, Arc::new(Fee(0))).load().await.unwrap();
    assert_eq!(total.cents, 5 + 7 + 11 + 13 + 17);
}
