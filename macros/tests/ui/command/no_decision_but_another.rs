use highwater_core::{Context, Decide, Decision, testing::given_nothing};
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
struct Open;

#[derive(Command)]
struct Withdraw {
    cents: u64,
}

impl Decide<Open> for Account {
    fn decide(&self, _: &Open, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Opened])
    }
}

fn main() {
    // The only command that is decided on must not be taken for the one that is meant.
    let _ = given_nothing::<Account>().when(Withdraw { cents: 5 });
}
