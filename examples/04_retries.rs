//! Failures that are not the domain's: a response is lost, a request arrives twice, another process was faster. Two
//! handles on one file stand for two processes.
//!
//! `cargo run --example 04_retries`

mod place;

use highwater::{
    Code, Error,
    error::NextStep,
    execute::ConflictPolicy,
    prelude::*,
    stores::{
        self, MemoryStore,
        testing::{Faults, Faulty},
    },
};

#[derive(Event)]
#[event(prefix = "stock")]
enum StockEvent {
    Received { pieces: i64 },
    Shipped { pieces: i64 },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = StockEvent)]
#[invariant(never_oversold, "never ship more than there is")]
struct Stock {
    pieces: i64,
}

impl Stock {
    fn apply(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Received { pieces } => self.pieces += pieces,
            StockEvent::Shipped { pieces } => self.pieces -= pieces,
        }
    }

    fn never_oversold(&self) -> Check {
        Check::that(self.pieces >= 0).with("pieces", self.pieces)
    }
}

#[derive(Command)]
struct Receive {
    pieces: i64,
}

impl Decide<Receive> for Stock {
    fn decide(&self, receive: &Receive, _: &Context) -> Decision<StockEvent> {
        Ok(vec![StockEvent::Received { pieces: receive.pieces }])
    }
}

#[derive(Command)]
struct Ship {
    pieces: i64,
}

impl Decide<Ship> for Stock {
    fn decide(&self, ship: &Ship, _: &Context) -> Decision<StockEvent> {
        Ok(vec![StockEvent::Shipped { pieces: ship.pieces }])
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let url = place::sqlite("highwater-retries.db");
    let here = Highwater::open(&url).await?;
    let there = Highwater::builder(&url).await?.on_conflict(ConflictPolicy::Reject).build();
    request_sent_twice(&here, &there).await?;
    lost_response().await?;
    outdated_page(&here, &there).await?;
    concurrent_command(&here, &there).await?;
    println!("next: cargo run --example 05_boundary");
    Ok(())
}

/// The client has given the request an id, so it can be sent again to any process, even years later.
async fn request_sent_twice(here: &Highwater, there: &Highwater) -> Outcome {
    let id = CommandId::derive(["delivery note", "4711"]);
    let request = |pieces| Request::new(Receive { pieces }).id(id);
    let first = here.aggregate::<Stock>("lamps").execute(request(10)).await?;
    let again = there.aggregate::<Stock>("lamps").execute(request(10)).await?;
    assert_eq!(first, again);
    println!("sent twice, received once: both got the receipt {}", first.token());

    let other = here.aggregate::<Stock>("lamps").execute(request(99)).await;
    let error = other.err().ok_or("an id stood for two commands")?;
    assert_eq!(error.code(), Code::COMMAND_ID_REUSED);
    println!("refused ({}): {error}", error.code());
    Ok(())
}

/// The connection breaks after the commit. The error has the id for the retry.
async fn lost_response() -> Outcome {
    let store = MemoryStore::default();
    let reliable = stores::on(store.clone()).build();
    let faulty = stores::on(Faulty::new(store, Faults::seeded(1).lost(1.0)))
        .on_conflict(ConflictPolicy::Reject)
        .build();

    let lost = faulty.aggregate::<Stock>("lamps").execute(Receive { pieces: 5 }).await;
    let error = lost.err().ok_or("the answer should have been lost")?;
    println!("lost ({}): {error}", error.code());
    let Error::UnknownOutcome { command, .. } = error else { return Err(error.into()) };

    let lamps = reliable.aggregate::<Stock>("lamps");
    lamps.execute(Request::new(Receive { pieces: 5 }).id(command)).await?;
    let lamps = lamps.load(AsOf::Now).await?;
    println!("sent again with that id: there are {} pieces", lamps.pieces);
    assert_eq!(lamps.pieces, 5);
    Ok(())
}

/// The user decided on an outdated page, and has to decide again.
async fn outdated_page(here: &Highwater, there: &Highwater) -> Outcome {
    let lamps = here.aggregate::<Stock>("lamps");
    let page = lamps.load(AsOf::Now).await?;
    there.aggregate::<Stock>("lamps").execute(Ship { pieces: 1 }).await?;

    let stale = Request::new(Ship { pieces: page.pieces }).expecting(page.version);
    let error = lamps.execute(stale).await.err().ok_or("the page was out of date")?;
    assert_eq!(error.next_step(), NextStep::DecideAgain);
    println!("out of date ({}): {error}", error.code());
    Ok(())
}

/// `there` decides on its cached state, and `here` was faster. The default policy would decide again; this handle
/// rejects conflicts unless its resolver accepts the other process's events.
async fn concurrent_command(here: &Highwater, there: &Highwater) -> Outcome {
    let unless_shipped = |_: &[StockEvent], others: &[StockEvent]| {
        others.iter().all(|event| matches!(event, StockEvent::Received { .. }))
    };
    let (ours, theirs) = (here.aggregate::<Stock>("lamps"), there.aggregate::<Stock>("lamps"));
    let resolving = there.aggregate::<Stock>("lamps").resolving(unless_shipped);

    ours.execute(Receive { pieces: 3 }).await?;
    let error = theirs.execute(Ship { pieces: 1 }).await.err().ok_or("we were faster")?;
    assert!(error.is_conflict());
    println!("a conflict ({}): {error}", error.code());

    theirs.execute(Ship { pieces: 1 }).await?;
    ours.execute(Receive { pieces: 3 }).await?;
    resolving.execute(Ship { pieces: 1 }).await?;
    println!("resolved: the other command was a delivery");

    ours.execute(Ship { pieces: 1 }).await?;
    let error = resolving.execute(Ship { pieces: 1 }).await.err().ok_or("others have shipped")?;
    assert!(error.is_conflict());
    println!("not resolved: the other command was a shipment");
    Ok(())
}
