//! W3: a follower of the log receives every event once and in order, and is woken.

use std::sync::Arc;

use futures_util::FutureExt as _;
use highwater_core::{Envelope, Position, Query, ReadFrom, value::Expected};

use crate::testing::{
    Fixture, Store,
    build::{append_one, append_to, event, events, stream, tag, tagged},
    race::soon,
    read, seed,
};

/// Reads matching events after `from`, waiting at the end of the log, until `count` events have
/// arrived. Returns the position to continue from.
async fn follow(
    store: &dyn Store,
    query: &Query,
    from: Position,
    count: usize,
    page: usize,
) -> (Vec<Envelope>, Position) {
    let mut seen = Vec::new();
    let mut at = from;
    while seen.len() < count {
        let page =
            store.read_log(query, ReadFrom::After(at), page.min(count - seen.len())).await.unwrap();
        assert!(page.through >= at, "a page never ends before the position it starts at");
        at = page.through;
        seen.extend(page.events);
        if !page.more && seen.len() < count {
            soon("waking the follower", store.wait_for_append(at)).await.unwrap();
        }
    }
    (seen, at)
}

/// Appends from eight tasks, 25 times each, 1 to 3 events, through either handle.
fn write_from_eight(handles: [Arc<dyn Store>; 2]) -> tokio::task::JoinHandle<()> {
    let writers = (0..8).map(move |writer| {
        let store = handles[writer % 2].clone();
        async move {
            for n in 0..25 {
                let append =
                    append_to(&stream(&writer.to_string()), Expected::Any, events(1 + n % 3));
                store.append(append).await.unwrap();
            }
        }
    });
    tokio::spawn(async {
        crate::testing::race::race(writers).await;
    })
}

/// The number of events that the eight tasks write: 8 × (9 × 1 + 8 × 2 + 8 × 3).
const WRITTEN: usize = 392;

pub(super) async fn w3_a_waiting_follower_is_woken_by_another_handle(fixture: Fixture) {
    let store = fixture.store();
    let writer = fixture.reopen().await;
    for head in (0..20).map(Position::new) {
        let mut waiting = store.wait_for_append(head);
        // The wait has been polled once. The port allows it to end early.
        let early = (&mut waiting).now_or_never();
        let appended = writer.append(append_one(&stream("woken"), event())).await.unwrap();
        if early.is_none() {
            soon("waking the follower", waiting).await.unwrap();
        }
        let (seen, _) = follow(&*store, &Query::all(), head, 1, 10).await;
        assert_eq!(seen[0].position, appended.position);
    }
}

pub(super) async fn w3_waiting_ends_at_once_where_there_is_more(fixture: Fixture) {
    let store = fixture.store();
    let head =
        store.append(append_to(&stream("a"), Expected::Any, events(3))).await.unwrap().position;
    for behind in 0..head.get() {
        soon("an event in the log", store.wait_for_append(Position::new(behind))).await.unwrap();
    }
}

pub(super) async fn w3_no_wake_up_is_missed(fixture: Fixture) {
    let store = fixture.store();
    let ping = Query::tags([tag("ping")]);
    let pong = Query::tags([tag("pong")]);
    let answering = {
        let store = store.clone();
        let ping = ping.clone();
        tokio::spawn(async move { answer(&*store, &ping, "pong").await })
    };
    let mut at = Position::START;
    for _ in 0..ROUNDS {
        store.append(append_one(&stream("ping"), tagged([tag("ping")]))).await.unwrap();
        (_, at) = follow(&*store, &pong, at, 1, 10).await;
    }
    answering.await.unwrap();
}

const ROUNDS: usize = 100;

async fn answer(store: &dyn Store, question: &Query, with: &str) {
    let mut at = Position::START;
    for _ in 0..ROUNDS {
        (_, at) = follow(store, question, at, 1, 10).await;
        store.append(append_one(&stream(with), tagged([tag(with)]))).await.unwrap();
    }
}

pub(super) async fn w3_a_follower_gets_all_once_in_order_while_eight_write(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let writing = write_from_eight(handles.clone());
    let (seen, at) = follow(&*handles[0], &Query::all(), Position::START, WRITTEN, 10).await;
    writing.await.unwrap();
    assert_eq!(read::positions(&seen), (1..=WRITTEN as u64).collect::<Vec<_>>());
    assert_eq!(at, handles[0].head().await.unwrap());
    assert_eq!(seen, read::log(&*handles[1], &Query::all()).await, "a later read is the same");
}

pub(super) async fn w3_a_follower_resumes_exclusively_from_anywhere(fixture: Fixture) {
    let writing = write_from_eight([fixture.store(), fixture.store()]);
    let (mut random, mut at, mut seen) =
        (fastrand::Rng::with_seed(seed()), Position::START, Vec::new());
    while seen.len() < WRITTEN {
        let store = if random.bool() { fixture.store() } else { fixture.reopen().await };
        let count = random.usize(1..=40).min(WRITTEN - seen.len());
        let (more, through) = follow(&*store, &Query::all(), at, count, random.usize(1..=20)).await;
        seen.extend(more);
        at = through;
    }
    writing.await.unwrap();
    assert_eq!(read::positions(&seen), (1..=WRITTEN as u64).collect::<Vec<_>>());
}

pub(super) async fn w3_a_follower_of_a_query_skips_only_what_does_not_match(fixture: Fixture) {
    let handles = [fixture.store(), fixture.reopen().await];
    let writing = write_from_eight(handles.clone());
    let tagging = {
        let store = handles[1].clone();
        tokio::spawn(async move {
            for n in 0..50 {
                let event = tagged([tag("wanted")]);
                store.append(append_one(&stream(&format!("t{}", n % 4)), event)).await.unwrap();
            }
        })
    };
    let query = Query::tags([tag("wanted")]);
    let (seen, _) = follow(&*handles[0], &query, Position::START, 50, 3).await;
    writing.await.unwrap();
    tagging.await.unwrap();
    assert_eq!(seen, read::log(&*handles[0], &query).await);
    assert_eq!(seen.len(), 50);
}
