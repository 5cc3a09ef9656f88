use highwater_macros::{Decider, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Decider)]
#[decider(event = AccountEvent)]
struct NameIsFree {
    name: String,
}

fn main() {}
