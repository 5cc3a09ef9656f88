//! W6: tags that are added to stored events, and the events that lack them.

use std::sync::Arc;

use highwater_core::{
    Code, Envelope, Position, Query, Tag,
    error::Conflict,
    port::{AddedTags, Condition, MissingTag, NewEvent, Untagged},
    value::TAG_LIMIT,
};

use crate::testing::{
    Fixture, Store,
    build::{append_one, event, nothing_like, stream, tagged, typed},
    race::race,
    read,
};

const TYPES: [&str; 2] = ["seat.taken", "seat.freed"];

async fn write(store: &dyn Store, event: NewEvent) -> Position {
    store.append(append_one(&stream("written"), event)).await.unwrap().position
}

fn seat(value: u64) -> Tag {
    Tag::new("seat", value)
}

fn added(position: Position, tags: impl IntoIterator<Item = Tag>) -> AddedTags {
    AddedTags { position, tags: tags.into_iter().collect() }
}

fn missing(name: &str, types: &[&str]) -> MissingTag {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    MissingTag { name: name.to_owned(), types }
}

/// Reads the events with the tag of seat 1 and those that lack a tag, in pages of `size`.
async fn seats(store: &dyn Store, untagged: &Untagged, size: usize) -> Vec<u64> {
    let query = Query::tags([seat(1)]);
    let (mut positions, mut after) = (Vec::new(), Position::START);
    loop {
        let page = store.read_log_and_untagged(&query, untagged, after, size).await.unwrap();
        assert!(page.events.len() <= size);
        positions.extend(read::positions(&page.events));
        after = page.through;
        if !page.more {
            assert_eq!(after, store.head().await.unwrap());
            return positions;
        }
    }
}

pub(super) async fn w6_added_tags_are_found_by_reads_and_conditions(fixture: Fixture) {
    let store = &*fixture.store();
    let first = write(store, tagged([seat(1)])).await;
    write(store, event()).await;
    let before = read::log(store, &Query::all()).await;
    store.add_tags(&[added(first, [Tag::new("hall", "b"), Tag::new("row", 9)])]).await.unwrap();
    let expected = [Tag::new("hall", "b"), Tag::new("row", 9), seat(1)].into();
    let after = vec![Envelope { tags: expected, ..before[0].clone() }, before[1].clone()];
    assert_eq!(read::log(&*fixture.reopen().await, &Query::all()).await, after);
    for tags in [vec![seat(1)], vec![Tag::new("row", 9)], vec![seat(1), Tag::new("hall", "b")]] {
        assert_eq!(read::positions(&read::log(store, &Query::tags(tags.clone())).await), [1]);
        let condition = nothing_like(Query::tags(tags), Position::START);
        let append = append_one(&stream("late"), event()).only_if(condition);
        assert!(store.append(append).await.unwrap_err().is_conflict());
    }
}

pub(super) async fn w6_tags_added_again_change_nothing(fixture: Fixture) {
    let store = &*fixture.store();
    let position = write(store, tagged([seat(1)])).await;
    for _ in 0..2 {
        let beyond = added(Position::new(7), [seat(2)]);
        let nothing = added(Position::START, [seat(2)]);
        store.add_tags(&[added(position, [seat(1), seat(2)]), beyond, nothing]).await.unwrap();
        store.add_tags(&[]).await.unwrap();
        assert_eq!(read::positions(&read::log(store, &Query::tags([seat(2)])).await), [1]);
    }
    assert_eq!(read::log(store, &Query::all()).await[0].tags, [seat(1), seat(2)].into());
    // The position where there was no event is free of the tag that was meant for it.
    for _ in 0..6 {
        write(store, event()).await;
    }
    assert_eq!(read::positions(&read::log(store, &Query::tags([seat(2)])).await), [1]);
}

