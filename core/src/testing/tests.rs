//! Tests of the kit: the tests that it accepts, and its messages otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use super::{given, given_boundary, given_nothing};
use crate::{
    Error, Rejection,
    domain::{
        Aggregate, Boundary, Check, Command, Context, Decide, Decider, Decision, DecodeError,
        Event, EventType, Invariant, Query, RawEvent,
    },
    value::{SchemaVersion, StreamId, Tag, Tags},
};

/// `cents` under a name. An event named `lossy` can be encoded but not decoded.
#[derive(Debug, Clone, PartialEq)]
struct Moved {
    name: &'static str,
    cents: i64,
}

const fn deposited(cents: i64) -> Moved {
    Moved { name: "deposited", cents }
}

const fn withdrawn(cents: i64) -> Moved {
    Moved { name: "withdrawn", cents }
}

impl Event for Moved {
    const NAMES: &'static [&'static str] = &["deposited", "withdrawn"];

    fn event_type(&self) -> EventType {
        EventType { name: self.name, version: SchemaVersion::FIRST }
    }

    fn tags(&self) -> Tags {
        Tags::from([Tag::new("cents", self.cents)])
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, &self.cents)
    }

    fn decode(raw: RawEvent<'_>, emit: &mut dyn FnMut(Self)) -> Result<(), DecodeError> {
        let name = Self::NAMES.iter().find(|name| **name == raw.name);
        let name = name.ok_or(DecodeError::UnknownType)?;
        emit(Self { name, cents: serde_json::from_slice(raw.payload)? });
        Ok(())
    }
}

#[derive(Debug, Clone, Default)]
struct Account {
    balance: i64,
}

impl Decider for Account {
    type Event = Moved;
    type Services = ();
    const INVARIANTS: &'static [Invariant<Self>] = &[Invariant {
        name: "never_overdrawn",
        statement: "never debit more than the available balance",
        check: |account| Check::that(account.balance >= 0).with("balance", account.balance),
    }];

    fn apply(&mut self, event: &Moved) {
        self.balance += if event.name == "deposited" { event.cents } else { -event.cents };
    }
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
}

struct Withdraw(i64);

impl Command for Withdraw {
    const NAME: &'static str = "withdraw";

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, &self.0)
    }
}

impl Decide<Withdraw> for Account {
    fn decide(&self, Withdraw(cents): &Withdraw, _: &Context) -> Decision<Moved> {
        match cents {
            0 => Ok(Vec::new()),
            1000.. => Err(Rejection::new("limit", "too much at once")),
            666 => Ok(vec![Moved { name: "lossy", cents: 666 }]),
            cents => Ok(vec![withdrawn(*cents)]),
        }
    }
}

/// A boundary that counts the movements of a sum, with a fee and the time as inputs of its
/// decisions.
#[derive(Debug, Clone)]
struct Sum {
    cents: i64,
    times: u32,
}

struct Fee(i64);

impl Decider for Sum {
    type Event = Moved;
    type Services = Fee;
    const INVARIANTS: &'static [Invariant<Self>] = &[];

    fn apply(&mut self, _: &Moved) {
        self.times += 1;
    }
}

impl Boundary for Sum {
    fn query(&self) -> Query {
        Query::tags([Tag::new("cents", self.cents)])
    }

    fn stream(&self) -> Result<StreamId, Error> {
        Ok(StreamId::new("sum", self.cents)?)
    }
}

impl Decide<Withdraw> for Sum {
    fn decide(&self, Withdraw(cents): &Withdraw, context: &Context<Fee>) -> Decision<Moved> {
        Ok(vec![withdrawn(cents + context.0 + context.now.as_second())])
    }
}

