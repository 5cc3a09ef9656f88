use highwater_core::{Command, Decide};
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

fn execute<A: Decide<C>, C: Command>(_: C) {}

fn main() {
    execute::<Account, _>(Withdraw { cents: 5 });
}
