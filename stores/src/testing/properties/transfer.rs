//! W2, W3, W4: logs that are moved to another store.

use std::sync::Arc;

use bytes::Bytes;
use highwater_core::{
    Code, Envelope, Position, Query, SchemaVersion, Tag, Timestamp, Version,
    port::{Append, CommandPlace, EventStore, ImportedAppend, NewEvent},
    testing::ManualClock,
    value::Expected,
};

use crate::{
    MemoryStore,
    testing::{
        Fixture, Store,
        build::{
            self, FINGERPRINT, OTHER_FINGERPRINT, append_one, append_to, at, event, nothing_like,
            stream, tag, tagged, with_payload,
        },
        read,
    },
};

/// Returns a log with everything that one can have, by a clock that counts microseconds.
async fn source() -> (MemoryStore, Vec<Append>) {
    let clock = ManualClock::at(Timestamp::from_microsecond(1_800_000_000_123_456).unwrap());
    let store = MemoryStore::new(Arc::new(clock));
    let (a, b) = (stream("a"), stream("b"));
    let odd = tag("o\"d\\d, {1}");
    let bytes = with_payload(Bytes::from_static(b"\x00\xff not JSON \r\n"));
    let mut both = append_to(&a, at(1), vec![event(), tagged([odd.clone(), tag("1")])]).stream(
        b.clone(),
        Expected::Any,
        vec![bytes],
    );
    both.metadata = Some(Bytes::from_static(b"{\"actor\": \"alice\"}"));
    let nothing = build::empty();
    let appends = vec![
        build::empty(),
        append_one(&a, tagged([tag("1")])),
        both,
        nothing,
        build::empty(),
        append_one(&b, event()),
        build::empty(),
    ];
    for append in &appends {
        store.append(append.clone()).await.unwrap();
    }
    (store, appends)
}

/// Reads a log as it is imported.
async fn read_all(store: &dyn Store) -> Vec<ImportedAppend> {
    let events = read::log(store, &Query::all()).await;
    let mut ids: Vec<_> = events.iter().map(|event| event.command).collect();
    ids.dedup();
    let transfer = store.transfer();
    let mut commands = transfer.command_places(&ids).await.unwrap();
    commands.extend(without_events(store).await);
    commands.sort_by_key(|command| (command.last, command.first, command.id));
    let of = |command: CommandPlace| ImportedAppend {
        command,
        events: events.iter().filter(|event| event.command == command.id).cloned().collect(),
    };
    commands.into_iter().map(of).collect()
}

