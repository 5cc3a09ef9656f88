use highwater_macros::Event;
use serde::Deserialize;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    #[event(version = 2, upcast(OpenedV1))]
    Opened { owner: String },
}

#[derive(Deserialize)]
struct OpenedV1 {}

fn main() {}
