use highwater_core::Upcast;
use highwater_macros::Event;
use serde::Deserialize;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    #[event(version = 3, upcast(OpenedV1, OpenedV2))]
    Opened { owner: String },
}

#[derive(Deserialize)]
struct OpenedV1 {
    name: String,
}

#[derive(Deserialize)]
struct OpenedV2 {
    owner: String,
}

impl Upcast for OpenedV1 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        vec![AccountEvent::Opened { owner: self.name }]
    }
}

impl Upcast for OpenedV2 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        vec![AccountEvent::Opened { owner: self.owner }]
    }
}

fn main() {}
