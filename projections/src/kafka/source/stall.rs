//! Detects a client that no longer gets what its partitions have. Without I/O.
//!
//! A client may stay so for ever: if a topic was deleted and recreated while it was cut off, it takes the
//! leaders of the new topic for outdated ones. The end of a partition tells: if it moves on, and nothing
//! arrives, the client has stalled.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The interval of the checks. A record that is older than that has arrived, if it ever does.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The partitions of a feed from which nothing arrives, by their number in the feed.
#[derive(Debug)]
pub(super) struct StallDetector {
    last_check: Instant,
    /// The partitions from which a record has arrived since the last check.
    received: BTreeSet<usize>,
    quiet: BTreeMap<usize, QuietPartition>,
}

/// A partition from which nothing has arrived between two checks.
#[derive(Debug, Clone, Copy)]
struct QuietPartition {
    end: i64,
    has_grown: bool,
}

impl StallDetector {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_check: now, received: BTreeSet::new(), quiet: BTreeMap::new() }
    }

    /// Notes that a record has arrived from a partition.
    pub(super) fn received(&mut self, partition: usize) {
        self.received.insert(partition);
    }

    /// Returns those of the partitions that are read whose ends are to be checked; none if no check is due.
    pub(super) fn due(&mut self, read: impl Iterator<Item = usize>, now: Instant) -> Vec<usize> {
        if now.saturating_duration_since(self.last_check) < CHECK_INTERVAL {
            return Vec::new();
        }
        self.last_check = now;
        let received = std::mem::take(&mut self.received);
        let quiet: Vec<_> = read.filter(|partition| !received.contains(partition)).collect();
        self.quiet.retain(|partition, _| quiet.contains(partition));
        quiet
    }

    /// Notes the end of a quiet partition, and returns true if records that it had at the last check have
    /// not arrived.
    pub(super) fn has_stalled(&mut self, partition: usize, end: i64) -> bool {
        let fresh = QuietPartition { end, has_grown: false };
        let known = self.quiet.entry(partition).or_insert(fresh);
        if known.has_grown {
            return true;
        }
        *known = QuietPartition { end, has_grown: end > known.end };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks partition 0 after an interval, and returns true if it has stalled.
    fn check(stall: &mut StallDetector, now: &mut Instant, end: i64) -> bool {
        *now += CHECK_INTERVAL;
        let quiet = stall.due([0].into_iter(), *now);
        quiet.into_iter().any(|partition| stall.has_stalled(partition, end))
    }

    #[test]
    fn a_partition_that_grows_while_nothing_arrives_has_stalled() {
        let mut now = Instant::now();
        let mut stall = StallDetector::new(now);
        // The record that has been added may arrive until the next check.
        let checks = [7, 7, 8, 9].map(|end| check(&mut stall, &mut now, end));
        assert_eq!(checks, [false, false, false, true]);
    }

    #[test]
    fn a_partition_that_ends_where_it_did_is_quiet_for_ever() {
        let mut now = Instant::now();
        let mut stall = StallDetector::new(now);
        assert!((0..100).all(|_| !check(&mut stall, &mut now, 7)));
    }

    #[test]
    fn a_partition_whose_records_arrive_is_not_asked() {
        let mut now = Instant::now();
        let mut stall = StallDetector::new(now);
        for end in 0..10 {
            stall.received(0);
            now += CHECK_INTERVAL;
            assert!(stall.due([0].into_iter(), now).is_empty());
            // Nothing arrives for one check, although the partition has grown.
            assert!(!check(&mut stall, &mut now, end * 2));
            assert!(!check(&mut stall, &mut now, end * 2 + 1));
        }
        assert!(stall.due([0].into_iter(), now).is_empty(), "no check is due yet");
    }
}
