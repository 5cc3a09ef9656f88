use highwater_core::{Envelope, domain::View};
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

fn is_view<V: View>() {}

fn main() {
    is_view::<Balance>();
}
