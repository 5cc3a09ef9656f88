//! Reads return exactly what was written, byte for byte.

use bytes::Bytes;
use highwater_core::{
    SchemaVersion, StreamId,
    domain::EventType,
    port::{Append, NewEvent},
    value::{Expected, STREAM_ID_LIMIT, TAG_LIMIT},
};

use crate::testing::{
    Fixture, Store,
    build::{
        append_one, append_to, command, empty, event, event_id, events, stream, tag, with_payload,
    },
    read,
};

/// Texts that a careless store would normalise, escape, truncate, fold or execute.
pub(super) const HOSTILE: &[&str] = &[
    "'",
    "''",
    "\"",
    "`",
    "%",
    "_",
    "\\",
    "\\\\",
    "a%",
    "a_",
    "ab",
    "$1",
    "?",
    ":name",
    "{}",
    "/",
    "\n",
    "\r\n",
    "\t",
    "a",
    "a ",
    "a  ",
    " a",
    "A",
    "a\n",
    "-",
    "--",
    "-a-",
    "null",
    "NULL",
    "0",
    "\u{202e}abc",
    "שלום",
    "مرحبا",
    "日本語",
    "🦀",
    "👩‍👩‍👧‍👦",
    "\u{e9}",
    "e\u{301}",
    "ß",
    "ss",
    "SS",
    "İ",
    "i",
    "I",
    "ı",
    "\u{feff}a",
    "a\u{200b}",
    "\u{1}",
    "\u{7f}",
    "\u{10ffff}",
    "ﬁ",
    "fi",
    "'; DROP TABLE events; --",
    "\"; DELETE FROM streams; --",
    "x' OR '1'='1",
];

async fn only(store: &dyn Store, stream: &StreamId) -> highwater_core::Envelope {
    let mut events = read::stream(store, stream).await;
    assert_eq!(events.len(), 1);
    events.remove(0)
}

pub(super) async fn w2_an_event_comes_back_as_it_was_written(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("exact");
    let written = NewEvent {
        id: event_id(),
        event_type: EventType { name: "exact.written", version: SchemaVersion::new(u32::MAX >> 1) },
        tags: [tag("b"), tag("a"), tag("b")].into(),
        payload: Bytes::from_static(b"{\"cents\": 1.0, \"b\":2 , \"a\":1}"),
    };
    let command = command();
    let append = Append { command, ..append_one(&stream, written.clone()) };
    let appended = store.append(append).await.unwrap();
    let event = only(&*fixture.reopen().await, &stream).await;
    assert_eq!(event.position, appended.position);
    assert_eq!((&event.stream, event.version), (&stream, appended.streams[0].version));
    assert_eq!((event.id, event.command), (written.id, command));
    assert_eq!(&*event.type_name, "exact.written");
    assert_eq!(event.schema_version, written.event_type.version);
    assert_eq!((event.tags, event.payload), (written.tags, written.payload));
    assert!(event.raw_metadata.is_empty());
}

