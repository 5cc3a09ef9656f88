use highwater_macros::{Aggregate, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened,
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
#[invariant(never_overdrawn, "the same again")]
#[invariant(is_owned)]
#[invariant("an account has an owner")]
#[invariant(is_open, "")]
struct Account;

impl Account {
    fn apply(&mut self, _: &AccountEvent) {}
}

fn main() {}
