//! Rows of either database: the columns that both stores decode in the same way.

use std::{num::TryFromIntError, sync::Arc};

use bytes::Bytes;
use highwater_core::{
    Position, SchemaVersion, StreamId,
    port::{Progress, ShardStop},
};
use jiff::Timestamp;
use uuid::Uuid;

/// A row of either database.
pub(crate) trait SqlRow: Send + Sync {
    fn text(&self, column: usize) -> sqlx::Result<&str>;
    fn optional_text(&self, column: usize) -> sqlx::Result<Option<&str>>;
    fn integer(&self, column: usize) -> sqlx::Result<i64>;
    fn optional_integer(&self, column: usize) -> sqlx::Result<Option<i64>>;
    fn flag(&self, column: usize) -> sqlx::Result<bool>;
    fn bytes(&self, column: usize) -> sqlx::Result<Vec<u8>>;
    fn id(&self, column: usize) -> sqlx::Result<Uuid>;
    fn time(&self, column: usize) -> sqlx::Result<Timestamp>;

    /// Decodes the value of a row of a view, which may be null.
    fn json(&self, column: usize) -> sqlx::Result<Option<Bytes>>;

    /// Decodes the progress and the stops of the shards of a view, in the columns from `first` on.
    fn shards(&self, first: usize) -> sqlx::Result<StoredShards>;

    fn number(&self, column: usize) -> sqlx::Result<u64> {
        unsigned(self.integer(column)?)
    }

    fn position(&self, column: usize) -> sqlx::Result<Position> {
        self.number(column).map(Position::new)
    }

    fn optional_position(&self, column: usize) -> sqlx::Result<Option<Position>> {
        Ok(self.optional_integer(column)?.map(unsigned).transpose()?.map(Position::new))
    }
}

/// The shards of a view, as they are stored.
#[derive(Default)]
pub(crate) struct StoredShards {
    pub(crate) progress: Vec<Progress>,
    pub(crate) stops: Vec<ShardStop>,
}

/// The stream and the type of the last event. Neighbours often have the same ones, and then share memory.
#[derive(Default)]
pub(crate) struct LastEvent {
    stream: Option<StreamId>,
    type_name: Option<Arc<str>>,
}

impl LastEvent {
    pub(crate) fn stream(&mut self, id: &str) -> sqlx::Result<StreamId> {
        match &self.stream {
            Some(last) if last.as_str() == id => Ok(last.clone()),
            _ => {
                let stream =
                    StreamId::parse(id).map_err(|error| sqlx::Error::Decode(error.into()))?;
                Ok(self.stream.insert(stream).clone())
            }
        }
    }

    pub(crate) fn type_name(&mut self, name: &str) -> Arc<str> {
        match &self.type_name {
            Some(last) if **last == *name => Arc::clone(last),
            _ => Arc::clone(self.type_name.insert(name.into())),
        }
    }
}

pub(crate) fn unsigned(number: i64) -> sqlx::Result<u64> {
    u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn schema<N>(number: N) -> sqlx::Result<SchemaVersion>
where
    N: TryInto<u32, Error = TryFromIntError>,
{
    let number = number.try_into().map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SchemaVersion::new(number))
}
