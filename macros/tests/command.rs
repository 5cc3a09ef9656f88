//! What `#[derive(Command)]` writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

use highwater_core::{Aggregate, Command, Context, Decide, Decision, Targeted};
use highwater_macros::{Aggregate, Command, Event};

#[derive(Event)]
#[event(prefix = "account")]
enum AccountEvent {
    Withdrawn { cents: u64 },
}

#[derive(Clone, Default, Aggregate)]
#[aggregate(event = AccountEvent)]
struct Account {
    balance: u64,
}

impl Account {
    fn apply(&mut self, event: &AccountEvent) {
        let AccountEvent::Withdrawn { cents } = event;
        self.balance -= cents;
    }
}

#[derive(Command)]
#[command(aggregate = Account, target = account)]
struct WithdrawMoney {
    account: u32,
    cents: u64,
}

#[derive(Command)]
#[command(aggregate = Account, target = 1)]
struct Transfer(u64, String);

impl Decide<WithdrawMoney> for Account {
    fn decide(&self, command: &WithdrawMoney, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Withdrawn { cents: command.cents }])
    }
}

impl Decide<Transfer> for Account {
    fn decide(&self, Transfer(cents, _): &Transfer, _: &Context) -> Decision<AccountEvent> {
        Ok(vec![AccountEvent::Withdrawn { cents: *cents }])
    }
}

#[derive(Command)]
#[command(name = "bank.close")]
struct Close;

#[derive(Command)]
struct Note(String);

#[derive(Command)]
#[serde(rename_all = "camelCase")]
struct Rename {
    first_name: String,
    #[serde(skip)]
    out: u8,
}

fn encoded(command: &impl Command) -> String {
    let mut out = Vec::new();
    command.encode(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_name_is_the_structs_in_snake_case() {
    assert_eq!(WithdrawMoney::NAME, "withdraw_money");
}

#[test]
fn a_written_name_comes_first() {
    assert_eq!(Close::NAME, "bank.close");
}

#[test]
fn the_same_values_give_the_same_bytes_in_the_order_of_the_fields() {
    let command = || WithdrawMoney { account: 7, cents: 5 };
    assert_eq!(encoded(&command()), r#"{"account":7,"cents":5}"#);
    assert_eq!(encoded(&command()), encoded(&command()));
}

#[test]
fn structs_of_every_kind_are_written() {
    assert_eq!(encoded(&Close), "{}");
    assert_eq!(encoded(&Note("a".into())), r#""a""#);
    assert_eq!(encoded(&Transfer(5, "bob".into())), r#"[5,"bob"]"#);
}

#[test]
fn serde_attributes_shape_what_is_written() {
    let command = Rename { first_name: "Ann".into(), out: 1 };
    assert_eq!(encoded(&command), r#"{"firstName":"Ann"}"#);
}

#[test]
fn the_target_is_the_field_as_it_is_displayed() {
    assert_eq!(WithdrawMoney { account: 7, cents: 5 }.target(), "7");
    assert_eq!(Transfer(5, "bob".into()).target(), "bob");
}

#[test]
fn a_targeted_command_knows_its_aggregate() {
    fn category<C: Targeted>() -> &'static str {
        C::Aggregate::CATEGORY
    }
    assert_eq!(category::<WithdrawMoney>(), "account");
}
