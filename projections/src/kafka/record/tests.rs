use std::sync::Arc;

use bytes::Bytes;
use highwater_core::{
    CommandId, CorrelationId, Envelope, EventId, Metadata, Position, Query, QueryItem,
    SchemaVersion, StreamId, Tag, Tags, TraceContext, Version,
};
use jiff::Timestamp;
use proptest::prelude::*;
use rdkafka::message::{Header, OwnedHeaders};
use uuid::Uuid;

use super::{format::MARK_TYPE, *};

fn event() -> Envelope {
    Envelope {
        position: Position::new(17),
        stream: StreamId::parse("account-alice").unwrap(),
        version: Version::new(3),
        id: EventId::from_uuid(Uuid::from_u128(1)),
        command: CommandId::from_uuid(Uuid::from_u128(2)),
        type_name: "account.opened".into(),
        schema_version: SchemaVersion::new(2),
        recorded_at: "2026-01-02T03:04:05.123456789Z".parse().unwrap(),
        tags: Tags::none(),
        payload: Bytes::from_static(b"{}"),
        raw_metadata: Bytes::new(),
    }
}

fn encoded(event: &Envelope) -> OwnedHeaders {
    RecordEncoder::new("/highwater/test".into()).event(event, Position::new(5)).unwrap()
}

fn decoded(event: &Envelope, headers: &OwnedHeaders) -> Result<Envelope, String> {
    let key = Some(event.stream.as_str().as_bytes());
    let record = DecodedRecord::decode(key, Some(headers.as_borrowed()), Some(&event.payload))?;
    let Some(raw) = record.event else { return Err("a mark".into()) };
    raw.envelope(record.position, record.time, &mut TypeNames::default())
}

fn value(headers: &OwnedHeaders, name: &str) -> Option<String> {
    use rdkafka::message::Headers as _;
    let found = headers.as_borrowed().iter().find(|header| header.key == name)?;
    found.value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let texts =
        ("[a-z]{1,8}-[^\0]{1,40}", "\\PC{1,20}", prop::collection::vec("[^\0]{1,20}", 0..5));
    let numbers = (1..u64::MAX / 4, 1..u64::MAX / 4, 1..u32::MAX, any::<u128>(), any::<u128>());
    let moments = (0_i64..200_000_000_000, 0..1_000_000_000);
    let bytes = (prop::collection::vec(any::<u8>(), 0..200), any::<bool>());
    (texts, numbers, moments, bytes).prop_map(|(texts, numbers, moments, bytes)| Envelope {
        position: Position::new(numbers.0 + 5),
        stream: StreamId::parse(&texts.0).unwrap(),
        version: Version::new(numbers.1),
        id: EventId::from_uuid(Uuid::from_u128(numbers.3)),
        command: CommandId::from_uuid(Uuid::from_u128(numbers.4)),
        type_name: texts.1.into(),
        schema_version: SchemaVersion::new(numbers.2),
        recorded_at: Timestamp::new(moments.0, moments.1).unwrap(),
        tags: texts.2.into_iter().map(Tag::from_stored).collect(),
        payload: bytes.0.into(),
        raw_metadata: if bytes.1 {
            Bytes::from_static(br#"{"actor":"\u0007 eve"}"#)
        } else {
            Bytes::new()
        },
    })
}

proptest! {
    #[test]
    fn an_event_survives_the_round_trip_to_the_byte(event in envelopes()) {
        prop_assert_eq!(decoded(&event, &encoded(&event)).unwrap(), event);
    }

    #[test]
    fn one_encoder_keeps_nothing_of_the_event_before(events in prop::collection::vec(envelopes(), 2..6)) {
        let mut encoder = RecordEncoder::new("/highwater/test".into());
        for event in events {
            let headers = encoder.event(&event, Position::START).unwrap();
            prop_assert_eq!(decoded(&event, &headers).unwrap(), event);
        }
    }

    #[test]
    fn what_a_query_finds_in_a_record_it_finds_in_the_event(event in envelopes(), other in envelopes()) {
        let headers = encoded(&event);
        let key = Some(event.stream.as_str().as_bytes());
        let record = DecodedRecord::decode(key, Some(headers.as_borrowed()), Some(&event.payload)).unwrap();
        let raw = record.event.unwrap();
        let tag = event.tags.as_slice().first().cloned();
        let queries = [
            Query::all(),
            Query::types([&*event.type_name]),
            Query::types([&*other.type_name]),
            Query::tags(tag),
            Query::tags([Tag::new("no", "such")]).or(Query::types([&*event.type_name])),
            Query::category(highwater_core::Category::new(other.stream.category()).unwrap()),
            Query::from(QueryItem { tags: [Tag::new("no", "such")].into(), ..QueryItem::default() }),
        ];
        for query in queries {
            let expected = query.matches(&event.stream, &event.type_name, &event.tags);
            prop_assert_eq!(raw.matches(&query).unwrap(), expected, "{:?}", query);
        }
    }
}

#[test]
fn a_foreign_reader_finds_cloud_events_headers() {
    let headers = encoded(&event());
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "00000000-0000-0000-0000-000000000001"),
        ("ce_source", "/highwater/test"),
        ("ce_type", "account.opened"),
        ("ce_subject", "account-alice"),
        ("ce_time", "2026-01-02T03:04:05.123456789Z"),
        ("content-type", "application/json"),
        ("ce_position", "17"),
        ("ce_previous", "5"),
        ("ce_streamversion", "3"),
        ("ce_schemaversion", "2"),
        ("ce_commandid", "00000000-0000-0000-0000-000000000002"),
    ];
    for (name, text) in expected {
        assert_eq!(value(&headers, name).as_deref(), Some(text), "{name}");
    }
    assert_eq!(value(&headers, "ce_tags"), None);
    assert_eq!(value(&headers, "ce_metadata"), None);
}