pub(super) async fn w6_tags_added_at_once_are_all_kept(fixture: Fixture) {
    let store = fixture.store();
    for _ in 0..20 {
        write(&*store, event()).await;
    }
    let racers = (0..8).map(|racer| {
        let store = Arc::clone(&store);
        async move {
            let mut tags: Vec<_> =
                (1..=20).map(|position| added(Position::new(position), [seat(racer)])).collect();
            if racer % 2 == 0 {
                tags.reverse();
            }
            store.add_tags(&tags).await
        }
    });
    race(racers).await.into_iter().for_each(|outcome| outcome.unwrap());
    let all: highwater_core::Tags = (0..8).map(seat).collect();
    let events = read::log(&*store, &Query::all()).await;
    assert!(events.iter().all(|event| event.tags == all));
    for racer in 0..8 {
        assert_eq!(read::log(&*store, &Query::tags([seat(racer)])).await.len(), 20);
    }
}

pub(super) async fn w6_malformed_tags_are_not_added(fixture: Fixture) {
    let store = &*fixture.store();
    let position = write(store, event()).await;
    for bad in [String::new(), "nul\0".into(), "x".repeat(TAG_LIMIT + 1)] {
        let added = [added(position, [seat(1)]), added(position, [Tag::from_stored(bad)])];
        assert_eq!(store.add_tags(&added).await.unwrap_err().code(), Code::MALFORMED);
    }
    assert!(read::log(store, &Query::all()).await[0].tags.is_empty());
}

pub(super) async fn w6_untagged_events_are_read_in_their_place(fixture: Fixture) {
    let store = &*fixture.store();
    let with = |tags: Vec<Tag>| NewEvent { tags: tags.into_iter().collect(), ..typed(TYPES[0]) };
    write(store, with(vec![])).await;
    write(store, with(vec![seat(1)])).await;
    write(store, with(vec![seat(2)])).await;
    // Names are compared whole, and as they are written.
    write(store, with(vec![Tag::new("seats", 1), Tag::new("Seat", 1), Tag::new("my", "seat:1")]))
        .await;
    write(store, tagged([])).await;
    write(store, typed(TYPES[1])).await;
    write(store, tagged([seat(1)])).await;
    let untagged = |names: &[&str], after| {
        let missing = names.iter().map(|name| missing(name, &TYPES)).collect();
        Untagged { missing, after: Position::new(after) }
    };
    for size in [1, 2, 3, 100] {
        assert_eq!(seats(store, &untagged(&["seat"], 0), size).await, [1, 2, 4, 6, 7]);
        assert_eq!(seats(store, &untagged(&["seat"], 1), size).await, [2, 4, 6, 7]);
        assert_eq!(seats(store, &untagged(&["seat"], 6), size).await, [2, 7]);
        assert_eq!(seats(store, &untagged(&["seat", "my"], 0), size).await, [1, 2, 3, 4, 6, 7]);
        assert_eq!(seats(store, &untagged(&["se%t"], 5), size).await, [2, 6, 7]);
        assert_eq!(seats(store, &untagged(&[], 0), size).await, [2, 7]);
    }
    let one = Untagged { missing: vec![missing("seat", &TYPES[1..])], after: Position::START };
    assert_eq!(seats(store, &one, 100).await, [2, 6, 7]);
}

pub(super) async fn w6_an_event_is_untagged_until_its_tag_is_added(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, typed(TYPES[0])).await;
    let untagged = Untagged { missing: vec![missing("seat", &TYPES)], after: Position::START };
    assert_eq!(seats(store, &untagged, 10).await, [1]);
    store.add_tags(&[added(Position::new(1), [seat(2)])]).await.unwrap();
    assert_eq!(seats(store, &untagged, 10).await, [] as [u64; 0]);
    store.add_tags(&[added(Position::new(1), [seat(1)])]).await.unwrap();
    assert_eq!(seats(store, &untagged, 10).await, [1]);
}

