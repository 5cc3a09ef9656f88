use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

// With the trait in scope, its own `apply` must not be taken for the one that is missing.
use highwater_core::Decider;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Account {
    owner: Option<String>,
}

fn main() {
    Account::default().apply(&AccountEvent::Opened);
}
