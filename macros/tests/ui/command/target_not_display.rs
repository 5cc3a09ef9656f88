use highwater_core::{Context, Decide, Decision};
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
#[command(aggregate = Account, target = account)]
struct Open {
    account: Option<String>,
}

impl Decide<Open> for Account {
    fn decide(&self, _: &Open, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Opened])
    }
}

fn main() {}
