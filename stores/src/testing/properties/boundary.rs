//! W6: conditions over other events.

use std::sync::Arc;

use highwater_core::{
    Position, Query, QueryItem, Tag, error::Conflict, port::NewEvent, value::Expected,
};

use crate::testing::{
    Fixture, Store,
    build::{append_one, append_to, at, event, events, nothing_like, stream, tag, tagged, typed},
    race::{append_back_to_back, race_appends},
};

/// Returns true if an append with this condition succeeds. The appended event matches no query of
/// this file.
async fn holds(store: &dyn Store, query: Query, after: u64) -> bool {
    let append = append_one(&stream("holds"), typed("suite.irrelevant"));
    let append = append.only_if(nothing_like(query, Position::new(after)));
    match store.append(append).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_conflict(), "{error}");
            false
        }
    }
}

async fn write(store: &dyn Store, event: NewEvent) -> u64 {
    store.append(append_one(&stream("written"), event)).await.unwrap().position.get()
}

fn item(types: &[&str], tags: &[&str]) -> Query {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    let tags = tags.iter().map(|value| tag(value)).collect();
    Query::from(QueryItem { types, tags, ..QueryItem::default() })
}

pub(super) async fn w6_a_matching_event_after_the_position_is_a_conflict(fixture: Fixture) {
    let store = &*fixture.store();
    let before = write(store, tagged([tag("seat-7")])).await;
    write(store, event()).await;
    let found = write(store, tagged([tag("seat-7"), tag("other")])).await;
    write(store, tagged([tag("seat-7")])).await;
    let condition = nothing_like(Query::tags([tag("seat-7")]), Position::new(before));
    let append = append_one(&stream("holds"), event()).only_if(condition);
    let error = store.append(append).await.unwrap_err();
    let after = Position::new(before);
    let found = Position::new(found);
    assert_eq!(error.conflict(), Some(&Conflict::Boundary { after, found }), "the first match");
}

pub(super) async fn w6_a_matching_event_up_to_the_position_is_none(fixture: Fixture) {
    let store = &*fixture.store();
    let seen = write(store, tagged([tag("seat-7")])).await;
    assert!(!holds(store, Query::tags([tag("seat-7")]), seen - 1).await);
    assert!(holds(store, Query::tags([tag("seat-7")]), seen).await);
    assert!(holds(store, Query::tags([tag("seat-7")]), Position::END.get()).await);
}

pub(super) async fn w6_a_condition_can_ask_for_types(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, typed("seat.taken")).await;
    assert!(!holds(store, Query::types(["seat.freed", "seat.taken"]), 0).await);
    assert!(holds(store, Query::types(["seat.freed", "seat"]), 0).await);
}

pub(super) async fn w6_a_condition_can_ask_for_a_category(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, event()).await;
    let category = |name| Query::category(highwater_core::Category::new(name).unwrap());
    assert!(!holds(store, category("suite"), 0).await);
    assert!(holds(store, category("suit"), 0).await);
}

pub(super) async fn w6_a_condition_can_ask_for_all_of_several_tags(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, tagged([tag("a"), tag("b")])).await;
    write(store, tagged([tag("c")])).await;
    assert!(!holds(store, item(&[], &["a"]), 0).await);
    assert!(!holds(store, item(&[], &["b", "a"]), 0).await);
    assert!(holds(store, item(&[], &["a", "b", "c"]), 0).await);
    assert!(holds(store, item(&[], &["a", "c"]), 0).await);
}

pub(super) async fn w6_types_and_tags_must_match_in_one_event(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, NewEvent { tags: [tag("a")].into(), ..typed("seat.taken") }).await;
    write(store, NewEvent { tags: [tag("b")].into(), ..typed("seat.freed") }).await;
    assert!(!holds(store, item(&["seat.taken"], &["a"]), 0).await);
    assert!(holds(store, item(&["seat.taken"], &["b"]), 0).await);
}

pub(super) async fn w6_one_of_several_items_is_enough(fixture: Fixture) {
    let store = &*fixture.store();
    let seen = write(store, tagged([tag("a")])).await;
    let query = || item(&["seat.taken"], &["b"]).or(item(&[], &["a"]));
    assert!(!holds(store, query(), 0).await);
    assert!(holds(store, query(), seen).await);
    write(store, NewEvent { tags: [tag("b")].into(), ..typed("seat.taken") }).await;
    assert!(!holds(store, query(), seen).await);
}

pub(super) async fn w6_a_condition_without_items_is_over_every_event(fixture: Fixture) {
    let store = &*fixture.store();
    assert!(holds(store, Query::all(), 0).await);
    assert!(holds(store, Query::all(), 1).await);
    assert!(!holds(store, Query::all(), 1).await);
}

