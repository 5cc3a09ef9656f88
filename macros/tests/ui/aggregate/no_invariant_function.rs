use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
struct Account {
    balance: i64,
}

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}

    fn never_overdrown(&self) -> bool {
        self.balance >= 0
    }
}

fn main() {}
