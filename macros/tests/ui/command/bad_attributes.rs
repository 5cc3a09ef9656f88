use highwater_macros::Command;

#[derive(Command)]
#[command(stream = "account", name = "open account")]
struct Open {
    #[command(target)]
    account: String,
}

#[derive(Command)]
struct Close<T> {
    account: T,
}

fn main() {}
