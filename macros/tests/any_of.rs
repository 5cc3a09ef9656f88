//! What `#[derive(Event)]` writes for a union of events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use std::cell::Cell;

use common::{decoded, encoded, envelope, stored};
use highwater_core::{
    Envelope, Event, Tag, Tags, Upcast,
    domain::{DecodeError, EventContext, View},
};
use highwater_macros::{Event, View};
use serde::{Deserialize, Deserializer, Serialize};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "account", retired("account.frozen"))]
enum AccountEvent {
    #[event(version = 2, upcast(OpenedV1), formerly("account.created"))]
    Opened {
        #[event(tag)]
        owner: String,
    },
    Deposited {
        amount: Amount,
    },
}

/// Version 1 was written once for two owners.
#[derive(Deserialize)]
struct OpenedV1 {
    owners: Vec<String>,
}

impl Upcast for OpenedV1 {
    type Next = AccountEvent;

    fn upcast(self) -> Vec<AccountEvent> {
        self.owners.into_iter().map(|owner| AccountEvent::Opened { owner }).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "customer")]
enum CustomerEvent {
    Moved { city: String },
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(any_of)]
enum Movement {
    Account(AccountEvent),
    Customer(CustomerEvent),
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "price")]
enum PriceEvent {
    Raised,
}

/// A union of a union.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(any_of)]
enum Anything {
    Movement(Movement),
    Price(PriceEvent),
}

thread_local! {
    static PARSED: Cell<u32> = const { Cell::new(0) };
}

/// Counts how often it is parsed.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Amount(u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        PARSED.set(PARSED.get() + 1);
        u64::deserialize(from).map(Self)
    }
}

fn opened(owner: &str) -> AccountEvent {
    AccountEvent::Opened { owner: owner.into() }
}

fn moved() -> CustomerEvent {
    CustomerEvent::Moved { city: "Ulm".into() }
}

#[test]
fn names_are_those_of_all_members_in_order() {
    let names = [
        "account.frozen",
        "account.opened",
        "account.created",
        "account.deposited",
        "customer.moved",
    ];
    assert_eq!(Movement::NAMES, names);
    assert_eq!(Anything::NAMES, [names.as_slice(), &["price.raised"]].concat());
}

#[test]
fn type_tags_and_payload_are_those_of_the_event_that_is_wrapped() {
    let wrapped = Movement::Account(opened("ann"));
    assert_eq!(wrapped.event_type(), opened("ann").event_type());
    assert_eq!(wrapped.event_type().version.get(), 2);
    assert_eq!(wrapped.tags(), Tags::from([Tag::new("owner", "ann")]));
    assert_eq!(encoded(&wrapped), encoded(&opened("ann")));
    assert_eq!(Movement::Customer(moved()).tags(), Tags::none());
}

#[test]
fn an_event_comes_back_in_the_variant_of_its_member() {
    for event in [
        Movement::Account(opened("ann")),
        Movement::Account(AccountEvent::Deposited { amount: Amount(5) }),
        Movement::Customer(moved()),
    ] {
        assert_eq!(stored(&event), [event]);
    }
}

#[test]
fn a_member_may_be_a_union() {
    let event = Anything::Movement(Movement::Customer(moved()));
    assert_eq!(stored(&event), [event]);
}

#[test]
fn an_old_version_gives_all_that_it_means() {
    let events = decoded::<Movement>("account.created", 1, r#"{"owners":["ann","bob"]}"#);
    assert_eq!(events.unwrap(), ["ann", "bob"].map(|owner| Movement::Account(opened(owner))));
}

#[test]
fn a_retired_type_of_a_member_means_nothing() {
    assert_eq!(decoded::<Movement>("account.frozen", 1, "not json").unwrap(), []);
}

#[test]
fn a_payload_is_parsed_once() {
    PARSED.set(0);
    let events = decoded::<Anything>("account.deposited", 1, r#"{"amount":5}"#).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(PARSED.get(), 1);
}

#[test]
fn a_name_of_no_member_is_unknown() {
    let error = decoded::<Movement>("price.raised", 1, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::UnknownType));
}

#[test]
fn what_a_member_cant_decode_is_its_own_error() {
    let error = decoded::<Anything>("account.opened", 3, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::NewerVersion { known } if known.get() == 2));
    let error = decoded::<Anything>("customer.moved", 1, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::Payload(_)));
}

/// Where the customers with accounts live.
#[derive(Debug, Clone, Default, PartialEq, View)]
#[view(event = Movement)]
struct Residents {
    city: String,
    accounts: u32,
}

impl Residents {
    fn key<'a>(event: &'a Movement, envelope: &'a Envelope) -> Option<&'a str> {
        match event {
            Movement::Account(AccountEvent::Opened { owner }) => Some(owner),
            Movement::Account(AccountEvent::Deposited { .. }) => None,
            Movement::Customer(_) => Some(envelope.stream.key()),
        }
    }

    fn fold(&mut self, event: &Movement, _: &EventContext<'_>) {
        match event {
            Movement::Account(_) => self.accounts += 1,
            Movement::Customer(CustomerEvent::Moved { city }) => self.city.clone_from(city),
        }
    }
}

#[test]
fn a_view_is_folded_from_events_of_several_types() {
    let mut row = Residents::default();
    let account = (Movement::Account(opened("ann")), "account-7");
    for (event, stream) in [account, (Movement::Customer(moved()), "customer-ann")] {
        let envelope = envelope(stream, &event);
        let mut keys = highwater_core::domain::Keys::default();
        Residents::keys(&event, &envelope, &mut keys);
        assert!(keys.drain().eq(["ann"]));
        View::fold(&mut row, &event, &EventContext { key: "ann", envelope: &envelope }).unwrap();
    }
    assert_eq!(row, Residents { city: "Ulm".into(), accounts: 1 });
}

#[test]
fn a_view_asks_for_the_events_of_all_members() {
    let query = Residents::query().unwrap();
    assert_eq!(query.items[0].types, Movement::NAMES);
}

#[test]
fn a_member_has_the_tags_that_it_has_alone() {
    for name in ["account.opened", "account.created"] {
        assert!(AccountEvent::can_have_tag(name, "owner"), "{name}");
        assert!(Movement::can_have_tag(name, "owner"), "{name}");
        assert!(Movement::always_has_tag(name, "owner"), "{name}");
    }
    for name in ["account.deposited", "account.frozen", "customer.moved", "unknown"] {
        assert!(!Movement::can_have_tag(name, "owner"), "{name}");
        assert!(!Movement::always_has_tag(name, "owner"), "{name}");
    }
}
