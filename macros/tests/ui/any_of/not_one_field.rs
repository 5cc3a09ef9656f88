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
    Account { event: AccountEvent },
    Customer(CustomerEvent, u64),
    Price,
}

#[derive(Event)]
#[event(any_of)]
enum Nothing {}

#[derive(Event)]
#[event(any_of)]
struct Structure(AccountEvent);

fn main() {}
