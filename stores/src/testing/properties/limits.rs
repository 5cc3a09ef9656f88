//! An append that is too large or malformed is refused before anything is stored.

use bytes::Bytes;
use highwater_core::{
    Code, Position, Query, ReadFrom, Tag,
    domain::TYPE_NAME_LIMIT,
    port::Append,
    value::{Expected, TAG_LIMIT},
};

use super::boundary::bare;
use crate::testing::{
    Fixture, Store,
    build::{
        append_one, append_to, event, events, nothing_like, stream, tagged, typed, with_payload,
    },
    read,
};

/// Checks that an append is refused with this code, that nothing is stored, and that its command id
/// stays free.
async fn refused(store: &dyn Store, append: Append, code: Code) {
    let command = append.command;
    let head = store.head().await.unwrap();
    let error = store.append(append).await.unwrap_err();
    assert!(error.is_invalid(), "{error}");
    assert_eq!(error.code(), code);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(store.find_command(command).await.unwrap(), None);
}

fn bytes(count: usize) -> Bytes {
    Bytes::from(vec![b'7'; count])
}

pub(super) async fn w2_a_payload_at_the_limit_is_stored(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("large");
    let payload = bytes(fixture.limits().payload);
    store.append(append_one(&stream, with_payload(payload.clone()))).await.unwrap();
    let stored = read::stream(&*store, &stream).await;
    assert!(stored[0].payload == payload);
}

pub(super) async fn w2_a_payload_over_the_limit_is_refused(fixture: Fixture) {
    let store = &*fixture.store();
    let large = with_payload(bytes(fixture.limits().payload + 1));
    let append = append_to(&stream("large"), Expected::Any, vec![event(), large]);
    refused(store, append, Code::TOO_LARGE).await;
}

pub(super) async fn w2_metadata_at_the_limit_is_stored_and_over_it_refused(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("metadata");
    let append = |size| Append { metadata: Some(bytes(size)), ..append_one(&stream, event()) };
    let limit = fixture.limits().metadata;
    store.append(append(limit)).await.unwrap();
    assert_eq!(read::stream(&*store, &stream).await[0].raw_metadata.len(), limit);
    refused(&*store, append(limit + 1), Code::TOO_LARGE).await;
}

pub(super) async fn w2_as_many_events_as_the_limit_are_stored_and_more_refused(fixture: Fixture) {
    let (store, [a, b]) = (fixture.store(), [stream("a"), stream("b")]);
    let limit = fixture.limits().events;
    let append = |more| {
        append_to(&a, Expected::Any, events(limit - 1)).stream(
            b.clone(),
            Expected::Any,
            events(more),
        )
    };
    let appended = store.append(append(1)).await.unwrap();
    assert_eq!(appended.position, Position::new(limit as u64));
    refused(&*store, append(2), Code::TOO_LARGE).await;
}

pub(super) async fn w2_a_stream_named_twice_is_refused(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("twice");
    let append = append_one(&stream, event()).stream(stream.clone(), Expected::Any, events(1));
    refused(&*store, append, Code::BAD_REQUEST).await;
}

fn malformed_tags() -> [Tag; 3] {
    [bare(""), bare("a\0b"), bare(&"x".repeat(TAG_LIMIT + 1))]
}

pub(super) async fn w2_malformed_tags_of_an_event_are_refused(fixture: Fixture) {
    let store = &*fixture.store();
    for tag in malformed_tags() {
        refused(store, append_one(&stream("tags"), tagged([tag])), Code::MALFORMED).await;
    }
}

pub(super) async fn w6_malformed_tags_of_a_condition_are_refused(fixture: Fixture) {
    let store = &*fixture.store();
    for tag in malformed_tags() {
        let condition = nothing_like(Query::tags([tag]), Position::START);
        let append = append_one(&stream("tags"), event()).only_if(condition);
        refused(store, append, Code::MALFORMED).await;
    }
}

pub(super) async fn w2_w6_a_type_name_that_no_store_could_hold_is_refused(fixture: Fixture) {
    let store = &*fixture.store();
    let long: &'static str = "x".repeat(TYPE_NAME_LIMIT + 1).leak();
    for name in ["", "a\0b", long] {
        refused(store, append_one(&stream("types"), typed(name)), Code::MALFORMED).await;
        let condition = nothing_like(Query::types([name]), Position::START);
        let append = append_one(&stream("types"), event()).only_if(condition);
        refused(store, append, Code::MALFORMED).await;
        let read = store.read_log(&Query::types([name]), ReadFrom::After(Position::START), 1).await;
        assert_eq!(read.unwrap_err().code(), Code::MALFORMED, "{name:?}");
    }
    store.append(append_one(&stream("types"), typed(&long[1..]))).await.unwrap();
}

pub(super) async fn w4_a_limit_is_looked_at_before_the_command_id(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("twice");
    let append = append_one(&stream, event());
    store.append(append.clone()).await.unwrap();
    let large = with_payload(bytes(fixture.limits().payload + 1));
    let repeat = Append { command: append.command, ..append_one(&stream, large) };
    assert_eq!(store.append(repeat).await.unwrap_err().code(), Code::TOO_LARGE);
}
