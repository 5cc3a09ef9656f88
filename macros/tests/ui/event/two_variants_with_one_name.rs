use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account", retired("account.frozen"))]
enum AccountEvent {
    Opened,
    #[event(name = "account.opened")]
    Created,
    #[event(formerly("account.opened"))]
    Closed,
    Frozen,
}

fn main() {}
