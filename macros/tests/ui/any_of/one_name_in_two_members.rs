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

#[derive(Event)]
#[event(any_of)]
enum Movement {
    Account(AccountEvent),
    Customer(CustomerEvent),
}

#[derive(Event)]
#[event(any_of)]
enum Twice {
    Sender(CustomerEvent),
    Receiver(CustomerEvent),
}

fn main() {}
