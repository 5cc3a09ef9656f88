//! Time and ids from outside, so that everything else can be pure.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::value::{CommandId, EventId};

/// A clock.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Waits for a duration.
    async fn sleep(&self, duration: Duration);
}

/// A source of ids that have never been used before.
pub trait Ids: Send + Sync + 'static {
    /// Creates a new event id: a UUIDv7.
    fn event_id(&self) -> EventId;

    /// Creates a new command id.
    fn command_id(&self) -> CommandId;
}
