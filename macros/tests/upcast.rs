//! What events of earlier schema versions mean today.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod common;

use common::{decoded, encoded};
use highwater_core::{Event, Upcast, domain::DecodeError};
use highwater_macros::Event;
use serde::Deserialize;

#[derive(Debug, PartialEq, Event)]
#[event(prefix = "order")]
enum OrderEvent {
    #[event(version = 3, upcast(PlacedV1, PlacedV2), formerly("order.created"))]
    Placed { customer: String, cents: u64 },
    /// Version 1 listed several lines in one event.
    #[event(version = 2, upcast(LinesV1))]
    LineAdded { item: String },
    /// Version 1 was also written for carts, which are no orders.
    #[event(version = 2, upcast(ClosedV1))]
    Closed,
}

#[derive(Deserialize)]
struct PlacedV1 {
    euros: u64,
}

#[derive(Deserialize)]
struct PlacedV2 {
    cents: u64,
}

impl Upcast for PlacedV1 {
    type Next = PlacedV2;

    fn upcast(self) -> Vec<PlacedV2> {
        vec![PlacedV2 { cents: self.euros * 100 }]
    }
}

impl Upcast for PlacedV2 {
    type Next = OrderEvent;

    fn upcast(self) -> Vec<OrderEvent> {
        vec![OrderEvent::Placed { customer: "unknown".into(), cents: self.cents }]
    }
}

#[derive(Deserialize)]
struct LinesV1 {
    items: Vec<String>,
}

impl Upcast for LinesV1 {
    type Next = OrderEvent;

    fn upcast(self) -> Vec<OrderEvent> {
        self.items.into_iter().map(|item| OrderEvent::LineAdded { item }).collect()
    }
}

#[derive(Deserialize)]
struct ClosedV1 {
    cart: bool,
}

impl Upcast for ClosedV1 {
    type Next = OrderEvent;

    fn upcast(self) -> Vec<OrderEvent> {
        if self.cart { Vec::new() } else { vec![OrderEvent::Closed] }
    }
}

fn placed(customer: &str, cents: u64) -> OrderEvent {
    OrderEvent::Placed { customer: customer.into(), cents }
}

#[test]
fn the_current_version_is_written() {
    let event = placed("ann", 5);
    assert_eq!(event.event_type().version.get(), 3);
    assert_eq!(encoded(&event), r#"{"customer":"ann","cents":5}"#);
}

#[test]
fn the_current_version_goes_through_no_upcaster() {
    let events = decoded::<OrderEvent>("order.placed", 3, r#"{"customer":"ann","cents":5}"#);
    assert_eq!(events.unwrap(), [placed("ann", 5)]);
}

#[test]
fn a_chain_begins_at_the_stored_version() {
    assert_eq!(
        decoded::<OrderEvent>("order.placed", 1, r#"{"euros":2}"#).unwrap(),
        [placed("unknown", 200)]
    );
    assert_eq!(
        decoded::<OrderEvent>("order.placed", 2, r#"{"cents":7}"#).unwrap(),
        [placed("unknown", 7)]
    );
}

#[test]
fn a_former_name_has_all_the_versions() {
    assert_eq!(
        decoded::<OrderEvent>("order.created", 1, r#"{"euros":2}"#).unwrap(),
        [placed("unknown", 200)]
    );
    let current = decoded::<OrderEvent>("order.created", 3, r#"{"customer":"b","cents":1}"#);
    assert_eq!(current.unwrap(), [placed("b", 1)]);
}

#[test]
fn one_old_event_may_mean_several() {
    let line = |item: &str| OrderEvent::LineAdded { item: item.into() };
    let events = decoded::<OrderEvent>("order.line_added", 1, r#"{"items":["a","b"]}"#);
    assert_eq!(events.unwrap(), [line("a"), line("b")]);
}

#[test]
fn one_old_event_may_mean_none() {
    assert_eq!(decoded::<OrderEvent>("order.closed", 1, r#"{"cart":true}"#).unwrap(), []);
    assert_eq!(
        decoded::<OrderEvent>("order.closed", 1, r#"{"cart":false}"#).unwrap(),
        [OrderEvent::Closed]
    );
}

#[test]
fn a_version_beyond_the_chain_is_refused() {
    let error = decoded::<OrderEvent>("order.placed", 4, "{}").unwrap_err();
    assert!(matches!(error, DecodeError::NewerVersion { known } if known.get() == 3));
}

#[test]
fn an_old_payload_that_does_not_fit_its_version_is_an_error() {
    let error = decoded::<OrderEvent>("order.placed", 1, r#"{"cents":7}"#).unwrap_err();
    assert!(matches!(error, DecodeError::Payload(_)));
}
