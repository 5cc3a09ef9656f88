use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, index(owner, cents), index(), index(owner), index(owner))]
#[view(index(owner, owner), index(name))]
struct Balance {
    #[view(column)]
    owner: String,
    cents: i64,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, index(cents))]
struct NoColumns {}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, index = "cents")]
struct NotAList {
    #[view(column)]
    cents: i64,
}

fn main() {}
