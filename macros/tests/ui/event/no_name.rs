use highwater_macros::Event;

#[derive(Event)]
enum AccountEvent {
    Opened { owner: String },
    #[event(name = "account.closed")]
    Closed,
    Frozen,
}

fn main() {}
