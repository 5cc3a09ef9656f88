use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct ByValue;

impl ByValue {
    fn apply(&mut self, _: AccountEvent) {}
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Unchanging;

impl Unchanging {
    fn apply(&self, _: &AccountEvent) {}
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Failing;

impl Failing {
    fn apply(&mut self, _: &AccountEvent) -> Result<(), String> {
        Ok(())
    }
}

fn main() {}
