use highwater_macros::Event;

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {}

fn main() {}
