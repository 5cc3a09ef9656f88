//! Stops of shards as they are stored: JSON beside the progress.

#[cfg(feature = "postgres")]
use std::collections::BTreeMap;

use highwater_core::{port::ShardStop, value::ShardId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The stop of a shard, as its column has it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredStop {
    /// In microseconds since 1970.
    at: i64,
    error: String,
}

impl StoredStop {
    /// Writes a stop as JSON.
    pub(crate) fn encode(stop: &ShardStop) -> Result<String, sqlx::Error> {
        // PostgreSQL refuses this character in JSON that it looks into.
        let error = stop.error.replace('\0', "\u{fffd}");
        let stored = Self { at: stop.at.as_microsecond(), error };
        serde_json::to_string(&stored).map_err(|error| sqlx::Error::Encode(error.into()))
    }

    /// Reads the stop of a shard from its JSON.
    #[cfg(feature = "postgres")]
    pub(crate) fn decode(shard: ShardId, stored: &str) -> Result<ShardStop, sqlx::Error> {
        let stored: Self =
            serde_json::from_str(stored).map_err(|error| sqlx::Error::Decode(error.into()))?;
        stored.of(shard)
    }

    /// Reads the stops by shard from their JSON.
    #[cfg(feature = "postgres")]
    pub(crate) fn decode_all(stored: &str) -> Result<Vec<ShardStop>, sqlx::Error> {
        let stops: BTreeMap<u32, Self> =
            serde_json::from_str(stored).map_err(|error| sqlx::Error::Decode(error.into()))?;
        stops.into_iter().map(|(shard, stop)| stop.of(ShardId::new(shard))).collect()
    }

    /// Converts to the stop of this shard.
    pub(crate) fn of(self, shard: ShardId) -> Result<ShardStop, sqlx::Error> {
        let at = Timestamp::from_microsecond(self.at);
        let at = at.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(ShardStop { shard, at, error: self.error })
    }
}
