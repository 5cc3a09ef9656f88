use highwater_macros::Event;

#[derive(Event)]
#[event(prefix)]
enum NoValue {
    Opened,
}

#[derive(Event)]
#[event(prefix = account)]
enum NoText {
    Opened,
}

#[derive(Event)]
#[event]
enum NoKeys {
    Opened,
}

#[derive(Event)]
#[event(prefix = "account")]
enum NoNumber {
    #[event(version = "two")]
    Opened,
    #[event(version = 99999999999)]
    Closed,
    #[event(formerly = "account.frozen")]
    Thawed,
}

fn main() {}