/// Returns true if the condition on events without a tag of a name refuses an append after a position.
async fn is_refused(store: &dyn Store, lacking: &[MissingTag], after: u64) -> bool {
    let condition = Condition {
        lacking: lacking.to_vec(),
        ..nothing_like(Query::tags([seat(1)]), Position::new(after))
    };
    let append = append_one(&stream("decided"), event()).only_if(condition);
    let outcome = store.append(append).await;
    assert!(outcome.is_ok() || outcome.as_ref().is_err_and(highwater_core::Error::is_conflict));
    outcome.is_err()
}

pub(super) async fn w6_a_condition_sees_events_that_lack_a_tag(fixture: Fixture) {
    let store = &*fixture.store();
    let with = |tags: Vec<Tag>| NewEvent { tags: tags.into_iter().collect(), ..typed(TYPES[0]) };
    write(store, with(vec![seat(2)])).await;
    write(store, with(vec![Tag::new("seats", 1), Tag::new("my", "seat:1")])).await;
    write(store, typed(TYPES[1])).await;
    let lacks = |name: &str, types: &[&str]| [missing(name, types)];
    assert!(is_refused(store, &lacks("seat", &TYPES), 0).await);
    assert!(is_refused(store, &lacks("seat", &TYPES), 2).await);
    assert!(is_refused(store, &lacks("seat", &TYPES[..1]), 1).await);
    assert!(is_refused(store, &lacks("my", &TYPES[..1]), 0).await);
    assert!(is_refused(store, &[missing("my", &["other"]), missing("seat", &TYPES)], 2).await);
    assert!(!is_refused(store, &lacks("seat", &TYPES), 3).await);
    assert!(!is_refused(store, &lacks("seat", &TYPES[..1]), 2).await);
    assert!(!is_refused(store, &lacks("my", &TYPES[..1]), 1).await);
    assert!(!is_refused(store, &lacks("se%t", &["other"]), 0).await);
    assert!(!is_refused(store, &[], 0).await);
    store.add_tags(&[2, 3].map(|at| added(Position::new(at), [seat(3)]))).await.unwrap();
    assert!(!is_refused(store, &lacks("seat", &TYPES), 0).await);
}

pub(super) async fn w6_a_condition_names_the_first_event_that_breaks_it(fixture: Fixture) {
    let store = &*fixture.store();
    for tags in [vec![seat(2)], vec![seat(1)], vec![], vec![seat(1)]] {
        write(store, NewEvent { tags: tags.into_iter().collect(), ..typed(TYPES[0]) }).await;
    }
    for (after, found) in [(0, 2), (2, 3), (3, 4)] {
        let after = Position::new(after);
        let lacking = vec![missing("seat", &TYPES)];
        let condition = Condition { lacking, ..nothing_like(Query::tags([seat(1)]), after) };
        let append = append_one(&stream("decided"), event()).only_if(condition);
        let error = store.append(append).await.unwrap_err();
        let expected = Conflict::Boundary { after, found: Position::new(found) };
        assert_eq!(error.conflict(), Some(&expected));
    }
}

/// Events without the tag and decisions that name it, sent at once: batches of a store hold both.
pub(super) async fn w6_no_decision_is_stored_after_an_event_that_lacks_its_tag(fixture: Fixture) {
    let store = fixture.store();
    let racers = (0..32).map(|racer| {
        let store = Arc::clone(&store);
        async move {
            let lacking = vec![missing("seat", &TYPES)];
            let condition =
                Condition { lacking, ..nothing_like(Query::tags([seat(1)]), Position::START) };
            match racer % 2 == 0 {
                true => store.append(append_one(&stream("older"), typed(TYPES[0]))).await,
                false => {
                    store.append(append_one(&stream("newer"), event()).only_if(condition)).await
                }
            }
        }
    });
    for outcome in race(racers).await {
        assert!(outcome.is_ok() || outcome.is_err_and(|error| error.is_conflict()));
    }
    let events = read::log(&*store, &Query::all()).await;
    let older = events.iter().position(|event| &*event.type_name == TYPES[0]).unwrap();
    assert_eq!(events.len() - older, 16, "after the first of them there are no decisions");
}
