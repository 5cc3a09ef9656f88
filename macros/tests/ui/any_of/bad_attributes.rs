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
#[event(any_of, prefix = "bank", retired("bank.robbed"))]
enum Movement {
    #[event(name = "bank.account")]
    #[serde(rename = "account")]
    Account(#[event(tag)] AccountEvent),
}

#[derive(Event)]
#[event(any_of = 2)]
enum WithAValue {
    Account(AccountEvent),
}

#[derive(Event)]
#[event(any_of)]
enum Generic<E> {
    Account(E),
}

fn main() {}
