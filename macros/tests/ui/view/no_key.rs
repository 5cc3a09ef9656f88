use highwater_core::read::At;
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
    fn fold(&mut self, _: &AccountEvent, _: &At) {}
}

fn main() {}
