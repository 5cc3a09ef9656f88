//! What `#[derive(Event)]` writes: names, payloads, tags.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use common::{decoded, encoded, stored};
use highwater_core::{Event, Tag, Tags, domain::DecodeError};
use highwater_macros::Event;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Limit {
    cents: u64,
}

/// One of each kind of variant.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "account", retired("account.frozen", "account.thawed"))]
enum AccountEvent {
    /// Named fields, two of them tags.
    Opened {
        #[event(tag)]
        owner: String,
        #[event(tag = "branch")]
        at: u32,
    },
    MoneyDeposited {
        cents: u64,
    },
    /// No fields.
    Closed,
    /// Another type's JSON.
    LimitChanged(Limit),
    Noted(#[event(tag = "note")] String),
    #[event(formerly("account.created", "konto.eroeffnet"))]
    #[event(name = "bank.joined")]
    Joined {},
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "odd")]
enum Odd {
    /// Fields with the names of the variables that an expansion might use.
    Names {
        out: u8,
        raw: u8,
        emit: u8,
        r#type: String,
        old: u8,
    },
    #[serde(rename_all = "camelCase")]
    Serde {
        some_field: u8,
        #[serde(rename = "when")]
        at: u8,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(skip)]
        cache: Vec<u8>,
    },
    List(Vec<Limit>),
    r#Move {
        x: i8,
    },
}

fn opened() -> AccountEvent {
    AccountEvent::Opened { owner: "ann".into(), at: 7 }
}

#[test]
fn the_type_name_is_the_prefix_and_the_variant_in_snake_case() {
    assert_eq!(opened().event_type().name, "account.opened");
    let deposited = AccountEvent::MoneyDeposited { cents: 1 };
    assert_eq!(deposited.event_type().name, "account.money_deposited");
}

#[test]
fn a_written_name_stands_for_the_whole() {
    assert_eq!(AccountEvent::Joined {}.event_type().name, "bank.joined");
}

#[test]
fn a_version_that_is_not_written_is_the_first() {
    assert_eq!(opened().event_type().version.get(), 1);
}

#[test]
fn names_hold_what_is_written_what_was_and_what_is_retired() {
    let names = [
        "account.frozen",
        "account.thawed",
        "account.opened",
        "account.money_deposited",
        "account.closed",
        "account.limit_changed",
        "account.noted",
        "bank.joined",
        "account.created",
        "konto.eroeffnet",
    ];
    assert_eq!(AccountEvent::NAMES, names);
}

