use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(version = 2))]
struct Never;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 0))]
struct Zero;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(each = 100))]
struct Unknown;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
enum Door {
    #[default]
    Closed,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
struct Skipping {
    #[serde(skip)]
    cache: u8,
    #[serde(rename = "cents", skip_serializing)]
    balance: i64,
}

fn main() {}
