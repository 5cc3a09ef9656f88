//! Following the log: page by page at the follower's pace, by category, type or tag, and from its checkpoint after a
//! restart. No event is skipped, even with concurrent writers (W3).
//!
//! `cargo run --example 10_follow`

mod place;

use std::{fs, path::Path};

use highwater::{Position, port::ReadFrom, prelude::*, value::Category};

#[derive(Event)]
#[event(prefix = "parcel")]
enum ParcelEvent {
    Sent {
        #[event(tag)]
        city: String,
    },
    Delivered,
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = ParcelEvent)]
struct Parcel {
    delivered: bool,
}

impl Parcel {
    fn apply(&mut self, event: &ParcelEvent) {
        self.delivered = matches!(event, ParcelEvent::Delivered);
    }
}

#[derive(Command)]
struct Send {
    city: &'static str,
}

impl Decide<Send> for Parcel {
    fn decide(&self, send: &Send, _: &Context) -> Decision<ParcelEvent> {
        Ok(vec![ParcelEvent::Sent { city: send.city.to_owned() }])
    }
}

#[derive(Command)]
struct Deliver;

impl Decide<Deliver> for Parcel {
    fn decide(&self, _: &Deliver, _: &Context) -> Decision<ParcelEvent> {
        Ok(vec![ParcelEvent::Delivered])
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let office = Highwater::open(&place::sqlite("highwater-follow.db")).await?;
    let checkpoint = place::file("highwater-follow.checkpoint");
    let mut handled = resume(&checkpoint, office.log().head().await?)?;
    println!("going on after position {handled}");
    let last = send_parcels(&office).await?;

    // A slow follower blocks no writer and buffers nothing: it reads a page when it asks for one.
    let mut follower = office.follow(Query::all(), handled).page_size(8);
    while follower.position() < last {
        let page = follower.next_page().await?;
        for event in &page.events {
            assert_eq!(event.position.since(handled), 1, "an event was skipped or repeated");
            handled = event.position;
        }
        println!("a page of {}, {} wait in the log", page.events.len(), last.since(handled));
        // After the work: a crash in between repeats some of it, and skips nothing.
        fs::write(&checkpoint, handled.get().to_string())?;
    }

    // At the end of the log, the next page waits for an append.
    let parcel = office.aggregate::<Parcel>(format!("late-{handled}"));
    let (page, receipt) = tokio::join!(follower.next_page(), parcel.execute(Send { city: "Rome" }));
    let (page, receipt) = (page?, receipt?);
    println!("woken by {} at {}", page.events[0].type_name, page.events[0].position);
    assert_eq!(page.events[0].position, receipt.position());

    // By category, by type, by tag; and alternatives of these.
    let category = Query::category(Category::new(Parcel::CATEGORY)?);
    let all = matching(&office, &category).await?;
    let delivered = matching(&office, &Query::types(["parcel.delivered"])).await?;
    let to_oslo = Query::tags([Tag::new("city", "Oslo")]);
    let oslo = matching(&office, &to_oslo).await?;
    let rome_or_oslo =
        matching(&office, &to_oslo.or(Query::tags([Tag::new("city", "Rome")]))).await?;
    println!("{} events, {} of them deliveries", all.len(), delivered.len());
    println!("{} parcels to Oslo, {} to Rome or Oslo", oslo.len(), rome_or_oslo.len());
    assert_eq!(all.len(), delivered.len() + rome_or_oslo.len());

    // Backwards: the latest first.
    let latest = office.log().read_log(&category, ReadFrom::Before(Position::END), 2).await?;
    for event in latest.events {
        println!("{}: {} of {}", event.position, event.type_name, event.stream);
    }
    println!("run it again: it goes on after position {handled}");
    println!("next: cargo run --example 11_postgres");
    Ok(())
}

/// Sends and delivers twelve more parcels; returns the position of the last event.
async fn send_parcels(office: &Highwater) -> highwater::Result<Position> {
    let before = office.log().head().await?;
    let mut last = before;
    for number in 0..12 {
        let parcel = office.aggregate::<Parcel>(format!("{before}-{number}"));
        parcel.execute(Send { city: ["Oslo", "Rome"][number % 2] }).await?;
        last = parcel.execute(Deliver).await?.position();
    }
    Ok(last)
}

/// Reads all events that match so far.
async fn matching(office: &Highwater, query: &Query) -> highwater::Result<Vec<Envelope>> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = office.log().read_log(query, ReadFrom::After(after), 1000).await?;
        events.extend(page.events);
        after = page.through;
        if !page.more {
            return Ok(events);
        }
    }
}

/// Reads the checkpoint of the last run. A checkpoint of another log is ignored.
fn resume(checkpoint: &Path, head: Position) -> Outcome<Position> {
    if !checkpoint.exists() {
        return Ok(Position::START);
    }
    let position = Position::new(fs::read_to_string(checkpoint)?.trim().parse()?);
    if position > head {
        return Err(format!("the log ends at {head}: delete {}", checkpoint.display()).into());
    }
    Ok(position)
}
