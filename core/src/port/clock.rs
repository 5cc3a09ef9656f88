//! Time and identity from outside, so that everything else can be pure.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::value::{CommandId, EventId};

/// The time.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// Identities that have never been given before.
pub trait Ids: Send + Sync + 'static {
    /// A new event id: a UUIDv7.
    fn event_id(&self) -> EventId;

    /// A new command id.
    fn command_id(&self) -> CommandId;
}
