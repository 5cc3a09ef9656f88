use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default)]
struct Owner;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, snapshot(every = 100))]
struct Account {
    owner: Owner,
}

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}
}

fn main() {}
