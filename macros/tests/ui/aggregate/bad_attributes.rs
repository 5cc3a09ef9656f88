use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, name = "account", category = "my-account")]
struct Account {
    #[aggregate(skip)]
    owner: Option<String>,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent, category = "my-account")]
struct Category;

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Generic<T> {
    owner: Option<T>,
}

#[derive(Clone, Copy, Aggregate)]
#[aggregate(event = AccountEvent)]
union Bits {
    bits: u32,
}

impl Default for Bits {
    fn default() -> Self {
        Self { bits: 0 }
    }
}

fn main() {}
