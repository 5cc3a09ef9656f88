//! One aggregate, one command. The aggregate decides which events a command produces, and its state is folded from
//! these events; nothing else is stored.
//!
//! `cargo run --example 01_counter`

use highwater::prelude::*;

#[derive(Event)]
#[event(prefix = "counter")]
enum CounterEvent {
    Raised { by: u32 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = CounterEvent)]
struct Counter {
    value: u32,
}

impl Counter {
    fn apply(&mut self, CounterEvent::Raised { by }: &CounterEvent) {
        self.value += by;
    }
}

#[derive(Command)]
struct Raise {
    by: u32,
}

impl Decide<Raise> for Counter {
    fn decide(&self, raise: &Raise, _: &Context) -> Decision<CounterEvent> {
        Ok(vec![CounterEvent::Raised { by: raise.by }])
    }
}

#[tokio::main]
async fn main() -> highwater::Result<()> {
    let app = Highwater::open("memory:").await?;
    let counter = app.aggregate::<Counter>("visits");
    for by in 1..=3 {
        let receipt = counter.execute(Raise { by }).await?;
        println!("raised by {by}; token {}", receipt.token());
    }
    let counter = counter.load(AsOf::Now).await?;
    println!("the counter is at {} after {} events", counter.value, counter.version);
    assert_eq!(counter.value, 6);
    println!("next: cargo run --example 02_bank");
    Ok(())
}
