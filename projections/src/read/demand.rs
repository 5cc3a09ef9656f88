//! How far a view must be, and for which keys.

use std::{ops::Bound, sync::Arc, time::Duration};

use highwater_core::{
    Position,
    domain::KeyedBy,
    port::{KeyRange, Progress, ViewState},
    value::Freshness,
};

use crate::projection::progress_of;

/// What is asked for. The freshness of an answer is the least of what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Over {
    /// Rows of these keys: their shards count, and no others.
    Keys(Arc<[String]>),
    /// The rows of a range, at most so many: any shard may lack one of them.
    Range(KeyRange, usize),
}

impl Over {
    /// Everything, as far as nobody asks for a row of it.
    pub(super) fn nothing() -> Self {
        Self::Range(KeyRange { from: Bound::Unbounded, to: Bound::Unbounded }, 0)
    }

    pub(super) fn keys(&self) -> &[String] {
        match self {
            Self::Keys(keys) => keys,
            Self::Range(..) => &[],
        }
    }

    /// How far the view is for this.
    pub(super) fn progress(&self, state: &ViewState, keyed: KeyedBy) -> Progress {
        match self {
            Self::Range(..) => least(state.shards.iter().cloned()),
            Self::Keys(keys) => least(keys.iter().map(|key| progress_of(state, keyed, key))),
        }
    }
}

/// The least in position and in time: one shard may be ahead in the one, another in the other.
fn least(shards: impl Iterator<Item = Progress>) -> Progress {
    let least = shards.reduce(|one, other| Progress {
        position: one.position.min(other.position),
        as_of: one.as_of.min(other.as_of),
        ..one
    });
    least.unwrap_or_default()
}

/// How far the view must be.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand {
    pub(super) position: Position,
    pub(super) bound: Option<Duration>,
}

impl Demand {
    pub(super) fn is_met_by(self, freshness: &Freshness) -> bool {
        freshness.position >= self.position
            && self.bound.is_none_or(|bound| freshness.age() <= bound)
    }

    /// Whether a position is demanded, and nothing else.
    pub(super) fn is_a_position(self) -> bool {
        self.position > Position::START && self.bound.is_none()
    }

    /// Whether a parked key holds back what is demanded.
    pub(super) fn is_held_back(self, freshness: &Freshness) -> bool {
        let until = if self.bound.is_some() { Position::END } else { self.position };
        freshness.parked_since.is_some_and(|since| since <= until)
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::{Timestamp, value::Sharding};

    use super::*;

    fn at(position: u64, second: i64) -> Progress {
        let as_of = Timestamp::from_second(second).unwrap();
        Progress { position: Position::new(position), as_of, ..Progress::default() }
    }

    #[test]
    fn r2_the_least_of_shards_is_the_least_in_position_and_in_time() {
        let layout = Sharding::by_key(3);
        let state = ViewState { sharding: layout, shards: vec![at(5, 90), at(7, 20), at(9, 70)] };
        assert_eq!(Over::nothing().progress(&state, KeyedBy::Key), at(5, 20));
        let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(Over::Keys(keys.into()).progress(&state, KeyedBy::Key), at(5, 20));
        let key = "alice".to_owned();
        let shard = layout.shard_of(&key).get() as usize;
        let one = Over::Keys([key].into()).progress(&state, KeyedBy::Key);
        assert_eq!(one, state.shards[shard], "no other shard counts");
    }

    #[test]
    fn r3_r4_a_parked_key_holds_back_what_comes_after_it_and_every_bound() {
        let as_of = Timestamp::from_second(1).unwrap();
        let parked = Freshness::new(Position::new(9), as_of, as_of, None);
        let parked = parked.with_parked(Some(Position::new(5)));
        let demand = |position| Demand { position: Position::new(position), bound: None };
        assert!(!demand(4).is_held_back(&parked));
        assert!(demand(5).is_held_back(&parked));
        let bound = Some(Duration::from_secs(1));
        assert!(Demand { bound, ..demand(0) }.is_held_back(&parked));
    }
}