#[test]
fn the_payload_is_the_fields_alone() {
    assert_eq!(encoded(&opened()), r#"{"owner":"ann","at":7}"#);
}

#[test]
fn the_payload_of_a_unit_is_an_empty_object() {
    assert_eq!(encoded(&AccountEvent::Closed), "{}");
    assert_eq!(encoded(&AccountEvent::Joined {}), "{}");
}

#[test]
fn the_payload_of_a_single_unnamed_field_is_its_json() {
    assert_eq!(encoded(&AccountEvent::LimitChanged(Limit { cents: 5 })), r#"{"cents":5}"#);
    assert_eq!(encoded(&AccountEvent::Noted("hi".into())), r#""hi""#);
    assert_eq!(encoded(&Odd::List(vec![Limit { cents: 1 }])), r#"[{"cents":1}]"#);
}

#[test]
fn every_kind_of_variant_comes_back_as_it_was() {
    for event in [
        opened(),
        AccountEvent::MoneyDeposited { cents: u64::MAX },
        AccountEvent::Closed,
        AccountEvent::LimitChanged(Limit { cents: 5 }),
        AccountEvent::Noted("ü\n\"".into()),
        AccountEvent::Joined {},
    ] {
        assert_eq!(stored(&event), [event]);
    }
}

#[test]
fn a_unit_is_decoded_from_any_object() {
    let events = decoded::<AccountEvent>("account.closed", 1, r#"{"by":"bank"}"#);
    assert_eq!(events.unwrap(), [AccountEvent::Closed]);
}

#[test]
fn an_old_name_is_decoded_like_the_new_one() {
    let events = decoded::<AccountEvent>("account.created", 1, "{}");
    assert_eq!(events.unwrap(), [AccountEvent::Joined {}]);
}

#[test]
fn a_retired_type_is_decoded_to_no_event() {
    assert_eq!(decoded::<AccountEvent>("account.frozen", 9, "not json").unwrap(), []);
}

#[test]
fn unknown_fields_are_ignored() {
    let payload = r#"{"cents":3,"currency":"EUR","nested":{"a":[1]}}"#;
    let events = decoded::<AccountEvent>("account.money_deposited", 1, payload);
    assert_eq!(events.unwrap(), [AccountEvent::MoneyDeposited { cents: 3 }]);
}

#[test]
fn an_unknown_type_is_said_to_be_unknown() {
    let error = decoded::<AccountEvent>("account.exploded", 1, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::UnknownType));
}

#[test]
fn a_newer_version_is_refused_with_the_newest_known() {
    let error = decoded::<AccountEvent>("account.opened", 2, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::NewerVersion { known } if known.get() == 1));
}

#[test]
fn a_payload_that_is_something_else_is_an_error() {
    for payload in ["", "{}", r#"{"cents":"3"}"#, r#"{"cents":3}x"#, "\u{0}"] {
        let error = decoded::<AccountEvent>("account.money_deposited", 1, payload).unwrap_err();
        assert!(matches!(error, DecodeError::Payload(_)), "{payload:?}");
    }
}

#[test]
fn tags_are_the_fields_that_say_so() {
    assert_eq!(opened().tags(), Tags::from([Tag::new("branch", 7), Tag::new("owner", "ann")]));
    assert_eq!(AccountEvent::Noted("a".into()).tags(), Tags::from([Tag::new("note", "a")]));
}

#[test]
fn a_variant_without_tags_has_none() {
    assert!(AccountEvent::Closed.tags().is_empty());
    assert!(Odd::List(Vec::new()).tags().is_empty());
}

#[test]
fn fields_may_have_the_names_of_the_expansions_variables() {
    let event = Odd::Names { out: 1, raw: 2, emit: 3, r#type: "t".into(), old: 4 };
    assert_eq!(encoded(&event), r#"{"out":1,"raw":2,"emit":3,"type":"t","old":4}"#);
    assert_eq!(stored(&event), [event]);
}

#[test]
fn serde_attributes_shape_the_payload() {
    let event = Odd::Serde { some_field: 1, at: 2, note: None, cache: vec![1] };
    assert_eq!(encoded(&event), r#"{"someField":1,"when":2}"#);
    let without_cache = Odd::Serde { some_field: 1, at: 2, note: None, cache: Vec::new() };
    assert_eq!(stored(&event), [without_cache]);
}

#[test]
fn a_raw_name_is_stored_without_its_mark() {
    assert_eq!(Odd::r#Move { x: 1 }.event_type().name, "odd.move");
}

#[test]
fn an_event_may_be_declared_in_a_function() {
    #[derive(Debug, PartialEq, Event)]
    #[event(prefix = "local")]
    enum Local {
        Happened { limit: Limit },
    }
    let event = Local::Happened { limit: Limit { cents: 1 } };
    assert_eq!(stored(&event), [event]);
}

#[test]
fn only_types_that_always_get_a_tag_have_it() {
    let has = AccountEvent::always_has_tag;
    assert!(has("account.opened", "owner") && has("account.opened", "branch"));
    assert!(!has("account.opened", "note") && !has("account.frozen", "owner"));
    assert!(!has("unknown", "owner") && !Odd::always_has_tag("odd.names", "out"));
}

#[test]
fn only_types_with_a_tag_can_have_it() {
    let can = AccountEvent::can_have_tag;
    assert!(can("account.opened", "owner") && can("account.opened", "branch"));
    assert!(can("account.noted", "note"));
    assert!(!can("account.opened", "at") && !can("account.opened", "note"));
    assert!(!can("account.money_deposited", "owner") && !can("account.frozen", "owner"));
    assert!(!can("unknown", "owner") && !Odd::can_have_tag("odd.names", "out"));
}
