use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Deposited(u64, String),
    Closed(),
}

fn main() {}
