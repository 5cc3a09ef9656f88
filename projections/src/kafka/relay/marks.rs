//! When which partition is due for a mark. Without I/O.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use highwater_core::Position;

use super::chains::{Chains, Link};

/// How often a partition gets a mark: soon after there is something new elsewhere in the log, and now
/// and then if there isn't. What gets events of its own needs none: each says how far it is.
#[derive(Debug)]
pub(super) struct Marks {
    busy: Duration,
    idle: Duration,
    told: HashMap<String, Vec<Option<Told>>>,
}

/// What the last record of a partition says.
#[derive(Debug, Clone, Copy)]
struct Told {
    through: Position,
    at: Instant,
}

impl Marks {
    pub(super) fn new(busy: Duration, idle: Duration) -> Self {
        Self { busy, idle, told: HashMap::new() }
    }

    /// A record of this partition has said that everything up to here is in it.
    pub(super) fn told(&mut self, topic: &str, partition: i32, through: Position, at: Instant) {
        if !self.told.contains_key(topic) {
            self.told.insert(topic.to_owned(), Vec::new());
        }
        let partitions = self.told.get_mut(topic);
        let (Some(told), Ok(place)) = (partitions, usize::try_from(partition)) else { return };
        if told.len() <= place {
            told.resize(place + 1, None);
        }
        told[place] = Some(Told { through, at });
    }

    /// The partitions that are due if the log has been published up to here.
    pub(super) fn due<'a>(
        &self,
        chains: &'a Chains,
        through: Position,
        now: Instant,
    ) -> Vec<(&'a str, Link)> {
        chains
            .ends()
            .filter(|(topic, link)| self.until(topic, link.partition, through, now).is_zero())
            .collect()
    }

    /// How long until one is due.
    pub(super) fn until_due(&self, chains: &Chains, through: Position, now: Instant) -> Duration {
        let each =
            chains.ends().map(|(topic, link)| self.until(topic, link.partition, through, now));
        each.min().unwrap_or(self.idle)
    }

    fn until(&self, topic: &str, partition: i32, through: Position, now: Instant) -> Duration {
        let place = usize::try_from(partition).ok();
        let told = self.told.get(topic).zip(place).and_then(|(told, place)| *told.get(place)?);
        let Some(told) = told else { return Duration::ZERO };
        let interval = if told.through < through { self.busy } else { self.idle };
        interval.saturating_sub(now.saturating_duration_since(told.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_millis(10);
    const IDLE: Duration = Duration::from_secs(1);

    fn two_partitions() -> (Marks, Chains, Instant) {
        let mut chains = Chains::default();
        chains.begin("bank", 2);
        (Marks::new(BUSY, IDLE), chains, Instant::now())
    }

    fn due(marks: &Marks, chains: &Chains, through: u64, now: Instant) -> Vec<i32> {
        let due = marks.due(chains, Position::new(through), now);
        due.into_iter().map(|(_, link)| link.partition).collect()
    }

    #[test]
    fn a_partition_that_has_heard_nothing_is_due_at_once() {
        let (mut marks, chains, now) = two_partitions();
        marks.told("bank", 1, Position::new(1), now);
        assert_eq!(due(&marks, &chains, 1, now), [0]);
        assert_eq!(marks.until_due(&chains, Position::new(1), now), Duration::ZERO);
    }

    #[test]
    fn what_has_an_event_of_its_own_is_not_due_while_the_others_are() {
        let (mut marks, chains, now) = two_partitions();
        marks.told("bank", 0, Position::new(1), now);
        marks.told("bank", 1, Position::new(1), now);
        let later = now + BUSY;
        marks.told("bank", 1, Position::new(2), later);
        assert_eq!(due(&marks, &chains, 2, later), [0]);
        marks.told("bank", 0, Position::new(2), later);
        assert_eq!(marks.until_due(&chains, Position::new(2), later), IDLE);
    }

    #[test]
    fn a_quiet_log_is_marked_now_and_then_and_news_soon() {
        let (mut marks, chains, now) = two_partitions();
        for partition in 0..2 {
            marks.told("bank", partition, Position::new(7), now);
        }
        assert_eq!(due(&marks, &chains, 7, now + IDLE - BUSY), [0; 0]);
        assert_eq!(due(&marks, &chains, 7, now + IDLE), [0, 1]);
        assert_eq!(due(&marks, &chains, 8, now + BUSY / 2), [0; 0]);
        assert_eq!(due(&marks, &chains, 8, now + BUSY), [0, 1]);
    }
}