pub(super) async fn w2_metadata_belongs_to_every_event_of_its_append(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("metadata");
    let metadata = Bytes::from_static(br#"{"actor":"Zo\u00eb", "n":1e3}"#);
    let append = append_to(&stream, Expected::Any, events(2));
    store.append(Append { metadata: Some(metadata.clone()), ..append }).await.unwrap();
    store.append(append_one(&stream, event())).await.unwrap();
    let stored: Vec<_> =
        read::stream(&*store, &stream).await.into_iter().map(|event| event.raw_metadata).collect();
    assert_eq!(stored, [metadata.clone(), metadata, Bytes::new()]);
}

async fn payload_comes_back(fixture: Fixture, payload: Vec<u8>) {
    let store = fixture.store();
    let stream = stream("payload");
    let payload = Bytes::from(payload);
    store.append(append_one(&stream, with_payload(payload.clone()))).await.unwrap();
    let stored = only(&*store, &stream).await.payload;
    assert!(stored == payload, "{} of {} bytes came back", stored.len(), payload.len());
}

pub(super) async fn w2_a_payload_of_one_mebibyte_comes_back(fixture: Fixture) {
    let payload = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    payload_comes_back(fixture, payload).await;
}

pub(super) async fn w2_an_empty_payload_comes_back(fixture: Fixture) {
    payload_comes_back(fixture, Vec::new()).await;
}

pub(super) async fn w2_a_payload_that_is_no_text_comes_back(fixture: Fixture) {
    payload_comes_back(fixture, (0..=255).chain([0xff, 0xfe, 0x00, 0xc3, 0x28]).collect()).await;
}

pub(super) async fn w2_schema_versions_and_types_may_differ_in_one_append(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("types");
    let types = [("a", 1), ("b", 2), ("a", 3)];
    let events = types.map(|(name, version)| {
        let version = SchemaVersion::new(version);
        NewEvent { event_type: EventType { name, version }, ..event() }
    });
    store.append(append_to(&stream, Expected::Any, events.to_vec())).await.unwrap();
    let stored = read::stream(&*store, &stream).await;
    let stored: Vec<_> =
        stored.iter().map(|event| (&*event.type_name, event.schema_version.get())).collect();
    assert_eq!(stored, types);
}

/// Returns streams with hostile keys, and the two longest streams, which differ in their last byte.
fn hostile_streams() -> Vec<StreamId> {
    let euros = "suite-".to_owned() + &"€".repeat(300);
    let zeds = "z".repeat(STREAM_ID_LIMIT - euros.len() - 1);
    let longest = ['1', '2'].map(|last| StreamId::parse(&format!("{euros}{zeds}{last}")).unwrap());
    HOSTILE.iter().map(|key| stream(key)).chain(longest).collect()
}

pub(super) async fn w1_hostile_stream_ids_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    let streams = hostile_streams();
    let mut written = Vec::new();
    for stream in &streams {
        let event = event();
        written.push(event.id);
        store.append(append_to(stream, Expected::NoStream, vec![event])).await.unwrap();
    }
    for (stream, id) in streams.iter().zip(written) {
        let stored = only(store, stream).await;
        assert_eq!((&stored.stream, stored.id), (stream, id));
    }
}

pub(super) async fn w2_hostile_stream_ids_share_an_append(fixture: Fixture) {
    let store = &*fixture.store();
    let streams = hostile_streams();
    let append = streams.iter().fold(empty(), |append, stream| {
        append.stream(stream.clone(), Expected::NoStream, events(1))
    });
    let appended = store.append(append.clone()).await.unwrap();
    let heads: Vec<_> = appended.streams.iter().map(|head| &head.stream).collect();
    assert_eq!(heads, streams.iter().collect::<Vec<_>>());
    assert_eq!(store.append(append).await.unwrap().streams, appended.streams);
}

pub(super) async fn w2_the_longest_tag_and_many_tags_come_back(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("tags");
    let longest = super::boundary::bare(&"x".repeat(TAG_LIMIT));
    let many = (0..100).map(|n| tag(&format!("{n}"))).chain([longest]);
    let event = crate::testing::build::tagged(many);
    store.append(append_one(&stream, event.clone())).await.unwrap();
    assert_eq!(only(&*store, &stream).await.tags, event.tags);
}

pub(super) async fn w3_recorded_times_never_decrease_along_the_log(fixture: Fixture) {
    let store = fixture.store();
    let appends =
        (0..64).map(|n| append_to(&stream(&(n % 3).to_string()), Expected::Any, events(2)));
    crate::testing::race::race_appends(&store, appends).await;
    let log = read::log(&*store, &highwater_core::Query::all()).await;
    assert_eq!(log.len(), 128);
    assert!(log.is_sorted_by_key(|event| event.recorded_at));
}

pub(super) async fn w3_positions_and_times_are_monotone_along_a_stream(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("as-of");
    let appends = (0..32).map(|_| append_to(&stream, Expected::Any, events(2)));
    crate::testing::race::race_appends(&store, appends).await;
    let events = read::stream(&*store, &stream).await;
    assert_eq!(read::versions(&events), (1..=64).collect::<Vec<_>>());
    assert!(events.is_sorted_by(|one, next| one.position < next.position));
    assert!(events.is_sorted_by_key(|event| event.recorded_at));
}

pub(super) async fn w3_the_log_and_the_streams_tell_the_same(fixture: Fixture) {
    let store = &*fixture.store();
    let [a, b] = [stream("a"), stream("b")];
    for _ in 0..3 {
        let append =
            append_to(&a, Expected::Any, events(2)).stream(b.clone(), Expected::Any, events(1));
        store.append(append).await.unwrap();
    }
    let log = read::log(store, &highwater_core::Query::all()).await;
    for stream in [a, b] {
        let mut of_log = log.clone();
        of_log.retain(|event| event.stream == stream);
        assert_eq!(read::stream(store, &stream).await, of_log);
    }
}
