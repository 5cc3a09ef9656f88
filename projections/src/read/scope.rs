//! The rows that a read covers.

use std::{collections::HashSet, fmt::Display, ops::Bound, sync::Arc};

use highwater_core::{
    domain::KeyedBy,
    port::{KeyRange, Progress, ShardStop, ViewState},
};

use crate::projection::{progress_of, stop_of};

/// The rows that a read covers. The progress of the least advanced part is that of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RowScope {
    /// The rows of these keys. Only their shards count.
    Keys(Arc<[String]>),
    /// The first rows of a range, at most so many. Every shard counts: any may lack a row of the range.
    Range(KeyRange, usize),
    /// No rows, only the progress of every shard.
    AllShards,
}

impl RowScope {
    /// The scope of several keys, each once, in their order.
    pub(super) fn distinct_keys(keys: impl IntoIterator<Item = impl Display>) -> Self {
        let mut known = HashSet::new();
        let keys = keys.into_iter().map(|key| key.to_string());
        Self::Keys(keys.filter(|key| known.insert(key.clone())).collect())
    }

    pub(super) fn keys(&self) -> &[String] {
        match self {
            Self::Keys(keys) => keys,
            Self::Range(..) | Self::AllShards => &[],
        }
    }

    /// The key that decides if a rollout applies.
    pub(super) fn first_key(&self) -> &str {
        match self {
            Self::Keys(keys) => keys.first().map_or("", String::as_str),
            Self::Range(KeyRange { from: Bound::Included(key) | Bound::Excluded(key), .. }, _) => {
                key
            }
            Self::Range(..) | Self::AllShards => "",
        }
    }

    pub(super) fn is_range(&self) -> bool {
        matches!(self, Self::Range(..))
    }

    /// The first stop of a shard on which these rows depend.
    pub(super) fn stop<'a>(
        &self,
        state: &'a ViewState,
        keyed_by: KeyedBy,
    ) -> Option<&'a ShardStop> {
        if state.stops.is_empty() {
            return None;
        }
        let stops: Vec<_> = match self {
            Self::Keys(keys) => {
                keys.iter().filter_map(|key| stop_of(state, keyed_by, key)).collect()
            }
            Self::Range(..) | Self::AllShards => state.stops.iter().collect(),
        };
        stops.into_iter().min_by_key(|stop| stop.at)
    }

    /// The progress of the view for these rows.
    pub(super) fn progress(&self, state: &ViewState, keyed_by: KeyedBy) -> Progress {
        match self {
            Self::Keys(keys) => least(keys.iter().map(|key| progress_of(state, keyed_by, key))),
            Self::Range(..) | Self::AllShards => least(state.shards.iter().cloned()),
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

#[cfg(test)]
mod tests {
    use highwater_core::{Position, Timestamp, value::Sharding};

    use super::*;

    fn at(position: u64, second: i64) -> Progress {
        let as_of = Timestamp::from_second(second).unwrap();
        Progress { position: Position::new(position), as_of, ..Progress::default() }
    }

    #[test]
    fn r2_the_least_of_shards_is_the_least_in_position_and_in_time() {
        let sharding = Sharding::by_key(3);
        let state = ViewState {
            sharding,
            shards: vec![at(5, 90), at(7, 20), at(9, 70)],
            stops: Vec::new(),
            definition: None,
        };
        assert_eq!(RowScope::AllShards.progress(&state, KeyedBy::Key), at(5, 20));
        let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(RowScope::Keys(keys.into()).progress(&state, KeyedBy::Key), at(5, 20));
        let key = "alice".to_owned();
        let shard = sharding.shard_of(&key).get() as usize;
        let one = RowScope::Keys([key].into()).progress(&state, KeyedBy::Key);
        assert_eq!(one, state.shards[shard], "no other shard counts");
    }

    #[test]
    fn r2_rows_have_stopped_with_their_own_shards_and_a_range_with_any() {
        let sharding = Sharding::by_key(3);
        let key = "alice".to_owned();
        let stop = |shard, at| ShardStop { shard, at, error: "HW506".to_owned() };
        let own = sharding.shard_of(&key);
        let other = sharding.all().find(|shard| *shard != own).unwrap();
        let [early, late] = [1, 2].map(|second| Timestamp::from_second(second).unwrap());
        let state =
            |stops| ViewState { sharding, shards: vec![at(5, 90); 3], stops, definition: None };
        let stopped_at =
            |scope: &RowScope, stops| scope.stop(&state(stops), KeyedBy::Key).map(|stop| stop.at);
        let row = RowScope::Keys([key].into());
        assert_eq!(stopped_at(&row, vec![stop(other, early)]), None);
        assert_eq!(stopped_at(&row, vec![stop(other, early), stop(own, late)]), Some(late));
        let all = vec![stop(own, late), stop(other, early)];
        assert_eq!(stopped_at(&RowScope::AllShards, all), Some(early));
    }
}
