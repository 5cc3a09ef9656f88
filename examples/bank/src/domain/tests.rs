//! The business, as it says itself: given what has happened, when a command comes, then this follows.

use highwater::testing::given;

use super::{Account, AccountEvent, AccountId, Amount, Deposit, Open, Receive, Send, Withdraw};

fn amount(cents: i64) -> Amount {
    Amount::try_from(cents).unwrap()
}

fn bob() -> AccountId {
    "bob".to_owned().try_into().unwrap()
}

fn opened() -> AccountEvent {
    AccountEvent::Opened { owner: "Alice".into() }
}

fn deposited(cents: i64) -> AccountEvent {
    AccountEvent::Deposited { cents }
}

#[test]
fn an_account_is_opened_once_and_has_one_owner() {
    let open = |owner: &str| Open { owner: owner.into() };
    given::<Account>([]).when(open("Alice")).then([opened()]);
    given::<Account>([opened()]).when(open("Alice")).then_nothing();
    given::<Account>([opened()]).when(open("Eve")).then_rejected_by("one_owner");
}

#[test]
fn nothing_moves_in_an_account_that_is_not_open() {
    let amount = amount(1);
    given::<Account>([]).when(Deposit { amount }).then_rejected_by("account_open");
    given::<Account>([]).when(Withdraw { amount }).then_rejected_by("account_open");
    given::<Account>([]).when(Send { to: bob(), amount }).then_rejected_by("account_open");
    given::<Account>([]).when(Receive { from: bob(), amount }).then_rejected_by("account_open");
}

#[test]
fn w5_an_account_is_never_overdrawn() {
    let account = || given::<Account>([opened(), deposited(10_00)]);
    let all = Withdraw { amount: amount(10_00) };
    account().when(all).then_state(|account| assert_eq!(account.balance(), 0));
    let rejection =
        account().when(Withdraw { amount: amount(10_01) }).then_rejected_by("never_overdrawn");
    assert_eq!(rejection.value("balance"), Some(&(-1).into()));
    let send = Send { to: bob(), amount: amount(10_01) };
    account().when(send).then_rejected_by("never_overdrawn");
}

#[test]
fn w5_an_account_is_never_overfull() {
    let account = || given::<Account>([opened(), deposited(Amount::MAX_CENTS)]);
    account().when(Deposit { amount: amount(1) }).then_rejected_by("never_overfull");
    let receive = Receive { from: bob(), amount: amount(1) };
    account().when(receive).then_rejected_by("never_overfull");
}

#[test]
fn an_amount_is_more_than_none_and_no_more_than_an_account_may_hold() {
    for cents in [i64::MIN, -1, 0, Amount::MAX_CENTS + 1, i64::MAX] {
        assert!(Amount::try_from(cents).is_err(), "{cents}");
    }
    assert_eq!(amount(Amount::MAX_CENTS).cents(), Amount::MAX_CENTS);
}

#[test]
fn the_name_of_an_account_is_short_and_plain() {
    for name in ["", "Alice", "alice smith", "alice/../bob", "ålice", &"a".repeat(41)] {
        assert!(AccountId::try_from(name.to_owned()).is_err(), "{name}");
    }
    assert_eq!(bob().to_string(), "bob");
}
