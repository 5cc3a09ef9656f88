use highwater_macros::Event;

#[derive(Event)]
#[event(prefx = "account", retired("account.frozen"))]
enum AccountEvent {
    #[event(prefix = "account", rename = "opened")]
    Opened {
        #[event(tags)]
        owner: String,
    },
}

fn main() {}