fn message_of(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn events_follow_from_a_command() {
    given::<Account>([deposited(100), withdrawn(20)])
        .when(Withdraw(30))
        .then([withdrawn(30)])
        .then_state(|account| assert_eq!(account.balance, 50));
}

#[test]
fn nothing_follows_from_a_command_that_changes_nothing() {
    given_nothing::<Account>().when(Withdraw(0)).then_nothing();
}

#[test]
fn an_invariant_rejects_with_its_values_and_the_state_stays() {
    let then = given::<Account>([deposited(100)]).when(Withdraw(130));
    let rejection = then
        .then_state(|account| assert_eq!(account.balance, 100))
        .then_rejected_by("never_overdrawn");
    assert_eq!(rejection.value("balance"), Some(&(-30).into()));
}

#[test]
fn a_decision_rejects_by_its_own_rule() {
    given_nothing::<Account>().when(Withdraw(1000)).then_rejected_by("limit");
}

#[test]
fn an_old_state_that_breaks_an_invariant_does_not_reject_a_command_that_changes_nothing() {
    given::<Account>([withdrawn(5)]).when(Withdraw(0)).then_nothing();
}

#[test]
fn a_boundary_sees_what_its_query_asks_for_and_decides_with_services_and_time() {
    given_boundary(Sum { cents: 5, times: 0 }, [deposited(5), deposited(6), withdrawn(5)])
        .with_services(Fee(2))
        .at(Timestamp::from_second(100).unwrap())
        .when(Withdraw(1))
        .then([withdrawn(103)])
        .then_state(|sum| assert_eq!(sum.times, 3));
}

#[test]
fn other_events_than_expected_are_shown_as_a_difference() {
    let message = message_of(|| {
        let _ = given::<Account>([deposited(100)]).when(Withdraw(30)).then([withdrawn(31)]);
    });
    assert!(message.starts_with("withdraw led to other events than expected"), "{message}");
    assert!(message.contains("cents: 31") && message.contains("cents: 30"), "{message}");
}

#[test]
fn an_unexpected_rejection_is_shown_with_its_reason() {
    let expected = "withdraw should be accepted, but was rejected by never_overdrawn: never debit \
                    more than the available balance (balance=-1)";
    let then = || given_nothing::<Account>().when(Withdraw(1));
    assert_eq!(message_of(|| drop(then().then([withdrawn(1)]))), expected);
    assert_eq!(message_of(|| drop(then().then_nothing())), expected);
}

#[test]
fn events_where_a_rejection_is_expected_are_shown() {
    let message = message_of(|| {
        given::<Account>([deposited(100)]).when(Withdraw(30)).then_rejected_by("never_overdrawn");
    });
    let expected = "withdraw should be rejected by never_overdrawn, but led to [";
    assert!(message.starts_with(expected) && message.contains("cents: 30"), "{message}");
}

#[test]
fn a_rejection_by_another_rule_is_shown() {
    let message = message_of(|| {
        given_nothing::<Account>().when(Withdraw(1000)).then_rejected_by("never_overdrawn");
    });
    let expected = "withdraw should be rejected by never_overdrawn, but was rejected by limit: \
                    too much at once";
    assert_eq!(message, expected);
}

#[test]
fn events_where_nothing_is_expected_are_shown() {
    let message = message_of(|| {
        let _ = given::<Account>([deposited(100)]).when(Withdraw(30)).then_nothing();
    });
    assert!(message.starts_with("withdraw should lead to nothing, but led to ["), "{message}");
}

#[test]
fn an_event_that_does_not_survive_being_stored_is_found() {
    let lossy = Moved { name: "lossy", cents: 1 };
    let message = message_of(|| drop(given::<Account>([lossy])));
    let expected = "event lossy can't be stored: it could not be read again: unknown event type";
    assert_eq!(message, expected);
    let message = message_of(|| drop(given::<Account>([deposited(999)]).when(Withdraw(666))));
    assert_eq!(message, expected);
}

#[test]
fn missing_services_are_asked_for() {
    let message = message_of(|| {
        let _ = given_boundary(Sum { cents: 5, times: 0 }, []).when(Withdraw(1));
    });
    let expected = "a decision on withdraw needs services: `.with_services(…)` gives them";
    assert_eq!(message, expected);
}
