use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened {
        #[event(tag)]
        owners: Vec<String>,
    },
}

fn main() {}
