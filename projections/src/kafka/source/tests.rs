//! Gaps of a partition, and several partitions as one sequence: without a broker.

use std::time::{Duration, Instant};

use bytes::Bytes;
use highwater_core::{
    CommandId, Envelope, EventId, Position, SchemaVersion, StreamId, Tags, Version,
    port::{FeedPage, LogPage},
    value::Sharding,
};
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    lane::{ChainLink, GapCause, Lane},
    merge::Merge,
    resume::{ResumePoint, ResumePoints},
};

fn at(position: u64) -> Timestamp {
    Timestamp::from_second(position as i64).unwrap()
}

fn event(position: u64) -> Envelope {
    Envelope {
        position: Position::new(position),
        stream: StreamId::new("account", position % 13).unwrap(),
        version: Version::new(1),
        id: EventId::from_uuid(Uuid::from_u128(position.into())),
        command: CommandId::from_uuid(Uuid::from_u128(0)),
        type_name: "account.opened".into(),
        schema_version: SchemaVersion::FIRST,
        recorded_at: at(position),
        tags: Tags::none(),
        payload: Bytes::new(),
        raw_metadata: Bytes::new(),
    }
}

fn link(position: u64, previous: u64, time: Timestamp) -> ChainLink {
    ChainLink { position: Position::new(position), previous: Position::new(previous), time }
}

fn lane(partition: i32, complete_to: u64) -> Lane {
    Lane::new("topic".into(), partition, Position::new(complete_to), None)
}

fn point(offset: i64, position: u64) -> ResumePoint {
    ResumePoint { offset, position: Position::new(position) }
}

fn positions(page: &FeedPage) -> Vec<u64> {
    page.events.iter().map(|event| event.position.get()).collect()
}

fn merge(lanes: Vec<Lane>) -> Merge {
    Merge::new(lanes, Position::START, Timestamp::UNIX_EPOCH)
}

/// Returns the page that is due after all intervals have passed.
fn page(merge: &mut Merge, limit: usize) -> Option<FeedPage> {
    merge.page(limit, Instant::now() + Duration::from_secs(3600))
}

#[test]
fn events_are_delivered_up_to_where_every_partition_has_been_read() {
    let mut merge = merge(vec![lane(0, 0), lane(1, 0)]);
    merge.lanes[0].add(0, link(2, 0, at(2)), Some(event(2)));
    merge.lanes[0].add(1, link(4, 2, at(4)), Some(event(4)));
    assert_eq!(page(&mut merge, 10), None);
    merge.lanes[1].add(0, link(3, 0, at(3)), Some(event(3)));
    let first = page(&mut merge, 10).unwrap();
    assert_eq!((positions(&first), first.through.get()), (vec![2, 3], 3));
    assert_eq!(first.as_of, Some(at(3)));
    // A mark says that nothing is to come before the fourth.
    merge.lanes[1].add(1, link(4, 3, at(5)), None);
    let second = page(&mut merge, 10).unwrap();
    assert_eq!((positions(&second), second.through.get(), second.as_of), (vec![4], 4, Some(at(5))));
}

#[test]
fn a_record_after_a_gap_waits_until_the_gap_has_been_filled() {
    let mut merge = merge(vec![lane(0, 0)]);
    merge.lanes[0].add(7, link(1, 0, at(1)), Some(event(1)));
    merge.lanes[0].add(8, link(5, 3, at(5)), Some(event(5)));
    assert_eq!(positions(&page(&mut merge, 10).unwrap()), [1]);
    assert!(merge.lanes[0].is_full(1000));
    assert_eq!(merge.missing(), Some((Position::new(3), GapCause::RecordsMissing)));
    merge.fill(LogPage { events: vec![event(3)], through: Position::new(3), more: true });
    assert_eq!(merge.missing(), None);
    let page = page(&mut merge, 10).unwrap();
    assert_eq!((positions(&page), page.through.get()), (vec![3, 5], 5));
}

