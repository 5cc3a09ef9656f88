use highwater_core::Upcast;
use highwater_macros::Event;
use serde::Deserialize;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    #[event(version = 3, upcast(OpenedV1))]
    Opened { owner: String },
    #[event(version = 2)]
    Closed,
    #[event(version = 5)]
    Frozen,
    #[event(upcast(OpenedV1))]
    Thawed,
    #[event(version = 0)]
    Renamed,
}

#[derive(Deserialize)]
struct OpenedV1 {}

impl Upcast for OpenedV1 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        Vec::new()
    }
}

fn main() {}
