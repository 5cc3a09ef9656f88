use highwater_core::{Envelope, domain::EventContext};
use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Balance {
    #[view(column)]
    owners: Vec<String>,
    #[view(column)]
    cents: Option<u128>,
}

impl Balance {
    fn key(_: &AccountEvent, envelope: &Envelope) -> String {
        envelope.stream.key().into()
    }

    fn fold(&mut self, _: &AccountEvent, _: &EventContext) {}
}

fn main() {}
