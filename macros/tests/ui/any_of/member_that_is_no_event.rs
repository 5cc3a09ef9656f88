use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account", retired("customer.left"))]
enum AccountEvent {
    Opened,
}

#[derive(Event)]
#[event(prefix = "customer")]
enum CustomerEvent {
    Moved,
    Left,
}

struct Price;

#[derive(Event)]
#[event(any_of)]
enum Movement {
    Account(AccountEvent),
    Price(Price),
}

fn main() {}
