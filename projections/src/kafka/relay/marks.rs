//! The schedule of marks. Without I/O.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use highwater_core::Position;

use super::chains::{ChainEnd, PartitionChains};

/// Decides when a partition gets a mark: after the busy interval if there are new events in other
/// partitions, after the idle interval if there are none. A partition that gets events needs no marks:
/// each event says up to where its partition is complete.
#[derive(Debug)]
pub(super) struct MarkSchedule {
    busy: Duration,
    idle: Duration,
    recorded: HashMap<String, Vec<Option<LastRecord>>>,
}

/// The last record of a partition.
#[derive(Debug, Clone, Copy)]
struct LastRecord {
    /// The position up to which the partition is complete.
    through: Position,
    at: Instant,
}

impl MarkSchedule {
    pub(super) fn new(busy: Duration, idle: Duration) -> Self {
        Self { busy, idle, recorded: HashMap::new() }
    }

    /// Notes a record that says that its partition is complete up to a position.
    pub(super) fn recorded(&mut self, topic: &str, partition: i32, through: Position, at: Instant) {
        if !self.recorded.contains_key(topic) {
            self.recorded.insert(topic.to_owned(), Vec::new());
        }
        let partitions = self.recorded.get_mut(topic);
        let (Some(records), Ok(index)) = (partitions, usize::try_from(partition)) else { return };
        if records.len() <= index {
            records.resize(index + 1, None);
        }
        records[index] = Some(LastRecord { through, at });
    }

    /// Returns the partitions that are due if the log has been published up to a position.
    pub(super) fn due<'a>(
        &self,
        chains: &'a PartitionChains,
        through: Position,
        now: Instant,
    ) -> Vec<(&'a str, ChainEnd)> {
        chains
            .ends()
            .filter(|(topic, end)| self.until(topic, end.partition, through, now).is_zero())
            .collect()
    }

    /// Returns the time until a partition is due.
    pub(super) fn until_due(
        &self,
        chains: &PartitionChains,
        through: Position,
        now: Instant,
    ) -> Duration {
        let each = chains.ends().map(|(topic, end)| self.until(topic, end.partition, through, now));
        each.min().unwrap_or(self.idle)
    }

    fn until(&self, topic: &str, partition: i32, through: Position, now: Instant) -> Duration {
        let index = usize::try_from(partition).ok();
        let records = self.recorded.get(topic);
        let last = records.zip(index).and_then(|(records, index)| *records.get(index)?);
        let Some(last) = last else { return Duration::ZERO };
        let interval = if last.through < through { self.busy } else { self.idle };
        interval.saturating_sub(now.saturating_duration_since(last.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_millis(10);
    const IDLE: Duration = Duration::from_secs(1);

    fn two_partitions() -> (MarkSchedule, PartitionChains, Instant) {
        let mut chains = PartitionChains::default();
        chains.start("bank", 2);
        (MarkSchedule::new(BUSY, IDLE), chains, Instant::now())
    }

    fn due(marks: &MarkSchedule, chains: &PartitionChains, through: u64, now: Instant) -> Vec<i32> {
        let due = marks.due(chains, Position::new(through), now);
        due.into_iter().map(|(_, end)| end.partition).collect()
    }

    #[test]
    fn a_partition_without_a_record_is_due_at_once() {
        let (mut marks, chains, now) = two_partitions();
        marks.recorded("bank", 1, Position::new(1), now);
        assert_eq!(due(&marks, &chains, 1, now), [0]);
        assert_eq!(marks.until_due(&chains, Position::new(1), now), Duration::ZERO);
    }

    #[test]
    fn a_partition_that_got_an_event_is_not_due_while_the_others_are() {
        let (mut marks, chains, now) = two_partitions();
        marks.recorded("bank", 0, Position::new(1), now);
        marks.recorded("bank", 1, Position::new(1), now);
        let later = now + BUSY;
        marks.recorded("bank", 1, Position::new(2), later);
        assert_eq!(due(&marks, &chains, 2, later), [0]);
        marks.recorded("bank", 0, Position::new(2), later);
        assert_eq!(marks.until_due(&chains, Position::new(2), later), IDLE);
    }

    #[test]
    fn an_idle_log_gets_marks_at_the_idle_interval_and_new_events_at_the_busy_one() {
        let (mut marks, chains, now) = two_partitions();
        for partition in 0..2 {
            marks.recorded("bank", partition, Position::new(7), now);
        }
        assert_eq!(due(&marks, &chains, 7, now + IDLE - BUSY), [0; 0]);
        assert_eq!(due(&marks, &chains, 7, now + IDLE), [0, 1]);
        assert_eq!(due(&marks, &chains, 8, now + BUSY / 2), [0; 0]);
        assert_eq!(due(&marks, &chains, 8, now + BUSY), [0, 1]);
    }
}