/// Reads the commands without events, in pages of one.
async fn without_events(store: &dyn Store) -> Vec<CommandPlace> {
    let mut all: Vec<CommandPlace> = Vec::new();
    loop {
        let (from, after) =
            all.last().map_or((Position::START, None), |last| (last.last, Some(last.id)));
        let page = store.transfer().commands_without_events(from, after, 1).await.unwrap();
        assert!(page.len() <= 1);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(super) async fn w2_an_imported_log_is_the_log_that_was_read(fixture: Fixture) {
    let (source, _) = source().await;
    let store = &*fixture.store();
    let all = read_all(&source).await;
    assert_eq!((all.len(), without_events(&source).await.len()), (7, 4));
    for part in all.chunks(3) {
        store.transfer().import(part).await.unwrap();
    }
    let other = fixture.reopen().await;
    let log = read::log(&*other, &Query::all()).await;
    assert_eq!(log, read::log(&source, &Query::all()).await);
    assert_eq!(read_all(&*other).await, all);
    assert_eq!(store.head().await.unwrap(), Position::new(5));
    store.wait_for_append(Position::new(4)).await.unwrap();
    for query in [Query::tags([tag("1")]), Query::tags([tag("o\"d\\d, {1}")])] {
        let found = read::log(store, &query).await;
        assert_eq!(found, read::log(&source, &query).await);
        let condition = nothing_like(query, Position::START);
        let append = append_one(&stream("late"), event()).only_if(condition);
        assert!(store.append(append).await.unwrap_err().is_conflict());
    }
    // The log goes on as any other, and its times never go back.
    let next = store.append(append_to(&stream("a"), at(3), vec![event()])).await.unwrap();
    assert_eq!(next.position, Position::new(6));
    let log = read::log(store, &Query::all()).await;
    assert!(log[5].recorded_at >= log[4].recorded_at);
}

pub(super) async fn w4_a_command_is_recognised_after_an_import(fixture: Fixture) {
    let (source, appends) = source().await;
    let store = &*fixture.store();
    store.transfer().import(&read_all(&source).await).await.unwrap();
    for append in appends {
        let first = source.append(append.clone()).await.unwrap();
        assert!(first.repeated);
        assert_eq!(store.append(append.clone()).await.unwrap(), first);
        assert_eq!(store.find_command(append.command).await.unwrap().unwrap().appended, first);
        let other = Append { fingerprint: OTHER_FINGERPRINT, ..append };
        assert_eq!(store.append(other).await.unwrap_err().code(), Code::COMMAND_ID_REUSED);
    }
    assert_eq!(store.head().await.unwrap(), Position::new(5));
    // Records without events may come again, but not others under their ids.
    let empty: Vec<_> = without_events(&source).await;
    let import = |command| ImportedAppend { command, events: Vec::new() };
    let again: Vec<_> = empty.iter().copied().map(import).collect();
    store.transfer().import(&again).await.unwrap();
    let other = CommandPlace { fingerprint: OTHER_FINGERPRINT, ..empty[1] };
    let refused = store.transfer().import(&[import(other)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::COMMAND_ID_REUSED);
}

pub(super) async fn w3_an_import_continues_the_log_or_stores_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let first = store.append(append_one(&stream("a"), event())).await.unwrap();
    let before = read::log(store, &Query::all()).await;
    let good = continuing(&before[0]);
    let [event, _] = &good.events[..] else { panic!("two events") };
    let with = |event: Envelope| ImportedAppend {
        events: vec![event, good.events[1].clone()],
        ..good.clone()
    };
    let moved = |first: u64, last: u64| {
        let (first, last) = (Position::new(first), Position::new(last));
        ImportedAppend { command: CommandPlace { first, last, ..good.command }, ..good.clone() }
    };
    let early = before[0].recorded_at - std::time::Duration::from_secs(1);
    for (bad, why) in [
        (moved(1, 2), "continue the log"),
        (moved(3, 4), "continue the log"),
        (moved(2, 4), "all of its events"),
        (with(Envelope { position: Position::new(3), ..event.clone() }), "continue the log"),
        (with(Envelope { command: build::command(), ..event.clone() }), "continue the log"),
        (with(Envelope { version: Version::new(3), ..event.clone() }), "version 3 of stream"),
        (with(Envelope { version: Version::new(1), ..event.clone() }), "version 1 of stream"),
        (with(Envelope { recorded_at: early, ..event.clone() }), "an earlier time"),
        (with(Envelope { type_name: "".into(), ..event.clone() }), "event type"),
        (
            with(Envelope { schema_version: SchemaVersion::new(u32::MAX), ..event.clone() }),
            "schema",
        ),
        (with(Envelope { tags: [Tag::from_stored("\0".into())].into(), ..event.clone() }), "tag"),
    ] {
        let refused = store.transfer().import(std::slice::from_ref(&bad)).await.unwrap_err();
        assert!(refused.is_invalid() && refused.to_string().contains(why), "{refused}: {why}");
    }
    // One that fails takes the ones before it with it.
    let second = ImportedAppend { command: good.command, ..moved(3, 4) };
    assert!(store.transfer().import(&[good.clone(), second]).await.is_err());
    assert_eq!(read::log(store, &Query::all()).await, before);
    assert_eq!(store.find_command(good.command.id).await.unwrap(), None);
    assert_eq!(first.position, Position::new(1));
    store.transfer().import(std::slice::from_ref(&good)).await.unwrap();
    assert_eq!(read::log(store, &Query::all()).await[1..], good.events);
    assert!(store.transfer().import(&[good]).await.unwrap_err().is_invalid());
}

/// Returns an append of two events that continues a log with one event.
fn continuing(last: &Envelope) -> ImportedAppend {
    let NewEvent { id, event_type, tags, payload } = event();
    let command = CommandPlace {
        id: build::command(),
        fingerprint: FINGERPRINT,
        first: Position::new(2),
        last: Position::new(3),
    };
    let first = Envelope {
        position: Position::new(2),
        stream: stream("a"),
        version: Version::new(2),
        id,
        command: command.id,
        type_name: event_type.name.into(),
        schema_version: event_type.version,
        recorded_at: last.recorded_at,
        tags,
        payload,
        raw_metadata: Bytes::new(),
    };
    let second = Envelope {
        position: Position::new(3),
        stream: stream("b"),
        version: Version::new(1),
        id: build::event_id(),
        ..first.clone()
    };
    ImportedAppend { command, events: vec![first, second] }
}
