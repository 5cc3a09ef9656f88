use highwater_core::{Envelope, domain::EventContext};
use highwater_macros::View;

struct AccountEvent;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Balance {
    cents: i64,
}

impl Balance {
    fn key(_: &AccountEvent, _: &Envelope) -> Option<String> {
        None
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

fn main() {}
