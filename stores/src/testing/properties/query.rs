//! The events that a query matches.

use highwater_core::{Category, Envelope, Position, Query, QueryItem, ReadFrom, port::NewEvent};

use super::boundary::{COLLISIONS, bare};
use crate::testing::{
    Fixture, Store,
    build::{append_one, stream, stream_of, tag, tagged, typed},
    read,
};

fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

/// Returns the keys of the streams in which this query finds events, in log order, in both
/// directions.
async fn found(store: &dyn Store, query: Query) -> Vec<String> {
    let forward = read::log_by(store, &query, ReadFrom::After(Position::START), 2).await;
    let mut backward = read::log_by(store, &query, ReadFrom::Before(Position::END), 2).await;
    backward.reverse();
    assert_eq!(forward, backward);
    forward.iter().map(|event: &Envelope| event.stream.key().to_owned()).collect()
}

async fn write(store: &dyn Store, key: &str, event: NewEvent) {
    store.append(append_one(&stream(key), event)).await.unwrap();
}

pub(super) async fn r_a_category_is_not_its_prefix(fixture: Fixture) {
    let store = &*fixture.store();
    for (name, key) in [("a", "1"), ("ab", "2"), ("a_b", "3"), ("axb", "4"), ("a.b", "5")] {
        store.append(append_one(&stream_of(name, key), typed("x"))).await.unwrap();
    }
    store.append(append_one(&stream_of("A", "6"), typed("x"))).await.unwrap();
    store.append(append_one(&stream_of("a", "b-7"), typed("x"))).await.unwrap();
    assert_eq!(found(store, Query::category(category("a"))).await, ["1", "b-7"]);
    assert_eq!(found(store, Query::category(category("ab"))).await, ["2"]);
    assert_eq!(found(store, Query::category(category("a_b"))).await, ["3"]);
    assert_eq!(found(store, Query::category(category("a.b"))).await, ["5"]);
    assert!(found(store, Query::category(category("b"))).await.is_empty());
    let two = QueryItem { categories: vec![category("A"), category("ab")], ..QueryItem::default() };
    assert_eq!(found(store, two.into()).await, ["2", "6"]);
}

pub(super) async fn r_types_are_compared_whole(fixture: Fixture) {
    let store = &*fixture.store();
    for (key, name) in [("1", "a.b"), ("2", "a.bc"), ("3", "A.b"), ("4", "a%"), ("5", "a'b\"c\\")] {
        write(store, key, typed(name)).await;
    }
    assert_eq!(found(store, Query::types(["a.b"])).await, ["1"]);
    assert_eq!(found(store, Query::types(["a%"])).await, ["4"]);
    assert_eq!(found(store, Query::types(["a'b\"c\\"])).await, ["5"]);
    assert_eq!(found(store, Query::types(["A.b", "a.bc", "none"])).await, ["2", "3"]);
}

pub(super) async fn r_tags_must_all_be_there(fixture: Fixture) {
    let store = &*fixture.store();
    write(store, "1", tagged([tag("a")])).await;
    write(store, "2", tagged([tag("a"), tag("b")])).await;
    write(store, "3", tagged([tag("c"), tag("b"), tag("a")])).await;
    write(store, "4", tagged([])).await;
    assert_eq!(found(store, Query::tags([tag("a")])).await, ["1", "2", "3"]);
    assert_eq!(found(store, Query::tags([tag("b"), tag("a")])).await, ["2", "3"]);
    assert_eq!(found(store, Query::tags([tag("a"), tag("c"), tag("b")])).await, ["3"]);
    assert!(found(store, Query::tags([tag("a"), tag("d")])).await.is_empty());
}

pub(super) async fn r_tags_whose_hashes_collide_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    for word in COLLISIONS.into_iter().flatten() {
        write(store, word, tagged([bare(word)])).await;
    }
    for word in COLLISIONS.into_iter().flatten() {
        assert_eq!(found(store, Query::tags([bare(word)])).await, [word]);
    }
    for [one, other] in COLLISIONS {
        assert!(found(store, Query::tags([bare(one), bare(other)])).await.is_empty());
    }
}

pub(super) async fn r_hostile_tags_stay_apart(fixture: Fixture) {
    let store = &*fixture.store();
    let hostile = super::exact::HOSTILE;
    for (index, text) in hostile.iter().enumerate() {
        write(store, &index.to_string(), tagged([bare(text)])).await;
    }
    for (index, text) in hostile.iter().enumerate() {
        assert_eq!(found(store, Query::tags([bare(text)])).await, [index.to_string()], "{text:?}");
    }
}

pub(super) async fn r_the_parts_of_an_item_must_all_match(fixture: Fixture) {
    let store = &*fixture.store();
    let event = |name, value: &str| NewEvent { tags: [tag(value)].into(), ..typed(name) };
    write(store, "1", event("x", "a")).await;
    write(store, "2", event("y", "a")).await;
    write(store, "3", event("x", "b")).await;
    store.append(append_one(&stream_of("other", "4"), event("x", "a"))).await.unwrap();
    let item = QueryItem {
        categories: vec![category("suite")],
        types: vec!["x".to_owned()],
        tags: [tag("a")].into(),
    };
    assert_eq!(found(store, item.clone().into()).await, ["1"]);
    let anywhere = QueryItem { categories: Vec::new(), ..item };
    assert_eq!(found(store, anywhere.into()).await, ["1", "4"]);
}

pub(super) async fn r_an_event_that_matches_several_items_is_found_once(fixture: Fixture) {
    let store = &*fixture.store();
    let event = |name, value: &str| NewEvent { tags: [tag(value)].into(), ..typed(name) };
    write(store, "1", event("x", "a")).await;
    write(store, "2", event("y", "b")).await;
    write(store, "3", event("z", "c")).await;
    let query = Query::types(["x"]).or(Query::tags([tag("a")])).or(Query::tags([tag("b")]));
    assert_eq!(found(store, query).await, ["1", "2"]);
    let empty_item = Query::types(["x"]).or(QueryItem::default().into());
    assert_eq!(found(store, empty_item).await, ["1", "2", "3"]);
}
