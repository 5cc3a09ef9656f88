//! An application's own table, here an outbox, written in the transaction of the append: either the
//! event and the row are there, or neither is.
//!
//! `cargo run --example 08_own_tables`

mod place;

use highwater::{
    Code,
    prelude::*,
    stores::{
        SqliteHook,
        sqlx::{self, Connection, SqliteConnection},
    },
};

#[derive(Event)]
#[event(prefix = "order")]
enum OrderEvent {
    Placed { lamps: u32 },
    Shipped { parcel: String },
}

#[derive(Aggregate, Default, Clone)]
#[aggregate(event = OrderEvent)]
#[invariant(never_oversent, "never ship more than was ordered")]
struct Order {
    open: i64,
}

impl Order {
    fn apply(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { lamps } => self.open += i64::from(*lamps),
            OrderEvent::Shipped { .. } => self.open -= 1,
        }
    }

    fn never_oversent(&self) -> Check {
        Check::that(self.open >= 0).with("open", self.open)
    }
}

#[derive(Command)]
struct Place {
    lamps: u32,
}

impl Decide<Place> for Order {
    fn decide(&self, place: &Place, _: &Context) -> Decision<OrderEvent> {
        Ok(vec![OrderEvent::Placed { lamps: place.lamps }])
    }
}

#[derive(Command)]
struct Ship {
    parcel: String,
}

impl Decide<Ship> for Order {
    fn decide(&self, ship: &Ship, _: &Context) -> Decision<OrderEvent> {
        Ok(vec![OrderEvent::Shipped { parcel: ship.parcel.clone() }])
    }
}

/// A mail for each event of its command, to be sent later by another program.
fn outbox() -> SqliteHook {
    SqliteHook::new(|connection, append| {
        Box::pin(async move {
            for (stream, event) in append.events() {
                sqlx::query("insert into outbox (mail, subject) values (?, ?)")
                    .bind(event.id.to_string())
                    .bind(format!("{} of {stream}", event.event_type.name))
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        })
    })
}

/// The same, but the row exists already: the database refuses it after a first one was written.
fn outbox_with_a_mistake() -> SqliteHook {
    SqliteHook::new(|connection, _| {
        Box::pin(async move {
            for _ in 0..2 {
                sqlx::query("insert into outbox (mail, subject) values ('same', 'again')")
                    .execute(&mut *connection)
                    .await?;
            }
            Ok(())
        })
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = place::sqlite("highwater-own-tables.db");
    let shop = Highwater::open(&url).await?;
    let own = &mut SqliteConnection::connect(&url).await?;
    let create = "create table if not exists outbox (mail text primary key, subject text not null)";
    sqlx::query(create).execute(&mut *own).await?;

    // Each run has a separate order.
    let before = stored(&shop, own).await?;
    let order = shop.aggregate::<Order>(before.events + 1);
    let ship = || Request::new(Ship { parcel: "P1".to_owned() });
    order.execute(Request::new(Place { lamps: 1 }).in_transaction(outbox())).await?;
    order.execute(ship().in_transaction(outbox())).await?;
    let after = stored(&shop, own).await?;
    for mail in &after.mails[before.mails.len()..] {
        println!("in the outbox: {mail}");
    }
    assert_eq!(after.events - before.events, 2);
    assert_eq!(after.mails.len() - before.mails.len(), 2);

    // The domain rejects the command: the hook doesn't run.
    let rejected = order.execute(ship().in_transaction(outbox())).await;
    let error = rejected.err().ok_or("nothing was left to ship")?;
    println!("rejected ({}): {error}", error.code());
    assert_eq!(stored(&shop, own).await?, after);

    // The database refuses the row: the event is rolled back with it.
    let place = Request::new(Place { lamps: 7 }).in_transaction(outbox_with_a_mistake());
    let error = order.execute(place).await.err().ok_or("two mails had one key")?;
    println!("failed ({}): {error}", error.code());
    assert_eq!((error.code(), stored(&shop, own).await?), (Code::BAD_REQUEST, after));

    println!("after both there are as many events and mails as before");
    println!("next: cargo run --example 09_given_when_then");
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Stored {
    events: u64,
    mails: Vec<String>,
}

async fn stored(
    shop: &Highwater,
    own: &mut SqliteConnection,
) -> Result<Stored, Box<dyn std::error::Error>> {
    let events = shop.log().head().await?.get();
    let mails = "select subject from outbox order by rowid";
    Ok(Stored { events, mails: sqlx::query_scalar(mails).fetch_all(own).await? })
}
