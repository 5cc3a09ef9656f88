//! The share of the keys that were compared within the last window.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use highwater_core::value::ShardId;
use tokio::time::Instant;

/// The pages that were compared within the last window.
pub(super) struct Coverage {
    window: Duration,
    pages: VecDeque<CoveredPage>,
}

/// A page that was compared for some shards.
struct CoveredPage {
    at: Instant,
    /// The part that it is of all pages.
    share: f64,
    shards: BTreeSet<ShardId>,
}

impl Coverage {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, pages: VecDeque::new() }
    }

    /// Adds a page that has been compared for these shards.
    pub(super) fn add(&mut self, at: Instant, share: f64, shards: BTreeSet<ShardId>) {
        self.pages.push_back(CoveredPage { at, share, shards });
    }

    /// Returns the share of the keys of each shard that were compared within the window before `now`: the pages since
    /// the shard was taken up. They come in the order of a circle, so none is among them twice before all are.
    pub(super) fn of(&mut self, held: &BTreeSet<ShardId>, now: Instant) -> BTreeMap<ShardId, f64> {
        let Self { window, pages } = self;
        while pages.front().is_some_and(|page| now.duration_since(page.at) > *window) {
            pages.pop_front();
        }
        let share = |shard: &ShardId| {
            let last = pages.iter().rev().take_while(|page| page.shards.contains(shard));
            let sum: f64 = last.map(|page| page.share).sum();
            // A sum of fractions may fall short of the whole by a rounding error.
            if sum > 1.0 - 1e-9 { 1.0 } else { sum }
        };
        held.iter().map(|shard| (*shard, share(shard))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(100);

    fn shards(numbers: &[u32]) -> BTreeSet<ShardId> {
        numbers.iter().copied().map(ShardId::new).collect()
    }

    #[test]
    fn r6_coverage_grows_with_each_page_and_falls_when_pages_are_older_than_the_window() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut coverage = Coverage::new(WINDOW);
        let of = |coverage: &mut Coverage, seconds| {
            coverage.of(&shards(&[0]), at(seconds))[&ShardId::FIRST]
        };
        assert_eq!(of(&mut coverage, 0), 0.0);
        for page in 1..=3 {
            coverage.add(at(page * 30), 1.0 / 3.0, shards(&[0]));
        }
        assert!((of(&mut coverage, 59) - 2.0 / 3.0).abs() > 0.1, "three pages are there");
        assert_eq!(of(&mut coverage, 90), 1.0);
        assert_eq!(of(&mut coverage, 130), 1.0);
        assert!((of(&mut coverage, 131) - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(of(&mut coverage, 300), 0.0);
    }

    #[test]
    fn r6_a_shard_is_covered_by_the_pages_since_it_was_taken_up() {
        let now = Instant::now();
        let mut coverage = Coverage::new(WINDOW);
        coverage.add(now, 0.5, shards(&[0, 1]));
        coverage.add(now, 0.25, shards(&[0]));
        coverage.add(now, 0.25, shards(&[0, 1]));
        let found = coverage.of(&shards(&[0, 1, 2]), now);
        assert_eq!(found.values().copied().collect::<Vec<_>>(), [1.0, 0.25, 0.0]);
    }
}
