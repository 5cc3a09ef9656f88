//! Read models in workers: a view whose rows can be queried by other columns than their key, work that is
//! shared by workers, and a key that is parked because its events can't be applied.
//!
//! `cargo run --example 12_workers`

mod place;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use highwater::{
    prelude::*,
    projection::ParkedKeys,
    value::FreshnessStatus,
    worker::{OnFailure, ProjectionOptions},
};

#[derive(Event)]
#[event(prefix = "parcel")]
enum ParcelEvent {
    Sent { to: String, grams: i64 },
    Delivered,
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = ParcelEvent)]
struct Parcel {
    to: Option<String>,
}

impl Parcel {
    fn apply(&mut self, event: &ParcelEvent) {
        if let ParcelEvent::Sent { to, .. } = event {
            self.to = Some(to.clone());
        }
    }
}

#[derive(Command)]
struct Send {
    to: String,
    grams: i64,
}

impl Decide<Send> for Parcel {
    fn decide(&self, send: &Send, _: &Context) -> Decision<ParcelEvent> {
        Ok(vec![ParcelEvent::Sent { to: send.to.clone(), grams: send.grams }])
    }
}

/// The parcels on their way to a town. A row has the events of many streams.
#[derive(View, Default, Clone)]
#[view(event = ParcelEvent, name = "towns", index(grams))]
struct Town {
    #[view(column)]
    grams: i64,
    parcels: u64,
}

/// True while the scales are broken, so that there is something to repair.
static SCALES_ARE_BROKEN: AtomicBool = AtomicBool::new(true);

impl Town {
    fn key(event: &ParcelEvent, _: &Envelope) -> Option<String> {
        match event {
            ParcelEvent::Sent { to, .. } => Some(to.clone()),
            ParcelEvent::Delivered => None,
        }
    }

    fn fold(&mut self, event: &ParcelEvent, _: &Envelope) -> Result<(), String> {
        let ParcelEvent::Sent { grams, .. } = event else { return Ok(()) };
        if *grams > 30_000 && SCALES_ARE_BROKEN.load(Ordering::Relaxed) {
            return Err(format!("the scales can't weigh {grams} g"));
        }
        self.grams += grams;
        self.parcels += 1;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = place::sqlite("highwater-workers.db");
    let post = Highwater::open(&url).await?;

    // Four shards, two workers: each holds two, and may take those of the other.
    let options =
        ProjectionOptions::default().shards(4).on_failure(OnFailure::Park { at_most: 10 });
    let worker = Worker::new(&post).view_with::<Town>(options).start().await?;
    let other = Worker::new(&post).view_with::<Town>(options).start().await?;

    let run = post.log().head().await?;
    let send = |number: u64, to: &str, grams| {
        let (parcel, to) = (post.aggregate::<Parcel>(format!("{run}-{number}")), to.to_owned());
        async move { parcel.execute(Send { to, grams }).await }
    };
    send(1, "Oslo", 700).await?;
    send(2, "Rome", 40_000).await?;
    send(3, "Rome", 900).await?;
    let receipt = send(4, "Oslo", 800).await?;

    let towns = post.view::<Town>();
    let oslo = towns.get("Oslo").after(&receipt).await?;
    println!("Oslo: {} parcels, {} g, {}", oslo.parcels, oslo.grams, oslo.freshness());
    let rome = towns.get("Rome").after(&receipt).find().await?;
    println!("Rome: {}", rome.freshness());
    assert!(matches!(rome.freshness().status(), FreshnessStatus::Degraded(_)));

    let parked = ParkedKeys::of(&post, "towns")?;
    for key in parked.list(None, 10).await? {
        println!("parked: {} since {}, {} wait: {}", key.key, key.since, key.queued, key.error);
    }

    // The scales are repaired, and the queued events are applied in order.
    SCALES_ARE_BROKEN.store(false, Ordering::Relaxed);
    parked.retry("Rome").await?;
    while !parked.list(None, 1).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rome = towns.get("Rome").after(&receipt).await?;
    println!("Rome: {} parcels, {} g, {}", rome.parcels, rome.grams, rome.freshness());

    worker.stop().await?;
    other.stop().await?;
    println!("in {url}, try: select key from highwater_view_towns where grams > 1000");
    println!("next: cargo run --example 13_reads");
    Ok(())
}
