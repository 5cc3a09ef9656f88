use highwater_macros::Command;

#[derive(Command)]
enum AccountCommand {
    Open { owner: String },
    Close,
}

fn is_command<C: highwater_core::Command>() {}

fn main() {
    is_command::<AccountCommand>();
}
