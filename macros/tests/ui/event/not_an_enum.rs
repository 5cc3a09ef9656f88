use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
struct Opened {
    owner: String,
}

fn is_event<E: highwater_core::Event>() {}

fn main() {
    // No second error here: what could not be derived is taken as given.
    is_event::<Opened>();
}
