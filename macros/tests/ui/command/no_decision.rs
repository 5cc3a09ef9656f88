use highwater_core::testing::given_nothing;
use highwater_macros::{Aggregate, Command, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Account;

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}
}

#[derive(Command)]
struct Withdraw {
    cents: u64,
}

#[derive(Command)]
#[command(aggregate = Account, target = account)]
struct Close {
    account: String,
}

fn main() {
    let _ = given_nothing::<Account>().when(Withdraw { cents: 5 });
}