#[test]
fn offsets_show_the_cause_of_a_gap() {
    let cause = |known: Option<i64>, offset| {
        let known = known.map(|offset| point(offset, 3));
        let mut lane = Lane::new("topic".into(), 0, Position::new(3), known);
        lane.add(offset, link(9, 5, at(9)), Some(event(9)));
        lane.missing().unwrap().1
    };
    assert_eq!(cause(None, 0), GapCause::RecordsMissing);
    assert_eq!((cause(None, 1), cause(Some(7), 8)), (GapCause::Truncated, GapCause::Truncated));
    assert_eq!(
        (cause(Some(1), 0), cause(Some(7), 6)),
        (GapCause::TopicRecreated, GapCause::TopicRecreated)
    );
}

#[test]
fn a_topic_is_recognised_by_the_record_that_was_read_last() {
    let from_seven = || Lane::new("topic".into(), 0, Position::new(3), Some(point(7, 3)));
    let mut same = from_seven();
    same.add(7, link(3, 2, at(3)), Some(event(3)));
    assert_eq!((same.missing(), same.take_repeats()), (None, 0));
    same.add(8, link(9, 5, at(9)), Some(event(9)));
    assert_eq!(same.missing(), Some((Position::new(5), GapCause::RecordsMissing)));
    // Another record in its place: whatever is missing, the topic was recreated.
    let mut other = from_seven();
    other.add(7, link(9, 5, at(9)), Some(event(9)));
    assert_eq!(other.missing(), Some((Position::new(5), GapCause::TopicRecreated)));
    // That the record is gone says nothing about the one after it.
    let mut truncated = from_seven();
    truncated.add(8, link(9, 3, at(9)), Some(event(9)));
    assert_eq!(truncated.missing(), None);
}

#[test]
fn a_record_that_is_read_again_counts_if_it_completes_more_than_was_delivered() {
    let mut lane = Lane::new("topic".into(), 0, Position::new(1), Some(point(6, 3)));
    lane.add(6, link(3, 1, at(3)), None);
    assert_eq!((lane.complete_to(), lane.missing()), (Position::new(3), None));
    assert_eq!(lane.resume(Position::new(3)), Some(point(6, 3)));
}

#[test]
fn events_that_the_log_has_filled_are_not_delivered_again() {
    let mut merge = merge(vec![lane(0, 0), lane(1, 0)]);
    merge.lanes[0].add(0, link(4, 0, at(4)), Some(event(4)));
    merge.lanes[0].add(1, link(9, 4, at(9)), Some(event(9)));
    merge.lanes[1].add(0, link(8, 5, at(8)), Some(event(8)));
    let events = [4, 5, 8].map(event).to_vec();
    merge.fill(LogPage { events, through: Position::new(8), more: true });
    assert_eq!(positions(&page(&mut merge, 10).unwrap()), [4, 5, 8]);
    merge.lanes[1].add(1, link(9, 8, at(9)), None);
    assert_eq!(positions(&page(&mut merge, 10).unwrap()), [9]);
}

#[test]
fn positions_alone_are_given_twenty_times_a_second_and_currency_once() {
    let mut merge = merge(vec![lane(0, 0)]);
    let began = Instant::now();
    let after = |millis| began + Duration::from_millis(millis);
    merge.lanes[0].add(0, link(1, 0, at(1)), None);
    assert_eq!(merge.page(10, after(0)).unwrap().through.get(), 1);
    merge.lanes[0].add(1, link(2, 0, at(2)), None);
    assert_eq!(merge.page(10, after(49)), None);
    assert_eq!(merge.until_due(after(49)), Some(Duration::from_millis(1)));
    assert_eq!(merge.page(10, after(50)).unwrap().through.get(), 2);
    merge.lanes[0].add(2, link(2, 0, at(3)), None);
    assert_eq!(merge.page(10, after(1049)), None);
    let current = merge.page(10, after(1050)).unwrap();
    assert_eq!((current.through.get(), current.as_of), (2, Some(at(3))));
    assert_eq!((merge.page(10, after(9000)), merge.until_due(after(9000))), (None, None));
    // Events don't wait.
    merge.lanes[0].add(3, link(3, 0, at(4)), Some(event(3)));
    assert_eq!(positions(&merge.page(10, after(1051)).unwrap()), [3]);
}

