use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent<'a, T> {
    Opened { owner: &'a T },
}

fn main() {}
