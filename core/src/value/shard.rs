//! Shards: parts of the work on a view, and the epochs of their owners.

use std::{fmt, str::FromStr};

use xxhash_rust::xxh3::xxh3_64;

use super::{Malformed, StreamId};

/// A part of the work on a view, with its own progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u32);

impl ShardId {
    /// The only shard of a view that isn't divided, and the first of one that is.
    pub const FIRST: Self = Self(0);

    /// The shard with this number, from 0.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The criterion by which the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShardBy {
    /// By the key of the row. Every shard sees all events in log order, and processes those of its
    /// own keys.
    Key,
    /// By the stream. Every shard sees the events of its own streams in log order. A topic's
    /// partitions are divided like this.
    Stream,
}

/// The division of the work: its criterion, and the number of shards.
///
/// As text it reads `keys/4` or `streams/12`. The shard of a key or a stream is a function of the
/// sharding alone, and never changes: stored views and published topics depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sharding {
    /// The criterion.
    pub by: ShardBy,
    /// The number of shards, at least 1.
    pub shards: u32,
}

impl Sharding {
    /// A single shard: the work is not divided.
    pub const SINGLE: Self = Self { by: ShardBy::Key, shards: 1 };

    /// Divides the work by key.
    #[must_use]
    pub const fn by_key(shards: u32) -> Self {
        Self { by: ShardBy::Key, shards: if shards == 0 { 1 } else { shards } }
    }

    /// Divides the work by stream.
    #[must_use]
    pub const fn by_stream(shards: u32) -> Self {
        Self { by: ShardBy::Stream, shards: if shards == 0 { 1 } else { shards } }
    }

    /// All shards.
    pub fn all(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId)
    }

    /// The shard of this text: a key, or the id of a stream.
    #[must_use]
    pub fn shard_of(self, text: &str) -> ShardId {
        match self.shards {
            1 => ShardId::FIRST,
            shards => ShardId((xxh3_64(text.as_bytes()) % u64::from(shards)) as u32),
        }
    }

    /// The shard of a stream; `None` if the work is divided by key.
    #[must_use]
    pub fn shard_of_stream(self, stream: &StreamId) -> Option<ShardId> {
        (self.by == ShardBy::Stream).then(|| self.shard_of(stream.as_str()))
    }

    /// The shard of a key; `None` if the work is divided by stream.
    #[must_use]
    pub fn shard_of_key(self, key: &str) -> Option<ShardId> {
        (self.by == ShardBy::Key).then(|| self.shard_of(key))
    }
}

impl fmt::Display for Sharding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            ShardBy::Key => "keys",
            ShardBy::Stream => "streams",
        };
        write!(f, "{by}/{}", self.shards)
    }
}

impl FromStr for Sharding {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parsed = text.split_once('/').and_then(|(by, shards)| {
            let by = match by {
                "keys" => ShardBy::Key,
                "streams" => ShardBy::Stream,
                _ => return None,
            };
            let shards = shards.parse().ok().filter(|shards| *shards > 0)?;
            Some(Self { by, shards })
        });
        let right = "it reads keys/N or streams/N";
        parsed.ok_or_else(|| Malformed::new("sharding", text, right))
    }
}

/// A number that grows with each change of ownership of a shard. A worker with an older epoch is
/// fenced: it can't commit any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