#[test]
fn a_lane_resumes_from_the_record_that_completes_it() {
    let mut merge = merge(vec![lane(0, 0), lane(1, 0)]);
    merge.lanes[0].add(5, link(1, 0, at(1)), Some(event(1)));
    merge.lanes[0].add(6, link(3, 1, at(3)), None);
    merge.lanes[1].add(2, link(2, 0, at(2)), Some(event(2)));
    merge.lanes[1].add(3, link(3, 2, at(3)), Some(event(3)));
    let first = page(&mut merge, 1).unwrap();
    assert_eq!(first.through.get(), 2 - 1);
    let points = ResumePoints::from_cursor(&first.cursor);
    // The mark at 6 says that nothing of this partition is between 1 and 3.
    assert_eq!((points.get("topic", 0), points.get("topic", 1)), (Some(point(6, 3)), None));
    let rest = page(&mut merge, 10).unwrap();
    let points = ResumePoints::from_cursor(&rest.cursor);
    assert_eq!(
        (points.get("topic", 0), points.get("topic", 1)),
        (Some(point(6, 3)), Some(point(3, 3)))
    );
}

/// A log as it is in partitions after accidents: some records are lost, some are there twice, marks are
/// among them.
fn accidents() -> impl Strategy<Value = (u32, usize, Vec<u8>)> {
    (1..5_u32, 1..40_usize, prop::collection::vec(any::<u8>(), 200))
}

proptest! {
    #[test]
    fn every_event_is_delivered_once_in_order_whatever_has_become_of_the_topic(
        (partitions, limit, dice) in accidents()
    ) {
        let count = dice.len() as u64;
        let sharding = Sharding::by_stream(partitions);
        let of = |position: u64| sharding.shard_of(event(position).stream.as_str()).get() as usize;
        // What a relay would publish into each partition.
        let mut topics: Vec<Vec<(ChainLink, Option<Envelope>)>> = vec![Vec::new(); partitions as usize];
        let mut ends = vec![0; partitions as usize];
        for position in 1..=count {
            let partition = of(position);
            let link_there = link(position, ends[partition], at(position));
            topics[partition].push((link_there, Some(event(position))));
            ends[partition] = position;
            if dice[position as usize - 1] % 7 == 0 || position == count {
                for (topic, end) in topics.iter_mut().zip(&ends) {
                    topic.push((link(position, *end, at(position)), None));
                }
            }
        }
        // What is left of it: the last marks always are.
        for topic in &mut topics {
            let last = topic.len() - 1;
            let mut left = Vec::new();
            for (index, record) in topic.drain(..).enumerate() {
                let fate = dice[(index * 31 + 7) % dice.len()];
                if fate % 3 != 0 || index == last {
                    left.push(record.clone());
                }
                if fate % 5 == 0 && !left.is_empty() {
                    left.push(left[usize::from(fate) % left.len()].clone());
                }
            }
            *topic = left;
        }
        let mut merge = merge((0..partitions as i32).map(|partition| lane(partition, 0)).collect());
        let mut next = vec![0; partitions as usize];
        let (mut delivered, mut through, mut turn) = (Vec::new(), 0, 0);
        while through < count {
            if let Some(page) = page(&mut merge, limit) {
                prop_assert!(page.through.get() >= through && page.events.len() <= limit);
                through = page.through.get();
                delivered.extend(positions(&page));
            } else if merge.missing().is_some() {
                let from = merge.through().get();
                let to = count.min(from + limit as u64);
                let events = (from + 1..=to).map(event).collect();
                merge.fill(LogPage { events, through: Position::new(to), more: to < count });
            } else {
                // Partitions are read in turn, some faster than others.
                let lane = turn % partitions as usize;
                for _ in 0..=dice[turn % dice.len()] % 4 {
                    if !merge.lanes[lane].is_full(10) && next[lane] < topics[lane].len() {
                        let (link, event) = topics[lane][next[lane]].clone();
                        merge.lanes[lane].add(next[lane] as i64, link, event);
                        next[lane] += 1;
                    }
                }
                turn += 1;
                prop_assert!(turn < 100_000, "it hangs at {}", through);
            }
        }
        prop_assert_eq!(delivered, (1..=count).collect::<Vec<_>>());
    }
}
