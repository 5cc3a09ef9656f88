use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Noted(#[event(tag)] String),
    Opened {
        #[event(tag = "the owner")]
        owner: String,
    },
}

fn main() {}
