//! External services of a decision, here a price list and the time, are passed to it in the context.
//! Nothing is global: each handle has its own services, and the program that opens the log sets the clock.
//!
//! `cargo run --example 03_services`

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use highwater::{prelude::*, testing::ManualClock};

const HELD_FOR: Duration = Duration::from_secs(15 * 60);

struct PriceList(BTreeMap<&'static str, u64>);

impl PriceList {
    fn price_of(&self, item: &str) -> Result<u64, Rejection> {
        let unknown = || Rejection::new("on_the_list", "we don't sell this").with("item", item);
        self.0.get(item).copied().ok_or_else(unknown)
    }
}

/// The events record the price that was used, so they stay true when the price list changes.
#[derive(Event)]
#[event(prefix = "sale")]
enum SaleEvent {
    Offered { item: String, cents: u64, until: Timestamp },
    Sold { cents: u64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = SaleEvent, services = PriceList)]
struct Sale {
    cents: u64,
    until: Timestamp,
}

impl Sale {
    fn apply(&mut self, event: &SaleEvent) {
        match event {
            SaleEvent::Offered { cents, until, .. } => (self.cents, self.until) = (*cents, *until),
            SaleEvent::Sold { .. } => {}
        }
    }
}

#[derive(Command)]
struct Offer {
    item: String,
}

impl Decide<Offer> for Sale {
    fn decide(&self, offer: &Offer, context: &Context<PriceList>) -> Decision<SaleEvent> {
        let cents = context.price_of(&offer.item)?;
        let until = context.now + HELD_FOR;
        Ok(vec![SaleEvent::Offered { item: offer.item.clone(), cents, until }])
    }
}

#[derive(Command)]
struct Accept;

impl Decide<Accept> for Sale {
    fn decide(&self, _: &Accept, context: &Context<PriceList>) -> Decision<SaleEvent> {
        if context.now > self.until {
            let rejection = Rejection::new("in_time", "an offer is held for 15 minutes");
            return Err(rejection.with("until", self.until).with("now", context.now));
        }
        Ok(vec![SaleEvent::Sold { cents: self.cents }])
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::at("2025-03-01T09:00:00Z".parse()?);
    let shop = Highwater::builder("memory:").await?.clock(clock.clone()).build();
    let march = Arc::new(PriceList([("lamp", 90_00), ("chair", 75_00)].into()));
    let sales = Arc::new(PriceList([("lamp", 45_00)].into()));

    for (key, prices) in [("ann", &march), ("bob", &sales)] {
        let sale = shop.aggregate_with::<Sale>(key, Arc::clone(prices));
        sale.execute(Offer { item: "lamp".to_owned() }).await?;
        let offered = sale.load(AsOf::Now).await?;
        println!("{key} is offered a lamp for {} cents until {}", offered.cents, offered.until);
    }

    let bob = shop.aggregate_with::<Sale>("bob", Arc::clone(&sales));
    let unlisted = bob.execute(Offer { item: "chair".to_owned() }).await;
    let error = unlisted.err().ok_or("the chair is on no list of bob's")?;
    println!("bob wants a chair: {error}");
    assert_eq!(error.rejection().map(Rejection::name), Some("on_the_list"));

    // Decided with today's price list, which has the offer.
    clock.advance(HELD_FOR);
    let ann = shop.aggregate_with::<Sale>("ann", sales);
    ann.execute(Accept).await?;
    println!("ann accepts at the last moment, and pays {}", ann.load(AsOf::Now).await?.cents);
    assert_eq!(ann.load(AsOf::Now).await?.cents, 90_00);

    clock.advance(Duration::from_secs(1));
    let late = bob.execute(Accept).await;
    let error = late.err().ok_or("bob's offer has expired")?;
    println!("bob is late: {error}");
    assert_eq!(error.rejection().map(Rejection::name), Some("in_time"));

    println!("next: cargo run --example 04_retries");
    Ok(())
}
