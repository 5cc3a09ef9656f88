use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, name = "Old Balances")]
struct Spaced;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, name = "", formerly("2nd", "a_name_with_one_more_than_forty_letters__"))]
struct Empty;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, name = "balances", formerly("sums", "balances", "sums"))]
struct Twice;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct Größe;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, by_stream = "account-ann")]
struct Stream;

fn main() {}