#[test]
fn the_context_of_the_metadata_is_there_for_foreign_readers() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let metadata = Metadata {
        correlation: Some(CorrelationId::from_uuid(Uuid::from_u128(7))),
        trace: Some(TraceContext::new(trace).unwrap().with_state("a=1")),
        ..Metadata::default()
    };
    let raw_metadata = serde_json::to_vec(&metadata).unwrap().into();
    let headers = encoded(&Envelope { raw_metadata, ..event() });
    assert_eq!(value(&headers, "ce_traceparent").as_deref(), Some(trace));
    assert_eq!(value(&headers, "ce_tracestate").as_deref(), Some("a=1"));
    assert_eq!(value(&headers, "ce_correlationid").unwrap(), Uuid::from_u128(7).to_string());
    assert_eq!(value(&headers, "ce_causationid"), None);
}

#[test]
fn a_subject_holds_no_control_characters_and_the_key_holds_them_all() {
    let event = Envelope { stream: StreamId::parse("a-b\n\u{85}c").unwrap(), ..event() };
    let headers = encoded(&event);
    assert_eq!(value(&headers, "ce_subject").as_deref(), Some("a-b%0A%85c"));
    assert_eq!(decoded(&event, &headers).unwrap().stream, event.stream);
}

#[test]
fn a_mark_survives_the_round_trip() {
    let position = Position::new(9);
    let mark = MarkRecord { position, previous: position, as_of: event().recorded_at };
    let headers = RecordEncoder::new("/highwater/test".into()).mark(mark, 4);
    let record = DecodedRecord::decode(None, Some(headers.as_borrowed()), None).unwrap();
    assert!(record.event.is_none());
    assert_eq!((record.position, record.previous, record.time), (position, position, mark.as_of));
}

#[test]
fn an_event_whose_type_is_that_of_a_mark_is_an_event() {
    let event = Envelope { type_name: Arc::from(MARK_TYPE), ..event() };
    assert_eq!(decoded(&event, &encoded(&event)).unwrap(), event);
}

fn why(key: Option<&[u8]>, headers: &OwnedHeaders, payload: Option<&[u8]>) -> String {
    match DecodedRecord::decode(key, Some(headers.as_borrowed()), payload) {
        Err(why) => why,
        Ok(record) => match record.event {
            None => "a mark".into(),
            Some(raw) => raw
                .envelope(record.position, record.time, &mut TypeNames::default())
                .err()
                .unwrap_or_else(|| "an event".into()),
        },
    }
}

/// Returns the headers of an event with one of them replaced, or left out.
fn with(name: &str, new: Option<&[u8]>) -> OwnedHeaders {
    use rdkafka::message::Headers as _;
    let all = encoded(&event());
    let mut headers = OwnedHeaders::new();
    for header in all.as_borrowed().iter() {
        let value = if header.key == name { new } else { header.value };
        if let Some(value) = value {
            headers = headers.insert(Header { key: header.key, value: Some(value) });
        }
    }
    headers
}

#[test]
fn what_is_not_of_a_relay_is_refused_with_the_reason() {
    let key = Some(&b"account-alice"[..]);
    let payload = Some(&b"{}"[..]);
    let wrong = [
        ("ce_specversion", Some(&b"0.3"[..]), "it is not of CloudEvents 1.0"),
        ("ce_position", None, "it has no header ce_position"),
        ("ce_position", Some(b"x"), "ce_position is malformed"),
        ("ce_position", Some(b"-1"), "ce_position is malformed"),
        ("ce_position", Some(b"5"), "position 5 can't follow 5"),
        ("ce_position", Some(b"18446744073709551615"), "ce_position is beyond every position"),
        ("ce_previous", Some(b"17"), "position 17 can't follow 17"),
        ("ce_time", Some(b"yesterday"), "ce_time is malformed"),
        ("ce_id", Some(b"1"), "ce_id is malformed"),
        ("ce_type", Some(b"\xff"), "ce_type is no text"),
        ("ce_commandid", None, "it has no header ce_commandid"),
    ];
    for (name, value, expected) in wrong {
        assert_eq!(why(key, &with(name, value), payload), expected, "{name} {value:?}");
    }
    let whole = encoded(&event());
    assert_eq!(why(None, &whole, payload), "it has no key");
    assert_eq!(why(key, &whole, None), "it has no value");
    assert_eq!(why(Some(b"\xff"), &whole, payload), "its key is no text");
    assert!(why(Some(b"account"), &whole, payload).starts_with("its key: "));
    assert_eq!(why(key, &OwnedHeaders::new(), payload), "it has no header ce_specversion");
    let twice = encoded(&event()).insert(Header { key: "ce_position", value: Some("18") });
    assert_eq!(why(key, &twice, payload), "it has two headers ce_position");
}
