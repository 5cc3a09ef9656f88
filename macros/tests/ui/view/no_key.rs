use highwater_core::domain::EventContext;
use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Balance {
    cents: i64,
}

impl Balance {
    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

fn main() {}
