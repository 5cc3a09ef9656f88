use highwater_core::domain::EventContext;
use highwater_macros::{Event, View};
use serde::{Deserialize, Serialize};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}
#[derive(Clone, Default, Serialize, Deserialize, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct Balance {
    cents: i64,
}

impl Balance {
    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

fn main() {}
