use highwater_macros::Event;

struct Owner;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened { owner: Owner },
}

fn main() {}
