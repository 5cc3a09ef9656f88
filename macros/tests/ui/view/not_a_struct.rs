use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
enum Door {
    #[default]
    Closed,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Generic<T>(T);

fn main() {}
