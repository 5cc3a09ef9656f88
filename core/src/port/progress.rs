//! How the work on a view is divided, how far it is, and who does it.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::Ids;
use crate::{
    Error,
    error::Invalid,
    value::{Position, StreamId},
};

/// A part of the work on a view, with a progress of its own.
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

/// By what the work is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Division {
    /// By the key of the row. Every shard sees all the events in log order, and takes its own keys'.
    Keys,
    /// By the stream. Every shard sees the events of its own streams in log order. A topic's
    /// partitions are divided like this.
    Streams,
}

/// How the work is divided: by what, and into how many shards.
///
/// As text it reads `keys/4` or `streams/12`. Which shard something belongs to is a function of the
/// layout alone, and never changes: stored views and published topics depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// By what.
    pub by: Division,
    /// Into how many, at least 1.
    pub shards: u32,
}

impl Layout {
    /// Not divided.
    pub const WHOLE: Self = Self { by: Division::Keys, shards: 1 };

    /// Divided by key.
    #[must_use]
    pub const fn keys(shards: u32) -> Self {
        Self { by: Division::Keys, shards: if shards == 0 { 1 } else { shards } }
    }

    /// Divided by stream.
    #[must_use]
    pub const fn streams(shards: u32) -> Self {
        Self { by: Division::Streams, shards: if shards == 0 { 1 } else { shards } }
    }

    /// Every shard.
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

    /// The shard of a stream, if that is by what the work is divided.
    #[must_use]
    pub fn shard_of_stream(self, stream: &StreamId) -> Option<ShardId> {
        (self.by == Division::Streams).then(|| self.shard_of(stream.as_str()))
    }

    /// The shard of a key, if that is by what the work is divided.
    #[must_use]
    pub fn shard_of_key(self, key: &str) -> Option<ShardId> {
        (self.by == Division::Keys).then(|| self.shard_of(key))
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Division::Keys => "keys",
            Division::Streams => "streams",
        };
        write!(f, "{by}/{}", self.shards)
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parsed = text.split_once('/').and_then(|(by, shards)| {
            let by = match by {
                "keys" => Division::Keys,
                "streams" => Division::Streams,
                _ => return None,
            };
            let shards = shards.parse().ok().filter(|shards| *shards > 0)?;
            Some(Self { by, shards })
        });
        let right = "it reads keys/N or streams/N";
        parsed.ok_or_else(|| Invalid::malformed("layout", text, right).into())
    }
}

/// How far a shard is: every event of it up to `position` has had its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The position.
    pub position: Position,
    /// When the event there was recorded; the epoch if there was none.
    pub as_of: Timestamp,
    /// Where the feed goes on from here, in its own terms; empty if it has nothing to say.
    pub cursor: Bytes,
}

impl Default for Progress {
    fn default() -> Self {
        Self { position: Position::START, as_of: Timestamp::UNIX_EPOCH, cursor: Bytes::new() }
    }
}

/// A number that grows with each change of ownership of a shard. Who has an older one is fenced: it
/// can't commit any more.
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

/// The longest name of a worker, in bytes of UTF-8.
pub const WORKER_ID_LIMIT: usize = 200;

/// Names a worker, for as long as it runs: 1 to [`WORKER_ID_LIMIT`] bytes, without NUL, so that every
/// store can hold it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(String);

impl WorkerId {
    /// Checks and wraps a name. No two workers that run at once may have the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it isn't as above.
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if name.is_empty() || name.len() > WORKER_ID_LIMIT || name.contains('\0') {
            let right = format!("use 1 to {WORKER_ID_LIMIT} bytes, without NUL");
            return Err(Invalid::malformed("worker id", &name, &right).into());
        }
        Ok(Self(name))
    }

    /// A name that no other worker has.
    #[must_use]
    pub fn unique(ids: &dyn Ids) -> Self {
        Self(ids.command_id().to_string())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a claim respects who holds the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claiming {
    /// Only if nobody else holds it: it is free, the lease has run out, or it is the worker's own.
    IfFree,
    /// Whoever holds it: something else, a consumer group, has decided that it is this worker's.
    Always,
}

/// A shard that a worker has claimed, and where it stood then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The shard.
    pub shard: ShardId,
    /// The epoch under which the worker commits.
    pub epoch: Epoch,
    /// Where it goes on from.
    pub progress: Progress,
}

/// Who is alive, and who holds what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// The workers that are alive, in order, the one that asked among them.
    pub workers: Vec<WorkerId>,
    /// Who holds each shard, by its number; `None` if it is free or the lease has run out.
    pub holders: Vec<Option<WorkerId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_id_that_a_store_could_not_hold_is_refused() {
        let long = "x".repeat(WORKER_ID_LIMIT);
        assert_eq!(WorkerId::new(long.as_str()).unwrap().as_str(), long);
        for name in ["", "\0", "worker\0", &format!("{long}x")] {
            let error = WorkerId::new(name).unwrap_err();
            assert_eq!(error.code(), crate::Code::MALFORMED, "{error}");
        }
    }
}
