use highwater_core::Envelope;
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
    fn key(_: &AccountEvent, envelope: &Envelope) -> String {
        envelope.stream.key().into()
    }
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account")]
struct ByStream;

fn main() {}
