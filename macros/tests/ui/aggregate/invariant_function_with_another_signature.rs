use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
#[invariant(gives_text, "an invariant gives a check")]
#[invariant(asks_more, "an invariant is about the state alone")]
struct Account;

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}

    fn gives_text(&self) -> &'static str {
        "fine"
    }

    fn asks_more(&self, _: u32) -> bool {
        true
    }
}

fn main() {}
