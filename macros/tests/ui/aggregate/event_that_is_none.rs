use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

struct Opened;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = Opened)]
struct Account;

impl Account {
    fn apply(&mut self, _: &Opened) {}
}

fn main() {}
