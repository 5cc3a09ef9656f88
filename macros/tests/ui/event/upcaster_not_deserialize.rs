use highwater_core::Upcast;
use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    #[event(version = 2, upcast(OpenedV1))]
    Opened { owner: String },
}

struct OpenedV1 {}

impl Upcast for OpenedV1 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        Vec::new()
    }
}

fn main() {}