pub(super) async fn w6_an_append_does_not_break_its_own_condition(fixture: Fixture) {
    let store = fixture.store();
    let append = append_one(&stream("seat"), tagged([tag("seat-7")]));
    let condition = nothing_like(Query::tags([tag("seat-7")]), Position::START);
    store.append(append.only_if(condition)).await.unwrap();
}

pub(super) async fn w6_condition_and_expectation_must_both_be_met(fixture: Fixture) {
    let store = fixture.store();
    let stream = stream("both");
    let seen = store.append(append_one(&stream, tagged([tag("x")]))).await.unwrap().position;
    let append = |expected, after| {
        let condition = nothing_like(Query::tags([tag("x")]), after);
        store.append(append_to(&stream, expected, events(1)).only_if(condition))
    };
    assert!(append(at(0), seen).await.unwrap_err().is_conflict());
    assert!(append(at(1), Position::START).await.unwrap_err().is_conflict());
    append(at(1), seen).await.unwrap();
}

/// Races 16 appends of matching events with one condition, each to a separate stream: one wins.
async fn raced(store: &Arc<dyn Store>, query: &Query, event: impl Fn() -> NewEvent) {
    let appends = (0..16).map(|task| {
        let stream = stream(&format!("task-{task}"));
        append_to(&stream, Expected::NoStream, vec![event()])
            .only_if(nothing_like(query.clone(), Position::START))
    });
    let outcomes = race_appends(store, appends).await;
    let won: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let after = Position::START;
    let found = won[0].position;
    for outcome in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(outcome.conflict(), Some(&Conflict::Boundary { after, found }));
    }
}

pub(super) async fn w6_of_16_appends_racing_on_a_tag_one_wins(fixture: Fixture) {
    let query = Query::tags([tag("seat-7")]);
    raced(&fixture.store(), &query, || tagged([tag("seat-7"), tag("show-1")])).await;
}

pub(super) async fn w6_of_16_appends_racing_on_a_type_one_wins(fixture: Fixture) {
    raced(&fixture.store(), &Query::types(["seat.taken"]), || typed("seat.taken")).await;
}

pub(super) async fn w6_of_16_appends_racing_on_several_items_one_wins(fixture: Fixture) {
    let query = item(&["seat.taken"], &["seat-7"]).or(item(&["show.closed"], &[]));
    let event = || NewEvent { tags: [tag("seat-7")].into(), ..typed("seat.taken") };
    raced(&fixture.store(), &query, event).await;
}

pub(super) async fn w6_appends_that_do_not_match_do_not_hinder(fixture: Fixture) {
    let store = fixture.store();
    let appends = (0..32).map(|task| {
        let stream = stream(&format!("task-{task}"));
        let own = tag(&format!("seat-{task}"));
        match task % 2 {
            0 => append_one(&stream, typed("seat.cleaned")),
            _ => append_one(&stream, tagged([own.clone()]))
                .only_if(nothing_like(Query::tags([own]), Position::START)),
        }
    });
    for outcome in race_appends(&store, appends).await {
        outcome.unwrap();
    }
}

pub(super) async fn w6_a_condition_sees_appends_called_just_before(fixture: Fixture) {
    let store = fixture.store();
    let append = |key: &str| append_one(&stream(key), tagged([tag("seat-7")]));
    let condition = || nothing_like(Query::tags([tag("seat-7")]), Position::START);
    let appends = [append("a").only_if(condition()), append("b").only_if(condition()), append("c")];
    let outcomes = append_back_to_back(&store, appends).await;
    let found = outcomes[0].as_ref().unwrap().position;
    let conflict = outcomes[1].as_ref().unwrap_err().conflict().cloned();
    assert_eq!(conflict, Some(Conflict::Boundary { after: Position::START, found }));
    assert!(outcomes[2].is_ok());
}

/// Pairs of words with equal hashes: Java's `hashCode`, CRC-32, FNV-1a, djb2.
pub(super) const COLLISIONS: [[&str; 2]; 4] =
    [["Aa", "BB"], ["plumless", "buckeroo"], ["costarring", "liquor"], ["hetairas", "mentioner"]];

/// Returns the tag that consists of just this word, so that its hash is that of the word.
pub(super) fn bare(word: &str) -> Tag {
    Tag::from_stored(word.to_owned())
}

pub(super) async fn w6_tags_whose_hashes_collide_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    for [one, other] in COLLISIONS {
        let seen = write(store, tagged([bare(one)])).await;
        assert!(!holds(store, Query::tags([bare(one)]), seen - 1).await);
        assert!(holds(store, Query::tags([bare(other)]), seen - 1).await, "{one} is not {other}");
    }
}
