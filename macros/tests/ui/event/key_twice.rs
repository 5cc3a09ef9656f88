use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account", prefix = "konto")]
enum AccountEvent {
    #[event(name = "a")]
    #[event(name = "b")]
    Opened,
}

fn main() {}
