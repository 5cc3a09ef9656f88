use highwater_macros::{Event, View};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, table = "balances", by_streams = Account)]
struct Unknown;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, name = "a", name = "b")]
struct Twice;

#[derive(Clone, Default, View)]
#[view(event = AccountEvent)]
struct AtField {
    #[view(index)]
    cents: i64,
    #[view(column, column)]
    owner: String,
}

#[derive(Clone, Default, View)]
#[view(event = AccountEvent, version = 0)]
struct BeforeTheFirst;

fn main() {}
