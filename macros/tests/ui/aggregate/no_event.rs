use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
struct Account;

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}
}

fn main() {}
