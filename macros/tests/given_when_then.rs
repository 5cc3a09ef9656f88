//! A derived domain, from end to end, by the kit that its users test it with.

use highwater_core::{
    Context, Decide, Decision, Rejection,
    testing::{given, given_nothing},
};
use highwater_macros::{Aggregate, Command, Event};

#[derive(Debug, PartialEq, Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
#[invariant(never_overdrawn, "never debit more than the available balance")]
struct Account {
    owner: Option<String>,
    balance: i128,
}

#[derive(Command)]
struct Open {
    owner: String,
}

#[derive(Command)]
struct Withdraw {
    cents: u64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { cents } => self.balance += i128::from(*cents),
            AccountEvent::Withdrawn { cents } => self.balance -= i128::from(*cents),
        }
    }

    fn never_overdrawn(&self) -> bool {
        self.balance >= 0
    }
}

impl Decide<Open> for Account {
    fn decide(&self, open: &Open, _: &Context) -> Decision<AccountEvent> {
        match &self.owner {
            None => Ok(vec![AccountEvent::Opened { owner: open.owner.clone() }]),
            Some(owner) if *owner == open.owner => Ok(Vec::new()),
            Some(owner) => {
                Err(Rejection::new("opened_once", "it has an owner").with("owner", owner))
            }
        }
    }
}

impl Decide<Withdraw> for Account {
    fn decide(&self, withdraw: &Withdraw, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Withdrawn { cents: withdraw.cents }])
    }
}

fn opened(owner: &str) -> AccountEvent {
    AccountEvent::Opened { owner: owner.into() }
}

#[test]
fn a_decision_leads_to_events() {
    given_nothing::<Account>().when(Open { owner: "ann".into() }).then([opened("ann")]);
}

#[test]
fn a_decision_may_lead_to_nothing() {
    given::<Account>([opened("ann")]).when(Open { owner: "ann".into() }).then_nothing();
}

#[test]
fn a_decision_rejects_by_its_rule() {
    let rejection = given::<Account>([opened("ann")])
        .when(Open { owner: "bob".into() })
        .then_rejected_by("opened_once");
    assert_eq!(rejection.value("owner"), Some(&"ann".into()));
}

#[test]
fn an_invariant_rejects_by_its_name() {
    given::<Account>([opened("ann"), AccountEvent::Deposited { cents: 5 }])
        .when(Withdraw { cents: 6 })
        .then_rejected_by("never_overdrawn");
}
