use highwater_macros::{Decider, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Decider)]
struct NoEvent;

#[derive(Clone, Decider)]
#[decider(event = AccountEvent, category = "name")]
struct Category;

fn main() {}
