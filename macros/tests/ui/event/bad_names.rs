use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "my account")]
enum Prefix {
    Opened,
    Closed,
}

#[derive(Event)]
#[event(prefix = "")]
enum Empty {
    Opened,
}

#[derive(Event)]
#[event(prefix = "account", retired("account/frozen"))]
enum Names {
    #[event(name = "")]
    Opened,
    #[event(formerly("account:closed"))]
    Closed,
    Geöffnet,
}

fn main() {}
